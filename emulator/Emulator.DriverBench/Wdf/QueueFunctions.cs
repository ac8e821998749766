using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>The functions of WDFQUEUE.</summary>
internal sealed class QueueFunctions(KmdfFramework framework)
{
    private const uint NoCallback = 0xC020_020B, Paused = 0xC020_0203, NoMoreEntries = 0x8000_001A;

    // WDF_IO_QUEUE_STATE.
    private const uint AcceptRequests = 1, DispatchRequests = 2, NoRequests = 4, DriverNoRequests = 8, PnpHeld = 0x10;

    public void AddTo(FunctionTable table)
    {
        table.Add("WdfIoQueueCreate", "pppp", Irql.Dispatch, (_, a) => Create(Device(a[0]), a[1], a[2], a[3]), allocates: true);
        table.Add("WdfIoQueueGetDevice", "p", Irql.Dispatch, (_, a) => Get(a[0]).Device.Handle);
        table.Add("WdfIoQueueGetState", "ppp", Irql.Dispatch, (_, a) => GetState(Get(a[0]), a[1], a[2]));
        table.Add("WdfIoQueueRetrieveNextRequest", "pp", Irql.Dispatch, (_, a) => RetrieveNext(Get(a[0]), a[1]));
        table.Add("WdfIoQueueReadyNotify", "ppp", Irql.Dispatch, (_, a) => ReadyNotify(Get(a[0]), a[1], a[2]));
        table.Add("WdfIoQueueStart", "p", Irql.Dispatch, (_, a) => SetState(Get(a[0]), accept: true, dispatch: true));
        table.Add("WdfIoQueueStop", "ppp", Irql.Dispatch, (_, a) => Change(Get(a[0]), null, false, false, a[1], a[2]));
        table.Add("WdfIoQueueStopSynchronously", "p", Irql.Passive, (_, a) => ChangeAndWait(Get(a[0]), null, false, false));
        table.Add("WdfIoQueueDrain", "ppp", Irql.Dispatch, (_, a) => Change(Get(a[0]), false, null, false, a[1], a[2]));
        table.Add("WdfIoQueueDrainSynchronously", "p", Irql.Passive, (_, a) => ChangeAndWait(Get(a[0]), false, null, false));
        table.Add("WdfIoQueuePurge", "ppp", Irql.Dispatch, (_, a) => Change(Get(a[0]), false, null, true, a[1], a[2]));
        table.Add("WdfIoQueuePurgeSynchronously", "p", Irql.Passive, (_, a) => ChangeAndWait(Get(a[0]), false, null, true));
    }

    private FxDevice Device(ulong handle) => framework.Handles.Get<FxDevice>(handle, "WDFDEVICE");
    private FxQueue Get(ulong handle) => framework.Handles.Get<FxQueue>(handle, "WDFQUEUE");

    private ulong Create(FxDevice device, ulong config, ulong at, ulong target)
    {
        uint status = ObjectAttributes.Read(framework, at, AttributeRules.Levels, out ObjectAttributes? attributes);
        if (!NtStatus.IsSuccess(status)) return status;
        status = ReadConfig(device, framework.NotNull(config, "Config"), out QueueConfig? read);
        if (!NtStatus.IsSuccess(status)) return status;
        if (!read!.IsDefault && target == 0) return NtStatus.InvalidParameter4;
        if (read.IsDefault && device.Pnp.State != PnpState.Init) return NtStatus.InvalidDeviceState;
        if (read.IsDefault && device.DefaultQueue is not null) return NtStatus.Unsuccessful;
        // Drivers do not delete the default queue: the framework would go on giving it requests.
        var queue = new FxQueue(device, attributes, read) { IsFrameworkOwned = read.IsDefault };
        if (target != 0) framework.Machine.Guest.SetPointer(target, queue.Handle);
        return NtStatus.Success;
    }

