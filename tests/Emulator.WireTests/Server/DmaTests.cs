using System.Runtime.Versioning;
using Emulator.Memory;
using Emulator.Pci;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using Emulator.WireTests.Transport;

namespace Emulator.WireTests.Server;

/// <summary>Guest memory as the function reaches it: through shared descriptors, and by messages.</summary>
[TestFixture, Category("Wire"), SupportedOSPlatform("linux")]
public sealed class DmaTests
{
    private const int Page = 4096;
    private const DmaMapFlags Both = DmaMapFlags.Readable | DmaMapFlags.Writable;

    private ServedDevice _device = null!;
    private WireClient _client = null!;

    private BusMaster Memory => _device.Card.Memory;

    [SetUp]
    public void Serve()
    {
        _device = new ServedDevice();
        _client = _device.Connect();
        _client.EnableBusMaster();
    }

    [TearDown]
    public void Stop()
    {
        _client.Dispose();
        _device.Dispose();
    }

    private static byte[] Pattern(int length, int seed = 1)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private SharedMemory MapShared(ulong address, int length, DmaMapFlags flags = Both, ulong fileOffset = 0)
    {
        SharedMemory memory = SharedMemory.Create("guest", (ulong)length + fileOffset);
        _client.Call(Command.DmaMap, Wire.Map(address, (ulong)length, fileOffset, flags), memory.Handle.Number);
        return memory;
    }

    private (bool Done, byte[] Bytes) TryRead(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        return (_device.Invoke(() => Memory.TryRead(address, bytes)), bytes);
    }

