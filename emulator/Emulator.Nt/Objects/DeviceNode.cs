namespace Emulator.Nt.Objects;

/// <summary>A DEVICE_NODE, as it lies in memory.</summary>
/// <param name="InstancePath">"PCI\VEN_1234&amp;DEV_5057\..."; empty when there is none, null when it cannot be read.</param>
/// <param name="ServiceName">The function driver's service; empty when there is none (always in ReactOS), null when it cannot be read.</param>
/// <param name="State">See <see cref="DeviceNodeStates"/>; null when the layout does not say where it is.</param>
public sealed record DeviceNode(
    NtAddress Address, NtAddress Sibling, NtAddress Child, NtAddress Parent, NtAddress PhysicalDeviceObject, string? InstancePath, string? ServiceName,
    uint? State, uint? PreviousState, uint? Flags);
