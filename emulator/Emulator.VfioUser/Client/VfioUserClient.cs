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
}
