using Emulator.Interrupts;
using Emulator.Memory;
using Emulator.Pci;
using Emulator.Testing;
using Emulator.Time;
using Emulator.Turns;

namespace Emulator.Tests.Core;

[Category("Unit")]
public sealed class InterruptTests
{
    // PCI 3.0, 6.8.1 and 6.8.2: bits of Message Control.
    private const ushort MsiEnable = 1, MsiXEnable = 0x8000, FunctionMask = 0x4000, InterruptStatus = 0x08;
    private const int MsiX = 0x11, Msi = 0x05, PowerManagement = 0x01, Express = 0x10;

    private FakePciHost _host = null!;
    private TestFunction _function = null!;
    private InterruptSource[] _sources = null!;

    [SetUp]
    public void SetUp() => Plug();

    [Test]
    public void INTx_is_the_OR_of_the_sources_and_Interrupt_Status_shows_it()
    {
        _sources[0].Level = true;
        _sources[1].Level = true;
        _sources[0].Level = false;
        Assert.That((_host.IntxAsserted, _host.IntxRises, Status), Is.EqualTo((true, 1, InterruptStatus)));
        _sources[1].Level = false;
        Assert.That((_host.IntxAsserted, Status), Is.EqualTo((false, 0)));
    }

    [Test]
    public void Interrupt_Disable_holds_the_line_but_not_Interrupt_Status()
    {
        _host.Config.Write16(4, 0x0407);
        _sources[0].Level = true;
        Assert.That((_host.IntxAsserted, Status), Is.EqualTo((false, InterruptStatus)));
        _host.Config.Write16(4, 0x0007);
        Assert.That((_host.IntxAsserted, Status), Is.EqualTo((true, InterruptStatus)));
        _host.Config.Write16(4, 0x0407);
        Assert.That((_host.IntxAsserted, Status), Is.EqualTo((false, InterruptStatus)));
    }

    [Test]
    public void INTx_does_not_need_Bus_Master_Enable()
    {
        _host.Config.Write16(4, 0);
        _sources[0].Level = true;
        Assert.That(_host.IntxAsserted);
    }

    [Test]
    public void A_function_without_a_pin_asserts_none()
    {
        Plug(identity: new PciIdentity(1, 2, 3) { InterruptPin = 0 });
        _sources[0].Level = true;
        Assert.That((_host.IntxRises, Status, _function.Interrupts.CountOf(InterruptKind.Intx)), Is.EqualTo((0, 0, 0)));
    }

    [Test]
    public void A_pulse_does_nothing_while_INTx_is_in_use()
    {
        _function.Interrupts.Pulse(0);
        EnableMsiX();
        Assert.That((_host.IntxRises, _host.Messages.Count), Is.EqualTo((0, 0)));
    }

    [Test]
    public void MSI_X_sends_address_and_data_of_the_table_at_each_rising_level()
    {
        EnableMsiX();
        _sources[2].Level = true;
        _sources[2].Level = true;
        Assert.That(_host.Messages, Is.EqualTo(new[] { new FakePciHost.Message(InterruptKind.MsiX, 2, 0xfee0_2000, 0x4002) }));
        _sources[2].Level = false;
        _sources[2].Level = true;
        Assert.That(_host.Messages, Has.Count.EqualTo(2));
        Assert.That((_host.IntxRises, Status), Is.EqualTo((0, 0)));
    }

    [Test]
    public void A_vector_masked_in_the_table_stays_pending_and_is_delivered_once_when_unmasked()
    {
        EnableMsiX();
        Mask(1, true);
        _sources[1].Level = true;
        _function.Interrupts.Pulse(1);
        Assert.That((Pending, _host.Messages.Count), Is.EqualTo((0b10, 0)));
        Mask(1, false);
        Assert.That((Pending, _host.Messages.Count), Is.EqualTo((0, 1)));
        Mask(1, true);
        Mask(1, false);
        Assert.That(_host.Messages, Has.Count.EqualTo(1));
    }

