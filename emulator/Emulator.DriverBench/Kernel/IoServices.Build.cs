namespace Emulator.DriverBench.Kernel;

/// <content>Requests that drivers make themselves.</content>
internal sealed partial class IoServices
{
    private const uint BufferedIo = 4, DirectIo = 0x10;

    private void AddBuild(NtServices nt)
    {
        nt.Add("IopInterceptCompletion", "ppp", Irql.Dispatch, a => Intercept(a[1]));
        nt.Add("IoAllocateIrp", "bb", Irql.Dispatch, a => Allocate((int)a[0]), exhausted: 0);
        nt.Add("IoFreeIrp", "p", Irql.Dispatch, a => Free(a[0]));
        nt.Add("IoReuseIrp", "pu", Irql.Dispatch, a => Reuse(a[0], (uint)a[1]));
        nt.Add("IoCancelIrp", "p", Irql.Dispatch, a => Cancel(Live(a[0], "IoCancelIrp")) ? 1u : 0);
        nt.Add("IoBuildDeviceIoControlRequest", "uppupubpp", Irql.Passive,
            a => BuildControl((uint)a[0], a[1], a[2], (uint)a[3], a[4], (uint)a[5], a[6] != 0, a[7], a[8]), exhausted: 0);
        nt.Add("IoBuildSynchronousFsdRequest", "uppuppp", Irql.Passive,
            a => BuildTransfer((byte)a[0], a[1], a[2], (uint)a[3], a[4], a[5], a[6], keep: false), exhausted: 0);
        nt.Add("IoBuildAsynchronousFsdRequest", "uppupp", Irql.Dispatch,
            a => BuildTransfer((byte)a[0], a[1], a[2], (uint)a[3], a[4], 0, a[5], keep: true), exhausted: 0);
        nt.Add("IoForwardIrpSynchronously", "pp", Irql.Apc, a => Forward(a[0], a[1]));
        nt.Add("IoSetCompletionRoutineEx", "ppppppp", Irql.Dispatch, a => SetCompletion(a[1], a[2], a[3], a[4], a[5], a[6]));
    }

    /// <summary>A copy of the stack location goes down, and the IRP is the caller's again when it returns.</summary>
    private ulong Forward(ulong device, ulong irp)
    {
        BenchRequest request = Live(irp, "IoForwardIrpSynchronously");
        ulong own = Guest.Pointer(irp + (ulong)Layout.IrpStackLocation), next = own - (ulong)Layout.StackSize;
        Guest.SetBytes(next, Guest.Bytes(own, Layout.StackRoutine));
        bool back = false;
        request.Intercepted = () => back = true;
        ulong routine = machine.AddressOf("IopInterceptCompletion")!.Value;
        SetCompletion(irp, routine, 0, 1, 1, 1);
        CallDriver(device, irp);
        if (!machine.RunUntil(() => back)) throw machine.Crash("a request that was passed on does not come back");
        return 1;
    }

    private ulong Intercept(ulong irp)
    {
        Live(irp, "a completion routine").Intercepted?.Invoke();
        return NtStatus.MoreProcessingRequired;
    }

    private void CheckMade(LoadedDriver driver)
    {
        foreach (BenchRequest request in _requests.Values.Where(r => driver.Image.Contains(r.Maker)).ToList())
        {
            machine.ReportAt(Rule.Leak, $"{driver.Name} is unloaded and leaves the IRP 0x{request.Address:x}, which it made", request.Maker);
        }
    }

    /// <summary>An IRP with its stack locations, none of them in use.</summary>
    private BenchRequest NewRequest(int count, string name, int outputLength, Action<BenchRequest>? ended)
    {
        int size = Layout.IrpSize + (count * Layout.StackSize);
        ulong irp = machine.AllocateKernel(size, name);
        _ended.Remove(irp);
        var request = new BenchRequest(machine, irp, count, outputLength, ended);
        Guest.SetU16(irp + 2, (ushort)size);
        _requests.Add(irp, request);
        Prepare(request, 0);
        return request;
    }

    private void Prepare(BenchRequest request, uint status)
    {
        ulong irp = request.Address;
        Guest.SetU16(irp, 6);
        Guest.SetU32(irp + (ulong)Layout.IrpStatus, status);
        Guest.SetByte(irp + (ulong)Layout.IrpStackCount, (byte)request.StackCount);
        Guest.SetByte(irp + (ulong)Layout.IrpCurrentLocation, (byte)(request.StackCount + 1));
        Guest.SetPointer(irp + (ulong)Layout.IrpStackLocation, irp + (ulong)(Layout.IrpSize + (request.StackCount * Layout.StackSize)));
    }

    private ulong Allocate(int count)
    {
        if (count == 0) return 0;
        BenchRequest request = NewRequest(count, "IRP of a driver", 0, null);
        (request.Maker, request.IsKept) = (machine.CallerAddress, true);
        return request.Address;
    }

    private ulong Free(ulong irp)
    {
        BenchRequest request = Live(irp, "IoFreeIrp");
        if (request.Maker == 0) throw machine.Crash($"IoFreeIrp of 0x{irp:x}, which no driver made");
        _requests.Remove(irp);
        _ended.Add(irp);
        request.FreeBuffers();
        machine.FreeKernel(irp, "IRP");
        return 0;
    }

