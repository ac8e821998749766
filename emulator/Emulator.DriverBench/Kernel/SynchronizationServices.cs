using Emulator.DriverBench.Cpu;

namespace Emulator.DriverBench.Kernel;

/// <summary>Ke: IRQL and spin locks; Io's cancel lock and remove locks.</summary>
internal sealed class SynchronizationServices(BenchMachine machine)
{
    private readonly Dictionary<ulong, ulong> _spinLocks = [];
    private readonly Dictionary<ulong, RemoveLock> _removeLocks = [];
    private byte _cancelIrql;

    public int LocksHeld => _spinLocks.Count;

    public void AddTo(NtServices nt)
    {
        nt.Add("KeAcquireSpinLockRaiseToDpc", "p", Irql.Dispatch, a => Acquire(a[0]));
        nt.Add("KfAcquireSpinLock", "p", Irql.Dispatch, a => Acquire(a[0]), CallConvention.FastCall);
        nt.Add("KeReleaseSpinLock", "pb", Irql.Dispatch, a => Release(a[0], (byte)a[1]));
        nt.Add("KfReleaseSpinLock", "pb", Irql.Dispatch, a => Release(a[0], (byte)a[1]), CallConvention.FastCall);
        nt.Add("KeGetCurrentIrql", "", Irql.High, _ => machine.CurrentIrql);
        nt.Add("KfRaiseIrql", "b", Irql.High, a => Raise((byte)a[0]), CallConvention.FastCall);
        nt.Add("KeRaiseIrqlToDpcLevel", "", Irql.High, _ => Raise(Irql.Dispatch));
        nt.Add("KfLowerIrql", "b", Irql.High, a => Lower((byte)a[0]), CallConvention.FastCall);
        foreach ((string name, CallConvention convention) in new[] { ("KeAcquireSpinLockAtDpcLevel", CallConvention.StdCall),
            ("KefAcquireSpinLockAtDpcLevel", CallConvention.FastCall) })
        {
            nt.Add(name, "p", Irql.Device, a => AcquireRaised(a[0]), convention);
        }
        foreach ((string name, CallConvention convention) in new[] { ("KeReleaseSpinLockFromDpcLevel", CallConvention.StdCall),
            ("KefReleaseSpinLockFromDpcLevel", CallConvention.FastCall) })
        {
            nt.Add(name, "p", Irql.Device, a => Release(a[0], machine.CurrentIrql), convention);
        }
        nt.Add("KeAcquireInStackQueuedSpinLock", "pp", Irql.Dispatch, a => AcquireQueued(a[0], a[1], raise: true), CallConvention.FastCall);
        nt.Add("KeReleaseInStackQueuedSpinLock", "p", Irql.Dispatch, a => ReleaseQueued(a[0], lower: true), CallConvention.FastCall);
        nt.Add("KeAcquireInStackQueuedSpinLockAtDpcLevel", "pp", Irql.Dispatch, a => AcquireQueued(a[0], a[1], raise: false), CallConvention.FastCall);
        nt.Add("KeReleaseInStackQueuedSpinLockFromDpcLevel", "p", Irql.Dispatch, a => ReleaseQueued(a[0], lower: false), CallConvention.FastCall);
        nt.Add("KeInitializeSpinLock", "p", Irql.High, a =>
        {
            machine.Guest.SetPointer(a[0], 0);
            return 0;
        });
        nt.Add("IoAcquireCancelSpinLock", "p", Irql.Dispatch, a =>
        {
            machine.Guest.SetByte(a[0], AcquireCancel());
            return 0;
        });
        nt.Add("IoReleaseCancelSpinLock", "b", Irql.Dispatch, a => ReleaseCancel((byte)a[0]));
        nt.Add("IoInitializeRemoveLockEx", "puuuu", Irql.Passive, a => InitializeRemoveLock(a[0]));
        nt.Add("IoAcquireRemoveLockEx", "pppuu", Irql.Dispatch, a => AcquireRemoveLock(a[0], a[1]));
        nt.Add("IoReleaseRemoveLockEx", "ppu", Irql.Dispatch, a => ReleaseRemoveLock(a[0], a[1]));
        nt.Add("IoReleaseRemoveLockAndWaitEx", "ppu", Irql.Passive, a => ReleaseAndWait(a[0], a[1]));
    }

    /// <summary>The memory of a device object goes: its locks must be at rest.</summary>
    public void Forget(ulong start, ulong length)
    {
        foreach (ulong at in _removeLocks.Keys.Where(at => at - start < length).ToList())
        {
            int held = _removeLocks[at].Tags.Count;
            if (held > 0) machine.Report(Rule.RemoveLock, $"the device goes while its remove lock is held {held} times");
            _removeLocks.Remove(at);
        }
        foreach (ulong at in _spinLocks.Keys.Where(at => at - start < length).ToList())
        {
            machine.Report(Rule.SpinLock, "the device goes while its spin lock is held");
            _spinLocks.Remove(at);
        }
    }

