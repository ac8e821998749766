using DeviceModels.Scratch;
using Emulator.Interrupts;
using Emulator.Pci;
using Emulator.Testing;

namespace DeviceModels.Tests.Scratch;

[Category("Unit")]
public sealed class ScratchEngineTests
{
    // Offsets and bits as the driver's header would have them.
    private const int Id = 0x00, Control = 0x04, Status = 0x08, Length = 0x0c, Source = 0x10, Destination = 0x18, Pattern = 0x20;
    private const int Result = 0x24, Finished = 0x28, Delay = 0x2c, IrqLevel = 0x30, IrqPulse = 0x34;
    private const uint Go = 1, Fill = 1 << 1, Sum = 2 << 1, Queued = 1 << 3, InterruptEnable = 1 << 4, Done = 1, Error = 2;

    private FakePciHost _host = null!;

    [SetUp]
    public void Plug()
    {
        _host = new FakePciHost(ramSize: 256 * 1024);
        _host.Plug(new ScratchFunction(ScratchModels.Full, _host.Slot));
    }

    [Test]
    public void The_engine_says_who_it_is() => Assert.That(_host.Bar(0).Read32(Id), Is.EqualTo(0x31524353));

    [TestCase(0u, TestName = "A_copy_at_once_moves_the_bytes_and_sums_them")]
    [TestCase(Queued, TestName = "A_queued_copy_moves_the_bytes_and_sums_them_in_a_later_turn")]
    public void Copy(uint queued)
    {
        for (int i = 0; i < 1000; i++) _host.Memory.Ram[0x100 + i] = (byte)i;
        Start(queued, source: 0x100, destination: 0x2_0000, length: 1000);
        Assert.That(_host.Bar(0).Read32(Control) & Go, Is.EqualTo(queued == 0 ? 0 : Go));
        _host.Settle();
        Assert.That(_host.Bar(0).Read32(Control) & Go, Is.Zero);
        Assert.That(_host.Bar(0).Read32(Status), Is.EqualTo(Done));
        Assert.That(_host.Memory.Ram.Slice(0x2_0000, 1000).SequenceEqual(_host.Memory.Ram.Slice(0x100, 1000)));
        Assert.That(_host.Memory.Ram[0x2_0000 + 1000], Is.Zero);
        Assert.That(_host.Bar(0).Read32(Result), Is.EqualTo(Enumerable.Range(0, 1000).Sum(i => (byte)i)));
    }

    [TestCase(0u)]
    [TestCase(Queued)]
    public void A_fill_writes_the_patterns_low_byte_and_nothing_beside_it(uint queued)
    {
        _host.Bar(0).Write32(Pattern, 0xdead_be5a);
        Assert.That(_host.Bar(0).Read32(Pattern), Is.EqualTo(0x5a), "the register has no more");
        Start(Fill | queued, source: ulong.MaxValue, destination: 0x1001, length: 3);
        _host.Settle();
        Assert.That(_host.Memory.Ram.Slice(0x1000, 5).ToArray(), Is.EqualTo(new byte[] { 0, 0x5a, 0x5a, 0x5a, 0 }));
    }

    [TestCase(0u)]
    [TestCase(Queued)]
    public void A_sum_reads_only(uint queued)
    {
        _host.Memory.Ram.Slice(0x10, 0x10).Fill(0x11);
        Start(Sum | queued, source: 0x10, destination: 0x10, length: 0x10);
        _host.Settle();
        Assert.That(_host.Bar(0).Read32(Result), Is.EqualTo(0x110));
        Assert.That(_host.Bar(0).Read32(Status), Is.EqualTo(Done));
    }

    [TestCase(0u, 0xffff_ffff_ffff_fff0UL, 0UL, 0x20u)]
    [TestCase(Queued, 0xffff_ffff_ffff_fff0UL, 0UL, 0x20u)]
    [TestCase(0u, 0UL, 0x1_0000_0000UL, 0x20u)]
    [TestCase(Queued, 0UL, 0x1_0000_0000UL, 0x20u)]
    [TestCase(0u, 0UL, 0UL, 0x1_0001u)]
    [TestCase(Queued, 0UL, 0UL, 0xffff_ffffu)]
    [TestCase(3u << 1, 0UL, 0UL, 1u)]
    public void What_cannot_be_done_ends_with_ERROR(uint control, ulong source, ulong destination, uint length)
    {
        Start(control, source, destination, length);
        _host.Settle();
        Assert.That(_host.Bar(0).Read32(Status), Is.EqualTo(Done | Error));
        Assert.That(_host.Bar(0).Read32(Control) & Go, Is.Zero);
        Assert.That(_host.Reports, Has.Count.EqualTo(1));
    }

