using System.Text;
using DeviceModels.Robot;
using Emulator.Interrupts;
using static DeviceModels.Tests.Robot.ContosoDriver;

namespace DeviceModels.Tests.Robot;

[TestFixture, Category("Unit")]
public sealed class ContosoRobotTests
{
    private ContosoDriver _driver = null!;

    [SetUp]
    public void PlugIn() => _driver = new ContosoDriver();

    [Test]
    public void A_driver_finds_the_documented_identification()
    {
        Assert.That(_driver.Host.Config.Read32(0), Is.EqualTo(0x434f_1234));
        Assert.That(_driver.Bar.Read16(ChipId), Is.EqualTo(0x4f43));
        Assert.That(_driver.Bar.Read16(FwRev), Is.EqualTo(0x0207));
        Assert.That(_driver.Bar.Read32(ChipId), Is.EqualTo(0x0207_4f43), "a wide access is split");
        _driver.Bar.Write16(IndexAt, 0x8000 | ContosoDriver.Serial);
        byte[] serial = [.. Enumerable.Range(0, 8).SelectMany(_ => BitConverter.GetBytes(_driver.Bar.Read16(Window)))];
        Assert.That(Encoding.ASCII.GetString(serial), Is.EqualTo("CO-0000000000001"));
        Assert.That(_driver.Get(BatAdc), Is.EqualTo(1023));
    }

    [Test]
    public void The_window_reaches_every_register_and_nothing_else()
    {
        _driver.Put(LightAt, 0xf81f);
        Assert.That(_driver.Get(LightAt), Is.EqualTo(0xf81f));
        Assert.That(_driver.Robot.World!.Light, Is.EqualTo(0xff00ff));
        _driver.Put(0xff, 0xffff);
        Assert.That(_driver.Get(0xff), Is.Zero);
        Assert.That(_driver.Host.Bar(1).Read16(0x400 + (2 * LightAt)), Is.EqualTo(0xf81f), "the service window");
    }

    [Test]
    public void The_index_steps_only_when_told()
    {
        _driver.Bar.Write16(IndexAt, 0x8000 | P0);
        _driver.Bar.Write16(Window, 11);
        _driver.Bar.Write16(Window, 12);
        Assert.That(_driver.Bar.Read16(IndexAt), Is.EqualTo(0x8002));
        Assert.That((_driver.Get(P0), _driver.Get(P1), _driver.Get(P1)), Is.EqualTo(((ushort)11, (ushort)12, (ushort)12)));
    }

    [TestCase(1, 1)]
    [TestCase(100, 3)]
    [TestCase(-2001, 1999)]
    public void Moving_counts_four_ticks_a_millimetre(int ticks, int speed)
    {
        Assert.That(_driver.Run(Move, ticks, speed), Is.EqualTo(Ok));
        Assert.That(_driver.Encoders, Is.EqualTo((ticks, ticks)));
        Assert.That(_driver.Robot.World!.Position, Is.EqualTo((1000 + (ticks / 4.0), 1000.0)));
    }

    [TestCase(16384, 360, 16384)]
    [TestCase(-32768, -720, 32768)]
    public void Turning_counts_a_binary_angle(int angle, int ticks, int heading)
    {
        Assert.That(_driver.Run(Turn, angle, 500), Is.EqualTo(Ok));
        Assert.That(_driver.Encoders, Is.EqualTo((-ticks, ticks)));
        Assert.That(_driver.Get(Heading), Is.EqualTo(heading));
    }

    [Test]
    public void Encoders_are_a_picture_of_the_moment_of_the_latch()
    {
        _driver.Run(Spin, 400, 200);
        _driver.Advance(1000);
        (int left, int right) = _driver.Encoders;
        Assert.That((left, right), Is.EqualTo((400, 200)));
        _driver.Advance(1000);
        Assert.That(_driver.Get(Enc), Is.EqualTo(400), "not latched again");
        _driver.Run(Halt);
        Assert.That(_driver.Encoders, Is.EqualTo((800, 400)));
        _driver.Run(Zero);
        Assert.That(_driver.Encoders, Is.EqualTo((0, 0)));
    }

    [Test]
    public void The_gripper_picks_up_carries_and_puts_down()
    {
        var driver = new ContosoDriver(ProsewareDriver.Open with
        {
            Arena = ProsewareDriver.Open.Arena with { Objects = [new ObjectOptions(1110, 1000), new ObjectOptions(1500, 500)] },
        });
        Assert.That(driver.Run(GripTo, 1), Is.EqualTo(Ok));
        Assert.That(driver.Bar.Read16(State) & (Grip | Hold), Is.EqualTo(Grip | Hold));
        driver.Run(Move, 800, 1000);
        driver.Host.Function.Reset(Emulator.Pci.ResetKind.FunctionLevel);
        driver.Host.Config.Write16(4, 7);
        Assert.That(driver.Bar.Read16(State) & (Grip | Hold), Is.EqualTo(Grip | Hold), "a gripper has no spring");
        Assert.That(driver.Run(GripTo, 0), Is.EqualTo(Ok));
        Assert.That(driver.Bar.Read16(State) & (Grip | Hold), Is.Zero);
        Assert.That(driver.Robot.World!.Objects.ToArray(), Is.EqualTo(new[] { (1300.0, 1000.0), (1500.0, 500.0) }));
        driver.Bar.Write16(Mode, 3);
        driver.Run(Turn, 16384, 1000);
        Assert.That(driver.Run(GripTo, 1), Is.EqualTo(Ok));
        Assert.That(driver.Bar.Read16(State) & (Grip | Hold), Is.EqualTo(Grip), "nothing in reach");
    }

