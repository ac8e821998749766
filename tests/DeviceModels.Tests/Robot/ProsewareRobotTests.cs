using DeviceModels.Robot;
using Emulator.Interrupts;
using static DeviceModels.Tests.Robot.ProsewareDriver;

namespace DeviceModels.Tests.Robot;

[TestFixture, Category("Unit")]
public sealed class ProsewareRobotTests
{
    private ProsewareDriver _driver = null!;

    [SetUp]
    public void PlugIn() => _driver = new ProsewareDriver();

    [Test]
    public void A_driver_finds_the_documented_identification()
    {
        Assert.That(_driver.Host.Config.Read32(0), Is.EqualTo(0x5057_1234));
        Assert.That(_driver.Bar.Read32(Id), Is.EqualTo(0x42525750));
        Assert.That(_driver.Bar.Read32(ProsewareDriver.Version), Is.EqualTo(0x0301_0039));
        Assert.That(_driver.Bar.Read32(Caps) & 1, Is.EqualTo(1), "a pen");
        Assert.That(_driver.Bar.Read32(SerialNumber), Is.EqualTo(1));
        Assert.That(_driver.Bar.Read32(Battery), Is.EqualTo(100 | (8400 << 16)));
    }

    [TestCase(1, 1)]
    [TestCase(250, 7)]
    [TestCase(499, 333)]
    [TestCase(-300, 500)]
    public void Driving_moves_the_robot_exactly_as_far_as_the_odometers_say(int distance, int speed)
    {
        Assert.That(_driver.Run(Drive, distance, speed), Is.EqualTo(Ok));
        Assert.That(_driver.Value, Is.EqualTo(distance));
        Assert.That((int)_driver.Bar.Read32(OdoL), Is.EqualTo(distance));
        Assert.That((int)_driver.Bar.Read32(OdoR), Is.EqualTo(distance));
        Assert.That(_driver.Robot.World!.Position, Is.EqualTo((1000.0 + distance, 1000.0)));
    }

    [Test]
    public void A_drive_takes_the_time_that_its_speed_says()
    {
        _driver.Send(Drive, 500, 100);
        _driver.Advance(4995);
        Assert.That(_driver.Bar.Read32(Status) & (Busy | Moving), Is.EqualTo(Busy | Moving));
        Assert.That(_driver.Bar.Read32(Speed), Is.EqualTo(100 | (100 << 16)));
        _driver.Advance(5);
        Assert.That(_driver.Bar.Read32(Status) & (Busy | Moving), Is.Zero);
        Assert.That(_driver.Bar.Read32(Speed), Is.Zero);
    }

    [TestCase(900, 900u, 90)]
    [TestCase(-900, 2700u, -90)]
    [TestCase(36000, 0u, 3600)]
    [TestCase(1, 1u, 0)]
    public void Turning_moves_the_wheels_a_millimetre_a_degree(int tenths, uint heading, int right)
    {
        Assert.That(_driver.Run(Turn, tenths, 300), Is.EqualTo(Ok));
        Assert.That(_driver.Value, Is.EqualTo(tenths));
        Assert.That(_driver.Bar.Read32(Heading), Is.EqualTo(heading));
        Assert.That((int)_driver.Bar.Read32(OdoR), Is.EqualTo(right));
        Assert.That((int)_driver.Bar.Read32(OdoL), Is.EqualTo(-right));
        Assert.That(_driver.Robot.World!.Position, Is.EqualTo((1000.0, 1000.0)));
    }

    [Test]
    public void A_square_ends_where_it_began()
    {
        for (int i = 0; i < 4; i++)
        {
            Assert.That(_driver.Run(Drive, 400, 333), Is.EqualTo(Ok));
            Assert.That(_driver.Run(Turn, 900, 200), Is.EqualTo(Ok));
        }
        Assert.That(_driver.Robot.World!.Position, Is.EqualTo((1000.0, 1000.0)));
        Assert.That(_driver.Bar.Read32(Heading), Is.Zero);
    }

    [Test]
    public void Velocity_ends_at_once_and_runs_until_stopped()
    {
        Assert.That(_driver.Run(Velocity, 100, -100), Is.EqualTo(Ok));
        _driver.Advance(1000);
        Assert.That(_driver.Bar.Read32(Status) & (Busy | Moving), Is.EqualTo(Moving));
        Assert.That(_driver.Run(Stop), Is.EqualTo(Ok));
        Assert.That(_driver.Bar.Read32(Status) & Moving, Is.Zero);
        Assert.That((int)_driver.Bar.Read32(OdoL), Is.EqualTo(100));
        Assert.That((int)_driver.Bar.Read32(OdoR), Is.EqualTo(-100));
        Assert.That(_driver.Run(Zero), Is.EqualTo(Ok));
        Assert.That(_driver.Bar.Read32(OdoL), Is.Zero);
    }

