using System.Globalization;

namespace Emulator.DriverBench.Pe;

/// <summary>
/// The symbols of a GNU ld map file (-Wl,-Map). ld lists, below each section, a line of an address and a name for every
/// global symbol; static functions are not in it, but with -ffunction-sections their sections are (".text.GrStart").
/// </summary>
public sealed class LinkerMap
{
    private readonly SortedDictionary<uint, string> _symbols = [];

    private LinkerMap()
    {
    }

    /// <summary>Names by address relative to the image base, by rising address.</summary>
    public IReadOnlyDictionary<uint, string> Symbols => _symbols;

    /// <param name="text">The map file.</param>
    /// <param name="imageBase">Of the linked image: addresses in the map are absolute.</param>
    /// <param name="imageSize">Its size in bytes; names outside are left out.</param>
    /// <param name="isDecorated">x86: names carry "_" or "@" in front and "@8" behind, which is taken off.</param>
    public static LinkerMap Parse(string text, ulong imageBase, uint imageSize, bool isDecorated)
    {
        ArgumentNullException.ThrowIfNull(text);
        var map = new LinkerMap();
        var sections = new SortedDictionary<uint, string>();
        string? pending = null;
        bool inMap = false;
        foreach (ReadOnlySpan<char> raw in text.AsSpan().EnumerateLines())
        {
            // What stands before this heading is about archive members and discarded sections.
            if (raw.StartsWith("Linker script and memory map")) inMap = true;
            if (!inMap || raw.Length == 0 || raw[0] != ' ') continue;
            ReadOnlySpan<char> line = raw.Trim();
            if (!line.StartsWith("0x"))
            {
                // " .text.Name" with address, size and file behind it or, when the name is long, on the next line.
                pending = FunctionSection(line, out ReadOnlySpan<char> rest);
                if (pending is null || !rest.StartsWith("0x")) continue;
                line = rest;
            }
            int end = line.IndexOf(' ');
            ReadOnlySpan<char> digits = end < 0 ? line[2..] : line[2..end];
            ReadOnlySpan<char> tail = end < 0 ? [] : line[end..].Trim();
            if (!ulong.TryParse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong address)
                || address < imageBase || address - imageBase >= imageSize)
            {
                pending = null;
                continue;
            }
            uint relative = (uint)(address - imageBase);
            if (pending is not null)
            {
                // An empty section names nothing.
                if (tail.StartsWith("0x") && !tail.StartsWith("0x0 ")) sections.TryAdd(relative, Plain(pending, isDecorated));
                pending = null;
            }
            else if (IsName(tail)) map._symbols.TryAdd(relative, Plain(tail, isDecorated));
        }
        // A global's own line says it best; the section's name stands in for what is static.
        foreach ((uint address, string name) in sections) map._symbols.TryAdd(address, name);
        return map;
    }

    /// <summary>Gives all names to a table.</summary>
    /// <param name="loadedAt">Where the image is loaded.</param>
    public void AddTo(SymbolTable table, ulong loadedAt)
    {
        ArgumentNullException.ThrowIfNull(table);
        foreach ((uint address, string name) in _symbols) table.AddSymbol(loadedAt + address, name);
    }

    /// <summary>Parses the map of an image that was read already.</summary>
    public static LinkerMap Parse(string text, PeImage image)
    {
        ArgumentNullException.ThrowIfNull(image);
        return Parse(text, image.ImageBase, image.SizeOfImage, !image.Is64Bit);
    }

    private static string Plain(ReadOnlySpan<char> name, bool isDecorated)
    {
        if (!isDecorated) return name.ToString();
        if (name.Length > 1 && name[0] is '_' or '@') name = name[1..];
        int at = name.LastIndexOf('@');
        return (at > 0 ? name[..at] : name).ToString();
    }

    private static string? FunctionSection(ReadOnlySpan<char> line, out ReadOnlySpan<char> rest)
    {
        int end = line.IndexOf(' ');
        ReadOnlySpan<char> section = end < 0 ? line : line[..end];
        rest = end < 0 ? [] : line[end..].Trim();
        foreach (string prefix in (ReadOnlySpan<string>)[".text.", ".text$", ".data.", ".rdata.", ".bss."])
        {
            // ".text$name" is how PE spells -ffunction-sections; ".text.unlikely" and its like are gcc's groupings.
            if (section.StartsWith(prefix) && section.Length > prefix.Length && IsName(section[prefix.Length..])) return section[prefix.Length..].ToString();
        }
        return null;
    }

    private static bool IsName(ReadOnlySpan<char> text)
    {
        // Script lines look like ". = ALIGN (...)" or "___x = .": they define no code.
        if (text.Length == 0 || !(char.IsAsciiLetter(text[0]) || text[0] is '_' or '?' or '@' or '$')) return false;
        foreach (char character in text)
        {
            if (!(char.IsAsciiLetterOrDigit(character) || character is '_' or '@' or '$' or '?' or '.')) return false;
        }
        return true;
    }
}
