using Emulator.Pci;
using Emulator.Registers;
using Emulator.Testing;

namespace Emulator.Tests.Core;

[Category("Unit")]
public sealed class ResetTests
{
    private const int PowerManagement = 0x01, Express = 0x10, AdvancedFeatures = 0x13;

    private FakePciHost _host = null!;
    private TestFunction _function = null!;

    [Test]
    public void A_function_level_reset_by_PCI_Express_resets_all_but_sticky_bits_and_what_belongs_to_the_link()
    {
        Plug(f => f.AddPciExpress());
        int at = _host.FindCapability(Express);
        Dirty();
        // DEVCTL: Max_Payload_Size 5, MRRS 0; LNKCTL: ASPM 3, RCB, CCC.
        _host.Config.Write16(at + 0x08, 0x00a0);
        _host.Config.Write16(at + 0x10, 0x004b);
        _host.Config.Write16(at + 0x08, 0x80a0);
        Assert.That(_function.Resets, Is.EqualTo(new[] { ResetKind.PowerOn, ResetKind.FunctionLevel }));
        AssertClean(sticky: 0x77);
        Assert.That(_host.Config.Read16(at + 0x08), Is.EqualTo(0x28b0));
        Assert.That(_host.Config.Read16(at + 0x10), Is.EqualTo(0x004b));
        _function.Reset(ResetKind.Bus);
        Assert.That((_host.Config.Read16(at + 0x08), _host.Config.Read16(at + 0x10)), Is.EqualTo(((ushort)0x2810, (ushort)0)));
    }

    [Test]
    public void A_function_level_reset_by_Advanced_Features_does_the_same()
    {
        Plug(f => f.AddAdvancedFeatures());
        int at = _host.FindCapability(AdvancedFeatures);
        Assert.That(_host.Config.Read32(at) >> 16, Is.EqualTo(0x0306), "length 6, TP and FLR");
        Dirty();
        _host.Config.Write8(at + 4, 0);
        Assert.That(_function.Resets, Has.Count.EqualTo(1));
        _host.Config.Write8(at + 4, 1);
        Assert.That(_function.Resets[^1], Is.EqualTo(ResetKind.FunctionLevel));
        AssertClean(sticky: 0x77);
        Assert.That(_host.Config.Read8(at + 4), Is.Zero);
    }

    [Test]
    public void Power_on_resets_sticky_bits_and_clears_RAM()
    {
        Plug(_ => { });
        Dirty();
        _function.Reset(ResetKind.PowerOn);
        AssertClean(sticky: 0x01);
        Assert.That(_function.Peek(1, 0, 4), Is.Zero);
    }

    [Test]
    public void Other_resets_keep_RAM()
    {
        Plug(_ => { });
        Dirty();
        _function.Reset(ResetKind.Bus);
        Assert.That(_function.Peek(1, 0, 4), Is.EqualTo(0x1234_5678));
    }

    [Test]
    public void Waking_from_D3hot_resets_the_function()
    {
        Plug(f => f.AddPowerManagement());
        int at = _host.FindCapability(PowerManagement);
        Assert.That(_host.Config.Read16(at + 2) & 7, Is.EqualTo(3), "PCI PM 1.2");
        Dirty();
        _host.Config.Write16(at + 4, 3);
        Assert.That(_host.Config.Read16(at + 4), Is.EqualTo(3));
        Assert.That(_function.Resets, Has.Count.EqualTo(1));
        Assert.That(_host.Bar(0).Read32(0), Is.EqualTo(0xffff_ffff), "D3hot answers configuration accesses only");
        Assert.That(_function.Memory.TryRead(0, new byte[1]), Is.False);
        Assert.That(_host.Config.Read16(4), Is.EqualTo(7));
        _host.Config.Write16(at + 4, 0);
        Assert.That(_function.Resets[^1], Is.EqualTo(ResetKind.PowerManagement));
        AssertClean(sticky: 0x77);
        Assert.That(_host.Config.Read16(at + 4), Is.Zero);
    }

