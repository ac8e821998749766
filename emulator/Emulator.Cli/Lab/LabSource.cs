using System.Text;
using System.Text.Json;
using Emulator.Files;

namespace Emulator.Cli.Lab;

/// <summary>A lab file that was read: its contents, and where in the file each of them stands.</summary>
internal sealed class LabSource
{
    private const int LongestFile = 1 << 20;

    private readonly byte[] _json;
    private readonly JsonShape _shape;

    private LabSource(string path, byte[] json)
    {
        (Path, _json, _shape) = (path, json, JsonShape.Check(json, LabJson.Default.LabFile));
        if (_shape.Fault is { } fault) throw Error(fault.Offset, fault.Path, fault.Message);
        try
        {
            Lab = JsonSerializer.Deserialize(json, LabJson.Default.LabFile)!;
        }
        catch (JsonException problem)
        {
            string where = (problem.Path ?? "$").TrimStart('$').TrimStart('.');
            throw ErrorAt(where, JsonShape.WithoutPosition(problem.Message));
        }
        Name = Lab.Name ?? System.IO.Path.GetFileNameWithoutExtension(path);
        Validate();
    }

    /// <summary>The file's path as it was given.</summary>
    public string Path { get; }

    /// <summary>The lab's own name, or else its file's.</summary>
    public string Name { get; }
    public LabFile Lab { get; }

    /// <summary>Reads a lab.</summary>
    /// <param name="lab">A path, or the name of a lab in qemu-config/labs.</param>
    /// <exception cref="UserError">With file, line, column and remedy.</exception>
    public static LabSource Load(string lab)
    {
        string path = Find(lab);
        try
        {
            byte[] json = BoundedFile.ReadAllBytes(path, LongestFile);
            return new LabSource(path, json.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? json[3..] : json);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new UserError($"{path}: cannot read the lab: {problem.Message.TrimEnd('.')}", cause: problem);
        }
    }

    /// <summary>Reads a lab from text, as if it stood in a file of that name.</summary>
    public static LabSource Parse(string json, string path) => new(path, Encoding.UTF8.GetBytes(json));

    /// <summary>The folder of labs that come with the emulator, or null outside a checkout.</summary>
    public static string? ShippedLabs()
        => new[] { Directory.GetCurrentDirectory(), AppContext.BaseDirectory }.SelectMany(WithParents)
            .Select(folder => System.IO.Path.Combine(folder, "qemu-config", "labs")).FirstOrDefault(Directory.Exists);

    /// <summary>An error at a value of the file.</summary>
    /// <param name="path">Such as "devices[0].name".</param>
    public UserError ErrorAt(string path, string message)
    {
        // A value that was left out has no place of its own: its object's is the nearest.
        string known = path;
        while (!_shape.Places.ContainsKey(known)) known = known[..Math.Max(0, known.LastIndexOfAny(['.', '[']))];
        return Error(_shape.Places[known], path, message);
    }

    /// <summary>An error whose message may begin with the path of an option inside <paramref name="path"/>, such as "bars[0].size: ...".</summary>
    public UserError ErrorAtOption(string path, string message)
    {
        int colon = message.IndexOf(": ", StringComparison.Ordinal);
        string option = colon < 0 ? "" : message[..colon];
        bool isPath = option.Length > 0 && option.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '[' or ']');
        return isPath ? ErrorAt($"{path}.{option}", message[(colon + 2)..]) : ErrorAt(path, message);
    }

    private static IEnumerable<string> WithParents(string folder)
    {
        for (string? at = System.IO.Path.GetFullPath(folder); at is not null; at = System.IO.Path.GetDirectoryName(at)) yield return at;
    }

    private static string Find(string lab)
    {
        if (File.Exists(lab)) return lab;
        if (Directory.Exists(lab)) throw new UserError($"{lab} is a folder; name a lab file in it");
        bool isName = !lab.Contains('/') && !lab.EndsWith(".jsonc", StringComparison.Ordinal);
        string[] shipped = ShippedLabs() is { } labs ? Directory.GetFiles(labs, "*.jsonc") : [];
        if (isName && shipped.FirstOrDefault(s => System.IO.Path.GetFileNameWithoutExtension(s) == lab) is { } found)
        {
            return System.IO.Path.GetRelativePath(".", found);
        }
        string[] names = [.. shipped.Select(s => System.IO.Path.GetFileNameWithoutExtension(s)!).Order()];
        throw new UserError(
            isName && names.Length > 0 ? $"no lab file or shipped lab \"{lab}\"; {Spelling.Suggest(lab, names)}" : $"{lab}: there is no such lab file");
    }

    private UserError Error(long offset, string path, string message)
    {
        ReadOnlySpan<byte> before = _json.AsSpan(0, (int)Math.Min(offset, _json.Length));
        int line = before.Count((byte)'\n') + 1;
        int column = Encoding.UTF8.GetCharCount(before[(before.LastIndexOf((byte)'\n') + 1)..]) + 1;
        return new UserError($"{Path}:{line}:{column}: {(path.Length == 0 ? "" : path + ": ")}{message}");
    }

    private void Validate()
    {
        CheckName("name", Name);
        if (Lab.Devices.Count == 0) throw ErrorAt("devices", "a lab has at least one device");
        var names = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < Lab.Devices.Count; i++)
        {
            LabDevice device = Lab.Devices[i];
            CheckName($"devices[{i}].name", device.Name);
            // Its socket would be the lab's own control socket.
            if (device.Name == LabFolder.ControlName) throw ErrorAt($"devices[{i}].name", $"\"{device.Name}\" is the lab's own socket; choose another name");
            if (!names.Add(device.Name)) throw ErrorAt($"devices[{i}].name", $"there are two devices \"{device.Name}\"; rename one");
            if (device.SpinMicroseconds is < 0 or > 1000) throw ErrorAt($"devices[{i}].spinMicroseconds", "choose 0 to 1000 microseconds");
        }
        if (Lab.Guest is { } guest) Validate(guest, names);
    }

    private void Validate(LabGuest guest, HashSet<string> devices)
    {
        const ulong Mebibyte = 1 << 20;
        if (guest.Memory.Value < 64 * Mebibyte || guest.Memory.Value % Mebibyte != 0 || guest.Memory.Value > 1024 * 1024 * Mebibyte)
            throw ErrorAt("guest.memory", "choose whole mebibytes, at least \"64M\"");
        if (guest.Iommu && guest.Machine != LabMachine.Q35) throw ErrorAt("guest.iommu", "QEMU has an IOMMU for the machine \"q35\" alone");
        if (guest.Demo?.TimeoutSeconds < 1) throw ErrorAt("guest.demo.timeoutSeconds", "choose at least 1 second");
        if (guest.Demo?.Print is { } print && !devices.Contains(print.Device))
            throw ErrorAt("guest.demo.print.device", $"there is no device \"{print.Device}\"; {Spelling.Suggest(print.Device, devices)}");
    }

    private void CheckName(string path, string name)
    {
        if (name.Length is 0 or > 40 || !name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-'))
            throw ErrorAt(path, $"\"{name}\" is no name; use 1 to 40 lower-case letters, digits and hyphens");
    }
}
