using Emulator.DriverBench.Pnp;

namespace Emulator.DriverBench.Kernel;

/// <content>Requests: their way down through a stack, and up again when they are completed.</content>
internal sealed partial class IoServices
{
    // The low bits of an IOCTL.
    private const uint MethodBuffered = 0, MethodOutDirect = 2, MethodNeither = 3;

    private readonly Dictionary<ulong, BenchRequest> _requests = [];
    private readonly HashSet<ulong> _ended = [];

    /// <summary>Sends a request to the top of a device's stack.</summary>
    /// <param name="parameters">Parameters of the stack location, each in its pointer-sized slot.</param>
    /// <param name="input">What the program gives along.</param>
    /// <param name="outputLength">How much can come back.</param>
    public BenchRequest Send(ulong device, byte major, byte minor, uint status, ReadOnlySpan<ulong> parameters, ReadOnlySpan<byte> input = default,
        int outputLength = 0, ulong file = 0, Action<BenchRequest>? ended = null)
    {
        ulong top = TopOf(device);
        int count = Guest.Byte(top + (ulong)Layout.DeviceStackSize);
        BenchRequest request = NewRequest(count, $"IRP {major}/{minor}", outputLength, ended);
        ulong irp = request.Address;
        Guest.SetU32(irp + (ulong)Layout.IrpStatus, status);
        ulong next = irp + (ulong)(Layout.IrpSize + ((count - 1) * Layout.StackSize));
        SetBuffers(request, top, next, major, parameters, input, outputLength);
        Guest.SetByte(next, major);
        Guest.SetByte(next + 1, minor);
        for (int i = 0; i < parameters.Length; i++) Guest.SetPointer(next + (ulong)Layout.StackParameter(i), parameters[i]);
        Guest.SetPointer(next + (ulong)Layout.StackFile, file);
        // UserMode, unless a driver has the file opened.
        if (file != 0 && machine.AnsweringFunction == 0) Guest.SetByte(irp + (ulong)Layout.IrpRequestorMode, 1);
        request.Returned = (uint)CallDriver(top, irp);
        if (request.Returned != NtStatus.Pending && !request.IsCompleted)
        {
            string text = $"the dispatch routine of major {major}, minor {minor} returned 0x{request.Returned:x8} and the IRP is not completed";
            machine.ReportAt(Rule.IrpCompletion, text, Dispatch(top, major));
        }
        if (request.IsCompleted && request.Returned != NtStatus.Pending && request.Returned != request.Status)
        {
            string text = $"the dispatch routine of major {major}, minor {minor} returned 0x{request.Returned:x8}, "
                + $"and the IRP's status is 0x{request.Status:x8}";
            machine.ReportAt(Rule.IrpCompletion, text, Dispatch(top, major));
        }
        return request;
    }

    /// <summary>As the device or the IOCTL wants them: in a system buffer, described by an MDL, or where the program has them.</summary>
    /// <param name="next">The stack location of the first driver.</param>
    private void SetBuffers(BenchRequest request, ulong top, ulong next, byte major, ReadOnlySpan<ulong> parameters, ReadOnlySpan<byte> input, int outputLength)
    {
        bool transfers = major is Irp.Read or Irp.Write, controls = major is Irp.DeviceControl or Irp.InternalDeviceControl;
        uint flags = Guest.U32(top + (ulong)Layout.DeviceFlags), method = controls ? (uint)parameters[2] & 3
            : !transfers || (flags & BufferedIo) != 0 ? MethodBuffered : (flags & DirectIo) != 0 ? MethodOutDirect : MethodNeither;
        if (method == MethodBuffered)
        {
            SetSystemBuffer(request, input, outputLength);
            return;
        }
        if (controls && method != MethodNeither)
        {
            // The input is the system's, what goes either way is the MDL's.
            SetSystemBuffer(request, input, 0);
        }
        else if (controls && input.Length > 0)
        {
            request.Buffer = machine.AllocateUser(input.Length);
            Guest.SetBytes(request.Buffer, input);
            // Type3InputBuffer.
            Guest.SetPointer(next + (ulong)Layout.StackParameter(3), request.Buffer);
        }
        int length = major == Irp.Write ? input.Length : outputLength;
        if (length == 0) return;
        // What an MDL describes is mapped for the system, too, and at that address here.
        request.Direct = method == MethodNeither ? machine.AllocateUser(length) : machine.AllocateKernel(length, "buffer of a program");
        if (major == Irp.Write) Guest.SetBytes(request.Direct, input);
        if (method != MethodNeither) SetMdl(request, request.Direct, (uint)length);
        else Guest.SetPointer(request.Address + (ulong)Layout.IrpUserBuffer, request.Direct);
    }

