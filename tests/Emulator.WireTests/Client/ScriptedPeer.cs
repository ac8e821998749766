using System.Runtime.ExceptionServices;
using Emulator.VfioUser.Client;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.WireTests.Client;

/// <summary>A server that does exactly what a test says, on a thread of its own, whatever the protocol allows.</summary>
internal sealed class ScriptedPeer : IDisposable
{
    private static readonly TimeSpan Generous = TimeSpan.FromSeconds(30);

    private readonly UnixStream _stream;
    private readonly FileDescriptor _clientEnd;
    private readonly MessageReader _reader;
    private readonly Thread _thread;
    private Exception? _failure;

    private ScriptedPeer(Action<ScriptedPeer> script)
    {
        (_stream, _clientEnd) = UnixStream.CreatePair();
        _stream.SetReceiveTimeout(Generous);
        _stream.SetSendTimeout(Generous);
        _reader = new MessageReader(_stream, 4 * 1024 * 1024, 16);
        _thread = new Thread(() => Run(script));
    }

    /// <summary>The socket, for scripts that send what no method here does.</summary>
    public UnixStream Stream => _stream;

    /// <summary>Starts a peer that answers VERSION and then follows <paramref name="script"/>.</summary>
    public static ScriptedPeer Start(Action<ScriptedPeer> script, Capabilities? capabilities = null) => StartBare(peer =>
    {
        peer.AnswerVersion(capabilities ?? new Capabilities { MaxMessageFds = 8, WriteMultiple = true });
        script(peer);
    });

    /// <summary>Starts a peer that follows <paramref name="script"/> from the first byte.</summary>
    public static ScriptedPeer StartBare(Action<ScriptedPeer> script)
    {
        var peer = new ScriptedPeer(script);
        peer._thread.Start();
        return peer;
    }

    /// <summary>The client at the other end.</summary>
    public VfioUserClient Connect(VfioUserClientOptions? options = null) => VfioUserClient.Attach(new UnixStream(_clientEnd), options);

    public MessageHeader Receive(out byte[] payload, out FileDescriptor[] descriptors)
    {
        while (true)
        {
            switch (_reader.TryRead(out MessageHeader header, out ReadOnlySpan<byte> bytes, out ReadOnlySpan<int> fds))
            {
                case ReadOutcome.Message:
                    payload = bytes.ToArray();
                    descriptors = [.. fds.ToArray().Select(fd => new FileDescriptor(fd))];
                    return header;
                case ReadOutcome.Malformed:
                    throw new InvalidOperationException($"The client sent a message of {header.Size} bytes.");
                default:
                    if (_reader.Fill(wait: true) <= 0)
                    {
                        throw new InvalidOperationException("The client left, or sent nothing.");
                    }
                    break;
            }
        }
    }

    /// <summary>Receives a message that must be of one command and carry no descriptors.</summary>
    public MessageHeader Expect(Command command, out byte[] payload)
    {
        MessageHeader header = Receive(out payload, out FileDescriptor[] descriptors);
        Array.ForEach(descriptors, descriptor => descriptor.Dispose());
        Assert.That(header.Command, Is.EqualTo(command));
        Assert.That(descriptors, Is.Empty);
        return header;
    }

    public MessageHeader Expect(Command command) => Expect(command, out _);

    public void Reply(MessageHeader request, ReadOnlySpan<byte> payload = default, params int[] fds)
    {
        byte[] message = new byte[MessageHeader.HeaderSize];
        request.ToReply(payload.Length).Write(message);
        Assert.That(_stream.Send(message, payload, fds), Is.True);
    }

    public void Reply<TPayload>(MessageHeader request, TPayload payload, ReadOnlySpan<byte> data = default, params int[] fds)
        where TPayload : struct, IWirePayload<TPayload>
    {
        byte[] bytes = new byte[TPayload.WireSize + data.Length];
        payload.Write(bytes);
        data.CopyTo(bytes.AsSpan(TPayload.WireSize));
        Reply(request, bytes, fds);
    }

    public void Send(MessageHeader header, ReadOnlySpan<byte> payload = default)
    {
        byte[] message = new byte[MessageHeader.HeaderSize];
        header.Write(message);
        Assert.That(_stream.Send(message, payload, default), Is.True);
    }

    /// <summary>A DMA command of the server.</summary>
    public void SendDma(Command command, ushort id, ulong address, ulong count, ReadOnlySpan<byte> data = default, bool noReply = false)
    {
        byte[] payload = new byte[DmaAccess.Size + data.Length];
        new DmaAccess(address, count).Write(payload);
        data.CopyTo(payload.AsSpan(DmaAccess.Size));
        Send(MessageHeader.ForCommand(id, command, payload.Length, noReply), payload);
    }

    public void AnswerVersion(Capabilities capabilities, ushort minor = 0, params int[] fds)
    {
        MessageHeader request = Expect(Command.Version, out byte[] payload);
        Assert.That(VersionPayload.TryRead(payload, out _), Is.True);
        byte[] answer = new byte[VersionPayload.MaximumSize];
        int length = new VersionPayload(0, minor, capabilities).Write(answer);
        Reply(request, answer.AsSpan(0, length), fds);
    }

    /// <summary>Plays a part of the script again and again, until the client leaves instead of starting another round.</summary>
    public void Repeat(Action round)
    {
        while (_reader.BufferedBytes > 0 || _reader.Fill(wait: true) > 0)
        {
            round();
        }
    }

    /// <summary>Waits for the client to close.</summary>
    public void ExpectClose()
    {
        int[] fds = new int[16];
        int received;
        while ((received = _stream.Receive(new byte[4096], fds, out int fdCount)) > 0)
        {
            FileDescriptor.Close(fds.AsSpan(0, fdCount));
        }
        Assert.That(received, Is.EqualTo(UnixStream.Closed));
    }

    /// <summary>Waits for the script's end and passes on what it failed with.</summary>
    public void Finish()
    {
        Assert.That(_thread.Join(Generous), Is.True, "the script ends");
        if (_failure is not null)
        {
            ExceptionDispatchInfo.Throw(_failure);
        }
    }

    public void Dispose()
    {
        _stream.Shutdown();
        _thread.Join(Generous);
        _reader.Dispose();
        _stream.Dispose();
        _clientEnd.Dispose();
    }

    private void Run(Action<ScriptedPeer> script)
    {
        try
        {
            script(this);
        }
        catch (Exception e)
        {
            _failure = e;
            _stream.Shutdown();
        }
    }
}
