using System.Globalization;
using System.Text.RegularExpressions;
using Emulator.Files;

namespace Emulator.Cli.Bench;

/// <summary>A PCI device in an INF, with the files of the services that the INF gives it.</summary>
/// <param name="FunctionDriver">"ProsewareRobot.sys"; null when the INF leaves that to another.</param>
/// <param name="LowerFilters">Bottom up.</param>
/// <param name="UpperFilters">Bottom up: "AfterThought.sys".</param>
internal sealed record SetupDevice(
    ushort Vendor, ushort Device, string? FunctionDriver, IReadOnlyList<string> LowerFilters, IReadOnlyList<string> UpperFilters);

/// <summary>What the bench takes from an INF: which PCI devices it is for, and the drivers of each.</summary>
internal sealed partial record SetupFile(string Path, IReadOnlyList<SetupDevice> Devices)
{
    // SPSVCINST_ASSOCSERVICE: the service is the device's function driver.
    private const uint AssociatedService = 2;
    private const int LongestFile = 1 << 20;

    /// <summary>The INFs in a folder that can be read.</summary>
    /// <param name="is64Bit">Whether their sections for x64 are wanted, or those for x86.</param>
    public static IEnumerable<SetupFile> In(string folder, bool is64Bit)
    {
        foreach (string path in Directory.EnumerateFiles(folder, "*.inf", new EnumerationOptions { MatchCasing = MatchCasing.CaseInsensitive }).Order())
        {
            if (TryRead(path) is { } text) yield return Parse(text, path, is64Bit);
        }
    }

    /// <summary>Reads what it understands, and passes over the rest.</summary>
    /// <inheritdoc cref="In"/>
    public static SetupFile Parse(string text, string path, bool is64Bit)
    {
        var sections = new Sections(text, is64Bit ? "amd64" : "x86");
        var devices = new List<SetupDevice>();
        foreach (string line in sections.Models())
        {
            string[] parts = List(Split(line, '=').After);
            foreach (string id in parts.Skip(1))
            {
                if (HardwareId().Match(id) is not { Success: true } match) continue;
                (ushort vendor, ushort device) = (Hex(match.Groups[1].ValueSpan), Hex(match.Groups[2].ValueSpan));
                if (!devices.Exists(d => (d.Vendor, d.Device) == (vendor, device))) devices.Add(Describe(sections, parts[0], vendor, device));
            }
        }
        return new SetupFile(path, devices);
    }

    private static SetupDevice Describe(Sections sections, string install, ushort vendor, ushort device)
    {
        var files = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        string? function = null;
        foreach (string[] service in ValuesOf("AddService", sections.OfInstall(install, ".Services")))
        {
            if (service.Length < 3 || ValuesOf("ServiceBinary", sections[service[2]]).FirstOrDefault() is not [var binary, ..]) continue;
            files[service[0]] = binary[(binary.LastIndexOf('\\') + 1)..];
            if (WrittenNumber.TryParse(service[1], out uint flags) && (flags & AssociatedService) != 0) function ??= files[service[0]];
        }
        string[][] registry = [.. ValuesOf("AddReg", sections.OfInstall(install, ".HW")).SelectMany(names => names).SelectMany(n => sections[n]).Select(List)];
        return new SetupDevice(vendor, device, function, Filters("LowerFilters"), Filters("UpperFilters"));

        // "HKR,,UpperFilters,flags,service,service": of a service that the INF does not install, the file has its name.
        string[] Filters(string value)
            => [.. registry.Where(r => r.Length > 4 && r[2].Equals(value, StringComparison.OrdinalIgnoreCase)).SelectMany(r => r[4..])
                .Select(service => files.GetValueOrDefault(service) ?? $"{service}.sys")];
    }

    /// <summary>The values behind each "key = value, value".</summary>
    private static IEnumerable<string[]> ValuesOf(string key, IReadOnlyList<string> lines)
        => lines.Select(line => Split(line, '=')).Where(l => l.Before.Equals(key, StringComparison.OrdinalIgnoreCase)).Select(l => List(l.After));

    private static (string Before, string After) Split(string text, char at)
    {
        int index = text.IndexOf(at, StringComparison.Ordinal);
        return index < 0 ? (text.Trim(), "") : (text[..index].Trim(), text[(index + 1)..].Trim());
    }

    private static string[] List(string text) => [.. text.Split(',').Select(part => part.Trim().Trim('"'))];

    private static ushort Hex(ReadOnlySpan<char> digits) => ushort.Parse(digits, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    // An INF beside a driver is a convenience: one that cannot be read is as good as none. UTF-16 ones carry a mark that the reader knows.
    private static string? TryRead(string path)
    {
        try
        {
            return BoundedFile.ReadAllText(path, LongestFile);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    [GeneratedRegex(@"^PCI\\VEN_([0-9A-F]{4})&DEV_([0-9A-F]{4})", RegexOptions.IgnoreCase)]
    private static partial Regex HardwareId();

    /// <summary>The lines of an INF by section, without comments.</summary>
    private sealed class Sections
    {
        private readonly Dictionary<string, List<string>> _lines = new(StringComparer.OrdinalIgnoreCase);
        private readonly string _processor;

        public Sections(string text, string processor)
        {
            _processor = processor;
            List<string> current = [];
            foreach (string raw in text.Split('\n'))
            {
                string line = Split(raw, ';').Before;
                if (line.StartsWith('[') && line.EndsWith(']'))
                {
                    string name = line[1..^1].Trim();
                    if (!_lines.TryGetValue(name, out List<string>? lines)) _lines.Add(name, lines = []);
                    current = lines;
                }
                else if (line.Length > 0) current.Add(line);
            }
        }

        /// <summary>Empty when there is no such section.</summary>
        public IReadOnlyList<string> this[string name] => _lines.GetValueOrDefault(name) ?? [];

        /// <summary>The lines that name devices: "%description% = install section, hardware ID, ...".</summary>
        public IEnumerable<string> Models()
        {
            foreach (string line in this["Manufacturer"])
            {
                (string before, string after) = Split(line, '=');
                string[] names = List(after.Length > 0 ? after : before);
                string[] ours = [.. names.Skip(1).Where(IsOurs).Select(decoration => $"{names[0]}.{decoration}")];
                foreach (string model in (ours.Length > 0 ? ours : names[..1]).SelectMany(name => this[name])) yield return model;
            }
        }

        /// <summary>The lines of an install section's part, of the variant that is most for this processor.</summary>
        public IReadOnlyList<string> OfInstall(string install, string part)
            => _lines.GetValueOrDefault($"{install}.NT{_processor}{part}") ?? _lines.GetValueOrDefault($"{install}.NT{part}") ?? this[install + part];

        // "NTamd64.10.0": processor, then version; either may be left out.
        private bool IsOurs(string decoration)
            => decoration.StartsWith("NT", StringComparison.OrdinalIgnoreCase) && decoration[2..].Split('.')[0] is var processor
                && (processor.Length == 0 || processor.Equals(_processor, StringComparison.OrdinalIgnoreCase));
    }
}