    [TestCase((byte)0x99, 0, 0)]
    [TestCase(Move, 10, 0)]
    [TestCase(Move, 10, 2001)]
    [TestCase(Spin, 2001, 0)]
    [TestCase(GripTo, 2, 0)]
    [TestCase(Nop, 1, 0)]
    [TestCase(Wait, 1, 1)]
    public void A_command_out_of_range_is_rejected(byte opcode, int p0, int p1)
    {
        Assert.That(_driver.Run(opcode, p0, p1), Is.EqualTo(Rejected));
        Assert.That(_driver.Bar.Read16(Cause), Is.EqualTo(Command | Fault));
        Assert.That(_driver.Bar.Read16(Error), Is.EqualTo(1 << 6));
        Assert.That(_driver.Bar.Read16(Error), Is.Zero, "reading clears");
    }

    [Test]
    public void Locked_and_busy_are_told()
    {
        _driver.Bar.Write16(Mode, 2);
        Assert.That(_driver.Run(Move, 10, 10), Is.EqualTo(Locked));
        _driver.Bar.Write16(Mode, 3);
        _driver.Send(Wait, 5);
        _driver.Send(Nop);
        Assert.That(_driver.Bar.Read16(Result), Is.EqualTo(BusyResult));
        _driver.Advance(50);
        Assert.That(_driver.Bar.Read16(Result), Is.EqualTo((Wait << 8) | Ok));
        _driver.Send(Wait, 5);
        Assert.That(_driver.Run(Halt), Is.EqualTo(Ok));
    }

    [Test]
    public void A_bumper_ends_a_move()
    {
        Assert.That(_driver.Run(Move, -20_000, 2000), Is.EqualTo(Bumped));
        Assert.That(_driver.Bar.Read16(State) & (1 << 9), Is.Not.Zero);
        Assert.That(_driver.Get(BumperNow), Is.EqualTo(4));
        Assert.That(_driver.Get(Events), Is.EqualTo(4));
        Assert.That(_driver.Get(Events), Is.Zero, "reading clears");
        Assert.That(_driver.Bar.Read16(Cause), Is.EqualTo(Command | Sensor));
        Assert.That(_driver.Run(Move, 100, 2000), Is.EqualTo(Ok));
    }

    [Test]
    public void A_stalled_motor_is_an_error()
    {
        _driver.Switch("motor", "stall-right");
        Assert.That(_driver.Run(Move, 2000, 500), Is.EqualTo(Stalled));
        Assert.That(_driver.Bar.Read16(Error), Is.EqualTo(2));
    }

    [Test]
    public void Range_finders_tell_echo_times()
    {
        Assert.That(Enumerable.Range(0, 4).Select(i => (int)_driver.Get(ContosoDriver.Range + i)), Is.EqualTo(new[] { 1920 * 6, 920 * 6, 920 * 6, 920 * 6 }));
        _driver.Put(NearLim, 1000 * 6);
        _driver.Run(Move, 4000, 2000);
        Assert.That(_driver.Get(Events), Is.EqualTo(8));
        _driver.Switch("range", "dead");
        Assert.That(_driver.Get(ContosoDriver.Range), Is.EqualTo(0xffff));
        Assert.That(_driver.Bar.Read16(Error), Is.EqualTo(1 << 5));
    }

    [Test]
    public void The_battery_interrupts_at_its_thresholds()
    {
        var driver = new ContosoDriver(ProsewareDriver.Open with { BatteryMilliwattHours = 10 });
        driver.Put(BatLow, 512);
        driver.Advance(36_100);
        Assert.That(driver.Bar.Read16(Cause), Is.EqualTo(Battery));
        Assert.That(driver.Bar.Read16(State) & (Low | Critical), Is.EqualTo(Low));
        driver.Switch("battery", "4");
        Assert.That(driver.Bar.Read16(Cause), Is.EqualTo(Battery));
        Assert.That(driver.Bar.Read16(State) & (Low | Critical), Is.EqualTo(Low | Critical));
        driver.Switch("battery", "0");
        Assert.That(driver.Bar.Read16(Cause), Is.EqualTo(Battery | Fault));
        Assert.That(driver.Run(Move, 1, 1), Is.EqualTo(NoPower));
    }