    [Test]
    public void The_pen_takes_its_time_and_draws()
    {
        _driver.Send(Pen, 1);
        _driver.Advance(199);
        Assert.That(_driver.Bar.Read32(Status) & Busy, Is.EqualTo(Busy));
        _driver.Advance(1);
        Assert.That(_driver.Bar.Read32(Status) & (Busy | PenDown), Is.EqualTo(PenDown));
        _driver.Run(Drive, 100, 100);
        _driver.Run(Pen, 0);
        _driver.Run(Drive, 100, 100);
        Assert.That(_driver.Robot.World!.Path.Points.ToArray().Select(p => p.AtWork), Is.EqualTo(new[] { false, true, false }));
    }

    [Test]
    public void The_light_can_be_a_command_or_a_register()
    {
        Assert.That(_driver.Run(Light, 0x123456), Is.EqualTo(Ok));
        Assert.That(_driver.Robot.World!.Light, Is.EqualTo(0x123456));
        _driver.Bar.Write32(Led, 0xff_abcdef);
        Assert.That(_driver.Robot.World!.Light, Is.EqualTo(0xabcdef));
        Assert.That(_driver.Bar.Read32(Led), Is.EqualTo(0xabcdef));
    }

    [Test]
    public void A_result_carries_the_tag_and_the_opcode()
    {
        _driver.Send(Wait, 10, 0, tag: 0xbeef);
        _driver.Advance(10);
        Assert.That(_driver.Bar.Read32(Result), Is.EqualTo(0xbeef_0700 | Ok));
    }

    [TestCase(99u, 0, 0)]
    [TestCase(Drive, 10, 0)]
    [TestCase(Drive, 10001, 100)]
    [TestCase(Drive, int.MinValue, 100)]
    [TestCase(Drive, 10, 501)]
    [TestCase(Velocity, int.MinValue, 0)]
    [TestCase(Pen, 2, 0)]
    [TestCase(Wait, -1, 0)]
    [TestCase(Nop, 0, 1)]
    public void A_command_out_of_range_is_invalid_and_a_fault(uint opcode, int a, int b)
    {
        Assert.That(_driver.Run(opcode, a, b), Is.EqualTo(Invalid));
        Assert.That(_driver.Bar.Read32(Faults), Is.EqualTo(1 << 6));
        Assert.That(_driver.Bar.Read32(IntSts), Is.EqualTo(Done | FaultCause));
        Assert.That(_driver.Bar.Read32(Status) & (Busy | Moving | Fault), Is.EqualTo(Fault));
    }

    [Test]
    public void A_second_command_is_busy_and_the_first_goes_on()
    {
        _driver.Send(Drive, 100, 100, tag: 1);
        _driver.Send(Drive, 100, 100, tag: 2);
        Assert.That(_driver.Bar.Read32(Result), Is.EqualTo(0x0002_0100 | BusyResult));
        _driver.Advance(1000);
        Assert.That(_driver.Bar.Read32(Result), Is.EqualTo(0x0001_0100 | Ok));
        Assert.That((int)_driver.Bar.Read32(OdoL), Is.EqualTo(100));
    }

    [Test]
    public void Motors_that_are_not_enabled_do_not_move()
    {
        _driver.Bar.Write32(Control, 2);
        Assert.That(_driver.Run(Drive, 100, 100), Is.EqualTo(Disabled));
        _driver.Bar.Write32(Control, 3);
        _driver.Send(Drive, 100, 100);
        _driver.Advance(500);
        _driver.Bar.Write32(Control, 2);
        Assert.That(_driver.Code, Is.EqualTo(Aborted));
        Assert.That(_driver.Value, Is.EqualTo(50));
    }

