using System.Diagnostics;
using Emulator.Cli;
using Emulator.Cli.Lab;
using Emulator.VfioUser.Client;
using Emulator.VfioUser.Protocol;

namespace Emulator.Tests.Cli;

/// <summary>The toy robots in a lab: their options, and the picture of their path.</summary>
[Category("Wire")]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class RobotLabTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void RemoveFolder() => _folder.Dispose();

    [TestCase("\"batteryPercent\": 101", "batteryPercent: 101; give 0 to 100")]
    [TestCase("\"rangeNoise\": -1", "rangeNoise: -1 mm; give 0 to 1000")]
    [TestCase("\"start\": { \"x\": 10 }", "start: a robot of radius 80 mm does not fit at 10, 750; move the start or the obstacle there")]
    [TestCase("\"arena\": { \"width\": 300 }", "arena: 300 x 1500 mm; give a width and height from 320 to 100000")]
    public void A_wrong_option_is_one_line_that_names_its_place(string option, string expected)
    {
        LabSource source = Lab(option, out int column);
        UserError error = Assert.Throws<UserError>(() => new RunningLab(source, new TraceChoice(null, null), _ => { }).Dispose());
        Assert.That(error.Message, Is.EqualTo($"lab.jsonc:1:{column}: devices[0].{expected}"));
        Assert.That(error.ExitCode, Is.EqualTo(2));
    }

    [Test]
    public void A_picture_that_cannot_be_written_is_said_before_the_lab_runs()
    {
        LabSource source = Lab($"\"pathSvg\": \"{_folder.Path}\"", out _);
        UserError error = Assert.Throws<UserError>(() => new RunningLab(source, new TraceChoice(null, null), _ => { }).Dispose());
        Assert.That(error.Message, Does.StartWith("lab.jsonc:1:").And.Contain("devices[0]: "));
    }

    [Test]
    public void Options_reach_the_robot_and_what_is_left_out_has_its_default()
    {
        string picture = _folder.In("pictures/path.svg");
        using var lab = new RunningLab(
            Lab($$"""
                "serial": 77, "start": { "heading": 90 }, "arena": { "obstacles": [{ "x": 5, "y": 6, "width": 70, "height": 80 }] }, "pathSvg": "{{picture}}"
                """, out _), new TraceChoice(null, null), _ => { });
        using VfioUserClient client = VfioUserClient.Connect(lab.Devices[0].Server.SocketPath, Patience);
        Assert.That(client.Read32(0, 0x00c), Is.EqualTo(77u), "SERIAL");
        Assert.That(File.ReadAllText(picture), Does.Contain("translate(400 750) rotate(-90)").And.Contain("x=\"5\" y=\"1414\" width=\"70\" height=\"80\"")
            .And.Not.Contain("x=\"1500\""), "the arena is drawn before anything moves");
    }

    [Test]
    public void The_picture_follows_the_robot_and_outlives_the_client_and_the_lab()
    {
        string picture = _folder.In("path.svg");
        using (var lab = new RunningLab(Lab($"\"pathSvg\": \"{picture}\"", out _), new TraceChoice(null, null), _ => { }))
        {
            using (VfioUserClient client = VfioUserClient.Connect(lab.Devices[0].Server.SocketPath, Patience))
            {
                client.Write32(0, 0x010, 3);   // CONTROL: MOTEN, BUMPSTOP
                client.Write32(0, 0x040, 100); // ARG0: mm
                client.Write32(0, 0x044, 500); // ARG1: mm/s
                client.Write32(0, 0x048, 1);   // COMMAND: DRIVE
                WaitFor(() => File.ReadAllText(picture).Contains("translate(500 750)"), "the picture is written while the lab runs");
            }
            WaitFor(() => !lab.Devices[0].Server.HasClient, "the client is gone, and the robot's power with it");
        }
        Assert.That(File.ReadAllText(picture), Does.Contain("translate(500 750)").And.Contain("M 400 750 L 500 750"));
        Assert.That(Directory.GetFiles(_folder.Path), Is.EqualTo(new[] { picture }), "no half-written file stays");
    }

    [Test]
    public void A_person_gets_a_picture_of_this_moment_whenever_they_ask()
    {
        string lab = LabFile(), picture = _folder.In("now/r.svg");
        using var running = new RunningLab(LabSource.Load(lab), new TraceChoice(null, null), _ => { });
        Assert.That(CommandRun.Of("set", lab, "r", "picture", picture), Is.EqualTo(new CommandRun(0, $"r picture {picture}\n", "")));
        Assert.That(File.ReadAllText(picture), Does.StartWith("<svg").And.Contain("translate(400 750)"));
        CommandRun refused = CommandRun.Of("set", lab, "r", "picture", _folder.Path);
        Assert.That(refused.Error, Does.Contain("r: cannot write the picture: "));
        Assert.That(refused.ExitCode, Is.EqualTo(2));
    }

    [Test]
    public void Without_a_terminal_the_arena_is_a_line_for_each_thing_a_robot_does()
    {
        using Process run = Start("emulator", "run", LabFile(), "--arena");
        using IDisposable limit = EndLater(run);
        try
        {
            WaitForLine(run, "ready");
            WaitForLine(run, "r: x 400, y 750 mm, heading 0.0°; idle; pen up; bumpers free; battery 100 %");
            using (VfioUserClient client = VfioUserClient.Connect(_folder.In("run/r.sock"), Patience))
            {
                client.Write32(0, 0x010, 3);     // CONTROL: MOTEN, BUMPSTOP
                client.Write32(0, 0x040, 60000); // ARG0: ms
                client.Write32(0, 0x048, 7);     // COMMAND: WAIT
                WaitForLine(run, "r: x 400, y 750 mm, heading 0.0°; wait 60000 ms; pen up; bumpers free; battery 100 %");
            }
            ForegroundProcess.Signal(run, "TERM");
            Assert.That(run.WaitForExit(Patience), Is.True);
            Assert.That(run.ExitCode, Is.Zero, run.StandardError.ReadToEnd());
        }
        finally
        {
            run.Kill();
        }
    }

    [Test]
    public void On_a_terminal_the_arena_has_a_screen_of_its_own_and_gives_it_back()
    {
        // script(1) gives the command a terminal, and types what it is sent. A shell that stayed between the two would get the Ctrl-C as well,
        // and some shells then say 130 whatever the command said.
        using Process run = Start("script", "--quiet", "--return", "--command",
            $"stty columns 100 rows 30; exec '{Path.Combine(AppContext.BaseDirectory, "emulator")}' run '{LabFile()}' --arena", "/dev/null");
        using IDisposable limit = EndLater(run);
        try
        {
            var shown = new System.Text.StringBuilder();
            ReadUntil("Ctrl-C ends it");
            Assert.That(shown.ToString(), Does.Contain("\u001b[?1049h").And.Contain("x 400, y 750 mm").And.Contain("┌──").And.Contain("ready")
                .And.Not.Contain("\u001b[?1049l"));
            run.StandardInput.Write('\u0003');
            run.StandardInput.Flush();
            shown.Clear();
            ReadUntil("the sockets are closed");
            Assert.That(shown.ToString(), Does.Contain("\u001b[?1049l"), "before anything is said");
            Assert.That(run.WaitForExit(Patience), Is.True);
            Assert.That(run.ExitCode, Is.Zero);

            void ReadUntil(string text)
            {
                while (!shown.ToString().Contains(text, StringComparison.Ordinal))
                {
                    int next = run.StandardOutput.Read();
                    if (next < 0) Assert.Fail($"It ended without '{text}': {shown}");
                    shown.Append((char)next);
                }
            }
        }
        finally
        {
            run.Kill(entireProcessTree: true);
        }
    }

    private string LabFile()
    {
        string file = _folder.In("lab.jsonc");
        File.WriteAllText(file, $$"""{ "sockets": "{{_folder.In("run")}}", "devices": [{ "name": "r", "model": "proseware-robot", "decode": "always" }] }""");
        return file;
    }

    private static Process Start(string program, params string[] arguments)
    {
        string path = program == "emulator" ? Path.Combine(AppContext.BaseDirectory, program) : program;
        ProcessStartInfo start = ForegroundProcess.Of(path, arguments);
        start.Environment["TERM"] = "xterm";
        start.Environment.Remove("NO_COLOR");
        return Process.Start(start)!;
    }

    // What it never says would be waited for without end.
    private static CancellationTokenSource EndLater(Process run)
    {
        var limit = new CancellationTokenSource(Patience);
        limit.Token.Register(() => run.Kill(entireProcessTree: true));
        return limit;
    }

    private static void WaitForLine(Process run, string expected)
    {
        while (run.StandardOutput.ReadLine() is { } line)
        {
            if (line == expected) return;
        }
        Assert.Fail($"It ended without '{expected}': {run.StandardError.ReadToEnd()}");
    }

    private LabSource Lab(string option, out int column)
    {
        string before = $$"""{ "sockets": "{{_folder.In("run")}}", "devices": [{ "name": "r", "model": "proseware-robot", "decode": "always", """;
        column = before.Length + option.IndexOf(':') + 3;
        return LabSource.Parse($"{before}{option} }}] }}", "lab.jsonc");
    }

    private static void WaitFor(Func<bool> condition, string what)
    {
        long started = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.That(Stopwatch.GetElapsedTime(started), Is.LessThan(Patience), what);
            Thread.Yield();
        }
    }
}
