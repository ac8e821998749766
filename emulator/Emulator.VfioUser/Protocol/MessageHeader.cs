using System.Buffers.Binary;

namespace Emulator.VfioUser.Protocol;

/// <summary>The flags field of a message header. Source: vfio-user specification, "Header".</summary>
[Flags]
public enum MessageFlags : uint
{
    /// <summary>Type value 0: a command.</summary>
    Command = 0,
    /// <summary>Type value 1: a reply.</summary>
    Reply = 1,
    /// <summary>In a command: the sender wants no reply.</summary>
    NoReply = 0x10,
    /// <summary>In a reply: the command failed, and the errno field says why.</summary>
    Error = 0x20,
    /// <summary>The four bits that hold the type.</summary>
    TypeMask = 0xf,
}

/// <summary>
/// The 16 bytes that open every message: u16 id @0, u16 command @2, u32 size @4, u32 flags @8, u32 errno @12.
/// Source: vfio-user specification, "Header".
/// </summary>
/// <param name="Id">Chosen by the sender of a command, echoed in its reply; need not be unique.</param>
/// <param name="Command">The command, echoed in its reply. Any value may arrive.</param>
/// <param name="Size">Bytes of the whole message, this header included. Unchecked: see <see cref="PayloadSize"/>.</param>
/// <param name="Flags">Type, NoReply and Error.</param>
/// <param name="Errno">In an error reply, a Linux errno or 0; otherwise reserved.</param>
public readonly record struct MessageHeader(ushort Id, Command Command, uint Size, MessageFlags Flags, uint Errno)
    : IWirePayload<MessageHeader>
{
    /// <summary>Bytes of the header on the wire.</summary>
    public const int HeaderSize = 16;

    static int IWirePayload<MessageHeader>.WireSize => HeaderSize;

    /// <summary>Type is command.</summary>
    public bool IsCommand => (Flags & MessageFlags.TypeMask) == MessageFlags.Command;

    /// <summary>Type is reply.</summary>
    public bool IsReply => (Flags & MessageFlags.TypeMask) == MessageFlags.Reply;

    /// <summary>The sender of this command wants no reply.</summary>
    public bool NoReply => (Flags & MessageFlags.NoReply) != 0;

    /// <summary>The command that this reply answers failed.</summary>
    public bool IsError => (Flags & MessageFlags.Error) != 0;

    /// <summary>Bytes after the header, or -1 when <see cref="Size"/> is smaller than the header or above 2 GiB.</summary>
    public int PayloadSize => Size is >= HeaderSize and <= int.MaxValue ? (int)Size - HeaderSize : -1;

    /// <summary>A command header for <paramref name="payloadSize"/> bytes of payload.</summary>
    public static MessageHeader ForCommand(ushort id, Command command, int payloadSize, bool noReply = false) =>
        new(id, command, (uint)(HeaderSize + payloadSize), noReply ? MessageFlags.NoReply : MessageFlags.Command, 0);

    /// <summary>The header of a successful reply to this command.</summary>
    public MessageHeader ToReply(int payloadSize) => new(Id, Command, (uint)(HeaderSize + payloadSize), MessageFlags.Reply, 0);

    /// <summary>The header, and whole message, of an error reply to this command.</summary>
    public MessageHeader ToErrorReply(int errno) => new(Id, Command, HeaderSize, MessageFlags.Reply | MessageFlags.Error, (uint)errno);

    /// <summary>Reads a header; false when fewer than 16 bytes are there. Nothing is validated.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out MessageHeader value)
    {
        if (source.Length < HeaderSize)
        {
            value = default;
            return false;
        }
        value = new(
            BinaryPrimitives.ReadUInt16LittleEndian(source),
            (Command)BinaryPrimitives.ReadUInt16LittleEndian(source[2..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[4..]),
            (MessageFlags)BinaryPrimitives.ReadUInt32LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[12..]));
        return true;
    }

    /// <summary>Writes 16 bytes. Throws <see cref="ArgumentOutOfRangeException"/> when there is less room.</summary>
    public void Write(Span<byte> destination)
    {
        destination = destination[..HeaderSize];
        BinaryPrimitives.WriteUInt16LittleEndian(destination, Id);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[2..], (ushort)Command);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[4..], Size);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[8..], (uint)Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], Errno);
    }
}