    private bool TryWrite(ulong address, byte[] bytes) => _device.Invoke(() => Memory.TryWrite(address, bytes));

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
        Assert.That(_device.Invoke(() => Memory.TryPublish(0x10004, 0x12345678)), Is.True);
        Assert.That(BitConverter.ToUInt32(view.Span[(Page + 4)..]), Is.EqualTo(0x12345678));
        Assert.That(_device.Invoke(() => Memory.TryPublish(0x10005, 1)), Is.False, "not aligned");
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
        Assert.That(_device.Invoke(() => Memory.TryView(0x10000 + Page - 2, 4, writable: true, out _)), Is.False, "two files");
        Assert.That(_device.Invoke(() => Memory.TryView(0x10000 + Page - 4, 4, writable: true, out _)), Is.True);
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
            Assert.That(_device.Invoke(() => Memory.TryView(address, 16, writable: false, out _)), Is.False, $"0x{address:x}");
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
        Assert.That(_device.Invoke(() => Memory.TryView(0x10000, 4, writable: true, out _)), Is.False);
        Assert.That(_device.Invoke(() => Memory.TryPublish(0x10000, 1)), Is.False);
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
        _client.Write32(RegionIndex.Config, 4, 0x0002);
        Assert.That(TryRead(0x10000, 4).Done, Is.False);
        Assert.That(TryWrite(0x10000, [1]), Is.False);
        _client.EnableBusMaster();
        Assert.That(TryRead(0x10000, 4), Is.EqualTo((true, new byte[4])));
    }

    [Test]
    public void Unmapped_memory_is_let_go_before_the_reply()
    {
        using SharedMemory guest = MapShared(0x10000, Page);
        Assert.That(File.ReadAllText("/proc/self/maps"), Does.Contain("memfd:guest"));
        _client.Call(Command.DmaUnmap, Wire.Unmap(0x10000, Page));
        Assert.That(File.ReadAllText("/proc/self/maps"), Does.Not.Contain("memfd:guest"));
        Assert.That(TryRead(0x10000, 4).Done, Is.False);
    }

    [Test]
    public void Maps_and_unmaps_leak_nothing()
    {
        using SharedMemory memory = SharedMemory.Create("guest", Page);
        int growth = OpenFiles.Growth(20, () =>
        {
            _client.Call(Command.DmaMap, Wire.Map(0, Page), memory.Handle.Number);
            _client.Call(Command.DmaMap, Wire.Map(Page, Page), memory.Handle.Number);
            _client.Call(Command.DmaUnmap, Wire.Unmap(0, Page));
            _client.Call(Command.DmaUnmap, Wire.Unmap(0, 0, DmaUnmapFlags.All));
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
            _client.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress, Page), file.Number);
            using (FileStream cut = File.OpenWrite(path)) cut.SetLength(0);
            Assert.That(TryRead(CardFunction.TransferAddress, 4).Done, Is.False);
            Start(16);
            AnswerRead(_client.ExpectCommand(Command.DmaRead), Pattern(16));
            ExpectEnded(DmaStatus.Completed);
        }
        finally
        {
            File.Delete(path);
        }
        Assert.That(_device.Reports, Has.Exactly(1).Contains("memory-backend-memfd"));
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

    // ---- queued transfers and messages ----

    // Queues a read of the card by a register write, and takes the reply to that.
    private void Start(int length, bool write = false)
    {
        if (write) _device.Invoke(() => _device.Card.Transfer.IsWrite = true);
        _client.Write32(CardFunction.Registers, CardRegisters.Start, (uint)length);
    }

    /// <summary>Another client instead, whose DMA messages carry so many bytes at the most, with a page mapped for them.</summary>
    private WireClient ConnectWithMessagesOf(int bytes)
    {
        _client.Dispose();
        WireClient client = _device.Connect(version: $"{{\"capabilities\":{{\"max_data_xfer_size\":{bytes}}}}}");
        client.EnableBusMaster();
        client.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress, Page));
        return client;
    }

    private void MapByMessages(int length = 1 << 20, DmaMapFlags flags = Both)
        => _client.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress, (ulong)length, 0, flags));

    private void AnswerRead(WireMessage command, ReadOnlySpan<byte> data) => _client.Reply(command, Wire.Bytes(command.As<DmaAccess>(), data));

    private void ExpectEnded(params DmaStatus[] statuses)
    {
        _device.WaitUntil(() => _device.Card.Ended.Count >= statuses.Length, "the transfer ends");
        Assert.That(_device.Invoke(() => _device.Card.Ended.ToArray()), Is.EqualTo(statuses));
        Assert.That(_device.Invoke(() => _device.Card.Transfer.IsQueued), Is.False);
    }

    [Test]
    public void The_reply_to_the_access_goes_before_the_DMA_message_it_causes()
    {
        MapByMessages();
        ushort write = _client.Send(Command.RegionWrite, Wire.Write32(CardRegisters.Start, 0, 16));
        Assert.That(_client.Receive().Header.Id, Is.EqualTo(write));
        WireMessage command = _client.ExpectCommand(Command.DmaRead);
        Assert.That(command.As<DmaAccess>(), Is.EqualTo(new DmaAccess(CardFunction.TransferAddress, 16)));
        Assert.That(command.Payload, Has.Length.EqualTo(DmaAccess.Size));
        Assert.That(command.Header.Flags, Is.EqualTo(MessageFlags.Command));
        // The device goes on answering meanwhile.
        _client.ExpectSilenceSoFar();
        AnswerRead(command, Pattern(16));
        ExpectEnded(DmaStatus.Completed);
        Assert.That(_device.Invoke(() => _device.Card.Transfer.Buffer.ToArray()), Is.EqualTo(Pattern(16)));
    }

    [Test]
    public void All_replies_of_a_batch_go_before_the_DMA_message_its_first_message_causes()
    {
        MapByMessages();
        var batch = new List<byte>(Wire.Message(1, Command.RegionWrite, Wire.Write32(CardRegisters.Start, 0, 16)));
        for (ushort id = 2; id < 20; id++) batch.AddRange(Wire.Message(id, Command.RegionRead, Wire.Read(0, 0, 4)));
        _client.SendRaw([.. batch]);
        for (ushort id = 1; id < 20; id++) Assert.That(_client.Receive().Header.Id, Is.EqualTo(id));
        AnswerRead(_client.ExpectCommand(Command.DmaRead), new byte[16]);
        ExpectEnded(DmaStatus.Completed);
    }

    [Test]
    public void Replies_due_go_before_the_next_DMA_message_of_a_transfer()
    {
        using WireClient client = ConnectWithMessagesOf(8);
        client.Write32(0, CardRegisters.Start, 16);
        WireMessage command = client.ExpectCommand(Command.DmaRead);
        byte[] answer = Wire.Bytes(command.As<DmaAccess>(), new byte[8]);
        client.SendRaw([.. Wire.Message(9, Command.RegionRead, Wire.Read(0, 0, 4)), .. Wire.Bytes(command.Header.ToReply(answer.Length), answer)]);
        client.ExpectReply(Command.RegionRead, 9);
        client.ExpectCommand(Command.DmaRead);
    }

    [TestCase(DmaAccess.Size), TestCase(DmaAccess.ShortWriteReplySize)]
    public void A_write_carries_its_data_and_either_length_of_reply_ends_it(int replySize)
    {
        MapByMessages();
        _device.Invoke(() => _device.Card.OnCompleted = request => request.Buffer.Span.Clear());
        Start(1000, write: true);
        WireMessage command = _client.ExpectCommand(Command.DmaWrite);
        Assert.That(command.As<DmaAccess>(), Is.EqualTo(new DmaAccess(CardFunction.TransferAddress, 1000)));
        Assert.That(command.Payload, Has.Length.EqualTo(DmaAccess.Size + 1000));
        _client.Reply(command, command.Payload.AsSpan(0, replySize));
        ExpectEnded(DmaStatus.Completed);
    }

    [Test]
    public void A_transfer_is_cut_into_what_the_client_takes()
    {
        using WireClient client = ConnectWithMessagesOf(1000);
        client.Write32(0, CardRegisters.Start, 2500);
        byte[] guest = Pattern(2500);
        for (int done = 0; done < 2500; done += 1000)
        {
            WireMessage command = client.ExpectCommand(Command.DmaRead);
            int length = Math.Min(1000, 2500 - done);
            Assert.That(command.As<DmaAccess>(), Is.EqualTo(new DmaAccess(CardFunction.TransferAddress + (ulong)done, (ulong)length)));
            client.Reply(command, Wire.Bytes(command.As<DmaAccess>(), guest.AsSpan(done, length)));
        }
        ExpectEnded(DmaStatus.Completed);
        Assert.That(_device.Invoke(() => _device.Card.Transfer.Buffer.ToArray()), Is.EqualTo(guest));
    }

    [Test]
    public void Shared_memory_needs_no_message_for_a_queued_transfer()
    {
        using SharedMemory guest = MapShared(CardFunction.TransferAddress, Page);
        using MappedMemory view = guest.Map();
        Pattern(Page).CopyTo(view.Span);
        Start(Page);
        ExpectEnded(DmaStatus.Completed);
        Assert.That(_device.Invoke(() => _device.Card.Transfer.Buffer.ToArray()), Is.EqualTo(Pattern(Page)));
        _client.ExpectSilenceSoFar();
    }

    [Test]
    public void A_transfer_half_in_shared_memory_goes_by_messages_whole()
    {
        using SharedMemory guest = MapShared(CardFunction.TransferAddress, Page);
        _client.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress + Page, Page));
        Start(2 * Page);
        AnswerRead(_client.ExpectCommand(Command.DmaRead), Pattern(2 * Page));
        ExpectEnded(DmaStatus.Completed);
    }

    [Test]
    public void Queued_transfers_end_in_order_however_they_travel()
    {
        using SharedMemory guest = MapShared(0x20000, Page);
        MapByMessages();
        var order = new List<int>();
        _device.Invoke(() =>
        {
            ulong[] addresses = [CardFunction.TransferAddress, 0x20000, CardFunction.TransferAddress + 64, 0xdead0000, 0x20040];
            for (int i = 0; i < addresses.Length; i++)
            {
                int number = i;
                Memory.Queue(new DmaRequest(_ => order.Add(number)) { Address = addresses[i], Buffer = new byte[32] });
            }
        });
        AnswerRead(_client.ExpectCommand(Command.DmaRead), new byte[32]);
        AnswerRead(_client.ExpectCommand(Command.DmaRead), new byte[32]);
        _device.WaitUntil(() => order.Count == 5, "all end");
        Assert.That(order, Is.EqualTo(new[] { 0, 1, 2, 3, 4 }));
    }

    [Test]
    public void A_completion_that_queues_again_starves_nobody()
    {
        using SharedMemory guest = MapShared(CardFunction.TransferAddress, Page);
        int count = 0;
        _device.Invoke(() => _device.Card.OnCompleted = request =>
        {
            _device.Card.Ended.Clear();
            if (++count < 100_000) Memory.Queue(request);
        });
        Start(4);
        _client.ExpectSilenceSoFar();
        _device.WaitUntil(() => count == 100_000, "the chain ends");
    }

    [TestCase(0, false), TestCase(0x1000, false), TestCase(16, true)]
    public void What_the_ranges_do_not_hold_or_allow_fails_without_a_message(int length, bool write)
    {
        MapByMessages(0x800, DmaMapFlags.Readable);
        Start(length, write);
        ExpectEnded(DmaStatus.Failed);
        _client.ExpectSilenceSoFar();
    }

    [TestCase(Command.DmaRead), TestCase(Command.DmaWrite)]
    public void An_error_reply_fails_the_transfer_and_the_session_goes_on(Command command)
    {
        MapByMessages();
        Start(16, command == Command.DmaWrite);
        WireMessage message = _client.ExpectCommand(command);
        _client.SendRaw(Wire.Bytes(message.Header.ToErrorReply(Errno.EFAULT)));
        ExpectEnded(DmaStatus.Failed);
        Start(16);
        AnswerReadOrWrite(command);
        ExpectEnded(DmaStatus.Failed, DmaStatus.Completed);
    }

    private void AnswerReadOrWrite(Command command)
    {
        WireMessage message = _client.ExpectCommand(command);
        if (command == Command.DmaRead) AnswerRead(message, new byte[message.As<DmaAccess>().Count]);
        else _client.Reply(message, Wire.Bytes(message.As<DmaAccess>()));
    }

    private static IEnumerable<TestCaseData> Garbage()
    {
        static TestCaseData Case(string name, Func<MessageHeader, byte[]> reply) => new TestCaseData(reply).SetArgDisplayNames(name);
        static byte[] Reply(MessageHeader command, ReadOnlySpan<byte> payload) => Wire.Bytes(command.ToReply(payload.Length), payload);
        byte[] right = Wire.Bytes(new DmaAccess(CardFunction.TransferAddress, 16), new byte[16]);
        yield return Case("another ID", h => Reply(h with { Id = (ushort)(h.Id + 1) }, right));
        yield return Case("another command", h => Reply(h with { Command = Command.DmaWrite }, right));
        yield return Case("empty", h => Reply(h, []));
        yield return Case("short", h => Reply(h, new byte[15]));
        yield return Case("no data", h => Reply(h, Wire.Bytes(new DmaAccess(CardFunction.TransferAddress, 16))));
        yield return Case("too little data", h => Reply(h, Wire.Bytes(new DmaAccess(CardFunction.TransferAddress, 16), new byte[15])));
        yield return Case("too much data", h => Reply(h, Wire.Bytes(new DmaAccess(CardFunction.TransferAddress, 16), new byte[17])));
        yield return Case("another count", h => Reply(h, Wire.Bytes(new DmaAccess(CardFunction.TransferAddress, 8), new byte[16])));
        yield return Case("a huge count", h => Reply(h, Wire.Bytes(new DmaAccess(CardFunction.TransferAddress, ulong.MaxValue), new byte[16])));
    }

    [TestCaseSource(nameof(Garbage))]
    public void A_garbage_reply_ends_the_session_and_aborts_the_transfer_once(Func<MessageHeader, byte[]> reply)
    {
        MapByMessages();
        Start(16);
        WireMessage command = _client.ExpectCommand(Command.DmaRead);
        _client.SendRaw(reply(command.Header));
        _client.ExpectClosed();
        _device.AssertServesAsNew();
        ExpectEnded(DmaStatus.Aborted);
    }

    [Test]
    public void A_second_answer_to_a_message_ends_the_session()
    {
        MapByMessages();
        Start(16);
        WireMessage command = _client.ExpectCommand(Command.DmaRead);
        AnswerRead(command, new byte[16]);
        AnswerRead(command, new byte[16]);
        _client.ExpectClosed();
        ExpectEnded(DmaStatus.Completed);
    }

    [Test]
    public void Descriptors_with_a_reply_are_closed()
    {
        MapByMessages();
        using EventFd stray = EventFd.Create();
        int growth = OpenFiles.Growth(4, () =>
        {
            Start(16);
            WireMessage command = _client.ExpectCommand(Command.DmaRead);
            byte[] payload = Wire.Bytes(command.As<DmaAccess>(), new byte[16]);
            _client.SendRaw(Wire.Bytes(command.Header.ToReply(payload.Length), payload), stray.Handle.Number);
            _device.WaitUntil(() => !_device.Card.Transfer.IsQueued, "it ends");
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void A_reset_aborts_a_queued_transfer_once_and_no_message_goes()
    {
        MapByMessages();
        _client.SendRaw([.. Wire.Message(1, Command.RegionWrite, Wire.Write32(CardRegisters.Start, 0, 16)), .. Wire.Message(2, Command.DeviceReset)]);
        _client.ExpectReply(Command.RegionWrite, 1);
        _client.ExpectReply(Command.DeviceReset, 2);
        ExpectEnded(DmaStatus.Aborted);
        _client.ExpectSilenceSoFar();
    }

    [Test]
    public void A_reset_aborts_a_transfer_under_way_once_its_reply_comes()
    {
        using WireClient client = ConnectWithMessagesOf(8);
        client.Write32(0, CardRegisters.Start, 16);
        WireMessage command = client.ExpectCommand(Command.DmaRead);
        client.Call(Command.DeviceReset);
        client.Reply(command, Wire.Bytes(command.As<DmaAccess>(), new byte[8]));
        ExpectEnded(DmaStatus.Aborted);
        client.ExpectSilenceSoFar();
        // And the next works.
        client.EnableBusMaster();
        client.Write32(0, CardRegisters.Start, 8);
        command = client.ExpectCommand(Command.DmaRead);
        client.Reply(command, Wire.Bytes(command.As<DmaAccess>(), new byte[8]));
        ExpectEnded(DmaStatus.Aborted, DmaStatus.Completed);
    }

    [Test]
    public void A_reset_before_the_only_message_is_answered_aborts_although_the_data_came()
    {
        MapByMessages();
        Start(16);
        WireMessage command = _client.ExpectCommand(Command.DmaRead);
        _client.Call(Command.DeviceReset);
        AnswerRead(command, new byte[16]);
        ExpectEnded(DmaStatus.Aborted);
    }

    [Test]
    public void Losing_Bus_Master_Enable_stops_a_transfer_after_the_message_under_way()
    {
        using WireClient client = ConnectWithMessagesOf(8);
        client.Write32(0, CardRegisters.Start, 16);
        WireMessage command = client.ExpectCommand(Command.DmaRead);
        client.Write32(RegionIndex.Config, 4, 0x0002);
        client.Reply(command, Wire.Bytes(command.As<DmaAccess>(), new byte[8]));
        ExpectEnded(DmaStatus.Aborted);
        client.ExpectSilenceSoFar();
    }

    [Test]
    public void Without_Bus_Master_Enable_a_queued_transfer_fails_in_a_later_turn()
    {
        MapByMessages();
        _client.Write32(RegionIndex.Config, 4, 0x0002);
        Start(16);
        ExpectEnded(DmaStatus.Failed);
        _client.ExpectSilenceSoFar();
    }

    [Test]
    public void Unmapping_while_a_transfer_is_queued_fails_it([Values] bool shared)
    {
        using SharedMemory? guest = shared ? MapShared(CardFunction.TransferAddress, Page) : null;
        if (!shared) MapByMessages(Page);
        _client.SendRaw(
        [
            .. Wire.Message(1, Command.RegionWrite, Wire.Write32(CardRegisters.Start, 0, 16)),
            .. Wire.Message(2, Command.DmaUnmap, Wire.Unmap(CardFunction.TransferAddress, Page)),
        ]);
        _client.ExpectReply(Command.RegionWrite, 1);
        _client.ExpectReply(Command.DmaUnmap, 2);
        ExpectEnded(DmaStatus.Failed);
        _client.ExpectSilenceSoFar();
    }

    [Test]
    public void Unmapping_while_a_transfer_is_under_way_fails_what_is_left_of_it()
    {
        using WireClient client = ConnectWithMessagesOf(8);
        client.Write32(0, CardRegisters.Start, 16);
        WireMessage command = client.ExpectCommand(Command.DmaRead);
        client.Call(Command.DmaUnmap, Wire.Unmap(CardFunction.TransferAddress, Page));
        client.Reply(command, Wire.Bytes(command.As<DmaAccess>(), new byte[8]));
        ExpectEnded(DmaStatus.Failed);
        client.ExpectSilenceSoFar();
    }

    [Test]
    public void A_client_that_leaves_aborts_every_transfer_once_whatever_the_completions_do()
    {
        MapByMessages();
        var ended = new List<DmaStatus>();
        _device.Invoke(() =>
        {
            for (int i = 0; i < 5; i++)
            {
                Memory.Queue(new DmaRequest(request =>
                {
                    ended.Add(request.Status);
                    throw new InvalidOperationException("a completion that fails");
                })
                { Address = CardFunction.TransferAddress, Buffer = new byte[16] });
            }
        });
        _client.ExpectCommand(Command.DmaRead);
        _client.Dispose();
        _device.AssertServesAsNew();
        Assert.That(_device.Invoke(() => ended.ToArray()), Is.EqualTo(Enumerable.Repeat(DmaStatus.Aborted, 5)));
    }

    [Test]
    public void What_a_completion_queues_as_its_client_leaves_does_not_reach_the_next()
    {
        MapByMessages();
        _device.Invoke(() => _device.Card.OnCompleted = request =>
        {
            if (_device.Card.Ended.Count < 3) Memory.Queue(request);
        });
        Start(16);
        _client.ExpectCommand(Command.DmaRead);
        _client.Dispose();
        using WireClient next = _device.Connect();
        next.EnableBusMaster();
        next.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress, Page));
        next.ExpectSilenceSoFar();
        _device.WaitUntil(() => _device.Card.Ended.Count == 3, "all end");
        Assert.That(_device.Invoke(() => _device.Card.Ended.ToArray()), Has.None.EqualTo(DmaStatus.Completed));
        next.ExpectSilenceSoFar();
    }

    // ---- the twin socket ----

    private WireClient ConnectTwin(out WireClient twin)
    {
        WireClient client = _device.Connect(negotiate: false);
        WireMessage reply = client.Call(Command.Version, Wire.Version("{\"capabilities\":{\"max_msg_fds\":8,\"twin_socket\":{\"supported\":true}}}"));
        Assert.That(VersionPayload.TryRead(reply.Payload, out VersionPayload version), Is.True);
        Assert.That((version.Capabilities.TwinSocket, version.Capabilities.TwinSocketFdIndex), Is.EqualTo((true, 0)));
        Assert.That(reply.Descriptors, Has.Length.EqualTo(1));
        twin = new WireClient(new UnixStream(reply.Descriptors[0]));
        client.EnableBusMaster();
        client.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress, Page));
        return client;
    }

    [Test]
    public void With_a_twin_socket_DMA_messages_go_there_and_the_other_stays_free()
    {
        _client.Dispose();
        using WireClient client = ConnectTwin(out WireClient twin);
        using (twin)
        {
            client.Write32(0, CardRegisters.Start, 16);
            WireMessage command = twin.ExpectCommand(Command.DmaRead);
            client.ExpectSilenceSoFar();
            twin.Reply(command, Wire.Bytes(command.As<DmaAccess>(), Pattern(16)));
            ExpectEnded(DmaStatus.Completed);
        }
    }

    [Test]
    public void A_command_on_the_twin_socket_ends_the_session()
    {
        _client.Dispose();
        using WireClient client = ConnectTwin(out WireClient twin);
        using (twin)
        {
            twin.Send(Command.RegionRead, Wire.Read(0, 0, 4));
            client.ExpectClosed();
            twin.ExpectClosed();
        }
        _device.AssertServesAsNew();
    }

    [Test]
    public void A_malformed_size_on_the_twin_socket_ends_the_session()
    {
        _client.Dispose();
        using WireClient client = ConnectTwin(out WireClient twin);
        using (twin)
        {
            twin.SendRaw(Wire.Bytes(new MessageHeader(1, Command.DmaRead, 5, MessageFlags.Command, 0)));
            client.ExpectClosed();
            twin.ExpectClosed();
        }
    }

    [Test]
    public void Closing_the_twin_socket_ends_the_session_and_leaks_nothing()
    {
        _client.Dispose();
        int growth = OpenFiles.Growth(4, () =>
        {
            using WireClient client = ConnectTwin(out WireClient twin);
            twin.Dispose();
            client.ExpectClosed();
            _device.WaitForNoClient();
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        _device.AssertServesAsNew();
    }

    [Test]
    public void Leaving_with_a_twin_socket_leaks_nothing()
    {
        _client.Dispose();
        int growth = OpenFiles.Growth(4, () =>
        {
            ConnectTwin(out WireClient twin).Dispose();
            twin.ExpectClosed();
            twin.Dispose();
            _device.WaitForNoClient();
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void A_twin_socket_is_only_for_clients_that_ask_and_take_descriptors()
    {
        _client.Dispose();
        using var without = new ServedDevice(adapt: options => options with { OfferTwinSocket = false });
        const string Asks = "{\"capabilities\":{\"max_msg_fds\":8,\"twin_socket\":{\"supported\":true}}}";
        (ServedDevice Device, string? Offer)[] cases =
        [
            (_device, null), (_device, "{\"capabilities\":{\"twin_socket\":{\"supported\":false}}}"),
            (_device, "{\"capabilities\":{\"max_msg_fds\":0,\"twin_socket\":{\"supported\":true}}}"), (without, Asks),
        ];
        foreach ((ServedDevice device, string? offer) in cases)
        {
            using WireClient client = device.Connect(negotiate: false);
            WireMessage reply = client.Negotiate(offer);
            Assert.That(reply.Descriptors, Is.Empty);
            Assert.That(System.Text.Encoding.UTF8.GetString(reply.Payload), Does.Not.Contain("twin"));
        }
    }

    // ---- a whole model: the engine of the scratch function ----

    [Test]
    public void The_scratch_engine_copies_and_interrupts_by_shared_memory_and_by_messages([Values] bool shared, [Values] bool queued)
    {
        using var device = new ServedDevice(slot => new DeviceModels.Scratch.ScratchFunction(DeviceModels.Scratch.ScratchModels.Full, slot));
        using VfioUser.Client.VfioUserClient client = device.ConnectClient();
        client.Write32(RegionIndex.Config, 4, 0x0006);
        using SharedMemory memory = SharedMemory.Create("guest", 2 * Page);
        using MappedMemory view = memory.Map();
        byte[] unshared = new byte[2 * Page];
        Pattern(Page).CopyTo(view.Span);
        Pattern(Page).CopyTo(unshared.AsSpan());
        if (shared) client.MapDma(0x10000, memory);
        else client.MapDma(0x10000, unshared.AsMemory());
        using EventFd done = client.AttachInterrupt(IrqIndex.MsiX, 3);
        client.Write32(0, 0x0c, Page);
        client.Write64(0, 0x10, 0x10000);
        client.Write64(0, 0x18, 0x10000 + Page);
        client.Write32(0, 0x04, 0x0311 | (queued ? 8u : 0u));
        Assert.That(done.Wait(ServedDevice.Generous), Is.True, "the engine interrupts");
        bool reachable = shared || queued;
        Assert.That(client.Read32(0, 0x08), Is.EqualTo(reachable ? 1u : 3u), "DONE, and ERROR where a handler cannot reach");
        byte[] copied = (shared ? view.Span[Page..] : unshared.AsSpan(Page)).ToArray();
        Assert.That(copied, Is.EqualTo(reachable ? Pattern(Page) : new byte[Page]));
        client.UnmapAllDma();
    }
}