    /// <summary>IoCancelIrp.</summary>
    public bool Cancel(BenchRequest request)
    {
        if (request.IsCompleted) return false;
        ulong irp = request.Address;
        Guest.SetByte(irp + (ulong)Layout.IrpCancel, 1);
        ulong routine = Guest.Pointer(irp + (ulong)Layout.IrpCancelRoutine);
        if (routine == 0) return false;
        Guest.SetPointer(irp + (ulong)Layout.IrpCancelRoutine, 0);
        byte irql = machine.Synchronization.AcquireCancel();
        Guest.SetByte(irp + (ulong)Layout.IrpCancelIrql, irql);
        ulong device = Guest.Pointer(Guest.Pointer(irp + (ulong)Layout.IrpStackLocation) + (ulong)Layout.StackDevice);
        machine.CallCancel(routine, irql, device, irp);
        return true;
    }

    private ulong Dispatch(ulong device, byte major)
        => Guest.Pointer(Guest.Pointer(device + (ulong)Layout.DeviceDriver) + (ulong)(Layout.DriverMajor + (major * Layout.Pointer)));

    /// <summary>IoCallDriver.</summary>
    public ulong CallDriver(ulong device, ulong irp)
    {
        BenchRequest request = Live(irp, "IoCallDriver");
        byte at = Guest.Byte(irp + (ulong)Layout.IrpCurrentLocation);
        if (at <= 1) throw machine.Crash("NO_MORE_IRP_STACK_LOCATIONS");
        Guest.SetByte(irp + (ulong)Layout.IrpCurrentLocation, (byte)(at - 1));
        ulong location = Guest.Pointer(irp + (ulong)Layout.IrpStackLocation) - (ulong)Layout.StackSize;
        Guest.SetPointer(irp + (ulong)Layout.IrpStackLocation, location);
        Guest.SetPointer(location + (ulong)Layout.StackDevice, device);
        byte major = Guest.Byte(location);
        if (major >= NtLayout.MajorFunctions) throw machine.Crash($"an IRP with major function {major}");
        if (at <= request.StackCount) CheckForwarded(location, location + (ulong)Layout.StackSize);
        request.Visit(device, Guest.Pointer(device + (ulong)Layout.DeviceDriver));
        ulong routine = Dispatch(device, major);
        request.ForgetPending(at - 1);
        uint status = (uint)machine.Call(routine, device, irp);
        // SL_PENDING_RETURNED, while the location is still there to be looked at.
        bool here = !request.IsCompleted && Guest.Byte(irp + (ulong)Layout.IrpCurrentLocation) <= at - 1;
        bool marked = request.WasPending(at - 1) || (here && (Guest.Byte(location + 3) & 1) != 0);
        // Without a completion routine the mark of a driver below is passed up when the request ends.
        marked |= here && status == NtStatus.Pending && WillBePending(irp, location - (ulong)Layout.StackSize);
        if (status == NtStatus.Pending && !marked) machine.ReportAt(Rule.IrpCompletion, "returned STATUS_PENDING without IoMarkIrpPending", routine);
        if (status != NtStatus.Pending && marked) machine.ReportAt(Rule.IrpCompletion, $"returned 0x{status:x8} after IoMarkIrpPending", routine);
        return status;
    }

    private bool WillBePending(ulong irp, ulong next)
    {
        for (; next >= irp + (ulong)Layout.IrpSize; next -= (ulong)Layout.StackSize)
        {
            byte control = Guest.Byte(next + 3);
            if ((control & 0xE1) != 0) return (control & 0xE1) == 1;
        }
        return false;
    }

    /// <summary>What the driver that passes a request on left in the stack location for the next.</summary>
    private void CheckForwarded(ulong next, ulong own)
    {
        byte[] bytes = Guest.Bytes(next, Layout.StackDevice);
        if (Guest.Byte(own) != Irp.Create && bytes.AsSpan().IndexOfAnyExcept((byte)0) < 0)
        {
            machine.Report(Rule.IrpCompletion, "a request is passed on with nothing in the next stack location");
        }
        ulong routine = Guest.Pointer(next + (ulong)Layout.StackRoutine);
        if ((Guest.Byte(next + 3) & 0xE0) == 0 || routine == 0 || routine != Guest.Pointer(own + (ulong)Layout.StackRoutine)) return;
        if (Guest.Pointer(next + (ulong)Layout.StackContext) != Guest.Pointer(own + (ulong)Layout.StackContext)) return;
        machine.Report(Rule.IrpCompletion, "a request is passed on with its own completion routine copied to the next stack location");
    }

