using Emulator.Pci;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Server.Dma;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server.Sessions;

/// <summary>How a session goes on after a look at its socket.</summary>
internal enum SessionState { Open, Ended }

/// <summary>
/// One client's connection: it cuts the stream into messages, has them carried out on the function, and sends the replies. Replies to messages
/// that arrived together leave together, and nobody waits for the client to read them: until it has, it is not listened to. Nothing the
/// peer sends throws past this class.
/// </summary>
internal sealed class ClientSession : IDmaMessageSender, IDisposable
{
    // Replies leave when there are no more messages, or this many bytes of them.
    private const int Batch = 48 * 1024;

    private readonly MessageChannel _main;
    private readonly SendQueue _output;
    private readonly DmaMessages _dmaMessages;
    private readonly Negotiation _negotiation;
    private readonly CommandDispatcher _commands;
    private readonly Action<string> _report;
    private int _modelFaults;

    /// <summary>Takes the stream over, unless this throws.</summary>
    public ClientSession(UnixStream stream, PciFunction function, ServerSlot slot, DeviceServerOptions options, Action<string> report)
    {
        _main = new MessageChannel(stream, SessionLimits.MessageFds);
        (_output, _dmaMessages, _report) = (_main.Output, slot.DmaMessages, report);
        _negotiation = new Negotiation(_output, slot.DmaMessages, options.OfferTwinSocket);
        _commands = new CommandDispatcher(function, slot, options, _negotiation, _output, report);
    }

    /// <summary>The twin socket, once negotiated.</summary>
    public UnixStream? Twin => _negotiation.Twin?.Stream;

    /// <summary>Whether the client has closed its end. What it sent before is still to be processed.</summary>
    public bool HasHungUp => _main.Stream.HasHungUp;

    /// <summary>The client has to read before anything else of it is carried out.</summary>
    public bool IsBlocked => _output.IsBlocked || TwinOutput is { IsBlocked: true };

    /// <summary>Bytes the client's sockets have taken so far.</summary>
    public long Sent => _output.Sent + (TwinOutput?.Sent ?? 0);

    /// <summary>What to wait for on the socket.</summary>
    public PollEvents Awaited => Await(_output);

    /// <summary>What to wait for on the twin socket.</summary>
    public PollEvents TwinAwaited => TwinOutput is { } output ? Await(output) : PollEvents.None;

    /// <summary>Why the session ended, in words for the log; empty for an orderly end.</summary>
    public string Reason { get; private set; } = "";

    private SendQueue? TwinOutput => _negotiation.Twin?.Output;

    /// <summary>Takes what the socket holds and carries out every whole message.</summary>
    /// <param name="idle">Nothing was there.</param>
    public SessionState Process(out bool idle) => Process(_main, out idle);

    /// <summary>The same for the twin socket, where only replies to our own messages arrive.</summary>
    public SessionState ProcessTwin() => Process(_negotiation.Twin!, out _);

    /// <summary>Starts queued DMA. Between turns only, and not while the session is blocked: replies go first.</summary>
    public SessionState RunDma()
    {
        try
        {
            _dmaMessages.Run(this);
            return SessionState.Open;
        }
        catch (TransportException e)
        {
            return End(e.Message);
        }
    }

    public void SendDma(ushort id, Command command, in DmaAccess access, ReadOnlySpan<byte> data)
    {
        const int Head = MessageHeader.HeaderSize + DmaAccess.Size;
        Span<byte> message = (TwinOutput ?? _output).Reserve(Head + data.Length);
        MessageHeader.ForCommand(id, command, DmaAccess.Size + data.Length).Write(message);
        access.Write(message[MessageHeader.HeaderSize..]);
        data.CopyTo(message[Head..]);
        _output.TryFlush();
        TwinOutput?.TryFlush();
    }

    public void Dispose()
    {
        _negotiation.Dispose();
        _main.Dispose();
    }

