using System.Buffers.Binary;

namespace Emulator.VfioUser.Protocol;

/// <summary>Flags of a region. Source: linux/vfio.h, VFIO_REGION_INFO_FLAG_*.</summary>
[Flags]
public enum RegionInfoFlags : uint
{
    /// <summary>None.</summary>
    None = 0,
    /// <summary>The client may read.</summary>
    Read = 1,
    /// <summary>The client may write.</summary>
    Write = 2,
    /// <summary>The client may map the descriptor that comes with the reply.</summary>
    MemoryMap = 4,
    /// <summary>A capability chain starts at <see cref="RegionInfo.CapabilityOffset"/>.</summary>
    Capabilities = 8,
}

/// <summary>
/// DEVICE_GET_REGION_INFO request and reply, 32 bytes: u32 argsz @0, u32 flags @4, u32 index @8, u32 cap_offset @12, u64 size @16,
/// u64 offset @24; capabilities follow in a reply. Source: vfio-user specification, VFIO_USER_DEVICE_GET_REGION_INFO.
/// </summary>
/// <param name="ArgSize">In a request, the room for the reply payload; in a reply, the bytes a full payload needs.</param>
/// <param name="Flags">See <see cref="RegionInfoFlags"/>.</param>
/// <param name="Index">See <see cref="RegionIndex"/>.</param>
/// <param name="CapabilityOffset">First capability, counted from the start of this structure; 0 when there is none.</param>
/// <param name="Length">Bytes of the region; 0 when it does not exist.</param>
/// <param name="FileOffset">Where the region starts in the file to map, in bytes.</param>
public readonly record struct RegionInfo(
    uint ArgSize, RegionInfoFlags Flags, uint Index, uint CapabilityOffset, ulong Length, ulong FileOffset) : IWirePayload<RegionInfo>
{
    /// <summary>Bytes on the wire, capabilities not counted.</summary>
    public const int Size = 32;

    static int IWirePayload<RegionInfo>.WireSize => Size;

    /// <inheritdoc/>
    public static bool TryRead(ReadOnlySpan<byte> source, out RegionInfo value)
    {
        if (source.Length < Size)
        {
            value = default;
            return false;
        }
        value = new(
            BinaryPrimitives.ReadUInt32LittleEndian(source),
            (RegionInfoFlags)BinaryPrimitives.ReadUInt32LittleEndian(source[4..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[12..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[24..]));
        return true;
    }

    /// <inheritdoc/>
    public void Write(Span<byte> destination)
    {
        destination = destination[..Size];
        BinaryPrimitives.WriteUInt32LittleEndian(destination, ArgSize);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[4..], (uint)Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[8..], Index);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], CapabilityOffset);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[16..], Length);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[24..], FileOffset);
    }
}

/// <summary>One part of a region that the client may map, 16 bytes: u64 offset @0, u64 size @8.</summary>
/// <param name="Offset">First byte, counted from the start of the region.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct SparseArea(ulong Offset, ulong Length) : IWirePayload<SparseArea>
{
    /// <summary>Bytes on the wire.</summary>
    public const int Size = 16;

    static int IWirePayload<SparseArea>.WireSize => Size;

    /// <inheritdoc/>
    public static bool TryRead(ReadOnlySpan<byte> source, out SparseArea value)
    {
        if (source.Length < Size)
        {
            value = default;
            return false;
        }
        value = new(BinaryPrimitives.ReadUInt64LittleEndian(source), BinaryPrimitives.ReadUInt64LittleEndian(source[8..]));
        return true;
    }

    /// <inheritdoc/>
    public void Write(Span<byte> destination)
    {
        destination = destination[..Size];
        BinaryPrimitives.WriteUInt64LittleEndian(destination, Offset);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[8..], Length);
    }
}

/// <summary>
/// The sparse mmap capability of a region: u16 id = 1 @0, u16 version = 1 @2, u32 next @4, u32 nr_areas @8, u32 reserved @12, then
/// nr_areas times <see cref="SparseArea"/>. This view reads the areas in place. Source: vfio-user specification, "VFIO region
/// capabilities".
/// </summary>
public readonly ref struct SparseMapCapability
{
    /// <summary>The capability's identity.</summary>
    public const ushort Id = 1;
    /// <summary>The capability's version.</summary>
    public const ushort Version = 1;
    /// <summary>Bytes before the first area.</summary>
    public const int HeaderSize = 16;

    private const int CapabilityHeaderSize = 8;

    private readonly ReadOnlySpan<byte> _areas;

    private SparseMapCapability(ReadOnlySpan<byte> areas) => _areas = areas;

    /// <summary>How many areas there are.</summary>
    public int Count => _areas.Length / SparseArea.Size;

    /// <summary>One area. Throws <see cref="ArgumentOutOfRangeException"/> for an index past <see cref="Count"/>.</summary>
    public SparseArea this[int index]
    {
        get
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Count);
            SparseArea.TryRead(_areas[(index * SparseArea.Size)..], out SparseArea area);
            return area;
        }
    }

    /// <summary>Bytes of the capability with this many areas.</summary>
    public static int ByteCount(int areas) => HeaderSize + areas * SparseArea.Size;

    /// <summary>Writes the capability as the last of its chain. Throws <see cref="ArgumentOutOfRangeException"/> when there is too little room.</summary>
    public static void Write(Span<byte> destination, ReadOnlySpan<SparseArea> areas)
    {
        destination = destination[..ByteCount(areas.Length)];
        BinaryPrimitives.WriteUInt16LittleEndian(destination, Id);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[2..], Version);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[4..], 0);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[8..], (uint)areas.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], 0);
        for (int i = 0; i < areas.Length; i++)
        {
            areas[i].Write(destination[(HeaderSize + i * SparseArea.Size)..]);
        }
    }

    /// <summary>
    /// Looks for the capability in a reply payload, following the chain from <see cref="RegionInfo.CapabilityOffset"/>. False when there
    /// is none, and when the chain leaves the payload, runs backwards or promises more areas than are there. Never throws.
    /// </summary>
    public static bool TryFind(ReadOnlySpan<byte> regionInfoPayload, out SparseMapCapability capability)
    {
        capability = default;
        if (!RegionInfo.TryRead(regionInfoPayload, out RegionInfo info) || (info.Flags & RegionInfoFlags.Capabilities) == 0)
        {
            return false;
        }
        uint previous = RegionInfo.Size - 1;
        uint offset = info.CapabilityOffset;
        // Offsets must grow, so a chain that a hostile peer closes into a ring ends here too.
        while (offset > previous && offset <= (uint)(regionInfoPayload.Length - CapabilityHeaderSize))
        {
            ReadOnlySpan<byte> at = regionInfoPayload[(int)offset..];
            if (BinaryPrimitives.ReadUInt16LittleEndian(at) == Id && BinaryPrimitives.ReadUInt16LittleEndian(at[2..]) == Version)
            {
                if (at.Length < HeaderSize)
                {
                    return false;
                }
                ulong bytes = (ulong)BinaryPrimitives.ReadUInt32LittleEndian(at[8..]) * SparseArea.Size;
                if (bytes > (ulong)(at.Length - HeaderSize))
                {
                    return false;
                }
                capability = new(at.Slice(HeaderSize, (int)bytes));
                return true;
            }
            previous = offset;
            offset = BinaryPrimitives.ReadUInt32LittleEndian(at[4..]);
        }
        return false;
    }
}