    [Test]
    public void With_No_Soft_Reset_waking_keeps_the_state()
    {
        Plug(f => f.AddPowerManagement(softReset: false));
        int at = _host.FindCapability(PowerManagement);
        Dirty();
        _host.Config.Write16(at + 4, 3);
        _host.Config.Write16(at + 4, 0);
        Assert.That(_function.Resets, Has.Count.EqualTo(1));
        Assert.That(_host.Config.Read16(at + 4), Is.EqualTo(8));
        Assert.That(_host.Bar(0).Read32(0), Is.EqualTo(0x7777));
        Assert.That(_function.Memory.TryRead(0, new byte[1]));
    }

    [TestCase((ushort)1)]
    [TestCase((ushort)2)]
    public void A_power_state_that_is_not_offered_is_discarded(ushort state)
    {
        Plug(f => f.AddPowerManagement());
        int at = _host.FindCapability(PowerManagement);
        _host.Config.Write16(at + 4, state);
        Assert.That(_host.Config.Read16(at + 4), Is.Zero);
        _host.Config.Write16(at + 4, 3);
        _host.Config.Write16(at + 4, state);
        Assert.That(_host.Config.Read16(at + 4), Is.EqualTo(3));
    }

    [Test]
    public void A_bus_reset_wakes_a_sleeping_function()
    {
        Plug(f => f.AddPowerManagement());
        _host.Config.Write16(_host.FindCapability(PowerManagement) + 4, 3);
        _function.Reset(ResetKind.Bus);
        _host.Config.Write16(4, 7);
        Assert.That(_host.Bar(0).Read32(0), Is.EqualTo(0x0101));
    }

    [Test]
    public void The_model_s_part_runs_last_with_registers_and_gates_at_reset()
    {
        Plug(_ => { });
        Dirty();
        (ulong Value, bool Master) seen = default;
        _function.WhenReset = () => seen = (_function.Peek(0, 0, 2), _function.Memory.IsEnabled);
        _function.Reset(ResetKind.Bus);
        Assert.That(seen, Is.EqualTo((0x0177UL, false)));
    }

    [Test]
    public void Nothing_can_be_defined_once_the_function_has_been_powered_on()
    {
        Plug(_ => { });
        Assert.That(() => _function.AddMsi(), Throws.InvalidOperationException.With.Message.Contains("CONFIG"));
        Assert.That(() => _function.MapBar(4, BarKind.Io, 4), Throws.InvalidOperationException.With.Message.Contains("BAR4"));
    }

    private void Dirty()
    {
        _host.Bar(0).Write32(0, 0x7777);
        _host.Bar(1).Write32(0, 0x1234_5678);
        _host.Config.Write32(0x10, 0xe000_0000);
        _host.Config.Write8(0x3c, 11);
    }

    private void AssertClean(byte sticky)
    {
        Assert.That(_host.Config.Read16(4), Is.Zero);
        Assert.That(_host.Config.Read32(0x10), Is.Zero);
        Assert.That(_host.Config.Read8(0x3c), Is.Zero);
        Assert.That(_function.Peek(0, 0, 4), Is.EqualTo(0x0100u | sticky));
    }

    private void Plug(Action<TestFunction> more)
    {
        var bank = new TestBank(4);
        bank.Add("R", 0, 4).Bits(7, 0, "STICKY", Access.ReadWrite, reset: 1).Sticky().Bits(15, 8, "PLAIN", Access.ReadWrite, reset: 1);
        _host = new FakePciHost();
        _function = _host.Plug(new TestFunction(_host.Slot, f =>
        {
            f.MapBar(0, BarKind.Memory32, bank);
            f.MapBar(1, BarKind.Memory32, 0x1000).AddRam(0, 0x1000);
            more(f);
        }));
    }
}
