using Emulator.VfioUser.Client;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using Emulator.WireTests.Transport;
using static Emulator.WireTests.Client.ClientFixture;

namespace Emulator.WireTests.Client;

/// <summary>How a client gets a connection, and what becomes of it when the server misbehaves.</summary>
[TestFixture, Category("Wire")]
public sealed class ClientConnectionTests
{
    [Test]
    public void Version_is_exchanged_on_connect()
    {
        using ScriptedPeer peer = ScriptedPeer.StartBare(p =>
        {
            MessageHeader request = p.Expect(Command.Version, out byte[] payload);
            Assert.That(VersionPayload.TryRead(payload, out VersionPayload offer), Is.True);
            Assert.That(offer.Major, Is.Zero);
            Assert.That(offer.Capabilities.MaxMessageFds, Is.EqualTo(16));
            Assert.That(payload[^1], Is.Zero, "the JSON ends with a NUL");
            p.Reply(request, [0, 0, 1, 0, .. "{\"capabilities\":{\"max_msg_fds\":5,\"max_data_xfer_size\":4096}}\0"u8]);
        });
        using VfioUserClient client = peer.Connect(Patient);
        peer.Finish();

        Assert.That(client.Server.Minor, Is.EqualTo(1));
        Assert.That(client.Server.Capabilities.MaxMessageFds, Is.EqualTo(5));
        Assert.That(client.Server.Capabilities.MaxDataTransferSize, Is.EqualTo(4096));
        Assert.That(client.HasTwinSocket, Is.False);
    }

    [TestCase(1, 0, "{}", Description = "another major version")]
    [TestCase(0, 9, "{}", Description = "a minor version above the proposed one")]
    [TestCase(0, 0, "{", Description = "no JSON")]
    [TestCase(0, 0, "{\"capabilities\":{\"max_data_xfer_size\":0}}", Description = "no transfers")]
    [TestCase(0, 0, "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}", Description = "a twin socket not asked for")]
    public void A_version_reply_that_cannot_be_accepted_ends_the_connection(int major, int minor, string json)
    {
        using ScriptedPeer peer = ScriptedPeer.StartBare(p =>
        {
            p.Reply(p.Expect(Command.Version), [(byte)major, 0, (byte)minor, 0, .. System.Text.Encoding.UTF8.GetBytes(json), 0]);
            p.ExpectClose();
        });
        VfioUserException error = Assert.Throws<VfioUserException>(() => peer.Connect(Patient));
        Assert.That(error.Failure, Is.EqualTo(VfioUserFailure.ProtocolViolation));
        peer.Finish();
    }

    [Test]
    public void A_server_that_refuses_the_version_is_reported_with_its_errno()
    {
        using ScriptedPeer peer = ScriptedPeer.StartBare(p => p.Send(p.Expect(Command.Version).ToErrorReply(Errno.EINVAL)));
        VfioUserException error = Assert.Throws<VfioUserException>(() => peer.Connect(Patient));
        Assert.That(error.Command, Is.EqualTo(Command.Version));
        Assert.That(error.Errno, Is.EqualTo(Errno.EINVAL));
    }

