using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>What the states do: the driver's callbacks, the device's hardware and power, and the request that waits.</summary>
internal sealed partial class PnpMachine
{
    // PNP_DEVICE_STATE.
    private const ulong DeviceFailed = 4;

    private FxIrp? _request;
    private bool _removed;

    /// <summary>A callback or the power side failed: NT is to remove the device.</summary>
    public bool HasFailed { get; set; }

    /// <summary>IRP_MJ_PNP in FxPkgFdo: what has an event waits in the machine, the rest goes down the stack.</summary>
    public uint Dispatch(FxIrp irp)
    {
        if (irp.Minor == Irp.Remove) return Remove(irp);
        PnpEvent? happened = irp.Minor switch
        {
            Irp.StartDevice => PnpEvent.StartDevice,
            Irp.QueryRemove => PnpEvent.QueryRemove,
            Irp.CancelRemove => PnpEvent.CancelRemove,
            Irp.Stop => PnpEvent.Stop,
            Irp.QueryStop => PnpEvent.QueryStop,
            Irp.CancelStop => PnpEvent.CancelStop,
            Irp.SurpriseRemoval => PnpEvent.SurpriseRemove,
            _ => null,
        };
        if (happened is null)
        {
            if (irp.Minor == Irp.QueryDeviceState && HasFailed)
            {
                irp.Information |= DeviceFailed;
                irp.Status = NtStatus.Success;
            }
            return device.PassDown(irp);
        }
        // QUERY_STOP gets its status on the way, and START that of the drivers below.
        if (irp.Minor is not (Irp.StartDevice or Irp.QueryStop)) irp.Status = NtStatus.Success;
        Hold(irp);
        Process(happened.Value);
        return NtStatus.Pending;
    }

    /// <summary>Completion of START: the drivers below have ended it.</summary>
    public uint StartCompleted(FxIrp irp)
    {
        if (NtStatus.IsSuccess(irp.Status))
        {
            Hold(irp);
            Process(PnpEvent.StartDeviceComplete);
        }
        else
        {
            Process(PnpEvent.StartDeviceFailed);
            device.CompleteAndRelease(irp, irp.Status);
        }
        return NtStatus.MoreProcessingRequired;
    }

    /// <summary>EvtDriverDeviceAdd failed with a device made: it goes as if it were removed.</summary>
    public void RemoveAfterFailedAdd() => Process(PnpEvent.Remove);

    /// <summary>The device goes.</summary>
    public void Free()
    {
        if (_notification != 0) device.Machine.FreeKernel(_notification, "WDF_DEVICE_PNP_NOTIFICATION_DATA");
    }

    private uint Remove(FxIrp irp)
    {
        device.AcquireRemoveLock();
        irp.Status = NtStatus.Success;
        Process(PnpEvent.Remove);
        if (!device.Machine.RunUntil(() => _removed)) throw Fatal($"the removal of {device} does not end");
        device.ReleaseRemoveLockAndWait();
        uint status = irp.SendOn(device.Attached);
        device.Destroy();
        return status;
    }

    private void Hold(FxIrp irp)
    {
        irp.MarkPending();
        _request = irp;
    }

    private FxIrp TakeRequest()
    {
        FxIrp irp = _request ?? throw Fatal($"{device} has no request of the PnP manager");
        _request = null;
        return irp;
    }

    private BugCheckException Fatal(string text) => device.Framework.Violation(WdfViolation.PnpFatalError, $"{text}, in WdfDevStatePnp{State}");

    private void SetStatus(uint status)
    {
        if (_request is { } irp) irp.Status = status;
    }

    /// <summary>START and what failed end here; the rest goes down once the machine is at rest.</summary>
    private void FinishRequest()
    {
        if (_request is not { } irp) return;
        if (irp.Minor == Irp.StartDevice || !NtStatus.IsSuccess(irp.Status)) device.CompleteAndRelease(TakeRequest(), irp.Status);
        else _passDown = true;
    }

    private void PassDown() => device.PassDown(TakeRequest());

    private PnpState Finish(PnpState next)
    {
        FinishRequest();
        return next;
    }

    private PnpState PassDownAnd(PnpState next)
    {
        PassDown();
        return next;
    }

    private PnpState PassQueryDown()
    {
        SetStatus(NtStatus.Success);
        return PassDownAnd(PnpState.Null);
    }

    private PnpState SendStartDown()
    {
        TakeRequest().SendOn(device.Attached, device.Framework.AddressOf("FxPkgFdo::_PnpStartDeviceCompletionRoutine"), device.Handle);
        return PnpState.Null;
    }

