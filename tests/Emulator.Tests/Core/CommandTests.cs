using Emulator.Memory;
using Emulator.Pci;
using Emulator.Registers;
using Emulator.Testing;

namespace Emulator.Tests.Core;

[Category("Unit")]
public sealed class CommandTests
{
    private FakePciHost _host = null!;
    private TestFunction _function = null!;

    [SetUp]
    public void Plug()
    {
        _host = new FakePciHost();
        _function = _host.Plug(new TestFunction(_host.Slot, f =>
        {
            f.MapBar(0, BarKind.Memory32, 0x1000).AddRam(0, 0x1000);
            f.MapBar(1, BarKind.Io, Scratchpad());
            f.AddPowerManagement();
        }), enable: false);
    }

    [Test]
    public void A_memory_BAR_decodes_only_with_Memory_Space_Enable()
    {
        _host.Config.Write16(4, 0x5);
        _host.Bar(0).Write32(0, 1);
        Assert.That(_host.Bar(0).Read32(0), Is.EqualTo(0xffff_ffff));
        Assert.That(_host.Bar(0).ReadBytes(0, 16), Is.All.EqualTo(0xff), "in bulk, too");
        _host.Bar(0).WriteBytes(0, new byte[16]);
        Assert.That(_host.Reports, Has.Some.Contains("Memory Space Enable"));
        _host.Config.Write16(4, 0x2);
        Assert.That(_host.Bar(0).Read32(0), Is.Zero, "the write before was lost");
        _host.Bar(0).Write32(0, 2);
        Assert.That(_host.Bar(0).Read32(0), Is.EqualTo(2));
    }

    [Test]
    public void An_IO_BAR_decodes_only_with_IO_Space_Enable()
    {
        _host.Config.Write16(4, 0x6);
        _host.Bar(1).Write8(0, 1);
        Assert.That(_host.Bar(1).Read8(0), Is.EqualTo(0xff));
        Assert.That(_host.Reports, Has.Some.Contains("I/O Space Enable"));
        _host.Config.Write16(4, 0x1);
        Assert.That(_host.Bar(1).Read8(0), Is.Zero);
        _host.Bar(1).Write8(0, 3);
        Assert.That(_host.Bar(1).Read8(0), Is.EqualTo(3));
    }

    [Test]
    public void AlwaysDecodes_stands_for_the_enable_bits_but_not_for_power()
    {
        _function.AlwaysDecodes = true;
        _host.Bar(0).Write32(0, 5);
        _host.Bar(1).Write8(0, 6);
        Assert.That((_host.Bar(0).Read32(0), _host.Bar(1).Read8(0)), Is.EqualTo((5u, (byte)6)));
        _host.Config.Write8(_host.FindCapability(1) + 4, 3);
        Assert.That(_host.Bar(0).Read32(0), Is.EqualTo(0xffff_ffff));
    }

    [Test]
    public void Peek_sees_through_a_closed_window()
    {
        _host.Config.Write16(4, 0x2);
        _host.Bar(0).Write32(8, 7);
        _host.Config.Write16(4, 0);
        Assert.That(_function.Peek(0, 8, 4), Is.EqualTo(7));
        Assert.That(_host.Reports, Is.Empty);
    }

    [TestCase(0, 0x1000ul, 1)]
    [TestCase(0, 0xffeul, 4)]
    [TestCase(0, ulong.MaxValue, 8)]
    [TestCase(0, 0xffff_ffff_ffff_fffcul, 8)]
    [TestCase(2, 0ul, 4)]
    [TestCase(6, 0ul, 4)]
    [TestCase(8, 0ul, 4)]
    [TestCase(-1, 0ul, 4)]
    [TestCase(int.MaxValue, 0ul, 4)]
    public void Outside_every_region_reads_give_all_ones_and_the_guest_is_told_off(int region, ulong offset, int size)
    {
        _host.Config.Write16(4, 0x7);
        _function.Write(region, offset, size, 0);
        Assert.That(_function.Read(region, offset, size), Is.EqualTo(ulong.MaxValue >> (64 - (size * 8))));
        Assert.That(_function.Peek(region, offset, size), Is.EqualTo(ulong.MaxValue >> (64 - (size * 8))));
        Assert.That(_host.Reports, Has.Count.EqualTo(2));
    }

    [Test]
    public void A_bulk_access_does_not_wrap_around_the_end_of_the_address_space()
    {
        _host.Config.Write16(4, 0x7);
        _host.Bar(0).Write64(0, 0);
        var bytes = new byte[24];
        _function.Read(0, ulong.MaxValue - 7, bytes.AsSpan());
        Assert.That(bytes, Is.All.EqualTo(0xff));
        Array.Fill(bytes, (byte)1);
        _function.Write(0, ulong.MaxValue - 7, bytes);
        Assert.That(_host.Bar(0).Read64(0), Is.Zero);
    }

