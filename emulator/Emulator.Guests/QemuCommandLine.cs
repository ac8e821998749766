using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Emulator.Guests;

/// <summary>How the guest's instructions are executed.</summary>
public enum Accelerator
{
    /// <summary>KVM when a trial run proves that it works here, otherwise TCG.</summary>
    Auto,

    /// <summary>The host's processor, through /dev/kvm.</summary>
    Kvm,

    /// <summary>QEMU's own translation; works everywhere.</summary>
    Tcg,
}

/// <summary>A device that a vfio-user server offers on a Unix socket.</summary>
/// <param name="SocketPath">The server's socket, at most 107 bytes.</param>
/// <param name="Address">The slot on the root bus, such as "05.0"; null lets QEMU choose.</param>
/// <param name="Id">QEMU's name for it, for QMP; null for none.</param>
/// <param name="Properties">Further properties of QEMU's vfio-user-pci device, such as "x-msg-timeout"; null for none.</param>
public sealed record VfioUserDevice(string SocketPath, string? Address = null, string? Id = null, JsonObject? Properties = null);

/// <summary>What one of the guest's serial ports is connected to.</summary>
public abstract record SerialPort
{
    private SerialPort()
    {
    }

    /// <summary>The terminal QEMU runs in, shared with QEMU's monitor: Ctrl-A X quits, Ctrl-A C switches, Ctrl-C goes to the guest.</summary>
    public sealed record Terminal : SerialPort;

    /// <summary>A Unix socket on which somebody listens already.</summary>
    public sealed record UnixSocket(string Path) : SerialPort;

    /// <summary>A file that receives what the guest writes.</summary>
    public sealed record OutputFile(string Path) : SerialPort;
}

/// <summary>A QEMU command line for a guest with our devices, as arguments to start or as a line to paste into a shell.</summary>
public sealed record QemuCommandLine
{
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Longest path of a Unix socket in bytes (sun_path of unix(7) without its terminating zero).</summary>
    public const int LongestSocketPath = 107;

    public string Executable { get; init; } = "qemu-system-x86_64";

    /// <summary>"q35" (PCI Express) or "pc" (i440FX, conventional PCI), with machine properties after commas if need be.</summary>
    public string Machine { get; init; } = "q35";

    /// <summary>An IOMMU (Intel VT-d) that the guest puts between devices and its memory; on "q35" alone.</summary>
    public bool Iommu { get; init; }

    /// <summary><see cref="Accelerator.Auto"/> is written as "kvm, else tcg", QEMU's own choice without a trial.</summary>
    public Accelerator Accelerator { get; init; } = Accelerator.Tcg;

    public int MemoryMegabytes { get; init; } = 512;

    public int Processors { get; init; } = 1;

    public string? Kernel { get; init; }

    public string? Initramfs { get; init; }

    /// <summary>The kernel command line.</summary>
    public string? Append { get; init; }

    /// <summary>Serial ports in order: ttyS0 first.</summary>
    public IReadOnlyList<SerialPort> SerialPorts { get; init; } = [];

    public IReadOnlyList<VfioUserDevice> Devices { get; init; } = [];

    /// <summary>A Unix socket on which a QMP client listens already; null for none.</summary>
    public string? QmpSocket { get; init; }

    /// <summary>Whatever else QEMU shall be told, last.</summary>
    public IReadOnlyList<string> ExtraArguments { get; init; } = [];

    /// <summary>The arguments, without the program.</summary>
    /// <exception cref="GuestException">A socket's path is too long for the system.</exception>
    public IReadOnlyList<string> ToArguments() => [.. Options().SelectMany(option => option)];

    /// <summary>The whole command as one line for a POSIX shell, or with <paramref name="multiline"/> one option a line.</summary>
    /// <exception cref="GuestException">A socket's path is too long for the system.</exception>
    public string ToShellLine(bool multiline = false) =>
        string.Join(multiline ? " \\\n    " : " ", Options().Select(option => string.Join(' ', option.Select(Quote))).Prepend(Quote(Executable)));

