using System.Buffers.Binary;

namespace Emulator.VfioUser.Protocol;

/// <summary>What the device may do with a DMA range. Source: vfio-user specification, VFIO_USER_DMA_MAP.</summary>
[Flags]
public enum DmaMapFlags : uint
{
    /// <summary>Neither: the range only exists.</summary>
    None = 0,
    /// <summary>The device may read.</summary>
    Readable = 1,
    /// <summary>The device may write.</summary>
    Writable = 2,
    /// <summary>The descriptor is there to be mapped. Source: libvfio-user's vfio-user.h, newer than the specification's text.</summary>
    Mappable = 4,
    /// <summary>The descriptor is there to be read and written. Source as before.</summary>
    FileInputOutput = 8,
}

/// <summary>Flags of DMA_UNMAP. Source: linux/vfio.h, VFIO_DMA_UNMAP_FLAG_*.</summary>
[Flags]
public enum DmaUnmapFlags : uint
{
    /// <summary>Unmap exactly the range named.</summary>
    None = 0,
    /// <summary>Append a dirty bitmap to the reply; the specification no longer has it.</summary>
    GetDirtyBitmap = 1,
    /// <summary>Unmap everything; address and length must be 0.</summary>
    All = 2,
}

/// <summary>
/// DMA_MAP request, 32 bytes: u32 argsz @0, u32 flags @4, u64 file offset @8, u64 address @16, u64 size @24; 0 or 1 descriptor rides
/// along. The reply has no payload. Source: vfio-user specification, VFIO_USER_DMA_MAP.
/// </summary>
/// <param name="ArgSize">32: there is no reply payload, so this is the size of the request.</param>
/// <param name="Flags">What the device may do.</param>
/// <param name="FileOffset">Where the range starts in the file whose descriptor came along, in bytes.</param>
/// <param name="Address">First DMA address (IOVA).</param>
/// <param name="Length">Bytes of the range.</param>
public readonly record struct DmaMap(uint ArgSize, DmaMapFlags Flags, ulong FileOffset, ulong Address, ulong Length) : IWirePayload<DmaMap>
{
    /// <summary>Bytes on the wire.</summary>
    public const int Size = 32;

    static int IWirePayload<DmaMap>.WireSize => Size;

    /// <inheritdoc/>
    public static bool TryRead(ReadOnlySpan<byte> source, out DmaMap value)
    {
        if (source.Length < Size)
        {
            value = default;
            return false;
        }
        value = new(
            BinaryPrimitives.ReadUInt32LittleEndian(source),
            (DmaMapFlags)BinaryPrimitives.ReadUInt32LittleEndian(source[4..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
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
        BinaryPrimitives.WriteUInt64LittleEndian(destination[8..], FileOffset);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[16..], Address);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[24..], Length);
    }
}

/// <summary>
/// DMA_UNMAP request and reply, 24 bytes: u32 argsz @0, u32 flags @4, u64 address @8, u64 size @16.
/// Source: vfio-user specification, VFIO_USER_DMA_UNMAP.
/// </summary>
/// <param name="ArgSize">Most bytes of reply payload the client takes; 24.</param>
/// <param name="Flags">See <see cref="DmaUnmapFlags"/>.</param>
/// <param name="Address">First DMA address. The specification has it and the length match a map exactly; QEMU takes back several at once.</param>
/// <param name="Length">Bytes; in the reply, those that were mapped.</param>
public readonly record struct DmaUnmap(uint ArgSize, DmaUnmapFlags Flags, ulong Address, ulong Length) : IWirePayload<DmaUnmap>
{
    /// <summary>Bytes on the wire.</summary>
    public const int Size = 24;

    static int IWirePayload<DmaUnmap>.WireSize => Size;

    /// <inheritdoc/>
    public static bool TryRead(ReadOnlySpan<byte> source, out DmaUnmap value)
    {
        if (source.Length < Size)
        {
            value = default;
            return false;
        }
        value = new(
            BinaryPrimitives.ReadUInt32LittleEndian(source),
            (DmaUnmapFlags)BinaryPrimitives.ReadUInt32LittleEndian(source[4..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(source[16..]));
        return true;
    }

    /// <inheritdoc/>
    public void Write(Span<byte> destination)
    {
        destination = destination[..Size];
        BinaryPrimitives.WriteUInt32LittleEndian(destination, ArgSize);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[4..], (uint)Flags);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[8..], Address);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[16..], Length);
    }
}

/// <summary>
/// The fixed part of DMA_READ and DMA_WRITE, request and reply, 16 bytes: u64 address @0, u64 count @8; data @16 in a write request and a
/// read reply. The specification's table gives the write reply a 4-byte count, so accept a reply of 12 bytes too
/// (<see cref="TryReadWriteReply"/>). Source: vfio-user specification, VFIO_USER_DMA_READ and VFIO_USER_DMA_WRITE.
/// </summary>
/// <param name="Address">DMA address.</param>
/// <param name="Count">Bytes of data.</param>
public readonly record struct DmaAccess(ulong Address, ulong Count) : IWirePayload<DmaAccess>
{
    /// <summary>Bytes on the wire, data not counted.</summary>
    public const int Size = 16;

    /// <summary>Bytes of the shorter of the two write replies peers send.</summary>
    public const int ShortWriteReplySize = 12;

    static int IWirePayload<DmaAccess>.WireSize => Size;

    /// <inheritdoc/>
    public static bool TryRead(ReadOnlySpan<byte> source, out DmaAccess value)
    {
        if (source.Length < Size)
        {
            value = default;
            return false;
        }
        value = new(BinaryPrimitives.ReadUInt64LittleEndian(source), BinaryPrimitives.ReadUInt64LittleEndian(source[8..]));
        return true;
    }

    /// <summary>Reads the reply to DMA_WRITE, whose count is 8 bytes from some peers and 4 from others.</summary>
    public static bool TryReadWriteReply(ReadOnlySpan<byte> source, out DmaAccess value)
    {
        if (source.Length != ShortWriteReplySize)
        {
            return TryRead(source, out value);
        }
        value = new(BinaryPrimitives.ReadUInt64LittleEndian(source), BinaryPrimitives.ReadUInt32LittleEndian(source[8..]));
        return true;
    }

    /// <inheritdoc/>
    public void Write(Span<byte> destination)
    {
        destination = destination[..Size];
        BinaryPrimitives.WriteUInt64LittleEndian(destination, Address);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[8..], Count);
    }
}
