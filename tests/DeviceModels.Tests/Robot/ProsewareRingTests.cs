using DeviceModels.Robot;
using Emulator.Interrupts;
using static DeviceModels.Tests.Robot.ProsewareDriver;

namespace DeviceModels.Tests.Robot;

[TestFixture, Category("Unit")]
public sealed class ProsewareRingTests
{
    private const uint Dma = 1, Index = 2, Setup = 3, Descriptor = 4, Command = 5, AbortedRing = 6;
    private const uint DmaFault = 1 << 3, DescFault = 1 << 4;

    private ProsewareDriver _driver = null!;

    [SetUp]
    public void PlugIn() => _driver = new ProsewareDriver();

    [Test]
    public void A_program_runs_and_each_descriptor_is_completed_in_order()
    {
        _driver.StartRing();
        _driver.Post(Pen | (1 << 16), 1);
        _driver.Post(Drive | (2 << 16), 200, 200);
        _driver.Post(Turn | (3 << 16), -900, 100);
        _driver.Post(Wait | Int | (4 << 16), 50);
        _driver.Ringing();
        Assert.That(_driver.Bar.Read32(Status) & Running, Is.EqualTo(Running));
        _driver.Advance(2149);
        Assert.That(_driver.Bar.Read32(IntSts), Is.Zero, "only the last one interrupts");
        _driver.Advance(10);
        Assert.That(_driver.Bar.Read32(IntSts), Is.EqualTo(Done));
        Assert.That(_driver.Take(), Is.EqualTo((1u, Ok, Pen, 0, 200u)));
        Assert.That(_driver.Take(), Is.EqualTo((2u, Ok, Drive, 200, 1200u)));
        Assert.That(_driver.Take(), Is.EqualTo((3u, Ok, Turn, -900, 2100u)));
        Assert.That(_driver.Take(), Is.EqualTo((4u, Ok, Wait, 0, 2150u)));
        Assert.That(_driver.Take(), Is.Null);
        Assert.That(_driver.Bar.Read32(RingStatus), Is.EqualTo(4 << 16), "idle");
        Assert.That(_driver.Bar.Read32(RingHead), Is.EqualTo(4));
        Assert.That(_driver.Word(Queue + (3 * 16) + 8), Is.EqualTo(2700 | (100 << 16)), "heading and battery");
    }

    [Test]
    public void The_ring_and_the_queue_wrap_and_the_phase_flips()
    {
        _driver.StartRing(ring: 4, queue: 2);
        for (uint tag = 0; tag < 23; tag++)
        {
            _driver.Post(Nop | (tag << 16));
            _driver.Ringing();
            _driver.Advance(1);
            Assert.That(_driver.Take()?.Tag, Is.EqualTo(tag));
        }
        Assert.That(_driver.Take(), Is.Null);
    }

    [Test]
    public void A_full_queue_holds_the_ring_until_there_is_room()
    {
        _driver.StartRing(ring: 8, queue: 2);
        for (uint tag = 0; tag < 5; tag++) _driver.Post(Nop | (tag << 16));
        _driver.Ringing();
        _driver.Advance(100);
        Assert.That(_driver.Bar.Read32(RingHead), Is.EqualTo(1), "one entry stays free");
        for (uint tag = 0; tag < 5; tag++)
        {
            Assert.That(_driver.Take()?.Tag, Is.EqualTo(tag));
            _driver.Advance(1);
        }
        Assert.That(_driver.Bar.Read32(RingStatus) & 1, Is.Zero);
    }

    [Test]
    public void A_doorbell_costs_one_fetch_however_long_the_program_is()
    {
        _driver.StartRing(ring: 256, queue: 256);
        for (int i = 0; i < 255; i++) _driver.Post(Nop);
        _driver.Ringing();
        Assert.That(_driver.Bar.Read32(RingHead), Is.Zero, "not even one in the doorbell itself");
        _driver.Host.Clock.Advance(100_000);
        Assert.That(_driver.Bar.Read32(RingHead), Is.EqualTo(1));
        _driver.Host.Clock.Advance(254 * 100_000);
        Assert.That(_driver.Bar.Read32(RingHead), Is.EqualTo(255));
    }