    [Test]
    public void DMA_needs_Bus_Master_Enable()
    {
        _host.Memory.Ram[0] = 9;
        var one = new byte[1];
        _host.Config.Write16(4, 0x3);
        Assert.Multiple(() =>
        {
            Assert.That(_function.Memory.TryRead(0, one), Is.False);
            Assert.That(_function.Memory.TryWrite(0, one), Is.False);
            Assert.That(_function.Memory.TryView(0, 1, true, out _), Is.False);
            Assert.That(_function.Memory.TryPublish(0, 1), Is.False);
            Assert.That(_host.Memory.Ram[0], Is.EqualTo(9));
            Assert.That(_host.Reports, Has.All.Contains("Bus Master Enable"));
        });
        _host.Config.Write16(4, 0x4);
        Assert.That(_function.Memory.TryRead(0, one) && one[0] == 9);
        Assert.That(_function.Memory.TryPublish(4, 0x0403_0201));
        Assert.That(_host.Memory.Ram.Slice(4, 4).ToArray(), Is.EqualTo(new byte[] { 1, 2, 3, 4 }));
    }

    [Test]
    public void A_refused_queued_transfer_fails_in_a_later_turn()
    {
        int completed = 0;
        var request = new DmaRequest(_ => completed++) { Address = 0, Buffer = new byte[4] };
        _function.Memory.Queue(request);
        Assert.That((completed, request.IsQueued, request.Status), Is.EqualTo((0, true, DmaStatus.Pending)));
        Assert.That(() => _function.Memory.Queue(request), Throws.InvalidOperationException);
        _host.Settle();
        Assert.That((completed, request.IsQueued, request.Status), Is.EqualTo((1, false, DmaStatus.Failed)));
    }

    [Test]
    public void What_a_refused_transfer_queues_again_comes_in_the_turn_after()
    {
        int left = 3;
        DmaRequest request = null!;
        request = new DmaRequest(r =>
        {
            if (--left > 0) _function.Memory.Queue(r);
        });
        _function.Memory.Queue(request);
        _host.Settle();
        Assert.That((left, request.IsQueued), Is.EqualTo((0, false)));
    }

    [Test]
    public void A_queued_transfer_goes_both_ways()
    {
        _host.Config.Write16(4, 0x4);
        var buffer = new byte[] { 1, 2, 3 };
        var statuses = new List<DmaStatus>();
        var write = new DmaRequest(r => statuses.Add(r.Status)) { Address = 0x10, Buffer = buffer, IsWrite = true };
        var read = new DmaRequest(r => statuses.Add(r.Status)) { Address = 0x0f, Buffer = new byte[3] };
        var outside = new DmaRequest(r => statuses.Add(r.Status)) { Address = ulong.MaxValue, Buffer = new byte[3] };
        _function.Memory.Queue(write);
        _function.Memory.Queue(read);
        _function.Memory.Queue(outside);
        Assert.That(statuses, Is.Empty);
        _host.Settle();
        Assert.That(statuses, Is.EqualTo(new[] { DmaStatus.Completed, DmaStatus.Completed, DmaStatus.Failed }));
        Assert.That(read.Buffer.ToArray(), Is.EqualTo(new byte[] { 0, 1, 2 }));
    }

    [TestCase(true, DmaStatus.Aborted)]
    [TestCase(false, DmaStatus.Aborted)]
    public void A_reset_or_the_loss_of_bus_mastering_keeps_queued_transfers_from_guest_memory(bool reset, DmaStatus expected)
    {
        _host.Config.Write16(4, 0x4);
        var request = new DmaRequest(_ => { }) { Address = 0, Buffer = new byte[] { 1 }, IsWrite = true };
        _function.Memory.Queue(request);
        Assert.That(request.IsCancelled, Is.False);
        if (reset) _function.Reset(ResetKind.Bus);
        _host.Config.Write16(4, (ushort)(reset ? 0x4 : 0));
        Assert.That(request.IsCancelled && request.IsQueued);
        _host.Settle();
        Assert.That((request.Status, _host.Memory.Ram[0]), Is.EqualTo((expected, (byte)0)));
    }

    [Test]
    public void A_transfer_that_was_under_way_at_a_reset_counts_as_aborted()
    {
        _host.Config.Write16(4, 0x4);
        var request = new DmaRequest(_ => { }) { Buffer = new byte[1] };
        _function.Memory.Queue(request);
        _function.Reset(ResetKind.FunctionLevel);
        request.End(DmaStatus.Completed);
        Assert.That(request.Status, Is.EqualTo(DmaStatus.Aborted));
        request.End(DmaStatus.Completed);
        Assert.That(request.Status, Is.EqualTo(DmaStatus.Aborted), "ending twice changes nothing");
    }

    private static TestBank Scratchpad()
    {
        var bank = new TestBank(4);
        bank.Add("R", 0, 1).Bits(7, 0, "F", Access.ReadWrite);
        return bank;
    }
}
