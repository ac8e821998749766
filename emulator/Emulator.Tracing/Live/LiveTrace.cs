using System.Collections.Concurrent;
using System.Diagnostics;
using Emulator.Observation;
using Emulator.Pci;

namespace Emulator.Tracing;

/// <summary>
/// Shows what functions do as it happens, on a thread of its own. A device never waits for it: what the output cannot
/// take in time is left out, counted and said. Within what was shown at once, events are in order over the devices.
/// </summary>
public sealed class LiveTrace : IDisposable
{
    /// <summary>Records a device can be ahead of the output before they are left out.</summary>
    public const int DefaultCapacity = 8 * 1024;

    private const int MaxRemarks = 256;

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(25), Patience = TimeSpan.FromSeconds(5);

    private readonly long _started = Stopwatch.GetTimestamp();
    private readonly Lock _attaching = new();
    private readonly object _sleep = new();
    private readonly TraceRenderer _renderer;
    private readonly TraceFilter _filter;
    private readonly Action<string>? _failed;
    private readonly int _capacity;
    private readonly Thread _thread;
    private LiveDevice[] _devices = [];
    private volatile bool _closing, _stopped;

    /// <param name="renderer">Used on the live view's thread only.</param>
    /// <param name="filter">What to show; null for everything.</param>
    /// <param name="failed">Told once, in one line, why the view ended early, such as an output that was closed.</param>
    /// <param name="capacity">Records a device can be ahead of the output, 32 bytes each.</param>
    public LiveTrace(TraceRenderer renderer, TraceFilter? filter = null, Action<string>? failed = null, int capacity = DefaultCapacity)
    {
        (_renderer, _filter, _failed, _capacity) = (renderer, filter ?? new TraceFilter(), failed, capacity);
        _thread = new Thread(Run) { Name = "live trace", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Events and remarks left out so far.</summary>
    public long NotShown => Volatile.Read(ref _devices).Sum(d => d.Dropped);

    /// <summary>Begins to show a device. Set what it returns as the function's observer, alone or in an <see cref="ObserverTee"/>.</summary>
    /// <param name="deviceTimeZero">As for <see cref="TraceRecorder.Attach"/>.</param>
    public IDeviceObserver Attach(string deviceName, string model, PciFunction function, long? deviceTimeZero = null)
    {
        long startNs = TraceClock.Nanoseconds(_started, deviceTimeZero ?? Stopwatch.GetTimestamp());
        DeviceDescription description = DeviceDescription.Of(deviceName, model, function, startNs);
        lock (_attaching)
        {
            ObjectDisposedException.ThrowIf(_closing, this);
            var device = new LiveDevice(new TracedDevice(_devices.Length, description), _capacity);
            Volatile.Write(ref _devices, [.. _devices, device]);
            return device;
        }
    }

    /// <summary>Shows what is left and ends. An output that is stuck is given up after five seconds.</summary>
    public void Dispose()
    {
        lock (_attaching) _closing = true;
        lock (_sleep) Monitor.Pulse(_sleep);
        if (!_stopped) _thread.Join(Patience);
    }

    private void Run()
    {
        try
        {
            for (bool closing = false; !closing;)
            {
                lock (_sleep)
                {
                    if (!_closing) Monitor.Wait(_sleep, Interval);
                }
                closing = _closing;
                Show(Volatile.Read(ref _devices));
            }
        }
#pragma warning disable CA1031 // Whatever an output throws: an escape would end the process, and the devices with it.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _failed?.Invoke($"the live trace has ended: {e.Message.ReplaceLineEndings(" ")} The devices go on.");
        }
        finally
        {
            _stopped = true;
        }
    }

    // Shows what is there now, merged by time, and says what was left out.
    private void Show(LiveDevice[] devices)
    {
        bool any = false;
        foreach (LiveDevice device in devices) device.Look();
        while (true)
        {
            LiveDevice? earliest = null;
            foreach (LiveDevice device in devices)
            {
                if (device.HasNext && (earliest is null || device.NextTime < earliest.NextTime)) earliest = device;
            }
            if (earliest is null) break;
            TraceEntry entry = earliest.Take();
            if (!_filter.Matches(entry)) continue;
            _renderer.Render(entry);
            any = true;
        }
        long notShown = 0;
        foreach (LiveDevice device in devices) notShown += device.TakeDropped();
        if (notShown > 0) _renderer.NotShown(notShown);
        if (any || notShown > 0) _renderer.Flush();
    }

    private readonly record struct Remark(long Time, long Before, string Text);

    private sealed class LiveDevice(TracedDevice device, int capacity) : IDeviceObserver
    {
        private readonly EventRing _ring = new(capacity, halfFull: null);
        private readonly ConcurrentQueue<Remark> _remarks = new();
        private TraceEntryMaker _maker = new(device);
        private DeviceEvent _code;
        private long _dropped, _said, _left;
        private bool _isRemark;

        public long Dropped => Volatile.Read(ref _dropped);
        public bool HasNext { get; private set; }
        public long NextTime { get; private set; }

        // Device thread; so the count has one writer.
        public void OnEvent(in DeviceEvent deviceEvent)
        {
            if (deviceEvent.Kind == DeviceEventKind.Code)
            {
                // It goes with its access, or not at all.
                _code = deviceEvent;
                return;
            }
            bool withCode = _code.Kind == DeviceEventKind.Code && (deviceEvent.Kind is DeviceEventKind.Read or DeviceEventKind.Write);
            bool done = (!withCode || (_ring.HasRoom(2) && _ring.TryAppend(_code))) && _ring.TryAppend(deviceEvent);
            if (withCode) _code = default;
            if (!done) Volatile.Write(ref _dropped, _dropped + 1);
        }

        public void OnCode(int number, CodePlace place) => device.AddCode(number, place);

        public void OnRemark(long time, string text)
        {
            if (_remarks.Count < MaxRemarks) _remarks.Enqueue(new Remark(time, _ring.Head, text));
            else Volatile.Write(ref _dropped, _dropped + 1);
        }

        /// <summary>Takes stock of what is there; what comes later waits for the next look.</summary>
        public void Look()
        {
            _left = _ring.Head - _ring.Tail;
            FindNext();
        }

        public TraceEntry Take()
        {
            TraceEntry entry;
            if (_isRemark && _remarks.TryDequeue(out Remark remark))
            {
                entry = new TraceEntry(device, NextTime, new DeviceEvent(remark.Time, 0, 0, Ok: true, 0, 0, 0), remark.Text);
            }
            else
            {
                _maker.TryMake(TakeRecord(), out entry);
            }
            FindNext();
            return entry;
        }

        public long TakeDropped()
        {
            long dropped = Dropped, since = dropped - _said;
            _said = dropped;
            return since;
        }

        private DeviceEvent TakeRecord()
        {
            DeviceEvent record = _ring.Peek(1)[0].ToEvent();
            _ring.Take(1);
            _left--;
            return record;
        }

        private void FindNext()
        {
            while (_left > 0 && _ring.Peek(1)[0].ToEvent().Kind == DeviceEventKind.Code) _maker.TryMake(TakeRecord(), out _);
            _isRemark = _remarks.TryPeek(out Remark remark) && remark.Before <= _ring.Tail;
            HasNext = _isRemark || _left > 0;
            if (HasNext) NextTime = device.ToTraceTime(_isRemark ? remark.Time : _ring.Peek(1)[0].ToEvent().Time);
        }
    }
}
