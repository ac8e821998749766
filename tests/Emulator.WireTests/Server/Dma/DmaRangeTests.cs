using System.Runtime.Versioning;
using Emulator.Memory;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using Emulator.WireTests.Transport;

namespace Emulator.WireTests.Server.Dma;

/// <summary>Guest memory through descriptors that the client shares: what the function reaches, and what not.</summary>
[TestFixture, Category("Wire"), SupportedOSPlatform("linux")]
public sealed class DmaRangeTests : DmaFixture
{
    private (bool Done, byte[] Bytes) TryRead(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        return (Device.Invoke(() => Memory.TryRead(address, bytes)), bytes);
    }

    private bool TryWrite(ulong address, byte[] bytes) => Device.Invoke(() => Memory.TryWrite(address, bytes));

    [Test]
    public void Shared_memory_is_the_same_bytes_on_both_sides()
    {
        using SharedMemory guest = MapShared(0x10000, 2 * Page, fileOffset: Page);
        using MappedMemory view = guest.Map();
        byte[] pattern = Pattern(100);
        pattern.CopyTo(view.Span[(Page + 50)..]);
        Assert.That(TryRead(0x10000 + 50, 100), Is.EqualTo((true, pattern)));
        Assert.That(TryWrite(0x10000 + (2 * Page) - 100, pattern), Is.True);
        Assert.That(view.Span[^100..].ToArray(), Is.EqualTo(pattern));
        Assert.That(Device.Invoke(() => Memory.TryPublish(0x10004, 0x12345678)), Is.True);
        Assert.That(BitConverter.ToUInt32(view.Span[(Page + 4)..]), Is.EqualTo(0x12345678));
        Assert.That(Device.Invoke(() => Memory.TryPublish(0x10005, 1)), Is.False, "not aligned");
    }

    [Test]
    public void A_transfer_crosses_adjoining_ranges_and_a_view_does_not()
    {
        using SharedMemory low = MapShared(0x10000, Page), high = MapShared(0x10000 + Page, Page);
        byte[] pattern = Pattern(Page + 200);
        Assert.That(TryWrite(0x10000 + 100, pattern), Is.True);
        Assert.That(TryRead(0x10000 + 100, pattern.Length), Is.EqualTo((true, pattern)));
        using MappedMemory highView = high.Map();
        Assert.That(highView.Span[..300].ToArray(), Is.EqualTo(pattern[(Page - 100)..]));
        Assert.That(Device.Invoke(() => Memory.TryView(0x10000 + Page - 2, 4, writable: true, out _)), Is.False, "two files");
        Assert.That(Device.Invoke(() => Memory.TryView(0x10000 + Page - 4, 4, writable: true, out _)), Is.True);
    }

    [Test]
    public void What_is_not_all_mapped_is_not_touched_at_all()
    {
        using SharedMemory guest = MapShared(0x10000, Page);
        using MappedMemory view = guest.Map();
        foreach (ulong address in new ulong[] { 0x10000 - 1, 0x10000 + Page - 15, 0x10000 + Page, 0, ulong.MaxValue, ulong.MaxValue - 14, 1UL << 63 })
        {
            Assert.That(TryWrite(address, Pattern(16)), Is.False, $"0x{address:x}");
            Assert.That(TryRead(address, 16), Is.EqualTo((false, new byte[16])), $"0x{address:x}");
            Assert.That(Device.Invoke(() => Memory.TryView(address, 16, writable: false, out _)), Is.False, $"0x{address:x}");
        }
        Assert.That(view.Span.ToArray(), Is.All.Zero);
        Assert.That(TryRead(0x10000, 0).Done, Is.True);
        Assert.That(TryRead(0, 0).Done, Is.False);
    }

    [Test]
    public void The_last_byte_of_the_address_space_can_be_reached()
    {
        using SharedMemory guest = MapShared(ulong.MaxValue - Page + 1, Page);
        byte[] pattern = Pattern(16);
        Assert.That(TryWrite(ulong.MaxValue - 15, pattern), Is.True);
        Assert.That(TryRead(ulong.MaxValue - 15, 16), Is.EqualTo((true, pattern)));
        Assert.That(TryRead(ulong.MaxValue - 15, 17).Done, Is.False);
    }

