using System.Runtime.InteropServices;
using DeviceModels.Robot;
using Emulator.Cli.Commands;
using Emulator.Cli.Lab;

namespace Emulator.Cli.Arena;

/// <summary>
/// Follows the robots of a running lab on a thread of its own: ten times a second on a terminal, where it changes what has changed; elsewhere a
/// line a second for each robot that did something. It looks at a robot by mail to the device's thread, which copies what is shown.
/// </summary>
internal sealed class ArenaView : IDisposable
{
    private static readonly TimeSpan FrameTime = TimeSpan.FromMilliseconds(100), LineTime = TimeSpan.FromSeconds(1);

    private readonly List<(ServedDevice Device, RobotScene Scene)> _robots = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly MessageLog? _log;
    private readonly TextWriter _output, _error;
    private readonly Thread _thread;
    private int _selected = -1;

    /// <summary>Begins to show the robots, of which there is one at least: <see cref="Require"/>.</summary>
    /// <param name="log">What to show below the arena, and to pass to <paramref name="error"/> in the end; null where there is no terminal.</param>
    /// <param name="output">The terminal, or where the lines go.</param>
    public ArenaView(RunningLab lab, MessageLog? log, TextWriter output, TextWriter error)
    {
        (_log, _output, _error) = (log, output, error);
        foreach (ServedDevice device in lab.Devices)
        {
            if (device.Server.Function is not IToyRobot { World: not null } robot) continue;
            device.Server.Invoke(() => _robots.Add((device, new RobotScene(device.Name, robot))));
        }
        _thread = new Thread(log is null ? WriteLines : ShowScreen) { IsBackground = true, Name = "arena" };
        _thread.Start();
    }

    /// <summary>Refuses what cannot be shown.</summary>
    /// <param name="live">Whether every access shall be printed too.</param>
    /// <exception cref="UserError">The lab has no robot, or something else wants the same output.</exception>
    public static void Require(LabSource source, bool live, OutputFormat format = OutputFormat.Text)
    {
        if (!source.Lab.Devices.OfType<RobotLabDevice>().Any())
            throw new UserError($"--arena shows robots, and {source.Path} has none; the lab \"robots\" has two");
        if (live) throw new UserError("--arena and a live trace want the same terminal; record the trace with --trace FILE instead");
        if (format != OutputFormat.Text) throw new UserError("--arena is for people; leave out --format");
    }

    /// <summary>The messages to keep while the arena has the terminal, or null where standard output is none that has a screen.</summary>
    public static MessageLog? LogForTerminal()
        => Console.IsOutputRedirected || Environment.GetEnvironmentVariable("TERM") == "dumb" ? null : new MessageLog();

    public void Dispose()
    {
        _stop.Cancel();
        _thread.Join();
        _stop.Dispose();
        _log?.PassTo(_error);
    }

    private void ShowScreen()
    {
        using var screen = new ScreenWriter(_output);
        // A crash elsewhere ends the process without this thread: the terminal must be itself again before it is told of.
        void OnCrash(object? sender, UnhandledExceptionEventArgs e) => screen.Dispose();
        AppDomain.CurrentDomain.UnhandledException += OnCrash;
        // A second signal ends the process at once, so the terminal is given back at the first.
        PosixSignalRegistration[] endings =
            [.. new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP }.Select(s => PosixSignalRegistration.Create(s, _ => screen.Dispose()))];
        // After Ctrl-Z and fg the shell has written on the screen.
        using PosixSignalRegistration? resumed = OperatingSystem.IsLinux() ? PosixSignalRegistration.Create(PosixSignal.SIGCONT, _ => screen.DrawAnew()) : null;
        try
        {
            do
            {
                ReadKeys();
                if (!TryLook()) return;
                (int columns, int rows) = (Console.WindowWidth, Console.WindowHeight);
                bool all = _selected < 0 && ArenaScreen.RoomFor(columns) > 1;
                TextGrid grid = ArenaScreen.Draw(
                    [.. _robots.Select(r => r.Scene)], Math.Max(0, _selected), all ? _robots.Count : 1, _log!.Lines(), columns, rows);
                screen.Show(grid.ToLines(TerminalTraceWriter.WantsColour), columns);
            }
            while (!_stop.Token.WaitHandle.WaitOne(FrameTime));
        }
        finally
        {
            AppDomain.CurrentDomain.UnhandledException -= OnCrash;
            foreach (PosixSignalRegistration ending in endings) ending.Dispose();
        }
    }

    private void WriteLines()
    {
        string[] written = new string[_robots.Count];
        do
        {
            if (!TryLook()) return;
            for (int i = 0; i < written.Length; i++)
            {
                string line = RobotText.Line(_robots[i].Scene);
                if (line == written[i]) continue;
                written[i] = line;
                _output.WriteLine(line);
            }
            _output.Flush();
        }
        while (!_stop.Token.WaitHandle.WaitOne(LineTime));
    }

    // False when the lab has ended.
    private bool TryLook()
    {
        try
        {
            foreach ((ServedDevice device, RobotScene scene) in _robots) device.Server.Invoke(() => scene.Take((IToyRobot)device.Server.Function));
            return true;
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }

    // Tab goes through the robots, and after the last to all of them where there is room.
    private void ReadKeys()
    {
        while (!Console.IsInputRedirected && Console.KeyAvailable)
        {
            if (Console.ReadKey(intercept: true).Key != ConsoleKey.Tab) continue;
            int none = ArenaScreen.RoomFor(Console.WindowWidth) > 1 ? -1 : 0;
            _selected = _selected + 1 >= _robots.Count ? none : _selected + 1;
        }
    }
}
