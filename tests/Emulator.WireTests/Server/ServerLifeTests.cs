using System.Runtime.Versioning;
using Emulator.Pci;
using Emulator.Testing;
using Emulator.Turns;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Server;
using Emulator.VfioUser.Transport;
using Emulator.WireTests.Transport;

namespace Emulator.WireTests.Server;

/// <summary>Servers from start to end, several at once, with bad models and bad clients; and what an access costs.</summary>
[TestFixture, Category("Wire"), SupportedOSPlatform("linux")]
public sealed class ServerLifeTests
{
    // Sends reads and takes only the first reply: the server has begun to send the rest, which does not fit.
    private static void FillWithReplies(WireClient client)
    {
        var stream = new List<byte>();
        for (ushort i = 0; i < 200; i++) stream.AddRange(Wire.Message(i, Command.RegionRead, Wire.Read(0, CardFunction.Whole, CardFunction.WholeSize)));
        client.SendRaw([.. stream]);
        byte[] header = new byte[MessageHeader.HeaderSize];
        Assert.That(client.Stream.Receive(header, default, out _), Is.EqualTo(header.Length));
    }

    [Test]
    public void A_client_that_does_not_read_hinders_neither_other_devices_nor_the_end()
    {
        using var other = new ServedDevice();
        using WireClient neighbour = other.Connect();
        var device = new ServedDevice();
        using WireClient silent = device.Connect();
        FillWithReplies(silent);
        for (int i = 0; i < 100; i++) neighbour.ExpectSilenceSoFar();
        device.Dispose();
        Assert.That(device.Reports, Has.None.Contains("did not stop").And.None.Contains("does not read"));
        neighbour.ExpectSilenceSoFar();
    }

    [Test]
    public void While_a_client_does_not_read_its_device_goes_on_and_nothing_is_lost()
    {
        using var device = new ServedDevice();
        using WireClient client = device.Connect();
        using var expired = new ManualResetEventSlim();
        byte[] pattern = [.. Enumerable.Range(0, CardFunction.WholeSize).Select(i => (byte)(i * 7))];
        client.Call(Command.RegionWrite, Wire.Write(0, CardFunction.Whole, pattern));
        var ids = new List<ushort>();
        for (int i = 0; i < 100; i++) ids.Add(client.Send(Command.RegionRead, Wire.Read(0, CardFunction.Whole, CardFunction.WholeSize)));
        ushort region = client.Send(Command.DeviceGetRegionInfo, Wire.Bytes(new RegionInfo(4096, 0, CardFunction.Whole, 0, 0, 0)));
        ushort last = client.Send(Command.RegionRead, Wire.Read(CardRegisters.Identification, CardFunction.Registers, 4));
        device.Settle();
        device.Invoke(() =>
        {
            device.Card.Expired = expired.Set;
            device.Card.Timer.Arm(1_000_000);
        });
        Assert.That(expired.Wait(ServedDevice.Generous), Is.True, "the timer");
        Assert.That(device.Server.HasClient, Is.True);
        foreach (ushort id in ids)
            Assert.That(client.ExpectReply(Command.RegionRead, id).Payload.AsSpan(RegionAccess.Size).SequenceEqual(pattern), Is.True);
        WireMessage mapped = client.ExpectReply(Command.DeviceGetRegionInfo, region);
        Assert.That(mapped.Descriptors, Has.Length.EqualTo(1), "a descriptor that waited rides with its own message");
        mapped.Descriptors[0].Dispose();
        client.ExpectReply(Command.RegionRead, last);
        client.ExpectSilenceSoFar();
    }

    [Test]
    public void A_client_that_never_reads_loses_its_device()
    {
        using var device = new ServedDevice(adapt: options => options with { UnreadLimit = TimeSpan.FromMilliseconds(50) });
        using WireClient silent = device.Connect();
        FillWithReplies(silent);
        device.WaitForNoClient();
        device.AssertServesAsNew();
        Assert.That(device.Reports, Has.Some.Contains("does not read"));
    }

    [Test]
    public void What_a_client_wrote_before_it_went_without_reading_is_carried_out()
    {
        using var device = new ServedDevice();
        using (WireClient silent = device.Connect())
        {
            FillWithReplies(silent);
            silent.Send(Command.RegionWrite, Wire.Write32(CardRegisters.Throw, CardFunction.Registers, 1), MessageFlags.NoReply);
        }
        device.AssertServesAsNew();
        Assert.That(device.Reports, Has.Some.Contains("a write that fails").And.None.Contains("does not read"));
    }