    [TestCase(0xeeu, 0, 0, 0u)]
    [TestCase(Nop | (1 << 10), 0, 0, 0u)]
    [TestCase(Nop, 0, 0, 1u)]
    [TestCase(Drive | Continue, int.MinValue, int.MinValue, 0u)]
    public void A_malformed_descriptor_is_completed_as_invalid_and_stops_the_ring(uint command, int a, int b, uint reserved)
    {
        _driver.StartRing();
        _driver.Post(command | (9 << 16), a, b, reserved);
        _driver.Post(Nop);
        _driver.Ringing();
        _driver.Advance(10);
        Assert.That(_driver.Take()?.Result, Is.EqualTo(Invalid));
        Assert.That(_driver.Take(), Is.Null, "what follows is not touched");
        AssertStopped(Descriptor, DescFault);
    }

    [Test]
    public void A_failed_command_stops_the_ring_unless_it_says_continue()
    {
        _driver.Switch("motor", "stall-both");
        _driver.StartRing();
        _driver.Post(Drive | Continue, 100, 100);
        _driver.Post(Light, 0xff);
        _driver.Post(Drive, 100, 100);
        _driver.Post(Light, 0);
        _driver.Ringing();
        _driver.Advance(1000);
        Assert.That(_driver.Take()?.Result, Is.EqualTo(Stalled));
        Assert.That(_driver.Take()?.Result, Is.EqualTo(Ok));
        Assert.That(_driver.Take()?.Result, Is.EqualTo(Stalled));
        Assert.That(_driver.Take(), Is.Null);
        AssertStopped(Command, 3);
        Assert.That(_driver.Robot.World!.Light, Is.EqualTo(0xff));
    }

    [TestCase(0, 8)]
    [TestCase(3, 8)]
    [TestCase(512, 8)]
    [TestCase(8, 1)]
    public void A_bad_size_stops_the_ring_at_once(int ring, int queue)
    {
        _driver.StartRing(ring, queue);
        AssertStopped(Setup, DescFault);
    }

    [Test]
    public void A_bad_base_stops_the_ring_at_once([Values(0UL, 0xffff_ffff_ffff_ffc0UL)] ulong address)
    {
        _driver.Bar.Write64(RingBase, address);
        _driver.Bar.Write32(RingSize, 8);
        _driver.Bar.Write64(CqBase, Queue);
        _driver.Bar.Write32(CqSize, 8);
        _driver.Bar.Write32(RingCtrl, 1);
        AssertStopped(Setup, DescFault);
    }

    [Test]
    public void An_index_beyond_the_ring_stops_it([Values(RingTail, CqHead)] int register, [Values] bool running)
    {
        _driver.StartRing();
        if (running)
        {
            _driver.Post(Drive, 1000, 100);
            _driver.Ringing();
            _driver.Advance(100);
        }
        _driver.Bar.Write32(register, 8);
        Assert.That(_driver.Take()?.Result, running ? Is.EqualTo(Aborted) : Is.Null);
        AssertStopped(Index, DescFault);
    }

    [Test]
    public void Memory_that_is_not_there_is_a_dma_error()
    {
        _driver.StartRing();
        _driver.Host.Memory.IsUnmapped = true;
        _driver.Bar.Write32(RingTail, 1);
        _driver.Advance(1);
        AssertStopped(Dma, DmaFault);
    }

    [Test]
    public void A_completion_that_cannot_be_written_is_a_dma_error()
    {
        _driver.StartRing();
        _driver.Post(Wait, 10);
        _driver.Ringing();
        _driver.Advance(5);
        _driver.Switch("dma", "error");
        _driver.Advance(10);
        AssertStopped(Dma, DmaFault);
        Assert.That(_driver.Take(), Is.Null);
    }