    // KLOCK_QUEUE_HANDLE: Next, Lock, OldIrql.
    private ulong AcquireQueued(ulong at, ulong handle, bool raise)
    {
        machine.Guest.SetPointer(handle + (ulong)machine.Layout.Pointer, at);
        machine.Guest.SetByte(handle + (ulong)(2 * machine.Layout.Pointer), machine.CurrentIrql);
        return raise ? Acquire(at) : AcquireRaised(at);
    }

    private ulong ReleaseQueued(ulong handle, bool lower)
    {
        ulong at = machine.Guest.Pointer(handle + (ulong)machine.Layout.Pointer);
        return Release(at, lower ? machine.Guest.Byte(handle + (ulong)(2 * machine.Layout.Pointer)) : machine.CurrentIrql);
    }

    private ulong AcquireRaised(ulong at)
    {
        byte irql = machine.CurrentIrql;
        if (irql < Irql.Dispatch) machine.Report(Rule.Irql, $"a spin lock for DISPATCH_LEVEL is taken at IRQL {irql}");
        Acquire(at);
        machine.CurrentIrql = irql;
        return 0;
    }

    /// <summary>What the I/O manager does before it calls a cancel routine, which gives the lock back.</summary>
    public byte AcquireCancel()
    {
        _cancelIrql = machine.CurrentIrql;
        machine.CurrentIrql = Irql.Dispatch;
        return _cancelIrql;
    }

    /// <summary>IoReleaseCancelSpinLock.</summary>
    public ulong ReleaseCancel(byte irql)
    {
        if (irql != _cancelIrql) machine.Report(Rule.SpinLock, $"the cancel lock released to IRQL {irql}, taken at {_cancelIrql}");
        return Lower(irql);
    }

    /// <summary>KeAcquireSpinLock; gives the old IRQL.</summary>
    public ulong Acquire(ulong at)
    {
        byte old = machine.CurrentIrql;
        if (_spinLocks.TryGetValue(at, out ulong holder))
        {
            throw machine.Crash($"the spin lock at 0x{at:x} is taken twice, first by {machine.Symbols.Describe(holder)}");
        }
        _spinLocks.Add(at, machine.CallerAddress);
        machine.Guest.SetPointer(at, 1);
        machine.CurrentIrql = Irql.Dispatch;
        return old;
    }

    /// <summary>KeReleaseSpinLock.</summary>
    public ulong Release(ulong at, byte irql)
    {
        if (!_spinLocks.Remove(at)) machine.Report(Rule.SpinLock, $"the spin lock at 0x{at:x} is released and was not held");
        machine.Guest.SetPointer(at, 0);
        return Lower(irql);
    }

    public byte Raise(byte irql)
    {
        byte old = machine.CurrentIrql;
        if (irql < old) machine.Report(Rule.Irql, $"IRQL raised from {old} to {irql}");
        machine.CurrentIrql = irql;
        return old;
    }

    public ulong Lower(byte irql)
    {
        if (irql > machine.CurrentIrql) machine.Report(Rule.Irql, $"IRQL lowered from {machine.CurrentIrql} to {irql}");
        machine.CurrentIrql = irql;
        machine.Cpu.RequestAttention();
        return 0;
    }

    private ulong InitializeRemoveLock(ulong at)
    {
        _removeLocks[at] = new RemoveLock();
        machine.Guest.SetU32(at, 0);
        machine.Guest.SetU32(at + 4, 1);
        return 0;
    }

    private RemoveLock Find(ulong at) => _removeLocks.TryGetValue(at, out RemoveLock? found) ? found : throw machine.Crash($"no remove lock at 0x{at:x}");

    private ulong AcquireRemoveLock(ulong at, ulong tag)
    {
        RemoveLock found = Find(at);
        if (found.Removed) return NtStatus.DeletePending;
        found.Tags.Add(tag);
        machine.Guest.SetU32(at + 4, (uint)found.Tags.Count + 1);
        return NtStatus.Success;
    }

    private ulong ReleaseRemoveLock(ulong at, ulong tag)
    {
        RemoveLock found = Find(at);
        if (!found.Tags.Remove(tag)) machine.Report(Rule.RemoveLock, $"the remove lock is released for 0x{tag:x}, for which it was not acquired");
        machine.Guest.SetU32(at + 4, (uint)(found.Tags.Count + (found.Removed ? 0 : 1)));
        return 0;
    }

    private ulong ReleaseAndWait(ulong at, ulong tag)
    {
        RemoveLock found = Find(at);
        found.Removed = true;
        machine.Guest.SetByte(at, 1);
        ReleaseRemoveLock(at, tag);
        if (!machine.RunUntil(() => found.Tags.Count == 0)) throw machine.Crash($"the removal waits for a remove lock that is held {found.Tags.Count} times");
        return 0;
    }

    private sealed class RemoveLock
    {
        public List<ulong> Tags { get; } = [];
        public bool Removed { get; set; }
    }
}
