using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>A callback of a driver's that comes later, by itself: of a timer or a work item, which are below a device or queue.</summary>
internal abstract class FxDeferred : FxObject
{
    private readonly ulong _routine;
    private readonly CallbackLock? _lock;
    private ulong _thread;

    /// <param name="routine">The callback.</param>
    /// <param name="callbackLock">That keeps it apart from those of the parent; null none.</param>
    protected FxDeferred(FxClient client, string type, FxObject parent, ObjectAttributes attributes, ulong routine, CallbackLock? callbackLock)
        : base(parent.Framework, client, type, parent, attributes) => (_routine, _lock) = (routine, callbackLock);

    /// <summary>It is being deleted.</summary>
    protected bool IsRunningDown { get; private set; }

    /// <summary>The thread that asks is the one that runs the callback: it would wait for itself.</summary>
    protected bool IsOwnCallback => _thread != 0 && _thread == CurrentThread();

    /// <summary>Finds the device above, and what keeps the callback apart from the parent's (FxObject::_GetEffectiveLock).</summary>
    /// <param name="serialized">The driver wants that.</param>
    /// <param name="passive">The callback comes at PASSIVE_LEVEL.</param>
    public static uint FindLock(FxObject parent, bool serialized, bool passive, out FxDevice? device, out CallbackLock? callbackLock)
    {
        const uint IncompatibleLevel = 0xC020_020C;
        callbackLock = null;
        device = null;
        CallbackConstraints? constraints = null;
        for (FxObject? at = parent; at is not null && device is null; at = at.Parent)
        {
            constraints ??= at.Constraints;
            device = at as FxDevice;
        }
        if (device is null) return NtStatus.InvalidDeviceRequest;
        if (!serialized || constraints?.Lock is null) return NtStatus.Success;
        if (constraints.IsPassive != passive) return IncompatibleLevel;
        callbackLock = constraints.Lock;
        return NtStatus.Success;
    }

    protected void Raise(string name)
    {
        if (_routine == 0) return;
        ulong outer = _thread;
        _thread = CurrentThread();
        Framework.Raise(_lock, Client, name, "", _routine, Handle);
        _thread = outer;
    }

    protected void Misuse(string how) => Machine.Report(Rule.Framework, $"{Framework.Function} of {this} {how}");

    protected sealed override void OnCleanup()
    {
        IsRunningDown = true;
        RunDown();
    }

    /// <summary>What was begun ends, and nothing more comes.</summary>
    protected abstract void RunDown();

    private ulong CurrentThread() => Machine.CallService("KeGetCurrentThread");
}

/// <summary>WDFTIMER: a KTIMER with its DPC; with a passive execution level the DPC hands the callback on to a worker thread.</summary>
internal sealed class FxTimer : FxDeferred
{
    private const string Thunk = "FxTimer::_FxTimerDpcThunk", WorkThunk = "FxTimer::_FxTimerWorkItemCallback";

    private readonly ulong _timer, _dpc, _item;
    private readonly uint _period;
    private bool _queued;

    /// <param name="item">An IO_WORKITEM for a callback at PASSIVE_LEVEL; 0 none.</param>
    public FxTimer(FxClient client, FxObject parent, ObjectAttributes attributes, ulong routine, CallbackLock? callbackLock, uint period, ulong item)
        : base(client, "WDFTIMER", parent, attributes, routine, callbackLock)
    {
        (_period, _item) = (period, item);
        _timer = Machine.AllocateKernel(Machine.Is64Bit ? 0x40 : 0x28, "KTIMER of WDFTIMER");
        _dpc = Machine.AllocateKernel(Machine.Layout.DpcSize, "KDPC of WDFTIMER");
        Machine.CallService("KeInitializeTimerEx", _timer, 0);
        Machine.Interrupts.InitializeDpc(_dpc, Framework.AddressOf(Thunk), Handle);
    }

    public static void AddTo(KmdfFramework framework, NtServices library)
    {
        library.Add(Thunk, "pppp", Irql.Dispatch, a => framework.Handles.Get<FxTimer>(a[1], "WDFTIMER").Expire());
        library.Add(WorkThunk, "pp", Irql.Passive, a => framework.Handles.Get<FxTimer>(a[1], "WDFTIMER").Work());
    }

