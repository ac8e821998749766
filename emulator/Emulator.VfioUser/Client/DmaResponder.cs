using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Client;

/// <summary>Answers the commands that a server sends. One for each socket they come by, for one thread at a time.</summary>
internal sealed class DmaResponder(DmaTable table, int maximumTransfer)
{
    /// <summary>Room that the fixed part of an answer needs, in bytes.</summary>
    internal const int HeadSize = MessageHeader.HeaderSize + DmaAccess.Size;

    private byte[] _data = [];
    private long _served;

    /// <summary>Commands answered or, wanting no reply, done.</summary>
    internal long Served => Interlocked.Read(ref _served);

    /// <summary>Does what a command asks for; false when it wants no reply.</summary>
    /// <param name="header">The command's header.</param>
    /// <param name="payload">Its payload.</param>
    /// <param name="head">Receives the answer's header and fixed part.</param>
    /// <param name="headLength">How many bytes of that to send.</param>
    /// <param name="data">What to send after it; valid until the next call.</param>
    internal bool TryAnswer(
        in MessageHeader header, ReadOnlySpan<byte> payload, Span<byte> head, out int headLength, out ReadOnlySpan<byte> data)
    {
        data = default;
        int errno = DmaAccess.TryRead(payload, out DmaAccess access) && access.Count <= (ulong)maximumTransfer
            ? Perform(header.Command, access, payload[DmaAccess.Size..], out data)
            : Errno.EINVAL;
        Interlocked.Increment(ref _served);
        headLength = 0;
        if (header.NoReply)
        {
            return false;
        }
        if (errno != 0)
        {
            headLength = MessageHeader.HeaderSize;
            header.ToErrorReply(errno).Write(head);
            return true;
        }
        headLength = HeadSize;
        header.ToReply(DmaAccess.Size + data.Length).Write(head);
        access.Write(head[MessageHeader.HeaderSize..]);
        return true;
    }

    private int Perform(Command command, DmaAccess access, ReadOnlySpan<byte> sent, out ReadOnlySpan<byte> data)
    {
        data = default;
        int count = (int)access.Count;
        switch (command)
        {
            case Command.DmaRead when sent.IsEmpty:
                if (_data.Length < count)
                {
                    _data = GC.AllocateUninitializedArray<byte>(count, pinned: true);
                }
                int errno = table.Read(access.Address, _data.AsSpan(0, count));
                data = errno == 0 ? _data.AsSpan(0, count) : default;
                return errno;
            case Command.DmaWrite when sent.Length == count:
                return table.Write(access.Address, sent);
            case Command.DmaRead or Command.DmaWrite:
                return Errno.EINVAL;
            default:
                return Errno.ENOSYS;
        }
    }
}
