using System.Buffers.Binary;

namespace Emulator.VfioUser.Protocol;

/// <summary>What DEVICE_FEATURE does; the low 16 bits of the same field are the feature. Source: linux/vfio.h, VFIO_DEVICE_FEATURE_*.</summary>
[Flags]
public enum DeviceFeatureFlags : uint
{
    /// <summary>None.</summary>
    None = 0,
    /// <summary>Get the feature's data.</summary>
    Get = 1 << 16,
    /// <summary>Set the feature from data.</summary>
    Set = 1 << 17,
    /// <summary>Ask whether the feature, and the methods also named, are supported.</summary>
    Probe = 1 << 18,
    /// <summary>The bits that hold the feature.</summary>
    FeatureMask = 0xffff,
}

/// <summary>Feature indices. Source: vfio-user specification, "Device Features".</summary>
public static class DeviceFeatureIndex
{
    /// <summary>The device can migrate.</summary>
    public const ushort Migration = 1;
    /// <summary>The device's migration state.</summary>
    public const ushort MigrationDeviceState = 2;
    /// <summary>Start logging DMA writes.</summary>
    public const ushort DmaLoggingStart = 6;
    /// <summary>Stop logging DMA writes.</summary>
    public const ushort DmaLoggingStop = 7;
    /// <summary>Report DMA writes logged.</summary>
    public const ushort DmaLoggingReport = 8;
}

/// <summary>
/// The fixed part of DEVICE_FEATURE, request and reply, 8 bytes: u32 argsz @0, u32 flags @4; data follows.
/// Source: vfio-user specification, VFIO_USER_DEVICE_FEATURE.
/// </summary>
/// <param name="ArgSize">In a request, the room for the reply payload; in a reply, the bytes a full payload needs.</param>
/// <param name="Flags">Method and feature index.</param>
public readonly record struct DeviceFeature(uint ArgSize, DeviceFeatureFlags Flags) : IWirePayload<DeviceFeature>
{
    /// <summary>Bytes on the wire, data not counted.</summary>
    public const int Size = 8;

    static int IWirePayload<DeviceFeature>.WireSize => Size;

    /// <summary>Which feature, see <see cref="DeviceFeatureIndex"/>.</summary>
    public ushort Feature => (ushort)(Flags & DeviceFeatureFlags.FeatureMask);

    /// <inheritdoc/>
    public static bool TryRead(ReadOnlySpan<byte> source, out DeviceFeature value)
    {
        if (source.Length < Size)
        {
            value = default;
            return false;
        }
        value = new(
            BinaryPrimitives.ReadUInt32LittleEndian(source),
            (DeviceFeatureFlags)BinaryPrimitives.ReadUInt32LittleEndian(source[4..]));
        return true;
    }

    /// <inheritdoc/>
    public void Write(Span<byte> destination)
    {
        destination = destination[..Size];
        BinaryPrimitives.WriteUInt32LittleEndian(destination, ArgSize);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[4..], (uint)Flags);
    }
}

/// <summary>
/// The fixed part of MIG_DATA_READ and MIG_DATA_WRITE, 8 bytes: u32 argsz @0, u32 size @4; data follows in a read reply and a write request.
/// Source: vfio-user specification, VFIO_USER_MIG_DATA_READ and VFIO_USER_MIG_DATA_WRITE.
/// </summary>
/// <param name="ArgSize">In a read request, the room for the reply payload; otherwise the bytes of this structure with its data.</param>
/// <param name="DataLength">Bytes of data.</param>
public readonly record struct MigrationData(uint ArgSize, uint DataLength) : IWirePayload<MigrationData>
{
    /// <summary>Bytes on the wire, data not counted.</summary>
    public const int Size = 8;

    static int IWirePayload<MigrationData>.WireSize => Size;

    /// <inheritdoc/>
    public static bool TryRead(ReadOnlySpan<byte> source, out MigrationData value)
    {
        if (source.Length < Size)
        {
            value = default;
            return false;
        }
        value = new(BinaryPrimitives.ReadUInt32LittleEndian(source), BinaryPrimitives.ReadUInt32LittleEndian(source[4..]));
        return true;
    }

    /// <inheritdoc/>
    public void Write(Span<byte> destination)
    {
        destination = destination[..Size];
        BinaryPrimitives.WriteUInt32LittleEndian(destination, ArgSize);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[4..], DataLength);
    }
}
