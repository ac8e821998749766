using System.Text.Json;
using DeviceModels.Robot;
using DeviceModels.Robot.Firmware;
using DeviceModels.Robot.Proseware;
using DeviceModels.Robot.World;
using Emulator.Pci;
using Emulator.Time;
using static DeviceModels.Tests.Robot.ProsewareDriver;

namespace DeviceModels.Tests.Robot;

[TestFixture, Category("Unit")]
public sealed class RobotWorldTests
{
    // Of a circle, as Contoso counts.
    private const int Quarter = 0x4000;

    // The README shows these two: what the lab `demo` does, driven as its program in the guest drives it.
    [Test]
    public void A_drawing_is_the_golden_picture()
    {
        var driver = new ProsewareDriver(new RobotOptions
        {
            Arena = new ArenaOptions { Width = 1100, Height = 850, Obstacles = [new(960, 60, 80, 80)], Objects = [] },
            Start = new PoseOptions { X = 200, Y = 220 },
        });
        driver.StartRing(ring: 32, queue: 32);
        driver.Post(Pen, 1);
        foreach ((int way, int turn) in new[] { (280, 900), (280, 900), (280, -1350), (198, -900), (198, -900), (396, -1350), (280, -1350), (396, 900) })
        {
            driver.Post(ProsewareDriver.Drive, way, 500);
            driver.Post(Turn, turn, 500);
        }
        driver.Post(Pen, 0);
        driver.Post(ProsewareDriver.Drive, 500, 500);
        driver.Post(Light, 0xf5c211);
        driver.Post(Pen, 1);
        driver.Post(Velocity, 140, 500);
        driver.Post(Wait, 2000);
        driver.Post(Stop);
        driver.Post(Pen, 0);
        driver.Post(Turn, -1350, 500);
        driver.Post(ProsewareDriver.Drive, 300, 500);
        driver.Ringing();
        driver.Advance(30_000);
        AssertGolden("proseware-drawing.svg", PathSvg.Render(driver.Robot.World!));
    }

    [Test]
    public void A_tidied_arena_is_the_golden_picture()
    {
        var driver = new ContosoDriver(new RobotOptions());
        driver.Run(ContosoDriver.Light, 0x07e0);
        Carry([800], [2400], -400);
        Carry([-Quarter, 1000, Quarter, 400], [Quarter, 600], -600);
        Carry([Quarter, 2800, -Quarter, 2400], [-Quarter, 3000, -Quarter, 600], -800);
        AssertGolden("contoso-tidying.svg", PathSvg.Render(driver.Robot.World!));

        void Carry(int[] there, int[] back, int away)
        {
            Go(there);
            driver.Run(ContosoDriver.GripTo, 1);
            Go(back);
            driver.Run(ContosoDriver.GripTo, 0);
            Go([away]);
        }

        void Go(int[] moves)
        {
            foreach (int move in moves) driver.Run(Math.Abs(move) == Quarter ? ContosoDriver.Turn : ContosoDriver.Move, move, 2000);
        }
    }

    [Test]
    public void A_bumper_that_touches_something_is_red_in_the_picture()
    {
        var driver = new ProsewareDriver(new RobotOptions { Start = new PoseOptions { X = 1900 } });
        Assert.That(PathSvg.Render(driver.Robot.World!), Does.Not.Contain("#ff4d3d"));
        Assert.That(driver.Run(ProsewareDriver.Drive, 100, 500), Is.EqualTo(Blocked));
        Assert.That(PathSvg.Render(driver.Robot.World!).Split("#ff4d3d"), Has.Length.EqualTo(3), "front left and front right");
    }

    [Test]
    public void The_same_seed_gives_the_same_session_however_often_somebody_looks()
    {
        RobotOptions options = Open with { RangeNoise = 25, Seed = 7 };
        string quiet = Session(options, polls: 0), busy = Session(options, polls: 17);
        Assert.That(busy, Is.EqualTo(quiet));
        Assert.That(Session(options with { Seed = 8 }, polls: 0), Is.Not.EqualTo(quiet));
    }

    [Test]
    public void A_timer_that_runs_late_changes_nothing()
    {
        List<string> punctual = Drive(stride: 1_000_000), late = Drive(stride: 333_000_007);
        Assert.That(late, Is.EqualTo(punctual));
        Assert.That(punctual, Has.Count.GreaterThan(8));
    }

