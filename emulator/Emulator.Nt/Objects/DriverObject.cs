namespace Emulator.Nt.Objects;

/// <summary>A DRIVER_OBJECT and its DRIVER_EXTENSION, as they lie in memory.</summary>
/// <param name="Name">"\Driver\Parport"; null when it cannot be read.</param>
/// <param name="DeviceObject">The first of the driver's devices; the others follow through NextDevice.</param>
/// <param name="DriverSize">Bytes of the driver's image.</param>
/// <param name="DriverSection">The driver's entry in the list of loaded modules.</param>
/// <param name="AddDevice">From the extension; zero when there is none.</param>
/// <param name="ServiceKeyName">From the extension: the service's name in the registry; null when it cannot be read.</param>
/// <param name="MajorFunction">28 entries, by major function code.</param>
public sealed record DriverObject(
    NtAddress Address, string? Name, NtAddress DeviceObject, uint Flags, NtAddress DriverStart, uint DriverSize, NtAddress DriverSection,
    NtAddress DriverExtension, NtAddress FastIoDispatch, NtAddress DriverInit, NtAddress DriverStartIo, NtAddress DriverUnload, NtAddress AddDevice,
    string? ServiceKeyName, IReadOnlyList<NtAddress> MajorFunction);
