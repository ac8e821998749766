namespace Emulator.DriverBench.Kernel;

/// <summary>
/// Byte offsets of the NT structures that drivers' inline macros reach into: x64 from NT 6.0 on, x86 from NT 5.2 on, as wdm.h lays
/// them out. First figure x64, second x86.
/// </summary>
public sealed class NtLayout(bool is64Bit)
{
    public const int MajorFunctions = 28;

    /// <summary>8 or 4.</summary>
    public int Pointer { get; } = is64Bit ? 8 : 4;

    /// <summary>The objects that debuggers look at, as the views of them are told. The bench makes device nodes as Windows 10 and NT 5.2 have them.</summary>
    public Emulator.Nt.NtLayout Objects { get; } = is64Bit ? Emulator.Nt.NtLayout.Windows10 : Emulator.Nt.NtLayout.X86;

    // UNICODE_STRING: Length 0, MaximumLength 2.
    public int StringBuffer => Pointer;
    public int StringSize => Objects.UnicodeStringSize;

    // DRIVER_OBJECT: Type 0 (4), Size 2. The DRIVER_EXTENSION lies directly behind it.
    public int DriverSize => Objects.DriverObject.Size;
    public int DriverDevice => Objects.DriverObject.DeviceObject;
    public int DriverFlags => Objects.DriverObject.Flags;
    public int DriverStart => Objects.DriverObject.DriverStart;
    public int DriverImageSize => Objects.DriverObject.DriverSize;
    public int DriverSection => Objects.DriverObject.DriverSection;
    public int DriverExtension => Objects.DriverObject.DriverExtension;
    public int DriverName => Objects.DriverObject.DriverName;
    public int DriverInit => Objects.DriverObject.DriverInit;
    public int DriverStartIo => Objects.DriverObject.DriverStartIo;
    public int DriverUnload => Objects.DriverObject.DriverUnload;
    public int DriverMajor => Objects.DriverObject.MajorFunction;
    public int ExtensionAddDevice => Objects.DriverExtension.AddDevice;
    public int ExtensionServiceKey => Objects.DriverExtension.ServiceKeyName;
    public int ExtensionSize => Pick(0x50, 0x30);

    // KLDR_DATA_TABLE_ENTRY, whole.
    public int LoaderSize => Pick(0xA0, 0x5C);

    // DEVICE_OBJECT: Type 0 (3), Size 2, ReferenceCount 4.
    public int DeviceSize => Objects.DeviceObject.Size;
    public int DeviceDriver => Objects.DeviceObject.DriverObject;
    public int DeviceNext => Objects.DeviceObject.NextDevice;
    public int DeviceAttached => Objects.DeviceObject.AttachedDevice;
    public int DeviceFlags => Objects.DeviceObject.Flags;
    public int DeviceCharacteristics => Objects.DeviceObject.Characteristics;
    public int DeviceExtension => Objects.DeviceObject.DeviceExtension;
    public int DeviceType => Objects.DeviceObject.DeviceType;
    public int DeviceStackSize => Objects.DeviceObject.StackSize;
    public int DeviceObjectExtension => Objects.DeviceObject.DeviceObjectExtension;

    // DEVOBJ_EXTENSION, whole: Type 0 (13).
    public int DeviceExtensionObject => Objects.DeviceObjectExtension.DeviceObject;
    public int DeviceExtensionNode => Objects.DeviceObjectExtension.DeviceNode;
    public int DeviceExtensionAttachedTo => Objects.DeviceObjectExtension.AttachedTo;
    public int DeviceExtensionSize => Pick(0x70, 0x3C);

    // IRP: Type 0 (6), Size 2.
    public int IrpSize => Pick(208, 112);
    public int IrpSystemBuffer => Pick(0x18, 0xC);
    public int IrpStatus => Pick(0x30, 0x18);
    public int IrpInformation => Pick(0x38, 0x1C);
    public int IrpRequestorMode => Pick(0x40, 0x20);
    public int IrpPendingReturned => Pick(0x41, 0x21);
    public int IrpStackCount => Pick(0x42, 0x22);
    public int IrpCurrentLocation => Pick(0x43, 0x23);
    public int IrpCancel => Pick(0x44, 0x24);
    public int IrpCancelIrql => Pick(0x45, 0x25);
    public int IrpCancelRoutine => Pick(0x68, 0x38);
    public int IrpUserBuffer => Pick(0x70, 0x3C);
    public int IrpStackLocation => Pick(0xB8, 0x60);

    // IO_STACK_LOCATION: MajorFunction 0, MinorFunction 1, Flags 2, Control 3; Parameters in pointer-sized, partly padded slots.
    public int StackSize => Pick(72, 36);
    public int StackParameter(int index) => Pick(8, 4) * (index + 1);
    public int StackDevice => Pick(40, 20);
    public int StackFile => Pick(48, 24);
    public int StackRoutine => Pick(56, 28);
    public int StackContext => Pick(64, 32);

    // FILE_OBJECT: Type 0 (5), Size 2.
    public int FileSize => Pick(216, 128);
    public int FileDevice => Pick(8, 4);

    // KDPC: Type 0 (0x13).
    public int DpcRoutine => Pick(0x18, 0xC);
    public int DpcContext => Pick(0x20, 0x10);
    public int DpcArgument1 => Pick(0x28, 0x14);
    public int DpcArgument2 => Pick(0x30, 0x18);
    public int DpcSize => Pick(0x40, 0x20);

    // CM_PARTIAL_RESOURCE_DESCRIPTOR, packed to 4; the list's first one lies at 20 on both.
    public int DescriptorSize => Pick(20, 16);

    // IO_CONNECT_INTERRUPT_PARAMETERS, message-based and line-based: Version 0.
    public int ConnectContext => Pick(16, 8);
    public int ConnectRoutine => Pick(24, 12);
    public int ConnectServiceContext => Pick(32, 16);
    public int ConnectFallBack => Pick(56, 28);
    public int MessageSize => Pick(48, 40);

    private int Pick(int x64, int x86) => is64Bit ? x64 : x86;
}
