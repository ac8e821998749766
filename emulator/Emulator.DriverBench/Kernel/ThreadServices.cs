using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Pe;

namespace Emulator.DriverBench.Kernel;

/// <summary>
/// System threads and work items. Each thread has a kernel stack, and a thread of the host's whose own stack holds the calls between
/// driver and bench; exactly one of them runs at any time, and hands over only where it waits. So a run repeats.
/// </summary>
internal sealed class ThreadServices
{
    private const byte ThreadType = 6;

    // KPCR.NtTib.ExceptionList on x86: the chain of a thread's exception handlers ends so.
    private const ulong NoHandlers = 0xFFFF_FFFF;
    private readonly BenchMachine _machine;
    private readonly List<GuestThread> _threads = [];
    private readonly Queue<Action> _work = [];
    private readonly GuestThread _main;
    private readonly HashSet<ulong> _items = [];
    private GuestThread _running;
    private readonly ulong _processor;
    private Exception? _failure;
    private int _lastNumber;

    public ThreadServices(BenchMachine machine)
    {
        _machine = machine;
        _main = _running = new GuestThread(machine, 0, null);
        _threads.Add(_main);
        // What inlined functions read through GS or FS.
        _processor = machine.AllocateKernel(0x1000, "KPCR");
        if (machine.Is64Bit) machine.Cpu.State.GsBase = _processor;
        else
        {
            machine.Cpu.State.FsBase = _processor;
            Guest.SetPointer(_processor, NoHandlers);
        }
        ShowCurrent();
    }

    /// <summary>The running thread's KTHREAD.</summary>
    public ulong Current => _running.Object;

    /// <summary>When the next wait of another thread ends by its time.</summary>
    public long NextEnd => _threads.Where(t => t != _running && t.Condition is not null).Select(t => t.End).DefaultIfEmpty(long.MaxValue).Min();

    private GuestMemory Guest => _machine.Guest;

    public void AddTo(NtServices nt)
    {
        nt.Add("PsCreateSystemThread", "puppppp", Irql.Passive, a => CreateThread(a[0], a[5], a[6]), exhausted: NtStatus.InsufficientResources);
        nt.Add("PsTerminateSystemThread", "u", Irql.Passive, a => throw new ThreadEndedException((uint)a[0]));
        nt.Add("KeGetCurrentThread", "", Irql.High, _ => Current);
        nt.Add("PsGetCurrentThread", "", Irql.High, _ => Current);
        nt.Add("PsGetCurrentThreadId", "", Irql.High, _ => (ulong)_running.Number * 4);
        nt.Add("KeSetPriorityThread", "pu", Irql.Dispatch, _ => 8);
        nt.Add("KeSetBasePriorityThread", "pu", Irql.Dispatch, _ => 0);
        nt.Add("IoAllocateWorkItem", "p", Irql.Dispatch, a => AllocateItem(a[0]), exhausted: 0);
        nt.Add("IoFreeWorkItem", "p", Irql.Dispatch, a => FreeItem(a[0]));
        nt.Add("IoQueueWorkItem", "ppup", Irql.Dispatch, a => QueueItem(a[0], a[1], a[3]));
        nt.Add("ExQueueWorkItem", "pu", Irql.Dispatch, a => QueueExecutiveItem(a[0]));
    }

    /// <summary>Lets another thread run that can, until it or a later one hands back. False when there is none.</summary>
    /// <param name="condition">What the running thread waits for.</param>
    /// <param name="end">When it stops waiting.</param>
    public bool RunOther(Func<bool> condition, long end)
    {
        if (_machine.CurrentIrql >= Irql.Dispatch) return false;
        if (_work.Count > 0 && !_threads.Exists(t => t.IsWorker && !t.IsStarted))
        {
            _threads.Add(new GuestThread(_machine, ++_lastNumber, null) { IsWorker = true });
        }
        // In turn, the next of the list first.
        int start = _threads.IndexOf(_running);
        for (int i = 1; i < _threads.Count; i++)
        {
            GuestThread other = _threads[(start + i) % _threads.Count];
            if (!other.CanRun(_machine.Timers.Now)) continue;
            (_running.Condition, _running.End) = (condition, end);
            SwitchTo(other);
            _running.Condition = null;
            return true;
        }
        return false;
    }

    /// <summary>A driver goes: its threads must have ended, its work items must be free.</summary>
    public void CheckLeaks(LoadedImage image)
    {
        foreach (GuestThread thread in _threads.Where(t => image.Contains(t.Routine)).ToList())
        {
            _machine.ReportAt(Rule.Leak, $"{image.ModuleName} is unloaded with its thread running", thread.Routine);
            thread.IsAbandoned = true;
            (_running.Condition, _running.End) = (() => true, long.MaxValue);
            SwitchTo(thread);
            _running.Condition = null;
        }
    }

    /// <summary>The device's memory goes.</summary>
    public void Forget(ulong device)
    {
        foreach (ulong item in _items.Where(i => Guest.Pointer(i) == device).ToList())
        {
            _machine.Report(Rule.Leak, "the device goes while it has a work item");
            _items.Remove(item);
        }
    }

    private void ShowCurrent() => Guest.SetPointer(_processor + (_machine.Is64Bit ? 0x188u : 0x124), Current);

    private void SwitchTo(GuestThread next)
    {
        GuestThread from = _running;
        from.Save();
        _running = next;
        ShowCurrent();
        next.Resume(Body);
        from.Pause();
        from.Restore();
        if (from == _main && _failure is { } failure)
        {
            _failure = null;
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
        }
        if (from.IsAbandoned) throw new ThreadEndedException(0);
    }

