using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server.Sessions;

/// <summary>
/// Messages on their way to a client. They leave as far as its socket takes them, and nobody waits: what is left goes when there is room.
/// While it <see cref="IsBlocked"/>, nothing that the client could ask for without end may be added; that bounds it.
/// </summary>
internal sealed class SendQueue(UnixStream stream)
{
    private const int InitialCapacity = 64 * 1024;

    private byte[] _buffer = GC.AllocateUninitializedArray<byte>(InitialCapacity, pinned: true);
    private FileDescriptor? _descriptor;
    private int _start, _end, _descriptorAt;

    /// <summary>Bytes added and not sent.</summary>
    public int Unsent => _end - _start;

    /// <summary>Bytes that have gone since the beginning.</summary>
    public long Sent { get; private set; }

    /// <summary>The socket did not take everything.</summary>
    public bool IsBlocked { get; private set; }

    /// <summary>Adds room for a message, to be filled before the next call.</summary>
    public Span<byte> Reserve(int size)
    {
        if (size > _buffer.Length - _end) MakeRoom(size);
        Span<byte> room = _buffer.AsSpan(_end, size);
        _end += size;
        return room;
    }

    /// <summary>Adds a reply and gives room for its payload, to be filled before the next call.</summary>
    public Span<byte> Reply(in MessageHeader header, int payloadSize)
    {
        Span<byte> message = Reserve(MessageHeader.HeaderSize + payloadSize);
        header.ToReply(payloadSize).Write(message);
        return message[MessageHeader.HeaderSize..];
    }

    /// <summary>Adds an error reply, where one is wanted.</summary>
    public void ReplyError(in MessageHeader header, int errno)
    {
        if (!header.NoReply) header.ToErrorReply(errno).Write(Reserve(MessageHeader.HeaderSize));
    }

    /// <summary>Adds a reply without a payload: for 0 a success, otherwise the error.</summary>
    public void ReplyStatus(in MessageHeader header, int errno)
    {
        if (errno == 0) Reply(header, 0);
        else ReplyError(header, errno);
    }

    /// <summary>Takes back what was added since there were this many bytes; nothing was sent in between.</summary>
    public void TakeBack(int unsent) => _end = _start + unsent;

    /// <summary>Has a descriptor ride with the last message, of this size. It stays the caller's, who must keep it until the message has begun.</summary>
    public void Attach(FileDescriptor descriptor, int size) => (_descriptor, _descriptorAt) = (descriptor, _end - size);

    /// <summary>Sends what fits. Throws <see cref="TransportException"/>.</summary>
    /// <returns>Whether nothing is left.</returns>
    public bool TryFlush()
    {
        while (_start < _end)
        {
            // A descriptor goes with the first byte of its own message.
            int end = _descriptor is not null && _descriptorAt > _start ? _descriptorAt : _end;
            int number = _descriptor is not null && _descriptorAt == _start ? _descriptor.Number : -1;
            int sent = stream.TrySend(_buffer.AsSpan(_start, end - _start), default, number < 0 ? default : new ReadOnlySpan<int>(in number));
            if (sent == UnixStream.WouldBlock)
            {
                IsBlocked = true;
                return false;
            }
            if (sent == UnixStream.Closed) break;
            if (number >= 0) _descriptor = null;
            _start += sent;
            Sent += sent;
        }
        Discard();
        return true;
    }

    /// <summary>Forgets what is left: nobody is there to read it.</summary>
    public void Discard()
    {
        (_start, _end, _descriptor) = (0, 0, null);
        IsBlocked = false;
    }

    private void MakeRoom(int size)
    {
        int unsent = Unsent;
        byte[] target = unsent + size <= _buffer.Length
            ? _buffer
            : GC.AllocateUninitializedArray<byte>(Math.Max(unsent + size, 2 * _buffer.Length), pinned: true);
        _buffer.AsSpan(_start, unsent).CopyTo(target);
        _descriptorAt -= _start;
        (_buffer, _start, _end) = (target, 0, unsent);
    }
}