    private ulong Reuse(ulong irp, uint status)
    {
        BenchRequest request = Live(irp, "IoReuseIrp");
        Guest.SetBytes(irp + 4, new byte[Layout.IrpSize - 4]);
        Guest.SetBytes(irp + (ulong)Layout.IrpSize, new byte[request.StackCount * Layout.StackSize]);
        Prepare(request, status);
        return 0;
    }

    private ulong SetCompletion(ulong irp, ulong routine, ulong context, ulong success, ulong error, ulong cancel)
    {
        ulong next = Guest.Pointer(irp + (ulong)Layout.IrpStackLocation) - (ulong)Layout.StackSize;
        Guest.SetPointer(next + (ulong)Layout.StackRoutine, routine);
        Guest.SetPointer(next + (ulong)Layout.StackContext, context);
        Guest.SetByte(next + 3, (byte)(((byte)success != 0 ? 0x40 : 0) | ((byte)error != 0 ? 0x80 : 0) | ((byte)cancel != 0 ? 0x20 : 0)));
        return NtStatus.Success;
    }

    /// <summary>A request for a device, whose end sets an event and an IO_STATUS_BLOCK; both may be 0.</summary>
    private BenchRequest Make(ulong device, string name, int outputLength, ulong target, ulong signal, ulong result)
    {
        BenchRequest request = NewRequest(Guest.Byte(device + (ulong)Layout.DeviceStackSize), name, outputLength, ended =>
        {
            if (target != 0 && ended.Output.Length > 0) Guest.SetBytes(target, ended.Output);
            if (result != 0)
            {
                Guest.SetU32(result, ended.Status);
                Guest.SetPointer(result + (ulong)Layout.Pointer, ended.Information);
            }
            machine.Dispatcher.Signal(signal);
        });
        request.Maker = machine.CallerAddress;
        return request;
    }

    private ulong BuildControl(uint code, ulong device, ulong input, uint inputLength, ulong output, uint outputLength, bool isInternal,
        ulong signal, ulong result)
    {
        uint method = code & 3;
        BenchRequest request = Make(device, "IRP of IoBuildDeviceIoControlRequest", method == 0 ? (int)outputLength : 0, output, signal, result);
        ulong irp = request.Address, next = irp + (ulong)(Layout.IrpSize + ((request.StackCount - 1) * Layout.StackSize));
        Guest.SetByte(next, isInternal ? Irp.InternalDeviceControl : Irp.DeviceControl);
        Guest.SetPointer(next + (ulong)Layout.StackParameter(0), outputLength);
        Guest.SetPointer(next + (ulong)Layout.StackParameter(1), inputLength);
        Guest.SetPointer(next + (ulong)Layout.StackParameter(2), code);
        if (method == 3)
        {
            Guest.SetPointer(next + (ulong)Layout.StackParameter(3), input);
            Guest.SetPointer(irp + (ulong)Layout.IrpUserBuffer, output);
            return irp;
        }
        SetSystemBuffer(request, input == 0 ? [] : Guest.Bytes(input, (int)inputLength), method == 0 ? (int)outputLength : 0);
        if (method != 0 && output != 0) SetMdl(request, output, outputLength);
        return irp;
    }

    private ulong BuildTransfer(byte major, ulong device, ulong buffer, uint length, ulong offset, ulong signal, ulong result, bool keep)
    {
        bool reads = major == Irp.Read, transfers = reads || major == Irp.Write;
        uint flags = Guest.U32(device + (ulong)Layout.DeviceFlags);
        bool buffered = transfers && (flags & BufferedIo) != 0;
        BenchRequest request = Make(device, "IRP of a driver", reads && buffered ? (int)length : 0, buffer, signal, result);
        request.IsKept = keep;
        ulong irp = request.Address, next = irp + (ulong)(Layout.IrpSize + ((request.StackCount - 1) * Layout.StackSize));
        Guest.SetByte(next, major);
        if (!transfers) return irp;
        Guest.SetPointer(next + (ulong)Layout.StackParameter(0), length);
        Guest.SetU64(next + (ulong)Layout.StackParameter(2), offset == 0 ? 0 : Guest.U64(offset));
        if (buffered) SetSystemBuffer(request, reads ? [] : Guest.Bytes(buffer, (int)length), (int)length);
        else if ((flags & DirectIo) != 0) SetMdl(request, buffer, length);
        else Guest.SetPointer(irp + (ulong)Layout.IrpUserBuffer, buffer);
        return irp;
    }

    private void SetSystemBuffer(BenchRequest request, ReadOnlySpan<byte> input, int outputLength)
    {
        int length = Math.Max(input.Length, outputLength);
        if (length == 0) return;
        request.Buffer = machine.AllocateKernel(length, "system buffer");
        Guest.SetBytes(request.Buffer, input);
        Guest.SetPointer(request.Address + (ulong)Layout.IrpSystemBuffer, request.Buffer);
    }

    private void SetMdl(BenchRequest request, ulong buffer, uint length)
    {
        request.Mdl = machine.Mdls.Create(buffer, length);
        // MdlAddress stands behind Type and Size.
        Guest.SetPointer(request.Address + (ulong)Layout.Pointer, request.Mdl);
    }
}
