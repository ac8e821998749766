using Emulator.Pci;
using Emulator.Testing;

namespace Emulator.Tests.Core;

[Category("Unit")]
public sealed class ConfigurationSpaceTests
{
    // PCI 3.0, figure 6-1.
    private const int Command = 0x04, Status = 0x06, CapabilitiesPointer = 0x34;

    [Test]
    public void The_header_shows_the_identity()
    {
        var identity = new PciIdentity(0x8086, 0x4229, 0x028000) { Revision = 0x61, SubsystemVendor = 0x17aa, Subsystem = 0x1100, InterruptPin = 2 };
        FakePciHost host = Plug(_ => { }, identity);
        Assert.That(host.Config.Read32(0x00), Is.EqualTo(0x4229_8086));
        Assert.That(host.Config.Read32(0x08), Is.EqualTo(0x0280_0061));
        Assert.That(host.Config.Read32(0x2c), Is.EqualTo(0x1100_17aa));
        Assert.That(host.Config.Read16(0x3c), Is.EqualTo(0x0200));
        Assert.That(host.Config.Read8(0x0e), Is.Zero, "header type 0, single function");
        Assert.That(host.Function.Identity.ToString(), Is.EqualTo("8086:4229"));
    }

    [Test]
    public void Only_the_writable_bits_of_the_header_take_a_write()
    {
        FakePciHost host = Plug(_ => { });
        byte[] before = host.Config.ReadBytes(0, 0x40);
        for (int i = 0; i < 0x40; i += 4) host.Config.Write32(i, 0xffff_ffff);
        byte[] after = host.Config.ReadBytes(0, 0x40);
        var changed = new Dictionary<int, byte>();
        for (int i = 0; i < 0x40; i++) if (before[i] != after[i]) changed.Add(i, after[i]);
        Assert.That(changed, Is.EquivalentTo(new Dictionary<int, byte> { [4] = 0x47, [5] = 0x05, [0x0c] = 0xff, [0x0d] = 0xff, [0x3c] = 0xff }));
    }

    [TestCase(BarKind.Io, 0x4ul, 0xffff_fffdul)]
    [TestCase(BarKind.Io, 0x100ul, 0xffff_ff01ul)]
    [TestCase(BarKind.Memory32, 0x10ul, 0xffff_fff0ul)]
    [TestCase(BarKind.Memory32, 0x1000ul, 0xffff_f000ul)]
    [TestCase(BarKind.Memory32, 0x8000_0000ul, 0x8000_0000ul)]
    [TestCase(BarKind.Memory64, 0x1000ul, 0xffff_ffff_ffff_f004ul)]
    [TestCase(BarKind.Memory64, 0x8000_0000ul, 0xffff_ffff_8000_0004ul)]
    [TestCase(BarKind.Memory64, 0x1_0000_0000ul, 0xffff_ffff_0000_0004ul)]
    [TestCase(BarKind.Memory64, 0x100_0000_0000ul, 0xffff_ff00_0000_0004ul)]
    public void Writing_all_ones_to_a_BAR_tells_its_size(BarKind kind, ulong size, ulong expected)
    {
        FakePciHost host = Plug(f => f.MapBar(2, kind, size));
        Assert.That(host.Config.Read32(0x18), Is.EqualTo((uint)expected & (kind == BarKind.Io ? 3u : 15u)), "before sizing");
        host.Config.Write32(0x18, 0xffff_ffff);
        host.Config.Write32(0x1c, 0xffff_ffff);
        ulong read = host.Config.Read32(0x18) | (ulong)host.Config.Read32(0x1c) << 32;
        Assert.That(read, Is.EqualTo(expected));
    }

    [Test]
    public void Prefetchable_is_shown_and_the_address_comes_without_type_bits()
    {
        FakePciHost host = Plug(f =>
        {
            f.MapBar(0, BarKind.Memory64, 0x4000, prefetchable: true);
            f.MapBar(5, BarKind.Io, 8);
        });
        host.Config.Write64(0x10, 0x1234_5678_9abc_def0);
        host.Config.Write32(0x24, 0xe00d);
        Assert.That(host.Config.Read32(0x10), Is.EqualTo(0x9abc_c00c));
        Assert.That(host.Function.Configuration.BarAddress(host.Function.Bars[0]!), Is.EqualTo(0x1234_5678_9abc_c000));
        Assert.That(host.Function.Configuration.BarAddress(host.Function.Bars[5]!), Is.EqualTo(0xe008));
    }

