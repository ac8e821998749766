using System.Diagnostics.CodeAnalysis;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Client;

/// <summary>
/// A client of a vfio-user server, for tests, tools and programs that drive a served device themselves. It may be used from several threads;
/// calls take turns. While a call waits for its reply, and in the background once DMA memory is mapped, the server's DMA_READ and DMA_WRITE are
/// answered. A round trip is one sendmsg and one recvmsg, and register-sized accesses allocate nothing.
/// </summary>
/// <remarks>
/// Requests that fail throw <see cref="VfioUserException"/>. After <see cref="VfioUserFailure.Disconnected"/>,
/// <see cref="VfioUserFailure.ProtocolViolation"/> and a request that could not be sent in time, every further call throws the same.
/// </remarks>
public sealed partial class VfioUserClient : IDisposable
{
    /// <summary>Most requests that may wait for their replies at once.</summary>
    public const int MaximumPending = 64;

    // Ids are 16 bits: the low 6 name the slot, the rest tell its uses apart.
    private const int SlotBits = 6;

    // The largest fixed part of any message, and room for capabilities and the VERSION text.
    private const int MessageOverhead = 64 * 1024;

    private readonly Lock _gate = new();
    private readonly VfioUserClientOptions _options;
    private readonly UnixStream _stream;
    private readonly MessageReader _reader;
    private readonly DmaTable _dma = new();
    private readonly DmaResponder _responder;
    private readonly Slot[] _slots = new Slot[MaximumPending];
    private readonly int[] _freeSlots = new int[MaximumPending];
    // Wakes the service thread: to end, or because messages for it were received by somebody else.
    private readonly EventFd _wake;
    private int _freeCount;
    private int _disposing;
    private TimeSpan _timeout;
    private VersionPayload? _server;
    private int _maximumTransfer = ProtocolLimits.DefaultMaxDataTransferSize;
    private VfioUserException? _fault;
    private UnixStream? _twin;
    private DmaResponder? _twinResponder;
    private Thread? _twinThread;
    private Thread? _serviceThread;
    private volatile bool _disposed;