    [Test]
    public void The_function_mask_holds_every_vector()
    {
        EnableMsiX(FunctionMask);
        foreach (InterruptSource source in _sources) source.Level = true;
        Assert.That((Pending, _host.Messages.Count), Is.EqualTo((0b1111, 0)));
        Mask(3, true);
        _host.Config.Write16(_host.FindCapability(MsiX) + 2, MsiXEnable);
        Assert.That(_host.Messages.Select(m => m.Vector), Is.EqualTo(new[] { 0, 1, 2 }));
        Assert.That(Pending, Is.EqualTo(0b1000));
    }

    [Test]
    public void A_pending_vector_whose_cause_has_gone_is_forgotten()
    {
        EnableMsiX(FunctionMask);
        _sources[1].Level = true;
        _sources[1].Level = false;
        Assert.That(Pending, Is.Zero);
        _host.Config.Write16(_host.FindCapability(MsiX) + 2, MsiXEnable);
        Assert.That(_host.Messages, Is.Empty);
    }

    [Test]
    public void A_pending_vector_is_kept_while_another_cause_of_it_lasts()
    {
        InterruptSource twin = _function.Interrupts.CreateSource(1);
        EnableMsiX(FunctionMask);
        _sources[1].Level = true;
        twin.Level = true;
        _sources[1].Level = false;
        Assert.That(Pending, Is.EqualTo(0b10));
        twin.Level = false;
        Assert.That(Pending, Is.Zero);
    }

    [Test]
    public void A_pulse_that_is_pending_outlives_a_level_that_falls()
    {
        EnableMsiX(FunctionMask);
        _function.Interrupts.Pulse(1);
        _sources[1].Level = true;
        _sources[1].Level = false;
        Assert.That(Pending, Is.EqualTo(0b10));
        _host.Config.Write16(_host.FindCapability(MsiX) + 2, MsiXEnable);
        Assert.That(_host.Messages, Has.Count.EqualTo(1));
    }

    [Test]
    public void The_pending_bit_array_cannot_be_written()
    {
        EnableMsiX();
        _host.Bar(0).Write64(0x800, ulong.MaxValue);
        Assert.That(Pending, Is.Zero);
    }

    [Test]
    public void The_table_answers_dwords_and_quadwords_only()
    {
        _host.Bar(0).Write64(0, 0x1122_3344_5566_7788);
        Assert.That(_host.Bar(0).Read64(0), Is.EqualTo(0x1122_3344_5566_7788));
        Assert.That(_host.Bar(0).Read32(4), Is.EqualTo(0x1122_3344));
        _host.Bar(0).Write8(0, 0xff);
        Assert.That(_host.Bar(0).Read32(0), Is.EqualTo(0x5566_7788));
        Assert.That(_host.Reports, Has.Some.Contains("width"));
    }

    [Test]
    public void Vectors_are_masked_at_reset()
    {
        Assert.That(_host.Bar(0).Read32(12), Is.EqualTo(1));
        _host.Bar(0).Write32(12, 0);
        _function.Reset(ResetKind.Bus);
        _host.Config.Write16(4, 7);
        Assert.That(_host.Bar(0).Read32(12), Is.EqualTo(1));
    }

    [Test]
    public void A_vector_the_table_does_not_have_is_lost()
    {
        EnableMsiX();
        _function.Interrupts.Pulse(4);
        _function.Interrupts.Pulse(-1);
        _function.Interrupts.CreateSource(99).Level = true;
        Assert.That((_host.Messages.Count, Pending), Is.EqualTo((0, 0)));
    }

    [TestCase(0, 1)]
    [TestCase(1, 2)]
    [TestCase(2, 4)]
    [TestCase(3, 4, Description = "more than the function offers")]
    [TestCase(7, 4)]
    public void MSI_folds_to_the_vectors_allocated(int log2, int distinct)
    {
        EnableMsi(log2);
        for (int i = 0; i < 8; i++) _function.Interrupts.Pulse(i);
        Assert.That(_host.Messages, Has.Count.EqualTo(8));
        Assert.That(_host.Messages.Select(m => m.Data).Distinct().Order(), Is.EqualTo(Enumerable.Range(0x30, distinct)));
    }