    /// <summary>PoStartNextPowerIrp.</summary>
    public ulong StartNextPower(ulong irp)
    {
        BenchRequest request = Live(irp, "PoStartNextPowerIrp");
        request.NoteNextPower(Guest.Pointer(Guest.Pointer(irp + (ulong)Layout.IrpStackLocation) + (ulong)Layout.StackDevice));
        return 0;
    }

    private BenchRequest Live(ulong irp, string who)
    {
        if (_requests.TryGetValue(irp, out BenchRequest? request)) return request;
        throw machine.Crash(_ended.Contains(irp) ? $"{who} for the IRP 0x{irp:x}, which is completed already" : $"{who} for 0x{irp:x}, which is no IRP");
    }

    private ulong End(ulong irp, uint status)
    {
        Guest.SetU32(irp + (ulong)Layout.IrpStatus, status);
        Guest.SetPointer(irp + (ulong)Layout.IrpInformation, 0);
        Complete(irp);
        return status;
    }

    /// <summary>IoCompleteRequest: calls the completion routines from the current location upward.</summary>
    public ulong Complete(ulong irp)
    {
        BenchRequest request = Live(irp, "IoCompleteRequest");
        uint first = Guest.U32(irp + (ulong)Layout.IrpStatus);
        if (first == NtStatus.Pending) machine.Report(Rule.IrpCompletion, "an IRP is completed with STATUS_PENDING");
        if (Guest.Pointer(irp + (ulong)Layout.IrpCancelRoutine) != 0) machine.Report(Rule.IrpCompletion, "an IRP is completed with its cancel routine set");
        int count = request.StackCount, size = Layout.StackSize;
        if (Guest.Byte(irp + (ulong)Layout.IrpCurrentLocation) > count) throw machine.Crash("MULTIPLE_IRP_COMPLETE_REQUESTS");
        while (true)
        {
            ulong location = Guest.Pointer(irp + (ulong)Layout.IrpStackLocation);
            int current = Guest.Byte(irp + (ulong)Layout.IrpCurrentLocation) + 1;
            Guest.SetByte(irp + (ulong)Layout.IrpCurrentLocation, (byte)current);
            Guest.SetPointer(irp + (ulong)Layout.IrpStackLocation, location + (ulong)size);
            byte control = Guest.Byte(location + 3);
            Guest.SetByte(irp + (ulong)Layout.IrpPendingReturned, (byte)(control & 1));
            if ((control & 1) != 0) request.NotePending(current - 1);
            bool success = NtStatus.IsSuccess(Guest.U32(irp + (ulong)Layout.IrpStatus)), cancelled = Guest.Byte(irp + (ulong)Layout.IrpCancel) != 0;
            // SL_INVOKE_ON_CANCEL, _SUCCESS, _ERROR.
            bool wanted = (control & (success ? 0x40 : 0x80)) != 0 || (cancelled && (control & 0x20) != 0);
            ulong routine = Guest.Pointer(location + (ulong)Layout.StackRoutine), context = Guest.Pointer(location + (ulong)Layout.StackContext);
            // As NT does: the major function stays, and so does the routine, which the empty control byte turns off.
            Guest.SetBytes(location + 1, new byte[Layout.StackDevice - 1]);
            Guest.SetPointer(location + (ulong)Layout.StackFile, 0);
            if (wanted && routine != 0)
            {
                ulong device = current > count ? 0 : Guest.Pointer(location + (ulong)size + (ulong)Layout.StackDevice);
                if ((uint)machine.Call(routine, device, irp, context) == NtStatus.MoreProcessingRequired) return 0;
            }
            else if ((control & 1) != 0 && current <= count)
            {
                Guest.SetByte(location + (ulong)size + 3, (byte)(Guest.Byte(location + (ulong)size + 3) | 1));
            }
            if (current > count) break;
        }
        _requests.Remove(irp);
        _ended.Add(irp);
        if (request.IsKept) machine.ReportAt(Rule.IrpCompletion, "an IRP of a driver's own ends without a completion routine that keeps it", request.Maker);
        request.End();
        machine.FreeKernel(irp, "IRP");
        return 0;
    }
}
