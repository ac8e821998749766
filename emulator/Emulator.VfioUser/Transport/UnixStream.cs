using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Transport;

/// <summary>
/// A connected AF_UNIX stream that carries bytes and file descriptors. Calls neither allocate nor lock. One thread may receive while another
/// sends; two threads must not send, or receive, at once. To wake a thread that is blocked, call <see cref="Shutdown"/> and then dispose.
/// </summary>
/// <remarks>
/// Descriptors arrive with the first byte of the sendmsg that carried them, and Linux ends a receive after the bytes of such a sendmsg: when a
/// receive returns descriptors, they belong to the message that holds its last byte.
/// </remarks>
public sealed class UnixStream : IDisposable
{
    /// <summary>Returned where nothing could be done without waiting.</summary>
    public const int WouldBlock = -1;

    /// <summary>Returned where the peer is gone.</summary>
    public const int Closed = 0;

    private const int ControlHeaderSize = 16;
    private const int MaximumControlSize = ControlHeaderSize + ((ProtocolLimits.KernelMaxMessageFds * sizeof(int) + 7) & ~7);

    /// <summary>Takes ownership of a connected stream socket.</summary>
    public UnixStream(FileDescriptor socket)
    {
        ArgumentNullException.ThrowIfNull(socket);
        Handle = socket;
    }

    /// <summary>The socket, for a <see cref="Poller"/>; owned by this object.</summary>
    public FileDescriptor Handle { get; }

    /// <summary>Who connected, or who listens. Throws <see cref="TransportException"/>.</summary>
    public unsafe PeerCredentials Peer
    {
        get
        {
            LibC.Credentials credentials;
            uint length = (uint)sizeof(LibC.Credentials);
            // Safe: the kernel writes at most length bytes, which credentials has.
            if (LibC.getsockopt(Handle, LibC.SOL_SOCKET, LibC.SO_PEERCRED, &credentials, &length) != 0)
            {
                throw TransportException.FromLastError("read the credentials of a socket's peer");
            }
            return new(credentials.Pid, credentials.Uid);
        }
    }

    /// <summary>Whether the peer has closed its end: what it sent before can still be received.</summary>
    public unsafe bool HasHungUp
    {
        get
        {
            bool held = false;
            try
            {
                Handle.DangerousAddRef(ref held);
                var slot = new LibC.PollFd { Fd = Handle.Number };
                LibC.TimeSpec now = default;
                // Safe: one slot and one timespec, both locals.
                return LibC.ppoll(&slot, 1, &now, null) > 0 && ((PollEvents)slot.Returned & PollEvents.HangUp) != 0;
            }
            finally
            {
                if (held)
                {
                    Handle.DangerousRelease();
                }
            }
        }
    }

