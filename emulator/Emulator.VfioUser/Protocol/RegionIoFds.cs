using System.Buffers.Binary;

namespace Emulator.VfioUser.Protocol;

/// <summary>
/// The fixed part of DEVICE_GET_REGION_IO_FDS, request and reply, 16 bytes: u32 argsz @0, u32 flags @4, u32 index @8, u32 count @12; a reply
/// goes on with count times <see cref="SubRegionIoFd"/>. Source: vfio-user specification, VFIO_USER_DEVICE_GET_REGION_IO_FDS.
/// </summary>
/// <param name="ArgSize">In a request, the room for the reply payload; in a reply, the bytes a full payload needs.</param>
/// <param name="Flags">0.</param>
/// <param name="Index">Region.</param>
/// <param name="Count">Sub-regions that follow.</param>
public readonly record struct RegionIoFds(uint ArgSize, uint Flags, uint Index, uint Count) : IWirePayload<RegionIoFds>
{
    /// <summary>Bytes on the wire, sub-regions not counted.</summary>
    public const int Size = 16;

    static int IWirePayload<RegionIoFds>.WireSize => Size;

    /// <inheritdoc/>
    public static bool TryRead(ReadOnlySpan<byte> source, out RegionIoFds value)
    {
        if (source.Length < Size)
        {
            value = default;
            return false;
        }
        value = new(
            BinaryPrimitives.ReadUInt32LittleEndian(source),
            BinaryPrimitives.ReadUInt32LittleEndian(source[4..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[12..]));
        return true;
    }

    /// <inheritdoc/>
    public void Write(Span<byte> destination)
    {
        destination = destination[..Size];
        BinaryPrimitives.WriteUInt32LittleEndian(destination, ArgSize);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[4..], Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[8..], Index);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], Count);
    }
}

/// <summary>How a sub-region's descriptor is used.</summary>
public enum IoFdType : uint
{
    /// <summary>KVM ioeventfd.</summary>
    IoEventFd = 0,
    /// <summary>ioregionfd.</summary>
    IoRegionFd = 1,
}

/// <summary>
/// One sub-region of a <see cref="RegionIoFds"/> reply, 40 bytes: u64 offset @0, u64 size @8, u32 fd_index @16, u32 type @20, u32 flags @24,
/// u32 padding @28, u64 datamatch or user_data @32.
/// </summary>
/// <param name="Offset">First byte in the region.</param>
/// <param name="Length">Bytes, or 0 when the access size does not matter.</param>
/// <param name="FdIndex">Which descriptor of the reply; several sub-regions may share one.</param>
/// <param name="Type">How the descriptor is used.</param>
/// <param name="Flags">KVM_IOEVENTFD_FLAG_* or KVM_IOREGION_*.</param>
/// <param name="Padding">0.</param>
/// <param name="Data">The value to match, or the opaque value an ioregionfd gives back.</param>
public readonly record struct SubRegionIoFd(
    ulong Offset, ulong Length, uint FdIndex, IoFdType Type, uint Flags, uint Padding, ulong Data) : IWirePayload<SubRegionIoFd>
{
    /// <summary>Bytes on the wire.</summary>
    public const int Size = 40;

    static int IWirePayload<SubRegionIoFd>.WireSize => Size;

    /// <inheritdoc/>
    public static bool TryRead(ReadOnlySpan<byte> source, out SubRegionIoFd value)
    {
        if (source.Length < Size)
        {
            value = default;
            return false;
        }
        value = new(
            BinaryPrimitives.ReadUInt64LittleEndian(source),
            BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[16..]),
            (IoFdType)BinaryPrimitives.ReadUInt32LittleEndian(source[20..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[24..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[28..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[32..]));
        return true;
    }

    /// <inheritdoc/>
    public void Write(Span<byte> destination)
    {
        destination = destination[..Size];
        BinaryPrimitives.WriteUInt64LittleEndian(destination, Offset);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[8..], Length);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[16..], FdIndex);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[20..], (uint)Type);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[24..], Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[28..], Padding);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[32..], Data);
    }
}
