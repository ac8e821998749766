using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>The functions of WDFDMAENABLER and WDFCOMMONBUFFER. Transactions, and DMA by the system's controller, the framework lacks.</summary>
internal sealed class DmaFunctions(KmdfFramework framework)
{
    public void AddTo(FunctionTable table)
    {
        table.Add("WdfDmaEnablerCreate", "pppp", Irql.Passive, (_, a) => Create(framework.Handles.Get<FxDevice>(a[0], "WDFDEVICE"), a[1], a[2], a[3]),
            allocates: true);
        table.Add("WdfDmaEnablerGetMaximumLength", "p", Irql.Dispatch, (_, a) => Get(a[0]).MaximumLength);
        table.Add("WdfDmaEnablerGetMaximumScatterGatherElements", "p", Irql.Dispatch, (_, a) => Get(a[0]).MaximumElements);
        table.Add("WdfDmaEnablerSetMaximumScatterGatherElements", "pp", Irql.Passive, (_, a) => SetMaximumElements(Get(a[0]), a[1]));
        table.Add("WdfDmaEnablerGetFragmentLength", "pu", Irql.Dispatch, (_, a) => IsDirection(a[1]) ? Get(a[0]).FragmentLength : 0);
        table.Add("WdfDmaEnablerWdmGetDmaAdapter", "pu", Irql.Dispatch, (_, a) => IsDirection(a[1]) ? Get(a[0]).Adapter(write: a[1] != 0) : 0);
        table.Add("WdfCommonBufferCreate", "pppp", Irql.Passive, (_, a) => CreateBuffer(Get(a[0]), a[1], 0, a[2], a[3]), allocates: true);
        table.Add("WdfCommonBufferCreateWithConfig", "ppppp", Irql.Passive, (_, a) => CreateConfigured(Get(a[0]), a[1], a[2], a[3], a[4]), allocates: true);
        table.Add("WdfCommonBufferGetAlignedVirtualAddress", "p", Irql.Dispatch, (_, a) => Buffer(a[0]).Address);
        table.Add("WdfCommonBufferGetAlignedLogicalAddress", "p", Irql.Dispatch, (_, a) => Buffer(a[0]).Logical);
        table.Add("WdfCommonBufferGetLength", "p", Irql.Dispatch, (_, a) => Buffer(a[0]).Length);
    }

    private FxDmaEnabler Get(ulong handle) => framework.Handles.Get<FxDmaEnabler>(handle, "WDFDMAENABLER");
    private FxCommonBuffer Buffer(ulong handle) => framework.Handles.Get<FxCommonBuffer>(handle, "WDFCOMMONBUFFER");

    /// <summary>WDF_DMA_DIRECTION: from the device 0, to it 1.</summary>
    private bool IsDirection(ulong direction)
    {
        if (direction > 1) framework.Machine.Report(Rule.Framework, $"{framework.Function} with the direction {direction}, which is none");
        return direction <= 1;
    }

    private static ulong SetMaximumElements(FxDmaEnabler enabler, ulong most)
    {
        if (most != 0) enabler.MaximumElements = (uint)Math.Min(most, uint.MaxValue);
        return 0;
    }

    private ulong Create(FxDevice device, ulong configAt, ulong attributesAt, ulong target)
    {
        GuestMemory guest = framework.Machine.Guest;
        guest.SetPointer(framework.NotNull(target, "DmaEnabler"), 0);
        framework.NotNull(configAt, "Config");
        uint status = ObjectAttributes.Read(framework, attributesAt, AttributeRules.Any, out ObjectAttributes? attributes);
        if (!NtStatus.IsSuccess(status)) return status;
        FxObject parent = device;
        if (attributes is { Parent: not 0 })
        {
            FxObject wanted = framework.Handles.Get<FxObject>(attributes.Parent, "WDFOBJECT");
            // Before 1.11 the framework did not look at it.
            if (device.Client.IsBuiltFor(11)) parent = wanted;
            if (!parent.IsWithin(device)) return ObjectAttributes.Invalid;
        }
        status = ReadConfig(device, configAt, out DmaConfig? config);
        if (!NtStatus.IsSuccess(status)) return status;
        status = FindAdapters(device, config!, out ulong[] adapters, out uint registers);
        if (!NtStatus.IsSuccess(status)) return status;
        guest.SetPointer(target, new FxDmaEnabler(device, parent, attributes, config!, adapters, registers).Handle);
        return NtStatus.Success;
    }

