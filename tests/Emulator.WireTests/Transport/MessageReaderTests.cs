using Emulator.Testing;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using FsCheck;
using FsCheck.Fluent;

namespace Emulator.WireTests.Transport;

[TestFixture, Category("Wire")]
public sealed class MessageReaderTests
{
    private const int MaximumMessage = 256 * 1024;
    private const int MaximumDescriptors = 4;

    private UnixStream _sender = null!;
    private UnixStream _receiver = null!;
    private MessageReader _reader = null!;
    private EventFd _token = null!;

    [SetUp]
    public void Connect()
    {
        (_sender, FileDescriptor remote) = UnixStream.CreatePair();
        _receiver = new UnixStream(remote);
        _receiver.SetReceiveTimeout(TimeSpan.FromSeconds(30));
        _reader = new MessageReader(_receiver, MaximumMessage, MaximumDescriptors);
        _token = EventFd.Create();
    }

    [TearDown]
    public void Disconnect()
    {
        _reader.Dispose();
        _sender.Dispose();
        _receiver.Dispose();
        _token.Dispose();
    }

    [Test]
    public void Several_messages_of_one_receive_are_read_one_by_one()
    {
        _sender.Send([.. Message(1, 0), .. Message(2, 5), .. Message(3, 100)]);
        Assert.That(_reader.Fill(wait: true), Is.EqualTo(3 * 16 + 105));
        AssertNext(1, 0, 0);
        AssertNext(2, 5, 0);
        AssertNext(3, 100, 0);
        Assert.That(_reader.TryRead(out _, out _, out _), Is.EqualTo(ReadOutcome.Incomplete));
        Assert.That(_reader.BufferedBytes, Is.Zero);
    }

