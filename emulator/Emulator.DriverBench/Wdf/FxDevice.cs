using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>WDFDEVICE of a function or filter driver: the device object in its stack, and what each request to it goes through.</summary>
internal sealed class FxDevice : FxObject
{
    // DO_BUFFERED_IO, DO_DIRECT_IO, DO_POWER_PAGABLE, DO_POWER_INRUSH.
    private const uint BufferedIo = 4, DirectIo = 0x10, PowerPagable = 0x2000, PowerInrush = 0x4000;

    private readonly List<(string Name, bool Enabled)> _interfaces = [];
    private readonly List<FxQueue> _queues = [];
    private readonly FxQueue?[] _dispatch = new FxQueue?[NtLayout.MajorFunctions];
    private int _removeLocks;
    private bool _removing;

    private FxDevice(KmdfFramework framework, DeviceInit init, ObjectAttributes? attributes)
        : base(framework, init.Client, "WDFDEVICE", init.Client.Driver, attributes)
    {
        FxDriver driver = init.Client.Driver!;
        Init = init;
        Level = attributes is { Level: not ExecutionLevel.Inherit } ? attributes.Level : driver.Level;
        Scope = attributes is { Scope: not SynchronizationScope.Inherit } ? attributes.Scope : driver.Scope;
        CallbackLock = Scope == SynchronizationScope.Device ? new CallbackLock(framework, Level) : null;
        (Pnp, Power, Policy) = (new PnpMachine(this), new PowerMachine(this), new PowerPolicy(this));
        Resources = new DeviceResources(this);
        Files = new DeviceFiles(this);
        ulong target = Machine.Io.CreateDevice(init.Client.DriverObject, (uint)Machine.Layout.Pointer * 8, "", init.DeviceType, init.Characteristics, 0);
        DeviceObject = target;
        Attached = Machine.Io.Attach(target, init.Pdo);
        if (init.IsFilter) ResembleAttached();
        else
        {
            uint io = init.IoType switch { DeviceIoType.Buffered => BufferedIo, DeviceIoType.Direct => DirectIo, _ => 0 };
            SetFlags(set: io | (init.IsExclusive ? 8u : 0) | (init.IsPageable ? PowerPagable : 0), clear: 0);
        }
        framework.Devices.Add(target, this);
    }

    public DeviceInit Init { get; }
    public ulong DeviceObject { get; }
    public ulong Pdo => Init.Pdo;

    /// <summary>The device object below.</summary>
    public ulong Attached { get; }
    public ExecutionLevel Level { get; }
    public SynchronizationScope Scope { get; }
    public CallbackLock? CallbackLock { get; }
    public override CallbackConstraints? Constraints => new(Level == ExecutionLevel.Passive, CallbackLock);
    public PnpMachine Pnp { get; }
    public PowerMachine Power { get; }
    public PowerPolicy Policy { get; }
    public DeviceResources Resources { get; }
    public DeviceFiles Files { get; }

    /// <summary>In the order of their creation.</summary>
    public List<FxInterrupt> Interrupts { get; } = [];
    public List<FxDmaEnabler> DmaEnablers { get; } = [];
    public FxQueue? DefaultQueue { get; private set; }

    /// <summary>EvtDevicePrepareHardware is running.</summary>
    public bool IsPreparing { get; set; }

    /// <summary>How often WdfDeviceSetStaticStopRemove said that it cannot be stopped.</summary>
    public int StaticStops { get; set; }

    public static void AddTo(KmdfFramework framework, NtServices library)
    {
        Add("FxDevice::DispatchWithLock", "pp", (device, irp) => device.DispatchWithLock(irp));
        Add("FxPkgFdo::_PnpStartDeviceCompletionRoutine", "ppp", (device, irp) => device.Pnp.StartCompleted(irp));
        Add("FxPkgFdo::_SystemPowerS0Completion", "ppp", (device, irp) => device.Policy.SystemWoke(irp));
        Add("FxPkgFdo::_SystemPowerSxCompletion", "ppp", (device, _) => device.Policy.SystemSleeps());
        Add("FxPkgFdo::RaiseDevicePowerCompletion", "ppp", (device, irp) => device.Policy.DevicePowered(irp));

        // Dispatch and completion routines: the device object, the IRP.
        void Add(string name, string parameters, Func<FxDevice, FxIrp, uint> routine)
            => library.Add(name, parameters, Irql.Dispatch, a => routine(Find(framework, a[0]), new FxIrp(framework.Machine, a[1])));
    }

