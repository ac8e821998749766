using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>WDF_IO_QUEUE_DISPATCH_TYPE.</summary>
internal enum QueueDispatch
{
    Sequential = 1,
    Parallel,
    Manual,
}

/// <summary>A WDF_IO_QUEUE_CONFIG that was checked.</summary>
internal sealed record QueueConfig(QueueDispatch Dispatch, bool IsPowerManaged, bool AllowsZeroLength, bool IsDefault, ulong Default, ulong Read, ulong Write,
    ulong DeviceControl, ulong InternalDeviceControl, ulong Stop, ulong Resume, ulong CanceledOnQueue, uint MostPresented)
{
    /// <summary>Of the framework's own, which CREATE requests go through.</summary>
    public static QueueConfig OfCreates { get; } = new(QueueDispatch.Manual, false, false, false, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

/// <summary>WDFQUEUE: requests that wait, and those the driver has of it.</summary>
internal sealed class FxQueue : FxObject
{
    // How long the framework waits for a driver that holds up a change of power, as its verifier does.
    private const long LongestWait = 60_000_000_000;

    // WDF_REQUEST_STOP_ACTION_FLAGS.
    private const uint Suspend = 1, Purge = 2, RequestCancelable = 0x1000_0000;

    private readonly QueueConfig _config;
    private readonly LinkedList<FxRequest> _waiting = [];
    private readonly LinkedList<FxRequest> _owned = [];
    private readonly Queue<(FxRequest Request, bool OnQueue)> _cancelled = [];
    private readonly CallbackLock? _lock;
    private readonly bool _passive;
    private PowerState _power;
    private int _dispatching;
    private bool _deferred;
    private (ulong Routine, ulong Context) _whenEmpty, _whenIdle, _whenReady;

    public FxQueue(FxDevice device, ObjectAttributes? attributes, QueueConfig config)
        : base(device.Framework, device.Client, "WDFQUEUE", device, attributes)
    {
        (Device, _config) = (device, config);
        ExecutionLevel level = attributes is { Level: not ExecutionLevel.Inherit } ? attributes.Level : device.Level;
        SynchronizationScope scope = attributes is { Scope: not SynchronizationScope.Inherit } ? attributes.Scope : device.Scope;
        _passive = level == ExecutionLevel.Passive;
        _lock = scope switch
        {
            SynchronizationScope.Device => device.CallbackLock,
            SynchronizationScope.Queue => new CallbackLock(Framework, level),
            _ => null,
        };
        _power = config.IsPowerManaged && device.Power.State != DevicePower.D0 ? PowerState.Off : PowerState.On;
        device.AddQueue(this, config.IsDefault);
    }

    private enum PowerState
    {
        On,
        Stopping,
        Off,
    }

    public FxDevice Device { get; }
    public override CallbackConstraints? Constraints => new(_passive, _lock);
    public bool IsPowerManaged => _config.IsPowerManaged;
    public bool IsDefault => _config.IsDefault;
    public QueueDispatch Dispatching => _config.Dispatch;

    /// <summary>New requests are taken.</summary>
    public bool Accepts { get; private set; } = true;

    /// <summary>The driver is given requests.</summary>
    public bool Dispatches { get; private set; } = true;
    public int Waiting => _waiting.Count;
    public int Owned => _owned.Count;
    public bool IsPoweredOff => _power != PowerState.On;

    /// <summary>Whether the driver wants requests of a kind.</summary>
    public bool Handles(byte major) => _config.Default != 0 || Callback(major) != 0;

    private ulong Callback(byte major) => major switch
    {
        Irp.Read => _config.Read,
        Irp.Write => _config.Write,
        Irp.DeviceControl => _config.DeviceControl,
        Irp.InternalDeviceControl => _config.InternalDeviceControl,
        _ => 0,
    };

    // ---- requests come and go ----

    /// <summary>A request from the stack.</summary>
    public uint Accept(FxIrp irp)
    {
        if (!Accepts)
        {
            irp.Information = 0;
            return irp.Complete(NtStatus.InvalidDeviceState);
        }
        irp.MarkPending();
        Put(new FxRequest(this, Device.Init.RequestAttributes, irp), atHead: false);
        return NtStatus.Pending;
    }

    /// <summary>WdfRequestForwardToIoQueue, WdfRequestRequeue, or the first time.</summary>
    public void Put(FxRequest request, bool atHead)
    {
        request.Queue = this;
        request.IsOwned = false;
        if (request.Irp.IsCancelled)
        {
            CancelOnQueue(request);
            return;
        }
        if (atHead) _waiting.AddFirst(request);
        else _waiting.AddLast(request);
        request.MakeCancelable(CancelWaiting);
        bool wasEmpty = _waiting.Count == 1;
        if (wasEmpty && _whenReady.Routine != 0 && _dispatching == 0) Machine.Queue(Ready);
        Dispatch();
    }

    /// <summary>WdfIoQueueRetrieveNextRequest; null when none waits.</summary>
    public FxRequest? Take()
    {
        if (_waiting.First is not { } first) return null;
        _waiting.RemoveFirst();
        Own(first.Value);
        return first.Value;
    }

    /// <summary>The driver has given up a request: by completing it, or to another queue.</summary>
    public void Disown(FxRequest request) => _owned.Remove(request);

    /// <summary>Goes on after that, unless the dispatching below on the stack does.</summary>
    public void GoOn()
    {
        if (_dispatching == 0) Dispatch();
    }

    /// <summary>A file closes: what of it still waits here ends.</summary>
    public void CancelFile(ulong file)
    {
        foreach (FxRequest request in _waiting.Where(r => r.Irp.File == file).ToArray()) CancelWaiting(request);
        Dispatch();
    }

    private void Own(FxRequest request)
    {
        request.MakeUncancelable();
        request.IsOwned = true;
        _owned.AddLast(request);
    }

    private void CancelWaiting(FxRequest request)
    {
        request.MakeUncancelable();
        _waiting.Remove(request);
        CancelOnQueue(request);
    }

    /// <summary>The driver is told only of requests that it has seen.</summary>
    private void CancelOnQueue(FxRequest request)
    {
        request.IsCancelled = true;
        if (_config.CanceledOnQueue == 0 || !request.IsPresented)
        {
            request.End(NtStatus.Cancelled, 0);
            return;
        }
        Own(request);
        _cancelled.Enqueue((request, true));
        GoOn();
    }

    /// <summary>A request the driver has marked cancelable is cancelled: EvtRequestCancel, in its turn.</summary>
    public void CancelOwned(FxRequest request)
    {
        request.MakeUncancelable();
        request.IsCancelled = true;
        _cancelled.Enqueue((request, false));
        GoOn();
    }

    // ---- the driver is called ----

    /// <summary>Gives the driver what it may have now.</summary>
    public void Dispatch()
    {
        if ((_passive && Machine.CurrentIrql > Irql.Passive) || _lock is { IsHeld: true })
        {
            if (_deferred) return;
            _deferred = true;
            Machine.Queue(() =>
            {
                _deferred = false;
                Dispatch();
            });
            return;
        }
        _dispatching++;
        while (Step())
        {
        }
        _dispatching--;
        ReportStates();
    }

    private bool Step()
    {
        if (_cancelled.TryDequeue(out (FxRequest Request, bool OnQueue) cancelled))
        {
            (FxRequest request, bool onQueue) = cancelled;
            if (onQueue) Call("EvtIoCanceledOnQueue", request.Kind, _config.CanceledOnQueue, Handle, request.Handle);
            else Call("EvtRequestCancel", request.Kind, request.CancelCallback, request.Handle);
            return true;
        }
        if (_power != PowerState.On || !Dispatches) return false;
        if (_config.Dispatch == QueueDispatch.Manual || (_config.Dispatch == QueueDispatch.Sequential && _owned.Count > 0)
            || (_config.Dispatch == QueueDispatch.Parallel && (uint)_owned.Count >= _config.MostPresented)) return false;
        if (Take() is not { } next) return false;
        Present(next);
        return true;
    }

    private void Present(FxRequest request)
    {
        byte major = request.Irp.Major;
        ulong length = request.Irp.Parameter(0), callback = Callback(major);
        if (major is Irp.Read or Irp.Write && (uint)length == 0 && !_config.AllowsZeroLength)
        {
            request.End(NtStatus.Success, 0);
            return;
        }
        if (callback == 0 && _config.Default == 0)
        {
            request.End(NtStatus.InvalidDeviceRequest, 0);
            return;
        }
        request.IsPresented = true;
        if (callback == 0) Call("EvtIoDefault", request.Kind, _config.Default, Handle, request.Handle);
        else if (major is Irp.Read or Irp.Write) Call(major == Irp.Read ? "EvtIoRead" : "EvtIoWrite", "", callback, Handle, request.Handle, (uint)length);
        else
        {
            string name = major == Irp.DeviceControl ? "EvtIoDeviceControl" : "EvtIoInternalDeviceControl";
            Call(name, request.Kind, callback, Handle, request.Handle, (uint)length, (uint)request.Irp.Parameter(1), (uint)request.Irp.Parameter(2));
        }
    }

    private void Call(string name, string detail, ulong routine, params ulong[] arguments)
        => Framework.Raise(_lock, Client, name, detail, routine, arguments);

    // ---- power ----

    /// <summary>No new request is given out.</summary>
    public void StartHold()
    {
        if (IsPowerManaged) _power = PowerState.Stopping;
    }

    /// <summary>Tells the driver of each request it has (EvtIoStop), and waits until each is completed, put back or acknowledged.</summary>
    public void Hold()
    {
        if (!IsPowerManaged || _power == PowerState.Off) return;
        Settle(Suspend);
        _power = PowerState.Off;
    }

    /// <summary>Back in D0.</summary>
    public void Resume()
    {
        if (!IsPowerManaged) return;
        foreach (FxRequest request in _owned.Where(r => !r.IsCancelled).ToArray())
        {
            Call("EvtIoResume", request.Kind, _config.Resume, Handle, request.Handle);
        }
        _power = PowerState.On;
        Dispatch();
    }

    /// <summary>The device goes: nothing more is taken, what waits is cancelled, and the driver must end what it has.</summary>
    public void PurgeForRemove()
    {
        Accepts = false;
        CancelAll();
        Settle(Purge);
        foreach (FxRequest request in _owned.ToArray()) EndForDriver(request, "is removed while it has");
        _power = PowerState.Off;
    }

    private void Settle(uint action)
    {
        foreach (FxRequest request in _owned.ToArray())
        {
            // An earlier one's callback may have ended it.
            if (request.IsCancelled || !_owned.Contains(request)) continue;
            request.StopAnswer = StopAnswer.None;
            Call("EvtIoStop", request.Kind, _config.Stop, Handle, request.Handle, action | (request.IsCancelable ? RequestCancelable : 0));
        }
        if (!Machine.RunUntil(() => _owned.All(r => r.StopAnswer != StopAnswer.None), LongestWait))
        {
            foreach (FxRequest request in _owned.Where(r => r.StopAnswer == StopAnswer.None).ToArray()) EndForDriver(request, "powers down while it has");
        }
        foreach (FxRequest request in _owned.Where(r => r.StopAnswer == StopAnswer.Requeue).Reverse().ToArray())
        {
            _owned.Remove(request);
            Put(request, atHead: true);
        }
    }

    /// <summary>In NT the machine would wait for ever, or until the watchdog's bug check.</summary>
    private void EndForDriver(FxRequest request, string when)
    {
        string text = $"the device {when} {request} ({request.Kind}), which {Client.Name} neither completes nor acknowledges";
        Machine.ReportAt(Rule.IrpCompletion, text, _config.Stop);
        request.End(NtStatus.Cancelled, 0);
    }

    // ---- WdfIoQueueStart, Stop, Drain, Purge ----

    /// <param name="accept">Null leaves it as it is.</param>
    public void SetState(bool? accept, bool? dispatch)
    {
        Accepts = accept ?? Accepts;
        Dispatches = dispatch ?? Dispatches;
        Dispatch();
    }

    public void CancelAll()
    {
        foreach (FxRequest request in _waiting.ToArray()) CancelWaiting(request);
        foreach (FxRequest request in _owned.Where(r => r.IsCancelable).ToArray()) CancelOwned(request);
        Dispatch();
    }

    /// <summary>Calls back once nothing waits and the driver has nothing, or just the latter.</summary>
    public void NotifyWhen(bool empty, ulong routine, ulong context)
    {
        if (empty) _whenEmpty = (routine, context);
        else _whenIdle = (routine, context);
        ReportStates();
    }

    public void NotifyReady(ulong routine, ulong context) => _whenReady = (routine, context);

    protected override void OnCleanup()
    {
        Accepts = false;
        CancelAll();
        Device.RemoveQueue(this);
    }

    private void Ready()
    {
        if (_waiting.Count > 0 && _power == PowerState.On) Framework.Raise(Client, "EvtIoQueueState", "ready", _whenReady.Routine, Handle, _whenReady.Context);
    }

    private void ReportStates()
    {
        if (_dispatching > 0 || _owned.Count > 0) return;
        (ulong routine, ulong context) = _whenIdle;
        _whenIdle = default;
        Framework.Raise(Client, "EvtIoQueueState", "idle", routine, Handle, context);
        if (_waiting.Count > 0) return;
        (routine, context) = _whenEmpty;
        _whenEmpty = default;
        Framework.Raise(Client, "EvtIoQueueState", "empty", routine, Handle, context);
    }
}
