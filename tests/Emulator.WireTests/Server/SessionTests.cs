using System.Runtime.Versioning;
using System.Text;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using Emulator.WireTests.Transport;

namespace Emulator.WireTests.Server;

/// <summary>Sessions as a client leads them: greeting, cutting, pipelining, silence, and their end at any byte.</summary>
[TestFixture, Category("Wire"), SupportedOSPlatform("linux")]
public sealed class SessionTests
{
    private const ulong Page = 4096;

    private ServedDevice _device = null!;

    [SetUp]
    public void Serve() => _device = new ServedDevice();

    [TearDown]
    public void Stop() => _device.Dispose();

    /// <summary>A session that uses every kind of command, as pieces of the stream; one piece carries a descriptor.</summary>
    private static List<(byte[] Bytes, int Fd)> WholeSession(int memory, int eventFd)
    {
        ushort id = 1;
        (byte[], int) Piece(Command command, byte[] payload, int fd = -1, MessageFlags flags = 0) => (Wire.Message(id++, command, payload, flags), fd);
        return
        [
            Piece(Command.Version, Wire.Version()),
            Piece(Command.DmaMap, Wire.Map(0, 4 * Page), memory),
            Piece(Command.DmaMap, Wire.Map(1UL << 32, Page)),
            Piece(Command.DeviceGetInfo, Wire.Bytes(new DeviceInfo(16, 0, 0, 0))),
            Piece(Command.DeviceGetRegionInfo, Wire.Bytes(new RegionInfo(32, 0, CardFunction.Sparse, 0, 0, 0))),
            Piece(Command.DeviceGetIrqInfo, Wire.Bytes(new IrqInfo(16, 0, IrqIndex.Msi, 0))),
            Piece(Command.DeviceSetIrqs, Wire.Irqs(IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger, IrqIndex.Intx, 0, 1), eventFd),
            Piece(Command.RegionWrite, Wire.Write32(4, RegionIndex.Config, 0x0406)),
            Piece(Command.RegionWrite, Wire.Write32(CardRegisters.Scratch, 0, 0x1234), flags: MessageFlags.NoReply),
            Piece(Command.RegionRead, Wire.Read(0, 0, 12)),
            Piece(Command.RegionRead, Wire.Read(0, 9, 12)),
            Piece(Command.RegionWriteMulti, Multi(new RegionWrite(CardRegisters.Scratch, 0, 4, 5)), flags: MessageFlags.NoReply),
            Piece(Command.DeviceFeature, Wire.Bytes(new DeviceFeature(8, DeviceFeatureFlags.Probe))),
            Piece(Command.DmaUnmap, Wire.Unmap(1UL << 32, Page)),
        ];
    }

    private static byte[] Multi(params RegionWrite[] writes)
    {
        byte[] payload = new byte[RegionWriteMulti.ByteCount(writes.Length)];
        RegionWriteMulti.Write(payload, writes);
        return payload;
    }

    // Sends the stream up to a byte; a cut makes two sends of what would be one.
    private static void SendUpTo(UnixStream stream, List<(byte[] Bytes, int Fd)> session, int end, int cut, Action atCut)
    {
        int at = 0;
        foreach ((byte[] bytes, int fd) in session)
        {
            int stop = Math.Min(end, at + bytes.Length), first = at;
            while (first < stop)
            {
                int last = cut > first && cut < stop ? cut : stop;
                if (!stream.Send(bytes.AsSpan(first - at, last - first), first == at && fd >= 0 ? [fd] : [])) return;
                if (last == cut) atCut();
                first = last;
            }
            at += bytes.Length;
        }
    }

    private static byte[] TakeReplies(WireClient client, int count)
    {
        var replies = new List<byte>();
        for (int i = 0; i < count; i++)
        {
            WireMessage message = client.Receive();
            replies.AddRange(Wire.Bytes(message.Header, message.Payload));
            Array.ForEach(message.Descriptors, d => d.Dispose());
        }
        return [.. replies];
    }