    /// <summary>
    /// Connects to a listening socket. <paramref name="timeout"/> bounds the wait for a server that does not accept; zero or less waits
    /// without end. Throws <see cref="TransportException"/> that says what to do.
    /// </summary>
    public static unsafe UnixStream Connect(string path, TimeSpan timeout = default)
    {
        ArgumentNullException.ThrowIfNull(path);
        LibC.UnixAddress address = UnixAddresses.FromPath(path);
        int fd = LibC.socket(LibC.AF_UNIX, LibC.SOCK_STREAM | LibC.SOCK_CLOEXEC, 0);
        if (fd < 0)
        {
            throw TransportException.FromLastError("create a socket");
        }
        var stream = new UnixStream(new FileDescriptor(fd));
        try
        {
            stream.SetSendTimeout(timeout);
            // Safe: address is a whole sockaddr_un on this stack frame.
            while (LibC.connect(stream.Handle, &address, (uint)sizeof(LibC.UnixAddress)) != 0)
            {
                int errno = Marshal.GetLastPInvokeError();
                if (errno == Errno.EINTR)
                {
                    continue;
                }
                throw new TransportException($"connect to '{path}'", errno == Errno.EAGAIN ? Errno.ETIMEDOUT : errno, errno switch
                {
                    Errno.ENOENT => "nothing has created that socket: is its server running?",
                    Errno.ECONNREFUSED => "the server that created that socket has ended: start it again",
                    Errno.EACCES => "the socket, or its folder, belongs to another user",
                    Errno.ENOTSOCK => "that file is not a socket",
                    Errno.EAGAIN => "its server does not accept connections: it may serve another client",
                    _ => null,
                });
            }
            stream.SetSendTimeout(TimeSpan.Zero);
            return stream;
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Two connected sockets: one to keep, one to pass to a peer. Throws <see cref="TransportException"/>.
    /// </summary>
    public static unsafe (UnixStream Local, FileDescriptor Remote) CreatePair()
    {
        int* fds = stackalloc int[2];
        // Safe: socketpair writes two ints, which fds has.
        if (LibC.socketpair(LibC.AF_UNIX, LibC.SOCK_STREAM | LibC.SOCK_CLOEXEC, 0, fds) != 0)
        {
            throw TransportException.FromLastError("create a socket pair");
        }
        return (new UnixStream(new FileDescriptor(fds[0])), new FileDescriptor(fds[1]));
    }

    /// <summary>
    /// Makes <see cref="Receive"/> return <see cref="WouldBlock"/> after this long without a byte, at no cost a call; zero or less waits without end.
    /// </summary>
    public void SetReceiveTimeout(TimeSpan timeout) => SetTimeout(LibC.SO_RCVTIMEO, timeout);

    /// <summary>Makes a blocking send fail with ETIMEDOUT after this long; zero or less waits without end.</summary>
    public void SetSendTimeout(TimeSpan timeout) => SetTimeout(LibC.SO_SNDTIMEO, timeout);

    /// <summary>
    /// Waits for bytes and takes what is there. Descriptors that came along fill the start of <paramref name="fds"/>, close-on-exec, and are
    /// then the caller's to close. Throws <see cref="TransportException"/>: with EMSGSIZE, all descriptors closed, when more came than
    /// <paramref name="fds"/> holds or this process may open.
    /// </summary>
    /// <returns>Bytes received; <see cref="Closed"/> when the peer is gone; <see cref="WouldBlock"/> after the receive timeout.</returns>
    public int Receive(Span<byte> buffer, Span<int> fds, out int fdCount) => Receive(buffer, fds, out fdCount, 0);

    /// <summary>As <see cref="Receive(Span{byte}, Span{int}, out int)"/>, but returns <see cref="WouldBlock"/> at once when nothing is there.</summary>
    public int TryReceive(Span<byte> buffer, Span<int> fds, out int fdCount) => Receive(buffer, fds, out fdCount, LibC.MSG_DONTWAIT);

    /// <summary>Sends all of <paramref name="message"/>, waiting as needed. See the overload with a header.</summary>
    public bool Send(ReadOnlySpan<byte> message, ReadOnlySpan<int> fds = default) => Send(message, default, fds);

    /// <summary>
    /// Sends all of <paramref name="header"/> and then <paramref name="payload"/>, in one system call unless the socket is full, waiting as
    /// needed; <paramref name="fds"/> ride with the first byte and stay the caller's. Throws <see cref="TransportException"/>.
    /// </summary>
    /// <returns>False when the peer is gone.</returns>
    public bool Send(ReadOnlySpan<byte> header, ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds)
    {
        while (true)
        {
            int sent = Send(header, payload, fds, 0);
            if (sent == WouldBlock)
            {
                throw new TransportException("send on a socket", Errno.ETIMEDOUT, "the peer does not read");
            }
            if (sent == Closed)
            {
                return false;
            }
            if (sent == header.Length + payload.Length)
            {
                return true;
            }
            int fromHeader = Math.Min(sent, header.Length);
            header = header[fromHeader..];
            payload = payload[(sent - fromHeader)..];
            fds = default;
        }
    }

    /// <summary>
    /// Sends as much as fits without waiting. The descriptors have gone when anything has: pass none for the rest. Throws
    /// <see cref="TransportException"/>.
    /// </summary>
    /// <returns>Bytes sent; <see cref="Closed"/> when the peer is gone; <see cref="WouldBlock"/> when nothing fits.</returns>
    public int TrySend(ReadOnlySpan<byte> header, ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds) =>
        Send(header, payload, fds, LibC.MSG_DONTWAIT);

    /// <summary>Ends both directions: the peer, and any thread of ours that is blocked here, sees the end. Never throws.</summary>
    public void Shutdown()
    {
        try
        {
            _ = LibC.shutdown(Handle, LibC.SHUT_RDWR);
        }
        catch (ObjectDisposedException)
        {
            // The thread that owns it closed it first.
        }
    }

    /// <summary>Closes the socket.</summary>
    public void Dispose() => Handle.Dispose();

    // Every byte of the locals that the kernel reads is written first; what it fills, it reports the length of.
    [SkipLocalsInit]
    private unsafe int Receive(Span<byte> buffer, Span<int> fds, out int fdCount, int flags)
    {
        fdCount = 0;
        if (buffer.IsEmpty)
        {
            ThrowEmpty();
        }
        if (fds.Length > ProtocolLimits.KernelMaxMessageFds)
        {
            fds = fds[..ProtocolLimits.KernelMaxMessageFds];
        }
        byte* control = stackalloc byte[MaximumControlSize];
        LibC.MessageDescriptor message;
        LibC.IoVector vector;
        nint received;
        // Safe: buffer is pinned for the call and the vector carries its length; control has room for the length passed, as fds was cut to what
        // MaximumControlSize was computed for.
        fixed (byte* bytes = buffer)
        {
            while (true)
            {
                vector.Base = bytes;
                vector.Length = (nuint)buffer.Length;
                message.Name = null;
                message.NameLength = 0;
                message.Vectors = &vector;
                message.VectorCount = 1;
                message.Control = fds.IsEmpty ? null : control;
                // Not rounded up to 8 as CMSG_SPACE does: the kernel would then pass one descriptor more than there is room for.
                message.ControlLength = fds.IsEmpty ? 0 : (nuint)(ControlHeaderSize + fds.Length * sizeof(int));
                message.Flags = 0;
                received = LibC.recvmsg(Handle, &message, flags | LibC.MSG_CMSG_CLOEXEC);
                if (received >= 0)
                {
                    break;
                }
                int errno = Marshal.GetLastPInvokeError();
                switch (errno)
                {
                    case Errno.EINTR:
                        continue;
                    case Errno.EAGAIN:
                        return WouldBlock;
                    case Errno.ECONNRESET:
                        return Closed;
                    default:
                        throw new TransportException("receive from a socket", errno);
                }
            }
        }
        if (message.ControlLength != 0)
        {
            fdCount = TakeDescriptors(control, message.ControlLength, fds);
        }
        if ((message.Flags & LibC.MSG_CTRUNC) != 0)
        {
            FileDescriptor.Close(fds[..fdCount]);
            fdCount = 0;
            ThrowTruncated(fds.Length);
        }
        return (int)received;
    }

    private static unsafe int TakeDescriptors(byte* control, nuint length, Span<int> fds)
    {
        int count = 0;
        nuint at = 0;
        // Safe: every read stays below length, the bytes the kernel says it wrote.
        while (length - at >= ControlHeaderSize)
        {
            var header = (LibC.ControlHeader*)(control + at);
            if (header->Length < ControlHeaderSize || header->Length > length - at)
            {
                break;
            }
            if (header->Level == LibC.SOL_SOCKET && header->Type == LibC.SCM_RIGHTS)
            {
                var data = (int*)(control + at + ControlHeaderSize);
                int here = (int)((header->Length - ControlHeaderSize) / sizeof(int));
                for (int i = 0; i < here; i++)
                {
                    // There is a place for each: the control length passed to the kernel has room for no more.
                    fds[count++] = data[i];
                }
            }
            nuint step = (header->Length + 7) & ~(nuint)7;
            if (step > length - at)
            {
                break;
            }
            at += step;
        }
        return count;
    }

    // As for Receive: every byte of the locals that the kernel reads is written first.
    [SkipLocalsInit]
    private unsafe int Send(ReadOnlySpan<byte> header, ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds, int flags)
    {
        if (header.IsEmpty && payload.IsEmpty)
        {
            ThrowEmpty();
        }
        ArgumentOutOfRangeException.ThrowIfGreaterThan(fds.Length, ProtocolLimits.KernelMaxMessageFds, nameof(fds));
        byte* control = stackalloc byte[MaximumControlSize];
        LibC.IoVector* vectors = stackalloc LibC.IoVector[2];
        LibC.MessageDescriptor message;
        message.Name = null;
        message.NameLength = 0;
        message.Vectors = vectors;
        message.VectorCount = payload.IsEmpty ? 1u : 2u;
        message.Control = null;
        message.ControlLength = 0;
        message.Flags = 0;
        if (!fds.IsEmpty)
        {
            var controlHeader = (LibC.ControlHeader*)control;
            controlHeader->Length = (nuint)(ControlHeaderSize + fds.Length * sizeof(int));
            controlHeader->Level = LibC.SOL_SOCKET;
            controlHeader->Type = LibC.SCM_RIGHTS;
            fds.CopyTo(new Span<int>(control + ControlHeaderSize, fds.Length));
            message.Control = control;
            message.ControlLength = controlHeader->Length;
        }
        // Safe: both spans are pinned for the call and each vector carries its length; the control length was checked to fit above.
        fixed (byte* first = header, second = payload)
        {
            vectors[0].Base = first;
            vectors[0].Length = (nuint)header.Length;
            vectors[1].Base = second;
            vectors[1].Length = (nuint)payload.Length;
            while (true)
            {
                nint sent = LibC.sendmsg(Handle, &message, flags | LibC.MSG_NOSIGNAL);
                if (sent >= 0)
                {
                    return (int)sent;
                }
                int errno = Marshal.GetLastPInvokeError();
                switch (errno)
                {
                    case Errno.EINTR:
                        continue;
                    case Errno.EAGAIN:
                        return WouldBlock;
                    case Errno.EPIPE or Errno.ECONNRESET:
                        return Closed;
                    default:
                        throw new TransportException("send on a socket", errno);
                }
            }
        }
    }

    private unsafe void SetTimeout(int option, TimeSpan timeout)
    {
        LibC.TimeVal value = default;
        if (timeout > TimeSpan.Zero)
        {
            // A timeout of less than a microsecond must not become 0, which means none.
            long microseconds = Math.Max(1, (long)Math.Min(timeout.TotalMicroseconds, long.MaxValue / 2));
            value.Seconds = microseconds / 1_000_000;
            value.Microseconds = microseconds % 1_000_000;
        }
        // Safe: the kernel reads sizeof(TimeVal) bytes of value.
        if (LibC.setsockopt(Handle, LibC.SOL_SOCKET, option, &value, (uint)sizeof(LibC.TimeVal)) != 0)
        {
            throw TransportException.FromLastError("set a socket's timeout");
        }
    }

    [DoesNotReturn]
    private static void ThrowEmpty() => throw new ArgumentException("A stream carries no empty messages.");

    [DoesNotReturn]
    private static void ThrowTruncated(int room) => throw new TransportException(
        "receive file descriptors", Errno.EMSGSIZE, $"the peer sent more than the {room} it may, or this process can open no more");
}
