using Emulator.Testing;
using Emulator.VfioUser.Client;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using Emulator.WireTests.Transport;
using static Emulator.WireTests.Client.ClientFixture;

namespace Emulator.WireTests.Client;

/// <summary>Information, registers and regions, over a connection that works, and replies that cannot be right.</summary>
[TestFixture, Category("Wire")]
public sealed class ClientAccessTests
{
    private static readonly uint[] EachWidthTwice = [1, 2, 4, 8, 1, 2, 4, 8];
    private static readonly uint[] CutBySixteen = [16, 16, 8, 16, 16, 8];

    [Test]
    public void Device_and_interrupt_information_is_read()
    {
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            MessageHeader request = p.Expect(Command.DeviceGetInfo, out byte[] payload);
            Assert.That(DeviceInfo.TryRead(payload, out DeviceInfo asked) && asked.ArgSize == 16, Is.True);
            p.Reply(request, new DeviceInfo(16, DeviceInfoFlags.Reset | DeviceInfoFlags.Pci, 9, 5));

            request = p.Expect(Command.DeviceGetIrqInfo, out payload);
            Assert.That(IrqInfo.TryRead(payload, out IrqInfo irq) && irq.Index == IrqIndex.MsiX, Is.True);
            p.Reply(request, new IrqInfo(16, IrqInfoFlags.EventFd, IrqIndex.MsiX, 16));
        });
        using VfioUserClient client = peer.Connect(Patient);

        Assert.That(client.GetDeviceInfo(), Is.EqualTo(new DeviceInfo(16, DeviceInfoFlags.Reset | DeviceInfoFlags.Pci, 9, 5)));
        Assert.That(client.GetIrqInfo(IrqIndex.MsiX).Count, Is.EqualTo(16));
        peer.Finish();
    }

    [Test]
    public void A_sparse_region_is_asked_for_again_with_room_and_can_be_mapped()
    {
        int page = Environment.SystemPageSize;
        using SharedMemory memory = SharedMemory.Create("bar", (ulong)(4 * page));
        using MappedMemory inServer = memory.Map();
        SparseArea[] areas = [new((ulong)page, (ulong)page), new((ulong)(3 * page), (ulong)page)];
        byte[] capability = new byte[SparseMapCapability.ByteCount(areas.Length)];
        SparseMapCapability.Write(capability, areas);
        uint full = (uint)(RegionInfo.Size + capability.Length);
        const RegionInfoFlags Access = RegionInfoFlags.Read | RegionInfoFlags.Write | RegionInfoFlags.MemoryMap;

        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            MessageHeader request = p.Expect(Command.DeviceGetRegionInfo, out byte[] payload);
            Assert.That(RegionInfo.TryRead(payload, out RegionInfo asked) && asked.ArgSize == RegionInfo.Size, Is.True);
            p.Reply(request, new RegionInfo(full, Access, 2, 0, (ulong)(4 * page), 0));

            request = p.Expect(Command.DeviceGetRegionInfo, out payload);
            Assert.That(RegionInfo.TryRead(payload, out asked) && asked.ArgSize == full, Is.True);
            p.Reply(
                request,
                new RegionInfo(full, Access | RegionInfoFlags.Capabilities, 2, RegionInfo.Size, (ulong)(4 * page), 0),
                capability,
                memory.Handle.Number);
        });
        using VfioUserClient client = peer.Connect(Patient);

        using DeviceRegion region = client.GetRegionInfo(RegionIndex.Bar2);
        Assert.That(region.Length, Is.EqualTo(4 * page));
        Assert.That(region.MappableAreas, Is.EqualTo(areas));
        using MappedMemory mapping = region.Map(region.MappableAreas[1]);
        mapping.Span[5] = 0x42;
        Assert.That(inServer.Span[3 * page + 5], Is.EqualTo(0x42));
        Assert.That(() => region.Map(new SparseArea((ulong)(4 * page), 1)), Throws.TypeOf<ArgumentOutOfRangeException>());
        peer.Finish();
    }

    [Test]
    public void A_region_mappable_without_a_chain_is_mappable_whole()
    {
        using SharedMemory memory = SharedMemory.Create("bar", 8192);
        using ScriptedPeer peer = ScriptedPeer.Start(p => p.Reply(
            p.Expect(Command.DeviceGetRegionInfo),
            new RegionInfo(RegionInfo.Size, RegionInfoFlags.Read | RegionInfoFlags.MemoryMap, 0, 0, 8192, 0),
            default,
            memory.Handle.Number));
        using VfioUserClient client = peer.Connect(Patient);

        using DeviceRegion region = client.GetRegionInfo(0);
        Assert.That(region.MappableAreas, Is.EqualTo(new[] { new SparseArea(0, 8192) }));
        using MappedMemory mapping = region.Map(region.MappableAreas[0]);
        Assert.That(mapping.Access, Is.EqualTo(MappingAccess.Read));
    }

    [Test]
    public void A_region_that_is_not_there_cannot_be_mapped()
    {
        using ScriptedPeer peer = ScriptedPeer.Start(p => p.Reply(
            p.Expect(Command.DeviceGetRegionInfo), new RegionInfo(RegionInfo.Size, RegionInfoFlags.None, 8, 0, 0, 0)));
        using VfioUserClient client = peer.Connect(Patient);
        using DeviceRegion region = client.GetRegionInfo(RegionIndex.Vga);
        Assert.That(region.Length, Is.Zero);
        Assert.That(region.File, Is.Null);
        Assert.That(() => region.Map(default), Throws.InvalidOperationException);
    }

    [Test]
    public void A_region_that_asks_for_ever_more_room_breaks_the_protocol()
    {
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            p.Reply(p.Expect(Command.DeviceGetRegionInfo), new RegionInfo(64, RegionInfoFlags.Read, 0, 0, 4096, 0));
            p.Reply(p.Expect(Command.DeviceGetRegionInfo), new RegionInfo(128, RegionInfoFlags.Read, 0, 0, 4096, 0));
        });
        using VfioUserClient client = peer.Connect(Patient);
        AssertBreaks(client, () => client.GetRegionInfo(0), VfioUserFailure.ProtocolViolation);
    }

    [Test]
    public void A_mappable_area_outside_of_its_region_breaks_the_protocol()
    {
        byte[] capability = new byte[SparseMapCapability.ByteCount(1)];
        SparseMapCapability.Write(capability, [new SparseArea(4096, 4097)]);
        using EventFd file = EventFd.Create();
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            var info = new RegionInfo(
                RegionInfo.Size, RegionInfoFlags.Read | RegionInfoFlags.MemoryMap | RegionInfoFlags.Capabilities, 0, RegionInfo.Size, 8192, 0);
            uint full = (uint)(RegionInfo.Size + capability.Length);
            p.Reply(p.Expect(Command.DeviceGetRegionInfo), info with { ArgSize = full });
            p.Reply(p.Expect(Command.DeviceGetRegionInfo), info with { ArgSize = full }, capability, file.Handle.Number);
        });
        using VfioUserClient client = peer.Connect(Patient);
        AssertBreaks(client, () => client.GetRegionInfo(0), VfioUserFailure.ProtocolViolation);
    }

    [Test]
    public void Registers_are_read_and_written_little_endian_at_their_width()
    {
        var widths = new List<uint>();
        byte[] registers = new byte[32];
        using ScriptedPeer peer = ScriptedPeer.Start(p => ServeRegisters(p, registers, widths, messages: 8));
        using VfioUserClient client = peer.Connect(Patient);

        client.Write8(0, 0, 0x11);
        client.Write16(0, 2, 0x2233);
        client.Write32(0, 4, 0x44556677);
        client.Write64(0, 8, 0x8899aabbccddeeff);
        Assert.That(client.Read8(0, 0), Is.EqualTo(0x11));
        Assert.That(client.Read16(0, 2), Is.EqualTo(0x2233));
        Assert.That(client.Read32(0, 4), Is.EqualTo(0x44556677));
        Assert.That(client.Read64(0, 8), Is.EqualTo(0x8899aabbccddeeff));
        peer.Finish();
        Assert.That(registers[2], Is.EqualTo(0x33));
        Assert.That(widths, Is.EqualTo(EachWidthTwice));
    }

    [Test]
    public void Transfers_above_the_servers_limit_are_cut()
    {
        var widths = new List<uint>();
        byte[] registers = new byte[40];
        using ScriptedPeer peer = ScriptedPeer.Start(
            p => ServeRegisters(p, registers, widths, messages: 6), new Capabilities { MaxDataTransferSize = 16 });
        using VfioUserClient client = peer.Connect(Patient);

        byte[] source = [.. Enumerable.Range(1, 40).Select(i => (byte)i)];
        client.WriteRegion(3, 0, source);
        byte[] back = new byte[40];
        client.ReadRegion(3, 0, back);
        peer.Finish();
        Assert.That(back, Is.EqualTo(source));
        Assert.That(widths, Is.EqualTo(CutBySixteen));
    }

    [Test]
    public void Posted_writes_ask_for_no_reply_and_do_not_wait_for_one()
    {
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            MessageHeader posted = p.Expect(Command.RegionWrite, out byte[] payload);
            Assert.That(posted.NoReply && posted.IsCommand, Is.True);
            Assert.That(payload[RegionAccess.Size..], Is.EqualTo(new byte[] { 1, 2, 3, 4 }));
            MessageHeader multi = p.Expect(Command.RegionWriteMulti, out payload);
            Assert.That(multi.NoReply, Is.True);
            Assert.That(RegionWriteMulti.TryRead(payload, out RegionWriteMulti writes), Is.True);
            Assert.That(writes.Count, Is.EqualTo(2));
            Assert.That(writes[1], Is.EqualTo(new RegionWrite(8, 1, 4, 0xaabbccdd)));
            p.Reply(p.Expect(Command.DeviceReset));
        });
        using VfioUserClient client = peer.Connect(Patient);
        client.PostWrite(1, 8, [1, 2, 3, 4]);
        client.PostWrites([new RegionWrite(0, 1, 1, 7), new RegionWrite(8, 1, 4, 0xaabbccdd)]);
        client.Reset();
        peer.Finish();
    }

    [Test]
    public void Several_writes_in_one_message_are_counted_in_the_reply()
    {
        using ScriptedPeer peer = ScriptedPeer.Start(p => p.Reply(p.Expect(Command.RegionWriteMulti), [2, 0, 0, 0, 0, 0, 0, 0]));
        using VfioUserClient client = peer.Connect(Patient);
        Assert.That(client.WriteMulti([default, default]), Is.EqualTo(2));
    }

    [Test]
    public void Pipelined_requests_may_be_answered_and_taken_in_any_order()
    {
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            var requests = new List<(MessageHeader Header, RegionAccess Access)>();
            for (int i = 0; i < 3; i++)
            {
                MessageHeader header = p.Expect(i == 1 ? Command.RegionWrite : Command.RegionRead, out byte[] payload);
                Assert.That(RegionAccess.TryRead(payload, out RegionAccess access), Is.True);
                requests.Add((header, access));
            }
            Assert.That(requests.Select(r => r.Header.Id).Distinct().Count(), Is.EqualTo(3));
            p.Reply(requests[2].Header, requests[2].Access, [3, 3, 3]);
            p.Reply(requests[0].Header, requests[0].Access, [1]);
            p.Reply(requests[1].Header, requests[1].Access);
        });
        using VfioUserClient client = peer.Connect(Patient);

        PendingReply first = client.BeginRead(0, 0, 1);
        PendingReply second = client.BeginWrite(0, 4, [9, 9]);
        PendingReply third = client.BeginRead(0, 8, 3);
        byte[] one = new byte[1];
        byte[] three = new byte[3];
        client.EndWrite(second);
        client.EndRead(first, one);
        client.EndRead(third, three);
        Assert.That(one, Is.EqualTo(new byte[] { 1 }));
        Assert.That(three, Is.EqualTo(new byte[] { 3, 3, 3 }));
        Assert.That(() => client.EndRead(first, one), Throws.InvalidOperationException, "taken already");
        Assert.That(() => client.EndRead(third, one), Throws.ArgumentException, "of another length");
        peer.Finish();
    }

    [Test]
    public void More_pipelined_requests_than_there_are_places_for_are_refused_before_they_are_sent()
    {
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            for (int i = 0; i < VfioUserClient.MaximumPending; i++)
            {
                MessageHeader header = p.Expect(Command.RegionRead, out byte[] payload);
                Assert.That(RegionAccess.TryRead(payload, out RegionAccess access), Is.True);
                p.Reply(header, access, [(byte)access.Offset]);
            }
        });
        using VfioUserClient client = peer.Connect(Patient);
        PendingReply[] pending =
            [.. Enumerable.Range(0, VfioUserClient.MaximumPending).Select(i => client.BeginRead(0, (ulong)i, 1))];
        Assert.That(() => client.BeginRead(0, 0, 1), Throws.InvalidOperationException);
        byte[] data = new byte[1];
        for (int i = pending.Length - 1; i >= 0; i--)
        {
            client.EndRead(pending[i], data);
            Assert.That(data[0], Is.EqualTo(i));
        }
        peer.Finish();
    }

    [Test]
    public void A_reply_split_at_every_byte_is_put_together()
    {
        byte[] reply = new byte[MessageHeader.HeaderSize + RegionAccess.Size + 4];
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            for (int split = 1; split < reply.Length; split++)
            {
                MessageHeader request = p.Expect(Command.RegionRead, out byte[] payload);
                Assert.That(RegionAccess.TryRead(payload, out RegionAccess access), Is.True);
                request.ToReply(RegionAccess.Size + 4).Write(reply);
                access.Write(reply.AsSpan(MessageHeader.HeaderSize));
                reply[^4] = (byte)split;
                p.Stream.Send(reply.AsSpan(0, split));
                p.Stream.Send(reply.AsSpan(split));
            }
        });
        using VfioUserClient client = peer.Connect(Patient);
        for (int split = 1; split < reply.Length; split++)
        {
            Assert.That(client.Read32(0, 0), Is.EqualTo(split));
        }
        peer.Finish();
    }

    [TestCase("id", Description = "another request's id")]
    [TestCase("stale", Description = "the id of the request before")]
    [TestCase("command", Description = "another command")]
    [TestCase("type", Description = "neither command nor reply")]
    [TestCase("size", Description = "smaller than a header")]
    [TestCase("large", Description = "larger than any message may be")]
    [TestCase("short", Description = "less data than asked for")]
    [TestCase("long", Description = "more data than asked for")]
    [TestCase("count", Description = "a count that is not that of the data")]
    [TestCase("fixed", Description = "no room for the fixed part")]
    public void A_reply_that_cannot_be_the_answer_breaks_the_protocol(string fault)
    {
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            MessageHeader before = p.Expect(Command.DeviceReset);
            p.Reply(before);
            MessageHeader request = p.Expect(Command.RegionRead);
            MessageHeader right = request.ToReply(RegionAccess.Size + 4);
            byte[] payload = new byte[RegionAccess.Size + 4];
            new RegionAccess(0, 0, fault == "count" ? 5u : 4u).Write(payload);
            MessageHeader wrong = fault switch
            {
                "id" => right with { Id = (ushort)(right.Id + 1) },
                "stale" => right with { Id = before.Id },
                "command" => right with { Command = Command.RegionWrite },
                "type" => right with { Flags = (MessageFlags)2 },
                "size" => right with { Size = 15 },
                "large" => right with { Size = 0x7fffffff },
                "short" => right with { Size = right.Size - 1 },
                "long" => right with { Size = right.Size + 1 },
                "fixed" => right with { Size = MessageHeader.HeaderSize },
                _ => right,
            };
            p.Send(wrong, [.. payload, 0]);
            p.ExpectClose();
        });
        using VfioUserClient client = peer.Connect(Patient);
        client.Reset();
        AssertBreaks(client, () => client.Read32(0, 0), VfioUserFailure.ProtocolViolation);
        peer.Finish();
    }

    [Test]
    public void Device_features_are_asked_for_with_room_for_the_answer()
    {
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            MessageHeader request = p.Expect(Command.DeviceFeature, out byte[] payload);
            Assert.That(DeviceFeature.TryRead(payload, out DeviceFeature asked), Is.True);
            Assert.That(asked.Feature, Is.EqualTo(DeviceFeatureIndex.Migration));
            Assert.That(asked.ArgSize, Is.EqualTo(16));
            p.Reply(request, asked, [1, 0, 0, 0, 0, 0, 0, 0]);
            p.Send(p.Expect(Command.DeviceFeature).ToErrorReply(Errno.EINVAL));
        });
        using VfioUserClient client = peer.Connect(Patient);
        byte[] data = client.DeviceFeature(DeviceFeatureFlags.Get | (DeviceFeatureFlags)DeviceFeatureIndex.Migration, room: 8);
        Assert.That(data, Is.EqualTo(new byte[] { 1, 0, 0, 0, 0, 0, 0, 0 }));
        Assert.That(() => client.DeviceFeature(DeviceFeatureFlags.Probe | (DeviceFeatureFlags)9), Throws.TypeOf<VfioUserException>());
    }

    [Test]
    public void Any_command_can_be_called_and_its_descriptors_belong_to_the_caller()
    {
        using EventFd sent = EventFd.Create();
        using ScriptedPeer peer = ScriptedPeer.Start(p => p.Repeat(() => p.Reply(
                p.Expect(Command.DeviceGetRegionIoFds), new RegionIoFds(16, 0, 0, 0), default, sent.Handle.Number, sent.Handle.Number)));
        using VfioUserClient client = peer.Connect(Patient);
        int growth = OpenFiles.Growth(8, () =>
        {
            using VfioUserMessage reply = client.Call(Command.DeviceGetRegionIoFds, new byte[16]);
            Assert.That(reply.Payload.Length, Is.EqualTo(16));
            Assert.That(reply.Descriptors, Has.Count.EqualTo(2));
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        client.Dispose();
        peer.Finish();
    }

    [Test]
    public void Several_threads_may_call_at_once()
    {
        const int Threads = 4;
        const int Calls = 200;
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            for (int i = 0; i < Threads * Calls; i++)
            {
                MessageHeader request = p.Expect(Command.RegionRead, out byte[] payload);
                Assert.That(RegionAccess.TryRead(payload, out RegionAccess access), Is.True);
                p.Reply(request, access, BitConverter.GetBytes((uint)access.Offset));
            }
        });
        using VfioUserClient client = peer.Connect(Patient);
        int wrong = 0;
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(t => new Thread(() =>
        {
            for (int i = 0; i < Calls; i++)
            {
                if (client.Read32(0, (ulong)(t * Calls + i)) != t * Calls + i)
                {
                    Interlocked.Increment(ref wrong);
                }
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.That(wrong, Is.Zero);
        peer.Finish();
    }

    [Test]
    public void A_register_read_and_write_allocate_nothing()
    {
        const int Rounds = 200;
        using ScriptedPeer peer = ScriptedPeer.Start(p => ServeRegisters(p, new byte[16], [], messages: 3 * Rounds * Allocations.Runs));
        using VfioUserClient client = peer.Connect(Patient);
        Assert.That(Allocations.BytesOf(() =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                client.Write32(0, 0, (uint)i);
                client.PostWrite(0, 0, "data"u8);
                client.Read32(0, 0);
            }
        }), Is.Zero);
        peer.Finish();
    }
}
