using System.Buffers.Binary;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Client;

/// <content>What regions there are, and accesses to them.</content>
public sealed partial class VfioUserClient
{
    private const int AccessHeadSize = MessageHeader.HeaderSize + RegionAccess.Size;

    // A capability chain longer than this is nonsense: 4000 sparse areas fit.
    private const int MaximumRegionInfoSize = 63 * 1024;

    /// <summary>DEVICE_GET_REGION_INFO, asked again with more room if the first reply says so. Dispose the result.</summary>
    /// <param name="index">See <see cref="RegionIndex"/>.</param>
    public DeviceRegion GetRegionInfo(int index)
    {
        lock (_gate)
        {
            RegionInfo info = AskRegionInfo(index, RegionInfo.Size, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds);
            if (info.ArgSize > RegionInfo.Size)
            {
                FileDescriptor.Close(fds);
                uint room = info.ArgSize;
                info = AskRegionInfo(index, room, out payload, out fds);
                if (info.ArgSize > room)
                {
                    FileDescriptor.Close(fds);
                    throw Violation(Command.DeviceGetRegionInfo, $"a reply that wants {info.ArgSize} bytes after one that wanted {room}");
                }
            }
            return Describe(info, payload, fds);
        }
    }

    /// <summary>Reads bytes of a region; more than the server's max_data_xfer_size go in several messages.</summary>
    /// <param name="region">See <see cref="RegionIndex"/>.</param>
    /// <param name="offset">First byte.</param>
    /// <param name="destination">Receives the bytes; filled wholly.</param>
    public void ReadRegion(int region, ulong offset, Span<byte> destination)
    {
        lock (_gate)
        {
            do
            {
                int count = Math.Min(destination.Length, _maximumTransfer);
                EndRead(BeginRead(region, offset, count), destination[..count]);
                destination = destination[count..];
                offset += (uint)count;
            }
            while (!destination.IsEmpty);
        }
    }

    /// <summary>Writes bytes of a region and waits until it is done; more than the server's max_data_xfer_size go in several messages.</summary>
    public void WriteRegion(int region, ulong offset, ReadOnlySpan<byte> source)
    {
        lock (_gate)
        {
            do
            {
                int count = Math.Min(source.Length, _maximumTransfer);
                EndWrite(BeginWrite(region, offset, source[..count]));
                source = source[count..];
                offset += (uint)count;
            }
            while (!source.IsEmpty);
        }
    }

    /// <summary>Writes bytes of a region without a reply: nothing says whether, or when, it is done, but what is sent later is done later.</summary>
    public void PostWrite(int region, ulong offset, ReadOnlySpan<byte> source)
    {
        lock (_gate)
        {
            Span<byte> head = stackalloc byte[AccessHeadSize];
            new RegionAccess(offset, (uint)region, (uint)source.Length).Write(head[MessageHeader.HeaderSize..]);
            Post(Command.RegionWrite, head, source);
        }
    }

    /// <summary>REGION_WRITE_MULTI without a reply. The server must have agreed to write_multiple.</summary>
    public void PostWrites(ReadOnlySpan<RegionWrite> writes)
    {
        byte[] payload = Encode(writes);
        lock (_gate)
        {
            Span<byte> head = stackalloc byte[MessageHeader.HeaderSize];
            Post(Command.RegionWriteMulti, head, payload);
        }
    }

    /// <summary>REGION_WRITE_MULTI with a reply. The server must have agreed to write_multiple.</summary>
    /// <returns>How many writes the server did.</returns>
    public long WriteMulti(ReadOnlySpan<RegionWrite> writes)
    {
        byte[] payload = Encode(writes);
        using VfioUserMessage reply = Call(Command.RegionWriteMulti, payload);
        if (reply.Payload.Length != RegionWriteMulti.HeaderSize)
        {
            throw WrongLength(Command.RegionWriteMulti, reply.Payload.Length);
        }
        return BinaryPrimitives.ReadInt64LittleEndian(reply.Payload);
    }

