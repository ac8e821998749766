using System.Diagnostics;
using System.Globalization;

namespace Emulator.Guests;

/// <summary>How a QEMU process ended.</summary>
/// <param name="ExitCode">Its exit code, or 128 + the number of the signal that ended it.</param>
/// <param name="Messages">The last lines it wrote to standard error (and standard output, unless it shared our terminal).</param>
public sealed record QemuExit(int ExitCode, IReadOnlyList<string> Messages)
{
    /// <summary>One sentence, with QEMU's last words under it when it failed.</summary>
    public override string ToString()
    {
        string how = ExitCode switch
        {
            0 => "QEMU ended normally",
            > 128 and < 193 => string.Create(CultureInfo.InvariantCulture, $"QEMU was ended by signal {ExitCode - 128}"),
            _ => string.Create(CultureInfo.InvariantCulture, $"QEMU ended with exit code {ExitCode}"),
        };
        return ExitCode == 0 || Messages.Count == 0 ? how : how + ":\n" + string.Join('\n', Messages.Select(line => "  " + line));
    }
}

/// <summary>
/// A running QEMU. It dies with this process, however that ends: it asks the kernel to be killed when its parent goes
/// (PR_SET_PDEATHSIG, set by util-linux's setpriv before QEMU takes its place).
/// </summary>
public sealed class QemuProcess : IDisposable
{
    private const int KeptLines = 20;

    private readonly Process _process;
    private readonly Queue<string> _messages = new();
    private readonly TaskCompletionSource<QemuExit> _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private QemuProcess(Process process)
    {
        _process = process;
        Id = process.Id;
    }

    /// <summary>The process id; the same one from start to end.</summary>
    public int Id { get; }

    /// <summary>Completes when QEMU has ended, for whatever reason; never fails.</summary>
    public Task<QemuExit> Exited => _exited.Task;

    /// <summary>Starts QEMU.</summary>
    /// <param name="command">What to start.</param>
    /// <param name="useTerminal">QEMU shares our standard input and output. Otherwise it has no terminal, so Ctrl-C reaches only us.</param>
    /// <exception cref="GuestException">It cannot be started. What it says itself comes through <see cref="Exited"/>.</exception>
    public static async Task<QemuProcess> StartAsync(QemuCommandLine command, bool useTerminal = false)
    {
        string[] words = [command.Executable, .. command.ToArguments()];
        string[] guarded = [.. Guard(Environment.ProcessId, ownSession: !useTerminal), .. words];
        var start = new ProcessStartInfo(guarded[0], guarded[1..])
        {
            RedirectStandardError = true,
            RedirectStandardInput = !useTerminal,
            RedirectStandardOutput = !useTerminal,
        };
        var started = new TaskCompletionSource<QemuProcess>(TaskCreationOptions.RunContinuationsAsynchronously);
        // The kernel's "parent" is the thread that starts the child: one of the pool may end at any time, and QEMU with it. So a thread of
        // its own starts QEMU and lives until it is gone.
        new Thread(() => Supervise(start, started)) { IsBackground = true, Name = "QEMU" }.Start();
        return await started.Task;
    }

    /// <summary>Sends SIGKILL; QEMU gets no chance to do anything more.</summary>
    public void Kill9()
    {
        try
        {
            _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It has ended already.
        }
    }

    /// <summary>Kills QEMU if it still runs.</summary>
    public void Dispose() => Kill9();

    /// <summary>The words to put before a command so that it dies with process <paramref name="parent"/>, which is to start it.</summary>
    internal static string[] Guard(int parent, bool ownSession) =>
    [
        .. ownSession ? ["setsid"] : Array.Empty<string>(),
        "setpriv", "--pdeathsig", "KILL",
        // Had the parent died before setpriv asked for the signal, none would come: then it is no longer our parent.
        "sh", "-c", "[ \"$PPID\" = \"$0\" ] && exec \"$@\"", parent.ToString(CultureInfo.InvariantCulture),
    ];

    private static void Supervise(ProcessStartInfo start, TaskCompletionSource<QemuProcess> started)
    {
        QemuProcess qemu;
        try
        {
            qemu = new QemuProcess(Process.Start(start)!);
        }
        catch (System.ComponentModel.Win32Exception problem)
        {
            started.SetException(new GuestException($"cannot start {start.FileName}: {problem.Message}; install util-linux", problem));
            return;
        }

        using Process process = qemu._process;
        process.ErrorDataReceived += (_, line) => qemu.Keep(line.Data);
        process.BeginErrorReadLine();
        if (start.RedirectStandardOutput)
        {
            process.StandardInput.Close();
            process.OutputDataReceived += (_, line) => qemu.Keep(line.Data);
            process.BeginOutputReadLine();
        }

        started.SetResult(qemu);
        // Also waits for the ends of the redirected streams, so that no last word is lost.
        process.WaitForExit();
        lock (qemu._messages)
        {
            qemu._exited.SetResult(new QemuExit(process.ExitCode, [.. qemu._messages]));
        }
    }

    private void Keep(string? line)
    {
        if (string.IsNullOrWhiteSpace(line))
        {
            return;
        }

        lock (_messages)
        {
            _messages.Enqueue(line);
            if (_messages.Count > KeptLines)
            {
                _messages.Dequeue();
            }
        }
    }
}