    [Test]
    public void A_message_split_at_every_byte_is_read_whole_with_its_descriptor()
    {
        byte[] message = Message(7, 40);
        int growth = OpenFiles.Growth(2, () =>
        {
            for (int split = 1; split < message.Length; split++)
            {
                for (int with = 0; with < 2; with++)
                {
                    // Descriptors come with the first part, or with the second, from a peer whose first send was cut short.
                    int[] token = [_token.Handle.Number];
                    _sender.Send(message.AsSpan(0, split), with == 0 ? token : default);
                    _reader.Fill(wait: true);
                    Assert.That(_reader.TryRead(out _, out _, out _), Is.EqualTo(ReadOutcome.Incomplete));
                    _sender.Send(message.AsSpan(split), with == 1 ? token : default);
                    _reader.Fill(wait: true);
                    AssertNext(7, 40, 1);
                }
            }
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void A_stream_that_arrives_byte_by_byte_gives_the_same_messages()
    {
        for (ushort id = 0; id < 20; id++)
        {
            foreach (byte one in Message(id, id))
            {
                Assert.That(_reader.TryRead(out _, out _, out _), Is.EqualTo(ReadOutcome.Incomplete));
                _sender.Send([one]);
                Assert.That(_reader.Fill(wait: true), Is.EqualTo(1));
            }
            AssertNext(id, id, 0);
        }
    }

    [Test]
    public void Any_cutting_of_any_messages_gives_the_messages_back()
    {
        Gen<(int[] Sizes, int[] Cuts)> streams =
            from sizes in Gen.Choose(0, 5000).ArrayOf()
            from cuts in Gen.Choose(1, 3000).NonEmptyListOf().Select(list => list.ToArray())
            select (sizes, cuts);
        Prop.ForAll(streams.ToArbitrary(), stream =>
        {
            byte[] bytes = [.. stream.Sizes.SelectMany((size, i) => Message((ushort)i, size))];
            int at = 0;
            int next = 0;
            for (int i = 0; at < bytes.Length; i++)
            {
                int part = Math.Min(stream.Cuts[i % stream.Cuts.Length], bytes.Length - at);
                _sender.Send(bytes.AsSpan(at, part));
                at += part;
                _reader.Fill(wait: true);
                while (_reader.TryRead(out MessageHeader header, out ReadOnlySpan<byte> payload, out _) == ReadOutcome.Message)
                {
                    Check(header, payload, (ushort)next, stream.Sizes[next]);
                    next++;
                }
            }
            return next == stream.Sizes.Length && _reader.BufferedBytes == 0;
        }).Check(FixedSeed.Config);
    }

    [Test]
    public void Descriptors_belong_to_the_message_they_were_sent_with()
    {
        int fd = _token.Handle.Number;
        _sender.Send(Message(1, 3));
        _sender.Send(Message(2, 4), [fd, fd]);
        _sender.Send(Message(3, 5));
        _sender.Send(Message(4, 6), [fd]);
        _sender.Send(Message(5, 7));

        var counts = new List<int>();
        while (counts.Count < 5)
        {
            _reader.Fill(wait: true);
            while (_reader.TryRead(out MessageHeader header, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds) == ReadOutcome.Message)
            {
                Assert.That(header.Id, Is.EqualTo(counts.Count + 1));
                counts.Add(fds.Length);
                FileDescriptor.Close(fds);
            }
        }
        Assert.That(counts, Is.EqualTo(new List<int> { 0, 2, 0, 1, 0 }));
    }

    [Test]
    public void A_descriptor_with_the_first_byte_of_a_message_is_not_of_the_one_before()
    {
        byte[] second = Message(2, 4);
        _sender.Send(Message(1, 3));
        _sender.Send(second.AsSpan(0, 1), [_token.Handle.Number]);
        Assert.That(_reader.Fill(wait: true), Is.EqualTo(16 + 3 + 1), "one receive brings both");
        AssertNext(1, 3, 0);
        _sender.Send(second.AsSpan(1));
        AssertNext(2, 4, 1);
    }

    [Test]
    public void A_descriptor_moves_with_its_message()
    {
        byte[] large = Message(2, 59_004);
        _sender.Send([.. Message(1, 5_000), .. large.AsSpan(0, 1_000)]);
        _reader.Fill(wait: true);
        AssertNext(1, 5_000, 0);
        // The buffer of 64 KiB fills almost to its end: what is there, with its descriptor, is moved before the rest is received.
        _sender.Send(large.AsSpan(1_000, 58_000));
        _sender.Send(large.AsSpan(59_000, 10), [_token.Handle.Number]);
        while (_reader.BufferedBytes < 59_010)
        {
            Assert.That(_reader.Fill(wait: true), Is.Positive);
        }
        _sender.Send([.. large.AsSpan(59_010), .. Message(3, 1)]);
        AssertNext(2, 59_004, 1);
        AssertNext(3, 1, 0);
    }

    [Test]
    public void Messages_as_large_as_allowed_are_read_and_memory_for_the_next_is_reused()
    {
        var sender = new Thread(() =>
        {
            for (ushort id = 0; id < 8; id++)
            {
                _sender.Send(Message(id, MaximumMessage - 16));
                _sender.Send(Message(id, 1));
            }
        });
        sender.Start();
        for (ushort id = 0; id < 8; id++)
        {
            AssertNext(id, MaximumMessage - 16, 0);
            AssertNext(id, 1, 0);
        }
        sender.Join();
    }

    [TestCase(0u), TestCase(15u), TestCase((uint)MaximumMessage + 1), TestCase(0x80000000u), TestCase(uint.MaxValue)]
    public void A_size_that_no_message_can_have_is_malformed(uint size)
    {
        byte[] bytes = new byte[16];
        new MessageHeader(1, Command.RegionRead, size, MessageFlags.Command, 0).Write(bytes);
        _sender.Send(bytes);
        _reader.Fill(wait: true);
        Assert.That(_reader.TryRead(out MessageHeader header, out _, out _), Is.EqualTo(ReadOutcome.Malformed));
        Assert.That(header.Size, Is.EqualTo(size));
        Assert.That(_reader.TryRead(out _, out _, out _), Is.EqualTo(ReadOutcome.Malformed), "and stays so");
    }

    [Test]
    public void Descriptors_without_end_in_one_message_are_refused_and_none_leaks()
    {
        byte[] message = Message(1, 100);
        int growth = OpenFiles.Growth(4, () =>
        {
            (UnixStream sender, FileDescriptor remote) = UnixStream.CreatePair();
            using var receiver = new UnixStream(remote);
            using var reader = new MessageReader(receiver, MaximumMessage, MaximumDescriptors);
            using (sender)
            {
                for (int i = 0; i < MaximumDescriptors; i++)
                {
                    sender.Send(message.AsSpan(i, 1), [_token.Handle.Number]);
                    Assert.That(reader.Fill(wait: true), Is.EqualTo(1));
                }
                sender.Send(message.AsSpan(MaximumDescriptors, 1), [_token.Handle.Number]);
                TransportException error = Assert.Throws<TransportException>(() => reader.Fill(wait: true));
                Assert.That(error.Errno, Is.EqualTo(Errno.EMSGSIZE));
            }
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void Descriptors_of_a_message_never_finished_are_closed_with_the_reader()
    {
        int growth = OpenFiles.Growth(4, () =>
        {
            (UnixStream sender, FileDescriptor remote) = UnixStream.CreatePair();
            using var receiver = new UnixStream(remote);
            using var reader = new MessageReader(receiver, MaximumMessage, MaximumDescriptors);
            using (sender)
            {
                sender.Send(Message(1, 10).AsSpan(0, 20), [_token.Handle.Number, _token.Handle.Number]);
                reader.Fill(wait: true);
            }
            Assert.That(reader.Fill(wait: true), Is.EqualTo(UnixStream.Closed));
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void Receiving_on_without_reading_stops_at_the_bound()
    {
        byte[] block = Message(1, 60_000);
        _sender.SetSendTimeout(TimeSpan.FromSeconds(30));
        var sender = new Thread(() =>
        {
            while (_sender.Send(block))
            {
            }
        });
        sender.Start();
        while (_reader.HasRoom)
        {
            Assert.That(_reader.Fill(wait: true), Is.Positive);
        }
        Assert.That(_reader.BufferedBytes, Is.GreaterThanOrEqualTo(MaximumMessage).And.LessThan(MaximumMessage + 200 * 1024));
        Assert.That(() => _reader.Fill(wait: true), Throws.InvalidOperationException);
        AssertNext(1, 60_000, 0);
        Assert.That(_reader.HasRoom, Is.True);
        _receiver.Shutdown();
        sender.Join();
    }

    [Test]
    public void Reading_small_messages_allocates_nothing()
    {
        byte[] message = Message(1, 20);
        Assert.That(Allocations.BytesOf(() =>
        {
            for (int i = 0; i < 1_000; i++)
            {
                _sender.Send(message);
                _reader.Fill(wait: true);
                if (_reader.TryRead(out _, out _, out _) != ReadOutcome.Message)
                {
                    Assert.Fail("no message");
                }
            }
        }), Is.Zero);
    }

    private static byte[] Message(ushort id, int payloadSize)
    {
        byte[] message = new byte[MessageHeader.HeaderSize + payloadSize];
        MessageHeader.ForCommand(id, Command.RegionWrite, payloadSize).Write(message);
        for (int i = 0; i < payloadSize; i++)
        {
            message[MessageHeader.HeaderSize + i] = (byte)(id + i);
        }
        return message;
    }

    private static void Check(MessageHeader header, ReadOnlySpan<byte> payload, ushort id, int size)
    {
        if (header.Id != id || !payload.SequenceEqual(Message(id, size).AsSpan(MessageHeader.HeaderSize)))
        {
            Assert.Fail($"message {id} of {size} bytes came as {header.Id} of {payload.Length}");
        }
    }

    private void AssertNext(ushort id, int size, int descriptors)
    {
        ReadOutcome outcome;
        MessageHeader header;
        ReadOnlySpan<byte> payload;
        ReadOnlySpan<int> fds;
        while ((outcome = _reader.TryRead(out header, out payload, out fds)) == ReadOutcome.Incomplete)
        {
            Assert.That(_reader.Fill(wait: true), Is.Positive);
        }
        Assert.That(outcome, Is.EqualTo(ReadOutcome.Message));
        Check(header, payload, id, size);
        Assert.That(fds.Length, Is.EqualTo(descriptors));
        FileDescriptor.Close(fds);
    }
}
