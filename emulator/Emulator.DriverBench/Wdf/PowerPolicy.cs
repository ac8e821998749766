using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>What the power policy owner is told.</summary>
internal enum PolicyEvent
{
    Start,
    Stop,
    SurpriseRemove,
    Remove,
    Sleep,
    Wake,

    /// <summary>The device power request it sent has ended.</summary>
    PowerEnded,
}

/// <summary>
/// Powers the device for the PnP machine. A function driver's is the power policy owner of its stack: it turns requests for the system's
/// power into requests for the device's, and while one of these is under way, all else waits. A filter goes along with those that come.
/// </summary>
internal sealed class PowerPolicy(FxDevice device)
{
    private readonly LinkedList<PolicyEvent> _events = [];
    private State _state;
    private bool _running, _requested, _failed, _shutsDown;

    private bool IsOwner => !device.Init.IsFilter;
    private FxIrp? _systemRequest;

    private enum State
    {
        Stopped,
        Started,
        Sleeping,
        Asleep,
        Waking,

        /// <summary>A power request failed: the device stays as it is until the PnP machine takes it down.</summary>
        Failed,
        Removed,
    }

    public void Process(PolicyEvent happened)
    {
        if (happened == PolicyEvent.PowerEnded) _events.AddFirst(happened);
        else _events.AddLast(happened);
        if (_running) return;
        _running = true;
        while (_events.First is { Value: var next } && (next == PolicyEvent.PowerEnded || _state is not (State.Sleeping or State.Waking)))
        {
            _events.RemoveFirst();
            Handle(next);
        }
        _running = false;
    }

    /// <summary>IRP_MJ_POWER in FxPkgFdo.</summary>
    public uint Dispatch(FxIrp irp)
    {
        if (irp.Minor == Irp.QueryPower && IsDevice(irp)) irp.Status = NtStatus.Success;
        if (irp.Minor != Irp.SetPower) return PassDown(irp);
        return IsDevice(irp) ? SetDevicePower(irp) : SetSystemPower(irp);
    }

    /// <summary>Completion of a request for S0: the device follows on its own time.</summary>
    public uint SystemWoke(FxIrp irp)
    {
        Process(PolicyEvent.Wake);
        device.Machine.Io.StartNextPower(irp.Address);
        irp.PropagatePending();
        device.ReleaseRemoveLock();
        return irp.Status;
    }

    /// <summary>Completion of a request for a sleeping state: it ends when the device has powered down.</summary>
    public uint SystemSleeps()
    {
        Process(PolicyEvent.Sleep);
        return NtStatus.MoreProcessingRequired;
    }

    /// <summary>Completion of a request for D0: the bus has power, now the device.</summary>
    public uint DevicePowered(FxIrp irp)
    {
        _failed = !device.Power.PowerUp();
        Complete(irp);
        if (_failed && !IsOwner) device.Pnp.Process(PnpEvent.PowerUpFailed);
        return NtStatus.MoreProcessingRequired;
    }

    // DevicePowerState is 1; the state itself counts from 1 at D0 and S0.
    private static bool IsDevice(FxIrp irp) => (uint)irp.Parameter(1) == 1;

    private uint SetDevicePower(FxIrp irp)
    {
        if (!_requested && IsOwner)
        {
            throw device.Framework.Violation(WdfViolation.PowerMultiplePpo,
                $"a device power request for {device} that the framework did not send: another driver of the stack is power policy owner, too");
        }
        _requested = false;
        irp.MarkPending();
        if ((uint)irp.Parameter(2) == (uint)DevicePower.D0)
        {
            irp.SendOn(device.Attached, device.Framework.AddressOf("FxPkgFdo::RaiseDevicePowerCompletion"), device.Handle);
            return NtStatus.Pending;
        }
        _failed = !device.Power.PowerDown(_shutsDown ? DevicePower.D3Final : (DevicePower)(uint)irp.Parameter(2));
        irp.Status = NtStatus.Success;
        PassDown(irp);
        if (_failed && !IsOwner) device.Pnp.Process(PnpEvent.PowerDownFailed);
        return NtStatus.Pending;
    }

    private uint SetSystemPower(FxIrp irp)
    {
        if (!IsOwner) return PassDown(irp);
        bool working = (uint)irp.Parameter(2) == 1;
        if (working) return irp.SendOn(device.Attached, device.Framework.AddressOf("FxPkgFdo::_SystemPowerS0Completion"), device.Handle);
        irp.MarkPending();
        // PowerSystemShutdown.
        _shutsDown = (uint)irp.Parameter(2) == 6;
        _systemRequest = irp;
        irp.SendOn(device.Attached, device.Framework.AddressOf("FxPkgFdo::_SystemPowerSxCompletion"), device.Handle);
        return NtStatus.Pending;
    }

    private void Handle(PolicyEvent happened)
    {
        switch (happened)
        {
            case PolicyEvent.Start:
                bool up = device.Power.PowerUp();
                _state = up ? State.Started : State.Stopped;
                device.Pnp.HasFailed |= !up;
                device.Pnp.Process(up ? PnpEvent.PowerPolicyStarted : PnpEvent.PowerPolicyStartFailed);
                break;
            case PolicyEvent.Stop or PolicyEvent.SurpriseRemove:
                Stop();
                break;
            case PolicyEvent.Remove:
                _state = State.Removed;
                device.Pnp.Process(PnpEvent.PowerPolicyRemoved);
                break;
            case PolicyEvent.Sleep when _state == State.Started:
                _state = State.Sleeping;
                RequestPower(DevicePower.D3);
                break;
            case PolicyEvent.Sleep:
                EndSystemRequest();
                break;
            case PolicyEvent.Wake when _state == State.Asleep:
                _state = State.Waking;
                RequestPower(DevicePower.D0);
                break;
            case PolicyEvent.Wake:
                break;
            default:
                PowerEnded();
                break;
        }
    }

    /// <summary>From D0, or from what a failed request or a sleeping system left.</summary>
    private void Stop()
    {
        if (device.Power.State == DevicePower.D0) _failed |= !device.Power.PowerDown(DevicePower.D3Final);
        _state = State.Stopped;
        device.Pnp.HasFailed |= _failed;
        device.Pnp.Process(_failed ? PnpEvent.PowerPolicyStopFailed : PnpEvent.PowerPolicyStopped);
        _failed = false;
    }

    private void RequestPower(DevicePower state)
    {
        _requested = true;
        device.Machine.Io.RequestPower(device.DeviceObject, Irp.SetPower, (uint)state, _ => Process(PolicyEvent.PowerEnded));
    }

    private void PowerEnded()
    {
        bool slept = _state == State.Sleeping;
        if (_failed) _state = State.Failed;
        else _state = slept ? State.Asleep : State.Started;
        if (slept) EndSystemRequest();
        if (_failed) device.Pnp.Process(slept ? PnpEvent.PowerDownFailed : PnpEvent.PowerUpFailed);
    }

    private void EndSystemRequest()
    {
        if (_systemRequest is not { } irp) return;
        _systemRequest = null;
        Complete(irp);
    }

    // NT before 6.0 gives the device its next power request only when it is told to.
    private uint PassDown(FxIrp irp)
    {
        device.Machine.Io.StartNextPower(irp.Address);
        return device.PassDown(irp);
    }

    private void Complete(FxIrp irp)
    {
        device.Machine.Io.StartNextPower(irp.Address);
        device.CompleteAndRelease(irp, NtStatus.Success);
    }
}
