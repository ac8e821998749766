namespace Emulator.Nt.Objects;

/// <summary>A DEVICE_OBJECT and its DEVOBJ_EXTENSION, as they lie in memory.</summary>
/// <param name="Name">The object's name without its directory, such as "Parallel0"; null when it has none.</param>
/// <param name="NextDevice">The next device of the same driver.</param>
/// <param name="AttachedDevice">The device above in the stack; zero at the top.</param>
/// <param name="AttachedTo">The device below in the stack; zero at the bottom.</param>
/// <param name="DeviceNode">Set in a PDO.</param>
public sealed record DeviceObject(
    NtAddress Address, string? Name, ushort Size, int ReferenceCount, NtAddress Driver, NtAddress NextDevice, NtAddress AttachedDevice, NtAddress CurrentIrp,
    uint Flags, uint Characteristics, NtAddress DeviceExtension, uint DeviceType, int StackSize, NtAddress AttachedTo, NtAddress DeviceNode);