    [Test]
    public void MSI_masks_pend_and_deliver_once()
    {
        EnableMsi(log2: 2);
        int at = _host.FindCapability(Msi);
        _host.Config.Write32(at + 0x10, 0b0110);
        foreach (InterruptSource source in _sources) source.Level = true;
        Assert.That(_host.Config.Read32(at + 0x14), Is.EqualTo(0b0110));
        Assert.That(_host.Messages.Select(m => m.Vector), Is.EqualTo(new[] { 0, 3 }));
        _sources[2].Level = false;
        Assert.That(_host.Config.Read32(at + 0x14), Is.EqualTo(0b0010), "its cause has gone");
        _host.Config.Write32(at + 0x10, 0);
        Assert.That(_host.Messages.Select(m => m.Vector), Is.EqualTo(new[] { 0, 3, 1 }));
        Assert.That(_host.Config.Read32(at + 0x14), Is.Zero);
    }

    [Test]
    public void A_32_bit_MSI_capability_has_its_fields_four_bytes_earlier()
    {
        Plug(f => f.AddMsi(1, wide: false));
        int at = _host.FindCapability(Msi);
        Assert.That(_host.Config.Read16(at + 2), Is.EqualTo(0x0100));
        _host.Config.Write32(at + 4, 0xfee0_0000);
        _host.Config.Write16(at + 8, 0x41);
        _host.Config.Write16(at + 2, MsiEnable);
        _host.Config.Write32(at + 0xc, 1);
        _sources[0].Level = true;
        Assert.That(_host.Config.Read32(at + 0x10), Is.EqualTo(1));
        _host.Config.Write32(at + 0xc, 0);
        Assert.That(_host.Messages, Is.EqualTo(new[] { new FakePciHost.Message(InterruptKind.Msi, 0, 0xfee0_0000, 0x41) }));
    }

    [Test]
    public void What_is_asserted_when_messages_are_enabled_is_sent_and_the_line_released()
    {
        _sources[1].Level = true;
        Assert.That(_host.IntxAsserted);
        EnableMsiX();
        Assert.That((_host.IntxAsserted, Status), Is.EqualTo((false, 0)));
        Assert.That(_host.Messages.Select(m => m.Vector), Is.EqualTo(new[] { 1 }));
        _host.Config.Write16(_host.FindCapability(MsiX) + 2, 0);
        Assert.That((_host.IntxAsserted, Status), Is.EqualTo((true, InterruptStatus)));
    }

    [Test]
    public void MSI_X_goes_before_MSI_when_both_are_enabled()
    {
        EnableMsi(0);
        EnableMsiX();
        Assert.That(_function.Interrupts.Mode, Is.EqualTo(InterruptKind.MsiX));
    }

    [Test]
    public void Messages_wait_for_Bus_Master_Enable()
    {
        EnableMsiX();
        _host.Config.Write16(4, 0x0003);
        _sources[0].Level = true;
        _function.Interrupts.Pulse(3);
        Assert.That((_host.Messages.Count, Pending), Is.EqualTo((0, 0b1001)));
        _host.Config.Write16(4, 0x0007);
        Assert.That(_host.Messages.Select(m => m.Vector), Is.EqualTo(new[] { 0, 3 }));
    }

    [Test]
    public void AlwaysDecodes_lets_messages_leave_too()
    {
        EnableMsiX();
        _host.Config.Write16(4, 0);
        _function.AlwaysDecodes = true;
        _sources[0].Level = true;
        Assert.That(_host.Messages, Has.Count.EqualTo(1));
    }

    [Test]
    public void In_D3hot_nothing_is_sent_and_nothing_is_lost()
    {
        Plug(f => f.AddPowerManagement(softReset: false));
        EnableMsiX();
        int at = _host.FindCapability(PowerManagement);
        _host.Config.Write16(at + 4, 3);
        _sources[0].Level = true;
        Assert.That(_host.Messages, Is.Empty);
        _host.Config.Write16(at + 4, 0);
        Assert.That(_host.Messages.Select(m => m.Vector), Is.EqualTo(new[] { 0 }));
    }