    [Test]
    public void Ranges_refuse_what_the_client_does_not_allow()
    {
        using SharedMemory readable = MapShared(0x10000, Page, DmaMapFlags.Readable), writable = MapShared(0x20000, Page, DmaMapFlags.Writable);
        using SharedMemory neither = MapShared(0x30000, Page, DmaMapFlags.None);
        Assert.That(TryRead(0x10000, 4).Done, Is.True);
        Assert.That(TryWrite(0x10000, [1]), Is.False);
        Assert.That(Device.Invoke(() => Memory.TryView(0x10000, 4, writable: true, out _)), Is.False);
        Assert.That(Device.Invoke(() => Memory.TryPublish(0x10000, 1)), Is.False);
        Assert.That(TryRead(0x20000, 4).Done, Is.False);
        Assert.That(TryWrite(0x20000, [1]), Is.True);
        Assert.That(TryRead(0x30000, 4).Done, Is.False);
        Assert.That(TryWrite(0x30000, [1]), Is.False);
    }

    [TestCase(DmaMapFlags.Mappable)]
    [TestCase(DmaMapFlags.FileInputOutput)]
    public void A_client_may_say_how_its_descriptor_can_be_used(DmaMapFlags use)
    {
        using SharedMemory guest = MapShared(0x10000, Page, Both | use);
        using MappedMemory view = guest.Map();
        Assert.That(TryWrite(0x10000, [0x5a]), Is.True);
        Assert.That(view.Span[0], Is.EqualTo(0x5a));
    }

    [Test]
    public void Without_Bus_Master_Enable_nothing_is_reached()
    {
        using SharedMemory guest = MapShared(0x10000, Page);
        Client.Write32(RegionIndex.Config, 4, 0x0002);
        Assert.That(TryRead(0x10000, 4).Done, Is.False);
        Assert.That(TryWrite(0x10000, [1]), Is.False);
        Client.EnableBusMaster();
        Assert.That(TryRead(0x10000, 4), Is.EqualTo((true, new byte[4])));
    }

    [Test]
    public void Unmapped_memory_is_let_go_before_the_reply()
    {
        using SharedMemory guest = MapShared(0x10000, Page);
        Assert.That(File.ReadAllText("/proc/self/maps"), Does.Contain("memfd:guest"));
        Client.Call(Command.DmaUnmap, Wire.Unmap(0x10000, Page));
        Assert.That(File.ReadAllText("/proc/self/maps"), Does.Not.Contain("memfd:guest"));
        Assert.That(TryRead(0x10000, 4).Done, Is.False);
    }

    [Test]
    public void Maps_and_unmaps_leak_nothing()
    {
        using SharedMemory memory = SharedMemory.Create("guest", Page);
        int growth = OpenFiles.Growth(20, () =>
        {
            Client.Call(Command.DmaMap, Wire.Map(0, Page), memory.Handle.Number);
            Client.Call(Command.DmaMap, Wire.Map(Page, Page), memory.Handle.Number);
            Client.Call(Command.DmaUnmap, Wire.Unmap(0, Page));
            Client.Call(Command.DmaUnmap, Wire.Unmap(0, 0, DmaUnmapFlags.All));
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        Assert.That(File.ReadAllText("/proc/self/maps"), Does.Not.Contain("memfd:guest"));
    }

    [Test]
    public void Memory_that_can_shrink_is_reached_by_messages_so_that_cutting_it_hurts_nobody()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, new byte[Page]);
            using var file = new FileDescriptor(Descriptors.Open(path, FileAccess.ReadWrite));
            Client.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress, Page), file.Number);
            using (FileStream cut = File.OpenWrite(path)) cut.SetLength(0);
            Assert.That(TryRead(CardFunction.TransferAddress, 4).Done, Is.False);
            Start(16);
            AnswerRead(Client.ExpectCommand(Command.DmaRead), Pattern(16));
            ExpectEnded(DmaStatus.Completed);
        }
        finally
        {
            File.Delete(path);
        }
        Assert.That(Device.Reports, Has.Exactly(1).Contains("memory-backend-memfd"));
    }

    [Test]
    public void Memory_that_can_shrink_is_mapped_for_those_who_trust_it()
    {
        using var trusting = new ServedDevice(adapt: options => options with { TrustUnsealedMemory = true });
        using WireClient client = trusting.Connect();
        client.EnableBusMaster();
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, Pattern(Page));
            using var file = new FileDescriptor(Descriptors.Open(path, FileAccess.ReadWrite));
            client.Call(Command.DmaMap, Wire.Map(0, Page), file.Number);
            byte[] bytes = new byte[Page];
            Assert.That(trusting.Invoke(() => trusting.Card.Memory.TryRead(0, bytes)), Is.True);
            Assert.That(bytes, Is.EqualTo(Pattern(Page)));
        }
        finally
        {
            File.Delete(path);
        }
    }
}
