using System.Runtime.Versioning;
using Emulator.Memory;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.WireTests.Server.Dma;

/// <summary>Transfers that something ends before they are done: resets, the guest, the client.</summary>
[TestFixture, Category("Wire"), SupportedOSPlatform("linux")]
public sealed class DmaEndTests : DmaFixture
{
    [Test]
    public void A_reset_aborts_a_queued_transfer_once_and_no_message_goes()
    {
        MapByMessages();
        Client.SendRaw([.. Wire.Message(1, Command.RegionWrite, Wire.Write32(CardRegisters.Start, 0, 16)), .. Wire.Message(2, Command.DeviceReset)]);
        Client.ExpectReply(Command.RegionWrite, 1);
        Client.ExpectReply(Command.DeviceReset, 2);
        ExpectEnded(DmaStatus.Aborted);
        Client.ExpectSilenceSoFar();
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
        WireMessage command = Client.ExpectCommand(Command.DmaRead);
        Client.Call(Command.DeviceReset);
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
        Client.Write32(RegionIndex.Config, 4, 0x0002);
        Start(16);
        ExpectEnded(DmaStatus.Failed);
        Client.ExpectSilenceSoFar();
    }

    [Test]
    public void Unmapping_while_a_transfer_is_queued_fails_it([Values] bool shared)
    {
        using SharedMemory? guest = shared ? MapShared(CardFunction.TransferAddress, Page) : null;
        if (!shared) MapByMessages(Page);
        Client.SendRaw(
        [
            .. Wire.Message(1, Command.RegionWrite, Wire.Write32(CardRegisters.Start, 0, 16)),
            .. Wire.Message(2, Command.DmaUnmap, Wire.Unmap(CardFunction.TransferAddress, Page)),
        ]);
        Client.ExpectReply(Command.RegionWrite, 1);
        Client.ExpectReply(Command.DmaUnmap, 2);
        ExpectEnded(DmaStatus.Failed);
        Client.ExpectSilenceSoFar();
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
        Device.Invoke(() =>
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
        Client.ExpectCommand(Command.DmaRead);
        Client.Dispose();
        Device.AssertServesAsNew();
        Assert.That(Device.Invoke(() => ended.ToArray()), Is.EqualTo(Enumerable.Repeat(DmaStatus.Aborted, 5)));
    }

    [Test]
    public void What_a_completion_queues_as_its_client_leaves_does_not_reach_the_next()
    {
        MapByMessages();
        Device.Invoke(() => Device.Card.OnCompleted = request =>
        {
            if (Device.Card.Ended.Count < 3) Memory.Queue(request);
        });
        Start(16);
        Client.ExpectCommand(Command.DmaRead);
        Client.Dispose();
        using WireClient next = Device.Connect();
        next.EnableBusMaster();
        next.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress, Page));
        next.ExpectSilenceSoFar();
        Device.WaitUntil(() => Device.Card.Ended.Count == 3, "all end");
        Assert.That(Device.Invoke(() => Device.Card.Ended.ToArray()), Has.None.EqualTo(DmaStatus.Completed));
        next.ExpectSilenceSoFar();
    }
}