    private uint ReadConfig(FxDevice device, ulong at, out DmaConfig? config)
    {
        config = null;
        var reader = new StructReader(framework.Machine, at);
        uint size = reader.U32(), profile = reader.U32(), width = 0, version = 0, flags = 0;
        ulong length = reader.Pointer(), fill = reader.Pointer(), flush = reader.Pointer(), disable = reader.Pointer(), enable = reader.Pointer();
        ulong start = reader.Pointer(), stop = reader.Pointer();
        // 1.9 ends here.
        if (device.Client.IsBuiltFor(11)) (width, version, flags) = (reader.U32(), reader.U32(), reader.U32());
        if (size != reader.Size) return framework.WrongSize("WDF_DMA_ENABLER_CONFIG", size, reader.Size);
        if (profile is < (uint)DmaProfile.Packet or > (uint)DmaProfile.SystemDuplex || length == 0) return NtStatus.InvalidParameter;
        if (profile >= (uint)DmaProfile.System)
        {
            throw framework.Machine.Crash($"{device.Client.Name} wants DMA by the system's controller, which the bench's framework lacks");
        }
        config = new DmaConfig((DmaProfile)profile, length, fill, flush, disable, enable, start, stop, width, version);
        // WDF_DMA_ENABLER_CONFIG_REQUIRE_SINGLE_TRANSFER is of version 3 and of 1.19.
        bool single = (flags & 2) != 0, isWide = width > 32 && !config.Is64Bit;
        if (!isWide && !(version != 0 && version < LeastVersion(config)) && !(single && (!device.Client.IsBuiltFor(19) || Version(config) != 3)))
        {
            return NtStatus.Success;
        }
        framework.Machine.Report(Rule.Framework,
            $"WdfDmaEnablerCreate with AddressWidthOverride {width}, WdmDmaVersionOverride {version}, Flags 0x{flags:x} and profile {config.Profile}");
        return NtStatus.InvalidParameter;
    }

    // DEVICE_DESCRIPTION_VERSION2 and 3: the latter can tell the address width.
    private static uint LeastVersion(DmaConfig config) => config.AddressWidth != 0 ? 3u : 2;
    private static uint Version(DmaConfig config) => Math.Max(config.Version, LeastVersion(config));

    /// <summary>IoGetDmaAdapter, for each direction of a duplex enabler.</summary>
    private uint FindAdapters(FxDevice device, DmaConfig config, out ulong[] adapters, out uint registers)
    {
        const string What = "DEVICE_DESCRIPTION";
        const int Size = 0x40;
        (BenchMachine machine, GuestMemory guest) = (framework.Machine, framework.Machine.Guest);
        ulong description = machine.AllocateKernel(Size + sizeof(uint), What), registersAt = description + Size;
        // Version, Master, ScatterGather; Dma32BitAddresses, Dma64BitAddresses; InterfaceType PCIBus; MaximumLength; DmaAddressWidth.
        guest.SetU32(description, Version(config));
        guest.SetByte(description + 4, 1);
        guest.SetByte(description + 5, config.IsScatterGather ? (byte)1 : (byte)0);
        guest.SetByte(description + 8, 1);
        guest.SetByte(description + 0xB, config.Is64Bit ? (byte)1 : (byte)0);
        guest.SetU32(description + 0x14, 5);
        guest.SetU32(description + 0x20, (uint)config.MaximumLength);
        if (Version(config) >= 3) guest.SetU32(description + 0x28, config.AddressWidth != 0 ? config.AddressWidth : config.Is64Bit ? 64u : 32);
        adapters = new ulong[config.IsDuplex ? 2 : 1];
        bool success = true;
        for (int i = 0; i < adapters.Length && success; i++)
        {
            adapters[i] = machine.CallService("IoGetDmaAdapter", device.Pdo, description, registersAt);
            success = adapters[i] != 0;
        }
        registers = guest.U32(registersAt);
        machine.FreeKernel(description, What);
        if (success) return NtStatus.Success;
        foreach (ulong adapter in adapters.Where(a => a != 0)) FxDmaEnabler.PutAdapter(machine, adapter);
        return NtStatus.Unsuccessful;
    }

    private ulong CreateConfigured(FxDmaEnabler enabler, ulong length, ulong configAt, ulong attributesAt, ulong target)
    {
        // WDF_COMMON_BUFFER_CONFIG: Size, AlignmentRequirement.
        var reader = new StructReader(framework.Machine, framework.NotNull(configAt, "Config"));
        uint size = reader.U32(), alignment = reader.U32();
        if (size != reader.Size) return framework.WrongSize("WDF_COMMON_BUFFER_CONFIG", size, reader.Size);
        return CreateBuffer(enabler, length, alignment, attributesAt, target);
    }

    private ulong CreateBuffer(FxDmaEnabler enabler, ulong length, uint alignment, ulong attributesAt, ulong target)
    {
        framework.Machine.Guest.SetPointer(framework.NotNull(target, "CommonBuffer"), 0);
        if (length == 0) return NtStatus.InvalidParameter;
        uint status = ObjectAttributes.Read(framework, attributesAt, AttributeRules.NoParent, out ObjectAttributes? attributes);
        if (!NtStatus.IsSuccess(status)) return status;
        if (FxCommonBuffer.Create(enabler, attributes, length, alignment) is not { } buffer) return NtStatus.InsufficientResources;
        framework.Machine.Guest.SetPointer(target, buffer.Handle);
        return NtStatus.Success;
    }
}
