using Emulator.DriverBench.Pe;
using Emulator.Time;

namespace Emulator.DriverBench.Kernel;

/// <summary>Ke's timers and clocks, and the I/O manager's timer of a device.</summary>
internal sealed class TimerServices
{
    /// <summary>The bench's machine starts on 1 January 2026, 0:00 UTC, in 100 ns since 1601.</summary>
    private static readonly long Start = new DateTime(2026, 1, 1, 0, 0, 0, DateTimeKind.Utc).ToFileTimeUtc();

    private const long Second = 1_000_000_000;
    private readonly BenchMachine _machine;
    private readonly Dictionary<ulong, Setting> _set = [];
    private readonly Dictionary<ulong, DeviceTimer> _devices = [];
    private readonly IDeviceTimer _next;

    public TimerServices(BenchMachine machine)
    {
        _machine = machine;
        _next = machine.Timers.CreateTimer(Expire);
    }

    /// <summary>In 100 ns since 1601.</summary>
    public long SystemTime => Start + (_machine.Timers.Now / 100);

    private GuestMemory Guest => _machine.Guest;

    public void AddTo(NtServices nt)
    {
        nt.Add("KeInitializeTimer", "p", Irql.Dispatch, a => Initialize(a[0], 0));
        nt.Add("KeInitializeTimerEx", "pu", Irql.Dispatch, a => Initialize(a[0], (uint)a[1]));
        nt.Add("KeSetTimer", "pqp", Irql.Dispatch, a => Set(a[0], (long)a[1], 0, a[2]));
        nt.Add("KeSetTimerEx", "pqup", Irql.Dispatch, a => Set(a[0], (long)a[1], (int)a[2], a[3]));
        nt.Add("KeCancelTimer", "p", Irql.Dispatch, a => Cancel(a[0]));
        nt.Add("KeReadStateTimer", "p", Irql.Dispatch, a => Guest.U32(a[0] + 4));
        nt.Add("IoInitializeTimer", "ppp", Irql.Passive, a => InitializeDeviceTimer(a[0], a[1], a[2]));
        nt.Add("IoStartTimer", "p", Irql.Dispatch, a => StartDeviceTimer(a[0], start: true));
        nt.Add("IoStopTimer", "p", Irql.Dispatch, a => StartDeviceTimer(a[0], start: false));
        nt.Add("KeStallExecutionProcessor", "u", Irql.High, a => { _machine.Stall((long)a[0] * 1000); return 0; });
        nt.Add("KeQuerySystemTime", "p", Irql.High, a => { Guest.SetU64(a[0], (ulong)SystemTime); return 0; });
        nt.Add("KeQueryTickCount", "p", Irql.High, a => { Guest.SetU64(a[0], (ulong)(_machine.Timers.Now / 15_625_000)); return 0; });
        nt.Add("KeQueryInterruptTime", "", Irql.High, _ => (ulong)_machine.Timers.Now / 100);
        nt.Add("KeQueryTimeIncrement", "", Irql.High, _ => 156_250);
        nt.Add("KeQueryPerformanceCounter", "p", Irql.High, a =>
        {
            if (a[0] != 0) Guest.SetU64(a[0], 10_000_000);
            return (ulong)_machine.Timers.Now / 100;
        });
        // The bench's local time is UTC.
        nt.Add("ExSystemTimeToLocalTime", "pp", Irql.High, a => { Guest.SetU64(a[1], Guest.U64(a[0])); return 0; });
        nt.Add("ExLocalTimeToSystemTime", "pp", Irql.High, a => { Guest.SetU64(a[1], Guest.U64(a[0])); return 0; });
        nt.Add("RtlTimeToTimeFields", "pp", Irql.High, a => ToFields((long)Guest.U64(a[0]), a[1]));
    }

    /// <summary>When a time that a driver gives is, in the machine's nanoseconds: below 0 from now on, else since 1601.</summary>
    public long Due(long time)
    {
        // -time of the smallest would overflow, and everything beyond a century is the same.
        const long Far = long.MaxValue / 400;
        if (time < 0) return _machine.Timers.Now + (Math.Min(-(time + 1), Far) * 100) + 100;
        return Math.Clamp(time - Start, 0, Far) * 100;
    }

    /// <summary>Memory goes: no timer in it may be set.</summary>
    public void Forget(ulong start, ulong length, string what)
    {
        foreach (ulong at in _set.Keys.Where(at => at - start < length).ToList())
        {
            _machine.Report(Rule.Leak, $"{what} goes while its timer is set");
            _set.Remove(at);
        }
        if (!_devices.Remove(start, out DeviceTimer? timer)) return;
        if (timer.IsRunning) _machine.Report(Rule.Leak, $"{what} goes while its I/O timer runs");
        timer.Tick.Cancel();
    }