    private VfioUserClient(UnixStream stream, VfioUserClientOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(options.Timeout, TimeSpan.Zero, nameof(options));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.Offer.MaxDataTransferSize, nameof(options));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.Offer.MaxDataTransferSize, ProtocolLimits.MaximumMaxDataTransferSize, nameof(options));
        ArgumentOutOfRangeException.ThrowIfNegative(options.Offer.MaxMessageFds, nameof(options));
        _stream = stream;
        _options = options;
        _reader = new MessageReader(
            stream, options.Offer.MaxDataTransferSize + MessageOverhead, Math.Min(options.Offer.MaxMessageFds, ProtocolLimits.KernelMaxMessageFds));
        _responder = new DmaResponder(_dma, options.Offer.MaxDataTransferSize);
        for (int i = MaximumPending - 1; i >= 0; i--)
        {
            _freeSlots[_freeCount++] = i;
        }
        _timeout = options.Timeout;
        stream.SetReceiveTimeout(_timeout);
        // Last: what throws before this leaves nothing open.
        _wake = EventFd.Create();
    }

    private enum SlotState : byte
    {
        Free,
        Waiting,
        Answered,
        Abandoned,
    }

    /// <summary>How long a wait may last before it fails.</summary>
    public TimeSpan Timeout
    {
        get => _timeout;
        set
        {
            ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(value, TimeSpan.Zero);
            lock (_gate)
            {
                _timeout = value;
                _stream.SetReceiveTimeout(value);
            }
        }
    }

    /// <summary>What the server answered to VERSION. Throws <see cref="InvalidOperationException"/> before that.</summary>
    public VersionPayload Server => _server ?? throw new InvalidOperationException("VERSION was not exchanged yet.");

    /// <summary>Whether the server sends its commands by a socket of their own.</summary>
    public bool HasTwinSocket => _twin is not null;

    /// <summary>Who serves: process and user. Throws <see cref="TransportException"/>.</summary>
    public PeerCredentials Peer => _stream.Peer;

    /// <summary>How many commands of the server were served so far, refused ones too.</summary>
    public long DmaRequestsServed => _responder.Served + (_twinResponder?.Served ?? 0);

    /// <summary>Connects, and exchanges VERSION. Throws <see cref="TransportException"/> when nothing serves that path.</summary>
    /// <param name="path">The socket.</param>
    /// <param name="timeout">See <see cref="VfioUserClientOptions.Timeout"/>.</param>
    public static VfioUserClient Connect(string path, TimeSpan timeout) => Connect(path, new VfioUserClientOptions { Timeout = timeout });

    /// <summary>Connects, and exchanges VERSION. Throws <see cref="TransportException"/> when nothing serves that path.</summary>
    public static VfioUserClient Connect(string path, VfioUserClientOptions? options = null)
    {
        options ??= new VfioUserClientOptions();
        return Attach(UnixStream.Connect(path, options.Timeout), options);
    }

    /// <summary>Uses a connected socket, which is then the client's, even when this throws.</summary>
    public static VfioUserClient Attach(UnixStream stream, VfioUserClientOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(stream);
        VfioUserClient? client = null;
        try
        {
            client = new VfioUserClient(stream, options ?? new VfioUserClientOptions());
            if (client._options.NegotiateOnConnect)
            {
                client.Negotiate();
            }
            return client;
        }
        catch
        {
            client?.Dispose();
            stream.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Exchanges VERSION, once; only with <see cref="VfioUserClientOptions.NegotiateOnConnect"/> off is this for the caller to do.
    /// </summary>
    public VersionPayload Negotiate()
    {
        lock (_gate)
        {
            if (_server is not null)
            {
                throw new InvalidOperationException("VERSION was exchanged already.");
            }
            byte[] request = new byte[MessageHeader.HeaderSize + VersionPayload.MaximumSize];
            int length = new VersionPayload(ProtocolLimits.MajorVersion, _options.MinorVersion, _options.Offer)
                .Write(request.AsSpan(MessageHeader.HeaderSize));
            PendingReply pending = Send(Command.Version, request.AsSpan(0, MessageHeader.HeaderSize + length), default, default);
            WaitFor(pending, Command.Version, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds);
            return Accept(payload, fds);
        }
    }

    /// <summary>
    /// Sends any command and waits for its reply, whatever it is: for commands without a method here. An error reply throws. The descriptors
    /// passed stay the caller's.
    /// </summary>
    public VfioUserMessage Call(Command command, ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds = default)
    {
        lock (_gate)
        {
            Span<byte> header = stackalloc byte[MessageHeader.HeaderSize];
            PendingReply pending = Send(command, header, payload, fds);
            MessageHeader reply = WaitFor(pending, command, out ReadOnlySpan<byte> answer, out ReadOnlySpan<int> received);
            return new VfioUserMessage(reply, answer, received);
        }
    }

    /// <summary>
    /// Sends bytes as they are, for tests of a server: they need not be a message. Descriptors stay the caller's.
    /// </summary>
    public void SendRaw(ReadOnlySpan<byte> bytes, ReadOnlySpan<int> fds = default)
    {
        lock (_gate)
        {
            SendAll(Command.None, bytes, default, fds);
        }
    }

    /// <summary>
    /// Waits for the next message, whatever it is, without acting on it, for tests of a server. Throws <see cref="VfioUserException"/> when none
    /// came within <paramref name="timeout"/> (<see cref="Timeout"/> by default) or the server left.
    /// </summary>
    public VfioUserMessage ReceiveMessage(TimeSpan? timeout = null)
    {
        lock (_gate)
        {
            ThrowIfUnusable();
            TimeSpan patience = timeout ?? _timeout;
            using var poller = new Poller(1);
            poller.Add(_stream.Handle, PollEvents.Readable);
            long started = Environment.TickCount64;
            while (true)
            {
                switch (_reader.TryRead(out MessageHeader header, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds))
                {
                    case ReadOutcome.Message:
                        return new VfioUserMessage(header, payload, fds);
                    case ReadOutcome.Malformed:
                        throw Violation(header.Command, $"a message of {header.Size} bytes");
                    default:
                        TimeSpan left = patience - TimeSpan.FromMilliseconds(Environment.TickCount64 - started);
                        if (poller.Wait(Math.Max(0, (long)left.TotalNanoseconds)) == 0)
                        {
                            throw TimedOut(Command.None);
                        }
                        Fill(wait: false, Command.None);
                        break;
                }
            }
        }
    }

    /// <summary>
    /// Answers the server's commands until one was answered or the time is over, and returns how many were. Needed only with
    /// <see cref="VfioUserClientOptions.ServeDmaInBackground"/> off and without a twin socket.
    /// </summary>
    public int ServeDma(TimeSpan timeout)
    {
        lock (_gate)
        {
            ThrowIfUnusable();
            long before = _responder.Served;
            using var poller = new Poller(1);
            poller.Add(_stream.Handle, PollEvents.Readable);
            long started = Environment.TickCount64;
            while (true)
            {
                Dispatch(awaited: -1, out _, out _, out _);
                TimeSpan left = timeout - TimeSpan.FromMilliseconds(Environment.TickCount64 - started);
                if (_responder.Served != before || poller.Wait(Math.Max(0, (long)left.TotalNanoseconds)) == 0)
                {
                    return (int)(_responder.Served - before);
                }
                Fill(wait: false, Command.None);
            }
        }
    }

    /// <summary>Closes the connection. Calls that wait in other threads fail.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposing, 1) != 0)
        {
            return;
        }
        // Outside the gate: these end the waits of those who hold it.
        _stream.Shutdown();
        Thread? service;
        lock (_gate)
        {
            _disposed = true;
            service = _serviceThread;
        }
        _wake.Signal();
        _twin?.Shutdown();
        service?.Join();
        _twinThread?.Join();
        _reader.Dispose();
        _stream.Dispose();
        _twin?.Dispose();
        _dma.Dispose();
        _wake.Dispose();
    }

    private VersionPayload Accept(ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds)
    {
        bool understood = VersionPayload.TryRead(payload, out VersionPayload answer);
        Capabilities capabilities = answer.Capabilities;
        string? wrong = null;
        if (!understood)
        {
            wrong = "a VERSION reply that cannot be read";
        }
        else if (answer.Major != ProtocolLimits.MajorVersion || answer.Minor > _options.MinorVersion)
        {
            wrong = $"version {answer.Major}.{answer.Minor} when {ProtocolLimits.MajorVersion}.{_options.MinorVersion} was proposed";
        }
        else if (capabilities.MaxDataTransferSize <= 0)
        {
            wrong = "max_data_xfer_size 0";
        }
        else if (capabilities.TwinSocket && (!_options.Offer.TwinSocket || (uint)capabilities.TwinSocketFdIndex >= (uint)fds.Length))
        {
            wrong = "a twin socket that was not asked for or did not come along";
        }
        if (wrong is not null)
        {
            FileDescriptor.Close(fds);
            throw Violation(Command.Version, wrong);
        }
        for (int i = 0; i < fds.Length; i++)
        {
            if (capabilities.TwinSocket && i == capabilities.TwinSocketFdIndex)
            {
                StartTwin(new UnixStream(new FileDescriptor(fds[i])));
            }
            else
            {
                FileDescriptor.Close(fds[i]);
            }
        }
        _server = answer;
        _maximumTransfer = Math.Min(capabilities.MaxDataTransferSize, _options.Offer.MaxDataTransferSize);
        return answer;
    }

    // Sends a command whose header, to be filled in here, opens `head`; the rest of head and `data` are its payload.
    private PendingReply Send(Command command, Span<byte> head, ReadOnlySpan<byte> data, ReadOnlySpan<int> fds, uint count = 0)
    {
        ThrowIfUnusable();
        ArgumentOutOfRangeException.ThrowIfGreaterThan(fds.Length, ProtocolLimits.KernelMaxMessageFds, nameof(fds));
        if (_freeCount == 0)
        {
            throw new InvalidOperationException($"{MaximumPending} requests wait for their replies already.");
        }
        int index = _freeSlots[--_freeCount];
        ref Slot slot = ref _slots[index];
        slot.Id = (ushort)((++slot.Uses << SlotBits) | index);
        slot.Command = command;
        slot.State = SlotState.Waiting;
        MessageHeader.ForCommand(slot.Id, command, head.Length - MessageHeader.HeaderSize + data.Length).Write(head);
        SendAll(command, head, data, fds);
        return new PendingReply(slot.Id, count);
    }

    private void Post(Command command, Span<byte> head, ReadOnlySpan<byte> data)
    {
        ThrowIfUnusable();
        MessageHeader.ForCommand(0, command, head.Length - MessageHeader.HeaderSize + data.Length, noReply: true).Write(head);
        SendAll(command, head, data, default);
    }

    private void SendAll(Command command, ReadOnlySpan<byte> head, ReadOnlySpan<byte> data, ReadOnlySpan<int> fds)
    {
        ThrowIfUnusable();
        int sent = TrySend(command, head, data, fds);
        if (sent != head.Length + data.Length)
        {
            SendRest(command, head, data, sent > 0 ? default : fds, sent);
        }
    }

    // The socket is full. If the server waits for us to read, as we wait for it, only reading gets both on.
    private void SendRest(Command command, ReadOnlySpan<byte> head, ReadOnlySpan<byte> data, ReadOnlySpan<int> fds, int sent)
    {
        using var poller = new Poller(1);
        poller.Add(_stream.Handle, PollEvents.Writable);
        long started = Environment.TickCount64;
        while (true)
        {
            if (sent > 0)
            {
                int ofHead = Math.Min(sent, head.Length);
                head = head[ofHead..];
                data = data[(sent - ofHead)..];
                fds = default;
                if (head.IsEmpty && data.IsEmpty)
                {
                    WakeService();
                    return;
                }
            }
            TimeSpan left = _timeout - TimeSpan.FromMilliseconds(Environment.TickCount64 - started);
            poller.Watch(0, _reader.HasRoom ? PollEvents.Writable | PollEvents.Readable : PollEvents.Writable);
            if (poller.Wait(Math.Max(0, (long)left.TotalNanoseconds)) == 0)
            {
                // Part of a message may be out: nothing sensible can follow it.
                throw Break(new VfioUserException(
                    command, VfioUserFailure.Timeout, Errno.ETIMEDOUT, $"The server took no more bytes of {command} for {_timeout.TotalSeconds:0.###} s."));
            }
            if ((poller.Events(0) & PollEvents.Readable) != 0 && _reader.HasRoom)
            {
                Fill(wait: false, command);
            }
            sent = TrySend(command, head, data, fds);
        }
    }

    private int TrySend(Command command, ReadOnlySpan<byte> head, ReadOnlySpan<byte> data, ReadOnlySpan<int> fds)
    {
        int sent;
        try
        {
            sent = _stream.TrySend(head, data, fds);
        }
        catch (TransportException e)
        {
            throw Break(new VfioUserException(command, VfioUserFailure.Disconnected, e.Errno, $"{command} could not be sent. {e.Message}", e));
        }
        return sent != UnixStream.Closed ? sent : throw Disconnected(command);
    }

    // The payload and descriptors are valid until the next message is read; the descriptors are the caller's.
    private MessageHeader WaitFor(PendingReply pending, Command command, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds)
    {
        int index = pending.Id & (MaximumPending - 1);
        ref Slot slot = ref _slots[index];
        if (slot.Id != pending.Id || slot.Command != command || slot.State is not (SlotState.Waiting or SlotState.Answered))
        {
            throw new InvalidOperationException("That reply was taken already, or is of another request.");
        }
        MessageHeader header;
        if (slot.State == SlotState.Answered)
        {
            header = slot.Header;
            payload = slot.Payload.AsSpan(0, header.PayloadSize);
            fds = default;
        }
        else
        {
            long started = 0;
            while (!Dispatch(index, out header, out payload, out fds))
            {
                ThrowIfUnusable();
                long now = Environment.TickCount64;
                started = started == 0 ? now : started;
                // The socket's own timeout bounds one wait; this bounds the sum, when bytes or commands trickle in.
                if (now - started > _timeout.TotalMilliseconds || Fill(wait: true, command) == UnixStream.WouldBlock)
                {
                    slot.State = SlotState.Abandoned;
                    throw TimedOut(command);
                }
            }
        }
        Release(index);
        WakeService();
        if (header.IsError)
        {
            FileDescriptor.Close(fds);
            throw Refused(command, (int)header.Errno);
        }
        return header;
    }

    // Reads messages that are buffered: serves commands, puts replies away; true at the awaited one, false when there are no more.
    private bool Dispatch(int awaited, out MessageHeader header, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds)
    {
        while (true)
        {
            switch (_reader.TryRead(out header, out payload, out fds))
            {
                case ReadOutcome.Incomplete:
                    return false;
                case ReadOutcome.Malformed:
                    throw Violation(header.Command, $"a message of {header.Size} bytes");
                default:
                    if (header.IsCommand)
                    {
                        FileDescriptor.Close(fds);
                        Serve(header, payload);
                        break;
                    }
                    int index = header.Id & (MaximumPending - 1);
                    ref Slot slot = ref _slots[index];
                    if (!header.IsReply
                        || slot.State is not (SlotState.Waiting or SlotState.Abandoned)
                        || slot.Id != header.Id
                        || slot.Command != header.Command)
                    {
                        FileDescriptor.Close(fds);
                        throw Violation(header.Command, $"an answer, with id {header.Id} for {header.Command}, to nothing that was asked");
                    }
                    if (index == awaited)
                    {
                        return true;
                    }
                    FileDescriptor.Close(fds);
                    if (slot.State == SlotState.Abandoned)
                    {
                        Release(index);
                    }
                    else
                    {
                        slot.PutAway(header, payload);
                    }
                    break;
            }
        }
    }

    private void Serve(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        Span<byte> head = stackalloc byte[DmaResponder.HeadSize];
        if (_responder.TryAnswer(header, payload, head, out int headLength, out ReadOnlySpan<byte> data))
        {
            SendAll(header.Command, head[..headLength], data, default);
        }
    }

    private int Fill(bool wait, Command command)
    {
        int received;
        try
        {
            received = _reader.Fill(wait);
        }
        catch (TransportException e)
        {
            throw Break(new VfioUserException(
                command, VfioUserFailure.ProtocolViolation, e.Errno, $"The server's answer to {command} could not be received. {e.Message}", e));
        }
        return received != UnixStream.Closed ? received : throw Disconnected(command);
    }

    private void Release(int index)
    {
        _slots[index].State = SlotState.Free;
        _freeSlots[_freeCount++] = index;
    }

    private void StartTwin(UnixStream twin)
    {
        _twin = twin;
        _twin.SetSendTimeout(_timeout);
        _twinResponder = new DmaResponder(_dma, _options.Offer.MaxDataTransferSize);
        _twinThread = new Thread(() => ServeTwin(twin, _twinResponder)) { IsBackground = true, Name = "vfio-user twin socket" };
        _twinThread.Start();
    }

    private void ServeTwin(UnixStream twin, DmaResponder responder)
    {
        using var reader = new MessageReader(twin, _options.Offer.MaxDataTransferSize + MessageOverhead, 1);
        byte[] head = new byte[DmaResponder.HeadSize];
        try
        {
            // Dispose shuts the socket down, which ends the wait.
            while (reader.Fill(wait: true) > 0)
            {
                ReadOutcome outcome;
                while ((outcome = reader.TryRead(out MessageHeader header, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds))
                    == ReadOutcome.Message)
                {
                    FileDescriptor.Close(fds);
                    if (!header.IsCommand)
                    {
                        outcome = ReadOutcome.Malformed;
                        break;
                    }
                    if (responder.TryAnswer(header, payload, head, out int headLength, out ReadOnlySpan<byte> data)
                        && !twin.Send(head.AsSpan(0, headLength), data, default))
                    {
                        return;
                    }
                }
                if (outcome == ReadOutcome.Malformed)
                {
                    break;
                }
            }
        }
        catch (TransportException)
        {
            // Nobody waits for this thread's word. The server sees the socket closed.
        }
        twin.Shutdown();
    }

    private void StartService()
    {
        if (_twin is not null || _serviceThread is not null || !_options.ServeDmaInBackground)
        {
            return;
        }
        _serviceThread = new Thread(ServeInBackground) { IsBackground = true, Name = "vfio-user DMA" };
        _serviceThread.Start();
    }

    // Messages after the awaited one, of the same receive, are no event on the socket any more.
    private void WakeService()
    {
        if (_serviceThread is not null && _reader.BufferedBytes != 0)
        {
            _wake.Signal();
        }
    }

    private void ServeInBackground()
    {
        using var poller = new Poller(2);
        poller.Add(_stream.Handle, PollEvents.Readable);
        int wake = poller.Add(_wake.Handle, PollEvents.Readable);
        while (true)
        {
            lock (_gate)
            {
                if (_disposed || _fault is not null)
                {
                    return;
                }
                try
                {
                    // Before the first wait, and before receiving: what came with a reply is no event on the socket any more, and takes room.
                    Dispatch(awaited: -1, out _, out _, out _);
                    Fill(wait: false, Command.None);
                    Dispatch(awaited: -1, out _, out _, out _);
                }
                catch (VfioUserException)
                {
                    // Kept as the fault that the next call reports.
                    return;
                }
            }
            poller.Wait(Poller.Infinite);
            if (poller.Events(wake) != PollEvents.None)
            {
                _wake.TryDrain();
            }
        }
    }

    private void ThrowIfUnusable()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_fault is not null)
        {
            ThrowFault(_fault);
        }
    }

    [DoesNotReturn]
    private static void ThrowFault(VfioUserException fault) =>
        throw new VfioUserException(fault.Command, fault.Failure, fault.Errno, fault.Message, fault);

    private VfioUserException Break(VfioUserException fault)
    {
        _fault = fault;
        // The server must not wait for answers that will not come.
        _stream.Shutdown();
        return fault;
    }

    private VfioUserException Violation(Command command, string what) => Break(new VfioUserException(
        command, VfioUserFailure.ProtocolViolation, Errno.EPROTO, $"The server broke the protocol: {what}."));

    private VfioUserException Disconnected(Command command) => Break(new VfioUserException(
        command, VfioUserFailure.Disconnected, Errno.ECONNRESET, command == Command.None
            ? "The server closed the connection."
            : $"The server closed the connection during {command}."));

    private VfioUserException TimedOut(Command command) => new(
        command, VfioUserFailure.Timeout, Errno.ETIMEDOUT, command == Command.None
            ? "No message came in time."
            : $"The server did not answer {command} within {_timeout.TotalSeconds:0.###} s.");

    private static VfioUserException Refused(Command command, int errno)
    {
        // The specification lets a server leave the errno out, and libvfio-user too takes EINVAL for one out of range.
        int meant = errno is > 0 and < 4096 ? errno : Errno.EINVAL;
        return new(command, VfioUserFailure.ErrorReply, meant, $"The server refused {command}: {Errno.Name(meant)}.");
    }

    /// <summary>One request under way.</summary>
    private struct Slot
    {
        public SlotState State;
        public ushort Id;
        public Command Command;
        public int Uses;
        public MessageHeader Header;
        public byte[]? Payload;

        public void PutAway(MessageHeader header, ReadOnlySpan<byte> payload)
        {
            Header = header;
            if (Payload is null || Payload.Length < payload.Length)
            {
                Payload = new byte[payload.Length];
            }
            payload.CopyTo(Payload);
            State = SlotState.Answered;
        }
    }
}
