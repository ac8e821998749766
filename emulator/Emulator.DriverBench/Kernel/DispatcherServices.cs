using Emulator.DriverBench.Cpu;

namespace Emulator.DriverBench.Kernel;

/// <summary>Ke's dispatcher objects and the waits for them: events, semaphores, mutexes; Ex's fast mutexes and resources.</summary>
internal sealed class DispatcherServices(BenchMachine machine)
{
    private const byte SynchronizationEvent = 1, Mutant = 2, Semaphore = 5, Thread = 6, NotificationTimer = 8, SynchronizationTimer = 9;
    private const uint NotOwned = 0xC000_0046, LimitExceeded = 0xC000_0047;
    private readonly Dictionary<ulong, Resource> _resources = [];

    private GuestMemory Guest => machine.Guest;

    public void AddTo(NtServices nt)
    {
        nt.Add("KeInitializeEvent", "pub", Irql.High, a => InitializeHeader(a[0], (byte)a[1], (byte)a[2]));
        nt.Add("KeSetEvent", "pub", Irql.Dispatch, a => Exchange(a[0], 1));
        nt.Add("KeResetEvent", "p", Irql.Dispatch, a => Exchange(a[0], 0));
        nt.Add("KeClearEvent", "p", Irql.Dispatch, a => Exchange(a[0], 0));
        nt.Add("KeReadStateEvent", "p", Irql.Dispatch, a => Guest.U32(a[0] + 4));
        nt.Add("KeInitializeSemaphore", "puu", Irql.Dispatch, a => InitializeSemaphore(a[0], (uint)a[1], (uint)a[2]));
        nt.Add("KeReleaseSemaphore", "puub", Irql.Dispatch, a => ReleaseSemaphore(a[0], (int)a[2]));
        nt.Add("KeReadStateSemaphore", "p", Irql.Dispatch, a => Guest.U32(a[0] + 4));
        nt.Add("KeInitializeMutex", "pu", Irql.Dispatch, a => InitializeMutex(a[0]));
        nt.Add("KeReleaseMutex", "pb", Irql.Dispatch, a => ReleaseMutex(a[0]));
        nt.Add("KeReadStateMutex", "p", Irql.Dispatch, a => Guest.U32(a[0] + 4));
        nt.Add("KeWaitForSingleObject", "puubp", Irql.Dispatch, a => Wait([a[0]], all: true, a[4]));
        nt.Add("KeWaitForMultipleObjects", "upuubbpp", Irql.Dispatch, a => Wait(Pointers(a[1], (int)a[0]), all: (uint)a[2] == 0, a[6]));
        nt.Add("KeWaitForMutexObject", "puubp", Irql.Dispatch, a => Wait([a[0]], all: true, a[4]));
        nt.Add("KeDelayExecutionThread", "bbp", Irql.Apc, a => Delay((long)Guest.U64(a[2])));
        // The bench delivers no APCs: these change nothing that a driver could see.
        foreach (string name in (string[])["KeEnterCriticalRegion", "KeLeaveCriticalRegion", "KeEnterGuardedRegion", "KeLeaveGuardedRegion"])
        {
            nt.Add(name, "", Irql.Apc, _ => 0);
        }
        nt.Add("ExInitializeFastMutex", "p", Irql.Dispatch, a => InitializeFastMutex(a[0]));
        nt.Add("KeInitializeGuardedMutex", "p", Irql.Dispatch, a => InitializeFastMutex(a[0]));
        foreach (string name in (string[])["ExAcquireFastMutex", "ExAcquireFastMutexUnsafe", "KeAcquireGuardedMutex", "KeAcquireGuardedMutexUnsafe"])
        {
            nt.Add(name, "p", Irql.Apc, a => AcquireFastMutex(a[0], raise: name == "ExAcquireFastMutex"), CallConvention.FastCall);
        }
        foreach (string name in (string[])["ExReleaseFastMutex", "ExReleaseFastMutexUnsafe", "KeReleaseGuardedMutex", "KeReleaseGuardedMutexUnsafe"])
        {
            nt.Add(name, "p", Irql.Apc, a => ReleaseFastMutex(a[0], lower: name == "ExReleaseFastMutex"), CallConvention.FastCall);
        }
        nt.Add("ExTryToAcquireFastMutex", "p", Irql.Apc,
            a => Guest.U32(a[0]) == 1 ? AcquireFastMutex(a[0], raise: true) + 1 : 0, CallConvention.FastCall);
        nt.Add("ExInitializeResourceLite", "p", Irql.Dispatch, a => InitializeResource(a[0]));
        nt.Add("ExDeleteResourceLite", "p", Irql.Dispatch, a => DeleteResource(a[0]));
        nt.Add("ExAcquireResourceExclusiveLite", "pb", Irql.Apc, a => AcquireResource(a[0], exclusive: true, wait: a[1] != 0));
        nt.Add("ExAcquireResourceSharedLite", "pb", Irql.Apc, a => AcquireResource(a[0], exclusive: false, wait: a[1] != 0));
        nt.Add("ExReleaseResourceLite", "p", Irql.Dispatch, a => ReleaseResource(a[0]), CallConvention.FastCall);
    }