    [Test]
    public void A_bumper_stops_the_robot_at_the_wall_and_it_can_back_off()
    {
        Assert.That(_driver.Run(Drive, 5000, 500), Is.EqualTo(Blocked));
        Assert.That(_driver.Value, Is.InRange(1919, 1920), "the rim is 1920 mm from the wall, and the bumper 1 mm before it");
        Assert.That(_driver.Bar.Read32(BumpersNow), Is.EqualTo(3));
        Assert.That(_driver.Bar.Read32(SensEvt), Is.EqualTo(3));
        Assert.That(_driver.Bar.Read32(IntSts) & Sensor, Is.EqualTo(Sensor));
        Assert.That(_driver.Run(Drive, 10, 100), Is.EqualTo(Blocked), "still there");
        Assert.That(_driver.Run(Drive, -100, 100), Is.EqualTo(Ok));
        Assert.That(_driver.Bar.Read32(BumpersNow), Is.Zero);
        Assert.That(_driver.Bar.Read32(SensEvt), Is.EqualTo(3), "an event stays until it is cleared");
        _driver.Bar.Write32(SensEvt, 3);
        Assert.That(_driver.Bar.Read32(SensEvt), Is.Zero);
    }

    [Test]
    public void Without_bumper_stop_a_wall_stalls_both_wheels()
    {
        _driver.Bar.Write32(Control, 1);
        Assert.That(_driver.Run(Drive, 5000, 500), Is.EqualTo(Stalled));
        Assert.That(_driver.Bar.Read32(Faults), Is.EqualTo(3));
    }

    [Test]
    public void Range_finders_see_walls_and_boxes()
    {
        var driver = new ProsewareDriver(Open with
        {
            Arena = Open.Arena with { Obstacles = [new ObstacleOptions(1500, 900, 100, 200)] },
        });
        Assert.That(driver.Bar.Read32(ProsewareDriver.Range), Is.EqualTo(0x8000_0000 | 420));
        Assert.That(driver.Bar.Read32(ProsewareDriver.Range + 4), Is.EqualTo(0x8000_0000 | 920), "left");
        Assert.That(driver.Bar.Read32(ProsewareDriver.Range + 8), Is.EqualTo(0x8000_0000 | 920), "right");
        driver.Switch("range", "dead");
        Assert.That(driver.Bar.Read32(ProsewareDriver.Range), Is.Zero);
        Assert.That(driver.Bar.Read32(Faults), Is.EqualTo(1 << 5));
    }

    [Test]
    public void A_range_beyond_two_metres_has_no_echo()
    {
        var driver = new ProsewareDriver(Open with { Arena = Open.Arena with { Width = 9000 } });
        Assert.That(driver.Bar.Read32(ProsewareDriver.Range), Is.EqualTo(0xc000_0000 | 2000));
    }

    [Test]
    public void Coming_near_raises_one_sensor_event()
    {
        _driver.Bar.Write32(NearLimit, 1000);
        Assert.That(_driver.Bar.Read32(SensEvt), Is.Zero);
        _driver.Run(Drive, 1000, 500);
        Assert.That(_driver.Bar.Read32(SensEvt), Is.EqualTo(1 << 4));
        Assert.That(_driver.Bar.Read32(IntSts) & Sensor, Is.EqualTo(Sensor));
    }

    [Test]
    public void The_battery_drains_and_interrupts_at_each_threshold()
    {
        // 10 mWh at 500 mW: 72 s.
        var driver = new ProsewareDriver(Open with { BatteryMilliwattHours = 10 });
        driver.Bar.Write32(BatLimits, 50 | (25 << 8));
        driver.Advance(35_999);
        Assert.That(driver.Bar.Read32(IntSts), Is.Zero);
        driver.Advance(1);
        Assert.That(driver.Bar.Read32(IntSts), Is.EqualTo(BatteryCause));
        Assert.That(driver.Bar.Read32(Battery) & 0xff, Is.EqualTo(50));
        Assert.That(driver.Bar.Read32(Status) & (BatLow | BatCrit), Is.EqualTo(BatLow));
        driver.Bar.Write32(IntSts, BatteryCause);
        driver.Advance(18_000);
        Assert.That(driver.Bar.Read32(IntSts), Is.EqualTo(BatteryCause));
        Assert.That(driver.Bar.Read32(Status) & (BatLow | BatCrit), Is.EqualTo(BatLow | BatCrit));
        driver.Bar.Write32(IntSts, BatteryCause);
        driver.Send(Velocity, 10, 0);
        driver.Bar.Write32(IntSts, Done);
        driver.Advance(18_000);
        Assert.That(driver.Bar.Read32(IntSts), Is.EqualTo(BatteryCause | FaultCause));
        Assert.That(driver.Bar.Read32(Faults), Is.EqualTo(1 << 7));
        Assert.That(driver.Bar.Read32(Battery) & 0xff, Is.Zero);
        Assert.That(driver.Bar.Read32(Status) & Moving, Is.Zero, "no power, no motion");
        Assert.That(driver.Run(Drive, 10, 10), Is.EqualTo(NoPower));
    }