    [TestCase(0u)]
    [TestCase(Queued)]
    public void Without_bus_master_enable_nothing_moves(uint queued)
    {
        _host.Config.Write16(0x04, 0x0003);
        _host.Bar(0).Write32(Pattern, 0xff);
        Start(Fill | queued, source: 0, destination: 0, length: 8);
        _host.Settle();
        Assert.That(_host.Bar(0).Read32(Status), Is.EqualTo(Done | Error));
        Assert.That(_host.Memory.Ram[..8].ToArray(), Is.All.Zero);
    }

    [Test]
    public void Bus_master_enable_lost_on_the_way_stops_a_queued_transfer()
    {
        _host.Bar(0).Write32(Pattern, 0xff);
        Start(Fill | Queued, source: 0, destination: 0, length: 8);
        _host.Config.Write16(0x04, 0x0003);
        _host.Settle();
        Assert.That(_host.Bar(0).Read32(Status), Is.EqualTo(Done | Error));
        Assert.That(_host.Memory.Ram[..8].ToArray(), Is.All.Zero);
    }

    [Test]
    public void A_reset_stops_a_queued_transfer_and_the_next_one_waits_for_it_to_come_back()
    {
        _host.Memory.Ram[..4].Fill(7);
        Start(Queued, source: 0, destination: 0x100, length: 4);
        FunctionLevelReset();
        Assert.That(_host.Bar(0).Read32(Control) & Go, Is.Zero);
        Start(Queued, source: 0, destination: 0x200, length: 4);
        Assert.That(_host.Bar(0).Read32(Control) & Go, Is.EqualTo(Go));
        _host.Settle();
        Assert.That(_host.Bar(0).Read32(Status), Is.EqualTo(Done));
        Assert.That(_host.Bar(0).Read32(Finished), Is.EqualTo(1));
        Assert.That(_host.Memory.Ram[0x100], Is.Zero);
        Assert.That(_host.Memory.Ram[0x200], Is.EqualTo(7));
    }

    [Test]
    public void A_delay_holds_the_transfer_back_until_its_time_and_a_reset_forgets_it()
    {
        _host.Bar(0).Write32(Pattern, 1);
        _host.Bar(0).Write32(Delay, 1000);
        Start(Fill, source: 0, destination: 0, length: 1);
        _host.Clock.Advance(999);
        Assert.That(_host.Memory.Ram[0], Is.Zero);
        Assert.That(_host.Bar(0).Read32(Control) & Go, Is.EqualTo(Go));
        _host.Clock.Advance(1);
        Assert.That(_host.Memory.Ram[0], Is.EqualTo(1));
        Assert.That(_host.Bar(0).Read32(Status), Is.EqualTo(Done));

        Start(Fill, source: 0, destination: 1, length: 1);
        FunctionLevelReset();
        _host.Clock.Advance(10_000);
        Assert.That(_host.Memory.Ram[1], Is.Zero);
    }

    [Test]
    public void GO_while_running_is_a_guest_error_and_starts_nothing()
    {
        _host.Bar(0).Write32(Delay, 1000);
        Start(Fill, source: 0, destination: 0, length: 1);
        _host.Bar(0).Write32(Control, Go | Fill);
        _host.Clock.Advance(10_000);
        Assert.That(_host.Bar(0).Read32(Finished), Is.EqualTo(1));
        Assert.That(_host.Reports, Has.Some.Contains("GO while a transfer is under way"));
    }

    [Test]
    public void FINISHED_counts_and_clears_when_read()
    {
        for (int i = 0; i < 3; i++) Start(Sum, 0, 0, 4);
        Assert.That(_host.Bar(0).Read32(Finished), Is.EqualTo(3));
        Assert.That(_host.Bar(0).Read32(Finished), Is.Zero);
    }