    [Test]
    public void An_absent_BAR_and_ROM_are_hardwired_to_zero()
    {
        FakePciHost host = Plug(f => f.MapBar(0, BarKind.Memory32, 16));
        foreach (int at in new[] { 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30 })
        {
            host.Config.Write32(at, 0xffff_ffff);
            Assert.That(host.Config.Read32(at), Is.Zero, $"0x{at:x}");
        }
    }

    [TestCase(6, BarKind.Io)]
    [TestCase(-1, BarKind.Io)]
    [TestCase(5, BarKind.Memory64)]
    [TestCase(0, BarKind.Memory32, Description = "taken")]
    [TestCase(3, BarKind.Memory32, Description = "the upper half of a 64-bit BAR")]
    [TestCase(1, BarKind.Memory64, Description = "would take BAR2 too")]
    public void A_BAR_that_is_not_free_is_refused(int index, BarKind kind)
        => Assert.That(() => Plug(f =>
        {
            f.MapBar(0, BarKind.Memory32, 16);
            f.MapBar(2, BarKind.Memory64, 16);
            f.MapBar(index, kind, 16);
        }), Throws.ArgumentException.With.Message.Contains($"BAR{index}"));

    [TestCase(BarKind.Io, 2ul)]
    [TestCase(BarKind.Io, 512ul)]
    [TestCase(BarKind.Memory32, 8ul)]
    [TestCase(BarKind.Memory32, 24ul)]
    [TestCase(BarKind.Memory32, 0ul)]
    [TestCase(BarKind.Memory32, 0x1_0000_0000ul)]
    [TestCase(BarKind.Memory64, 0x200_0000_0000ul)]
    public void A_BAR_of_a_size_that_cannot_be_is_refused(BarKind kind, ulong size)
        => Assert.That(() => Plug(f => f.MapBar(0, kind, size)), Throws.ArgumentException.With.Message.Contains("BAR0"));

    [Test]
    public void STATUS_error_bits_are_cleared_by_writing_one()
    {
        FakePciHost host = Plug(_ => { });
        host.Function.Configuration.Registers.Single(r => r.Name == "STATUS").Value |= 0x3100;
        host.Config.Write16(Status, 0x2100);
        Assert.That(host.Config.Read16(Status), Is.EqualTo(0x1000));
        host.Config.Write16(Status, 0xcfff);
        Assert.That(host.Config.Read16(Status), Is.EqualTo(0x1000));
    }

    [Test]
    public void A_byte_write_to_COMMAND_leaves_STATUS_alone()
    {
        FakePciHost host = Plug(_ => { });
        host.Function.Configuration.Registers.Single(r => r.Name == "STATUS").Value |= 0x8000;
        host.Config.Write8(Command, 0x02);
        host.Config.Write16(Command, 0x0406);
        Assert.That(host.Config.Read32(Command), Is.EqualTo(0x8000_0406));
    }

    [Test]
    public void Without_capabilities_there_is_no_list()
    {
        FakePciHost host = Plug(_ => { });
        Assert.That(host.Config.Read16(Status) & 0x10, Is.Zero);
        Assert.That(host.Config.Read8(CapabilitiesPointer), Is.Zero);
    }

    [Test]
    public void The_capability_chain_has_each_once_in_order_and_none_overlaps()
    {
        FakePciHost host = Plug(f =>
        {
            f.AddPciExpress();
            f.AddPowerManagement();
            f.AddMsi(8);
            f.AddMsiX(4, f.MapBar(0, BarKind.Memory32, 0x1000), 0, 0x800);
            f.AddVendorSpecific([1, 2, 3, 4, 5, 6]);
            f.AddVendorSpecific([0xaa]);
        });
        Assert.That(host.Config.Read16(Status) & 0x10, Is.EqualTo(0x10));
        List<(int At, byte Id)> chain = Chain(host);
        Assert.That(chain.Select(c => c.Id), Is.EqualTo(new byte[] { 0x10, 0x01, 0x05, 0x11, 0x09, 0x09 }));
        // The lengths the specifications give.
        int[] lengths = [0x3c, 8, 0x18, 12, 9, 4];
        for (int i = 0; i < chain.Count; i++)
        {
            for (int j = 0; j < i; j++)
                Assert.That(chain[i].At >= chain[j].At + lengths[j] || chain[j].At >= chain[i].At + lengths[i], $"{chain[i]} and {chain[j]}");
        }
    }

