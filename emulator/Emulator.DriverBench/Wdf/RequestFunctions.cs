using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>The functions of WDFREQUEST.</summary>
internal sealed class RequestFunctions(KmdfFramework framework)
{
    private const uint FrameworkFacility = 0x0020_0000, Paused = 0xC020_0203, Busy = 0xC020_0204;

    public void AddTo(FunctionTable table)
    {
        table.Add("WdfRequestComplete", "pu", Irql.Dispatch, (_, a) => Complete(Owned(a[0]), (uint)a[1], null));
        table.Add("WdfRequestCompleteWithInformation", "pup", Irql.Dispatch, (_, a) => Complete(Owned(a[0]), (uint)a[1], a[2]));
        table.Add("WdfRequestCompleteWithPriorityBoost", "pub", Irql.Dispatch, (_, a) => Complete(Owned(a[0]), (uint)a[1], null));
        table.Add("WdfRequestSetInformation", "pp", Irql.Dispatch, (_, a) => SetInformation(Get(a[0]), a[1]));
        table.Add("WdfRequestGetInformation", "p", Irql.Dispatch, (_, a) => Get(a[0]).Irp.Information);
        table.Add("WdfRequestGetParameters", "pp", Irql.Dispatch, (_, a) => GetParameters(Get(a[0]), a[1]));
        table.Add("WdfRequestRetrieveInputBuffer", "pppp", Irql.Dispatch, (_, a) => Retrieve(Get(a[0]), input: true, a[1], a[2], a[3]));
        table.Add("WdfRequestRetrieveOutputBuffer", "pppp", Irql.Dispatch, (_, a) => Retrieve(Get(a[0]), input: false, a[1], a[2], a[3]));
        table.Add("WdfRequestGetIoQueue", "p", Irql.Dispatch, (_, a) => Get(a[0]).Queue.Handle);
        table.Add("WdfRequestForwardToIoQueue", "pp", Irql.Dispatch, (_, a) => Forward(Owned(a[0]), framework.Handles.Get<FxQueue>(a[1], "WDFQUEUE")));
        table.Add("WdfRequestRequeue", "p", Irql.Dispatch, (_, a) => Requeue(Owned(a[0])));
        table.Add("WdfRequestMarkCancelable", "pp", Irql.Dispatch, (_, a) => MarkCancelable(Owned(a[0]), a[1], tell: true));
        table.Add("WdfRequestMarkCancelableEx", "pp", Irql.Dispatch, (_, a) => MarkCancelable(Owned(a[0]), a[1], tell: false));
        table.Add("WdfRequestUnmarkCancelable", "p", Irql.Dispatch, (_, a) => UnmarkCancelable(Get(a[0])));
        table.Add("WdfRequestIsCanceled", "p", Irql.Dispatch, (_, a) => Get(a[0]) is { } request && (request.IsCancelled || request.Irp.IsCancelled) ? 1u : 0u);
        table.Add("WdfRequestStopAcknowledge", "pb", Irql.Dispatch, (_, a) => StopAcknowledge(Owned(a[0]), a[1] != 0));
        table.Add("WdfRequestWdmGetIrp", "p", Irql.Dispatch, (_, a) => Get(a[0]).Irp.Address);
        table.Add("WdfRequestGetRequestorMode", "p", Irql.Dispatch, (_, a) => Get(a[0]).Irp.RequestorMode);
    }

    private FxRequest Get(ulong handle) => framework.Handles.Get<FxRequest>(handle, "WDFREQUEST");

    /// <summary>One that the driver has, and not a queue.</summary>
    private FxRequest Owned(ulong handle)
    {
        FxRequest request = Get(handle);
        return request.IsOwned ? request
            : throw framework.Violation(WdfViolation.RequestFatalError, $"{framework.Function} of {request}, which the driver has given back to a queue");
    }

    private ulong Complete(FxRequest request, uint status, ulong? information)
    {
        if (request.IsCancelable) framework.Machine.Report(Rule.Framework, $"{framework.Function} of {request} without WdfRequestUnmarkCancelable before it");
        ulong bytes = information ?? request.Irp.Information;
        // Of a read or write its length, of a control request that of its output.
        uint room = (uint)request.Irp.Parameter(0);
        if (NtStatus.IsSuccess(status) && bytes > room && request.Irp.Major != Irp.Create)
        {
            throw framework.Violation(WdfViolation.RequestFatalError,
                $"{framework.Function} of {request} ({request.Kind}) with {bytes} bytes, for which it has {room}");
        }
        // The framework's own statuses are not for those who sent the request.
        if ((status & 0x0FFF_0000) == FrameworkFacility) status = status is Paused or Busy ? NtStatus.DeviceBusy : NtStatus.InvalidDeviceRequest;
        request.End(status, bytes);
        return 0;
    }