    /// <summary>A driver goes: its timers, and those that would call it.</summary>
    public void CheckLeaks(LoadedImage image)
    {
        foreach (ulong at in _set.Where(s => image.Contains(s.Key) || image.Contains(RoutineOf(s.Value.Dpc))).Select(s => s.Key).ToList())
        {
            _machine.ReportAt(Rule.Leak, $"{image.ModuleName} is unloaded with a timer set", RoutineOf(_set[at].Dpc));
            _set.Remove(at);
        }
    }

    private ulong RoutineOf(ulong dpc) => dpc == 0 ? 0 : Guest.Pointer(dpc + (ulong)_machine.Layout.DpcRoutine);

    // TimerNotificationObject 8, TimerSynchronizationObject 9; DueTime behind the header, then a list entry, the DPC and the period.
    private ulong Initialize(ulong at, uint type)
    {
        if (_set.ContainsKey(at)) _machine.Report(Rule.Timer, "a timer is initialized while it is set");
        _set.Remove(at);
        Guest.SetBytes(at, new byte[_machine.Is64Bit ? 0x40 : 0x28]);
        _machine.Dispatcher.InitializeHeader(at, (byte)(8 + type), 0);
        return 0;
    }

    private ulong Set(ulong at, long due, int period, ulong dpc)
    {
        if (Guest.Byte(at) is not (8 or 9)) throw _machine.Crash($"KeSetTimer of 0x{at:x}, which is no timer");
        bool was = _set.ContainsKey(at);
        Guest.SetU32(at + 4, 0);
        Guest.SetPointer(at + (_machine.Is64Bit ? 0x30u : 0x20), dpc);
        Guest.SetU32(at + (_machine.Is64Bit ? 0x3Cu : 0x24), (uint)period);
        _set[at] = new Setting(Due(due), period, dpc);
        ArmNext();
        return was ? 1u : 0;
    }

    private ulong Cancel(ulong at)
    {
        bool was = _set.Remove(at);
        ArmNext();
        return was ? 1u : 0;
    }

    private void ArmNext()
    {
        if (_set.Count == 0) _next.Cancel();
        else _next.Arm(_set.Values.Min(s => s.Due) - _machine.Timers.Now);
    }

    private void Expire()
    {
        long now = _machine.Timers.Now;
        foreach ((ulong at, Setting setting) in _set.Where(s => s.Value.Due <= now).OrderBy(s => s.Value.Due).ToList())
        {
            if (setting.Period > 0) _set[at] = setting with { Due = setting.Due + (setting.Period * 1_000_000L) };
            else _set.Remove(at);
            Guest.SetU32(at + 4, 1);
            if (setting.Dpc != 0) _machine.Interrupts.InsertDpc(setting.Dpc, (uint)SystemTime, (uint)(SystemTime >> 32));
        }
        ArmNext();
    }

    private ulong InitializeDeviceTimer(ulong device, ulong routine, ulong context)
    {
        if (_devices.TryGetValue(device, out DeviceTimer? timer)) (timer.Routine, timer.Context) = (routine, context);
        else _devices.Add(device, new DeviceTimer(_machine, device) { Routine = routine, Context = context });
        return NtStatus.Success;
    }

    private ulong StartDeviceTimer(ulong device, bool start)
    {
        if (!_devices.TryGetValue(device, out DeviceTimer? timer)) throw _machine.Crash($"0x{device:x} has no I/O timer");
        timer.IsRunning = start;
        if (start) timer.Tick.Arm(Second);
        else timer.Tick.Cancel();
        return 0;
    }

    /// <summary>TIME_FIELDS: eight CSHORTs from the year to the weekday.</summary>
    private ulong ToFields(long time, ulong target)
    {
        DateTime t = DateTime.FromFileTimeUtc(Math.Clamp(time, 0, DateTime.MaxValue.ToFileTimeUtc()));
        int[] fields = [t.Year, t.Month, t.Day, t.Hour, t.Minute, t.Second, t.Millisecond, (int)t.DayOfWeek];
        for (int i = 0; i < fields.Length; i++) Guest.SetU16(target + (ulong)(2 * i), (ushort)fields[i]);
        return 0;
    }

    private sealed record Setting(long Due, int Period, ulong Dpc);

    /// <summary>Calls a routine once a second at DISPATCH_LEVEL.</summary>
    private sealed class DeviceTimer
    {
        private readonly BenchMachine _machine;
        private readonly ulong _device;

        public DeviceTimer(BenchMachine machine, ulong device)
        {
            (_machine, _device) = (machine, device);
            Tick = machine.Timers.CreateTimer(Expire);
        }

        public IDeviceTimer Tick { get; }
        public ulong Routine { get; set; }
        public ulong Context { get; set; }
        public bool IsRunning { get; set; }

        private void Expire()
        {
            Tick.Arm(Second);
            _machine.Interrupts.CallAtDispatch(Routine, _device, Context);
        }
    }
}
