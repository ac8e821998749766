using System.Net.Sockets;
using System.Text.RegularExpressions;

namespace Emulator.Guests;

/// <summary>
/// A Linux guest under QEMU with our devices, from start to end: its console, its command channel and QEMU's own QMP. QEMU and every
/// temporary file go when the session is disposed, and also when this process is killed.
/// </summary>
public sealed class GuestSession : IAsyncDisposable
{
    private readonly GuestOptions _options;
    private readonly PrivateFolder _folder;
    private QmpClient? _qmp;
    private GuestShell? _shell;

    private GuestSession(GuestOptions options, PrivateFolder folder, QemuCommandLine commandLine, QemuProcess process, GuestConsole console)
    {
        _options = options;
        _folder = folder;
        CommandLine = commandLine;
        Process = process;
        Console = console;
    }

    /// <summary>What QEMU was started with; its sockets live only as long as the session.</summary>
    public QemuCommandLine CommandLine { get; }

    public QemuProcess Process { get; }

    /// <summary>ttyS0: the kernel's messages. Ended from the start in an interactive session.</summary>
    public GuestConsole Console { get; }

    /// <summary>ttyS1: the command channel.</summary>
    public GuestShell Shell => _shell!;

    public QmpClient Qmp => _qmp!;

    /// <summary>Starts the guest and returns when it answers on its command channel and its modules are loaded.</summary>
    /// <exception cref="GuestException">
    /// QEMU or the image is missing; QEMU refused (its words are in the message); the kernel panicked, a module did not load, or the
    /// guest did not answer within <see cref="GuestOptions.BootTimeout"/> (the console's last lines are in the message).
    /// </exception>
    public static async Task<GuestSession> StartAsync(GuestOptions options, CancellationToken cancel = default)
    {
        QemuInstallation installation = options.Qemu ?? await QemuInstallation.LocateAsync(cancel);
        LinuxGuestImage image = options.Image ?? await LinuxGuestImage.LocateAsync(cancel);
        Accelerator accelerator = options.Accelerator != Accelerator.Auto ? options.Accelerator
            : await KvmProbe.WorksAsync(installation, image, cancel) ? Accelerator.Kvm : Accelerator.Tcg;

        var folder = new PrivateFolder();
        GuestSession? session = null;
        using Socket consoleListener = UnixListener.Open(folder.In("console"));
        using Socket shellListener = UnixListener.Open(folder.In("shell"));
        using Socket qmpListener = UnixListener.Open(folder.In("qmp"));
        try
        {
            var commandLine = new QemuCommandLine
            {
                Executable = installation.Executable,
                Machine = options.Machine,
                Iommu = options.Iommu,
                Accelerator = accelerator,
                MemoryMegabytes = options.MemoryMegabytes,
                Processors = options.Processors,
                Kernel = image.Kernel,
                Initramfs = await WithPayloadAsync(image.Initramfs, options.Payload, folder, cancel),
                Append = KernelCommandLine(options),
                SerialPorts =
                [
                    options.Interactive ? new SerialPort.Terminal() : new SerialPort.UnixSocket(folder.In("console")),
                    new SerialPort.UnixSocket(folder.In("shell")),
                ],
                QmpSocket = folder.In("qmp"),
                Devices = options.Devices,
                ExtraArguments = options.QemuArguments,
            };

            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            limit.CancelAfter(options.BootTimeout);
            QemuProcess process = await QemuProcess.StartAsync(commandLine, options.Interactive);
            GuestConsole? console = null;
            try
            {
                console = new GuestConsole(
                    options.Interactive ? Stream.Null : await UnixListener.AcceptAsync(consoleListener, process, limit.Token), options.OnConsoleText);
                session = new GuestSession(options, folder, commandLine, process, console);
            }
            catch
            {
                process.Kill9();
                await process.Exited;
                throw;
            }

            session._shell = new GuestShell(await UnixListener.AcceptAsync(shellListener, process, limit.Token));
            Stream qmp = await UnixListener.AcceptAsync(qmpListener, process, limit.Token);
            try
            {
                session._qmp = await QmpClient.ConnectAsync(qmp, null, limit.Token);
            }
            catch (GuestException)
            {
                throw new GuestException((await process.Exited).ToString());
            }

            await session.WaitUntilReadyAsync(0, 0, limit.Token, cancel);
            return session;
        }
        catch (Exception problem)
        {
            if (session is not null)
            {
                await session.DisposeAsync();
            }
            else
            {
                folder.Dispose();
            }

            if (problem is OperationCanceledException && !cancel.IsCancellationRequested)
            {
                throw new GuestException($"QEMU was not ready within {options.BootTimeout.TotalSeconds:0.#} s; does a device's server not answer?");
            }

            throw;
        }
    }

