using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Memory;

namespace Emulator.DriverBench.Wdf;

/// <summary>WDF_DMA_PROFILE.</summary>
internal enum DmaProfile
{
    Packet = 1,
    ScatterGather,
    Packet64,
    ScatterGather64,
    ScatterGatherDuplex,
    ScatterGather64Duplex,
    System,
    SystemDuplex,
}

/// <summary>A WDF_DMA_ENABLER_CONFIG that was checked.</summary>
/// <param name="AddressWidth">In bits; 0 that of the profile.</param>
/// <param name="Version">Of the DEVICE_DESCRIPTION, at least; 0 any.</param>
internal sealed record DmaConfig(DmaProfile Profile, ulong MaximumLength, ulong Fill, ulong Flush, ulong Disable, ulong Enable, ulong SelfManagedIoStart,
    ulong SelfManagedIoStop, uint AddressWidth, uint Version)
{
    public bool Is64Bit => Profile is DmaProfile.Packet64 or DmaProfile.ScatterGather64 or DmaProfile.ScatterGather64Duplex;
    public bool IsScatterGather => Profile is not (DmaProfile.Packet or DmaProfile.Packet64);
    public bool IsDuplex => Profile is DmaProfile.ScatterGatherDuplex or DmaProfile.ScatterGather64Duplex;
}

/// <summary>
/// WDFDMAENABLER of a bus master: the HAL's adapter for the device, one for each direction when it is duplex, from its creation to its
/// deletion; the driver's callbacks as the device enters and leaves D0. What only transactions need of the adapter is not asked for.
/// </summary>
internal sealed class FxDmaEnabler : FxObject
{
    private readonly DmaConfig _config;
    private readonly ulong[] _adapters;
    private bool _fillFailed, _enableFailed;

    public FxDmaEnabler(FxDevice device, FxObject parent, ObjectAttributes? attributes, DmaConfig config, ulong[] adapters, uint registers)
        : base(device.Framework, device.Client, "WDFDMAENABLER", parent, attributes)
    {
        (Device, _config, _adapters) = (device, config, adapters);
        // One map register goes for a buffer that does not begin at a page's start.
        FragmentLength = Math.Min(config.MaximumLength, (ulong)(registers - 1) * AddressSpace.PageSize);
        device.DmaEnablers.Add(this);
    }

    public FxDevice Device { get; }
    public ulong MaximumLength => _config.MaximumLength;

    /// <summary>Of a transaction's piece, in bytes.</summary>
    public ulong FragmentLength { get; }

    /// <summary>WDF_DMA_ENABLER_UNLIMITED_FRAGMENTS until the driver limits it.</summary>
    public uint MaximumElements { get; set; } = uint.MaxValue;

    /// <param name="write">To the device.</param>
    public ulong Adapter(bool write) => _adapters[write ? ^1 : 0];

    /// <summary>Gives a DMA_ADAPTER back to whoever it is from.</summary>
    public static void PutAdapter(BenchMachine machine, ulong adapter) => machine.Call(Operation(machine, adapter, 1), adapter);

    /// <summary>The adapter's AllocateCommonBuffer, with cached memory. An address of 0 when there is none.</summary>
    public (ulong Address, ulong Logical) Allocate(ulong length)
    {
        ulong logical = Machine.AllocateKernel(sizeof(ulong), "PHYSICAL_ADDRESS");
        ulong address = length > uint.MaxValue ? 0 : Machine.Call(Operation(Machine, _adapters[0], 2), _adapters[0], length, logical, 1);
        ulong at = Guest.U64(logical);
        Machine.FreeKernel(logical, "PHYSICAL_ADDRESS");
        return (address, at);
    }

    /// <summary>Its FreeCommonBuffer.</summary>
    public void Free(ulong length, ulong address, ulong logical)
    {
        ulong routine = Operation(Machine, _adapters[0], 3);
        if (Machine.Is64Bit) Machine.Call(routine, _adapters[0], length, logical, address, 1);
        else Machine.Call(routine, _adapters[0], length, (uint)logical, logical >> 32, address, 1);
    }

    /// <summary>The device is in D0, its interrupts are connected. False when a callback failed: the rest is not called.</summary>
    public bool PowerUp()
    {
        _fillFailed = !Ask("Fill", _config.Fill);
        if (_fillFailed) return false;
        _enableFailed = !Ask("Enable", _config.Enable);
        return !_enableFailed && Ask("SelfManagedIoStart", _config.SelfManagedIoStart);
    }

    /// <summary>The device leaves D0: all callbacks but those whose counterpart has failed. False when one of them failed.</summary>
    public bool PowerDown()
    {
        bool success = Ask("SelfManagedIoStop", _config.SelfManagedIoStop);
        if (!_fillFailed) success &= Ask("Disable", _config.Disable);
        if (!_fillFailed && !_enableFailed) success &= Ask("Flush", _config.Flush);
        return success;
    }

    protected override void OnCleanup()
    {
        foreach (ulong adapter in _adapters) PutAdapter(Machine, adapter);
        Device.DmaEnablers.Remove(this);
    }

    // DMA_ADAPTER: Version and Size, DmaOperations; DMA_OPERATIONS: Size, PutDmaAdapter, AllocateCommonBuffer, FreeCommonBuffer.
    private static ulong Operation(BenchMachine machine, ulong adapter, int index)
        => machine.Guest.Pointer(machine.Guest.Pointer(adapter + (ulong)machine.Layout.Pointer) + (ulong)(index * machine.Layout.Pointer));

    private bool Ask(string name, ulong routine) => NtStatus.IsSuccess(Framework.Ask(Client, $"EvtDmaEnabler{name}", "", routine, Handle));
}

/// <summary>WDFCOMMONBUFFER: memory that driver and device share, freed before its enabler's adapter goes.</summary>
internal sealed class FxCommonBuffer : FxObject
{
    private readonly FxDmaEnabler _enabler;
    private readonly ulong _rawLength, _rawAddress, _rawLogical;

    private FxCommonBuffer(FxDmaEnabler enabler, ObjectAttributes? attributes, ulong length, ulong rawLength, ulong rawAddress, ulong rawLogical, ulong skipped)
        : base(enabler.Framework, enabler.Client, "WDFCOMMONBUFFER", enabler, attributes)
    {
        (_enabler, Length, _rawLength, _rawAddress, _rawLogical) = (enabler, length, rawLength, rawAddress, rawLogical);
        (Address, Logical) = (rawAddress + skipped, rawLogical + skipped);
    }

    public ulong Length { get; }

    /// <summary>As the driver sees it, aligned.</summary>
    public ulong Address { get; }

    /// <summary>As the device sees it, aligned.</summary>
    public ulong Logical { get; }

    /// <param name="alignment">A mask.</param>
    /// <returns>Null when there is no such memory.</returns>
    public static FxCommonBuffer? Create(FxDmaEnabler enabler, ObjectAttributes? attributes, ulong length, uint alignment)
    {
        // The HAL gives whole pages.
        ulong raw = alignment < AddressSpace.PageSize && enabler.Client.IsBuiltFor(11) ? length : length + alignment;
        (ulong address, ulong logical) = enabler.Allocate(raw);
        ulong aligned = (logical + alignment) & ~(ulong)alignment;
        return address == 0 ? null : new FxCommonBuffer(enabler, attributes, length, raw, address, logical, aligned - logical);
    }

    protected override void OnCleanup() => _enabler.Free(_rawLength, _rawAddress, _rawLogical);
}