    [Test]
    public void Two_robots_share_nothing()
    {
        ProsewareDriver one = new(), other = new();
        string before = PathSvg.Render(other.Robot.World!);
        one.Switch("motor", "stall-left");
        Assert.That(one.Run(ProsewareDriver.Drive, 100, 100), Is.EqualTo(Stalled));
        one.Run(Light, 0xff);
        Assert.That(PathSvg.Render(other.Robot.World!), Is.EqualTo(before));
        Assert.That(other.Bar.Read32(Faults), Is.Zero);
        Assert.That(other.Run(ProsewareDriver.Drive, 100, 100), Is.EqualTo(Ok));
    }

    [Test]
    public void A_path_is_bounded_however_long_the_robot_drives([Values] bool drawing)
    {
        var body = new SimulatedBody(Open, RobotTool.Pen);
        for (int i = 0; i < 200_000; i++)
        {
            if (drawing) body.SetTool(i % 3 == 0);
            body.Move(new WheelTravel(900, 1700));
        }
        Assert.That(body.Path.Count, Is.InRange(RobotPath.Capacity / 4, RobotPath.Capacity));
        if (!drawing) Assert.That(body.Path.Points[0], Is.EqualTo(new PathPoint(1_000_000, 1_000_000, false)), "the start stays");
    }

    [Test]
    public void Directions_are_exact_at_right_angles_and_close_everywhere()
    {
        Assert.That(Direction.Of(0), Is.EqualTo((1.0, 0.0)));
        Assert.That(Direction.Of(360_000), Is.EqualTo((0.0, 1.0)));
        Assert.That(Direction.Of(-360_000), Is.EqualTo((0.0, -1.0)));
        Assert.That(Direction.Of(720_000), Is.EqualTo((-1.0, 0.0)));
        for (int angle = -2_000_000; angle < 2_000_000; angle += 997)
        {
            (double cosine, double sine) = Direction.Of(angle);
            Assert.That(cosine, Is.EqualTo(Math.Cos(angle * Math.Tau / Direction.Circle)).Within(1e-12));
            Assert.That(sine, Is.EqualTo(Math.Sin(angle * Math.Tau / Direction.Circle)).Within(1e-12));
        }
    }

    [Test]
    public void A_robot_never_leaves_the_arena_or_enters_a_box([Random(8)] int seed)
    {
        var random = new Random(seed);
        var options = new RobotOptions();
        var body = new SimulatedBody(options, RobotTool.Pen);
        for (int i = 0; i < 5_000; i++)
        {
            WheelTravel wanted = new(random.Next(-2500, 2501), random.Next(-2500, 2501));
            for (int j = 0; j < 20; j++)
            {
                WheelTravel done = body.Move(wanted);
                Assert.That(Math.Abs(done.Left) <= Math.Abs(wanted.Left) && Math.Abs(done.Right) <= Math.Abs(wanted.Right));
            }
            (double x, double y) = body.Position;
            Assert.That(ArenaGeometry.IsFree(options.Arena, x, y), $"seed {seed}, move {i}: {x}, {y}");
        }
    }

    [Test]
    public void Options_survive_json_and_faults_are_one_clear_line()
    {
        var options = new RobotOptions { Serial = 7, Arena = new ArenaOptions { Width = 3000, Obstacles = [new(1, 2, 3, 4)] } };
        RobotOptions? back = JsonSerializer.Deserialize<RobotOptions>(JsonSerializer.Serialize(options));
        Assert.That(JsonSerializer.Serialize(back), Is.EqualTo(JsonSerializer.Serialize(options)));
        Assert.That(new RobotOptions().FindFault(), Is.Null);
    }

    private static IEnumerable<TestCaseData> BadOptions()
    {
        yield return new TestCaseData(new RobotOptions { Arena = new ArenaOptions { Width = 10 } }, "arena: 10 x");
        yield return new TestCaseData(new RobotOptions { Arena = new ArenaOptions { Obstacles = [new(1900, 0, 200, 10)] } }, "arena: the obstacle at 1900, 0");
        yield return new TestCaseData(new RobotOptions { Arena = new ArenaOptions { Objects = [new(1, -1)] } }, "arena: the object at 1, -1");
        ObjectOptions[] many = [.. Enumerable.Repeat(new ObjectOptions(1, 1), 65)];
        yield return new TestCaseData(new RobotOptions { Arena = new ArenaOptions { Objects = many } }, "at most 64");
        yield return new TestCaseData(new RobotOptions { Start = new PoseOptions { X = 10 } }, "does not fit at 10, 750");
        yield return new TestCaseData(new RobotOptions { Start = new PoseOptions { Heading = 361 } }, "start: heading 361");
        yield return new TestCaseData(new RobotOptions { BatteryMilliwattHours = 0 }, "batteryMilliwattHours: 0");
        yield return new TestCaseData(new RobotOptions { BatteryPercent = 101 }, "batteryPercent: 101");
        yield return new TestCaseData(new RobotOptions { RangeNoise = -1 }, "rangeNoise: -1");
    }