    /// <summary>A thread from its first instruction to its end; hands over to one that can run, at last to the main one.</summary>
    private void Body(GuestThread thread)
    {
        try
        {
            while (thread.IsWorker && _work.TryDequeue(out Action? work)) work();
            if (!thread.IsWorker && !thread.IsAbandoned) _machine.Call(thread.Routine, thread.Context);
        }
        catch (ThreadEndedException)
        {
        }
        catch (Exception e) when (e is not ThreadEndedException)
        {
            // Whatever it is, it is the machine's caller who learns of it, not the host's thread, whose end would be the process's.
            _failure = e is RaisedException ? _machine.Crash(e.Message) : e;
        }
        Guest.SetU32(thread.Object + 4, 1);
        _threads.Remove(thread);
        thread.FreeStack();
        // The main thread is always waiting while another one runs; it looks again at what it waits for.
        _running = _main;
        ShowCurrent();
        _main.Resume(Body);
    }

    private ulong CreateThread(ulong handle, ulong routine, ulong context)
    {
        var thread = new GuestThread(_machine, ++_lastNumber, routine) { Context = context };
        _machine.Dispatcher.InitializeHeader(thread.Object, ThreadType, 0);
        _threads.Add(thread);
        Guest.SetPointer(handle, _machine.Objects.CreateHandle(thread.Object));
        return NtStatus.Success;
    }

    // IO_WORKITEM is NT's own: the device, the routine, the context.
    private ulong AllocateItem(ulong device)
    {
        ulong item = _machine.AllocateKernel(4 * _machine.Layout.Pointer, "IO_WORKITEM");
        Guest.SetPointer(item, device);
        _items.Add(item);
        return item;
    }

    private ulong FreeItem(ulong item)
    {
        if (!_items.Remove(item)) throw _machine.Crash($"IoFreeWorkItem of 0x{item:x}, which is no work item");
        _machine.FreeKernel(item, "IO_WORKITEM");
        return 0;
    }

    private ulong QueueItem(ulong item, ulong routine, ulong context)
    {
        if (!_items.Contains(item)) throw _machine.Crash($"IoQueueWorkItem of 0x{item:x}, which is no work item");
        ulong device = Guest.Pointer(item);
        // The I/O manager keeps the device while the item is queued.
        _machine.Io.Reference(device);
        _work.Enqueue(() =>
        {
            _machine.Call(routine, device, context);
            _machine.Io.Dereference(device);
        });
        return 0;
    }

    // WORK_QUEUE_ITEM: a list entry, the routine, its parameter.
    private ulong QueueExecutiveItem(ulong item)
    {
        ulong pointer = (ulong)_machine.Layout.Pointer;
        _work.Enqueue(() => _machine.Call(Guest.Pointer(item + (2 * pointer)), Guest.Pointer(item + (3 * pointer))));
        return 0;
    }

    /// <summary>The guest's thread has nothing more to do: its host's stack unwinds.</summary>
    private sealed class ThreadEndedException(uint status) : Exception($"A system thread ended with 0x{status:x8}.");

    private sealed class GuestThread
    {
        private readonly BenchMachine _machine;
        private readonly object _gate = new();
        private bool _isItsTurn;
        private readonly ulong _stack;
        private Thread? _host;
        private CpuContext _context;
        private BenchMachine.CallState _calls;
        private readonly bool _isMain;
        private ulong _handlers;

        public GuestThread(BenchMachine machine, int number, ulong? routine)
        {
            (_machine, Number, Routine) = (machine, number + 1, routine ?? 0);
            _isMain = number == 0;
            Object = machine.AllocateKernel(0x500, "KTHREAD");
            if (!_isMain) _stack = machine.AllocateStack();
        }

        public int Number { get; }
        public ulong Object { get; }
        public ulong Routine { get; }
        public ulong Context { get; init; }
        public bool IsWorker { get; init; }
        public bool IsStarted => _host is not null;

        /// <summary>Its driver is gone: it ends where it waits.</summary>
        public bool IsAbandoned { get; set; }

        /// <summary>What it waits for; null while it runs.</summary>
        public Func<bool>? Condition { get; set; }
        public long End { get; set; }

        public bool CanRun(long now) => (_host is null && !_isMain) || (Condition is { } condition && (End <= now || condition()));

        public void Save()
        {
            (_context, _calls) = (_machine.Cpu.State.Save(), _machine.SaveCalls());
            if (!_machine.Is64Bit) _handlers = _machine.Guest.Pointer(_machine.Cpu.State.FsBase);
        }

        public void Restore()
        {
            _machine.Cpu.State.Restore(_context);
            _machine.RestoreCalls(_calls);
            if (!_machine.Is64Bit) _machine.Guest.SetPointer(_machine.Cpu.State.FsBase, _handlers);
        }

        /// <summary>Lets it go on, or begin.</summary>
        public void Resume(Action<GuestThread> body)
        {
            if (_host is not null || _isMain)
            {
                lock (_gate)
                {
                    _isItsTurn = true;
                    Monitor.Pulse(_gate);
                }
                return;
            }
            _host = new Thread(() =>
            {
                _machine.Cpu.State.Rsp = _stack;
                _machine.RestoreCalls(default);
                if (!_machine.Is64Bit) _machine.Guest.SetPointer(_machine.Cpu.State.FsBase, NoHandlers);
                body(this);
            })
            { IsBackground = true, Name = $"bench thread {Number}" };
            _host.Start();
        }

        /// <summary>Until somebody lets it go on.</summary>
        public void Pause()
        {
            lock (_gate)
            {
                while (!_isItsTurn) Monitor.Wait(_gate);
                _isItsTurn = false;
            }
        }

        public void FreeStack() => _machine.FreeStack(_stack);
    }
}