    [Test]
    public void A_session_cut_at_any_byte_gets_the_same_replies()
    {
        using SharedMemory memory = SharedMemory.Create("guest", 4 * Page);
        using EventFd eventFd = EventFd.Create();
        List<(byte[] Bytes, int Fd)> session = WholeSession(memory.Handle.Number, eventFd.Handle.Number);
        int length = session.Sum(s => s.Bytes.Length), answered = session.Count - 2;
        byte[] expected = [];
        for (int cut = 0; cut < length; cut++)
        {
            using (WireClient client = _device.Connect(negotiate: false))
            {
                SendUpTo(client.Stream, session, length, cut, _device.Settle);
                byte[] replies = TakeReplies(client, answered);
                client.ExpectSilenceSoFar();
                if (cut == 0) expected = replies;
                Assert.That(replies, Is.EqualTo(expected), $"cut before byte {cut}");
            }
        }
    }

    [Test]
    public void A_session_of_single_bytes_gets_the_same_replies()
    {
        using SharedMemory memory = SharedMemory.Create("guest", 4 * Page);
        using EventFd eventFd = EventFd.Create();
        List<(byte[] Bytes, int Fd)> session = WholeSession(memory.Handle.Number, eventFd.Handle.Number);
        byte[][] replies = new byte[2][];
        for (int way = 0; way < replies.Length; way++)
        {
            using WireClient client = _device.Connect(negotiate: false);
            foreach ((byte[] bytes, int fd) in session)
            {
                int step = way == 0 ? bytes.Length : 1;
                for (int i = 0; i < bytes.Length; i += step) client.SendRaw(bytes.AsSpan(i, step), i == 0 && fd >= 0 ? [fd] : []);
            }
            replies[way] = TakeReplies(client, session.Count - 2);
        }
        Assert.That(replies[1], Is.EqualTo(replies[0]));
    }

