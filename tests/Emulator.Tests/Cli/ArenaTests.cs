using DeviceModels.Robot;
using DeviceModels.Robot.Contoso;
using DeviceModels.Robot.Firmware;
using DeviceModels.Robot.Proseware;
using DeviceModels.Robot.World;
using Emulator.Cli.Arena;
using Emulator.Pci;
using Emulator.Testing;

namespace Emulator.Tests.Cli;

/// <summary>The live arena without a terminal: a robot's state in, text out.</summary>
[Category("Unit")]
public sealed class ArenaTests
{
    private static readonly RobotOptions s_small = new()
    {
        Arena = new ArenaOptions { Width = 1000, Height = 600, Obstacles = [new(800, 400, 120, 120)], Objects = [new(700, 250)] },
        Start = new PoseOptions { X = 200, Y = 150 },
    };

    [Test]
    public void A_screen_shows_the_robots_side_by_side_with_the_last_messages()
    {
        TextGrid screen = ArenaScreen.Draw([Pen(), Gripper()], 0, 2, ["too old", "guest: up", "guest$ robotdrive", "pen: a command\a failed"], 82, 25);
        Assert.That(string.Join('\n', screen.ToLines(coloured: false)), Is.EqualTo("""
            pen  idle                                gripper  turn -90.0° at 250 mm/s
            ┌──────────────────────────────────────┐ ┌──────────────────────────────────────┐
            │                                      │ │                                      │
            │            ⢀⣀⣀⡀              ⢠⣤⣤⣤⣤   │ │                              ⢠⣤⣤⣤⣤   │
            │           ⡔⠃  ⠈⠲⡀            ⢸⣿⣿⣿⣿   │ │                              ⢸⣿⣿⣿⣿   │
            │          ⣀⡧⠖⠒→  ⡇            ⠸⠿⠿⠿⠿   │ │                              ⠸⠿⠿⠿⠿   │
            │        ⢠⠞⠁⠑⢄⣀⣀⡠⠜                     │ │                                      │
            │       ⢠⠃                             │ │                                      │
            │       ⢸                  ●           │ │                          ●           │
            │       ⢸                              │ │                    ⡔⠊⠉⠉⠓⡄            │
            │       ⠸                              │ │       ⠠⠄⠤⠠⠄⠤⠠⠄⠤⠠⠄⠤⢸⠄⠤↘  ⢸            │
            │                                      │ │                   ⠈⠢⣀  ⡠⠊            │
            │                                      │ │                      ⠉⠉              │
            │                                      │ │                                      │
            └──────────────────────────────────────┘ └──────────────────────────────────────┘
            x 372, y 422 mm, heading 0.0°            x 600, y 150 mm, heading 315.0°
            wheels 410, 770 mm at 0, 0 mm/s          wheels 445, 355 mm at 250, -250 mm/s
            battery █████████░ 87 %  ● #c2261b       battery ██████████ 100 %  ○ light off
            pen down  bumpers free                   gripper closed  bumpers free


            guest: up
            guest$ robotdrive
            pen: a command? failed
            Tab: the next robot, or all   Ctrl-C ends it
            """));
    }

    [Test]
    public void One_robot_has_the_screen_for_itself_and_the_next_follows_it()
    {
        IReadOnlyList<string> one = ArenaScreen.Draw([Pen(), Gripper()], 1, 1, [], 60, 16).ToLines(coloured: false);
        Assert.That(one[0], Is.EqualTo("gripper  turn -90.0° at 250 mm/s"));
        Assert.That(one[^1], Is.EqualTo("Tab: the next robot, or all   Ctrl-C ends it"));
        Assert.That(ArenaScreen.Draw([Pen()], 0, 1, [], 60, 16).ToLines(coloured: false)[^1], Is.EqualTo("Ctrl-C ends it"));
    }

    [TestCase(35, 40)]
    [TestCase(80, 13)]
    [TestCase(0, 0)]
    public void A_screen_too_small_for_an_arena_says_so(int columns, int rows)
    {
        IReadOnlyList<string> lines = ArenaScreen.Draw([Pen()], 0, 1, [], columns, rows).ToLines(coloured: false);
        const string Message = "The arena needs 36 columns and 14 rows.";
        Assert.That(lines[0], Is.EqualTo(Message[..Math.Clamp(columns, 1, Message.Length)]));
        Assert.That(lines, Has.Count.EqualTo(Math.Max(1, rows)));
    }

