using System.Diagnostics.CodeAnalysis;
using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Transport;

/// <summary>What <see cref="MessageReader.TryRead"/> found.</summary>
public enum ReadOutcome
{
    /// <summary>No whole message is buffered: call <see cref="MessageReader.Fill"/>.</summary>
    Incomplete,
    /// <summary>A message.</summary>
    Message,
    /// <summary>A size that no message can have: the stream cannot be followed further.</summary>
    Malformed,
}

/// <summary>
/// Cuts a stream into messages: one receive may bring several messages, or part of one. Nothing is allocated but room for a message larger
/// than any before. For one thread.
/// </summary>
public sealed class MessageReader : IDisposable
{
    private const int InitialCapacity = 64 * 1024;

    // With less room than this at the end of the buffer, moving what is left to its start beats a receive that takes little.
    private const int LeastRoom = 4096;

    private readonly UnixStream _stream;
    private readonly int _maximumMessageSize;
    private readonly int _maximumCapacity;
    private readonly int[] _fds;

    // Where in _buffer the last byte is that came with the descriptor: it belongs to the message around that byte.
    private readonly int[] _fdPositions;
    private readonly int[] _delivered;
    private byte[] _buffer;
    private int _start;
    private int _end;
    private int _fdCount;

    /// <summary>A reader that leaves <paramref name="stream"/> to the caller.</summary>
    /// <param name="stream">The socket.</param>
    /// <param name="maximumMessageSize">Bytes of the largest message to accept, header included.</param>
    /// <param name="maximumDescriptors">Most descriptors to hold for messages not yet delivered, and to take in one receive.</param>
    public MessageReader(UnixStream stream, int maximumMessageSize, int maximumDescriptors)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentOutOfRangeException.ThrowIfLessThan(maximumMessageSize, MessageHeader.HeaderSize);
        ArgumentOutOfRangeException.ThrowIfNegative(maximumDescriptors);
        _stream = stream;
        _maximumMessageSize = maximumMessageSize;
        _maximumCapacity = checked(maximumMessageSize + InitialCapacity);
        _fds = new int[maximumDescriptors];
        _fdPositions = new int[maximumDescriptors];
        _delivered = new int[maximumDescriptors];
        _buffer = GC.AllocateUninitializedArray<byte>(InitialCapacity, pinned: true);
    }

    /// <summary>Bytes received and not yet delivered.</summary>
    public int BufferedBytes => _end - _start;

    /// <summary>Whether another <see cref="Fill"/> could take bytes without first delivering messages.</summary>
    public bool HasRoom => BufferedBytes < _maximumCapacity;

    /// <summary>
    /// Receives once. Throws <see cref="TransportException"/>, and <see cref="InvalidOperationException"/> without <see cref="HasRoom"/>.
    /// </summary>
    /// <param name="wait">Wait for bytes, as long as the stream's receive timeout; otherwise only look.</param>
    /// <returns>As <see cref="UnixStream.Receive(Span{byte}, Span{int}, out int)"/>.</returns>
    public int Fill(bool wait)
    {
        if (_start == _end)
        {
            _start = _end = 0;
        }
        else if (_buffer.Length - _end < LeastRoom)
        {
            MakeRoom();
        }
        Span<byte> room = _buffer.AsSpan(_end);
        Span<int> fds = _fds.AsSpan(_fdCount);
        int received = wait ? _stream.Receive(room, fds, out int fdCount) : _stream.TryReceive(room, fds, out fdCount);
        if (received > 0)
        {
            _end += received;
            // Descriptors belong to the message that holds the last byte of their receive: see UnixStream.
            for (int i = 0; i < fdCount; i++)
            {
                _fdPositions[_fdCount++] = _end - 1;
            }
        }
        else
        {
            FileDescriptor.Close(fds[..fdCount]);
        }
        return received;
    }

    /// <summary>Takes the next message that is buffered whole.</summary>
    /// <param name="header">Its header; with <see cref="ReadOutcome.Malformed"/>, the one that is wrong.</param>
    /// <param name="payload">The bytes after the header, valid until the next <see cref="Fill"/>.</param>
    /// <param name="fds">The descriptors that came with it, now the caller's to close; the span is valid until the next call.</param>
    public ReadOutcome TryRead(out MessageHeader header, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds)
    {
        payload = default;
        fds = default;
        if (!MessageHeader.TryRead(_buffer.AsSpan(_start, _end - _start), out header))
        {
            return ReadOutcome.Incomplete;
        }
        if (header.Size < MessageHeader.HeaderSize || header.Size > (uint)_maximumMessageSize)
        {
            return ReadOutcome.Malformed;
        }
        int size = (int)header.Size;
        if (size > _end - _start)
        {
            return ReadOutcome.Incomplete;
        }
        payload = _buffer.AsSpan(_start + MessageHeader.HeaderSize, size - MessageHeader.HeaderSize);
        _start += size;
        if (_fdCount != 0)
        {
            fds = TakeDescriptors(_start);
        }
        return ReadOutcome.Message;
    }

    /// <summary>Closes descriptors that were not delivered. The stream stays the caller's.</summary>
    public void Dispose()
    {
        FileDescriptor.Close(_fds.AsSpan(0, _fdCount));
        _fdCount = 0;
    }

    private ReadOnlySpan<int> TakeDescriptors(int messageEnd)
    {
        int count = 0;
        while (count < _fdCount && _fdPositions[count] < messageEnd)
        {
            _delivered[count] = _fds[count];
            count++;
        }
        _fdCount -= count;
        Array.Copy(_fds, count, _fds, 0, _fdCount);
        Array.Copy(_fdPositions, count, _fdPositions, 0, _fdCount);
        return _delivered.AsSpan(0, count);
    }

    private void MakeRoom()
    {
        int buffered = _end - _start;
        int needed = buffered + LeastRoom;
        if (MessageHeader.TryRead(_buffer.AsSpan(_start, buffered), out MessageHeader header) && header.Size <= (uint)_maximumMessageSize)
        {
            needed = Math.Max(needed, (int)header.Size);
        }
        byte[] target = _buffer;
        if (needed > _buffer.Length)
        {
            if (!HasRoom)
            {
                ThrowFull();
            }
            // Doubling keeps the copies few; the peer's claim is bounded by the largest message it may send.
            int capacity = Math.Min(_maximumCapacity, Math.Max(needed, _buffer.Length * 2));
            target = GC.AllocateUninitializedArray<byte>(capacity, pinned: true);
        }
        _buffer.AsSpan(_start, buffered).CopyTo(target);
        _buffer = target;
        for (int i = 0; i < _fdCount; i++)
        {
            _fdPositions[i] -= _start;
        }
        _start = 0;
        _end = buffered;
    }

    [DoesNotReturn]
    private static void ThrowFull() => throw new InvalidOperationException("The buffer is full of messages that were not read.");
}
