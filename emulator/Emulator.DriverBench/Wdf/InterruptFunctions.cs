using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>The functions of WDFINTERRUPT and WDFCMRESLIST.</summary>
internal sealed class InterruptFunctions(KmdfFramework framework)
{
    public void AddTo(FunctionTable table)
    {
        table.Add("WdfInterruptCreate", "pppp", Irql.Passive, (_, a) => Create(Device(a[0]), a[1], a[2], a[3]), allocates: true);
        table.Add("WdfInterruptQueueDpcForIsr", "p", Irql.High, (_, a) => QueueDpc(Get(a[0])));
        table.Add("WdfInterruptGetDevice", "p", Irql.High, (_, a) => Get(a[0]).Device.Handle);
        table.Add("WdfInterruptSynchronize", "ppp", Irql.Dispatch, (_, a) => (byte)Get(a[0]).Synchronize(framework.NotNull(a[1], "Callback"), a[2]));
        table.Add("WdfInterruptAcquireLock", "p", Irql.Device, (_, a) => Get(a[0]).AcquireLock());
        table.Add("WdfInterruptReleaseLock", "p", Irql.Device, (_, a) => Get(a[0]).ReleaseLock());
        table.Add("WdfInterruptWdmGetInterrupt", "p", Irql.High, (_, a) => Get(a[0]).Object);
        table.Add("WdfInterruptGetInfo", "pp", Irql.High, (_, a) => GetInfo(Get(a[0]), a[1]));
        table.Add("WdfCmResourceListGetCount", "p", Irql.Dispatch, (_, a) => (uint)List(a[0]).Count);
        table.Add("WdfCmResourceListGetDescriptor", "pu", Irql.Dispatch, (_, a) => List(a[0])[(uint)a[1]]);
    }

    private FxDevice Device(ulong handle) => framework.Handles.Get<FxDevice>(handle, "WDFDEVICE");
    private FxInterrupt Get(ulong handle) => framework.Handles.Get<FxInterrupt>(handle, "WDFINTERRUPT");
    private FxResourceList List(ulong handle) => framework.Handles.Get<FxResourceList>(handle, "WDFCMRESLIST");

    private ulong Create(FxDevice device, ulong at, ulong attributesAt, ulong target)
    {
        framework.NotNull(target, "Interrupt");
        var reader = new StructReader(framework.Machine, framework.NotNull(at, "Configuration"));
        uint size = reader.U32();
        ulong spinLock = reader.Pointer();
        // ShareVector, FloatingSave.
        reader.U32();
        reader.Byte();
        bool serialized = reader.Byte() != 0;
        ulong isr = reader.Pointer(), dpc = reader.Pointer(), enable = reader.Pointer(), disable = reader.Pointer();
        // 1.9 ends here.
        bool known = size == reader.Size, passive = false, wake = false;
        ulong workItem = 0, raw = 0, translated = 0, waitLock = 0;
        if (size > reader.Size)
        {
            (workItem, raw, translated, waitLock) = (reader.Pointer(), reader.Pointer(), reader.Pointer(), reader.Pointer());
            passive = reader.Byte() != 0;
            // ReportInactiveOnPowerDown; 1.11 ends here.
            reader.U32();
            known = size == reader.Size;
            if (size > reader.Size) wake = reader.Byte() != 0;
            known |= size == reader.Size;
        }
        if (!known) return framework.WrongSize("WDF_INTERRUPT_CONFIG", size, reader.Size);
        if (isr == 0 || (dpc != 0 && workItem != 0) || (!passive && (waitLock != 0 || wake))) return NtStatus.InvalidParameter;
        AttributeRules rules = serialized ? AttributeRules.Any : AttributeRules.NoParent;
        uint status = ObjectAttributes.Read(framework, attributesAt, rules, out ObjectAttributes? attributes);
        if (!NtStatus.IsSuccess(status)) return status;
        bool isInit = device.Pnp.State == PnpState.Init;
        if (!isInit && !device.IsPreparing) return NtStatus.InvalidDeviceState;
        if (isInit && (raw | translated) != 0) return NtStatus.InvalidParameter;
        if (!isInit || passive || workItem != 0 || spinLock != 0)
        {
            throw framework.Machine.Crash($"{device.Client.Name} wants an interrupt at passive level, with a work item, with a lock of its own or made in "
                + "EvtDevicePrepareHardware, which the bench's framework lacks");
        }
        FxObject parent = attributes is { Parent: not 0 } ? framework.Handles.Get<FxObject>(attributes.Parent, "WDFOBJECT") : device;
        var interrupt = new FxInterrupt(device, parent, attributes, new InterruptConfig(isr, dpc, enable, disable, serialized)) { IsFrameworkOwned = true };
        framework.Machine.Guest.SetPointer(target, interrupt.Handle);
        return NtStatus.Success;
    }

    private ulong QueueDpc(FxInterrupt interrupt)
        => interrupt.HasDpc ? interrupt.QueueDpc()
            : throw framework.Violation(WdfViolation.InvalidInterrupt, $"WdfInterruptQueueDpcForIsr of {interrupt}, which has no EvtInterruptDpc");

    /// <summary>
    /// WDF_INTERRUPT_INFO: Size, Reserved1, TargetProcessorSet, Reserved2, MessageNumber, Vector, Irql, Mode, Polarity, MessageSignaled,
    /// ShareDisposition, Group.
    /// </summary>
    private ulong GetInfo(FxInterrupt interrupt, ulong at)
    {
        GuestMemory guest = framework.Machine.Guest;
        ulong pointer = (ulong)framework.Machine.Layout.Pointer, rest = at + 16 + pointer;
        InterruptResource? resource = interrupt.Resource;
        uint size = guest.U32(framework.NotNull(at, "Info")), expected = framework.Machine.Is64Bit ? 64u : 56;
        if (size != expected)
        {
            framework.WrongSize("WDF_INTERRUPT_INFO", size, expected);
            return 0;
        }
        guest.SetPointer(at + 16, resource?.Affinity ?? 0);
        guest.SetU32(rest + 4, (uint)interrupt.Number);
        guest.SetU32(rest + 8, resource?.Vector ?? 0);
        guest.SetByte(rest + 12, resource?.Irql ?? 0);
        guest.SetU32(rest + 16, resource is { IsLatched: true } ? 1u : 0);
        guest.SetU32(rest + 20, 0);
        guest.SetByte(rest + 24, resource is { Message: not null } ? (byte)1 : (byte)0);
        guest.SetByte(rest + 25, resource?.Share ?? 0);
        return 0;
    }
}