    [Test]
    public void The_watchdog_wants_its_key()
    {
        _driver.Put(Wdog, 10);
        _driver.Send(Move, 4000, 400);
        _driver.Advance(90);
        _driver.Bar.Write16(Kick, 0xa5c3);
        _driver.Advance(90);
        Assert.That(_driver.Bar.Read16(State) & Moving, Is.EqualTo(Moving));
        _driver.Bar.Write16(Kick, 0x1234);
        _driver.Advance(10);
        Assert.That(_driver.Code, Is.EqualTo(WatchdogResult));
        Assert.That(_driver.Bar.Read16(Error), Is.EqualTo(4));
    }

    [Test]
    public void Each_cause_sends_its_own_message([Values] bool extended)
    {
        if (extended) PciMessages.EnableMsiX(_driver.Host, 1, 0, 4);
        else PciMessages.EnableMsi(_driver.Host);
        InterruptKind kind = extended ? InterruptKind.MsiX : InterruptKind.Msi;
        _driver.Bar.Write16(Mask, 0xf);
        _driver.Switch("range", "dead");
        _driver.Switch("battery", "10");
        _driver.Switch("bumper", "front");
        _driver.Send(Nop);
        Assert.That(PciMessages.Vectors(_driver.Host, kind), Is.EqualTo(new[] { 0, 1, 2, 3 }));
        _driver.Send(Nop);
        Assert.That(_driver.Host.Messages, Has.Count.EqualTo(4), "the cause was not read: no new edge");
        Assert.That(_driver.Bar.Read16(Cause), Is.EqualTo(0xf));
        _driver.Send(Nop);
        Assert.That(_driver.Host.Messages, Has.Count.EqualTo(5));
    }

    [Test]
    public void Reading_the_cause_releases_the_line_and_peeking_does_not()
    {
        _driver.Bar.Write16(Mask, Command);
        _driver.Send(Nop);
        Assert.That(_driver.Host.IntxAsserted, Is.True);
        Assert.That(_driver.Robot.Peek(0, Cause, 2), Is.EqualTo(Command));
        Assert.That(_driver.Host.IntxAsserted, Is.True);
        Assert.That(_driver.Bar.Read16(Cause), Is.EqualTo(Command));
        Assert.That(_driver.Host.IntxAsserted, Is.False);
        Assert.That(_driver.Bar.Read16(Cause), Is.Zero);
        _driver.Switch("interrupt", "spurious");
        Assert.That(_driver.Host.IntxRises, Is.EqualTo(2));
        Assert.That(_driver.Bar.Read16(Cause), Is.Zero);
    }

    [Test]
    public void A_masked_cause_interrupts_when_it_is_enabled()
    {
        _driver.Send(Nop);
        Assert.That(_driver.Host.IntxAsserted, Is.False);
        _driver.Bar.Write16(Mask, Command);
        Assert.That(_driver.Host.IntxAsserted, Is.True);
    }

    [Test]
    public void A_device_that_is_gone_reads_all_ones()
    {
        Assert.That(_driver.Bar.Read16(Cause), Is.Not.EqualTo(ushort.MaxValue));
        _driver.Host.Config.Write16(4, 0);
        Assert.That(_driver.Bar.Read16(Cause), Is.EqualTo(ushort.MaxValue));
    }

    [TestCase("soft")]
    [TestCase("flr")]
    [TestCase("power")]
    public void A_reset_stops_everything_but_does_not_move_the_robot(string kind)
    {
        _driver.Bar.Write16(Mask, 0xf);
        _driver.Put(Wdog, 100);
        _driver.Send(Move, 4000, 400);
        _driver.Advance(500);
        int advanced = _driver.Host.FindCapability(0x13), power = _driver.Host.FindCapability(0x01);
        switch (kind)
        {
            case "soft": _driver.Bar.Write16(Mode, 0x8000); break;
            case "flr": _driver.Host.Config.Write8(advanced + 4, 1); break;
            default:
                _driver.Host.Config.Write16(power + 4, 3);
                _driver.Host.Config.Write16(power + 4, 0);
                break;
        }
        _driver.Host.Config.Write16(4, 7);
        Assert.That(_driver.Bar.Read16(Mode), Is.EqualTo(2));
        Assert.That(_driver.Bar.Read16(State), Is.EqualTo(1));
        Assert.That(_driver.Bar.Read16(Cause), Is.Zero);
        Assert.That(_driver.Get(Wdog), Is.Zero);
        (double x, double y) = _driver.Robot.World!.Position;
        Assert.That(x, Is.EqualTo(1050));
        _driver.Advance(2000);
        Assert.That(_driver.Robot.World.Position, Is.EqualTo((x, y)));
        Assert.That(_driver.Bar.Read16(Cause), Is.Zero);
        Assert.That(_driver.Host.IntxRises, Is.Zero);
    }
}