    [Test]
    public void Driving_costs_more_than_standing()
    {
        var options = Open with { BatteryMilliwattHours = 10 };
        ProsewareDriver standing = new(options), driving = new(options);
        driving.Send(Velocity, 10, 10);
        standing.Advance(5000);
        driving.Advance(5000);
        // 2.5 J and 17.5 J of 36 J.
        Assert.That(standing.Bar.Read32(Battery) & 0xff, Is.EqualTo(94));
        Assert.That(driving.Bar.Read32(Battery) & 0xff, Is.EqualTo(52));
    }

    [Test]
    public void The_watchdog_stops_a_motion_that_nobody_feeds()
    {
        _driver.Bar.Write32(WdtPeriod, 100);
        _driver.Send(Drive, 1000, 100);
        for (int i = 0; i < 5; i++)
        {
            _driver.Advance(99);
            _driver.Bar.Write32(WdtFeed, 0x600d);
        }
        Assert.That(_driver.Bar.Read32(Status) & Moving, Is.EqualTo(Moving));
        _driver.Bar.Write32(WdtFeed, 0xbad);
        _driver.Advance(100);
        Assert.That(_driver.Code, Is.EqualTo(WatchdogResult));
        Assert.That(_driver.Bar.Read32(Faults), Is.EqualTo(1 << 2));
        Assert.That(_driver.Bar.Read32(Status) & (Busy | Moving), Is.Zero);
        _driver.Bar.Write32(Faults, 1 << 2);
        _driver.Advance(1000);
        Assert.That(_driver.Bar.Read32(Faults), Is.Zero, "it bites once");
    }

    [TestCase("stall-left", 1u)]
    [TestCase("stall-right", 2u)]
    [TestCase("stall-both", 3u)]
    public void A_stalled_motor_ends_the_motion_with_a_fault(string how, uint faults)
    {
        _driver.Switch("motor", how);
        Assert.That(_driver.Run(Drive, 500, 100), Is.EqualTo(Stalled));
        Assert.That(_driver.Bar.Read32(Faults), Is.EqualTo(faults));
        _driver.Switch("motor", "ok");
        _driver.Bar.Write32(Faults, 3);
        Assert.That(_driver.Run(Drive, 100, 100), Is.EqualTo(Ok));
        Assert.That(_driver.Bar.Read32(Faults), Is.Zero);
    }

    [Test]
    public void Switches_refuse_what_they_do_not_know()
    {
        Assert.That(_driver.Robot.Switches.Single(s => s.Name == "battery").TrySet("101"), Does.Contain("0 to 100"));
        Assert.That(_driver.Robot.Switches.Single(s => s.Name == "motor").TrySet("broken"), Does.Contain("stall-left"));
        _driver.Switch("battery", "3");
        Assert.That(_driver.Bar.Read32(IntSts), Is.EqualTo(BatteryCause));
        Assert.That(_driver.Robot.Switches.Single(s => s.Name == "battery").Get(), Is.EqualTo("3"));
        _driver.Switch("bumper", "front");
        Assert.That(_driver.Bar.Read32(SensEvt), Is.EqualTo(3));
    }

    [Test]
    public void Each_cause_sends_its_own_message([Values] bool extended)
    {
        if (extended) PciMessages.EnableMsiX(_driver.Host, 0, 0x2000, 4);
        else PciMessages.EnableMsi(_driver.Host);
        InterruptKind kind = extended ? InterruptKind.MsiX : InterruptKind.Msi;
        _driver.Bar.Write32(IntEn, 0xf);
        _driver.Send(Nop);
        _driver.Switch("bumper", "front");
        _driver.Switch("range", "dead");
        _driver.Switch("battery", "10");
        Assert.That(PciMessages.Vectors(_driver.Host, kind), Is.EqualTo(new[] { 0, 1, 2, 3 }));
        Assert.That(_driver.Host.Messages.Select(m => m.Data), Is.EqualTo(new uint[] { 0x40, 0x41, 0x42, 0x43 }));
        Assert.That(_driver.Host.IntxRises, Is.Zero);

        _driver.Send(Nop);
        Assert.That(_driver.Host.Messages, Has.Count.EqualTo(4), "the cause was not cleared: no new edge");
        _driver.Bar.Write32(IntSts, Done);
        _driver.Send(Nop);
        Assert.That(_driver.Host.Messages, Has.Count.EqualTo(5));
    }