    [Test]
    public void DONE_asserts_INTx_until_it_is_cleared_and_only_when_enabled()
    {
        Start(Sum, 0, 0, 4);
        Assert.That(_host.IntxAsserted, Is.False);
        _host.Bar(0).Write32(Control, InterruptEnable);
        Assert.That(_host.IntxAsserted);
        _host.Bar(0).Write32(Status, Done);
        Assert.That(_host.IntxAsserted, Is.False);
    }

    [Test]
    public void IRQ_LEVEL_drives_INTx_by_hand()
    {
        _host.Bar(0).Write32(IrqLevel, 0x8000_0001);
        _host.Bar(0).Write32(IrqLevel, 0x8000_0000);
        Assert.That(_host.IntxAsserted);
        _host.Bar(0).Write32(IrqLevel, 0);
        Assert.That(_host.IntxAsserted, Is.False);
        Assert.That(_host.IntxRises, Is.EqualTo(1));
    }

    [Test]
    public void With_MSI_X_DONE_sends_the_vector_CONTROL_names()
    {
        UseMsiX();
        Start(Sum | InterruptEnable | 5 << 8, 0, 0, 4);
        Assert.That(_host.Messages, Is.EqualTo(new[] { new FakePciHost.Message(InterruptKind.MsiX, 5, 0xfee0_0000, 105) }));
        Assert.That(_host.IntxRises, Is.Zero);
    }

    [Test]
    public void With_MSI_X_each_rising_level_and_each_pulse_sends_its_own_vector()
    {
        UseMsiX();
        _host.Bar(0).Write32(IrqLevel, 0b0100);
        _host.Bar(0).Write32(IrqLevel, 0b0110);
        _host.Bar(0).Write32(IrqPulse, 7);
        _host.Bar(0).Write32(IrqPulse, 7);
        _host.Bar(0).Write32(IrqPulse, 8);
        Assert.That(_host.Messages.Select(m => m.Vector), Is.EqualTo(new[] { 2, 1, 7, 7 }));
    }

    [Test]
    public void With_MSI_the_vectors_fold_to_those_the_driver_allocated()
    {
        int msi = _host.FindCapability(0x05);
        _host.Config.Write32(msi + 4, 0xfee0_1000);
        _host.Config.Write16(msi + 0xc, 0x40);
        _host.Config.Write16(msi + 2, 1 | 1 << 4);
        _host.Bar(0).Write32(IrqPulse, 3);
        Assert.That(_host.Messages, Is.EqualTo(new[] { new FakePciHost.Message(InterruptKind.Msi, 1, 0xfee0_1000, 0x41) }));
    }

    [Test]
    public void Pulses_do_nothing_while_INTx_is_in_use()
    {
        _host.Bar(0).Write32(IrqPulse, 0);
        Assert.That(_host.IntxRises, Is.Zero);
        Assert.That(_host.Messages, Is.Empty);
    }

    [Test]
    public void The_engine_works_from_an_IO_BAR_too()
    {
        var host = new FakePciHost();
        host.Plug(new ScratchFunction(ScratchModels.Legacy, host.Slot));
        host.Bar(0).Write32(Length, 4);
        host.Bar(0).Write32(Pattern, 9);
        host.Bar(0).Write32(Control, Go | Fill | InterruptEnable);
        Assert.That(host.Memory.Ram[..4].ToArray(), Is.All.EqualTo(9));
        Assert.That(host.IntxAsserted);
        // Beside the engine the BAR has its plain registers.
        host.Bar(0).Write32(0x40, 0x1234_5678);
        Assert.That(host.Bar(0).Read16(0x42), Is.EqualTo(0x1234));
    }

    private void Start(uint control, ulong source, ulong destination, uint length)
    {
        _host.Bar(0).Write64(Source, source);
        _host.Bar(0).Write64(Destination, destination);
        _host.Bar(0).Write32(Length, length);
        _host.Bar(0).Write32(Control, control | Go);
    }

    private void FunctionLevelReset()
    {
        _host.Config.Write16(_host.FindCapability(0x10) + 8, 0x8000);
        _host.Config.Write16(0x04, 0x0007);
    }

    private void UseMsiX()
    {
        for (int i = 0; i < 8; i++)
        {
            _host.Bar(5).Write64(i * 16, 0xfee0_0000);
            _host.Bar(5).Write32((i * 16) + 8, (uint)(100 + i));
            _host.Bar(5).Write32((i * 16) + 12, 0);
        }
        _host.Config.Write16(_host.FindCapability(0x11) + 2, 0x8000);
    }
}
