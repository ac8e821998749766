using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Emulator.Guests;

/// <summary>A QEMU for x86-64 guests that can host our devices: version 10.1 or later, with the vfio-user-pci device.</summary>
public sealed partial record QemuInstallation
{
    private const string Remedy = "install QEMU >= 10.1, or set QEMU=/path/to/qemu-system-x86_64, or run qemu-config/provision-qemu.sh in a checkout";

    private QemuInstallation(string executable, Version version)
    {
        Executable = executable;
        Version = version;
    }

    /// <summary>The program to start; may be a wrapper script that starts QEMU in its place.</summary>
    public string Executable { get; }

    public Version Version { get; }

    /// <summary>Finds QEMU without fetching anything: $QEMU, then the PATH, then what provision-qemu.sh left in the cache.</summary>
    /// <exception cref="GuestException">There is none that serves; the message names the remedy.</exception>
    public static async Task<QemuInstallation> LocateAsync(CancellationToken cancel = default)
    {
        string? script = QemuConfigScripts.Find("provision-qemu.sh");
        return script is not null
            ? await OpenAsync(await QemuConfigScripts.RunAsync(script, ["--print"], null, cancel), cancel)
            : await OpenAsync(Environment.GetEnvironmentVariable("QEMU") is { Length: > 0 } named ? named : "qemu-system-x86_64", cancel);
    }

    /// <summary>As <see cref="LocateAsync"/>, but has provision-qemu.sh fetch QEMU when there is none. Progress comes as short lines.</summary>
    /// <exception cref="GuestException">There is none and it could not be fetched.</exception>
    public static async Task<QemuInstallation> EnsureAsync(Action<string>? progress = null, CancellationToken cancel = default)
    {
        string? script = QemuConfigScripts.Find("provision-qemu.sh");
        return script is not null ? await OpenAsync(await QemuConfigScripts.RunAsync(script, [], progress, cancel), cancel) : await LocateAsync(cancel);
    }

    /// <summary>Uses this program, a path or a name to look up in the PATH, after asking for its version.</summary>
    /// <exception cref="GuestException">It does not start, is no QEMU, or is too old.</exception>
    public static async Task<QemuInstallation> OpenAsync(string executable, CancellationToken cancel = default)
    {
        string output;
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(executable, ["--version"]) { RedirectStandardOutput = true })!;
            output = await process.StandardOutput.ReadToEndAsync(cancel);
            await process.WaitForExitAsync(cancel);
        }
        catch (System.ComponentModel.Win32Exception problem)
        {
            throw new GuestException($"cannot start {executable}: {problem.Message}; {Remedy}", problem);
        }

        Match match = VersionLine().Match(output);
        if (!match.Success)
        {
            throw new GuestException($"{executable} is no QEMU; {Remedy}");
        }

        var version = Version.Parse(match.Groups[1].Value);
        return version >= new Version(10, 1)
            ? new QemuInstallation(executable, version)
            : throw new GuestException($"{executable} is QEMU {version}, and vfio-user-pci needs 10.1; {Remedy}");
    }

    [GeneratedRegex(@"^QEMU emulator version (\d+\.\d+(?:\.\d+)?)")]
    private static partial Regex VersionLine();
}