    /// <summary>Runs a shell command in the guest; see <see cref="GuestShell.RunAsync"/>.</summary>
    /// <param name="command">For `sh -c`.</param>
    /// <param name="timeout">Null: <see cref="GuestOptions.CommandTimeout"/>.</param>
    /// <param name="onOutput">Gets each piece of output as it comes; null for none.</param>
    /// <param name="cancel">Kills the command.</param>
    /// <exception cref="GuestException">It took too long, could not be started, or the guest restarted, ended or panicked meanwhile.</exception>
    public async Task<GuestCommandResult> RunAsync(
        string command, TimeSpan? timeout = null, Action<ReadOnlyMemory<byte>>? onOutput = null, CancellationToken cancel = default)
    {
        try
        {
            return await Shell.RunAsync(command, timeout ?? _options.CommandTimeout, onOutput, cancel);
        }
        catch (GuestException problem) when (!_options.Interactive)
        {
            string reason = Process.Exited.IsCompleted ? $"\n{await Process.Exited}" : "";
            throw new GuestException($"{problem.Message}{reason}\nThe guest's console:\n{Console.LastLines()}", problem);
        }
    }

    /// <summary>Has the guest restart itself, the machine's PCI bus reset included, and waits until it answers again.</summary>
    /// <exception cref="GuestException">It did not come back within <see cref="GuestOptions.BootTimeout"/>.</exception>
    public Task RebootAsync(CancellationToken cancel = default) =>
        RestartAsync(
            () =>
            {
                _ = SendOffAsync("reboot -f");
                return Task.CompletedTask;
            },
            cancel);

    /// <summary>Presses the machine's reset button (QMP system_reset) and waits until the guest answers again.</summary>
    /// <exception cref="GuestException">It did not come back within <see cref="GuestOptions.BootTimeout"/>.</exception>
    public Task ResetAsync(CancellationToken cancel = default) => RestartAsync(() => Qmp.ExecuteAsync("system_reset", null, cancel), cancel);

    /// <summary>Has the guest power itself off and waits until QEMU has ended.</summary>
    /// <exception cref="GuestException">QEMU still runs after <see cref="GuestOptions.CommandTimeout"/>.</exception>
    public async Task<QemuExit> PowerOffAsync(CancellationToken cancel = default)
    {
        _ = SendOffAsync("poweroff -f");
        try
        {
            return await Process.Exited.WaitAsync(_options.CommandTimeout, cancel);
        }
        catch (TimeoutException)
        {
            throw new GuestException(
                $"the guest did not power off within {_options.CommandTimeout.TotalSeconds:0.#} s; its console's last lines:\n{Console.LastLines()}");
        }
    }

    /// <summary>Kills QEMU with SIGKILL and waits until it is gone.</summary>
    public async Task<QemuExit> Kill9Async()
    {
        Process.Kill9();
        return await Process.Exited;
    }

