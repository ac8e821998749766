using Emulator.Testing;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.WireTests.Transport;

[TestFixture, Category("Wire")]
public sealed class UnixStreamTests
{
    private UnixStream _left = null!;
    private UnixStream _right = null!;

    [SetUp]
    public void Connect()
    {
        (_left, FileDescriptor remote) = UnixStream.CreatePair();
        _right = new UnixStream(remote);
    }

    [TearDown]
    public void Disconnect()
    {
        _left.Dispose();
        _right.Dispose();
    }

    [Test]
    public void Header_and_payload_arrive_as_one_stretch_of_bytes()
    {
        Assert.That(_left.Send("head"u8, "payload"u8, default), Is.True);

        byte[] buffer = new byte[64];
        int received = _right.Receive(buffer, default, out int fdCount);

        Assert.That(buffer.AsSpan(0, received).ToArray(), Is.EqualTo("headpayload"u8.ToArray()));
        Assert.That(fdCount, Is.Zero);
    }

    [Test]
    public void A_header_alone_and_a_payload_alone_arrive()
    {
        byte[] buffer = new byte[64];
        _left.Send("head"u8);
        Assert.That(_right.Receive(buffer, default, out _), Is.EqualTo(4));
        _left.Send(default, "payload"u8, default);
        Assert.That(_right.Receive(buffer, default, out _), Is.EqualTo(7));
    }

    [Test]
    public void Sending_nothing_is_refused()
    {
        Assert.That(() => _left.Send(default), Throws.ArgumentException);
        Assert.That(() => _left.Receive(default, default, out _), Throws.ArgumentException);
    }

    [TestCase(1), TestCase(2), TestCase(3), TestCase(16), TestCase(ProtocolLimits.KernelMaxMessageFds)]
    public void Descriptors_arrive_in_order_and_close_on_exec(int count)
    {
        EventFd[] events = [.. Enumerable.Range(0, count).Select(_ => EventFd.Create())];
        try
        {
            _left.Send("x"u8, [.. events.Select(e => e.Handle.Number)]);

            int[] fds = new int[count];
            Assert.That(_right.Receive(new byte[8], fds, out int fdCount), Is.EqualTo(1));
            Assert.That(fdCount, Is.EqualTo(count));
            for (int i = 0; i < count; i++)
            {
                string flags = File.ReadLines($"/proc/self/fdinfo/{fds[i]}").Single(line => line.StartsWith("flags:", StringComparison.Ordinal));
                Assert.That(Convert.ToInt32(flags["flags:".Length..].Trim(), 8) & 0x80000, Is.Not.Zero, "O_CLOEXEC");
                using EventFd received = EventFd.TryAdopt(new FileDescriptor(fds[i]))!;
                Assert.That(received.Signal(), Is.True);
                Assert.That(events[i].TryDrain(), Is.True, $"descriptor {i}");
            }
        }
        finally
        {
            Array.ForEach(events, e => e.Dispose());
        }
    }

