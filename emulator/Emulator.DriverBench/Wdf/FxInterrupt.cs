using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>A WDF_INTERRUPT_CONFIG that was checked.</summary>
internal sealed record InterruptConfig(ulong Isr, ulong Dpc, ulong Enable, ulong Disable, bool IsSerialized);

/// <summary>WDFINTERRUPT: one message of the device, or its line; connected while the device is in D0.</summary>
internal sealed class FxInterrupt : FxObject
{
    private readonly InterruptConfig _config;
    private readonly ulong _dpc;
    private byte _irql;
    private bool _enabled;

    public FxInterrupt(FxDevice device, FxObject parent, ObjectAttributes? attributes, InterruptConfig config)
        : base(device.Framework, device.Client, "WDFINTERRUPT", parent, attributes)
    {
        (Device, _config, Number) = (device, config, device.Interrupts.Count);
        // The DPC's context is found again by its address, and the service routine's by the interrupt object's.
        _dpc = Machine.AllocateKernel(Machine.Layout.DpcSize, $"KDPC of {ToString()}");
        Machine.Interrupts.InitializeDpc(_dpc, Framework.AddressOf("FxInterrupt::_InterruptDpcThunk"), Handle);
        device.Interrupts.Add(this);
    }

    public FxDevice Device { get; }

    /// <summary>Which of the device's interrupt objects, from 0: what the service routine is given as message.</summary>
    public int Number { get; }

    /// <summary>What START granted; null when there was not enough for it.</summary>
    public InterruptResource? Resource { get; set; }

    /// <summary>KINTERRUPT; 0 when not connected.</summary>
    public ulong Object { get; private set; }
    public bool HasDpc => _config.Dpc != 0;

    private string Name => Resource is { Message: { } message } ? $"message {message}" : "line";

    public static void AddTo(KmdfFramework framework, NtServices library)
    {
        library.Add("FxInterrupt::_InterruptThunk", "pp", Irql.High, a => framework.Handles.Get<FxInterrupt>(a[1], "WDFINTERRUPT").Serve());
        library.Add("FxInterrupt::_InterruptDpcThunk", "pppp", Irql.Dispatch, a => framework.Handles.Get<FxInterrupt>(a[1], "WDFINTERRUPT").RunDpc());
    }

    /// <summary>Connects, then lets the driver enable it, at device IRQL. Success without a resource.</summary>
    public uint Connect()
    {
        if (Resource is not { } resource) return NtStatus.Success;
        Object = Machine.Interrupts.ConnectOne(Device.Pdo, resource.Message, Framework.AddressOf("FxInterrupt::_InterruptThunk"), Handle);
        if (Object == 0) return NtStatus.InsufficientResources;
        uint status = Switch(enable: true);
        _enabled = NtStatus.IsSuccess(status);
        return status;
    }

    /// <summary>Lets the driver disable it, waits for its DPC, then disconnects.</summary>
    public uint Disconnect()
    {
        if (Object == 0) return NtStatus.Success;
        uint status = _enabled ? Switch(enable: false) : NtStatus.Success;
        _enabled = false;
        Machine.Interrupts.FlushDpcs();
        Machine.Interrupts.Disconnect(Object);
        Object = 0;
        return status;
    }

    /// <summary>WdfInterruptEnable and WdfInterruptDisable call the driver's callback, too.</summary>
    public uint Switch(bool enable)
    {
        (string name, ulong routine) = enable ? ("EvtInterruptEnable", _config.Enable) : ("EvtInterruptDisable", _config.Disable);
        return Framework.AtIrql(Resource!.Irql, () => Framework.Ask(Client, name, Name, routine, Handle, Device.Handle));
    }

    public ulong QueueDpc() => Machine.Interrupts.InsertDpc(_dpc, 0, 0);

    public ulong Synchronize(ulong callback, ulong context)
        => Framework.AtIrql(Connected().Irql, () => Framework.Invoke(Client, "EvtInterruptSynchronize", Name, callback, [Handle, context], out _));

    public ulong AcquireLock()
    {
        byte old = Machine.CurrentIrql;
        if (old >= Connected().Irql) throw Framework.Violation(WdfViolation.RecursiveLock, $"WdfInterruptAcquireLock of {this} at IRQL {old}");
        Machine.CurrentIrql = Resource!.Irql;
        _irql = old;
        return 0;
    }

    public ulong ReleaseLock()
    {
        if (Machine.CurrentIrql != Connected().Irql)
        {
            throw Framework.Violation(WdfViolation.InvalidLockOperation, $"WdfInterruptReleaseLock of {this}, whose lock is not held");
        }
        Machine.CurrentIrql = _irql;
        Machine.Cpu.RequestAttention();
        return 0;
    }

    protected override void OnCleanup()
    {
        if (Object != 0) Disconnect();
        Machine.Interrupts.FlushDpcs();
        Device.Interrupts.Remove(this);
    }

    protected override void OnRelease() => Machine.FreeKernel(_dpc, $"KDPC of {ToString()}");

    private InterruptResource Connected()
        => Object != 0 ? Resource! : throw Framework.Violation(WdfViolation.InvalidInterrupt, $"{Framework.Function} of {this}, which is not connected");

    private ulong Serve() => (byte)Framework.Invoke(Client, "EvtInterruptIsr", Name, _config.Isr, [Handle, (ulong)Number], out _);

    private ulong RunDpc()
    {
        if (_config.IsSerialized && Device.CallbackLock is { } callbacks) callbacks.Run(Call);
        else Call();
        return 0;

        void Call() => Framework.Raise(Client, "EvtInterruptDpc", Name, _config.Dpc, Handle, Device.Handle);
    }
}