    [Test]
    public void A_client_that_leaves_at_any_byte_leaks_nothing_and_the_next_finds_power_on()
    {
        using SharedMemory memory = SharedMemory.Create("guest", 4 * Page);
        using EventFd eventFd = EventFd.Create();
        List<(byte[] Bytes, int Fd)> session = WholeSession(memory.Handle.Number, eventFd.Handle.Number);
        int length = session.Sum(s => s.Bytes.Length);
        int growth = OpenFiles.Growth(1, () =>
        {
            for (int end = 0; end <= length; end++)
            {
                using (WireClient client = _device.Connect(negotiate: false)) SendUpTo(client.Stream, session, end, -1, () => { });
                // At once, without waiting for the server to notice.
                _device.AssertServesAsNew();
            }
            _device.WaitForNoClient();
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        Assert.That(File.ReadAllText("/proc/self/maps").Split("memfd:guest").Length - 1, Is.Zero, "mappings of the guest's memory");
    }

    [Test]
    public void A_client_that_leaves_without_reading_its_replies_leaks_nothing()
    {
        int growth = OpenFiles.Growth(20, () =>
        {
            using (WireClient client = _device.Connect())
            {
                for (int i = 0; i < 20; i++) client.Send(Command.DeviceGetRegionInfo, Wire.Bytes(new RegionInfo(4096, 0, CardFunction.Whole, 0, 0, 0)));
            }
            _device.AssertServesAsNew();
            _device.WaitForNoClient();
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void A_client_that_closes_its_sending_side_gets_the_replies_it_asked_for()
    {
        using var socket = new System.Net.Sockets.Socket(System.Net.Sockets.AddressFamily.Unix, System.Net.Sockets.SocketType.Stream, 0);
        socket.Connect(new System.Net.Sockets.UnixDomainSocketEndPoint(_device.Server.SocketPath));
        byte[] version = Wire.Message(1, Command.Version, Wire.Version()), read = Wire.Message(2, Command.RegionRead, Wire.Read(0, 0, 4));
        socket.Send([.. version, .. read]);
        socket.Shutdown(System.Net.Sockets.SocketShutdown.Send);
        socket.ReceiveTimeout = (int)ServedDevice.Generous.TotalMilliseconds;
        var received = new List<byte>();
        byte[] buffer = new byte[4096];
        for (int count; (count = socket.Receive(buffer)) > 0;) received.AddRange(buffer[..count]);
        Assert.That(received[^4..], Is.EqualTo(BitConverter.GetBytes(CardRegisters.IdentificationValue)));
    }

    [Test]
    public void The_VERSION_reply_is_not_longer_than_the_request_of_QEMU()
    {
        using WireClient client = _device.Connect(negotiate: false);
        byte[] request = Wire.Version();
        WireMessage reply = client.Call(Command.Version, request);
        Assert.That(reply.Payload, Has.Length.LessThanOrEqualTo(request.Length));
        Assert.That(reply.Payload[..4], Is.EqualTo(new byte[4]), "QEMU proposes 0.0");
        Assert.That(Encoding.UTF8.GetString(reply.Payload, 4, reply.Payload.Length - 4),
            Is.EqualTo("{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,\"max_dma_maps\":4096}}\0"));
    }

    [TestCase((ushort)0, (ushort)0), TestCase((ushort)1, (ushort)1), TestCase((ushort)2, (ushort)2), TestCase(ushort.MaxValue, (ushort)2)]
    public void The_lower_minor_version_counts(ushort offered, ushort answered)
    {
        using WireClient client = _device.Connect(negotiate: false);
        Assert.That(client.Call(Command.Version, Wire.Version(minor: offered)).As<HalfVersion>(), Is.EqualTo(new HalfVersion(0, answered)));
    }

    private readonly record struct HalfVersion(ushort Major, ushort Minor) : IWirePayload<HalfVersion>
    {
        public static int WireSize => 4;

        public static bool TryRead(ReadOnlySpan<byte> source, out HalfVersion value)
        {
            value = new(BitConverter.ToUInt16(source), BitConverter.ToUInt16(source[2..]));
            return true;
        }

        public void Write(Span<byte> destination)
        {
            BitConverter.TryWriteBytes(destination, Major);
            BitConverter.TryWriteBytes(destination[2..], Minor);
        }
    }

    [Test]
    public void A_second_VERSION_is_refused_and_the_session_goes_on()
    {
        using WireClient client = _device.Connect();
        Assert.That(client.Fail(Command.Version, Wire.Version()), Is.EqualTo(Errno.EINVAL));
        client.ExpectSilenceSoFar();
    }

    [Test]
    public void VERSION_without_a_reply_begins_the_session_too()
    {
        using WireClient client = _device.Connect(negotiate: false);
        client.Send(Command.Version, Wire.Version("{\"capabilities\":{\"twin_socket\":{\"supported\":true},\"max_msg_fds\":4}}"), MessageFlags.NoReply);
        client.ExpectSilenceSoFar();
    }

    [Test]
    public void Pipelined_messages_are_answered_in_order()
    {
        using WireClient client = _device.Connect();
        const int Count = 1000;
        var stream = new List<byte>();
        for (ushort i = 0; i < Count; i++)
        {
            stream.AddRange(Wire.Message(i, Command.RegionWrite, Wire.Write32(CardRegisters.Scratch, 0, i), MessageFlags.NoReply));
            stream.AddRange(Wire.Message(i, Command.RegionRead, Wire.Read(CardRegisters.Scratch, 0, 4)));
        }
        client.SendRaw([.. stream]);
        for (ushort i = 0; i < Count; i++)
        {
            WireMessage reply = client.ExpectReply(Command.RegionRead, i);
            Assert.That(BitConverter.ToUInt32(reply.Payload, RegionAccess.Size), Is.EqualTo(i));
        }
        Assert.That(client.Read32(0, CardRegisters.Writes), Is.EqualTo(Count));
    }

    [Test]
    public void Replies_with_a_descriptor_keep_their_place_among_pipelined_ones()
    {
        using WireClient client = _device.Connect();
        var stream = new List<byte>();
        for (ushort i = 0; i < 30; i += 3)
        {
            stream.AddRange(Wire.Message(i, Command.RegionRead, Wire.Read(0, 0, 4)));
            stream.AddRange(Wire.Message((ushort)(i + 1), Command.DeviceGetRegionInfo, Wire.Bytes(new RegionInfo(32, 0, CardFunction.Whole, 0, 0, 0))));
            stream.AddRange(Wire.Message((ushort)(i + 2), Command.DeviceGetRegionInfo, Wire.Bytes(new RegionInfo(32, 0, 0, 0, 0, 0))));
        }
        client.SendRaw([.. stream]);
        for (ushort i = 0; i < 30; i++)
        {
            WireMessage reply = client.ExpectReply(i % 3 == 0 ? Command.RegionRead : Command.DeviceGetRegionInfo, i);
            Assert.That(reply.Descriptors, Has.Length.EqualTo(i % 3 == 1 ? 1 : 0), $"reply {i}");
            Array.ForEach(reply.Descriptors, d => d.Dispose());
        }
    }

    [Test]
    public void Replies_larger_than_the_buffer_arrive_whole_and_in_order()
    {
        using WireClient client = _device.Connect();
        byte[] pattern = new byte[CardFunction.SparseSize];
        new Random(1).NextBytes(pattern);
        client.Call(Command.RegionWrite, Wire.Write(0, CardFunction.Sparse, pattern.AsSpan(0, 0x1000)));
        client.Call(Command.RegionWrite, Wire.Write(0x8000, CardFunction.Sparse, pattern.AsSpan(0x8000)));
        for (ushort i = 0; i < 4; i++)
        {
            ushort small = client.Send(Command.RegionRead, Wire.Read(0, 0, 4));
            ushort large = client.Send(Command.RegionRead, Wire.Read(0x8000, CardFunction.Sparse, 0x8000));
            ushort whole = client.Send(Command.RegionRead, Wire.Read(0, CardFunction.Sparse, 0x10000));
            client.ExpectReply(Command.RegionRead, small);
            Assert.That(client.ExpectReply(Command.RegionRead, large).Payload[RegionAccess.Size..], Is.EqualTo(pattern[0x8000..]));
            byte[] bytes = client.ExpectReply(Command.RegionRead, whole).Payload[RegionAccess.Size..];
            Assert.That(bytes[..0x1000], Is.EqualTo(pattern[..0x1000]));
            Assert.That(bytes[0x1000..0x8000], Is.All.Zero, "never written, or not there");
            Assert.That(bytes[0x8000..], Is.EqualTo(pattern[0x8000..]));
        }
    }

    private static IEnumerable<TestCaseData> EveryCommand()
    {
        static TestCaseData Case(Command command, byte[] payload) => new TestCaseData(command, payload).SetArgDisplayNames($"{command}");
        yield return Case(Command.DmaMap, Wire.Map(0, Page));
        yield return Case(Command.DmaUnmap, Wire.Unmap(0, 0, DmaUnmapFlags.All));
        yield return Case(Command.DeviceGetInfo, Wire.Bytes(new DeviceInfo(16, 0, 0, 0)));
        yield return Case(Command.DeviceGetRegionInfo, Wire.Bytes(new RegionInfo(4096, 0, CardFunction.Sparse, 0, 0, 0)));
        yield return Case(Command.DeviceGetRegionIoFds, Wire.Bytes(new RegionIoFds(16, 0, 0, 0)));
        yield return Case(Command.DeviceGetIrqInfo, Wire.Bytes(new IrqInfo(16, 0, 0, 0)));
        yield return Case(Command.DeviceSetIrqs, Wire.Irqs(IrqSetFlags.DataNone | IrqSetFlags.ActionMask, 0, 0, 1));
        yield return Case(Command.RegionRead, Wire.Read(0, CardFunction.Sparse, 0x10000));
        yield return Case(Command.RegionWrite, Wire.Write32(CardRegisters.Scratch, 0, 1));
        yield return Case(Command.DeviceReset, []);
        yield return Case(Command.RegionWriteMulti, Multi(new RegionWrite(0, 0, 4, 1)));
        yield return Case(Command.DeviceFeature, Wire.Bytes(new DeviceFeature(8, DeviceFeatureFlags.Get)));
        yield return Case(Command.MigDataRead, new byte[8]);
        yield return Case(Command.DirtyPages, new byte[8]);
        yield return Case((Command)4711, []);
    }

    [TestCaseSource(nameof(EveryCommand))]
    public void A_command_that_wants_no_reply_gets_none(Command command, byte[] payload)
    {
        using WireClient client = _device.Connect();
        for (int i = 0; i < 3; i++) client.Send(command, payload, MessageFlags.NoReply);
        // The reply of the one before stays, too.
        ushort before = client.Send(Command.RegionRead, Wire.Read(0, 0, 4));
        client.Send(command, payload, MessageFlags.NoReply);
        Assert.That(client.ExpectReply(Command.RegionRead, before).Payload, Has.Length.EqualTo(RegionAccess.Size + 4));
        client.ExpectSilenceSoFar();
    }

    [Test]
    public void Posted_writes_take_effect_in_order_and_wrong_ones_are_lost_in_silence()
    {
        using WireClient client = _device.Connect();
        client.Send(Command.RegionWrite, Wire.Write32(CardRegisters.Scratch, 0, 1), MessageFlags.NoReply);
        client.Send(Command.RegionWrite, Wire.Write32(4096, 0, 2), MessageFlags.NoReply);
        client.Send(Command.RegionWrite, Wire.Write32(CardRegisters.Scratch, 0, 3), MessageFlags.NoReply);
        Assert.That(client.Read32(0, CardRegisters.Scratch), Is.EqualTo(3));
        Assert.That(client.Read32(0, CardRegisters.Writes), Is.EqualTo(2));
    }

    [Test]
    public void Several_writes_in_one_message_are_done_in_order_and_counted()
    {
        using WireClient client = _device.Connect();
        RegionWrite[] writes =
        [
            new(CardRegisters.Scratch, 0, 4, 0x11111111),
            new(CardRegisters.Scratch, 0, 2, 0xffff_2222),
            new(4096, 0, 4, 7),
            new(0, 9, 4, 7),
            new(CardRegisters.Scratch + 3, 0, 1, 0x33),
            new(0, CardFunction.Whole, 8, 0x8877665544332211),
            new(8, CardFunction.Whole, 0, 0),
        ];
        WireMessage reply = client.Call(Command.RegionWriteMulti, Multi(writes));
        Assert.That(reply.Payload, Is.EqualTo(BitConverter.GetBytes(5UL)), "two led nowhere");
        Assert.That(client.Read32(0, CardRegisters.Scratch), Is.EqualTo(0x33112222));
        Assert.That(client.Read(CardFunction.Whole, 0, 8), Is.EqualTo(BitConverter.GetBytes(0x8877665544332211UL)));

        client.Send(Command.RegionWriteMulti, Multi(writes[0], writes[1]), MessageFlags.NoReply);
        Assert.That(client.Read32(0, CardRegisters.Scratch), Is.EqualTo(0x11112222));
    }

    [Test]
    public void A_second_client_is_told_EBUSY_and_the_first_goes_on()
    {
        using WireClient first = _device.Connect();
        for (ushort i = 0; i < 3; i++)
        {
            using WireClient second = _device.Connect(negotiate: false);
            second.SendRaw(Wire.Message((ushort)(4711 + i), Command.Version, Wire.Version()));
            Assert.That(second.ExpectError(Command.Version, (ushort)(4711 + i)), Is.EqualTo(Errno.EBUSY));
            second.ExpectGone();
            first.ExpectSilenceSoFar();
        }
        string said = $"refused a client (process {Environment.ProcessId}): process {Environment.ProcessId} has the device";
        Assert.That(_device.Reports, Has.Exactly(1).EndsWith(said), "said once, however often somebody tries");
        first.Dispose();
        _device.AssertServesAsNew();
    }

    [Test]
    public void A_second_client_that_speaks_in_pieces_and_with_descriptors_is_told_EBUSY_too()
    {
        using WireClient first = _device.Connect();
        using EventFd eventFd = EventFd.Create();
        int growth = OpenFiles.Growth(4, () =>
        {
            using WireClient second = _device.Connect(negotiate: false);
            byte[] message = Wire.Message(77, Command.Version, Wire.Version());
            second.SendRaw(message.AsSpan(0, 5), eventFd.Handle.Number, eventFd.Handle.Number);
            _device.Settle();
            second.SendRaw(message.AsSpan(5, 11));
            Assert.That(second.ExpectError(Command.Version, 77), Is.EqualTo(Errno.EBUSY));
            second.ExpectGone();
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        first.ExpectSilenceSoFar();
    }

    [Test]
    public void A_crowd_that_says_nothing_costs_one_descriptor_and_hinders_nobody()
    {
        using WireClient first = _device.Connect();
        var crowd = new List<WireClient>();
        for (int i = 0; i < 50; i++)
        {
            crowd.Add(_device.Connect(negotiate: false));
            first.ExpectSilenceSoFar();
        }
        using WireClient last = _device.Connect(negotiate: false);
        Assert.That(last.Fail(Command.Version, Wire.Version()), Is.EqualTo(Errno.EBUSY));
        foreach (WireClient silent in crowd)
        {
            silent.ExpectGone();
            silent.Dispose();
        }
    }

    [Test]
    public void A_client_that_comes_when_the_one_before_has_gone_is_served_whatever_that_left_behind()
    {
        for (int i = 0; i < 200; i++)
        {
            using (WireClient client = _device.Connect())
            {
                for (int j = 0; j < 20; j++) client.Send(Command.RegionWrite, Wire.Write32(CardRegisters.Scratch, 0, 1), MessageFlags.NoReply);
            }
            using WireClient next = _device.Connect();
            Assert.That(next.Read32(0, CardRegisters.Scratch), Is.EqualTo(CardRegisters.ScratchReset));
        }
    }
}