    /// <summary>Sends a read without waiting; take the reply with <see cref="EndRead"/>. Up to <see cref="MaximumPending"/> may be under way.</summary>
    /// <param name="region">See <see cref="RegionIndex"/>.</param>
    /// <param name="offset">First byte.</param>
    /// <param name="count">Bytes, at most the server's max_data_xfer_size.</param>
    public PendingReply BeginRead(int region, ulong offset, int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, _options.Offer.MaxDataTransferSize);
        lock (_gate)
        {
            Span<byte> head = stackalloc byte[AccessHeadSize];
            new RegionAccess(offset, (uint)region, (uint)count).Write(head[MessageHeader.HeaderSize..]);
            return Send(Command.RegionRead, head, default, default, (uint)count);
        }
    }

    /// <summary>Waits for the reply to <see cref="BeginRead"/>. Replies may be taken in any order.</summary>
    public void EndRead(PendingReply pending, Span<byte> destination)
    {
        if (destination.Length != (int)pending.Count)
        {
            throw new ArgumentException($"The read was of {pending.Count} bytes.", nameof(destination));
        }
        lock (_gate)
        {
            WaitFor(pending, Command.RegionRead, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds);
            FileDescriptor.Close(fds);
            if (payload.Length != RegionAccess.Size + destination.Length
                || !RegionAccess.TryRead(payload, out RegionAccess access)
                || access.Count != pending.Count)
            {
                throw WrongLength(Command.RegionRead, payload.Length);
            }
            payload[RegionAccess.Size..].CopyTo(destination);
        }
    }

    /// <summary>Sends a write without waiting; take the reply with <see cref="EndWrite"/>.</summary>
    public PendingReply BeginWrite(int region, ulong offset, ReadOnlySpan<byte> source)
    {
        lock (_gate)
        {
            Span<byte> head = stackalloc byte[AccessHeadSize];
            new RegionAccess(offset, (uint)region, (uint)source.Length).Write(head[MessageHeader.HeaderSize..]);
            return Send(Command.RegionWrite, head, source, default, (uint)source.Length);
        }
    }

    /// <summary>Waits for the reply to <see cref="BeginWrite"/>.</summary>
    public void EndWrite(PendingReply pending)
    {
        lock (_gate)
        {
            WaitFor(pending, Command.RegionWrite, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds);
            FileDescriptor.Close(fds);
            if (payload.Length != RegionAccess.Size || !RegionAccess.TryRead(payload, out RegionAccess access) || access.Count != pending.Count)
            {
                throw WrongLength(Command.RegionWrite, payload.Length);
            }
        }
    }

    /// <summary>Reads one byte of a region.</summary>
    public byte Read8(int region, ulong offset)
    {
        Span<byte> data = stackalloc byte[sizeof(byte)];
        ReadRegion(region, offset, data);
        return data[0];
    }

    /// <summary>Reads two bytes of a region, little-endian, in one access.</summary>
    public ushort Read16(int region, ulong offset)
    {
        Span<byte> data = stackalloc byte[sizeof(ushort)];
        ReadRegion(region, offset, data);
        return BinaryPrimitives.ReadUInt16LittleEndian(data);
    }

    /// <summary>Reads four bytes of a region, little-endian, in one access.</summary>
    public uint Read32(int region, ulong offset)
    {
        Span<byte> data = stackalloc byte[sizeof(uint)];
        ReadRegion(region, offset, data);
        return BinaryPrimitives.ReadUInt32LittleEndian(data);
    }

    /// <summary>Reads eight bytes of a region, little-endian, in one access.</summary>
    public ulong Read64(int region, ulong offset)
    {
        Span<byte> data = stackalloc byte[sizeof(ulong)];
        ReadRegion(region, offset, data);
        return BinaryPrimitives.ReadUInt64LittleEndian(data);
    }

    /// <summary>Writes one byte of a region.</summary>
    public void Write8(int region, ulong offset, byte value) => WriteRegion(region, offset, [value]);

    /// <summary>Writes two bytes of a region, little-endian, in one access.</summary>
    public void Write16(int region, ulong offset, ushort value)
    {
        Span<byte> data = stackalloc byte[sizeof(ushort)];
        BinaryPrimitives.WriteUInt16LittleEndian(data, value);
        WriteRegion(region, offset, data);
    }

    /// <summary>Writes four bytes of a region, little-endian, in one access.</summary>
    public void Write32(int region, ulong offset, uint value)
    {
        Span<byte> data = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(data, value);
        WriteRegion(region, offset, data);
    }

    /// <summary>Writes eight bytes of a region, little-endian, in one access.</summary>
    public void Write64(int region, ulong offset, ulong value)
    {
        Span<byte> data = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(data, value);
        WriteRegion(region, offset, data);
    }

    private static byte[] Encode(ReadOnlySpan<RegionWrite> writes)
    {
        byte[] payload = new byte[RegionWriteMulti.ByteCount(writes.Length)];
        RegionWriteMulti.Write(payload, writes);
        return payload;
    }

    private RegionInfo AskRegionInfo(int index, uint room, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds)
    {
        Span<byte> head = stackalloc byte[MessageHeader.HeaderSize + RegionInfo.Size];
        new RegionInfo(room, RegionInfoFlags.None, (uint)index, 0, 0, 0).Write(head[MessageHeader.HeaderSize..]);
        WaitFor(Send(Command.DeviceGetRegionInfo, head, default, default), Command.DeviceGetRegionInfo, out payload, out fds);
        if (!RegionInfo.TryRead(payload, out RegionInfo info) || payload.Length > room || info.ArgSize > MaximumRegionInfoSize)
        {
            FileDescriptor.Close(fds);
            throw Violation(Command.DeviceGetRegionInfo, $"a reply of {payload.Length} bytes that wants {info.ArgSize}");
        }
        return info;
    }

    private DeviceRegion Describe(RegionInfo info, ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds)
    {
        bool mappable = (info.Flags & RegionInfoFlags.MemoryMap) != 0 && fds.Length > 0;
        SparseArea[] areas = [];
        bool inside = info.FileOffset <= ulong.MaxValue - info.Length;
        if (mappable)
        {
            areas = [new SparseArea(0, info.Length)];
            if (SparseMapCapability.TryFind(payload, out SparseMapCapability sparse))
            {
                areas = new SparseArea[sparse.Count];
                for (int i = 0; i < areas.Length; i++)
                {
                    areas[i] = sparse[i];
                    inside &= areas[i].Offset <= info.Length && areas[i].Length <= info.Length - areas[i].Offset;
                }
            }
        }
        if (!inside)
        {
            FileDescriptor.Close(fds);
            throw Violation(Command.DeviceGetRegionInfo, $"areas outside of region {info.Index}");
        }
        FileDescriptor.Close(mappable ? fds[1..] : fds);
        return new DeviceRegion(info, areas, mappable ? new FileDescriptor(fds[0]) : null);
    }
}
