namespace Emulator.Guests;

/// <summary>
/// Finds out whether KVM works here by using it. /dev/kvm may exist and be denied; and in some virtual machines it even runs a processor
/// in real mode and hangs once a kernel turns its page tables on, without an error. So only a kernel that speaks is proof.
/// </summary>
public static class KvmProbe
{
    // A kernel under KVM says its first word after a tenth of a second. A machine too busy for this limit gets TCG: slower, but right.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(4);

    /// <summary>
    /// True when this kernel starts under KVM. The answer is remembered for this user until the machine restarts
    /// (~/.cache/emulator/kvm-probe), as a hanging KVM takes some seconds to find out.
    /// </summary>
    public static async Task<bool> WorksAsync(QemuInstallation installation, LinuxGuestImage image, CancellationToken cancel = default)
    {
        if (!MayUse())
        {
            return false;
        }

        string question = string.Join('\t', BootId(), installation.Executable, installation.Version, image.Kernel);
        if (Recall(question) is bool known)
        {
            return known;
        }

        bool works = await TryAsync(installation, image, cancel);
        Remember(question, works);
        return works;
    }

    private static async Task<bool> TryAsync(QemuInstallation installation, LinuxGuestImage image, CancellationToken cancel)
    {
        using var folder = new PrivateFolder();
        using var listener = UnixListener.Open(folder.In("console"));
        var command = new QemuCommandLine
        {
            Executable = installation.Executable,
            Accelerator = Accelerator.Kvm,
            MemoryMegabytes = 256,
            Kernel = image.Kernel,
            Append = "earlyprintk=ttyS0 panic=-1",
            SerialPorts = [new SerialPort.UnixSocket(folder.In("console"))],
            ExtraArguments = ["-no-reboot"],
        };
        using QemuProcess qemu = await QemuProcess.StartAsync(command);
        try
        {
            await using var console = new GuestConsole(await UnixListener.AcceptAsync(listener, qemu, cancel));
            // Printed once memory is set up and page tables are the kernel's own.
            await console.WaitForAsync("Calibrating delay loop", Patience, cancel: cancel);
            return true;
        }
        catch (GuestException)
        {
            return false;
        }
        finally
        {
            qemu.Kill9();
            await qemu.Exited;
        }
    }

    private static bool MayUse()
    {
        try
        {
            using (new FileStream("/dev/kvm", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0))
            {
                return true;
            }
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static string BootId() => File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();

    private static string MemoryFile()
    {
        string cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } named
            ? named
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
        return Path.Combine(cache, "emulator", "kvm-probe");
    }

    private static bool? Recall(string question)
    {
        try
        {
            string[] lines = File.ReadAllLines(MemoryFile());
            return lines.Length == 2 && lines[0] == question ? lines[1] == "works" : null;
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static void Remember(string question, bool works)
    {
        try
        {
            string file = MemoryFile();
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            string unfinished = $"{file}.{Environment.ProcessId}";
            File.WriteAllLines(unfinished, [question, works ? "works" : "does not work"]);
            File.Move(unfinished, file, overwrite: true);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            // Then the next start asks again.
        }
    }
}