    [Test]
    public void A_client_that_does_not_read_its_twin_socket_gets_all_of_it_later()
    {
        using var device = new ServedDevice();
        using WireClient client = device.Connect(negotiate: false);
        WireMessage reply = client.Call(Command.Version, Wire.Version("{\"capabilities\":{\"max_msg_fds\":8,\"twin_socket\":{\"supported\":true}}}"));
        using var twin = new WireClient(new UnixStream(reply.Descriptors[0]));
        client.EnableBusMaster();
        client.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress, 1 << 24));
        device.Invoke(() => device.Card.Transfer.IsWrite = true);
        client.Write32(0, CardRegisters.Start, 1 << 20);
        ushort read = client.Send(Command.RegionRead, Wire.Read(CardRegisters.Identification, CardFunction.Registers, 4));
        device.Settle();
        for (int written = 0; written < 1 << 20;)
        {
            WireMessage write = twin.ExpectCommand(Command.DmaWrite);
            DmaAccess access = write.As<DmaAccess>();
            Assert.That(write.Payload, Has.Length.EqualTo(DmaAccess.Size + (int)access.Count));
            twin.Reply(write, Wire.Bytes(access));
            written += (int)access.Count;
        }
        client.ExpectReply(Command.RegionRead, read);
        device.WaitUntil(() => device.Card.Ended.Count == 1, "the transfer");
    }

    [Test]
    public void A_client_that_does_not_read_its_twin_socket_does_not_hinder_the_end()
    {
        var device = new ServedDevice();
        using WireClient client = device.Connect(negotiate: false);
        WireMessage reply = client.Call(Command.Version, Wire.Version("{\"capabilities\":{\"max_msg_fds\":8,\"twin_socket\":{\"supported\":true}}}"));
        using var twin = new UnixStream(reply.Descriptors[0]);
        client.EnableBusMaster();
        client.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress, 1 << 24));
        device.Invoke(() => device.Card.Transfer.IsWrite = true);
        client.Write32(0, CardRegisters.Start, 1 << 20);
        // Only the head of the message is taken; the data does not fit the socket.
        Assert.That(twin.Receive(new byte[16], default, out _), Is.EqualTo(16));
        device.Dispose();
        Assert.That(device.Reports, Has.None.Contains("did not stop").And.None.Contains("does not read"));
    }

    [Test]
    public void Disposing_while_a_client_is_connected_leaves_no_socket_thread_or_descriptor()
    {
        int growth = OpenFiles.Growth(4, () =>
        {
            using var memory = SharedMemory.Create("guest", 4096);
            var device = new ServedDevice();
            using WireClient client = device.Connect(), waiting = device.Connect(negotiate: false);
            client.Call(Command.DmaMap, Wire.Map(0, 4096), memory.Handle.Number);
            string path = device.Server.SocketPath;
            Assert.That(File.Exists(path), Is.True);
            device.Server.Dispose();
            Assert.That(File.Exists(path), Is.False);
            client.ExpectGone();
            waiting.ExpectGone();
            Assert.That(device.Server.HasClient, Is.False);
            // Twice is once.
            device.Dispose();
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        Assert.That(File.ReadAllText("/proc/self/maps"), Does.Not.Contain("memfd:guest").And.Not.Contain("memfd:card"));
    }

    [Test]
    public void A_server_that_never_started_can_be_disposed()
    {
        using var folder = new TemporaryFolder();
        int growth = OpenFiles.Growth(
            4, () => new DeviceServer(new DeviceServerOptions { Name = "card", SocketPath = folder.File("s") }, slot => new CardFunction(slot)).Dispose());
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void A_model_that_cannot_be_constructed_leaks_nothing()
    {
        using var folder = new TemporaryFolder();
        var options = new DeviceServerOptions { Name = "card", SocketPath = folder.File("s") };
        int growth = OpenFiles.Growth(4, () => Assert.That(() => new DeviceServer(options, slot =>
        {
            slot.CreateBarMemory(4096);
            throw new InvalidOperationException("no such card");
        }), Throws.InvalidOperationException.With.Message.EqualTo("no such card")));
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void A_socket_in_use_is_refused_and_the_server_there_is_left_alone()
    {
        using var device = new ServedDevice();
        int growth = OpenFiles.Growth(4, () =>
        {
            var options = new DeviceServerOptions { Name = "other", SocketPath = device.Server.SocketPath };
            using var second = new DeviceServer(options, slot => new CardFunction(slot));
            TransportException error = Assert.Throws<TransportException>(second.Start);
            Assert.That(error.Message, Does.Contain(device.Server.SocketPath).And.Contain("serves it"));
            // The probe that found it alive counts as a client that came and went.
            device.WaitForNoClient();
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        device.AssertServesAsNew();
    }

    [Test]
    public void Several_devices_of_one_process_are_served_at_once()
    {
        ServedDevice[] devices = [.. Enumerable.Range(0, 8).Select(_ => new ServedDevice())];
        WireClient[] clients = [.. devices.Select(d => d.Connect())];
        Parallel.For(0, devices.Length, i =>
        {
            for (uint round = 0; round < 200; round++)
            {
                clients[i].Write32(0, CardRegisters.Scratch, (round * 8) + (uint)i);
                if (clients[i].Read32(0, CardRegisters.Scratch) != (round * 8) + (uint)i) throw new InvalidOperationException("another device answered");
            }
        });
        for (int i = 0; i < devices.Length; i++)
        {
            Assert.That(clients[i].Read32(0, CardRegisters.Writes), Is.EqualTo(200));
            clients[i].Dispose();
            devices[i].Dispose();
        }
    }

    [TestCase(Command.RegionRead), TestCase(Command.RegionWrite)]
    public void A_handler_that_throws_gives_EIO_and_the_session_goes_on(Command command)
    {
        using var device = new ServedDevice();
        using WireClient client = device.Connect();
        byte[] payload = command == Command.RegionRead ? Wire.Read(CardRegisters.Throw, 0, 4) : Wire.Write32(CardRegisters.Throw, 0, 1);
        // Replies around it keep their places.
        byte[] read = Wire.Read(0, 0, 4);
        client.SendRaw([.. Wire.Message(1, Command.RegionRead, read), .. Wire.Message(2, command, payload), .. Wire.Message(3, Command.RegionRead, read)]);
        client.ExpectReply(Command.RegionRead, 1);
        Assert.That(client.ExpectError(command, 2), Is.EqualTo(Errno.EIO));
        client.ExpectReply(Command.RegionRead, 3);
        for (int i = 0; i < 10; i++) Assert.That(client.Fail(command, payload), Is.EqualTo(Errno.EIO));
        client.Send(command, payload, MessageFlags.NoReply);
        client.ExpectSilenceSoFar();
        Assert.That(device.Reports.Count(r => r.Contains("bug in the model", StringComparison.Ordinal)), Is.EqualTo(3), "then it is known");
    }

    [Test]
    public void A_handler_that_throws_among_several_writes_gives_EIO()
    {
        using var device = new ServedDevice();
        using WireClient client = device.Connect();
        byte[] payload = new byte[RegionWriteMulti.ByteCount(2)];
        RegionWriteMulti.Write(payload, [new RegionWrite(CardRegisters.Scratch, 0, 4, 1), new RegionWrite(CardRegisters.Throw, 0, 4, 1)]);
        Assert.That(client.Fail(Command.RegionWriteMulti, payload), Is.EqualTo(Errno.EIO));
        Assert.That(client.Read32(0, CardRegisters.Scratch), Is.EqualTo(1));
    }

    [Test]
    public void A_timer_that_throws_costs_the_client_its_connection_and_nobody_else()
    {
        using var device = new ServedDevice();
        using WireClient client = device.Connect();
        device.Invoke(() =>
        {
            device.Card.Expired = () => throw new InvalidOperationException("a timer that fails");
            device.Card.Timer.Arm(0);
        });
        client.ExpectClosed();
        device.AssertServesAsNew();
        Assert.That(device.Reports, Has.Some.Contains("a timer that fails"));
    }

    [Test]
    public void Mail_behind_a_delivery_that_throws_is_delivered()
    {
        using var device = new ServedDevice();
        using var delivered = new CountdownEvent(2);
        var bad = new Mail(() => throw new InvalidOperationException("mail that fails"));
        Mail[] good = [new Mail(() => delivered.Signal()), new Mail(() => delivered.Signal())];
        device.Invoke(() =>
        {
            device.Card.Post.Post(bad);
            Array.ForEach(good, device.Card.Post.Post);
        });
        Assert.That(delivered.Wait(ServedDevice.Generous), Is.True);
        device.Invoke(() => { });
    }

    [Test]
    public void A_reset_that_throws_leaves_nothing_of_the_client_to_the_next()
    {
        using var device = new ServedDevice();
        using SharedMemory memory = SharedMemory.Create("guest", 4096);
        using (WireClient client = device.Connect())
        {
            client.Call(Command.DmaMap, Wire.Map(0, 4096), memory.Handle.Number);
            device.Invoke(() => device.Card.OnAnyReset = _ => throw new InvalidOperationException("a reset that fails"));
            Assert.That(client.Fail(Command.DeviceReset), Is.EqualTo(Errno.EIO));
        }
        device.AssertServesAsNew();
        Assert.That(device.Reports, Has.Some.Contains("a reset that fails"));
        Assert.That(File.ReadAllText("/proc/self/maps"), Does.Not.Contain("memfd:guest"));
    }

    [Test]
    public void Timers_and_mail_run_while_no_client_is_there()
    {
        using var device = new ServedDevice();
        using var expired = new CountdownEvent(10);
        device.Invoke(() =>
        {
            device.Card.Expired = () =>
            {
                if (!expired.Signal()) device.Card.Timer.Arm(1000);
            };
            device.Card.Timer.Arm(1000);
        });
        Assert.That(expired.Wait(ServedDevice.Generous), Is.True);
        using var delivered = new ManualResetEventSlim();
        device.Card.Post.Post(new Mail(delivered.Set));
        Assert.That(delivered.Wait(ServedDevice.Generous), Is.True);
    }

    [Test]
    public void Timers_and_mail_run_while_a_client_floods_the_device()
    {
        using var device = new ServedDevice();
        using WireClient client = device.Connect();
        using var expired = new ManualResetEventSlim();
        device.Invoke(() =>
        {
            device.Card.Expired = expired.Set;
            device.Card.Timer.Arm(1_000_000);
        });
        byte[] write = Wire.Message(0, Command.RegionWrite, Wire.Write32(CardRegisters.Scratch, 0, 1), MessageFlags.NoReply);
        byte[] flood = [.. Enumerable.Repeat(write, 1000).SelectMany(bytes => bytes)];
        int delivered = 0;
        var mail = new Mail(() => delivered++);
        for (int i = 0; i < 1000 && (!expired.IsSet || Volatile.Read(ref delivered) == 0); i++)
        {
            client.SendRaw(flood);
            device.Card.Post.Post(mail);
        }
        Assert.That(expired.Wait(ServedDevice.Generous), Is.True);
        Assert.That(SpinWait.SpinUntil(() => Volatile.Read(ref delivered) > 0, ServedDevice.Generous), Is.True);
        client.ExpectSilenceSoFar();
    }

    [Test]
    public void A_timer_that_arms_itself_without_delay_starves_nobody()
    {
        using var device = new ServedDevice();
        device.Invoke(() =>
        {
            device.Card.Expired = () => device.Card.Timer.Arm(0);
            device.Card.Timer.Arm(0);
        });
        using WireClient client = device.Connect();
        device.Invoke(() => device.Card.Timer.Arm(0));
        for (int i = 0; i < 100; i++) client.ExpectSilenceSoFar();
    }

    [Test]
    public void Invoke_runs_on_the_device_thread_passes_exceptions_and_nests()
    {
        using var device = new ServedDevice();
        Assert.That(device.Invoke(() => Thread.CurrentThread.Name), Is.EqualTo("card"));
        Assert.That(() => device.Invoke(() => throw new TimeoutException("mine")), Throws.TypeOf<TimeoutException>().With.Message.EqualTo("mine"));
        Assert.That(device.Invoke(() => device.Invoke(() => 7)), Is.EqualTo(7));
        device.AssertServesAsNew();
    }

    [Test]
    public void After_the_end_Invoke_says_so_and_posts_are_ignored()
    {
        var device = new ServedDevice();
        device.Dispose();
        Assert.That(() => device.Invoke(() => { }), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => device.Card.Post.Post(new Mail(() => { })), Throws.Nothing);
        Assert.That(device.Server.Dispose, Throws.Nothing);
    }

    [Test]
    public void Spinning_serves_as_sleeping_does()
    {
        using var device = new ServedDevice(adapt: options => options with { SpinMicroseconds = 50 });
        for (int i = 0; i < 3; i++)
        {
            using WireClient client = device.Connect();
            for (uint j = 1; j < 200; j++)
            {
                client.Write32(0, CardRegisters.Scratch, j);
                Assert.That(client.Read32(0, CardRegisters.Scratch), Is.EqualTo(j));
            }
            client.EnableBusMaster();
            client.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress, 4096));
            client.Write32(0, CardRegisters.Start, 16);
            client.ExpectCommand(Command.DmaRead);
        }
    }

    [Test]
    public void The_socket_is_private_and_clients_come_and_go_in_the_reports()
    {
        using var device = new ServedDevice();
        Assert.That(File.GetUnixFileMode(device.Server.SocketPath), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
        using (device.Connect()) Assert.That(device.Server.HasClient, Is.True);
        device.WaitForNoClient();
        Assert.That(SpinWait.SpinUntil(() => device.Reports.Count == 2, ServedDevice.Generous), Is.True);
        Assert.That(device.Reports, Is.EqualTo(new[] { $"card: client connected (process {Environment.ProcessId})", "card: client disconnected" }));
    }

    [Test]
    public void An_access_allocates_nothing_from_the_socket_to_the_handler_and_back([Values] bool messages)
    {
        using var device = new ServedDevice();
        using WireClient client = device.Connect();
        byte[] read = Wire.Message(1, Command.RegionRead, Wire.Read(CardRegisters.Scratch, 0, 4));
        byte[] write = Wire.Message(2, Command.RegionWrite, Wire.Write32(CardRegisters.Scratch, 0, 1));
        byte[] posted = Wire.Message(3, Command.RegionWrite, Wire.Write32(CardRegisters.Scratch, 0, 2), MessageFlags.NoReply);
        byte[] buffer = new byte[4096];
        using EventFd line = EventFd.Create();
        const IrqSetFlags Attach = IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger;
        if (messages) client.Call(Command.DeviceSetIrqs, Wire.Irqs(Attach, IrqIndex.MsiX, 0, 1), line.Handle.Number);

        void Access(int times)
        {
            for (int i = 0; i < times; i++)
            {
                client.Stream.Send(posted);
                Exchange(read, RegionAccess.Size + 4);
                Exchange(write, RegionAccess.Size);
            }
        }

        void Exchange(byte[] request, int payload)
        {
            client.Stream.Send(request);
            for (int left = MessageHeader.HeaderSize + payload; left > 0;)
            {
                int received = client.Stream.Receive(buffer.AsSpan(0, left), default, out _);
                if (received <= 0) throw new InvalidOperationException("The server is gone.");
                left -= received;
            }
        }

        long Allocated() => device.Invoke(GC.GetAllocatedBytesForCurrentThread);

        // As Allocations.BytesOf, for another thread: what the question itself costs is known by asking twice.
        long Fewest(Action action) => Enumerable.Range(0, Allocations.Runs).Min(_ =>
        {
            long before = Allocated();
            action();
            return Allocated() - before;
        });

        Access(1000);
        long asking = Fewest(() => { });
        Assert.That(Fewest(() => Access(1000)), Is.EqualTo(asking));
        Assert.That(asking, Is.LessThan(1000));
    }

    [Test]
    public void A_client_of_another_user_is_turned_away_and_the_one_connected_goes_on()
    {
        Assume.That(Environment.UserName, Is.EqualTo("root"), "only root can act as another user");
        using var device = new ServedDevice();
        using WireClient client = device.Connect();
        // Open the doors that keep other users out, so that only the check of the peer is left.
        File.SetUnixFileMode(Path.GetDirectoryName(device.Server.SocketPath)!, (UnixFileMode)0b111_101_101);
        File.SetUnixFileMode(device.Server.SocketPath, (UnixFileMode)0b110_110_110);
        UnixStream? stranger = null;
        var thread = new Thread(() =>
        {
            if (Descriptors.TryBecomeUser(65534)) stranger = UnixStream.Connect(device.Server.SocketPath);
        });
        thread.Start();
        thread.Join();
        Assert.That(stranger, Is.Not.Null);
        Assert.That(stranger!.Receive(new byte[1], default, out _), Is.EqualTo(UnixStream.Closed));
        stranger.Dispose();
        client.ExpectSilenceSoFar();
        Assert.That(device.Reports, Has.Some.Contains("refused a client of user 65534"));
    }
}
