using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>Spin locks and wait locks.</summary>
internal sealed class LockFunctions(KmdfFramework framework)
{
    public void AddTo(FunctionTable table)
    {
        table.Add("WdfSpinLockCreate", "pp", Irql.Dispatch, (client, a) => Create(client, a[0], a[1],
            attributes => new FxSpinLock(framework, client, Parent(client, attributes), attributes)));
        table.Add("WdfSpinLockAcquire", "p", Irql.Dispatch, (_, a) => Spin(a[0]).Enter());
        table.Add("WdfSpinLockRelease", "p", Irql.Dispatch, (_, a) => Spin(a[0]).Leave());
        table.Add("WdfWaitLockCreate", "pp", Irql.Passive, (client, a) => Create(client, a[0], a[1],
            attributes => new FxWaitLock(framework, client, Parent(client, attributes), attributes)));
        table.Add("WdfWaitLockAcquire", "pp", Irql.Dispatch, (_, a) => Wait(a[0]).Enter(a[1]));
        table.Add("WdfWaitLockRelease", "p", Irql.Dispatch, (_, a) => Wait(a[0]).Leave());
    }

    private FxSpinLock Spin(ulong handle) => framework.Handles.Get<FxSpinLock>(handle, "WDFSPINLOCK");
    private FxWaitLock Wait(ulong handle) => framework.Handles.Get<FxWaitLock>(handle, "WDFWAITLOCK");

    private FxObject? Parent(FxClient client, ObjectAttributes? attributes)
        => attributes is { Parent: not 0 } ? framework.Handles.Get<FxObject>(attributes.Parent, "WDFOBJECT") : client.Driver;

    private ulong Create(FxClient client, ulong at, ulong target, Func<ObjectAttributes?, FxObject> create)
    {
        framework.NotNull(target, "the lock");
        uint status = ObjectAttributes.Read(framework, at, AttributeRules.Any, out ObjectAttributes? attributes);
        if (NtStatus.IsSuccess(status)) framework.Machine.Guest.SetPointer(target, create(attributes).Handle);
        return status;
    }

    /// <summary>A KSPIN_LOCK of NT's with its owner's old IRQL.</summary>
    private sealed class FxSpinLock : FxObject
    {
        private readonly ulong _lock;
        private byte _irql;
        private bool _held;

        public FxSpinLock(KmdfFramework framework, FxClient client, FxObject? parent, ObjectAttributes? attributes)
            : base(framework, client, "WDFSPINLOCK", parent, attributes) => _lock = Machine.AllocateKernel(8, "WDFSPINLOCK");

        public ulong Enter()
        {
            if (_held) throw Framework.Violation(WdfViolation.RecursiveLock, $"WdfSpinLockAcquire of {this}, which is held");
            _irql = (byte)Machine.Synchronization.Acquire(_lock);
            _held = true;
            return 0;
        }

        public ulong Leave()
        {
            if (!_held) throw Framework.Violation(WdfViolation.InvalidLockOperation, $"WdfSpinLockRelease of {this}, which is not held");
            _held = false;
            Machine.Synchronization.Release(_lock, _irql);
            return 0;
        }

        protected override void OnRelease() => Machine.FreeKernel(_lock, "WDFSPINLOCK");
    }

    private sealed class FxWaitLock(KmdfFramework framework, FxClient client, FxObject? parent, ObjectAttributes? attributes)
        : FxObject(framework, client, "WDFWAITLOCK", parent, attributes)
    {
        private bool _held;

        /// <param name="timeout">Of a LARGE_INTEGER in 100 ns, or NULL for ever. Anything but 0 wants PASSIVE_LEVEL.</param>
        public ulong Enter(ulong timeout)
        {
            long limit = timeout == 0 ? long.MinValue : (long)Guest.U64(timeout);
            if (limit != 0 && Machine.CurrentIrql >= Irql.Dispatch) Machine.Report(Rule.Irql, $"WdfWaitLockAcquire with a wait at IRQL {Machine.CurrentIrql}");
            if (_held && timeout == 0) throw Framework.Violation(WdfViolation.RecursiveLock, $"WdfWaitLockAcquire of {this}, which nobody will release");
            if (_held && !Machine.RunUntil(() => !_held, limit < 0 ? -limit * 100 : 0)) return NtStatus.Timeout;
            _held = true;
            return NtStatus.Success;
        }

        public ulong Leave()
        {
            if (!_held) throw Framework.Violation(WdfViolation.InvalidLockOperation, $"WdfWaitLockRelease of {this}, which is not held");
            _held = false;
            return 0;
        }
    }
}
