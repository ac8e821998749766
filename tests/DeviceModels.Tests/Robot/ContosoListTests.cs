using static DeviceModels.Tests.Robot.ContosoDriver;

namespace DeviceModels.Tests.Robot;

[TestFixture, Category("Unit")]
public sealed class ContosoListTests
{
    private const int First = 0x1000, Second = 0x1100, Third = 0x1200;
    private const int Bus = 1, Address = 2, Descriptor = 3, CommandError = 4, Stopped = 5;

    private ContosoDriver _driver = null!;

    [SetUp]
    public void PlugIn() => _driver = new ContosoDriver();

    [Test]
    public void A_list_runs_to_its_end_and_gives_every_descriptor_back()
    {
        _driver.Describe(First, Own | Move, Second, 400, 400);
        _driver.Describe(Second, Own | Turn, Third, 16384, 360);
        _driver.Describe(Third, Own | Int | Wait, 0, 5);
        _driver.Go(First);
        Assert.That(_driver.Bar.Read16(ListSt), Is.EqualTo(1));
        Assert.That(_driver.Bar.Read16(State) & List, Is.EqualTo(List));
        _driver.Advance(2049);
        Assert.That(_driver.Bar.Read16(Cause), Is.Zero, "only the last one interrupts");
        _driver.Advance(10);
        Assert.That(_driver.Bar.Read16(Cause), Is.EqualTo(Command));
        Assert.That(_driver.Bar.Read16(ListSt), Is.Zero);
        Assert.That(_driver.Word(First), Is.EqualTo((Ok << 8) | Move));
        Assert.That((_driver.Word(First + 0x10), _driver.Word(First + 0x14), _driver.Word(First + 0x18)), Is.EqualTo((400u, 400u, 1000u)));
        Assert.That((int)_driver.Word(Second + 0x10), Is.EqualTo(40));
        Assert.That(_driver.Word(Third), Is.EqualTo(Int | (Ok << 8) | Wait));
        Assert.That(_driver.Word(First + 0x1c), Is.EqualTo(0xc00c1e), "the cookie is the driver's");
        Assert.That(_driver.Encoders, Is.EqualTo((40, 760)));
    }

    [Test]
    public void The_robot_parks_at_a_descriptor_it_does_not_own_and_goes_on_from_there()
    {
        _driver.Describe(First, Own | Nop, Second);
        _driver.Describe(Second, 0, 0);
        _driver.Go(First);
        _driver.Advance(1);
        Assert.That(_driver.Bar.Read16(ListSt), Is.Zero, "parked");
        _driver.Describe(Third, 0, 0);
        _driver.Describe(Second, Own | Int | Nop, Third);
        _driver.Bar.Write16(Doorbell, 1);
        _driver.Advance(1);
        Assert.That(_driver.Word(Second) >> 8 & 0xff, Is.EqualTo(Ok));
        Assert.That(_driver.Bar.Read16(Cause), Is.EqualTo(Command));
    }

    [Test]
    public void After_the_end_go_starts_at_the_list_again()
    {
        for (int i = 0; i < 3; i++)
        {
            _driver.Describe(First, Own | Move, 0, 40, 400);
            if (i == 0) _driver.Go(First);
            else _driver.Bar.Write16(Doorbell, 1);
            _driver.Advance(200);
        }
        Assert.That(_driver.Encoders, Is.EqualTo((120, 120)));
    }

    [Test]
    public void A_doorbell_that_rings_while_the_robot_reads_is_not_lost()
    {
        _driver.Describe(First, 0, 0);
        _driver.Go(First);
        _driver.Bar.Write16(Doorbell, 1);
        _driver.Host.Clock.Advance(100_000);
        Assert.That(_driver.Bar.Read16(ListSt), Is.EqualTo(1), "looks once more");
        _driver.Describe(First, Own, 0);
        _driver.Host.Clock.Advance(100_000);
        Assert.That(_driver.Word(First) >> 8, Is.EqualTo(Ok));
    }

