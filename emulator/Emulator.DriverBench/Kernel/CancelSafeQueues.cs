namespace Emulator.DriverBench.Kernel;

/// <summary>
/// IoCsq: queues whose cancel routine is the I/O manager's. The driver's six functions keep the list and its lock; IO_CSQ holds them, and
/// the IRP's fourth DriverContext leads back to the queue or to an IO_CSQ_IRP_CONTEXT.
/// </summary>
internal sealed class CancelSafeQueues(BenchMachine machine)
{
    private const uint TypeQueue = 1, TypeContext = 2;
    private const int Insert = 1, Remove = 2, Peek = 3, Acquire = 4, Release = 5, CompleteCanceled = 6;

    private GuestMemory Guest => machine.Guest;
    private ulong Pointer => (ulong)machine.Layout.Pointer;

    // Tail.Overlay.DriverContext[3].
    private ulong ContextOfIrp => machine.Is64Bit ? 0x90u : 0x4C;

    public void AddTo(NtServices nt)
    {
        nt.Add("IoCsqInitialize", "ppppppp", Irql.Dispatch, a =>
        {
            Guest.SetU32(a[0], TypeQueue);
            for (int i = Insert; i <= CompleteCanceled; i++) Guest.SetPointer(a[0] + ((ulong)i * Pointer), a[i]);
            return NtStatus.Success;
        });
        nt.Add("IoCsqInsertIrp", "ppp", Irql.Dispatch, a => InsertIrp(nt, a[0], a[1], a[2]));
        nt.Add("IoCsqRemoveIrp", "pp", Irql.Dispatch, a => RemoveIrp(a[0], a[1]));
        nt.Add("IoCsqRemoveNextIrp", "pp", Irql.Dispatch, a => RemoveNext(a[0], a[1]));
        nt.Add("IopCsqCancelRoutine", "pp", Irql.Dispatch, a => Cancel(a[1]));
    }

    private ulong Call(ulong queue, int function, params ReadOnlySpan<ulong> arguments)
    {
        ulong routine = Guest.Pointer(queue + ((ulong)function * Pointer));
        return function switch
        {
            // These two change the IRQL, which their callers take back.
            Acquire or Release => machine.CallLocking(routine, arguments),
            _ => machine.Call(routine, arguments),
        };
    }

    /// <summary>Takes the driver's lock, acts, and gives it back.</summary>
    private ulong Locked(ulong queue, Func<ulong> action)
    {
        ulong place = machine.AllocateKernel(8, "KIRQL");
        Call(queue, Acquire, queue, place);
        ulong result = action();
        Call(queue, Release, queue, Guest.Byte(place));
        machine.FreeKernel(place, "KIRQL");
        return result;
    }

    private ulong InsertIrp(NtServices nt, ulong queue, ulong irp, ulong context)
    {
        ulong cancelRoutine = irp + (ulong)machine.Layout.IrpCancelRoutine;
        bool cancelled = Locked(queue, () =>
        {
            if (context != 0)
            {
                // IO_CSQ_IRP_CONTEXT: Type, Irp, Csq.
                Guest.SetU32(context, TypeContext);
                Guest.SetPointer(context + Pointer, irp);
                Guest.SetPointer(context + (2 * Pointer), queue);
            }
            Guest.SetPointer(irp + ContextOfIrp, context != 0 ? context : queue);
            ulong control = Guest.Pointer(irp + (ulong)machine.Layout.IrpStackLocation) + 3;
            Guest.SetByte(control, (byte)(Guest.Byte(control) | 1));
            Call(queue, Insert, queue, irp);
            if (Guest.Byte(irp + (ulong)machine.Layout.IrpCancel) == 0)
            {
                Guest.SetPointer(cancelRoutine, nt.Find("IopCsqCancelRoutine")!.Value);
                return 0;
            }
            Call(queue, Remove, queue, irp);
            return 1;
        }) != 0;
        if (cancelled) Call(queue, CompleteCanceled, queue, irp);
        return 0;
    }

    private ulong Take(ulong queue, ulong irp)
    {
        Guest.SetPointer(irp + (ulong)machine.Layout.IrpCancelRoutine, 0);
        Call(queue, Remove, queue, irp);
        ulong context = Guest.Pointer(irp + ContextOfIrp);
        if (Guest.U32(context) == TypeContext) Guest.SetPointer(context + Pointer, 0);
        Guest.SetPointer(irp + ContextOfIrp, 0);
        return irp;
    }

    private ulong RemoveIrp(ulong queue, ulong context) => Locked(queue, () =>
    {
        ulong irp = Guest.Pointer(context + Pointer);
        return irp == 0 ? 0 : Take(queue, irp);
    });

    private ulong RemoveNext(ulong queue, ulong peek) => Locked(queue, () =>
    {
        ulong irp = Call(queue, Peek, queue, 0, peek);
        return irp == 0 ? 0 : Take(queue, irp);
    });

    private ulong Cancel(ulong irp)
    {
        machine.Synchronization.ReleaseCancel(Guest.Byte(irp + (ulong)machine.Layout.IrpCancelIrql));
        ulong context = Guest.Pointer(irp + ContextOfIrp);
        ulong queue = Guest.U32(context) == TypeContext ? Guest.Pointer(context + (2 * Pointer)) : context;
        Locked(queue, () => Take(queue, irp));
        Call(queue, CompleteCanceled, queue, irp);
        return 0;
    }
}