    private SessionState Process(MessageChannel channel, out bool idle)
    {
        idle = false;
        try
        {
            if (IsBlocked) return Resume();
            int received = channel.Reader.Fill(wait: false);
            if (received == UnixStream.WouldBlock) { idle = true; return SessionState.Open; }
            if (received != UnixStream.Closed) return Drain(channel);
            if (IsTwin(channel)) return EndOfTwin();
            return End(channel.Reader.BufferedBytes > 0 ? "the client went away in the middle of a message" : "");
        }
        catch (TransportException e)
        {
            return End(e.Message);
        }
    }

    private bool IsTwin(MessageChannel channel) => !ReferenceEquals(channel, _main);

    private SessionState EndOfTwin() => End("the client closed the twin socket");

    private SessionState End(string reason)
    {
        Reason = reason;
        return SessionState.Ended;
    }

    private PollEvents Await(SendQueue output) => output.IsBlocked ? PollEvents.Writable : IsBlocked ? PollEvents.None : PollEvents.Readable;

    // Goes on sending, and once all has gone, with the messages that were received before.
    private SessionState Resume()
    {
        bool sent = _output.TryFlush() & (TwinOutput is null || TwinOutput.TryFlush());
        if (!sent && HasHungUp)
        {
            _output.Discard();
            TwinOutput?.Discard();
        }
        else if (!sent)
        {
            return Twin is { HasHungUp: true } ? EndOfTwin() : SessionState.Open;
        }
        SessionState state = Drain(_main);
        return state == SessionState.Open && _negotiation.Twin is { } twin ? Drain(twin) : state;
    }

    private SessionState Drain(MessageChannel channel)
    {
        while (true)
        {
            if (_output.Unsent >= Batch) _output.TryFlush();
            if (IsBlocked) return SessionState.Open;
            switch (channel.Reader.TryRead(out MessageHeader header, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds))
            {
                case ReadOutcome.Incomplete:
                    _output.TryFlush();
                    return SessionState.Open;
                case ReadOutcome.Malformed:
                    if (header.IsCommand && !IsTwin(channel)) _output.ReplyError(header, Errno.EINVAL);
                    _output.TryFlush();
                    return End($"message {header.Id} claims {header.Size} bytes: the stream cannot be followed further");
                default:
                    if (Handle(header, payload, fds, IsTwin(channel)) == SessionState.Open) break;
                    _output.TryFlush();
                    return SessionState.Ended;
            }
        }
    }

    private SessionState Handle(in MessageHeader header, ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds, bool isTwin)
    {
        if (header.IsReply)
        {
            FileDescriptor.Close(fds);
            return _dmaMessages.OnReply(header, payload, this) ? SessionState.Open : End($"a reply with message ID {header.Id} that answers nothing");
        }
        if (isTwin)
        {
            FileDescriptor.Close(fds);
            return End("a command on the twin socket, where only replies go");
        }
        if (!header.IsCommand)
        {
            FileDescriptor.Close(fds);
            _output.ReplyError(header, Errno.EINVAL);
            return SessionState.Open;
        }
        if (!_negotiation.IsDone && header.Command != Command.Version)
        {
            FileDescriptor.Close(fds);
            _output.ReplyError(header, Errno.EINVAL);
            return End("the first message was not VERSION");
        }
        return CarryOut(header, payload, fds);
    }

    private SessionState CarryOut(in MessageHeader header, ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds)
    {
        int unsent = _output.Unsent;
        try
        {
            bool goesOn = _commands.Dispatch(header, payload, fds);
            // Carried out all the same; a read then has had its side effects only.
            if (header.NoReply) _output.TakeBack(unsent);
            return goesOn ? SessionState.Open : End(_negotiation.Refusal);
        }
        catch (Exception e) when (e is not (TransportException or OutOfMemoryException))
        {
            // A bug in a model. Its guest gets an I/O error; the other devices, and this one's next access, go on.
            _output.TakeBack(unsent);
            _output.ReplyError(header, Errno.EIO);
            if (_modelFaults++ < 3) _report($"bug in the model: {header.Command} failed: {e}");
            return SessionState.Open;
        }
    }
}