    [Test]
    public void Any_arena_fits_any_screen(
        [Values(320, 2000, 100_000)] int width, [Values(320, 7777, 100_000)] int height, [Values(36, 120)] int columns, [Values(14, 60)] int rows)
    {
        var options = new RobotOptions
        {
            Arena = new ArenaOptions
            {
                Width = width,
                Height = height,
                Obstacles = [new(width - 1, height - 1, 1, 1)],
                Objects = [new(0, 0), new(width, height)],
            },
            Start = new PoseOptions { X = 160, Y = 160 },
        };
        var scene = new RobotScene("r", new FixedRobot(new SimulatedBody(options, RobotTool.Pen), default));
        IReadOnlyList<string> lines = ArenaScreen.Draw([scene], 0, 1, [], columns, rows).ToLines(coloured: false);
        Assert.That(lines, Has.Count.EqualTo(rows).And.All.Length.LessThanOrEqualTo(columns));
        Assert.That(string.Join('\n', lines), Does.Contain("└").And.Contain("●").And.Contain("→"));
    }

    [Test]
    public void Colours_are_escape_sequences_and_stay_away_when_not_wanted()
    {
        RobotStatus bumped = default(RobotStatus) with { Bumpers = Bumpers.FrontLeft | Bumpers.Rear, BatteryPercent = 12 };
        TextGrid screen = ArenaScreen.Draw([new RobotScene("pen", new FixedRobot(Drawing(), bumped))], 0, 1, [], 60, 20);
        string coloured = string.Join('\n', screen.ToLines(coloured: true)), plain = string.Join('\n', screen.ToLines(coloured: false));
        Assert.That(plain, Does.Not.Contain("\u001b").And.Contain("battery ██░░░░░░░░ 12 %").And.Contain("BUMP front left, rear"));
        Assert.That(coloured, Does.Contain("\u001b[0;1;91mBUMP front left, rear\u001b[0m").And.Contain("\u001b[0;31m██░░░░░░░░\u001b[0m")
            .And.Contain("\u001b[0;38;2;194;38;27m●\u001b[0m"));
    }

    private static readonly TestCaseData[] s_commands =
    [
        new TestCaseData(null, RobotTool.Pen, "idle"),
        new TestCaseData(new RobotCommand(Verb.Drive, -120_000, 300_000), RobotTool.Pen, "drive -120 mm at 300 mm/s"),
        new TestCaseData(new RobotCommand(Verb.Turn, 22_500, 90_000), RobotTool.Pen, "turn 22.5° at 90 mm/s"),
        new TestCaseData(new RobotCommand(Verb.Tool, 1), RobotTool.Pen, "lower pen"),
        new TestCaseData(new RobotCommand(Verb.Tool, 0), RobotTool.Gripper, "open gripper"),
        new TestCaseData(new RobotCommand(Verb.Wait, 250), RobotTool.Gripper, "wait 250 ms"),
    ];

    [TestCaseSource(nameof(s_commands))]
    public void A_command_is_said_with_its_arguments(RobotCommand? command, RobotTool tool, string expected)
    {
        var robot = new FixedRobot(new SimulatedBody(s_small, tool), default(RobotStatus) with { Command = command });
        Assert.That(RobotText.Command(new RobotScene("r", robot)), Is.EqualTo(expected));
    }

    [Test]
    public void A_scene_shows_its_own_moment_until_it_looks_again()
    {
        SimulatedBody world = Drawing();
        var robot = new FixedRobot(world, default);
        var scene = new RobotScene("r", robot);
        string before = PathSvg.Render(scene.World);
        for (int i = 0; i < 20; i++) world.Move(new WheelTravel(-2000, -2000));
        world.SetLight(0xff);
        Assert.That(PathSvg.Render(scene.World), Is.EqualTo(before));
        scene.Take(robot);
        Assert.That(PathSvg.Render(scene.World), Is.EqualTo(PathSvg.Render(world)).And.Not.EqualTo(before));
    }

    [Test]
    public void Looking_again_allocates_nothing([Values] RobotTool tool)
    {
        var host = new FakePciHost();
        PciFunction function = tool == RobotTool.Pen ? new ProsewareRobot(host.Slot) : new ContosoRobot(host.Slot);
        host.Plug(function);
        var robot = (IToyRobot)function;
        var scene = new RobotScene("r", robot);
        Assert.That(Allocations.BytesOf(() =>
        {
            for (int i = 0; i < 1000; i++) scene.Take(robot);
        }), Is.Zero);
    }