    /// <summary>DISPATCHER_HEADER: type, state, and an empty list of waiters.</summary>
    public ulong InitializeHeader(ulong at, byte type, uint state)
    {
        Guest.SetU32(at, type);
        Guest.SetU32(at + 4, state);
        Guest.SetPointer(at + 8, at + 8);
        Guest.SetPointer(at + 8 + (ulong)machine.Layout.Pointer, at + 8);
        return 0;
    }

    /// <summary>Sets an event as the I/O manager does. 0 is none.</summary>
    public void Signal(ulong at)
    {
        if (at != 0) Guest.SetU32(at + 4, 1);
    }

    private uint Exchange(ulong at, uint state)
    {
        uint old = Guest.U32(at + 4);
        Guest.SetU32(at + 4, state);
        return old;
    }

    // Behind the header: a semaphore's limit; a mutex's list entry, then its owner.
    private ulong Limit => machine.Is64Bit ? 0x18u : 0x10;
    private ulong Owner => machine.Is64Bit ? 0x28u : 0x18;

    private ulong InitializeSemaphore(ulong at, uint count, uint limit)
    {
        Guest.SetU32(at + Limit, limit);
        return InitializeHeader(at, Semaphore, count);
    }

    private ulong ReleaseSemaphore(ulong at, int adjustment)
    {
        uint old = Guest.U32(at + 4);
        if (adjustment < 0 || (long)old + adjustment > Guest.U32(at + Limit)) throw machine.Crash($"KeReleaseSemaphore beyond its limit, 0x{LimitExceeded:x8}");
        Guest.SetU32(at + 4, (uint)(old + adjustment));
        return old;
    }

    private ulong InitializeMutex(ulong at)
    {
        Guest.SetPointer(at + Owner, 0);
        return InitializeHeader(at, Mutant, 1);
    }

    private ulong ReleaseMutex(ulong at)
    {
        if (Guest.Pointer(at + Owner) != machine.Threads.Current) throw machine.Crash($"KeReleaseMutex by a thread that does not own it, 0x{NotOwned:x8}");
        uint old = Guest.U32(at + 4);
        Guest.SetU32(at + 4, old + 1);
        if (old == 0) Guest.SetPointer(at + Owner, 0);
        return old;
    }

    private ulong[] Pointers(ulong at, int count)
    {
        if (count is < 1 or > 64) throw machine.Crash($"a wait for {count} objects");
        var pointers = new ulong[count];
        for (int i = 0; i < count; i++) pointers[i] = Guest.Pointer(at + (ulong)(i * machine.Layout.Pointer));
        return pointers;
    }

    private bool IsSignalled(ulong at, ulong thread)
    {
        byte type = Guest.Byte(at);
        if (type is not (0 or SynchronizationEvent or Mutant or Semaphore or Thread or NotificationTimer or SynchronizationTimer))
        {
            throw machine.Crash($"a wait for 0x{at:x}, which is no event, semaphore, mutex, timer or thread");
        }
        return (int)Guest.U32(at + 4) > 0 || (type == Mutant && Guest.Pointer(at + Owner) == thread);
    }

    /// <summary>What a wait that ends does to its object.</summary>
    private void Take(ulong at)
    {
        switch (Guest.Byte(at))
        {
            case SynchronizationEvent or SynchronizationTimer: Guest.SetU32(at + 4, 0); break;
            case Semaphore: Guest.SetU32(at + 4, Guest.U32(at + 4) - 1); break;
            case Mutant:
                Guest.SetU32(at + 4, Guest.U32(at + 4) - 1);
                Guest.SetPointer(at + Owner, machine.Threads.Current);
                break;
        }
    }