    /// <summary>WdfDeviceCreate, after its checks.</summary>
    public static FxDevice Create(KmdfFramework framework, DeviceInit init, ObjectAttributes? attributes)
    {
        var device = new FxDevice(framework, init, attributes) { IsFrameworkOwned = true };
        init.Created = device;
        device.Pnp.FinishCreate();
        return device;
    }

    /// <summary>EvtDriverDeviceAdd succeeded: the I/O manager may use it.</summary>
    public void FinishInitializing() => SetFlags(set: 0, clear: 0x80);

    /// <summary>The device leaves its stack and is gone, with all objects below it.</summary>
    public void Destroy()
    {
        Clean();
        Framework.Devices.Remove(DeviceObject);
        Machine.Io.Detach(Attached);
        Machine.Io.DeleteDevice(DeviceObject);
        Pnp.Free();
        Delete();
    }

    /// <summary>Calls one of the PnP and power callbacks that give a status.</summary>
    public uint Ask(PnpPowerCallback callback, string detail, params ReadOnlySpan<ulong> more)
        => Framework.Ask(Client, $"EvtDevice{callback}", detail, Init.Callbacks[(int)callback], [Handle, .. more]);

    /// <summary>Calls one of them that gives nothing.</summary>
    public void Raise(PnpPowerCallback callback, string detail)
        => Framework.Raise(Client, $"EvtDevice{callback}", detail, Init.Callbacks[(int)callback], Handle);

    // ---- requests ----

    public void AcquireRemoveLock() => _removeLocks++;

    public void ReleaseRemoveLock() => _removeLocks--;

    public void ReleaseRemoveLockAndWait()
    {
        _removing = true;
        ReleaseRemoveLock();
        if (Machine.RunUntil(() => _removeLocks == 0)) return;
        throw Framework.Violation(WdfViolation.PnpFatalError, $"{_removeLocks} requests hold up the removal of {this}");
    }

    /// <summary>Sends a request down that the framework has done its part for.</summary>
    public uint PassDown(FxIrp irp)
    {
        uint status = irp.SendOn(Attached);
        ReleaseRemoveLock();
        return status;
    }

    public uint CompleteAndRelease(FxIrp irp, uint status)
    {
        irp.Complete(status);
        ReleaseRemoveLock();
        return status;
    }

    private uint DispatchWithLock(FxIrp irp)
    {
        byte major = irp.Major;
        if (major is Irp.Pnp or Irp.Power or Irp.SystemControl)
        {
            if (_removing) return irp.Complete(NtStatus.DeletePending);
            if (major != Irp.Pnp || irp.Minor != Irp.Remove) AcquireRemoveLock();
        }
        return major switch
        {
            Irp.Pnp => Pnp.Dispatch(irp),
            Irp.Power => Policy.Dispatch(irp),
            Irp.SystemControl => PassDown(irp),
            Irp.Read or Irp.Write or Irp.DeviceControl or Irp.InternalDeviceControl => DispatchIo(irp),
            Irp.Create => Files.Create(irp),
            Irp.Cleanup => Files.CleanUp(irp),
            Irp.Close => Files.Close(irp),
            _ => DispatchGeneral(irp),
        };
    }

    private uint DispatchIo(FxIrp irp)
    {
        FxQueue? queue = _dispatch[irp.Major];
        if (Init.IsFilter && (queue is null || (queue == DefaultQueue && !queue.Handles(irp.Major)))) return irp.Skip(Attached);
        if (queue is not null) return queue.Accept(irp);
        irp.Information = 0;
        return irp.Complete(NtStatus.InvalidDeviceRequest);
    }

    /// <summary>What a function driver of the framework's has no use for.</summary>
    private uint DispatchGeneral(FxIrp irp)
    {
        if (Init.IsFilter) return irp.Skip(Attached);
        irp.Information = 0;
        return irp.Complete(NtStatus.InvalidDeviceRequest);
    }

    // ---- queues ----

    public void AddQueue(FxQueue queue, bool isDefault)
    {
        _queues.Add(queue);
        if (!isDefault) return;
        DefaultQueue = queue;
        for (int i = 0; i < _dispatch.Length; i++) _dispatch[i] ??= queue;
    }

    public void RemoveQueue(FxQueue queue) => _queues.Remove(queue);

    /// <summary>WdfDeviceConfigureRequestDispatching. False when the kind of request has its queue already.</summary>
    public bool Configure(FxQueue queue, byte major)
    {
        if (_dispatch[major] is { } old && old != DefaultQueue) return false;
        _dispatch[major] = queue;
        return true;
    }

    /// <summary>A file is cleaned up: what of it waits in a queue ends.</summary>
    public void CancelFile(ulong file)
    {
        foreach (FxQueue queue in _queues.ToArray()) queue.CancelFile(file);
    }

