using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>The functions of WDFTIMER and WDFWORKITEM.</summary>
internal sealed class DeferredFunctions(KmdfFramework framework)
{
    public void AddTo(FunctionTable table)
    {
        table.Add("WdfTimerCreate", "ppp", Irql.Dispatch, (client, a) => CreateTimer(client, a[0], a[1], a[2]), allocates: true);
        table.Add("WdfTimerStart", "pq", Irql.Dispatch, (_, a) => Timer(a[0]).Start(a[1]) ? 1u : 0);
        table.Add("WdfTimerStop", "pb", Irql.Dispatch, (_, a) => Timer(a[0]).Stop(wait: a[1] != 0) ? 1u : 0);
        table.Add("WdfTimerGetParentObject", "p", Irql.Dispatch, (_, a) => Timer(a[0]).Parent!.Handle);
        table.Add("WdfWorkItemCreate", "ppp", Irql.Dispatch, (client, a) => CreateWorkItem(client, a[0], a[1], a[2]), allocates: true);
        table.Add("WdfWorkItemEnqueue", "p", Irql.Dispatch, (_, a) => Enqueue(WorkItem(a[0])));
        table.Add("WdfWorkItemFlush", "p", Irql.Passive, (_, a) => Flush(WorkItem(a[0])));
        table.Add("WdfWorkItemGetParentObject", "p", Irql.Dispatch, (_, a) => WorkItem(a[0]).Parent!.Handle);
    }

    private FxTimer Timer(ulong handle) => framework.Handles.Get<FxTimer>(handle, "WDFTIMER");
    private FxWorkItem WorkItem(ulong handle) => framework.Handles.Get<FxWorkItem>(handle, "WDFWORKITEM");

    private static ulong Enqueue(FxWorkItem item)
    {
        item.Enqueue();
        return 0;
    }

    private static ulong Flush(FxWorkItem item)
    {
        item.Flush();
        return 0;
    }

    private ulong CreateTimer(FxClient client, ulong configAt, ulong attributesAt, ulong target)
    {
        uint status = FindParent(attributesAt, AttributeRules.Level, out ObjectAttributes? attributes, out FxObject? parent);
        if (!NtStatus.IsSuccess(status)) return status;
        var reader = new StructReader(framework.Machine, framework.NotNull(configAt, "Config"));
        framework.NotNull(target, "Timer");
        uint size = reader.U32();
        ulong routine = reader.Pointer();
        uint period = reader.U32(), delay = 0;
        bool serialized = reader.Byte() != 0, isFine = false;
        // 1.7 ends here, 1.11 after TolerableDelay; 1.13 adds UseHighResolutionTimer.
        bool known = size == reader.Size;
        if (size > reader.Size)
        {
            delay = reader.U32();
            known = size == reader.Size;
        }
        if (size > reader.Size)
        {
            reader.AlignTo8();
            isFine = reader.Byte() != 0;
            known = size == reader.Size;
        }
        if (!known) return framework.WrongSize("WDF_TIMER_CONFIG", size, reader.Size);
        if (period > int.MaxValue || (delay > int.MaxValue && !client.IsBuiltFor(13)) || (delay > 0 && isFine)) return NtStatus.InvalidParameter;
        bool passive = attributes!.Level == ExecutionLevel.Passive;
        if (passive && period > 0) return NtStatus.NotSupported;
        status = FxDeferred.FindLock(parent!, serialized, passive, out FxDevice? device, out CallbackLock? callbackLock);
        if (!NtStatus.IsSuccess(status)) return status;
        ulong item = passive ? AllocateItem(device!) : 0;
        if (passive && item == 0) return NtStatus.InsufficientResources;
        framework.Machine.Guest.SetPointer(target, new FxTimer(client, parent!, attributes, routine, callbackLock, period, item).Handle);
        return NtStatus.Success;
    }

    private ulong CreateWorkItem(FxClient client, ulong configAt, ulong attributesAt, ulong target)
    {
        uint status = FindParent(attributesAt, AttributeRules.Any, out ObjectAttributes? attributes, out FxObject? parent);
        if (!NtStatus.IsSuccess(status)) return status;
        // WDF_WORKITEM_CONFIG: Size, EvtWorkItemFunc, AutomaticSerialization.
        var reader = new StructReader(framework.Machine, framework.NotNull(configAt, "Config"));
        framework.NotNull(target, "WorkItem");
        uint size = reader.U32();
        ulong routine = reader.Pointer();
        bool serialized = reader.Byte() != 0;
        if (size != reader.Size) return framework.WrongSize("WDF_WORKITEM_CONFIG", size, reader.Size);
        if (routine == 0) return NtStatus.InvalidParameter;
        status = FxDeferred.FindLock(parent!, serialized, passive: true, out FxDevice? device, out CallbackLock? callbackLock);
        if (!NtStatus.IsSuccess(status)) return status;
        ulong item = AllocateItem(device!);
        if (item == 0) return NtStatus.InsufficientResources;
        framework.Machine.Guest.SetPointer(target, new FxWorkItem(client, parent!, attributes!, routine, callbackLock, item).Handle);
        return NtStatus.Success;
    }

    /// <summary>Both need a parent.</summary>
    private uint FindParent(ulong attributesAt, AttributeRules rules, out ObjectAttributes? attributes, out FxObject? parent)
    {
        parent = null;
        uint status = ObjectAttributes.Read(framework, attributesAt, rules | AttributeRules.Required, out attributes);
        if (!NtStatus.IsSuccess(status)) return status;
        if (attributes!.Parent == 0) return ObjectAttributes.NoParent;
        parent = framework.Handles.Get<FxObject>(attributes.Parent, "WDFOBJECT");
        return NtStatus.Success;
    }

    private ulong AllocateItem(FxDevice device) => framework.Machine.CallService("IoAllocateWorkItem", device.DeviceObject);
}