    [TestCaseSource(nameof(BadOptions))]
    public void Bad_options_are_refused_with_the_place_and_the_remedy(RobotOptions options, string message)
        => Assert.That(() => new ProsewareRobot(new DetachedSlot(), options), Throws.ArgumentException.With.Message.Contains(message));

    private static string Session(RobotOptions options, int polls)
    {
        var driver = new ProsewareDriver(options);
        var random = new Random(polls);
        driver.Bar.Write64(TeleBase, Telemetry);
        driver.Bar.Write32(TelePeriod, 35);
        driver.StartRing();
        driver.Post(ProsewareDriver.Drive, 700, 490);
        driver.Post(Turn, 1111, 77);
        driver.Post(ProsewareDriver.Drive, -123, 45);
        driver.Ringing();
        for (int i = 0; i < 10; i++)
        {
            long left = 1_000_000_000;
            for (int j = 0; j < polls; j++)
            {
                long part = random.NextInt64(left / 4);
                driver.Host.Clock.Advance(part);
                left -= part;
                driver.Bar.Read32(4 * random.Next(0x50));
            }
            driver.Host.Clock.Advance(left);
        }
        string written = Convert.ToHexString(driver.Host.Memory.Ram[Queue..(Telemetry + 64)]);
        return written + PathSvg.Render(driver.Robot.World!) + driver.Bar.Read32(ProsewareDriver.Range);
    }

    private static List<string> Drive(long stride)
    {
        var clock = new TimerQueue();
        var panel = new LoggingPanel();
        RobotOptions options = Open with { BatteryMilliwattHours = 10 };
        var body = new SimulatedBody(options, RobotTool.Pen);
        var firmware = new RobotFirmware(clock, body, options, panel);
        panel.Firmware = firmware;
        firmware.Reset(powerOn: true, releaseTool: true, 20, 5, 100);
        firmware.MotorEnable = true;
        firmware.SetTelemetry(700_000_000);
        firmware.ScheduleFetch();
        while (clock.Now < 20_000_000_000)
        {
            clock.SetNow(Math.Min(clock.Now + stride, 20_000_000_000));
            while (clock.NextDeadline <= clock.Now) clock.RunDue();
        }
        panel.Log.Add($"{body.Position} {firmware.ReadBattery(1000)}");
        return panel.Log;
    }

    private static void AssertGolden(string name, string actual)
    {
        string golden = Path.Combine(TestContext.CurrentContext.TestDirectory, "Robot", "Golden", name);
        string expected = File.Exists(golden) ? File.ReadAllText(golden) : "";
        if (actual == expected) return;
        string written = Path.Combine(TestContext.CurrentContext.WorkDirectory, name);
        File.WriteAllText(written, actual);
        Assert.That(actual, Is.EqualTo(expected), $"The picture changed. If it is better, copy {written} over Robot/Golden/{name}.");
    }

    // Drives on at each fetch, and writes down what happens when.
    private sealed class LoggingPanel : IRobotPanel
    {
        private int _step;

        public RobotFirmware Firmware { get; set; } = null!;
        public List<string> Log { get; } = [];

        public void CommandEnded(Outcome outcome)
        {
            Note($"{outcome} {Firmware.LastTravel}");
            if (outcome == Outcome.Ok) Firmware.ScheduleFetch();
        }

        public void Fetch()
        {
            _step++;
            Outcome outcome = Firmware.Start(_step % 2 == 1 ? new RobotCommand(Verb.Drive, 333_333, 123_000) : new RobotCommand(Verb.Turn, 77_777, 99_000));
            if (outcome != Outcome.Running) CommandEnded(outcome);
        }

        public void FaultsRose(RobotFaults faults) => Note($"faults {faults}");
        public void BumpersPressed(Bumpers bumpers) => Note($"bumpers {bumpers}");
        public void CameNear() => Note("near");
        public void BatteryFell() => Note("battery");
        public void WriteTelemetry() => Note($"telemetry {Firmware.Odometer} {Firmware.ReadBattery(1000)}");
        public void WatchdogExpired() => Note("watchdog");
        private void Note(string what) => Log.Add($"{Firmware.Time} {what}");
    }
}