    /// <summary>Ends QEMU, if it still runs, and removes every temporary file.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_options.Interactive && _qmp is not null && !Process.Exited.IsCompleted)
        {
            // Only QEMU itself can set our terminal right again.
            try
            {
                using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(3));
                await _qmp.ExecuteAsync("quit", null, limit.Token);
                await Process.Exited.WaitAsync(limit.Token);
            }
            catch (Exception problem) when (problem is GuestException or OperationCanceledException)
            {
            }
        }

        await Kill9Async();
        if (_qmp is not null)
        {
            await _qmp.DisposeAsync();
        }

        if (_shell is not null)
        {
            await _shell.DisposeAsync();
        }

        await Console.DisposeAsync();
        _folder.Dispose();
    }

    /// <summary>The words our init understands, for these options.</summary>
    public static string KernelCommandLine(GuestOptions options)
    {
        List<string> words = ["console=ttyS0"];
        if (options.Modules.Count > 0)
        {
            words.Add("emulator.modules=" + string.Join(',', options.Modules));
        }

        if (options.Interactive)
        {
            words.Add("emulator.shell=1");
        }

        if (options.Iommu)
        {
            words.Add("intel_iommu=on");
        }

        words.AddRange(options.KernelArguments);
        return string.Join(' ', words);
    }

    private static async Task<string> WithPayloadAsync(string initramfs, IReadOnlyList<PayloadFile> payload, PrivateFolder folder, CancellationToken cancel)
    {
        if (payload.Count == 0)
        {
            return initramfs;
        }

        string combined = folder.In("initramfs");
        await using FileStream output = File.Create(combined);
        await using (FileStream image = File.OpenRead(initramfs))
        {
            await image.CopyToAsync(output, cancel);
        }

        while (output.Position % 4 != 0)
        {
            output.WriteByte(0);
        }

        using var archive = new CpioArchive(output);
        foreach (PayloadFile file in payload)
        {
            try
            {
                await using FileStream content = File.OpenRead(file.HostPath);
                UnixFileMode mode = File.GetUnixFileMode(content.SafeFileHandle);
                const UnixFileMode All = UnixFileMode.UserRead | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
                const UnixFileMode Execute = UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
                archive.AddFile("payload/" + file.Name, content, All | UnixFileMode.UserWrite | (mode.HasFlag(UnixFileMode.UserExecute) ? Execute : 0));
            }
            catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
            {
                throw new GuestException($"cannot take {file.HostPath} into the guest: {problem.Message}", problem);
            }
        }

        return combined;
    }

    private async Task WaitUntilReadyAsync(int greetings, long position, CancellationToken limit, CancellationToken cancel)
    {
        using var done = CancellationTokenSource.CreateLinkedTokenSource(limit);
        Task greeted = Shell.WaitForGreetingAsync(greetings, done.Token);
        Task<Match> panicked = Console.WaitForAsync(new Regex("Kernel panic.*\n"), Timeout.InfiniteTimeSpan, position, done.Token);
        try
        {
            await Task.WhenAny(_options.Interactive ? [greeted] : [greeted, panicked]);
            if (panicked.IsCompletedSuccessfully)
            {
                throw new GuestException($"the guest's kernel panicked; its console's last lines:\n{Console.LastLines()}");
            }

            await greeted;
        }
        catch (GuestException) when (greeted.IsFaulted)
        {
            // Its line ends only when QEMU does.
            throw new GuestException($"{await Process.Exited}\nThe guest's console:\n{Console.LastLines()}");
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new GuestException(
                $"the guest did not answer within {_options.BootTimeout.TotalSeconds:0.#} s; its console's last lines:\n{Console.LastLines()}");
        }
        finally
        {
            await done.CancelAsync();
            await ((Task)panicked).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        GuestCommandResult failed = await RunAsync("cat /run/modules.failed", null, null, cancel);
        if (failed.OutputBytes.Length > 0)
        {
            string names = string.Join(", ", failed.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
            throw new GuestException($"the guest could not load {names}; its console's last lines:\n{Console.LastLines()}");
        }
    }

    private async Task RestartAsync(Func<Task> start, CancellationToken cancel)
    {
        int greetings = Shell.Greetings;
        long position = Console.Position;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(_options.BootTimeout);
        await start();
        await WaitUntilReadyAsync(greetings, position, limit.Token, cancel);
    }

    // The command never answers: the guest is gone before. Whoever calls waits for what must follow.
    private async Task SendOffAsync(string command) =>
        await ((Task)Shell.RunAsync("sync; " + command, _options.BootTimeout)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
}