    [Test]
    public void Without_messages_all_causes_share_the_line()
    {
        _driver.Send(Nop);
        Assert.That(_driver.Host.IntxAsserted, Is.False, "not enabled yet");
        _driver.Bar.Write32(IntEn, 0xf);
        Assert.That(_driver.Host.IntxAsserted, Is.True);
        _driver.Switch("bumper", "rear");
        _driver.Bar.Write32(IntSts, Done);
        Assert.That(_driver.Host.IntxAsserted, Is.True, "the sensor still wants it");
        _driver.Bar.Write32(IntSts, Sensor);
        Assert.That(_driver.Host.IntxAsserted, Is.False);
    }

    [Test]
    public void A_spurious_interrupt_has_no_cause()
    {
        _driver.Bar.Write32(IntEn, 0xf);
        _driver.Switch("interrupt", "spurious");
        Assert.That(_driver.Host.IntxRises, Is.EqualTo(1));
        Assert.That(_driver.Host.IntxAsserted, Is.False);
        Assert.That(_driver.Bar.Read32(IntSts), Is.Zero);
    }

    [Test]
    public void A_device_that_is_gone_reads_all_ones_and_one_that_is_there_never_does()
    {
        _driver.Bar.Write32(IntEn, 0xffff_ffff);
        _driver.Switch("bumper", "front");
        _driver.Switch("range", "dead");
        _driver.Switch("battery", "0");
        _driver.Send(99);
        foreach (int register in new[] { IntSts, Status, Faults, SensEvt })
            Assert.That(_driver.Bar.Read32(register), Is.Not.Zero.And.Not.EqualTo(uint.MaxValue));
        _driver.Host.Config.Write16(4, 0);
        Assert.That(_driver.Bar.Read32(IntSts), Is.EqualTo(uint.MaxValue));
    }

    [TestCase("soft")]
    [TestCase("flr")]
    [TestCase("power")]
    public void A_reset_stops_everything_but_does_not_move_the_robot(string kind)
    {
        _driver.Bar.Write32(IntEn, 0xf);
        _driver.Bar.Write32(WdtPeriod, 50);
        _driver.Run(Pen, 1);
        _driver.Send(Drive, 1000, 100);
        _driver.Advance(500);
        int express = _driver.Host.FindCapability(0x10), power = _driver.Host.FindCapability(0x01);
        switch (kind)
        {
            case "soft": _driver.Bar.Write32(Control, 0x100); break;
            case "flr": _driver.Host.Config.Write16(express + 8, 0x8000); break;
            default:
                _driver.Host.Config.Write16(power + 4, 3);
                Assert.That(_driver.Bar.Read32(Id), Is.EqualTo(uint.MaxValue), "asleep");
                _driver.Host.Config.Write16(power + 4, 0);
                break;
        }
        _driver.Host.Config.Write16(4, 7);
        Assert.That(_driver.Host.IntxAsserted, Is.False);
        Assert.That(_driver.Bar.Read32(Control), Is.EqualTo(2));
        Assert.That(_driver.Bar.Read32(Status), Is.EqualTo(1));
        Assert.That(_driver.Bar.Read32(IntSts), Is.Zero);
        Assert.That(_driver.Bar.Read32(Result), Is.Zero);
        Assert.That(_driver.Bar.Read32(OdoL), Is.Zero);
        (double x, double y) = _driver.Robot.World!.Position;
        Assert.That(x, Is.GreaterThan(1000));
        _driver.Advance(1000);
        Assert.That(_driver.Robot.World.Position, Is.EqualTo((x, y)));
        Assert.That(_driver.Bar.Read32(IntSts), Is.Zero, "the watchdog is off");
        Assert.That(_driver.Host.IntxRises, Is.EqualTo(1), "a reset does not interrupt");
    }

    [Test]
    public void Power_on_puts_the_world_back()
    {
        _driver.Run(Drive, 100, 100);
        _driver.Robot.Reset(Emulator.Pci.ResetKind.PowerOn);
        Assert.That(_driver.Robot.World!.Position, Is.EqualTo((1000.0, 1000.0)));
        Assert.That(_driver.Robot.World.Path.Count, Is.EqualTo(1));
    }

    [Test]
    public void Nothing_is_due_soon_while_the_robot_stands()
    {
        _driver.Run(Drive, 100, 100);
        Assert.That(_driver.Host.Clock.NextDeadline - _driver.Host.Clock.Now, Is.GreaterThan(60_000 * Ms), "only the battery's next threshold");
    }

    [Test]
    public void Narrow_accesses_do_nothing()
    {
        _driver.Bar.Write8(Control, 0);
        Assert.That(_driver.Bar.Read32(Control), Is.EqualTo(3));
        Assert.That(_driver.Bar.Read16(Id), Is.Zero);
    }
}