    [Test]
    public void Capabilities_can_be_where_a_real_card_has_them_and_others_go_round_them()
    {
        FakePciHost host = Plug(f =>
        {
            f.AddPowerManagement(offset: 0xc8);
            f.AddMsi(offset: 0x44);
            f.AddAdvancedFeatures();
        });
        Assert.That(Chain(host), Is.EqualTo(new[] { (0xc8, (byte)0x01), (0x44, (byte)0x05), (0x5c, (byte)0x13) }));
    }

    [TestCase(0x3c)]
    [TestCase(0x42)]
    [TestCase(0xfc)]
    [TestCase(0x100)]
    [TestCase(-4)]
    [TestCase(0x50, Description = "inside a hole of the PCI Express capability")]
    public void A_capability_that_does_not_fit_where_it_is_put_is_refused(int offset)
        => Assert.That(() => Plug(f =>
        {
            f.AddPciExpress(offset: 0x40);
            f.AddPowerManagement(offset: offset);
        }), Throws.ArgumentException.With.Message.Contains("CONFIG.PM"));

    [Test]
    public void When_the_room_is_used_up_that_is_said()
        => Assert.That(() => Plug(f =>
        {
            f.AddVendorSpecific(new byte[150]);
            f.AddVendorSpecific(new byte[40]);
        }), Throws.ArgumentException.With.Message.Contains("no room"));

    [Test]
    public void Vendor_specific_bytes_come_after_their_length_and_are_read_only()
    {
        FakePciHost host = Plug(f => f.AddVendorSpecific([0xde, 0xad, 0xbe]));
        int at = host.FindCapability(0x09);
        host.Config.WriteBytes(at, new byte[6]);
        Assert.That(host.Config.ReadBytes(at, 6), Is.EqualTo(new byte[] { 0x09, 0, 6, 0xde, 0xad, 0xbe }));
        Assert.That(() => Plug(f => f.AddVendorSpecific(new byte[253])), Throws.ArgumentException.With.Message.Contains("252"));
    }

    [Test]
    public void Conventional_configuration_space_has_256_bytes_and_that_of_PCI_Express_4096()
    {
        FakePciHost conventional = Plug(_ => { }), express = Plug(f => f.AddPciExpress());
        Assert.That(conventional.Function.RegionSize(PciRegion.Configuration), Is.EqualTo(256));
        Assert.That(conventional.Config.Read32(0x100), Is.EqualTo(0xffff_ffff));
        Assert.That(conventional.Config.Read32(0xfe), Is.EqualTo(0xffff_ffff), "straddles the end");
        Assert.That(express.Function.RegionSize(PciRegion.Configuration), Is.EqualTo(4096));
        Assert.That(express.Config.Read32(0x100), Is.Zero, "no extended capability");
        Assert.That(express.Config.Read32(0xffc), Is.Zero);
    }

    [Test]
    public void The_PCI_Express_capability_is_that_of_a_version_2_endpoint_with_FLR()
    {
        FakePciHost host = Plug(f => f.AddPciExpress());
        int at = host.FindCapability(0x10);
        Assert.That(host.Config.Read16(at + 2), Is.EqualTo(0x0002));
        Assert.That(host.Config.Read32(at + 4), Is.EqualTo(1u << 28 | 1u << 15));
        Assert.That(host.Config.Read16(at + 8), Is.EqualTo(0x2810));
        host.Config.Write16(at + 8, 0x7fff);
        Assert.That(host.Config.Read16(at + 8), Is.EqualTo(0x78ff), "what is writable, and the reset bit reads zero");
    }

    private static List<(int At, byte Id)> Chain(FakePciHost host)
    {
        var chain = new List<(int, byte)>();
        for (int at = host.Config.Read8(CapabilitiesPointer); at != 0; at = host.Config.Read8(at + 1)) chain.Add((at, host.Config.Read8(at)));
        return chain;
    }

    private static FakePciHost Plug(Action<TestFunction> build, PciIdentity? identity = null)
    {
        var host = new FakePciHost();
        host.Plug(new TestFunction(host.Slot, build, identity), enable: false);
        return host;
    }
}