    [Test]
    public void A_loop_runs_round_once_and_parks()
    {
        _driver.Describe(First, Own | Nop, Second);
        _driver.Describe(Second, Own | Nop, First);
        _driver.Go(First);
        _driver.Advance(10);
        Assert.That(_driver.Bar.Read16(ListSt), Is.Zero);
        Assert.That(_driver.Word(First) >> 8, Is.EqualTo(Ok));
        Assert.That(_driver.Word(Second) >> 8, Is.EqualTo(Ok));
    }

    [TestCase(Own | 0x99u, 0, 0u)]
    [TestCase(Own | 0x100u, 0, 0u)]
    [TestCase(Own | (1u << 30), 0, 0u)]
    [TestCase(Own | (1u << 16), 0, 0u)]
    [TestCase(Own, 1, 0u)]
    [TestCase(Own, 0, 7u)]
    public void A_malformed_descriptor_halts_the_list(uint control, int p0, uint reserved)
    {
        _driver.Describe(First, control, Second, p0, 0, reserved);
        _driver.Describe(Second, Own, 0);
        _driver.Go(First);
        _driver.Advance(10);
        AssertHalted(Descriptor, 1 << 4);
        Assert.That(_driver.Word(First) >> 31, Is.Zero, "given back");
        Assert.That(_driver.Word(First) >> 8 & 0xff, Is.EqualTo(Rejected));
        Assert.That(_driver.Word(Second), Is.EqualTo(Own), "what follows is not touched");
        _driver.Bar.Write16(Doorbell, 1);
        Assert.That(_driver.Bar.Read16(ListSt) & 1, Is.Zero, "go is ignored until the list is loaded");
        _driver.Go(Second);
        _driver.Advance(1);
        Assert.That(_driver.Word(Second), Is.EqualTo(Ok << 8));
        Assert.That(_driver.Bar.Read16(ListSt), Is.Zero);
    }

    [Test]
    public void An_address_that_cannot_be_halts_the_list()
    {
        _driver.Go(0);
        AssertHalted(Address, 1 << 4);
        _driver.Describe(First, Own, Second + 4);
        _driver.Go(First);
        _driver.Advance(1);
        AssertHalted(Address, 1 << 4);
    }

    [Test]
    public void Memory_that_is_not_there_is_a_bus_error([Values(0x7fff_0000, -32)] int address)
    {
        _driver.Go(address);
        _driver.Advance(1);
        AssertHalted(Bus, 1 << 3);
    }

    [Test]
    public void A_write_back_that_fails_is_a_bus_error()
    {
        _driver.Describe(First, Own | Wait, 0, 1);
        _driver.Go(First);
        _driver.Advance(5);
        _driver.Switch("dma", "error");
        _driver.Advance(10);
        AssertHalted(Bus, 1 << 3);
        Assert.That(_driver.Word(First) & Own, Is.EqualTo(Own), "never given back");
    }

    [Test]
    public void Without_bus_mastering_there_is_no_dma()
    {
        _driver.Describe(First, Own, 0);
        _driver.Host.Config.Write16(4, 3);
        _driver.Go(First);
        _driver.Advance(1);
        AssertHalted(Bus, 1 << 3);
    }

    [Test]
    public void A_failed_command_halts_the_list()
    {
        _driver.Describe(First, Own | Move, 0, 30_000, 2000);
        _driver.Go(First);
        _driver.Advance(20_000);
        Assert.That(_driver.Word(First) >> 8 & 0xff, Is.EqualTo(Bumped));
        AssertHalted(CommandError, 0);
    }