    /// <summary>Quotes one word for a POSIX shell, if it needs to be.</summary>
    internal static string Quote(string word) =>
        word.Length > 0 && word.All(c => char.IsAsciiLetterOrDigit(c) || "-_./,:=+@%".Contains(c, StringComparison.Ordinal))
            ? word
            : "'" + word.Replace("'", @"'\''", StringComparison.Ordinal) + "'";

    private IEnumerable<string[]> Options()
    {
        yield return ["-nodefaults"];
        yield return ["-no-user-config"];
        yield return ["-display", "none"];
        // Shared memory is what lets a device's server read and write the guest's RAM without a message for each access.
        yield return ["-object", Invariant($"memory-backend-memfd,id=ram,size={MemoryMegabytes}M,share=on")];
        yield return ["-machine", Machine + ",memory-backend=ram"];
        yield return ["-m", Invariant($"{MemoryMegabytes}M")];
        yield return ["-smp", Invariant($"{Processors}")];
        switch (Accelerator)
        {
            case Accelerator.Auto:
                yield return ["-accel", "kvm"];
                yield return ["-accel", "tcg"];
                break;
            case Accelerator.Kvm:
                yield return ["-accel", "kvm"];
                yield return ["-cpu", "host"];
                break;
            default:
                yield return ["-accel", "tcg"];
                break;
        }

        if (Kernel is not null)
        {
            yield return ["-kernel", Kernel];
        }

        if (Initramfs is not null)
        {
            yield return ["-initrd", Initramfs];
        }

        if (Append is not null)
        {
            yield return ["-append", Append];
        }

        for (int i = 0; i < SerialPorts.Count; i++)
        {
            switch (SerialPorts[i])
            {
                case SerialPort.Terminal:
                    yield return ["-serial", "mon:stdio"];
                    break;
                case SerialPort.UnixSocket socket:
                    yield return ["-chardev", Invariant($"socket,id=serial{i},path=") + Escape(Checked(socket.Path))];
                    yield return ["-serial", Invariant($"chardev:serial{i}")];
                    break;
                case SerialPort.OutputFile file:
                    yield return ["-chardev", Invariant($"file,id=serial{i},path=") + Escape(file.Path)];
                    yield return ["-serial", Invariant($"chardev:serial{i}")];
                    break;
            }
        }

        if (QmpSocket is not null)
        {
            yield return ["-chardev", "socket,id=qmp,path=" + Escape(Checked(QmpSocket))];
            yield return ["-qmp", "chardev:qmp"];
        }

        if (Iommu)
        {
            // Before the devices behind it. In caching mode the guest tells it of new mappings, which QEMU hands on to vfio-user servers.
            yield return ["-device", "intel-iommu,caching-mode=on"];
        }

        foreach (VfioUserDevice device in Devices)
        {
            yield return ["-device", ToJson(device)];
        }

        foreach (string argument in ExtraArguments)
        {
            yield return [argument];
        }
    }

    private static string ToJson(VfioUserDevice device)
    {
        // vfio-user-pci takes its socket as an object, so only QEMU's JSON form of -device can say it.
        var json = new JsonObject { ["driver"] = "vfio-user-pci" };
        if (device.Id is not null)
        {
            json["id"] = device.Id;
        }

        json["socket"] = new JsonObject { ["type"] = "unix", ["path"] = Checked(device.SocketPath) };
        if (device.Address is not null)
        {
            json["addr"] = device.Address;
        }

        foreach ((string name, JsonNode? value) in device.Properties ?? [])
        {
            json[name] = value?.DeepClone();
        }

        return json.ToJsonString(Plain);
    }

    private static string Checked(string socket) =>
        Encoding.UTF8.GetByteCount(socket) <= LongestSocketPath
            ? socket
            : throw new GuestException($"socket path '{socket}' is longer than the {LongestSocketPath} bytes a Unix socket may have; use a shorter folder");

    // In QEMU's own option syntax a comma separates, and a doubled one stands for itself.
    private static string Escape(string value) => value.Replace(",", ",,", StringComparison.Ordinal);

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