    [Test]
    public void An_error_reply_throws_its_errno_and_command_and_the_connection_goes_on()
    {
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            p.Send(p.Expect(Command.RegionRead).ToErrorReply(Errno.EACCES));
            p.Send(p.Expect(Command.DeviceReset).ToErrorReply(0));
            p.Reply(p.Expect(Command.DeviceReset));
        });
        using VfioUserClient client = peer.Connect(Patient);

        VfioUserException error = Assert.Throws<VfioUserException>(() => client.Read32(0, 0));
        Assert.That(error.Failure, Is.EqualTo(VfioUserFailure.ErrorReply));
        Assert.That(error.Command, Is.EqualTo(Command.RegionRead));
        Assert.That(error.Errno, Is.EqualTo(Errno.EACCES));
        Assert.That(error.Message, Does.Contain("EACCES").And.Contain("RegionRead"));

        error = Assert.Throws<VfioUserException>(client.Reset);
        Assert.That(error.Errno, Is.EqualTo(Errno.EINVAL), "an error without a reason");
        client.Reset();
        peer.Finish();
    }

    [Test]
    public void A_server_that_leaves_is_reported_and_stays_so()
    {
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            p.Expect(Command.RegionRead);
            p.Stream.Shutdown();
        });
        using VfioUserClient client = peer.Connect(Patient);
        AssertBreaks(client, () => client.Read32(0, 0), VfioUserFailure.Disconnected);
    }

    [Test]
    public void A_server_that_leaves_in_the_middle_of_a_reply_is_reported()
    {
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            MessageHeader request = p.Expect(Command.RegionRead);
            byte[] reply = new byte[MessageHeader.HeaderSize];
            request.ToReply(20).Write(reply);
            p.Stream.Send(reply.AsSpan(0, 11));
            p.Stream.Shutdown();
        });
        using VfioUserClient client = peer.Connect(Patient);
        AssertBreaks(client, () => client.Read32(0, 0), VfioUserFailure.Disconnected);
    }

    [Test]
    public void An_answer_that_never_comes_times_out_and_one_that_comes_late_is_ignored()
    {
        using var timedOut = new ManualResetEventSlim();
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            MessageHeader late = p.Expect(Command.DeviceReset);
            Assert.That(timedOut.Wait(Generous), Is.True);
            p.Reply(late);
            p.Reply(p.Expect(Command.DeviceGetInfo), new DeviceInfo(16, DeviceInfoFlags.Pci, 9, 5));
            p.Repeat(() => p.Expect(Command.RegionRead));
        });
        using VfioUserClient client = peer.Connect(Patient);

        client.Timeout = Impatient.Timeout;
        VfioUserException error = Assert.Throws<VfioUserException>(client.Reset);
        Assert.That(error.Failure, Is.EqualTo(VfioUserFailure.Timeout));
        Assert.That(error.Command, Is.EqualTo(Command.DeviceReset));
        client.Timeout = Generous;
        timedOut.Set();
        Assert.That(client.GetDeviceInfo().RegionCount, Is.EqualTo(9));
        for (int i = 0; i < VfioUserClient.MaximumPending; i++)
        {
            Assert.That(() => client.BeginRead(0, 0, 1), Throws.Nothing, "the late answer gave its place back");
        }
        client.Dispose();
        peer.Finish();
    }

    [Test]
    public void A_server_that_takes_no_bytes_times_out_and_breaks_the_connection()
    {
        using var done = new ManualResetEventSlim();
        using ScriptedPeer peer = ScriptedPeer.Start(_ => done.Wait(Generous));
        using VfioUserClient client = peer.Connect(Patient);
        client.Timeout = Impatient.Timeout;
        byte[] block = new byte[1024 * 1024];
        VfioUserException error = Assert.Throws<VfioUserException>(() =>
        {
            while (true)
            {
                client.PostWrite(0, 0, block);
            }
        });
        done.Set();
        Assert.That(error.Failure, Is.EqualTo(VfioUserFailure.Timeout));
        Assert.That(() => client.PostWrite(0, 0, block), Throws.TypeOf<VfioUserException>());
    }

    [Test]
    public void Descriptors_that_nobody_asked_for_are_closed()
    {
        using EventFd sent = EventFd.Create();
        int fd = sent.Handle.Number;
        byte[] memory = new byte[16];
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            p.Repeat(() =>
            {
                MessageHeader first = p.Expect(Command.RegionRead, out byte[] payload);
                MessageHeader second = p.Expect(Command.RegionRead);
                Assert.That(RegionAccess.TryRead(payload, out RegionAccess access), Is.True);
                p.Reply(second, access, [1], fd, fd);
                byte[] read = new byte[DmaAccess.Size];
                new DmaAccess(0, 0).Write(read);
                p.Stream.Send(Bytes(MessageHeader.ForCommand(1, Command.DmaRead, read.Length)), read, [fd]);
                p.Reply(first, access, [1], fd);
                p.Expect(Command.DmaRead);
                p.Stream.Send(Bytes(p.Expect(Command.DeviceReset).ToErrorReply(Errno.EBUSY)), [fd, fd]);
                p.Reply(p.Expect(Command.DeviceGetInfo), new DeviceInfo(16, DeviceInfoFlags.Pci, 9, 5), default, fd);
                p.Reply(p.Expect(Command.DeviceGetRegionInfo), new RegionInfo(32, RegionInfoFlags.Read, 0, 0, 16, 0), default, fd, fd);
                p.Reply(
                    p.Expect(Command.DeviceGetRegionInfo), new RegionInfo(32, RegionInfoFlags.MemoryMap, 0, 0, 16, 0), default, fd, fd);
            });
        });
        using VfioUserClient client = peer.Connect(Patient);
        int growth = OpenFiles.Growth(8, () =>
        {
            PendingReply first = client.BeginRead(0, 0, 1);
            PendingReply second = client.BeginRead(0, 0, 1);
            client.EndRead(first, memory.AsSpan(0, 1));
            client.EndRead(second, memory.AsSpan(0, 1));
            Assert.That(client.Reset, Throws.TypeOf<VfioUserException>());
            client.GetDeviceInfo();
            client.GetRegionInfo(0).Dispose();
            client.GetRegionInfo(0).Dispose();
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        client.Dispose();
        peer.Finish();
    }

    [Test]
    public void More_descriptors_than_offered_break_the_protocol()
    {
        using EventFd sent = EventFd.Create();
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
            p.Reply(p.Expect(Command.DeviceReset), default, [.. Enumerable.Repeat(sent.Handle.Number, 17)]));
        using VfioUserClient client = peer.Connect(Patient);
        AssertBreaks(client, client.Reset, VfioUserFailure.ProtocolViolation);
    }

    [Test]
    public void Connecting_and_leaving_leaves_nothing_open()
    {
        byte[] memory = new byte[16];
        int growth = OpenFiles.Growth(8, () =>
        {
            using SharedMemory shared = SharedMemory.Create("ram", 4096);
            using ScriptedPeer peer = ScriptedPeer.StartBare(p =>
            {
                (UnixStream twin, FileDescriptor remote) = UnixStream.CreatePair();
                using (twin)
                using (remote)
                {
                    p.AnswerVersion(new Capabilities { TwinSocket = true, TwinSocketFdIndex = 0 }, 0, remote.Number);
                    p.Reply(p.Expect(Command.DmaMap));
                    MessageHeader map = p.Receive(out _, out FileDescriptor[] descriptors);
                    Array.ForEach(descriptors, descriptor => descriptor.Dispose());
                    p.Reply(map);
                    p.ExpectClose();
                }
            });
            using (VfioUserClient client = peer.Connect(WithTwin))
            {
                client.MapDma(0, memory.AsMemory());
                client.MapDma(0x1000, shared);
            }
            peer.Finish();
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void Disposing_ends_a_call_that_waits_in_another_thread()
    {
        using var asked = new ManualResetEventSlim();
        using ScriptedPeer peer = ScriptedPeer.Start(p =>
        {
            p.Expect(Command.DeviceReset);
            asked.Set();
            p.ExpectClose();
        });
        VfioUserClient client = peer.Connect(Patient);
        Exception? failure = null;
        var caller = new Thread(() =>
        {
            try
            {
                client.Reset();
            }
            catch (VfioUserException e)
            {
                failure = e;
            }
        });
        caller.Start();
        Assert.That(asked.Wait(Generous), Is.True);
        client.Dispose();
        Assert.That(caller.Join(Generous), Is.True);
        Assert.That(failure, Is.TypeOf<VfioUserException>().With.Property("Failure").EqualTo(VfioUserFailure.Disconnected));
        Assert.That(client.Reset, Throws.TypeOf<ObjectDisposedException>());
        Assert.That(client.Dispose, Throws.Nothing);
    }

    [Test]
    public void Raw_bytes_go_out_and_any_message_comes_in()
    {
        using ScriptedPeer peer = ScriptedPeer.StartBare(p =>
        {
            Assert.That(p.Expect((Command)77).Id, Is.EqualTo(9));
            p.Send(new MessageHeader(1, (Command)99, 18, (MessageFlags)0xf, 5), [1, 2]);
            p.Send(new MessageHeader(1, Command.Version, 15, MessageFlags.Reply, 0));
        });
        using VfioUserClient client = peer.Connect(Patient with { NegotiateOnConnect = false });
        Assert.That(() => client.Server, Throws.InvalidOperationException);
        client.SendRaw(Bytes(new MessageHeader(9, (Command)77, 16, MessageFlags.Command, 0)));
        using (VfioUserMessage message = client.ReceiveMessage())
        {
            Assert.That(message.Header, Is.EqualTo(new MessageHeader(1, (Command)99, 18, (MessageFlags)0xf, 5)));
            Assert.That(message.Payload.ToArray(), Is.EqualTo(new byte[] { 1, 2 }));
        }
        Assert.That(
            () => client.ReceiveMessage(), Throws.TypeOf<VfioUserException>().With.Property("Failure").EqualTo(VfioUserFailure.ProtocolViolation));
        peer.Finish();
    }

    [Test]
    public void Waiting_for_a_message_ends_with_the_time_or_the_connection()
    {
        using var waited = new ManualResetEventSlim();
        using ScriptedPeer peer = ScriptedPeer.StartBare(p => waited.Wait(Generous));
        using VfioUserClient client = peer.Connect(Patient with { NegotiateOnConnect = false });
        Assert.That(
            () => client.ReceiveMessage(TimeSpan.FromMilliseconds(1)),
            Throws.TypeOf<VfioUserException>().With.Property("Failure").EqualTo(VfioUserFailure.Timeout));
        peer.Stream.Shutdown();
        Assert.That(
            () => client.ReceiveMessage(), Throws.TypeOf<VfioUserException>().With.Property("Failure").EqualTo(VfioUserFailure.Disconnected));
        waited.Set();
    }

    [Test]
    public void Options_that_make_no_sense_are_refused_and_the_socket_is_closed()
    {
        int growth = OpenFiles.Growth(4, () =>
        {
            foreach (VfioUserClientOptions wrong in new VfioUserClientOptions[]
            {
                new() { Timeout = TimeSpan.Zero },
                new() { Offer = new Capabilities { MaxDataTransferSize = int.MaxValue } },
                new() { Offer = new Capabilities { MaxMessageFds = -1 } },
            })
            {
                (UnixStream local, FileDescriptor remote) = UnixStream.CreatePair();
                Assert.That(() => VfioUserClient.Attach(local, wrong), Throws.TypeOf<ArgumentOutOfRangeException>());
                remote.Dispose();
            }
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }
}