    [Test]
    public void Without_bus_mastering_there_is_no_dma_and_the_driver_can_begin_again()
    {
        _driver.StartRing();
        _driver.Host.Config.Write16(4, 3);
        _driver.Post(Nop);
        _driver.Ringing();
        _driver.Advance(1);
        AssertStopped(Dma, DmaFault);
        _driver.Host.Config.Write16(4, 7);
        _driver.Bar.Write32(Faults, 0xff);
        _driver.StartRing();
        Assert.That(_driver.Bar.Read32(RingStatus), Is.Zero);
        _driver.Post(Nop);
        _driver.Ringing();
        _driver.Advance(1);
        Assert.That(_driver.Take()?.Result, Is.EqualTo(Ok));
    }

    [Test]
    public void Stopping_a_program_completes_what_runs_as_aborted([Values("run", "abort", "mailbox")] string how)
    {
        _driver.StartRing();
        _driver.Post(Drive, 1000, 100);
        _driver.Post(Drive, 1000, 100);
        _driver.Ringing();
        _driver.Advance(1000);
        switch (how)
        {
            case "run": _driver.Bar.Write32(RingCtrl, 0); break;
            case "abort": _driver.Bar.Write32(RingCtrl, 3); break;
            default: _driver.Send(Stop, 0, 0, tag: 7); break;
        }
        (uint Tag, uint Result, uint Opcode, int Value, uint Time)? taken = _driver.Take();
        Assert.That(taken?.Result, Is.EqualTo(Aborted));
        Assert.That(taken?.Value, Is.InRange(99, 100));
        AssertStopped(AbortedRing, 0);
        if (how == "mailbox") Assert.That(_driver.Bar.Read32(Result), Is.EqualTo(0x0007_0400 | Ok));
        _driver.Advance(1000);
        Assert.That(_driver.Bar.Read32(RingHead), Is.EqualTo(1));
    }

    [Test]
    public void Stop_ends_the_mailbox_command_and_the_ring_that_waits_for_it()
    {
        _driver.StartRing();
        _driver.Send(Drive, 1000, 100, tag: 1);
        _driver.Post(Nop);
        _driver.Ringing();
        _driver.Advance(100);
        _driver.Send(Stop, 0, 0, tag: 2);
        Assert.That(_driver.Bar.Read32(Result), Is.EqualTo(0x0002_0400 | Ok), "never refused");
        AssertStopped(AbortedRing, 0);
    }

    [Test]
    public void The_watchdog_stops_the_program_too()
    {
        _driver.StartRing();
        _driver.Bar.Write32(WdtPeriod, 500);
        _driver.Post(Drive | Continue, 1000, 100);
        _driver.Post(Nop);
        _driver.Ringing();
        _driver.Advance(501);
        Assert.That(_driver.Take()?.Result, Is.EqualTo(WatchdogResult));
        AssertStopped(AbortedRing, 1 << 2);
    }

    [Test]
    public void A_program_that_fails_stops_the_wheels_it_set_going()
    {
        _driver.StartRing();
        _driver.Post(Velocity, 100, 100);
        _driver.Post(0xee);
        _driver.Ringing();
        _driver.Advance(10);
        AssertStopped(Descriptor, DescFault);
    }

    [Test]
    public void Mailbox_and_ring_take_turns()
    {
        _driver.StartRing();
        _driver.Send(Wait, 100, 0, tag: 1);
        _driver.Post(Wait, 50);
        _driver.Ringing();
        _driver.Advance(99);
        Assert.That(_driver.Bar.Read32(RingHead), Is.Zero, "the mailbox was first");
        _driver.Advance(2);
        Assert.That(_driver.Bar.Read32(Result), Is.EqualTo(0x0001_0700 | Ok));
        Assert.That(_driver.Bar.Read32(RingHead), Is.EqualTo(1));
        _driver.Send(Nop, 0, 0, tag: 2);
        Assert.That(_driver.Bar.Read32(Result), Is.EqualTo(0x0002_0000 | BusyResult));
        _driver.Advance(50);
        Assert.That(_driver.Take()?.Result, Is.EqualTo(Ok));
        _driver.Send(Nop, 0, 0, tag: 3);
        Assert.That(_driver.Bar.Read32(Result), Is.EqualTo(0x0003_0000 | Ok), "an idle ring leaves the mailbox alone");
    }

