namespace Emulator.Nt;

/// <summary>Where the members of NT's structures lie, in bytes from each structure's beginning. Other builds are made with <c>with</c>.</summary>
public sealed record NtLayout
{
    public required string Name { get; init; }

    public required bool Is64Bit { get; init; }

    public required DriverObjectLayout DriverObject { get; init; }

    public required DriverExtensionLayout DriverExtension { get; init; }

    public required DeviceObjectLayout DeviceObject { get; init; }

    public required DeviceObjectExtensionLayout DeviceObjectExtension { get; init; }

    public required DeviceNodeLayout DeviceNode { get; init; }

    public required LoaderEntryLayout LoaderEntry { get; init; }

    /// <summary>Null when objects have no header, so that devices have no names to be read; the driver bench makes bare objects.</summary>
    public ObjectHeaderLayout? ObjectHeader { get; init; }

    /// <summary>Bytes of a pointer.</summary>
    public int PointerSize => Is64Bit ? 8 : 4;

    /// <summary>Bytes of a UNICODE_STRING: Length and MaximumLength (16 bits each, in bytes), then Buffer, aligned as a pointer.</summary>
    public int UnicodeStringSize => 2 * PointerSize;

    /// <summary>x64 of Windows 8 and later. A device node's state moved from release to release and is not read; see <see cref="Windows10"/>.</summary>
    public static NtLayout X64 { get; } = new()
    {
        Name = "NT x64",
        Is64Bit = true,
        DriverObject = new(Size: 0x150, DeviceObject: 0x08, Flags: 0x10, DriverStart: 0x18, DriverSize: 0x20, DriverSection: 0x28, DriverExtension: 0x30,
            DriverName: 0x38, FastIoDispatch: 0x50, DriverInit: 0x58, DriverStartIo: 0x60, DriverUnload: 0x68, MajorFunction: 0x70),
        DriverExtension = new(DriverObject: 0x00, AddDevice: 0x08, Count: 0x10, ServiceKeyName: 0x18, Size: 0x28),
        DeviceObject = new(Size: 0x150, DriverObject: 0x08, NextDevice: 0x10, AttachedDevice: 0x18, CurrentIrp: 0x20, Flags: 0x30, Characteristics: 0x34,
            DeviceExtension: 0x40, DeviceType: 0x48, StackSize: 0x4C, DeviceObjectExtension: 0x138),
        DeviceObjectExtension = new(DeviceObject: 0x08, DeviceNode: 0x28, AttachedTo: 0x30, Size: 0x38),
        DeviceNode = new(Sibling: 0x00, Child: 0x08, Parent: 0x10, PhysicalDeviceObject: 0x20, InstancePath: 0x28, ServiceName: 0x38, Size: 0x48),
        LoaderEntry = new(DllBase: 0x30, EntryPoint: 0x38, SizeOfImage: 0x40, FullDllName: 0x48, BaseDllName: 0x58, Size: 0x68),
        ObjectHeader = new(Body: 0x30, NameInfo: 0x1A, NameInfoIsMask: true, Name: 0x08, NameInfoSize: 0x20, CreatorInfoSize: 0x20),
    };

    /// <summary>x64, Windows 10 with the device nodes of 1903 (public headers made from its symbols), which say their states.</summary>
    public static NtLayout Windows10 { get; } = X64 with
    {
        Name = "Windows 10 x64",
        DeviceNode = X64.DeviceNode with { Size = 0x190, State = 0x12C, PreviousState = 0x130, Flags = 0x18C },
    };

    /// <summary>x86, NT 5.2 (Windows Server 2003). Drivers and devices are the same in later releases, device nodes and object headers are not.</summary>
    public static NtLayout X86 { get; } = new()
    {
        Name = "NT 5.2 x86",
        Is64Bit = false,
        DriverObject = new(Size: 0xA8, DeviceObject: 0x04, Flags: 0x08, DriverStart: 0x0C, DriverSize: 0x10, DriverSection: 0x14, DriverExtension: 0x18,
            DriverName: 0x1C, FastIoDispatch: 0x28, DriverInit: 0x2C, DriverStartIo: 0x30, DriverUnload: 0x34, MajorFunction: 0x38),
        DriverExtension = new(DriverObject: 0x00, AddDevice: 0x04, Count: 0x08, ServiceKeyName: 0x0C, Size: 0x14),
        DeviceObject = new(Size: 0xB8, DriverObject: 0x08, NextDevice: 0x0C, AttachedDevice: 0x10, CurrentIrp: 0x14, Flags: 0x1C, Characteristics: 0x20,
            DeviceExtension: 0x28, DeviceType: 0x2C, StackSize: 0x30, DeviceObjectExtension: 0xB0),
        DeviceObjectExtension = new(DeviceObject: 0x04, DeviceNode: 0x14, AttachedTo: 0x18, Size: 0x1C),
        DeviceNode = new(Sibling: 0x00, Child: 0x04, Parent: 0x08, PhysicalDeviceObject: 0x88, InstancePath: 0x94, ServiceName: 0x9C, Size: 0xA4,
            State: 0x18, PreviousState: 0x1C, Flags: 0x7C),
        LoaderEntry = new(DllBase: 0x18, EntryPoint: 0x1C, SizeOfImage: 0x20, FullDllName: 0x24, BaseDllName: 0x2C, Size: 0x34),
        ObjectHeader = new(Body: 0x18, NameInfo: 0x0C, NameInfoIsMask: false, Name: 0x04, NameInfoSize: 0x10, CreatorInfoSize: 0x10),
    };

