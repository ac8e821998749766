using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>What a driver answered to EvtIoStop.</summary>
internal enum StopAnswer
{
    None,
    Keep,
    Requeue,
}

/// <summary>WDFREQUEST: an IRP of a queue.</summary>
internal sealed class FxRequest : FxObject
{
    private Action<FxRequest>? _cancel;

    public FxRequest(FxQueue queue, ObjectAttributes? attributes, FxIrp irp) : base(queue.Framework, queue.Client, "WDFREQUEST", null, attributes)
    {
        (Queue, Irp) = (queue, irp);
        IsFrameworkOwned = true;
    }

    public FxQueue Queue { get; set; }
    public FxIrp Irp { get; }

    /// <summary>The driver has it; else it waits in its queue.</summary>
    public bool IsOwned { get; set; }

    /// <summary>The driver has had it.</summary>
    public bool IsPresented { get; set; }
    public bool IsCancelled { get; set; }
    public bool IsCancelable => _cancel is not null;

    /// <summary>EvtRequestCancel.</summary>
    public ulong CancelCallback { get; set; }
    public StopAnswer StopAnswer { get; set; }

    /// <summary>"read", "IOCTL 0x226000".</summary>
    public string Kind => Irp.Major switch
    {
        Kernel.Irp.Create => "create",
        Kernel.Irp.Read => "read",
        Kernel.Irp.Write => "write",
        Kernel.Irp.DeviceControl => $"IOCTL 0x{(uint)Irp.Parameter(2):x}",
        _ => $"internal IOCTL 0x{(uint)Irp.Parameter(2):x}",
    };

    public static void AddTo(KmdfFramework framework, NtServices library)
        => library.Add("FxIrpQueue::_WdmCancelRoutineInternal", "pp", Irql.Dispatch, a =>
        {
            BenchMachine machine = framework.Machine;
            machine.Synchronization.ReleaseCancel(machine.Guest.Byte(a[1] + (ulong)machine.Layout.IrpCancelIrql));
            if (framework.Cancelable.TryGetValue(a[1], out FxRequest? request)) request._cancel?.Invoke(request);
            return 0;
        });

    /// <summary>From now on the I/O manager can cancel it.</summary>
    public void MakeCancelable(Action<FxRequest> cancel)
    {
        _cancel = cancel;
        Framework.Cancelable[Irp.Address] = this;
        Irp.SetCancelRoutine(Framework.AddressOf("FxIrpQueue::_WdmCancelRoutineInternal"));
    }

    public void MakeUncancelable()
    {
        if (_cancel is null) return;
        _cancel = null;
        Framework.Cancelable.Remove(Irp.Address);
        Irp.SetCancelRoutine(0);
    }

    /// <summary>Completes the IRP and ends the object: its handle is of no more use.</summary>
    public void End(uint status, ulong information)
    {
        // Cleanup callbacks still see the request.
        Clean();
        MakeUncancelable();
        Queue.Disown(this);
        FxIrp irp = Irp;
        irp.Information = information;
        if (irp.Major == Kernel.Irp.Create) Queue.Device.Files.EndCreate(irp.File, status);
        Delete();
        irp.Complete(status);
        Queue.GoOn();
    }
}
