using System.Runtime.Versioning;
using Emulator.Memory;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using Emulator.WireTests.Transport;

namespace Emulator.WireTests.Server.Dma;

/// <summary>Queued transfers: by messages, or copied where memory is shared.</summary>
[TestFixture, Category("Wire"), SupportedOSPlatform("linux")]
public sealed class DmaMessageTests : DmaFixture
{
    [Test]
    public void The_reply_to_the_access_goes_before_the_DMA_message_it_causes()
    {
        MapByMessages();
        ushort write = Client.Send(Command.RegionWrite, Wire.Write32(CardRegisters.Start, 0, 16));
        Assert.That(Client.Receive().Header.Id, Is.EqualTo(write));
        WireMessage command = Client.ExpectCommand(Command.DmaRead);
        Assert.That(command.As<DmaAccess>(), Is.EqualTo(new DmaAccess(CardFunction.TransferAddress, 16)));
        Assert.That(command.Payload, Has.Length.EqualTo(DmaAccess.Size));
        Assert.That(command.Header.Flags, Is.EqualTo(MessageFlags.Command));
        // The device goes on answering meanwhile.
        Client.ExpectSilenceSoFar();
        AnswerRead(command, Pattern(16));
        ExpectEnded(DmaStatus.Completed);
        Assert.That(Device.Invoke(() => Device.Card.Transfer.Buffer.ToArray()), Is.EqualTo(Pattern(16)));
    }

    [Test]
    public void All_replies_of_a_batch_go_before_the_DMA_message_its_first_message_causes()
    {
        MapByMessages();
        var batch = new List<byte>(Wire.Message(1, Command.RegionWrite, Wire.Write32(CardRegisters.Start, 0, 16)));
        for (ushort id = 2; id < 20; id++) batch.AddRange(Wire.Message(id, Command.RegionRead, Wire.Read(0, 0, 4)));
        Client.SendRaw([.. batch]);
        for (ushort id = 1; id < 20; id++) Assert.That(Client.Receive().Header.Id, Is.EqualTo(id));
        AnswerRead(Client.ExpectCommand(Command.DmaRead), new byte[16]);
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
        Device.Invoke(() => Device.Card.OnCompleted = request => request.Buffer.Span.Clear());
        Start(1000, write: true);
        WireMessage command = Client.ExpectCommand(Command.DmaWrite);
        Assert.That(command.As<DmaAccess>(), Is.EqualTo(new DmaAccess(CardFunction.TransferAddress, 1000)));
        Assert.That(command.Payload, Has.Length.EqualTo(DmaAccess.Size + 1000));
        Client.Reply(command, command.Payload.AsSpan(0, replySize));
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
        Assert.That(Device.Invoke(() => Device.Card.Transfer.Buffer.ToArray()), Is.EqualTo(guest));
    }

    [Test]
    public void Shared_memory_needs_no_message_for_a_queued_transfer()
    {
        using SharedMemory guest = MapShared(CardFunction.TransferAddress, Page);
        using MappedMemory view = guest.Map();
        Pattern(Page).CopyTo(view.Span);
        Start(Page);
        ExpectEnded(DmaStatus.Completed);
        Assert.That(Device.Invoke(() => Device.Card.Transfer.Buffer.ToArray()), Is.EqualTo(Pattern(Page)));
        Client.ExpectSilenceSoFar();
    }

    [Test]
    public void A_transfer_half_in_shared_memory_goes_by_messages_whole()
    {
        using SharedMemory guest = MapShared(CardFunction.TransferAddress, Page);
        Client.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress + Page, Page));
        Start(2 * Page);
        AnswerRead(Client.ExpectCommand(Command.DmaRead), Pattern(2 * Page));
        ExpectEnded(DmaStatus.Completed);
    }

    [Test]
    public void Queued_transfers_end_in_order_however_they_travel()
    {
        using SharedMemory guest = MapShared(0x20000, Page);
        MapByMessages();
        var order = new List<int>();
        Device.Invoke(() =>
        {
            ulong[] addresses = [CardFunction.TransferAddress, 0x20000, CardFunction.TransferAddress + 64, 0xdead0000, 0x20040];
            for (int i = 0; i < addresses.Length; i++)
            {
                int number = i;
                Memory.Queue(new DmaRequest(_ => order.Add(number)) { Address = addresses[i], Buffer = new byte[32] });
            }
        });
        AnswerRead(Client.ExpectCommand(Command.DmaRead), new byte[32]);
        AnswerRead(Client.ExpectCommand(Command.DmaRead), new byte[32]);
        Device.WaitUntil(() => order.Count == 5, "all end");
        Assert.That(order, Is.EqualTo(new[] { 0, 1, 2, 3, 4 }));
    }

    [Test]
    public void A_completion_that_queues_again_starves_nobody()
    {
        using SharedMemory guest = MapShared(CardFunction.TransferAddress, Page);
        int count = 0;
        Device.Invoke(() => Device.Card.OnCompleted = request =>
        {
            Device.Card.Ended.Clear();
            if (++count < 100_000) Memory.Queue(request);
        });
        Start(4);
        Client.ExpectSilenceSoFar();
        Device.WaitUntil(() => count == 100_000, "the chain ends");
    }

    [TestCase(0, false), TestCase(0x1000, false), TestCase(16, true)]
    public void What_the_ranges_do_not_hold_or_allow_fails_without_a_message(int length, bool write)
    {
        MapByMessages(0x800, DmaMapFlags.Readable);
        Start(length, write);
        ExpectEnded(DmaStatus.Failed);
        Client.ExpectSilenceSoFar();
    }

    [TestCase(Command.DmaRead), TestCase(Command.DmaWrite)]
    public void An_error_reply_fails_the_transfer_and_the_session_goes_on(Command command)
    {
        MapByMessages();
        Start(16, command == Command.DmaWrite);
        WireMessage message = Client.ExpectCommand(command);
        Client.SendRaw(Wire.Bytes(message.Header.ToErrorReply(Errno.EFAULT)));
        ExpectEnded(DmaStatus.Failed);
        Start(16);
        AnswerReadOrWrite(command);
        ExpectEnded(DmaStatus.Failed, DmaStatus.Completed);
    }

    private void AnswerReadOrWrite(Command command)
    {
        WireMessage message = Client.ExpectCommand(command);
        if (command == Command.DmaRead) AnswerRead(message, new byte[message.As<DmaAccess>().Count]);
        else Client.Reply(message, Wire.Bytes(message.As<DmaAccess>()));
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
        WireMessage command = Client.ExpectCommand(Command.DmaRead);
        Client.SendRaw(reply(command.Header));
        Client.ExpectClosed();
        Device.AssertServesAsNew();
        ExpectEnded(DmaStatus.Aborted);
    }

    [Test]
    public void A_second_answer_to_a_message_ends_the_session()
    {
        MapByMessages();
        Start(16);
        WireMessage command = Client.ExpectCommand(Command.DmaRead);
        AnswerRead(command, new byte[16]);
        AnswerRead(command, new byte[16]);
        Client.ExpectClosed();
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
            WireMessage command = Client.ExpectCommand(Command.DmaRead);
            byte[] payload = Wire.Bytes(command.As<DmaAccess>(), new byte[16]);
            Client.SendRaw(Wire.Bytes(command.Header.ToReply(payload.Length), payload), stray.Handle.Number);
            Device.WaitUntil(() => !Device.Card.Transfer.IsQueued, "it ends");
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }


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
