using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>WDF_POWER_DEVICE_STATE.</summary>
internal enum DevicePower
{
    D0 = 1,
    D1,
    D2,
    D3,
    D3Final,
}

/// <summary>
/// Takes a device into D0 and out of it: the driver's callbacks, interrupts and power-managed queues, in the framework's order, and what
/// it undoes when one of them fails.
/// </summary>
internal sealed class PowerMachine(FxDevice device)
{
    private SelfManagedIo _selfManagedIo;

    private enum SelfManagedIo
    {
        Created,
        Started,
        Suspended,
        Flushed,
    }

    public DevicePower State { get; private set; } = DevicePower.D3Final;

    /// <summary>Into D0. False when it failed; the device is then off again.</summary>
    public bool PowerUp()
    {
        if (!NtStatus.IsSuccess(device.Ask(PnpPowerCallback.D0Entry, $"from {Name(State)}", (ulong)State))) return false;
        if (!ConnectInterrupts() || !NtStatus.IsSuccess(device.Ask(PnpPowerCallback.D0EntryPostInterruptsEnabled, $"from {Name(State)}", (ulong)State)))
        {
            UndoInterrupts();
            return false;
        }
        if (!device.DmaEnablers.TrueForAll(e => e.PowerUp()))
        {
            UndoDma();
            return false;
        }
        device.ResumeQueues();
        if (!StartSelfManagedIo())
        {
            device.HoldQueues();
            UndoDma();
            return false;
        }
        State = DevicePower.D0;
        return true;
    }

    /// <summary>Out of D0. False when a callback failed; the device is off none the less.</summary>
    public bool PowerDown(DevicePower target)
    {
        bool success = SuspendSelfManagedIo(target);
        device.HoldQueues();
        success &= DisableDma();
        success &= NtStatus.IsSuccess(device.Ask(PnpPowerCallback.D0ExitPreInterruptsDisabled, $"to {Name(target)}", (ulong)target));
        success &= DisconnectInterrupts();
        success &= NtStatus.IsSuccess(device.Ask(PnpPowerCallback.D0Exit, $"to {Name(target)}", (ulong)target));
        State = target;
        return success;
    }

    public void FlushSelfManagedIo()
    {
        if (_selfManagedIo is SelfManagedIo.Created or SelfManagedIo.Flushed) return;
        device.Raise(PnpPowerCallback.SelfManagedIoFlush, "");
        _selfManagedIo = SelfManagedIo.Flushed;
    }

    public void CleanUpSelfManagedIo()
    {
        if (_selfManagedIo != SelfManagedIo.Created) device.Raise(PnpPowerCallback.SelfManagedIoCleanup, "");
        _selfManagedIo = SelfManagedIo.Created;
    }

    private static string Name(DevicePower state) => $"WdfPowerDevice{state}";

    private bool ConnectInterrupts() => device.Interrupts.TrueForAll(i => NtStatus.IsSuccess(i.Connect()));

    /// <summary>The last first; all of them, whatever one answers.</summary>
    private bool DisconnectInterrupts()
    {
        bool success = true;
        for (int i = device.Interrupts.Count - 1; i >= 0; i--) success &= NtStatus.IsSuccess(device.Interrupts[i].Disconnect());
        return success;
    }

    /// <summary>All of them, whatever one answers.</summary>
    private bool DisableDma()
    {
        bool success = true;
        foreach (FxDmaEnabler enabler in device.DmaEnablers.ToArray()) success &= enabler.PowerDown();
        return success;
    }

    private void UndoDma()
    {
        DisableDma();
        device.Ask(PnpPowerCallback.D0ExitPreInterruptsDisabled, $"to {Name(DevicePower.D3Final)}", (ulong)DevicePower.D3Final);
        UndoInterrupts();
    }

    private void UndoInterrupts()
    {
        DisconnectInterrupts();
        device.Ask(PnpPowerCallback.D0Exit, $"to {Name(DevicePower.D3Final)}", (ulong)DevicePower.D3Final);
        State = DevicePower.D3Final;
    }

    private bool StartSelfManagedIo()
    {
        PnpPowerCallback callback = _selfManagedIo == SelfManagedIo.Created ? PnpPowerCallback.SelfManagedIoInit : PnpPowerCallback.SelfManagedIoRestart;
        _selfManagedIo = SelfManagedIo.Started;
        return NtStatus.IsSuccess(device.Ask(callback, ""));
    }

    private bool SuspendSelfManagedIo(DevicePower target)
    {
        if (_selfManagedIo != SelfManagedIo.Started) return true;
        _selfManagedIo = SelfManagedIo.Suspended;
        return NtStatus.IsSuccess(device.Ask(PnpPowerCallback.SelfManagedIoSuspend, $"to {Name(target)}"));
    }
}
