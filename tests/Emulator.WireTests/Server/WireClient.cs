using System.Buffers.Binary;
using System.Runtime.Versioning;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.WireTests.Server;

/// <summary>A message that came from the server; its descriptors are the test's to dispose.</summary>
internal sealed record WireMessage(MessageHeader Header, byte[] Payload, FileDescriptor[] Descriptors)
{
    public T As<T>()
        where T : struct, IWirePayload<T>
    {
        Assert.That(T.TryRead(Payload, out T value), Is.True, $"{Payload.Length} bytes of payload");
        return value;
    }
}

/// <summary>A client without manners: it sends what a test says, byte by byte if need be, and takes nothing for granted.</summary>
[SupportedOSPlatform("linux")]
internal sealed class WireClient : IDisposable
{
    private readonly MessageReader _reader;
    private ushort _id = 100;

    public WireClient(string path)
        : this(UnixStream.Connect(path, ServedDevice.Generous))
    {
    }

    public WireClient(UnixStream stream)
    {
        Stream = stream;
        Stream.SetReceiveTimeout(ServedDevice.Generous);
        Stream.SetSendTimeout(ServedDevice.Generous);
        _reader = new MessageReader(Stream, 4 * 1024 * 1024, 16);
    }

    public UnixStream Stream { get; }

    public WireMessage Negotiate(string? json = null) => Call(Command.Version, Wire.Version(json));

    /// <summary>Sends a command, and returns its ID.</summary>
    public ushort Send(Command command, ReadOnlySpan<byte> payload = default, MessageFlags flags = MessageFlags.Command, params int[] fds)
    {
        ushort id = _id++;
        Assert.That(Stream.Send(Wire.Message(id, command, payload, flags), fds), Is.True, "the server is there");
        return id;
    }

    public void SendRaw(ReadOnlySpan<byte> bytes, params int[] fds) => Assert.That(Stream.Send(bytes, fds), Is.True, "the server is there");

    /// <summary>A reply of ours to a command of the server.</summary>
    public void Reply(WireMessage command, ReadOnlySpan<byte> payload)
        => SendRaw(Wire.Bytes(command.Header.ToReply(payload.Length), payload));

    /// <summary>The next message; the test fails when none comes.</summary>
    public WireMessage Receive()
    {
        WireMessage? message = TryReceive();
        Assert.That(message, Is.Not.Null, "the server has closed the connection");
        return message!;
    }

    /// <summary>The next message, or null at the end of the stream.</summary>
    public WireMessage? TryReceive()
    {
        while (true)
        {
            switch (_reader.TryRead(out MessageHeader header, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds))
            {
                case ReadOutcome.Message:
                    return new WireMessage(header, payload.ToArray(), [.. fds.ToArray().Select(fd => new FileDescriptor(fd))]);
                case ReadOutcome.Malformed:
                    throw new InvalidOperationException($"The server sent a message of {header.Size} bytes.");
            }
            int received = _reader.Fill(wait: true);
            if (received == UnixStream.WouldBlock) throw new TimeoutException("The server sent nothing.");
            if (received == UnixStream.Closed) return null;
        }
    }

    /// <summary>Sends a command and expects its success.</summary>
    public WireMessage Call(Command command, ReadOnlySpan<byte> payload = default, params int[] fds)
    {
        ushort id = Send(command, payload, MessageFlags.Command, fds);
        return ExpectReply(command, id);
    }

    public WireMessage ExpectReply(Command command, ushort id)
    {
        WireMessage reply = Receive();
        Assert.That(reply.Header with { Size = 0 }, Is.EqualTo(new MessageHeader(id, command, 0, MessageFlags.Reply, 0)), $"errno {reply.Header.Errno}");
        return reply;
    }

    /// <summary>Sends a command and expects it to fail; returns the errno.</summary>
    public int Fail(Command command, ReadOnlySpan<byte> payload = default, params int[] fds)
    {
        ushort id = Send(command, payload, MessageFlags.Command, fds);
        return ExpectError(command, id);
    }

    public int ExpectError(Command command, ushort id)
    {
        WireMessage reply = Receive();
        var expected = new MessageHeader(id, command, MessageHeader.HeaderSize, MessageFlags.Reply | MessageFlags.Error, 0);
        Assert.That(reply.Header with { Errno = 0 }, Is.EqualTo(expected));
        Assert.That(reply.Descriptors, Is.Empty);
        return (int)reply.Header.Errno;
    }

    /// <summary>A command of the server.</summary>
    public WireMessage ExpectCommand(Command command)
    {
        WireMessage message = Receive();
        Assert.That(message.Header.IsCommand, Is.True);
        Assert.That(message.Header.Command, Is.EqualTo(command));
        return message;
    }

    /// <summary>The server still answers, and nothing else comes before that answer.</summary>
    public void ExpectSilenceSoFar() => Call(Command.DeviceGetInfo, Wire.Bytes(new DeviceInfo(DeviceInfo.Size, 0, 0, 0)));

    /// <summary>The server closes the connection, without another word.</summary>
    public void ExpectClosed() => Assert.That(TryReceive()?.Header, Is.Null);

    /// <summary>The server has dropped the connection, perhaps with bytes of ours unread.</summary>
    public void ExpectGone()
    {
        int received = Stream.Receive(new byte[1], default, out _);
        Assert.That(received, Is.EqualTo(UnixStream.Closed));
    }

    public byte[] Read(int region, ulong offset, int count)
    {
        WireMessage reply = Call(Command.RegionRead, Wire.Read(offset, region, count));
        Assert.That(reply.As<RegionAccess>(), Is.EqualTo(new RegionAccess(offset, (uint)region, (uint)count)));
        Assert.That(reply.Payload, Has.Length.EqualTo(RegionAccess.Size + count));
        return reply.Payload[RegionAccess.Size..];
    }

    public uint Read32(int region, ulong offset) => BinaryPrimitives.ReadUInt32LittleEndian(Read(region, offset, 4));

    public void Write32(int region, ulong offset, uint value)
    {
        WireMessage reply = Call(Command.RegionWrite, Wire.Write32(offset, region, value));
        Assert.That(reply.As<RegionAccess>(), Is.EqualTo(new RegionAccess(offset, (uint)region, 4)));
        Assert.That(reply.Payload, Has.Length.EqualTo(RegionAccess.Size));
    }

    public void EnableBusMaster() => Write32(RegionIndex.Config, 4, 0x0006);

    public void Dispose()
    {
        _reader.Dispose();
        Stream.Dispose();
    }
}