    [Test]
    public void A_terminal_gets_the_lines_that_changed_and_its_own_screen_back()
    {
        using var terminal = new StringWriter();
        var screen = new ScreenWriter(terminal);
        Assert.That(Taken(), Is.EqualTo("\u001b[?1049h\u001b[?25l\u001b[?7l"));
        screen.Show(["one", "two"], 80);
        Assert.That(Taken(), Is.EqualTo("\u001b[2J\u001b[1;1H\u001b[Kone\u001b[2;1H\u001b[Ktwo"));
        screen.Show(["one", "two"], 80);
        Assert.That(Taken(), Is.Empty);
        screen.Show(["one", "2"], 80);
        Assert.That(Taken(), Is.EqualTo("\u001b[2;1H\u001b[K2"));
        screen.Show(["one", "2"], 79);
        Assert.That(Taken(), Does.StartWith("\u001b[2J"), "the terminal has another size");
        screen.DrawAnew();
        screen.Show(["one", "2"], 79);
        Assert.That(Taken(), Does.StartWith("\u001b[2J"), "somebody wrote on it");
        screen.Dispose();
        screen.Show(["too late", "2"], 79);
        screen.Dispose();
        Assert.That(Taken(), Is.EqualTo("\u001b[0m\u001b[?7h\u001b[?25h\u001b[?1049l"));

        string Taken()
        {
            string text = terminal.ToString();
            terminal.GetStringBuilder().Clear();
            return text;
        }
    }

    [Test]
    public void Messages_are_kept_while_the_arena_is_shown_and_said_when_it_is_gone()
    {
        using StringWriter error = new() { NewLine = "\n" };
        using var log = new MessageLog();
        for (int i = 0; i < 1001; i++) log.WriteLine($"line {i}");
        log.Write("half");
        Assert.That(log.Lines(), Has.Count.EqualTo(1000).And.None.EqualTo("line 0"), "the oldest goes");
        log.PassTo(error);
        log.Write(" a line\n");
        Assert.That(error.ToString(), Does.StartWith("line 1\n").And.EndsWith("line 1000\nhalf a line\n"));
    }

    [TestCase("--arena shows robots, and", "run", "parallel-port", "--arena")]
    [TestCase("--arena shows robots, and", "boot", "parallel-port", "--arena")]
    [TestCase("--arena and a live trace want the same terminal", "run", "robots", "--arena", "--live")]
    [TestCase("--arena is for people", "run", "robots", "--arena", "--format", "json")]
    public void What_cannot_be_shown_is_refused(string message, params string[] args)
    {
        CommandRun run = CommandRun.Of(args);
        Assert.That(run.Error, Does.Contain(message));
        Assert.That(run.ExitCode, Is.EqualTo(2));
    }

    private static RobotScene Pen() => new("pen", new FixedRobot(Drawing(),
        new RobotStatus(null, new WheelTravel(410_000, 770_000), 0, 0, Bumpers.None, 87)));

    private static RobotScene Gripper()
    {
        var world = new SimulatedBody(s_small, RobotTool.Gripper);
        for (int i = 0; i < 160; i++) world.Move(new WheelTravel(2500, 2500));
        world.SetTool(true);
        for (int i = 0; i < 18; i++) world.Move(new WheelTravel(2500, -2500));
        return new("gripper", new FixedRobot(world,
            new RobotStatus(new RobotCommand(Verb.Turn, -90_000, 250_000), new WheelTravel(445_000, 355_000), 250_000, -250_000, Bumpers.None, 100)));
    }

    // Up the left side without the pen, then a quarter circle with it.
    private static SimulatedBody Drawing()
    {
        var world = new SimulatedBody(s_small, RobotTool.Pen);
        for (int i = 0; i < 36; i++) world.Move(new WheelTravel(-2500, 2500));
        for (int i = 0; i < 40; i++) world.Move(new WheelTravel(2500, 2500));
        world.SetTool(true);
        for (int i = 0; i < 180; i++) world.Move(new WheelTravel(2000, 1000));
        world.SetLight(0xc2261b);
        return world;
    }

    private sealed class FixedRobot(SimulatedBody world, RobotStatus status) : IToyRobot
    {
        public SimulatedBody? World => world;
        public RobotStatus Status => status;
    }
}
