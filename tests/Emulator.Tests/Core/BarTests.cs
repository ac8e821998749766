using Emulator.Pci;
using Emulator.Registers;
using Emulator.Testing;

namespace Emulator.Tests.Core;

[Category("Unit")]
public sealed class BarTests
{
    [Test]
    public void Registers_and_RAM_share_a_BAR()
    {
        FakePciHost host = Plug(f => f.MapBar(0, BarKind.Memory32, 0x4000).AddRam(0x1000, 0x2000, mappable: true).Add(0, Bank(0x10)).Add(0x3000, Bank(0x20)));
        Bar bar = host.Function.Bars[0]!;
        Assert.That(bar.Windows.Select(w => (w.Offset, w.Length, w.Bank is null, w.IsMappable)), Is.EqualTo(new[]
        {
            (0ul, 0x10ul, false, false), (0x1000ul, 0x2000ul, true, true), (0x3000ul, 0x20ul, false, false),
        }));
        host.Bar(0).Write32(0xc, 1);
        host.Bar(0).Write32(0x1000, 2);
        host.Bar(0).Write32(0x301c, 3);
        Assert.That((host.Bar(0).Read32(0xc), host.Bar(0).Read32(0x1000), host.Bar(0).Read32(0x301c)), Is.EqualTo((1u, 2u, 3u)));
        Assert.That(bar.Memory!.Span[0x1000], Is.EqualTo(2), "at the BAR's own offsets");
        Assert.That(host.Function.Banks.Select(b => b.Length), Is.EqualTo(new[] { 0x10, 0x20, 4096 }));
    }

    [TestCase(BarKind.Memory32, 0x00u)]
    [TestCase(BarKind.Io, 0xffu)]
    public void Between_the_windows_memory_reads_zero_and_IO_floats_high(BarKind kind, uint expected)
    {
        FakePciHost host = Plug(f => f.MapBar(0, kind, 0x40).Add(0x10, Bank(0x10)));
        host.Bar(0).Write32(0x20, 0x55);
        Assert.That(host.Bar(0).Read8(0x20), Is.EqualTo(expected));
        Assert.That(host.Function.Peek(0, 0x20, 4), Is.EqualTo(expected * 0x0101_0101u));
    }

    [Test]
    public void Past_the_end_of_a_bank_alone_in_its_BAR_reads_and_peeks_agree()
    {
        FakePciHost host = Plug(f => f.MapBar(0, BarKind.Io, Bank(12)));
        Assert.That(host.Function.RegionSize(0), Is.EqualTo(16));
        host.Bar(0).Write32(8, 0x1122_3344);
        Assert.That(host.Bar(0).Read64(8), Is.EqualTo(0xffff_ffff_1122_3344));
        Assert.That(host.Function.Peek(0, 8, 8), Is.EqualTo(0xffff_ffff_1122_3344));
    }

    [Test]
    public void A_bank_in_a_huge_BAR_is_there_once()
    {
        FakePciHost host = Plug(f => f.MapBar(0, BarKind.Memory64, 1ul << 33).Add(0, Bank(16)));
        host.Function.Write(0, 0, 4, 0x77);
        Assert.That(host.Function.Read(0, 1ul << 32, 4), Is.Zero);
        host.Function.Write(0, 1ul << 32, 4, 0x88);
        Assert.That(host.Function.Read(0, 0, 4), Is.EqualTo(0x77));
    }

    [Test]
    public void An_access_across_an_edge_reaches_both_sides()
    {
        FakePciHost host = Plug(f => f.MapBar(0, BarKind.Memory32, 0x2000).Add(0, Bank(0x1000)).AddRam(0x1000, 0x800).Add(0x1800, Bank(8)));
        foreach (int at in new[] { 0xffc, 0xffe, 0xfff, 0x17fc, 0x17f9, 0x1804 })
        {
            host.Bar(0).Write64(at, 0x8877_6655_4433_2211);
            ulong expected = at == 0x1804 ? 0x4433_2211u : 0x8877_6655_4433_2211;
            Assert.That(host.Bar(0).Read64(at), Is.EqualTo(expected), $"0x{at:x}");
            Assert.That(host.Function.Peek(0, (ulong)at, 8), Is.EqualTo(expected), $"0x{at:x}");
        }
    }

    [Test]
    public void An_access_across_an_edge_is_split_into_halves_not_bytes()
    {
        FakePciHost host = Plug(f => f.MapBar(0, BarKind.Memory32, 0x20).Add(0, Bank(0x10, AccessSizes.Dword)));
        host.Bar(0).Write64(0xc, 0x1111_1111_2222_2222);
        Assert.That(host.Bar(0).Read64(0xc), Is.EqualTo(0x2222_2222));
        Assert.That(host.Reports, Is.Empty);
    }

    [TestCase(1)]
    [TestCase(2)]
    [TestCase(4)]
    [TestCase(8)]
    public void RAM_takes_every_width_at_every_alignment(int size)
    {
        FakePciHost host = Plug(f => f.MapBar(0, BarKind.Memory32, 0x20).AddRam(0, 0x20));
        for (ulong at = 0; at + (ulong)size <= 0x20; at++)
        {
            ulong value = 0xf1e2_d3c4_b5a6_9788 ^ at, expected = value & (ulong.MaxValue >> (64 - (size * 8)));
            host.Function.Write(0, at, size, expected);
            Assert.That(host.Function.Read(0, at, size), Is.EqualTo(expected));
            Assert.That(host.Function.Peek(0, at, size), Is.EqualTo(expected));
        }
    }

