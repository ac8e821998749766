using System.Buffers.Binary;

namespace Emulator.VfioUser.Protocol;

/// <summary>Flags of DEVICE_GET_INFO. Source: linux/vfio.h, VFIO_DEVICE_FLAGS_*.</summary>
[Flags]
public enum DeviceInfoFlags : uint
{
    /// <summary>None.</summary>
    None = 0,
    /// <summary>DEVICE_RESET is supported.</summary>
    Reset = 1,
    /// <summary>The device is a PCI device.</summary>
    Pci = 2,
}

/// <summary>
/// DEVICE_GET_INFO request and reply, 16 bytes: u32 argsz @0, u32 flags @4, u32 num_regions @8, u32 num_irqs @12.
/// Source: vfio-user specification, VFIO_USER_DEVICE_GET_INFO.
/// </summary>
/// <param name="ArgSize">In a request, the room for the reply payload; in a reply, the bytes a full payload needs.</param>
/// <param name="Flags">See <see cref="DeviceInfoFlags"/>.</param>
/// <param name="RegionCount">Regions, 9 or more for PCI.</param>
/// <param name="IrqCount">Interrupt indices, 5 for PCI.</param>
public readonly record struct DeviceInfo(uint ArgSize, DeviceInfoFlags Flags, uint RegionCount, uint IrqCount) : IWirePayload<DeviceInfo>
{
    /// <summary>Bytes on the wire.</summary>
    public const int Size = 16;

    static int IWirePayload<DeviceInfo>.WireSize => Size;

    /// <inheritdoc/>
    public static bool TryRead(ReadOnlySpan<byte> source, out DeviceInfo value)
    {
        if (source.Length < Size)
        {
            value = default;
            return false;
        }
        value = new(
            BinaryPrimitives.ReadUInt32LittleEndian(source),
            (DeviceInfoFlags)BinaryPrimitives.ReadUInt32LittleEndian(source[4..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[12..]));
        return true;
    }

    /// <inheritdoc/>
    public void Write(Span<byte> destination)
    {
        destination = destination[..Size];
        BinaryPrimitives.WriteUInt32LittleEndian(destination, ArgSize);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[4..], (uint)Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[8..], RegionCount);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], IrqCount);
    }
}