    /// <summary>Prepares the hardware. False when it did not; <paramref name="asked"/> when the driver had its part in that.</summary>
    private bool Prepare(out bool asked)
    {
        FxIrp irp = _request!.Value;
        device.Resources.Read(irp.Parameter(0), irp.Parameter(1));
        device.AssignInterrupts();
        ulong callback = device.Init.Callbacks[(int)PnpPowerCallback.PrepareHardware];
        asked = callback != 0;
        device.IsPreparing = true;
        uint status = device.Ask(PnpPowerCallback.PrepareHardware, "", device.Resources.Raw.Handle, device.Resources.Translated.Handle);
        device.IsPreparing = false;
        if (NtStatus.IsSuccess(status)) return true;
        HasFailed = true;
        SetStatus(status);
        return false;
    }

    private PnpState PrepareAndPowerUp(PnpState unasked)
    {
        if (!Prepare(out bool asked)) return asked ? PnpState.FailedOwnHardware : unasked;
        return StartPower();
    }

    private PnpState PrepareAgain()
    {
        if (Prepare(out bool asked)) return PnpState.Restarting;
        return asked ? PnpState.FailedOwnHardware : PnpState.Failed;
    }

    private PnpState StartPower()
    {
        device.Policy.Process(PolicyEvent.Start);
        return PnpState.Null;
    }

    private PnpState StopPower()
    {
        device.Policy.Process(PolicyEvent.Stop);
        return PnpState.Null;
    }

    private PnpState StopPowerOfRemoved()
    {
        device.Policy.Process(PolicyEvent.SurpriseRemove);
        return PnpState.Null;
    }

    private PnpState EnableInterfaces()
    {
        device.EnableInterfaces(true);
        return PnpState.Started;
    }

    private PnpState FailStart()
    {
        SetStatus(NtStatus.DevicePowerFailure);
        return PnpState.FailedOwnHardware;
    }

    /// <summary>Refuses while the driver has said that the device cannot be stopped.</summary>
    private PnpState CheckStopCount(PnpState next)
    {
        if (device.StaticStops == 0) return next;
        SetStatus(NtStatus.InvalidDeviceState);
        return PnpState.Started;
    }

    private PnpState AskDriver(PnpPowerCallback callback, PnpState next)
    {
        uint status = device.Ask(callback, "");
        SetStatus(status);
        return NtStatus.IsSuccess(status) ? next : PnpState.Started;
    }

    private uint ReleaseHardware() => device.Ask(PnpPowerCallback.ReleaseHardware, "", device.Resources.Translated.Handle);

    private PnpState ReleaseForStop()
    {
        uint status = ReleaseHardware();
        device.RevokeInterrupts();
        HasFailed |= !NtStatus.IsSuccess(status);
        FinishRequest();
        return NtStatus.IsSuccess(status) ? PnpState.Null : PnpState.Failed;
    }

    private PnpState ReleaseForRestart()
    {
        uint status = ReleaseHardware();
        if (NtStatus.IsSuccess(status)) return SendStartDown();
        HasFailed = true;
        SetStatus(status);
        return PnpState.Failed;
    }

    private PnpState ReleaseForRemove()
    {
        ReleaseHardware();
        return CleanUpFailed();
    }

    private PnpState ReleaseFailed()
    {
        ReleaseHardware();
        return PnpState.Failed;
    }

    /// <summary>No more from outside: interfaces off, power-managed queues emptied, self-managed I/O flushed.</summary>
    private PnpState CleanUpFailed()
    {
        device.EnableInterfaces(false);
        device.PurgeQueues(powerManaged: true);
        device.Power.FlushSelfManagedIo();
        device.RevokeInterrupts();
        device.Policy.Process(PolicyEvent.Remove);
        return PnpState.Null;
    }

    private PnpState FinishFailure()
    {
        FinishRequest();
        if (HasFailed) device.Machine.Io.InvalidateState(device.Pdo);
        return PnpState.FailedWaitForRemove;
    }

    private PnpState EndQueuesAndObjects()
    {
        device.PurgeQueues(powerManaged: false);
        device.Power.CleanUpSelfManagedIo();
        device.Clean();
        device.DestroyChildren();
        return PnpState.Final;
    }

    private PnpState EndRemoval()
    {
        _removed = true;
        return PnpState.Null;
    }

    private PnpState TellSurprise(PnpState next)
    {
        device.Raise(PnpPowerCallback.SurpriseRemoval, "");
        return next;
    }

    private PnpState TellSurpriseAndFinish()
    {
        TellSurprise(PnpState.Null);
        return Finish(PnpState.FailedWaitForRemove);
    }

    private PnpState RefuseStart()
    {
        SetStatus(NtStatus.InvalidDeviceState);
        return Finish(PnpState.FailedWaitForRemove);
    }
}