    /// <param name="due">In 100 ns: below 0 from now on, else since 1601.</param>
    /// <returns>Whether it was set already.</returns>
    public bool Start(ulong due)
    {
        if (IsRunningDown)
        {
            Misuse("while it is being deleted");
            return false;
        }
        ulong was = Machine.Is64Bit ? Machine.CallService("KeSetTimerEx", _timer, due, _period, _dpc)
            : Machine.CallService("KeSetTimerEx", _timer, (uint)due, due >> 32, _period, _dpc);
        return (byte)was != 0;
    }

    /// <param name="wait">For a callback that runs.</param>
    /// <returns>Whether it was set.</returns>
    public bool Stop(bool wait)
    {
        if (wait && (IsOwnCallback || Machine.CurrentIrql > Irql.Passive))
        {
            Misuse(IsOwnCallback ? "that waits for the callback it comes from" : $"that waits at IRQL {Machine.CurrentIrql}");
            return false;
        }
        bool was = (byte)Machine.CallService("KeCancelTimer", _timer) != 0;
        if (!wait) return was;
        Machine.Interrupts.FlushDpcs();
        if (!Machine.RunUntil(() => !_queued)) throw Machine.Crash($"{Framework.Function} of {this} waits for its callback for ever");
        return was;
    }

    protected override void RunDown()
    {
        if (IsOwnCallback) Misuse("that waits for the callback it comes from");
        Machine.CallService("KeCancelTimer", _timer);
        Machine.CallService("KeRemoveQueueDpc", _dpc);
        if (!IsOwnCallback) Machine.RunUntil(() => !_queued);
    }

    protected override void OnRelease()
    {
        if (_item != 0) Machine.CallService("IoFreeWorkItem", _item);
        Machine.FreeKernel(_timer, "KTIMER of WDFTIMER");
        Machine.FreeKernel(_dpc, "KDPC of WDFTIMER");
    }

    private ulong Expire()
    {
        if (_item == 0) Raise("EvtTimerFunc");
        else if (!_queued)
        {
            _queued = true;
            // DelayedWorkQueue.
            Machine.CallService("IoQueueWorkItem", _item, Framework.AddressOf(WorkThunk), 1, Handle);
        }
        return 0;
    }

    private ulong Work()
    {
        Raise("EvtTimerFunc");
        _queued = false;
        return 0;
    }
}

/// <summary>WDFWORKITEM: an IO_WORKITEM of NT's; while it waits in the queue it is not queued again.</summary>
internal sealed class FxWorkItem : FxDeferred
{
    private const string Thunk = "FxWorkItem::WorkItemThunk";

    private readonly ulong _item;
    private bool _queued;
    private int _running;

    public FxWorkItem(FxClient client, FxObject parent, ObjectAttributes attributes, ulong routine, CallbackLock? callbackLock, ulong item)
        : base(client, "WDFWORKITEM", parent, attributes, routine, callbackLock) => _item = item;

    public static void AddTo(KmdfFramework framework, NtServices library)
        => library.Add(Thunk, "pp", Irql.Passive, a => framework.Handles.Get<FxWorkItem>(a[1], "WDFWORKITEM").Run());

    public void Enqueue()
    {
        if (_queued) return;
        if (IsRunningDown)
        {
            Misuse("while it is being deleted");
            return;
        }
        _queued = true;
        AddReference();
        Machine.CallService("IoQueueWorkItem", _item, Framework.AddressOf(Thunk), 1, Handle);
    }

    public void Flush()
    {
        if (IsOwnCallback) Misuse("that waits for the callback it comes from");
        else if (!Machine.RunUntil(() => !_queued && _running == 0)) throw Machine.Crash($"{Framework.Function} of {this} waits for its callback for ever");
    }

    // From its own callback it goes when that returns.
    protected override void RunDown()
    {
        if (!IsOwnCallback) Flush();
    }

    protected override void OnRelease() => Machine.CallService("IoFreeWorkItem", _item);

    private ulong Run()
    {
        _queued = false;
        _running++;
        Raise("EvtWorkItem");
        _running--;
        Release();
        return 0;
    }
}
