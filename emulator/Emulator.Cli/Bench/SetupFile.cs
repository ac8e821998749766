using System.Globalization;
using System.Text.RegularExpressions;

namespace Emulator.Cli.Bench;

/// <summary>What the bench takes from an INF: which PCI devices it is for, which service drives them, and the filters above it.</summary>
/// <param name="Path">The file.</param>
/// <param name="Devices">Vendor and device ID of every PCI hardware ID in it.</param>
/// <param name="FunctionDrivers">Files of the services it makes the function driver of a device: "ProsewareRobot.sys".</param>
/// <param name="UpperFilters">Names of services, bottom up: "AfterThought".</param>
internal sealed partial record SetupFile(
    string Path, IReadOnlyList<(ushort Vendor, ushort Device)> Devices, IReadOnlyList<string> FunctionDrivers, IReadOnlyList<string> UpperFilters)
{
    // SPSVCINST_ASSOCSERVICE: the service is the device's function driver.
    private const uint AssociatedService = 2;
    private const int LongestFile = 1 << 20;

    /// <summary>The INFs in a folder that can be read.</summary>
    public static IEnumerable<SetupFile> In(string folder)
    {
        foreach (string path in Directory.EnumerateFiles(folder, "*.inf", new EnumerationOptions { MatchCasing = MatchCasing.CaseInsensitive }).Order())
        {
            if (TryRead(path) is { } text) yield return Parse(text, path);
        }
    }

    public static SetupFile Parse(string text, string path)
    {
        Dictionary<string, List<string>> sections = Sections(text);
        var devices = new List<(ushort, ushort)>();
        foreach (Match id in HardwareId().Matches(text))
        {
            (ushort, ushort) device = (Hex(id.Groups[1].ValueSpan), Hex(id.Groups[2].ValueSpan));
            if (!devices.Contains(device)) devices.Add(device);
        }
        var drivers = new List<string>();
        var filters = new List<string>();
        foreach (string line in sections.Values.SelectMany(l => l))
        {
            (string key, string value) = Split(line, '=');
            string[] parts = [.. value.Split(',').Select(p => p.Trim().Trim('"'))];
            if (key.Equals("AddService", StringComparison.OrdinalIgnoreCase) && parts.Length >= 3 && (Number(parts[1]) & AssociatedService) != 0)
            {
                if (BinaryOf(sections, parts[2]) is { } file && !drivers.Contains(file, StringComparer.OrdinalIgnoreCase)) drivers.Add(file);
            }
            string[] registry = [.. line.Split(',').Select(p => p.Trim().Trim('"'))];
            if (registry.Length > 4 && registry[2].Equals("UpperFilters", StringComparison.OrdinalIgnoreCase)) filters.AddRange(registry[4..]);
        }
        return new SetupFile(path, devices, drivers, filters);
    }

    private static string? BinaryOf(Dictionary<string, List<string>> sections, string section)
    {
        foreach (string line in sections.GetValueOrDefault(section) ?? [])
        {
            (string key, string value) = Split(line, '=');
            string path = value.Trim('"');
            if (key.Equals("ServiceBinary", StringComparison.OrdinalIgnoreCase)) return path[(path.LastIndexOf('\\') + 1)..];
        }
        return null;
    }

    private static Dictionary<string, List<string>> Sections(string text)
    {
        var sections = new Dictionary<string, List<string>>(StringComparer.OrdinalIgnoreCase);
        List<string> current = [];
        foreach (string raw in text.Split('\n'))
        {
            string line = Split(raw, ';').Before;
            if (line.StartsWith('[') && line.EndsWith(']'))
            {
                string name = line[1..^1].Trim();
                if (!sections.TryGetValue(name, out List<string>? lines)) sections.Add(name, lines = []);
                current = lines;
            }
            else if (line.Length > 0) current.Add(line);
        }
        return sections;
    }

    private static (string Before, string After) Split(string text, char at)
    {
        int index = text.IndexOf(at, StringComparison.Ordinal);
        return index < 0 ? (text.Trim(), "") : (text[..index].Trim(), text[(index + 1)..].Trim());
    }

    private static uint Number(string text)
        => text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
            ? uint.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out uint hex) ? hex : 0
            : uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint plain) ? plain : 0;

    private static ushort Hex(ReadOnlySpan<char> digits) => ushort.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    // An INF beside a driver is a convenience: one that cannot be read is as good as none. UTF-16 ones carry a mark that the reader knows.
    private static string? TryRead(string path)
    {
        try
        {
            return new FileInfo(path).Length > LongestFile ? null : File.ReadAllText(path);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    [GeneratedRegex(@"PCI\\VEN_([0-9A-F]{4})&DEV_([0-9A-F]{4})", RegexOptions.IgnoreCase)]
    private static partial Regex HardwareId();
}