    [Test]
    public void Setup_registers_do_not_change_while_the_ring_runs()
    {
        _driver.StartRing();
        foreach (int register in new[] { RingBase, RingSize, CqBase, CqSize })
        {
            uint before = _driver.Bar.Read32(register);
            _driver.Bar.Write32(register, 0x4040);
            Assert.That(_driver.Bar.Read32(register), Is.EqualTo(before));
        }
    }

    [Test]
    public void A_completion_is_in_memory_before_its_interrupt()
    {
        PciMessages.EnableMsiX(_driver.Host, 0, 0x2000, 4);
        _driver.Bar.Write32(IntEn, Done);
        _driver.StartRing();
        _driver.Post(Nop | Int | (0x77 << 16));
        _driver.Ringing();
        _driver.Host.Clock.Advance(100_000);
        Assert.That(PciMessages.Vectors(_driver.Host, InterruptKind.MsiX), Is.EqualTo(new[] { 0 }));
        Assert.That(_driver.Take()?.Tag, Is.EqualTo(0x77));
    }

    [Test]
    public void Telemetry_flows_while_it_moves_and_tells_the_end()
    {
        _driver.Bar.Write64(TeleBase, Telemetry);
        _driver.Bar.Write32(TelePeriod, 100);
        _driver.Advance(1000);
        Assert.That(_driver.Word(Telemetry), Is.Zero, "nothing goes on");
        _driver.Send(Drive, 100, 100);
        _driver.Advance(500);
        Assert.That(_driver.Word(Telemetry), Is.EqualTo(10), "five records");
        Assert.That(_driver.Word(Telemetry + 8), Is.InRange(49, 50));
        _driver.Advance(700);
        Assert.That(_driver.Word(Telemetry + 8), Is.EqualTo(100), "the last record is of the end");
        Assert.That(_driver.Word(Telemetry + 4), Is.EqualTo(2000));
        Assert.That(_driver.Word(Telemetry + 0x14), Is.Zero, "speed");
        uint sequence = _driver.Word(Telemetry);
        Assert.That(sequence & 1, Is.Zero);
        _driver.Advance(1000);
        Assert.That(_driver.Word(Telemetry), Is.EqualTo(sequence));
        Assert.That(_driver.Word(Telemetry + 0x20), Is.EqualTo(_driver.Bar.Read32(ProsewareDriver.Range)));
    }

    [Test]
    public void Telemetry_that_cannot_be_written_turns_itself_off()
    {
        _driver.Bar.Write64(TeleBase, 0x7fff_ffff_ffc0);
        _driver.Bar.Write32(TelePeriod, 5);
        _driver.Send(Drive, 100, 100);
        _driver.Advance(500);
        Assert.That(_driver.Bar.Read32(TelePeriod), Is.Zero);
        Assert.That(_driver.Bar.Read32(Faults), Is.EqualTo(DmaFault));
        Assert.That(_driver.Run(Drive, 1, 1), Is.EqualTo(BusyResult), "the motion goes on");
    }

    private void AssertStopped(uint error, uint faults)
    {
        Assert.Multiple(() =>
        {
            Assert.That(_driver.RingError, Is.EqualTo(error));
            Assert.That(_driver.Bar.Read32(RingStatus) & 3, Is.EqualTo(2), "failed, not active");
            Assert.That(_driver.Bar.Read32(RingCtrl), Is.Zero);
            Assert.That(_driver.Bar.Read32(Faults), Is.EqualTo(faults));
            Assert.That(_driver.Bar.Read32(IntSts) & Done, Is.EqualTo(Done));
            Assert.That(_driver.Bar.Read32(Status) & (Moving | Running), Is.Zero);
        });
    }
}
