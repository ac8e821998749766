using System.Buffers.Binary;

namespace Emulator.VfioUser.Protocol;

/// <summary>
/// The fixed part of REGION_READ and REGION_WRITE, request and reply, 16 bytes: u64 offset @0, u32 region @8, u32 count @12; data @16 in a
/// write request and a read reply. Source: vfio-user specification, "Read and Write Operations".
/// </summary>
/// <param name="Offset">First byte in the region.</param>
/// <param name="Region">See <see cref="RegionIndex"/>.</param>
/// <param name="Count">Bytes of data; at most the peer's max_data_xfer_size.</param>
public readonly record struct RegionAccess(ulong Offset, uint Region, uint Count) : IWirePayload<RegionAccess>
{
    /// <summary>Bytes on the wire, data not counted.</summary>
    public const int Size = 16;

    static int IWirePayload<RegionAccess>.WireSize => Size;

    /// <inheritdoc/>
    public static bool TryRead(ReadOnlySpan<byte> source, out RegionAccess value)
    {
        if (source.Length < Size)
        {
            value = default;
            return false;
        }
        value = new(
            BinaryPrimitives.ReadUInt64LittleEndian(source),
            BinaryPrimitives.ReadUInt32LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[12..]));
        return true;
    }

    /// <inheritdoc/>
    public void Write(Span<byte> destination)
    {
        destination = destination[..Size];
        BinaryPrimitives.WriteUInt64LittleEndian(destination, Offset);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[8..], Region);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], Count);
    }
}

/// <summary>
/// One write of REGION_WRITE_MULTI, 24 bytes: u64 offset @0, u32 region @8, u32 count @12, u8 data[8] @16.
/// Source: vfio-user specification, "Single Device Write Format".
/// </summary>
/// <param name="Offset">First byte in the region.</param>
/// <param name="Region">See <see cref="RegionIndex"/>.</param>
/// <param name="Count">Bytes of data, at most 8 in a valid message.</param>
/// <param name="Data">The bytes, the first in the lowest 8 bits.</param>
public readonly record struct RegionWrite(ulong Offset, uint Region, uint Count, ulong Data) : IWirePayload<RegionWrite>
{
    /// <summary>Bytes on the wire.</summary>
    public const int Size = 24;

    static int IWirePayload<RegionWrite>.WireSize => Size;

    /// <inheritdoc/>
    public static bool TryRead(ReadOnlySpan<byte> source, out RegionWrite value)
    {
        if (source.Length < Size)
        {
            value = default;
            return false;
        }
        value = new(
            BinaryPrimitives.ReadUInt64LittleEndian(source),
            BinaryPrimitives.ReadUInt32LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[12..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[16..]));
        return true;
    }

    /// <inheritdoc/>
    public void Write(Span<byte> destination)
    {
        destination = destination[..Size];
        BinaryPrimitives.WriteUInt64LittleEndian(destination, Offset);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[8..], Region);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], Count);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[16..], Data);
    }
}

/// <summary>
/// REGION_WRITE_MULTI: u64 wr_cnt @0, then wr_cnt times <see cref="RegionWrite"/>. This view reads the writes in place. A reply, for the
/// clients that want one, is the 8-byte count of writes done. Source: vfio-user specification, VFIO_USER_REGION_WRITE_MULTI.
/// </summary>
public readonly ref struct RegionWriteMulti
{
    /// <summary>Bytes before the first write, and of the reply.</summary>
    public const int HeaderSize = 8;

    private readonly ReadOnlySpan<byte> _writes;

    private RegionWriteMulti(ReadOnlySpan<byte> writes) => _writes = writes;

    /// <summary>How many writes there are.</summary>
    public int Count => _writes.Length / RegionWrite.Size;

    /// <summary>One write. Throws <see cref="ArgumentOutOfRangeException"/> for an index past <see cref="Count"/>.</summary>
    public RegionWrite this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
            RegionWrite.TryRead(_writes[(index * RegionWrite.Size)..], out RegionWrite write);
            return write;
        }
    }

    /// <summary>Bytes of a request with this many writes.</summary>
    public static int ByteCount(int writes) => HeaderSize + writes * RegionWrite.Size;

    /// <summary>Reads a request; false when the payload is not exactly as long as its count says, or a write has more than 8 bytes.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out RegionWriteMulti value)
    {
        value = default;
        if (source.Length < HeaderSize)
        {
            return false;
        }
        ReadOnlySpan<byte> writes = source[HeaderSize..];
        // Divide instead of multiplying: the count is 64 bits of a hostile peer.
        if (writes.Length % RegionWrite.Size != 0 ||
            BinaryPrimitives.ReadUInt64LittleEndian(source) != (ulong)(writes.Length / RegionWrite.Size))
        {
            return false;
        }
        for (int at = 12; at < writes.Length; at += RegionWrite.Size)
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(writes[at..]) > sizeof(ulong))
            {
                return false;
            }
        }
        value = new(writes);
        return true;
    }

    /// <summary>Writes a request. Throws <see cref="ArgumentOutOfRangeException"/> when there is too little room.</summary>
    public static void Write(Span<byte> destination, ReadOnlySpan<RegionWrite> writes)
    {
        destination = destination[..ByteCount(writes.Length)];
        BinaryPrimitives.WriteUInt64LittleEndian(destination, (ulong)writes.Length);
        for (int i = 0; i < writes.Length; i++)
        {
            writes[i].Write(destination[(HeaderSize + i * RegionWrite.Size)..]);
        }
    }
}