    [Test]
    public void Bulk_reads_and_writes_cross_windows_of_every_sort()
    {
        FakePciHost host = Plug(f => f.MapBar(0, BarKind.Memory32, 0x200).Add(0, Bank(0x20)).AddRam(0x20, 0xe0).Add(0x180, Bank(0x40)));
        byte[] bytes = [.. Enumerable.Range(1, 0x1ff).Select(i => (byte)i)];
        host.Bar(0).WriteBytes(1, bytes);
        byte[] expected = [.. bytes];
        // 0x100 .. 0x17f and 0x1c0 .. are nothing.
        expected.AsSpan(0xff, 0x80).Clear();
        expected.AsSpan(0x1bf).Clear();
        Assert.That(host.Bar(0).ReadBytes(1, 0x1ff), Is.EqualTo(expected));
        Assert.That(host.Bar(0).ReadBytes(0x23, 0x55), Is.EqualTo(bytes.AsSpan(0x22, 0x55).ToArray()), "RAM alone");
    }

    [Test]
    public void An_empty_bulk_access_does_nothing()
    {
        FakePciHost host = Plug(f => f.MapBar(0, BarKind.Memory32, 0x20).AddRam(0, 0x20));
        Assert.That(host.Bar(0).ReadBytes(0, 0), Is.Empty);
        host.Bar(0).WriteBytes(0x20, []);
        Assert.That(host.Reports, Is.Empty);
    }

    [Test]
    public void Bulk_pieces_are_as_wide_as_alignment_allows()
    {
        var seen = new EventList();
        FakePciHost host = Plug(f => f.MapBar(0, BarKind.Memory32, Bank(0x40)));
        host.Function.Observer = seen;
        host.Bar(0).ReadBytes(3, 18);
        Assert.That(seen.Events.Select(e => ((int)e.Offset, e.Length)), Is.EqualTo(new[] { (3, 1), (4, 4), (8, 8), (16, 4), (20, 1) }));
    }

    [Test]
    public void Windows_that_overlap_or_do_not_fit_are_refused_and_the_BAR_named()
    {
        FakePciHost host = Plug(f => f.MapBar(3, BarKind.Memory32, 0x2000).AddRam(0x1000, 0x800));
        Bar bar = host.Function.Bars[3]!;
        Assert.Multiple(() =>
        {
            Assert.That(() => bar.Add(0x1008, Bank(8)), Throws.ArgumentException.With.Message.Contains("BAR3").And.Message.Contains("overlaps"));
            Assert.That(() => bar.Add(0x1ffc, Bank(8)), Throws.ArgumentException.With.Message.Contains("BAR3"));
            Assert.That(() => bar.AddRam(ulong.MaxValue, 8), Throws.ArgumentException.With.Message.Contains("BAR3"));
            Assert.That(() => bar.AddRam(0, 0), Throws.ArgumentException.With.Message.Contains("BAR3"));
            Assert.That(() => bar.AddRam(0x1800, 0x800, mappable: true), Throws.ArgumentException.With.Message.Contains("whole pages"));
        });
        Assert.That(() => Plug(f => f.MapBar(0, BarKind.Memory64, 1ul << 32).AddRam(0, 0x1000)), Throws.ArgumentException.With.Message.Contains("1 GiB"));
    }

    [Test]
    public void A_bank_seals_when_it_is_mapped_and_its_refusals_are_logged()
    {
        TestBank bank = Bank(8, AccessSizes.Dword);
        FakePciHost host = Plug(f => f.MapBar(0, BarKind.Memory32, bank));
        Assert.That(() => bank.Add("LATE", 0, 4), Throws.InvalidOperationException);
        host.Bar(0).Read8(1);
        Assert.That(host.Reports, Has.One.Contains("width").And.Contains("0x1"));
    }

    [Test]
    public void One_bank_can_be_reached_through_two_BARs()
    {
        TestBank bank = Bank(16);
        FakePciHost host = Plug(f =>
        {
            f.MapBar(0, BarKind.Io, bank);
            f.MapBar(1, BarKind.Memory32, bank);
        });
        host.Bar(0).Write32(4, 99);
        Assert.That(host.Bar(1).Read32(4), Is.EqualTo(99));
        Assert.That(host.Function.Banks.Count(b => b == bank), Is.EqualTo(1));
    }

    private static TestBank Bank(int length, AccessSizes sizes = AccessSizes.Any)
    {
        var bank = new TestBank(length, sizes);
        bank.AddArray("R", 0, 4, length / 4, 4, r => r.Bits(31, 0, "F", Access.ReadWrite));
        return bank;
    }

    private static FakePciHost Plug(Action<TestFunction> build)
    {
        var host = new FakePciHost();
        host.Plug(new TestFunction(host.Slot, build));
        return host;
    }
}
