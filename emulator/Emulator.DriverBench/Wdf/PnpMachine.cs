using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>
/// A device's PnP state machine. States follow each other as in the framework's, whose table this is for function and filter devices:
/// drivers see them in EvtDevicePnpStateChangeNotification. What a state does is in the other half of the class.
/// </summary>
internal sealed partial class PnpMachine(FxDevice device)
{
    // WDF_STATE_NOTIFICATION_TYPE.
    private const uint Enter = 1, PostProcess = 2, Leave = 4;

    private static readonly Dictionary<PnpState, Row> Table = BuildTable();
    private readonly LinkedList<PnpEvent> _events = [];
    private bool _running, _passDown;
    private ulong _notification;

    public PnpState State { get; private set; } = PnpState.ObjectCreated;

    /// <summary>WdfDeviceCreate has made the device.</summary>
    public void FinishCreate() => EnterState(PnpState.Init);

    /// <summary>Takes an event, now or when the state that is being entered is ready for it.</summary>
    public void Process(PnpEvent happened)
    {
        // What the power side answers goes first, even to a state that takes no other events.
        if (IsAnswer(happened)) _events.AddFirst(happened);
        else _events.AddLast(happened);
        if (_running) return;
        _running = true;
        while (_events.First is { } first)
        {
            Row row = Table[State];
            if (!row.IsOpen && !IsAnswer(first.Value)) break;
            _events.RemoveFirst();
            int index = Array.FindIndex(row.Next, n => n.Event == first.Value);
            if (index >= 0) EnterState(row.Next[index].State);
            else if (HasRequest(first.Value)) FinishRequest();
        }
        _running = false;
        if (!_passDown || _events.Count > 0) return;
        _passDown = false;
        PassDown();
    }

    private static bool IsAnswer(PnpEvent happened) => happened is PnpEvent.PowerPolicyStarted or PnpEvent.PowerPolicyStartFailed
        or PnpEvent.PowerPolicyStopped or PnpEvent.PowerPolicyStopFailed or PnpEvent.PowerPolicyRemoved;

    /// <summary>The event came with a request of the PnP manager, which must end though the state ignores it.</summary>
    private static bool HasRequest(PnpEvent happened) => happened is PnpEvent.StartDeviceComplete or PnpEvent.QueryRemove or PnpEvent.QueryStop
        or PnpEvent.CancelRemove or PnpEvent.CancelStop or PnpEvent.Stop or PnpEvent.SurpriseRemove;

    private void EnterState(PnpState next)
    {
        while (next != PnpState.Null)
        {
            Notify(State, Leave, State, next);
            Notify(next, Enter, State, next);
            State = next;
            PnpState current = next;
            next = Table[current].Run?.Invoke(this) ?? PnpState.Null;
            Notify(current, PostProcess, current, 0);
        }
    }

    /// <summary>EvtDevicePnpStateChangeNotification, if the driver registered it for this state and kind.</summary>
    private void Notify(PnpState state, uint type, PnpState current, PnpState next)
    {
        if (!device.Init.StateCallbacks.TryGetValue(state, out (ulong Routine, uint Types) callback) || (callback.Types & type) == 0) return;
        // WDF_DEVICE_PNP_NOTIFICATION_DATA: Type, CurrentState, NewState.
        if (_notification == 0) _notification = device.Machine.AllocateKernel(12, "WDF_DEVICE_PNP_NOTIFICATION_DATA");
        device.Guest.SetU32(_notification, type);
        device.Guest.SetU32(_notification + 4, (uint)current);
        device.Guest.SetU32(_notification + 8, (uint)next);
        string detail = $"{type switch { Enter => "enter", PostProcess => "processed", _ => "leave" }} WdfDevStatePnp{state}";
        device.Framework.Raise(device.Client, "EvtDevicePnpStateChangeNotification", detail, callback.Routine, device.Handle, _notification);
    }