    private uint ReadConfig(FxDevice device, ulong at, out QueueConfig? config)
    {
        config = null;
        var reader = new StructReader(framework.Machine, at);
        uint size = reader.U32(), dispatch = reader.U32(), managed = reader.U32();
        bool allowsZero = reader.Byte() != 0, isDefault = reader.Byte() != 0;
        ulong other = reader.Pointer(), read = reader.Pointer(), write = reader.Pointer(), control = reader.Pointer(), internalControl = reader.Pointer();
        ulong stop = reader.Pointer(), resume = reader.Pointer(), canceled = reader.Pointer();
        // 1.7 ends here; 1.9 adds Settings, 1.11 Driver.
        uint presented = uint.MaxValue;
        bool known = size == reader.Size;
        if (size > reader.Size)
        {
            presented = (uint)reader.Pointer();
            known = size == reader.Size;
            if (size > reader.Size) reader.Pointer();
            known |= size == reader.Size;
        }
        if (!known) return framework.WrongSize("WDF_IO_QUEUE_CONFIG", size, reader.Size);
        if (dispatch is < 1 or > 3) return NtStatus.InvalidParameter;
        bool manual = (QueueDispatch)dispatch == QueueDispatch.Manual, anyCallback = (other | read | write | control | internalControl) != 0;
        if (manual && anyCallback) return NtStatus.InvalidParameter;
        if (!manual && !anyCallback) return NoCallback;
        if ((QueueDispatch)dispatch == QueueDispatch.Parallel && presented == 0) return NtStatus.InvalidParameter;
        if ((QueueDispatch)dispatch != QueueDispatch.Parallel && presented is not (0 or uint.MaxValue)) return NtStatus.InvalidParameter;
        // WDF_TRI_STATE: by default a filter's queues are not power-managed.
        bool powerManaged = managed == 2 ? !device.Init.IsFilter : managed != 0;
        config = new QueueConfig((QueueDispatch)dispatch, powerManaged, allowsZero, isDefault, other, read, write, control, internalControl, stop, resume,
            canceled, presented);
        return NtStatus.Success;
    }

    private ulong GetState(FxQueue queue, ulong waiting, ulong owned)
    {
        if (waiting != 0) framework.Machine.Guest.SetU32(waiting, (uint)queue.Waiting);
        if (owned != 0) framework.Machine.Guest.SetU32(owned, (uint)queue.Owned);
        return (queue.Accepts ? AcceptRequests : 0) | (queue.Dispatches ? DispatchRequests : 0) | (queue.Waiting == 0 ? NoRequests : 0)
            | (queue.Owned == 0 ? DriverNoRequests : 0) | (queue.IsPoweredOff ? PnpHeld : 0);
    }

    private ulong RetrieveNext(FxQueue queue, ulong target)
    {
        framework.NotNull(target, "OutRequest");
        framework.Machine.Guest.SetPointer(target, 0);
        if (queue.Dispatching == QueueDispatch.Parallel) return NtStatus.InvalidDeviceState;
        if (queue.IsPoweredOff || !queue.Dispatches) return Paused;
        if (queue.Take() is not { } request) return NoMoreEntries;
        request.IsPresented = true;
        framework.Machine.Guest.SetPointer(target, request.Handle);
        return NtStatus.Success;
    }

    private static ulong ReadyNotify(FxQueue queue, ulong routine, ulong context)
    {
        if (queue.Dispatching != QueueDispatch.Manual) return NtStatus.InvalidDeviceRequest;
        queue.NotifyReady(routine, context);
        return NtStatus.Success;
    }

    private static ulong SetState(FxQueue queue, bool? accept, bool? dispatch)
    {
        queue.SetState(accept, dispatch);
        return 0;
    }

    /// <summary>Stop, drain and purge: the callback comes when the driver has no request of the queue, and with the latter two none waits either.</summary>
    private static ulong Change(FxQueue queue, bool? accept, bool? dispatch, bool cancel, ulong routine, ulong context)
    {
        queue.SetState(accept, dispatch);
        if (cancel) queue.CancelAll();
        if (routine != 0) queue.NotifyWhen(empty: accept == false, routine, context);
        return 0;
    }

    private ulong ChangeAndWait(FxQueue queue, bool? accept, bool? dispatch, bool cancel)
    {
        Change(queue, accept, dispatch, cancel, 0, 0);
        if (framework.Machine.RunUntil(() => queue.Owned == 0 && (accept != false || queue.Waiting == 0))) return 0;
        throw framework.Violation(WdfViolation.QueueFatalError, $"{framework.Function} of {queue} waits for {queue.Owned} requests that nothing ends");
    }
}