    /// <summary>ReactOS on x86: NT 5.2 but for its device nodes, whose service name stays empty.</summary>
    public static NtLayout ReactOs { get; } = X86 with
    {
        Name = "ReactOS x86",
        DeviceNode = new(Sibling: 0x00, Child: 0x04, Parent: 0x08, PhysicalDeviceObject: 0x98, InstancePath: 0xA4, ServiceName: 0xAC, Size: 0xB4,
            State: 0x28, PreviousState: 0x2C, Flags: 0x8C),
    };
}

/// <summary>DRIVER_OBJECT: Type (4) at 0 and Size at 2, 16 bits each; MajorFunction is 28 pointers; DriverSize and Flags have 32 bits.</summary>
/// <param name="Size">Of the structure; the driver's DRIVER_EXTENSION follows at once.</param>
public sealed record DriverObjectLayout(
    int Size, int DeviceObject, int Flags, int DriverStart, int DriverSize, int DriverSection, int DriverExtension, int DriverName, int FastIoDispatch,
    int DriverInit, int DriverStartIo, int DriverUnload, int MajorFunction)
{
    public const ushort Type = 4;
    public const int MajorFunctionCount = 28;
}

/// <summary>DRIVER_EXTENSION: Count has 32 bits, ServiceKeyName is a UNICODE_STRING.</summary>
/// <param name="Size">Bytes of the members named here.</param>
public sealed record DriverExtensionLayout(int DriverObject, int AddDevice, int Count, int ServiceKeyName, int Size);

/// <summary>DEVICE_OBJECT: Type (3) at 0 and Size at 2, 16 bits each; ReferenceCount at 4; Flags, Characteristics, DeviceType are 32 bits.</summary>
/// <param name="Size">Of the structure; the Size it carries counts the driver's device extension, too.</param>
public sealed record DeviceObjectLayout(
    int Size, int DriverObject, int NextDevice, int AttachedDevice, int CurrentIrp, int Flags, int Characteristics, int DeviceExtension, int DeviceType,
    int StackSize, int DeviceObjectExtension)
{
    public const ushort Type = 3;
    public const int ReferenceCount = 4;
}

/// <summary>DEVOBJ_EXTENSION: Type (13) at 0, 16 bits.</summary>
/// <param name="AttachedTo">The device below.</param>
/// <param name="Size">Bytes of the members named here.</param>
public sealed record DeviceObjectExtensionLayout(int DeviceObject, int DeviceNode, int AttachedTo, int Size)
{
    public const ushort Type = 13;
}

/// <summary>DEVICE_NODE: InstancePath and ServiceName are UNICODE_STRINGs; State, PreviousState and Flags have 32 bits and are null where not known.</summary>
/// <param name="Size">Bytes that hold all members named here.</param>
public sealed record DeviceNodeLayout(
    int Sibling, int Child, int Parent, int PhysicalDeviceObject, int InstancePath, int ServiceName, int Size, int? State = null, int? PreviousState = null,
    int? Flags = null);

/// <summary>KLDR_DATA_TABLE_ENTRY: InLoadOrderLinks (a LIST_ENTRY) at 0, SizeOfImage has 32 bits, the names are UNICODE_STRINGs.</summary>
/// <param name="Size">Bytes of the members named here.</param>
public sealed record LoaderEntryLayout(int DllBase, int EntryPoint, int SizeOfImage, int FullDllName, int BaseDllName, int Size);

/// <summary>OBJECT_HEADER and the OBJECT_HEADER_NAME_INFO before it.</summary>
/// <param name="Body">Bytes from the header to the object.</param>
/// <param name="NameInfo">The byte that leads to the name.</param>
/// <param name="NameInfoIsMask">True: the byte is InfoMask (NT 6.1 on); bit 1 says there is a name, bit 0 that a creator info lies between. False: it is the
/// distance in bytes from the name information to the header, 0 for none (before).</param>
/// <param name="Name">The name, a UNICODE_STRING, within the name information.</param>
/// <param name="NameInfoSize">Bytes.</param>
/// <param name="CreatorInfoSize">Bytes.</param>
public sealed record ObjectHeaderLayout(int Body, int NameInfo, bool NameInfoIsMask, int Name, int NameInfoSize, int CreatorInfoSize);