    [Test]
    public void In_D3hot_INTx_is_released_and_comes_back()
    {
        Plug(f => f.AddPowerManagement(softReset: false));
        _sources[0].Level = true;
        int at = _host.FindCapability(PowerManagement);
        _host.Config.Write16(at + 4, 3);
        Assert.That(_host.IntxAsserted, Is.False);
        _host.Config.Write16(at + 4, 0);
        Assert.That(_host.IntxAsserted);
    }

    [TestCase(ResetKind.PowerOn)]
    [TestCase(ResetKind.Bus)]
    [TestCase(ResetKind.FunctionLevel)]
    public void A_reset_ends_every_interrupt_and_makes_none(ResetKind kind)
    {
        EnableMsiX();
        _sources[0].Level = true;
        Mask(1, true);
        _sources[1].Level = true;
        _function.Interrupts.Pulse(1);
        _host.Messages.Clear();
        _function.Reset(kind);
        Assert.That((_host.IntxRises, _host.IntxAsserted, Status, _host.Messages.Count), Is.EqualTo((0, false, 0, 0)));
        Assert.That(_sources.Any(s => s.Level), Is.False);
        Assert.That(_function.Interrupts.Mode, Is.EqualTo(InterruptKind.Intx));
        _host.Config.Write16(4, 7);
        EnableMsiX();
        Assert.That((_host.Messages.Count, Pending), Is.EqualTo((0, 0)));
    }

    [Test]
    public void A_reset_releases_an_asserted_line()
    {
        _sources[0].Level = true;
        _function.Reset(ResetKind.Bus);
        Assert.That((_host.IntxAsserted, _host.IntxRises), Is.EqualTo((false, 1)));
    }

    [Test]
    public void More_than_16_vectors_are_refused_unless_that_is_meant()
    {
        Assert.That(() => Build(f => f.AddMsiX(17, f.MapBar(0, BarKind.Memory32, 0x2000), 0, 0x1000)),
            Throws.ArgumentException.With.Message.Contains("allowMany"));
        Assert.That(() => Build(f => f.AddMsiX(2049, f.MapBar(0, BarKind.Memory32, 0x10000), 0, 0x9000, allowMany: true)),
            Throws.ArgumentException.With.Message.Contains("2048"));
        TestFunction many = Build(f => f.AddMsiX(100, f.MapBar(0, BarKind.Memory32, 0x2000), 0, 0x1000, allowMany: true));
        Assert.That(many.Interrupts.CountOf(InterruptKind.MsiX), Is.EqualTo(100));
    }

    [TestCase(3)]
    [TestCase(0)]
    [TestCase(64)]
    public void MSI_takes_powers_of_two_to_32_only(int vectors)
        => Assert.That(() => Build(f => f.AddMsi(vectors)), Throws.ArgumentException.With.Message.Contains("MSI"));

    [Test]
    public void An_MSI_X_table_needs_an_aligned_place_of_its_own_in_a_memory_BAR()
    {
        Assert.That(() => Build(f => f.AddMsiX(1, f.MapBar(0, BarKind.Io, 0x100), 0, 0x80)), Throws.ArgumentException);
        Assert.That(() => Build(f => f.AddMsiX(1, f.MapBar(0, BarKind.Memory32, 0x1000), 4, 0x80)), Throws.ArgumentException);
        Assert.That(() => Build(f => f.AddMsiX(16, f.MapBar(0, BarKind.Memory32, 0x1000), 0, 0x80)),
            Throws.ArgumentException.With.Message.Contains("overlaps"));
        Assert.That(() => Build(f => f.AddMsiX(1, f.MapBar(0, BarKind.Memory32, 0x1000), 0xff8, 0x80)), Throws.ArgumentException.With.Message.Contains("fit"));
    }