    private static ulong SetInformation(FxRequest request, ulong information)
    {
        FxIrp irp = request.Irp;
        irp.Information = information;
        return 0;
    }

    /// <summary>WDF_REQUEST_PARAMETERS: Size, MinorFunction, Type, then the stack location's parameters.</summary>
    private ulong GetParameters(FxRequest request, ulong at)
    {
        GuestMemory guest = framework.Machine.Guest;
        NtLayout layout = framework.Machine.Layout;
        ushort size = guest.U16(framework.NotNull(at, "Parameters")), expected = (ushort)(8 + (4 * layout.Pointer));
        if (size != expected)
        {
            framework.WrongSize("WDF_REQUEST_PARAMETERS", size, expected);
            return 0;
        }
        guest.SetByte(at + 2, request.Irp.Minor);
        guest.SetU32(at + 4, request.Irp.Major);
        for (int i = 0; i < 4; i++) guest.SetPointer(at + 8 + (ulong)(i * layout.Pointer), request.Irp.Parameter(i));
        return 0;
    }

    private ulong Retrieve(FxRequest request, bool input, ulong least, ulong target, ulong lengthTarget)
    {
        GuestMemory guest = framework.Machine.Guest;
        guest.SetPointer(framework.NotNull(target, "Buffer"), 0);
        if (lengthTarget != 0) guest.SetPointer(lengthTarget, 0);
        FxIrp irp = request.Irp;
        bool isControl = irp.Major is Irp.DeviceControl or Irp.InternalDeviceControl;
        if (irp.Major == Irp.Create || irp.Major == (input ? Irp.Read : Irp.Write)) return NtStatus.InvalidDeviceRequest;
        uint length = (uint)irp.Parameter(isControl && input ? 1 : 0);
        // METHOD_IN_DIRECT and METHOD_OUT_DIRECT describe the output by an MDL, as WdfDeviceIoDirect does reads and writes: the bench gives none.
        bool isDirect = isControl ? !input && ((uint)irp.Parameter(2) & 3) is 1 or 2 : request.Queue.Device.Init.IoType == DeviceIoType.Direct;
        // With neither kind of buffer there is only the program's address, for WdfRequestRetrieveUnsafeUserInputBuffer and its sibling.
        bool isNeither = isControl ? ((uint)irp.Parameter(2) & 3) == 3 : request.Queue.Device.Init.IoType == DeviceIoType.Neither;
        if (isNeither) return NtStatus.InvalidDeviceRequest;
        if (length == 0 || length < least || isDirect) return NtStatus.BufferTooSmall;
        guest.SetPointer(target, irp.SystemBuffer);
        if (lengthTarget != 0) guest.SetPointer(lengthTarget, length);
        return NtStatus.Success;
    }

    private static ulong Forward(FxRequest request, FxQueue queue)
    {
        if (queue == request.Queue || queue.Device != request.Queue.Device || request.IsCancelable) return NtStatus.InvalidDeviceRequest;
        if (!queue.Accepts) return Busy;
        FxQueue old = request.Queue;
        old.Disown(request);
        queue.Put(request, atHead: false);
        old.GoOn();
        return NtStatus.Success;
    }

    private static ulong Requeue(FxRequest request)
    {
        if (request.Queue.Dispatching != QueueDispatch.Manual) return NtStatus.InvalidDeviceState;
        request.Queue.Disown(request);
        request.Queue.Put(request, atHead: true);
        return NtStatus.Success;
    }

    /// <param name="tell">Of a request that is cancelled already by EvtRequestCancel, and not by the status.</param>
    private ulong MarkCancelable(FxRequest request, ulong routine, bool tell)
    {
        framework.NotNull(routine, "EvtRequestCancel");
        if (request.IsCancelable) return NtStatus.InvalidDeviceRequest;
        bool cancelled = request.Irp.IsCancelled;
        if (cancelled && !tell) return NtStatus.Cancelled;
        request.CancelCallback = routine;
        request.MakeCancelable(r => r.Queue.CancelOwned(r));
        if (cancelled) request.Queue.CancelOwned(request);
        return NtStatus.Success;
    }

    private static ulong UnmarkCancelable(FxRequest request)
    {
        if (request.IsCancelled) return NtStatus.Cancelled;
        if (!request.IsCancelable) return NtStatus.InvalidDeviceRequest;
        request.MakeUncancelable();
        return NtStatus.Success;
    }

    private static ulong StopAcknowledge(FxRequest request, bool requeue)
    {
        request.StopAnswer = requeue ? StopAnswer.Requeue : StopAnswer.Keep;
        return 0;
    }
}