    public void HoldQueues()
    {
        foreach (FxQueue queue in _queues) queue.StartHold();
        foreach (FxQueue queue in _queues.ToArray()) queue.Hold();
    }

    public void ResumeQueues()
    {
        foreach (FxQueue queue in _queues.ToArray()) queue.Resume();
    }

    public void PurgeQueues(bool powerManaged)
    {
        foreach (FxQueue queue in _queues.Where(q => q.IsPowerManaged == powerManaged).ToArray()) queue.PurgeForRemove();
    }

    // ---- hardware ----

    /// <summary>Gives each interrupt descriptor to the next interrupt object.</summary>
    public void AssignInterrupts()
    {
        RevokeInterrupts();
        IReadOnlyList<InterruptResource> granted = Resources.Interrupts;
        for (int i = 0; i < Math.Min(granted.Count, Interrupts.Count); i++) Interrupts[i].Resource = granted[i];
    }

    public void RevokeInterrupts() => Interrupts.ForEach(i => i.Resource = null);

    // ---- device interfaces ----

    /// <summary>IoRegisterDeviceInterface; the name is kept here.</summary>
    public uint AddInterface(ulong guid, ulong reference)
    {
        ulong text = Machine.AllocateKernel(Machine.Layout.StringSize, "symbolic link name");
        uint status = (uint)Machine.Names.RegisterInterface(Pdo, guid, reference, text);
        if (NtStatus.IsSuccess(status))
        {
            string name = Guest.UnicodeString(text);
            Machine.Memory.Free(Guest.Pointer(text + (ulong)Machine.Layout.StringBuffer));
            bool enabled = Pnp.State == PnpState.Started;
            if (enabled) Machine.Names.SetInterface(name, enable: true);
            _interfaces.Add((name, enabled));
        }
        Machine.FreeKernel(text, "symbolic link name");
        return status;
    }

    public void EnableInterfaces(bool enable)
    {
        for (int i = 0; i < _interfaces.Count; i++)
        {
            if (_interfaces[i].Enabled == enable) continue;
            Machine.Names.SetInterface(_interfaces[i].Name, enable);
            _interfaces[i] = (_interfaces[i].Name, enable);
        }
    }

    /// <summary>A filter is to those above it what the device below is.</summary>
    private void ResembleAttached()
    {
        NtLayout layout = Machine.Layout;
        SetFlags(set: Guest.U32(Attached + (ulong)layout.DeviceFlags) & (BufferedIo | DirectIo | PowerPagable | PowerInrush), clear: 0);
        Guest.SetU32(DeviceObject + (ulong)layout.DeviceType, Guest.U32(Attached + (ulong)layout.DeviceType));
        Guest.SetU32(DeviceObject + (ulong)layout.DeviceCharacteristics, Guest.U32(Attached + (ulong)layout.DeviceCharacteristics));
    }

    private static FxDevice Find(KmdfFramework framework, ulong deviceObject)
        => framework.Devices.GetValueOrDefault(deviceObject)
            ?? throw framework.Machine.Crash($"a request for 0x{deviceObject:x}, which is no device of the framework any more");

    private void SetFlags(uint set, uint clear)
    {
        ulong at = DeviceObject + (ulong)Machine.Layout.DeviceFlags;
        Guest.SetU32(at, (Guest.U32(at) | set) & ~clear);
    }
}

/// <param name="IsPassive">They come at PASSIVE_LEVEL.</param>
/// <param name="Lock">Null: they may come at the same time.</param>
internal sealed record CallbackConstraints(bool IsPassive, CallbackLock? Lock);

/// <summary>Keeps the callbacks of a device or queue apart, when the driver asked for that. A callback that would come inside another waits.</summary>
internal sealed class CallbackLock(KmdfFramework framework, ExecutionLevel level)
{
    public bool IsHeld { get; private set; }

    /// <summary>At DISPATCH_LEVEL, unless the driver wants its callbacks at PASSIVE_LEVEL.</summary>
    public void Run(Action callback)
    {
        // At DISPATCH_LEVEL who holds it is done before anything else comes; at PASSIVE_LEVEL it may be waiting for something in the middle.
        if (IsHeld && !framework.Machine.RunUntil(() => !IsHeld)) throw framework.Machine.Crash("a callback waits for another callback for ever");
        IsHeld = true;
        framework.AtIrql(level == ExecutionLevel.Passive ? Irql.Passive : Irql.Dispatch, () =>
        {
            callback();
            return 0;
        });
        IsHeld = false;
    }
}