    [Test]
    public void A_client_that_arms_vectors_without_the_enable_bit_gets_them_and_its_masks_replace_the_table()
    {
        var slot = new ArmedSlot();
        var function = new TestFunction(slot, f => f.AddMsiX(4, f.MapBar(0, BarKind.Memory32, 0x1000), 0, 0x800));
        function.Reset(ResetKind.PowerOn);
        function.Write(PciRegion.Configuration, 4, 2, 6);
        InterruptSource source = function.Interrupts.CreateSource(2);
        source.Level = true;
        Assert.That(slot.Intx, Is.EqualTo(new[] { true }));
        slot.Armed = true;
        function.Interrupts.RouteAttached(InterruptKind.MsiX);
        Assert.That(slot.Intx, Is.EqualTo(new[] { true, false }));
        Assert.That(slot.Sent, Is.Empty, "no route yet");
        Assert.That(function.Read(0, 0x800, 8), Is.EqualTo(0b100));
        slot.Routed = true;
        function.Interrupts.RouteAttached(InterruptKind.MsiX);
        Assert.That(slot.Sent, Is.EqualTo(new[] { 2 }));
        Assert.That(function.Read(0, 0x800, 8), Is.Zero);
    }

    [Test]
    public void Interrupts_allocate_nothing()
    {
        _host.Messages.Capacity = 100_000;
        EnableMsiX();
        Assert.That(Allocations.BytesOf(() => Toggle(1_000)), Is.Zero);
    }

    private void Toggle(int count)
    {
        for (int i = 0; i < count; i++)
        {
            _sources[i & 3].Level = (i & 4) != 0;
            _function.Interrupts.Pulse(i & 7);
        }
    }

    private ushort Status => (ushort)(_host.Config.Read16(6) & InterruptStatus);

    private int Pending => (int)_host.Bar(0).Read64(0x800);

    private void Mask(int vector, bool masked) => _host.Bar(0).Write32((vector * 16) + 12, masked ? 1u : 0);

    private void EnableMsiX(ushort more = 0)
    {
        for (int i = 0; i < 4; i++)
        {
            _host.Bar(0).Write64(i * 16, 0xfee0_0000 + ((ulong)i << 12));
            _host.Bar(0).Write32((i * 16) + 8, 0x4000 + (uint)i);
            Mask(i, false);
        }
        _host.Config.Write16(_host.FindCapability(MsiX) + 2, (ushort)(MsiXEnable | more));
    }

    private void EnableMsi(int log2)
    {
        int at = _host.FindCapability(Msi);
        _host.Config.Write32(at + 4, 0xfee0_0000);
        _host.Config.Write16(at + 0xc, 0x30);
        _host.Config.Write16(at + 2, (ushort)(MsiEnable | log2 << 4));
    }

    private void Plug(Action<TestFunction>? more = null, PciIdentity? identity = null)
    {
        _host = new FakePciHost();
        _function = new TestFunction(_host.Slot, f =>
        {
            f.AddMsiX(4, f.MapBar(0, BarKind.Memory32, 0x1000), 0, 0x800);
            if (more is null)
            {
                f.AddMsi(4);
                f.AddPciExpress();
            }
            more?.Invoke(f);
        }, identity);
        _host.Plug(_function);
        _sources = [.. Enumerable.Range(0, 4).Select(i => _function.Interrupts.CreateSource(i))];
    }

    private static TestFunction Build(Action<TestFunction> build) => new(new DetachedSlot(), build);

    private sealed class ArmedSlot : PciSlot, IInterruptPins
    {
        private readonly DetachedSlot _rest = new();

        public bool Armed { get; set; }
        public bool Routed { get; set; }
        public List<int> Sent { get; } = [];
        public List<bool> Intx { get; } = [];
        public override IGuestMemory Memory => _rest;
        public override IInterruptPins Pins => this;
        public override IDeviceClock Clock => _rest.Clock;
        public override IMailbox Mailbox => _rest.Mailbox;
        public bool FollowsMsiXTable => false;
        public override BarMemory CreateBarMemory(int length) => _rest.CreateBarMemory(length);
        public override void Report(string text) { }
        public bool IsArmed(InterruptKind kind) => Armed && kind == InterruptKind.MsiX;
        public void SetIntx(bool asserted) => Intx.Add(asserted);

        public bool TrySend(InterruptKind kind, int vector)
        {
            if (Routed) Sent.Add(vector);
            return Routed;
        }
    }
}
