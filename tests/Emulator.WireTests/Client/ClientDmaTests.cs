using Emulator.VfioUser.Client;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using Emulator.WireTests.Transport;
using static Emulator.WireTests.Client.ClientFixture;

namespace Emulator.WireTests.Client;

/// <summary>The memory a client offers, and the server's commands for it.</summary>
[TestFixture, Category("Wire")]
public sealed class ClientDmaTests
{
    [Test]
    public void When_both_sides_fill_their_sockets_both_get_on()
    {
        byte[] block = new byte[512 * 1024];
        byte[] target = new byte[4 * block.Length];
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            p.Reply(p.Expect(Command.DmaMap));
            // Sends before it reads: the client's own large write waits meanwhile.
            p.Expect(Command.DeviceReset);
            new Random(7).NextBytes(block);
            p.SendDma(Command.DmaWrite, 1, 0, (ulong)block.Length, block, noReply: true);
            p.SendDma(Command.DmaWrite, 2, (ulong)block.Length, (ulong)block.Length, block, noReply: true);
            MessageHeader write = p.Expect(Command.RegionWrite, out byte[] payload);
            p.Reply(write, payload.AsSpan(0, RegionAccess.Size));
        });
        using VfioUserClient client = peer.Connect(Patient with { ServeDmaInBackground = false });
        client.MapDma(0, target.AsMemory());
        client.SendRaw(Bytes(MessageHeader.ForCommand(0, Command.DeviceReset, 0, noReply: true)));
        client.WriteRegion(0, 0, new byte[1024 * 1024]);
        peer.Finish();
        Assert.That(target.AsSpan(0, block.Length).SequenceEqual(block), Is.True);
        Assert.That(target.AsSpan(block.Length, block.Length).SequenceEqual(block), Is.True);
        Assert.That(client.DmaRequestsServed, Is.EqualTo(2));
    }

    [Test]
    public void Dma_requests_are_answered_while_a_reply_is_awaited()
    {
        byte[] memory = [.. Enumerable.Range(0, 64).Select(i => (byte)i)];
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            p.Reply(p.Expect(Command.DmaMap));
            MessageHeader reset = p.Expect(Command.DeviceReset);
            p.SendDma(Command.DmaRead, 0x1234, 0x1008, 4);
            MessageHeader answer = p.Receive(out byte[] payload, out _);
            Assert.That(answer, Is.EqualTo(new MessageHeader(0x1234, Command.DmaRead, 16 + 16 + 4, MessageFlags.Reply, 0)));
            Assert.That(DmaAccess.TryRead(payload, out DmaAccess access), Is.True);
            Assert.That(access, Is.EqualTo(new DmaAccess(0x1008, 4)));
            Assert.That(payload[DmaAccess.Size..], Is.EqualTo(new byte[] { 8, 9, 10, 11 }));

            p.SendDma(Command.DmaWrite, 0x4321, 0x1000, 2, [0xaa, 0xbb]);
            answer = p.Receive(out payload, out _);
            Assert.That(answer, Is.EqualTo(new MessageHeader(0x4321, Command.DmaWrite, 16 + 16, MessageFlags.Reply, 0)));
            p.Reply(reset);
        });
        using VfioUserClient client = peer.Connect(Patient with { ServeDmaInBackground = false });
        client.MapDma(0x1000, memory.AsMemory());
        client.Reset();
        peer.Finish();
        Assert.That(memory[..2], Is.EqualTo(new byte[] { 0xaa, 0xbb }));
        Assert.That(client.DmaRequestsServed, Is.EqualTo(2));
    }

    [Test]
    public void Dma_requests_in_one_stretch_with_a_reply_are_answered_in_the_background()
    {
        byte[] memory = new byte[64];
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            p.Reply(p.Expect(Command.DmaMap));
            MessageHeader reset = p.Expect(Command.DeviceReset);
            byte[] access = new byte[DmaAccess.Size + 1];
            new DmaAccess(0, 1).Write(access);
            access[^1] = 0x77;
            // Reply and command in one send, hence, most likely, in one receive.
            p.Stream.Send(
                [.. Bytes(reset.ToReply(0)), .. Bytes(MessageHeader.ForCommand(5, Command.DmaWrite, access.Length)), .. access]);
            Assert.That(p.Expect(Command.DmaWrite).IsReply, Is.True);
        });
        using VfioUserClient client = peer.Connect(Patient);
        client.MapDma(0, memory.AsMemory());
        client.Reset();
        peer.Finish();
        Assert.That(memory[0], Is.EqualTo(0x77));
    }

    [Test]
    public void Dma_requests_are_answered_in_the_background_while_no_call_waits()
    {
        using SharedMemory shared = SharedMemory.Create("ram", 8192);
        using MappedMemory view = shared.Map();
        view.Span[100] = 0x5a;
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            MessageHeader map = p.Receive(out byte[] payload, out FileDescriptor[] descriptors);
            Assert.That(map.Command, Is.EqualTo(Command.DmaMap));
            Assert.That(DmaMap.TryRead(payload, out DmaMap range), Is.True);
            Assert.That(range, Is.EqualTo(new DmaMap(32, DmaMapFlags.Readable | DmaMapFlags.Writable, 0, 0x10000, 8192)));
            using (FileDescriptor file = descriptors.Single())
            using (MappedMemory inServer = MappedMemory.Map(file, 0, 8192, MappingAccess.ReadWrite))
            {
                Assert.That(inServer.Span[100], Is.EqualTo(0x5a));
            }
            p.Reply(map);
            for (int i = 0; i < 50; i++)
            {
                p.SendDma(Command.DmaRead, (ushort)i, 0x10000 + 100, 1);
                Assert.That(p.Expect(Command.DmaRead, out payload).IsReply, Is.True);
                Assert.That(payload[^1], Is.EqualTo(0x5a));
            }
        });
        using VfioUserClient client = peer.Connect(Patient);
        client.MapDma(0x10000, shared);
        peer.Finish();
        Assert.That(client.DmaRequestsServed, Is.EqualTo(50));
    }

    [TestCase(Command.DmaRead, 0x0fffUL, 1UL, 0, Errno.EFAULT, Description = "before the range")]
    [TestCase(Command.DmaRead, 0x1040UL, 1UL, 0, Errno.EFAULT, Description = "behind the range")]
    [TestCase(Command.DmaRead, 0x103fUL, 2UL, 0, Errno.EFAULT, Description = "across the end")]
    [TestCase(Command.DmaRead, ulong.MaxValue, 2UL, 0, Errno.EFAULT, Description = "across the end of all addresses")]
    [TestCase(Command.DmaRead, 0x1000UL, 0x100000000UL, 0, Errno.EINVAL, Description = "more than the limit")]
    [TestCase(Command.DmaRead, 0x1000UL, ulong.MaxValue, 0, Errno.EINVAL, Description = "more than there is")]
    [TestCase(Command.DmaRead, 0x1000UL, 1UL, 1, Errno.EINVAL, Description = "a read with data")]
    [TestCase(Command.DmaWrite, 0x1000UL, 2UL, 1, Errno.EINVAL, Description = "less data than promised")]
    [TestCase(Command.DmaWrite, 0x1000UL, 1UL, 2, Errno.EINVAL, Description = "more data than promised")]
    [TestCase(Command.DmaWrite, 0x103fUL, 2UL, 2, Errno.EFAULT, Description = "write across the end")]
    [TestCase(Command.DmaWrite, 0x2000UL, 1UL, 1, Errno.EACCES, Description = "write to what is read-only")]
    [TestCase(Command.DmaRead, 0x3000UL, 1UL, 0, Errno.EACCES, Description = "read of what is write-only")]
    [TestCase((Command)99, 0x1000UL, 1UL, 0, Errno.ENOSYS, Description = "an unknown command")]
    public void A_wrong_dma_request_gets_an_error_and_changes_nothing(Command command, ulong address, ulong count, int data, int errno)
    {
        byte[] memory = new byte[64];
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            for (int i = 0; i < 3; i++)
            {
                p.Reply(p.Expect(Command.DmaMap));
            }
            MessageHeader reset = p.Expect(Command.DeviceReset);
            p.SendDma(command, 3, address, count, new byte[] { 0xff, 0xff }.AsSpan(0, data));
            MessageHeader answer = p.Receive(out byte[] payload, out _);
            Assert.That(answer, Is.EqualTo(new MessageHeader(3, command, 16, MessageFlags.Reply | MessageFlags.Error, (uint)errno)));
            Assert.That(payload, Is.Empty);
            p.Reply(reset);
        });
        using VfioUserClient client = peer.Connect(Patient with { ServeDmaInBackground = false });
        client.MapDma(0x1000, memory.AsMemory());
        client.MapDma(0x2000, memory.AsMemory(), DmaMapFlags.Readable);
        client.MapDma(0x3000, memory.AsMemory(), DmaMapFlags.Writable);
        client.Reset();
        peer.Finish();
        Assert.That(memory, Is.All.Zero);
    }

    [Test]
    public void A_dma_request_too_short_for_its_fixed_part_gets_an_error()
    {
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            MessageHeader reset = p.Expect(Command.DeviceReset);
            p.Send(MessageHeader.ForCommand(1, Command.DmaRead, 15), new byte[15]);
            MessageHeader answer = p.Expect(Command.DmaRead);
            Assert.That(answer.IsError && answer.Errno == Errno.EINVAL, Is.True);
            p.Reply(reset);
        });
        using VfioUserClient client = peer.Connect(Patient);
        client.Reset();
        peer.Finish();
    }

    [Test]
    public void A_dma_request_across_ranges_that_touch_is_answered_whole()
    {
        byte[] low = [1, 2, 3, 4];
        byte[] high = [5, 6, 7, 8];
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            p.Reply(p.Expect(Command.DmaMap));
            p.Reply(p.Expect(Command.DmaMap));
            MessageHeader reset = p.Expect(Command.DeviceReset);
            p.SendDma(Command.DmaRead, 1, 2, 4);
            p.Expect(Command.DmaRead, out byte[] payload);
            Assert.That(payload[DmaAccess.Size..], Is.EqualTo(new byte[] { 3, 4, 5, 6 }));
            p.SendDma(Command.DmaWrite, 2, 3, 2, [0xaa, 0xbb], noReply: true);
            p.Reply(reset);
        });
        using VfioUserClient client = peer.Connect(Patient with { ServeDmaInBackground = false });
        client.MapDma(4, high.AsMemory());
        client.MapDma(0, low.AsMemory());
        client.Reset();
        peer.Finish();
        Assert.That((low[3], high[0]), Is.EqualTo(((byte)0xaa, (byte)0xbb)));
    }

    [Test]
    public void Dma_requests_can_be_served_by_hand()
    {
        byte[] memory = new byte[8];
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            p.Reply(p.Expect(Command.DmaMap));
            p.SendDma(Command.DmaWrite, 1, 7, 1, [0x66]);
            Assert.That(p.Expect(Command.DmaWrite).IsReply, Is.True);
        });
        using VfioUserClient client = peer.Connect(Patient with { ServeDmaInBackground = false });
        client.MapDma(0, memory.AsMemory());
        Assert.That(client.ServeDma(Generous), Is.EqualTo(1));
        Assert.That(memory[7], Is.EqualTo(0x66));
        Assert.That(client.ServeDma(TimeSpan.Zero), Is.Zero);
    }

    [Test]
    public void Memory_that_overlaps_is_refused_here_and_memory_the_server_refuses_is_forgotten()
    {
        byte[] memory = new byte[16];
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            p.Reply(p.Expect(Command.DmaMap));
            p.Send(p.Expect(Command.DmaMap).ToErrorReply(Errno.ENOSPC));
            MessageHeader reset = p.Expect(Command.DeviceReset);
            p.SendDma(Command.DmaRead, 1, 0x1000, 1);
            Assert.That(p.Expect(Command.DmaRead).Errno, Is.EqualTo(Errno.EFAULT), "refused");
            p.SendDma(Command.DmaRead, 1, 0, 1);
            Assert.That(p.Expect(Command.DmaRead).IsError, Is.False, "mapped");
            p.Reply(reset);
            p.Reply(p.Expect(Command.DmaUnmap, out byte[] unmap), unmap);
            reset = p.Expect(Command.DeviceReset);
            p.SendDma(Command.DmaRead, 1, 0, 1);
            Assert.That(p.Expect(Command.DmaRead).Errno, Is.EqualTo(Errno.EFAULT), "unmapped");
            p.Reply(reset);
        });
        using VfioUserClient client = peer.Connect(Patient with { ServeDmaInBackground = false });
        client.MapDma(0, memory.AsMemory());
        Assert.That(() => client.MapDma(15, memory.AsMemory()), Throws.ArgumentException);
        Assert.That(() => client.MapDma(0, memory.AsMemory()), Throws.ArgumentException);
        Assert.That(
            () => client.MapDma(0x1000, memory.AsMemory()),
            Throws.TypeOf<VfioUserException>().With.Property(nameof(VfioUserException.Errno)).EqualTo(Errno.ENOSPC));
        client.Reset();
        client.UnmapDma(0, 16);
        client.Reset();
        peer.Finish();
    }

    [Test]
    public void Everything_can_be_unmapped_at_once()
    {
        using SharedMemory shared = SharedMemory.Create("ram", 4096);
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            MessageHeader map = p.Receive(out _, out FileDescriptor[] descriptors);
            Array.ForEach(descriptors, descriptor => descriptor.Dispose());
            p.Reply(map);
            MessageHeader unmap = p.Expect(Command.DmaUnmap, out byte[] payload);
            Assert.That(DmaUnmap.TryRead(payload, out DmaUnmap all), Is.True);
            Assert.That(all, Is.EqualTo(new DmaUnmap(24, DmaUnmapFlags.All, 0, 0)));
            p.Reply(unmap, payload);
            p.SendDma(Command.DmaRead, 1, 0, 1);
            Assert.That(p.Expect(Command.DmaRead).Errno, Is.EqualTo(Errno.EFAULT));
        });
        using VfioUserClient client = peer.Connect(Patient);
        client.MapDma(0, shared);
        client.UnmapAllDma();
        peer.Finish();
    }

    [Test]
    public void With_a_twin_socket_dma_requests_come_by_it_at_any_time()
    {
        byte[] memory = new byte[16];
        using ScriptedPeer peer = ScriptedPeer.StartBare(p =>
        {
            (UnixStream twin, FileDescriptor remote) = UnixStream.CreatePair();
            using (twin)
            {
                using EventFd other = EventFd.Create();
                p.AnswerVersion(
                    new Capabilities { TwinSocket = true, TwinSocketFdIndex = 1 }, 0, other.Handle.Number, remote.Number);
                remote.Dispose();
                p.Reply(p.Expect(Command.DmaMap));
                MessageHeader reset = p.Expect(Command.DeviceReset);
                for (int i = 0; i < 20; i++)
                {
                    byte[] write = new byte[DmaAccess.Size + 1];
                    new DmaAccess(3, 1).Write(write);
                    write[^1] = (byte)i;
                    twin.Send([.. Bytes(MessageHeader.ForCommand((ushort)i, Command.DmaWrite, write.Length)), .. write]);
                    byte[] answer = new byte[64];
                    Assert.That(twin.Receive(answer, default, out _), Is.EqualTo(32));
                    Assert.That(MessageHeader.TryRead(answer, out MessageHeader header) && header.IsReply && !header.IsError, Is.True);
                    if (i == 10)
                    {
                        p.Reply(reset);
                    }
                }
                p.ExpectClose();
                Assert.That(twin.Receive(new byte[1], default, out _), Is.EqualTo(UnixStream.Closed));
            }
        });
        using (VfioUserClient client = peer.Connect(WithTwin))
        {
            Assert.That(client.HasTwinSocket, Is.True);
            client.MapDma(0, memory.AsMemory());
            client.Reset();
            Assert.That(() => client.DmaRequestsServed, Is.EqualTo(20).After((int)Generous.TotalMilliseconds, 1));
        }
        peer.Finish();
        Assert.That(memory[3], Is.EqualTo(19));
    }

    [TestCase(-1), TestCase(1), TestCase(7)]
    public void A_twin_socket_that_did_not_come_along_ends_the_connection(int index)
    {
        using EventFd other = EventFd.Create();
        using ScriptedPeer peer = ScriptedPeer.StartBare(p =>
        {
            p.AnswerVersion(new Capabilities { TwinSocket = true, TwinSocketFdIndex = index }, 0, other.Handle.Number);
            p.ExpectClose();
        });
        VfioUserException error = Assert.Throws<VfioUserException>(() => peer.Connect(WithTwin));
        Assert.That(error.Failure, Is.EqualTo(VfioUserFailure.ProtocolViolation));
        peer.Finish();
    }

    [Test]
    public void Nonsense_on_the_twin_socket_closes_it_and_leaves_the_rest()
    {
        using ScriptedPeer peer = ScriptedPeer.StartBare(p =>
        {
            (UnixStream twin, FileDescriptor remote) = UnixStream.CreatePair();
            using (twin)
            {
                p.AnswerVersion(new Capabilities { TwinSocket = true, TwinSocketFdIndex = 0 }, 0, remote.Number);
                remote.Dispose();
                twin.Send(Bytes(new MessageHeader(0, Command.DmaRead, 3, MessageFlags.Command, 0)));
                Assert.That(twin.Receive(new byte[1], default, out _), Is.EqualTo(UnixStream.Closed));
                p.Reply(p.Expect(Command.DeviceReset));
            }
        });
        using VfioUserClient client = peer.Connect(WithTwin);
        client.Reset();
        peer.Finish();
    }
}