    private static Dictionary<PnpState, Row> BuildTable()
    {
        var table = new Dictionary<PnpState, Row>();
        Open(PnpState.Init, null, (PnpEvent.StartDevice, PnpState.InitStarting), (PnpEvent.QueryRemove, PnpState.InitQueryRemove),
            (PnpEvent.Remove, PnpState.Removed), (PnpEvent.SurpriseRemove, PnpState.InitSurpriseRemoved));
        Open(PnpState.InitStarting, m => m.SendStartDown(), (PnpEvent.StartDeviceComplete, PnpState.HardwareAvailable),
            (PnpEvent.StartDeviceFailed, PnpState.Init));
        Closed(PnpState.InitSurpriseRemoved, m => m.Finish(PnpState.Init));
        Open(PnpState.InitQueryRemove, m => m.PassQueryDown(), (PnpEvent.Remove, PnpState.Removed), (PnpEvent.CancelRemove, PnpState.InitQueryRemoveCanceled));
        Open(PnpState.InitQueryRemoveCanceled, m => m.PassDownAnd(PnpState.Init));
        Closed(PnpState.HardwareAvailable, m => m.PrepareAndPowerUp(PnpState.FailedInit), (PnpEvent.PowerPolicyStarted, PnpState.EnableInterfaces),
            (PnpEvent.PowerPolicyStartFailed, PnpState.HardwareAvailablePowerPolicyFailed));
        Closed(PnpState.EnableInterfaces, m => m.EnableInterfaces());
        Closed(PnpState.HardwareAvailablePowerPolicyFailed, m => m.FailStart());
        Open(PnpState.Started, m => m.Finish(PnpState.Null), (PnpEvent.QueryRemove, PnpState.QueryRemoveStaticCheck),
            (PnpEvent.QueryStop, PnpState.QueryStopStaticCheck), (PnpEvent.CancelStop, PnpState.StartedCancelStop),
            (PnpEvent.CancelRemove, PnpState.StartedCancelRemove), (PnpEvent.Remove, PnpState.StartedRemoving),
            (PnpEvent.SurpriseRemove, PnpState.SurpriseRemoveIoStarted), (PnpEvent.PowerUpFailed, PnpState.FailedIoStarting),
            (PnpEvent.PowerDownFailed, PnpState.FailedPowerDown), (PnpEvent.StartDevice, PnpState.Restart));
        Closed(PnpState.StartedCancelStop, _ => PnpState.Started);
        Closed(PnpState.StartedCancelRemove, _ => PnpState.Started);

        Closed(PnpState.QueryRemoveStaticCheck, m => m.CheckStopCount(PnpState.QueryRemoveAskDriver));
        Closed(PnpState.QueryRemoveAskDriver, m => m.AskDriver(PnpPowerCallback.QueryRemove, PnpState.QueryRemoveEnsureDeviceAwake));
        Closed(PnpState.QueryRemoveEnsureDeviceAwake, _ => PnpState.QueryRemovePending);
        Open(PnpState.QueryRemovePending, m => m.PassDownAnd(PnpState.Null), (PnpEvent.Remove, PnpState.QueriedRemoving),
            (PnpEvent.CancelRemove, PnpState.QueryCanceled), (PnpEvent.SurpriseRemove, PnpState.QueriedSurpriseRemove));
        Closed(PnpState.QueryStopStaticCheck, m => m.CheckStopCount(PnpState.QueryStopAskDriver));
        Closed(PnpState.QueryStopAskDriver, m => m.AskDriver(PnpPowerCallback.QueryStop, PnpState.QueryStopEnsureDeviceAwake));
        Closed(PnpState.QueryStopEnsureDeviceAwake, _ => PnpState.QueryStopPending);
        Open(PnpState.QueryStopPending, m => m.PassDownAnd(PnpState.Null), (PnpEvent.Stop, PnpState.StartedStopping),
            (PnpEvent.CancelStop, PnpState.QueryCanceled), (PnpEvent.SurpriseRemove, PnpState.QueriedSurpriseRemove));
        Closed(PnpState.QueryCanceled, _ => PnpState.Started);
        Closed(PnpState.QueriedSurpriseRemove, _ => PnpState.SurpriseRemoveIoStarted);

        Open(PnpState.StartedStopping, m => m.StopPower(), (PnpEvent.PowerPolicyStopped, PnpState.Stopped),
            (PnpEvent.PowerPolicyStopFailed, PnpState.FailedOwnHardware));
        Open(PnpState.Stopped, m => m.ReleaseForStop(), (PnpEvent.StartDevice, PnpState.StoppedWaitForStartCompletion),
            (PnpEvent.SurpriseRemove, PnpState.SurpriseRemove));
        Open(PnpState.StoppedWaitForStartCompletion, m => m.SendStartDown(), (PnpEvent.StartDeviceComplete, PnpState.StartingFromStopped),
            (PnpEvent.StartDeviceFailed, PnpState.Failed));
        Closed(PnpState.StartingFromStopped, m => m.PrepareAgain());
        Closed(PnpState.Restarting, m => m.StartPower(), (PnpEvent.PowerPolicyStarted, PnpState.Started),
            (PnpEvent.PowerPolicyStartFailed, PnpState.HardwareAvailablePowerPolicyFailed));
        // START without STOP before it: new resources.
        Closed(PnpState.Restart, m => m.StopPower(), (PnpEvent.PowerPolicyStopped, PnpState.RestartReleaseHardware),
            (PnpEvent.PowerPolicyStopFailed, PnpState.HardwareAvailablePowerPolicyFailed));
        Open(PnpState.RestartReleaseHardware, m => m.ReleaseForRestart(), (PnpEvent.StartDeviceComplete, PnpState.RestartHardwareAvailable),
            (PnpEvent.StartDeviceFailed, PnpState.Failed));
        Open(PnpState.RestartHardwareAvailable, m => m.PrepareAndPowerUp(PnpState.Failed), (PnpEvent.PowerPolicyStarted, PnpState.Started),
            (PnpEvent.PowerPolicyStartFailed, PnpState.HardwareAvailablePowerPolicyFailed));

        Closed(PnpState.QueriedRemoving, m => m.StopPower(), (PnpEvent.PowerPolicyStopped, PnpState.RemovingDisableInterfaces),
            (PnpEvent.PowerPolicyStopFailed, PnpState.RemovingDisableInterfaces));
        Open(PnpState.StartedRemoving, m => m.StopPower(), (PnpEvent.PowerPolicyStopped, PnpState.RemovingDisableInterfaces),
            (PnpEvent.PowerPolicyStopFailed, PnpState.RemovingDisableInterfaces));
        Closed(PnpState.RemovingDisableInterfaces, m => m.ReleaseForRemove(), (PnpEvent.PowerPolicyRemoved, PnpState.Removed));
        Closed(PnpState.Removed, _ => PnpState.RemovedChildrenRemoved);
        Open(PnpState.RemovedChildrenRemoved, _ => PnpState.FdoRemoved);
        Closed(PnpState.FdoRemoved, m => m.EndQueuesAndObjects());
        Open(PnpState.Final, m => m.EndRemoval());

        Closed(PnpState.SurpriseRemove, m => m.TellSurprise(PnpState.Failed));
        Closed(PnpState.SurpriseRemoveIoStarted, m => m.TellSurprise(PnpState.FailedIoStarting));
        Closed(PnpState.FailedIoStarting, m => m.StopPowerOfRemoved(), (PnpEvent.PowerPolicyStopped, PnpState.FailedOwnHardware),
            (PnpEvent.PowerPolicyStopFailed, PnpState.FailedOwnHardware));
        Closed(PnpState.FailedPowerDown, m => m.StopPower(), (PnpEvent.PowerPolicyStopped, PnpState.FailedOwnHardware),
            (PnpEvent.PowerPolicyStopFailed, PnpState.FailedOwnHardware));
        Closed(PnpState.FailedOwnHardware, m => m.ReleaseFailed());
        Closed(PnpState.Failed, m => m.CleanUpFailed(), (PnpEvent.PowerPolicyRemoved, PnpState.FailedPowerPolicyRemoved));
        Closed(PnpState.FailedPowerPolicyRemoved, m => m.FinishFailure());
        Open(PnpState.FailedWaitForRemove, null, (PnpEvent.Remove, PnpState.Removed), (PnpEvent.SurpriseRemove, PnpState.FailedSurpriseRemoved),
            (PnpEvent.StartDevice, PnpState.FailedStarted));
        Closed(PnpState.FailedSurpriseRemoved, m => m.TellSurpriseAndFinish());
        Closed(PnpState.FailedStarted, m => m.RefuseStart());
        Closed(PnpState.FailedInit, m => m.Finish(PnpState.Init));
        return table;

        void Open(PnpState state, Func<PnpMachine, PnpState>? run, params (PnpEvent, PnpState)[] next) => table.Add(state, new Row(run, true, next));
        void Closed(PnpState state, Func<PnpMachine, PnpState> run, params (PnpEvent, PnpState)[] next) => table.Add(state, new Row(run, false, next));
    }

    /// <param name="IsOpen">It takes events of the PnP manager.</param>
    private sealed record Row(Func<PnpMachine, PnpState>? Run, bool IsOpen, (PnpEvent Event, PnpState State)[] Next);
}
