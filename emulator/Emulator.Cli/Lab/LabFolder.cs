using System.Text;
using Emulator.VfioUser.Transport;

namespace Emulator.Cli.Lab;

/// <summary>Where a running lab's sockets are.</summary>
internal sealed class LabFolder
{
    /// <summary>The name, without ".sock", of the socket that `emulator set` talks to.</summary>
    public const string ControlName = "control";

    // sun_path of unix(7) without its terminating zero.
    private const int LongestSocketPath = 107;

    private LabFolder(string path) => Path = path;

    public string Path { get; }
    public string Control => Socket(ControlName);

    /// <summary>The folder of a lab.</summary>
    /// <exception cref="UserError">A socket's path would be longer than the system allows.</exception>
    public static LabFolder Of(LabSource source)
    {
        string path = source.Lab.Sockets is { } named ? System.IO.Path.GetFullPath(named) : System.IO.Path.Combine(PrivateRoot(), source.Name);
        var folder = new LabFolder(path);
        foreach (string name in source.Lab.Devices.Select(d => d.Name).Prepend(ControlName))
        {
            int length = Encoding.UTF8.GetByteCount(folder.Socket(name));
            if (length > LongestSocketPath)
                throw source.ErrorAt(
                    "sockets",
                    $"{folder.Socket(name)} has {length} bytes, and a socket's path at most {LongestSocketPath}; set \"sockets\" to a shorter folder");
        }
        return folder;
    }

    /// <summary>The folder a running lab uses, by its own path.</summary>
    public static LabFolder At(string path) => new(System.IO.Path.GetFullPath(path));

    /// <summary>A device's socket.</summary>
    public string Socket(string name) => System.IO.Path.Combine(Path, name + ".sock");

    private static string PrivateRoot()
    {
        string? runtime = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        if (!string.IsNullOrEmpty(runtime) && Directory.Exists(runtime)) return System.IO.Path.Combine(runtime, "emulator");
        return $"/tmp/emulator-{OwnUid()}";
    }

    // A socket pair's peer is this process.
    private static uint OwnUid()
    {
        (UnixStream local, FileDescriptor remote) = UnixStream.CreatePair();
        using (local)
        using (remote) return local.Peer.Uid;
    }
}