    [Test]
    public void Stopping_gives_back_what_runs([Values("doorbell", "halt", "watchdog")] string how)
    {
        _driver.Describe(First, Own | Move, Second, 4000, 400);
        _driver.Describe(Second, Own, 0);
        _driver.Go(First);
        if (how == "watchdog") _driver.Put(Wdog, 50);
        _driver.Advance(500);
        if (how == "doorbell") _driver.Bar.Write16(Doorbell, 3);
        if (how == "halt") _driver.Send(Halt);
        Assert.That(_driver.Word(First) >> 8 & 0xff, Is.EqualTo(how == "watchdog" ? WatchdogResult : Halted));
        AssertHalted(Stopped, how == "watchdog" ? 4 : 0);
        Assert.That(_driver.Word(Second), Is.EqualTo(Own));
    }

    [Test]
    public void Exec_is_busy_while_the_list_runs_and_the_list_waits_for_exec()
    {
        _driver.Send(Wait, 5);
        _driver.Describe(First, Own | Wait, 0, 5);
        _driver.Go(First);
        _driver.Advance(49);
        Assert.That(_driver.Word(First) & Own, Is.EqualTo(Own));
        _driver.Advance(10);
        Assert.That(_driver.Code, Is.EqualTo(Ok));
        _driver.Send(Nop);
        Assert.That(_driver.Code, Is.EqualTo(BusyResult));
        _driver.Advance(50);
        Assert.That(_driver.Word(First) >> 8, Is.EqualTo(Ok));
    }

    [Test]
    public void Halt_ends_exec_and_the_list_that_waits_for_it()
    {
        _driver.Send(Move, 4000, 400);
        _driver.Describe(First, Own, 0);
        _driver.Go(First);
        _driver.Advance(100);
        _driver.Send(Halt);
        Assert.That(_driver.Code, Is.EqualTo(Ok), "never refused");
        AssertHalted(Stopped, 0);
    }

    [Test]
    public void The_list_address_does_not_change_while_it_runs()
    {
        _driver.Describe(First, Own | Wait, 0, 5);
        _driver.Go(First);
        _driver.Bar.Write16(ListLo, 0x2000);
        _driver.Bar.Write16(ListHi, 0x2000);
        Assert.That(_driver.Bar.Read32(ListLo), Is.EqualTo(First));
        _driver.Advance(60);
        Assert.That(_driver.Word(First) & Own, Is.Zero);
    }

    [Test]
    public void Telemetry_alternates_between_two_slots()
    {
        const int Block = 0x3000;
        _driver.Put(Tele, Block);
        _driver.Put(TelePer, 10);
        _driver.Send(Move, 400, 400);
        _driver.Advance(100);
        Assert.That(_driver.Word(Block + 0x3c), Is.EqualTo(1));
        Assert.That(_driver.Word(Block + 0x20), Is.InRange(39, 40), "record 1 is in slot 1");
        _driver.Advance(100);
        Assert.That(_driver.Word(Block + 0x3c), Is.EqualTo(2));
        Assert.That(_driver.Word(Block), Is.InRange(79, 80));
        Assert.That(_driver.Word(Block + 0x20), Is.InRange(39, 40), "the one before is still whole");
        _driver.Advance(2000);
        uint last = _driver.Word(Block + 0x3c);
        Assert.That(_driver.Word(Block + (int)(last & 1) * 0x20), Is.EqualTo(400));
        _driver.Advance(1000);
        Assert.That(_driver.Word(Block + 0x3c), Is.EqualTo(last));
    }

    private void AssertHalted(int error, int errors)
    {
        Assert.Multiple(() =>
        {
            Assert.That(_driver.ListError, Is.EqualTo(error));
            Assert.That(_driver.Bar.Read16(ListSt) & 3, Is.EqualTo(2), "halted, not active");
            Assert.That(_driver.Bar.Read16(Error), Is.EqualTo(errors));
            Assert.That(_driver.Bar.Read16(Cause) & Command, Is.EqualTo(Command));
            Assert.That(_driver.Bar.Read16(State) & (Moving | List), Is.Zero);
        });
    }
}
