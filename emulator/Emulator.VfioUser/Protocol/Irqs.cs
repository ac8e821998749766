using System.Buffers.Binary;

namespace Emulator.VfioUser.Protocol;

/// <summary>Flags of an interrupt index. Source: linux/vfio.h, VFIO_IRQ_INFO_*.</summary>
[Flags]
public enum IrqInfoFlags : uint
{
    /// <summary>None.</summary>
    None = 0,
    /// <summary>The server can signal an eventfd.</summary>
    EventFd = 1,
    /// <summary>MASK and UNMASK are supported.</summary>
    Maskable = 2,
    /// <summary>The interrupt masks itself when it fires, until UNMASK.</summary>
    AutoMasked = 4,
    /// <summary>Vectors are enabled as a set; adding one needs the whole index disabled first.</summary>
    NoResize = 8,
}

/// <summary>
/// DEVICE_GET_IRQ_INFO request and reply, 16 bytes: u32 argsz @0, u32 flags @4, u32 index @8, u32 count @12.
/// Source: vfio-user specification, VFIO_USER_DEVICE_GET_IRQ_INFO.
/// </summary>
/// <param name="ArgSize">In a request, the room for the reply payload; in a reply, the bytes a full payload needs.</param>
/// <param name="Flags">See <see cref="IrqInfoFlags"/>.</param>
/// <param name="Index">See <see cref="IrqIndex"/>.</param>
/// <param name="Count">How many interrupts the index has.</param>
public readonly record struct IrqInfo(uint ArgSize, IrqInfoFlags Flags, uint Index, uint Count) : IWirePayload<IrqInfo>
{
    /// <summary>Bytes on the wire.</summary>
    public const int Size = 16;

    static int IWirePayload<IrqInfo>.WireSize => Size;

    /// <inheritdoc/>
    public static bool TryRead(ReadOnlySpan<byte> source, out IrqInfo value)
    {
        if (source.Length < Size)
        {
            value = default;
            return false;
        }
        value = new(
            BinaryPrimitives.ReadUInt32LittleEndian(source),
            (IrqInfoFlags)BinaryPrimitives.ReadUInt32LittleEndian(source[4..]),
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
        BinaryPrimitives.WriteUInt32LittleEndian(destination[8..], Index);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], Count);
    }
}

/// <summary>Flags of DEVICE_SET_IRQS: one data kind and one action. Source: linux/vfio.h, VFIO_IRQ_SET_*.</summary>
[Flags]
public enum IrqSetFlags : uint
{
    /// <summary>None: not valid on the wire.</summary>
    None = 0,
    /// <summary>No data: the action is for every interrupt of the range.</summary>
    DataNone = 1,
    /// <summary>One byte an interrupt: the action is for those that are not 0.</summary>
    DataBool = 2,
    /// <summary>One descriptor an interrupt rides along, or none to detach the range.</summary>
    DataEventFd = 4,
    /// <summary>Mask.</summary>
    ActionMask = 8,
    /// <summary>Unmask.</summary>
    ActionUnmask = 0x10,
    /// <summary>Trigger.</summary>
    ActionTrigger = 0x20,
    /// <summary>The bits that hold the data kind.</summary>
    DataTypeMask = 7,
    /// <summary>The bits that hold the action.</summary>
    ActionTypeMask = 0x38,
}

/// <summary>
/// The fixed part of a DEVICE_SET_IRQS request, 20 bytes: u32 argsz @0, u32 flags @4, u32 index @8, u32 start @12, u32 count @16; bytes follow
/// with DATA_BOOL, descriptors ride along with DATA_EVENTFD. The reply has no payload. Source: vfio-user specification,
/// VFIO_USER_DEVICE_SET_IRQS.
/// </summary>
/// <param name="ArgSize">Bytes of the request payload, data included: there is no reply payload.</param>
/// <param name="Flags">One data kind and one action.</param>
/// <param name="Index">See <see cref="IrqIndex"/>.</param>
/// <param name="Start">First interrupt of the range.</param>
/// <param name="Count">Interrupts in the range; 0 with DATA_NONE and TRIGGER disables the index.</param>
public readonly record struct IrqSet(uint ArgSize, IrqSetFlags Flags, uint Index, uint Start, uint Count) : IWirePayload<IrqSet>
{
    /// <summary>Bytes on the wire, data not counted.</summary>
    public const int Size = 20;

    static int IWirePayload<IrqSet>.WireSize => Size;

    /// <summary>The data kind: exactly one of DataNone, DataBool and DataEventFd in a valid request.</summary>
    public IrqSetFlags Data => Flags & IrqSetFlags.DataTypeMask;

    /// <summary>The action: exactly one of ActionMask, ActionUnmask and ActionTrigger in a valid request.</summary>
    public IrqSetFlags Action => Flags & IrqSetFlags.ActionTypeMask;

    /// <inheritdoc/>
    public static bool TryRead(ReadOnlySpan<byte> source, out IrqSet value)
    {
        if (source.Length < Size)
        {
            value = default;
            return false;
        }
        value = new(
            BinaryPrimitives.ReadUInt32LittleEndian(source),
            (IrqSetFlags)BinaryPrimitives.ReadUInt32LittleEndian(source[4..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[12..]),
            BinaryPrimitives.ReadUInt32LittleEndian(source[16..]));
        return true;
    }

    /// <inheritdoc/>
    public void Write(Span<byte> destination)
    {
        destination = destination[..Size];
        BinaryPrimitives.WriteUInt32LittleEndian(destination, ArgSize);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[4..], (uint)Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[8..], Index);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[12..], Start);
        BinaryPrimitives.WriteUInt32LittleEndian(destination[16..], Count);
    }
}