    private ulong Wait(ulong[] objects, bool all, ulong timeout)
    {
        long time = timeout == 0 ? 0 : (long)Guest.U64(timeout);
        if (machine.CurrentIrql >= Irql.Dispatch && (timeout == 0 || time != 0)) machine.Report(Rule.Irql, $"a wait at IRQL {machine.CurrentIrql}");
        ulong thread = machine.Threads.Current;
        bool Ready() => all ? Array.TrueForAll(objects, o => IsSignalled(o, thread)) : Array.Exists(objects, o => IsSignalled(o, thread));
        bool ended = timeout == 0 ? machine.RunUntil(Ready)
            : time == 0 ? Ready() : machine.RunUntil(Ready, Math.Max(0, machine.Time.Due(time) - machine.Timers.Now));
        if (!ended) return timeout != 0 ? NtStatus.Timeout : throw machine.Crash("a wait that nothing ends");
        int first = all ? 0 : Array.FindIndex(objects, o => IsSignalled(o, thread));
        foreach (ulong taken in all ? objects : [objects[first]]) Take(taken);
        return (ulong)first;
    }

    private ulong Delay(long time)
    {
        machine.RunUntil(() => false, Math.Max(0, machine.Time.Due(time) - machine.Timers.Now));
        return NtStatus.Success;
    }

    // FAST_MUTEX: Count, Owner, Contention, Event, OldIrql.
    private ulong InitializeFastMutex(ulong at)
    {
        Guest.SetU32(at, 1);
        Guest.SetPointer(at + (ulong)machine.Layout.Pointer, 0);
        return InitializeHeader(at + (machine.Is64Bit ? 0x18u : 0xC), SynchronizationEvent, 0);
    }

    private ulong AcquireFastMutex(ulong at, bool raise)
    {
        ulong owner = at + (ulong)machine.Layout.Pointer;
        if (Guest.U32(at) != 1 && Guest.Pointer(owner) == machine.Threads.Current)
        {
            throw machine.Crash($"the fast mutex at 0x{at:x} is taken twice by one thread");
        }
        if (!machine.RunUntil(() => Guest.U32(at) == 1)) throw machine.Crash("a wait for a fast mutex that nothing ends");
        Guest.SetU32(at, 0);
        Guest.SetPointer(owner, machine.Threads.Current);
        if (!raise) return 0;
        Guest.SetU32(at + (machine.Is64Bit ? 0x30u : 0x1C), machine.CurrentIrql);
        machine.CurrentIrql = Irql.Apc;
        return 0;
    }

    private ulong ReleaseFastMutex(ulong at, bool lower)
    {
        ulong owner = at + (ulong)machine.Layout.Pointer;
        if (Guest.U32(at) == 1 || Guest.Pointer(owner) != machine.Threads.Current)
        {
            machine.Report(Rule.Mutex, $"the fast mutex at 0x{at:x} is released by a thread that does not own it");
        }
        Guest.SetU32(at, 1);
        Guest.SetPointer(owner, 0);
        if (lower) machine.CurrentIrql = Guest.Byte(at + (machine.Is64Bit ? 0x30u : 0x1C));
        return 0;
    }

    private Resource FindResource(ulong at) => _resources.TryGetValue(at, out Resource? found) ? found : throw machine.Crash($"no resource at 0x{at:x}");

    private ulong InitializeResource(ulong at)
    {
        _resources[at] = new Resource();
        return NtStatus.Success;
    }

    private ulong DeleteResource(ulong at)
    {
        if (FindResource(at).Holders.Count > 0) machine.Report(Rule.Mutex, $"the resource at 0x{at:x} is deleted while it is held");
        _resources.Remove(at);
        return NtStatus.Success;
    }

    private ulong AcquireResource(ulong at, bool exclusive, bool wait)
    {
        Resource resource = FindResource(at);
        ulong thread = machine.Threads.Current;
        bool Free() => resource.Holders.TrueForAll(h => h == thread) || (!exclusive && !resource.IsExclusive);
        if (!Free() && (!wait || !machine.RunUntil(Free))) return wait ? throw machine.Crash("a wait for a resource that nothing ends") : 0u;
        if (resource.Holders.Count == 0) resource.IsExclusive = exclusive;
        resource.Holders.Add(thread);
        return 1;
    }

    private ulong ReleaseResource(ulong at)
    {
        if (!FindResource(at).Holders.Remove(machine.Threads.Current))
        {
            throw machine.Crash($"the resource at 0x{at:x} is released by a thread that does not hold it");
        }
        return 0;
    }

    private sealed class Resource
    {
        public List<ulong> Holders { get; } = [];
        public bool IsExclusive { get; set; }
    }
}