    [TestCase(2, 1), TestCase(3, 2), TestCase(253, 16), TestCase(1, 0), TestCase(5, 0)]
    public void More_descriptors_than_expected_are_reported_and_none_leaks(int sent, int room)
    {
        using EventFd one = EventFd.Create();
        int[] fds = [.. Enumerable.Repeat(one.Handle.Number, sent)];

        int growth = OpenFiles.Growth(4, () =>
        {
            _left.Send("x"u8, fds);
            TransportException error = Assert.Throws<TransportException>(() => _right.Receive(new byte[8], new int[room], out _));
            Assert.That(error.Errno, Is.EqualTo(Errno.EMSGSIZE));
        });

        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void Without_bytes_a_nonblocking_receive_returns_at_once()
    {
        Assert.That(_right.TryReceive(new byte[8], new int[1], out int fdCount), Is.EqualTo(UnixStream.WouldBlock));
        Assert.That(fdCount, Is.Zero);
    }

    [Test]
    public void A_receive_timeout_ends_the_wait()
    {
        _right.SetReceiveTimeout(TimeSpan.FromMilliseconds(1));
        Assert.That(_right.Receive(new byte[8], default, out _), Is.EqualTo(UnixStream.WouldBlock));
    }

    [Test]
    public void A_peer_that_left_reads_as_closed_in_both_directions()
    {
        _left.Dispose();
        Assert.That(_right.Receive(new byte[8], default, out _), Is.EqualTo(UnixStream.Closed));
        Assert.That(_right.Send("x"u8), Is.False);
        Assert.That(_right.TrySend("x"u8, default, default), Is.EqualTo(UnixStream.Closed));
    }

    [Test]
    public void A_peer_that_left_bytes_unread_reads_as_closed_after_its_last_bytes()
    {
        _left.Send("last"u8);
        _right.Send("unread"u8);
        _left.Dispose();
        Assert.That(_right.Receive(new byte[8], default, out _), Is.EqualTo(4));
        Assert.That(_right.Receive(new byte[8], default, out _), Is.EqualTo(UnixStream.Closed));
    }

    [Test]
    public void Shutdown_wakes_a_thread_that_is_blocked()
    {
        int result = 4711;
        var reader = new Thread(() => result = _right.Receive(new byte[8], default, out _));
        reader.Start();
        _right.Shutdown();
        Assert.That(reader.Join(TimeSpan.FromSeconds(30)), Is.True);
        Assert.That(result, Is.EqualTo(UnixStream.Closed));
    }

    [Test]
    public void A_full_socket_takes_no_more_and_says_so()
    {
        byte[] block = new byte[64 * 1024];
        long total = 0;
        int sent;
        while ((sent = _left.TrySend(block, default, default)) > 0)
        {
            total += sent;
        }
        Assert.That(sent, Is.EqualTo(UnixStream.WouldBlock));
        Assert.That(total, Is.Positive);

        _left.SetSendTimeout(TimeSpan.FromMilliseconds(1));
        TransportException error = Assert.Throws<TransportException>(() => _left.Send(block));
        Assert.That(error.Errno, Is.EqualTo(Errno.ETIMEDOUT));
    }

    [Test]
    public void A_large_send_with_descriptors_crosses_a_small_socket_whole_and_passes_them_once()
    {
        byte[] header = [1, 2, 3];
        byte[] payload = new byte[3 * 1024 * 1024 + 5];
        new Random(1).NextBytes(payload);
        using EventFd one = EventFd.Create();
        var sender = new Thread(() => _left.Send(header, payload, [one.Handle.Number]));
        sender.Start();

        byte[] received = new byte[header.Length + payload.Length];
        int at = 0;
        int fdTotal = 0;
        int[] fds = new int[4];
        while (at < received.Length)
        {
            int count = _right.Receive(received.AsSpan(at), fds, out int fdCount);
            Assert.That(count, Is.Positive);
            at += count;
            fdTotal += fdCount;
            FileDescriptor.Close(fds.AsSpan(0, fdCount));
        }
        Assert.That(sender.Join(TimeSpan.FromSeconds(30)), Is.True);
        Assert.That(received.AsSpan(0, 3).SequenceEqual(header), Is.True);
        Assert.That(received.AsSpan(3).SequenceEqual(payload), Is.True);
        Assert.That(fdTotal, Is.EqualTo(1));
    }

    [Test]
    public void A_round_trip_allocates_nothing()
    {
        byte[] buffer = new byte[64];
        int[] fds = new int[8];
        Assert.That(Allocations.BytesOf(() =>
        {
            for (int i = 0; i < 200; i++)
            {
                _left.Send(buffer.AsSpan(0, 16), buffer.AsSpan(16, 16), default);
                _right.Receive(buffer, fds, out _);
                _right.TryReceive(buffer, fds, out _);
            }
        }), Is.Zero);
    }

    [Test]
    public void The_peer_of_a_pair_is_this_process()
    {
        Assert.That(_left.Peer.Pid, Is.EqualTo(Environment.ProcessId));
    }

    [Test]
    public void After_disposal_calls_throw_and_do_not_touch_a_reused_number()
    {
        _left.Dispose();
        Assert.That(() => _left.Send("x"u8), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => _left.Receive(new byte[1], default, out _), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(_left.Shutdown, Throws.Nothing);
    }
}
