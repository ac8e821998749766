using DeviceModels.Robot.World;
using Emulator.Time;

namespace DeviceModels.Robot.Firmware;

/// <summary>
/// What both robots have behind their registers: one command at a time, motors under a 5 ms control loop, a battery, a
/// watchdog. Everything happens at times counted in nanoseconds, in order, by one timer that is armed only while something
/// is due: neither polling nor a late timer changes what happens when.
/// </summary>
internal sealed class RobotFirmware
{
    /// <summary>How long the sequencer takes to fetch a descriptor, ns. It bounds what a program can cost its host.</summary>
    public const long FetchTime = 100_000;

    private const long Never = long.MaxValue, Millisecond = 1_000_000;
    private const long ToolTime = 200 * Millisecond;
    private const int IdlePower = 500, WheelPower = 1500, ToolPower = 300, LightPower = 60;

    // Events in one turn at the most: what a stopped process has slept through is caught up in several.
    private const int TurnLimit = 256;

    private readonly IDeviceClock _clock;
    private readonly IDeviceTimer _timer;
    private readonly IRobotBody _body;
    private readonly RobotOptions _options;
    private readonly IRobotPanel _panel;
    private readonly Battery _battery;

    private State _state;
    private bool _toolEngaged, _inTurn;

    // What a person switched; resets leave it alone.
    private RobotFaults _stalled;
    private Bumpers _pressed;
    private bool _rangeDead;

    private struct State
    {
        public State()
        {
        }

        public RobotCommand Command;
        public bool IsRunning, IsNear, MotorEnable;
        public bool BumpStop = true;
        public Motion Motion;
        public WheelTravel Odometer, AtStart;
        public WheelTravel LastTravel;
        public Verb LastVerb;
        public uint Light;
        public Bumpers Felt;
        public int NearLimit, WatchdogPeriod;
        public long TelemetryPeriod;
        public long NextTick = Never, CommandEnd = Never, Watchdog = Never, Telemetry = Never, Fetch = Never;
    }

    public RobotFirmware(IDeviceClock clock, IRobotBody body, RobotOptions options, IRobotPanel panel)
    {
        (_clock, _body, _options, _panel) = (clock, body, options, panel);
        _battery = new Battery(options.BatteryMilliwattHours);
        _battery.SetCharge(options.BatteryPercent, 100, clock.Now);
        _timer = clock.CreateTimer(Expired);
        _state = new State();
    }

    /// <summary>The time the firmware has come to, ns.</summary>
    public long Time { get; private set; }

    /// <summary>Device time as completions and telemetry tell it, ms.</summary>
    public uint Milliseconds => (uint)(Time / Millisecond);

    /// <summary>A command is running.</summary>
    public bool IsBusy => _state.IsRunning;

    /// <summary>A wheel is driven.</summary>
    public bool IsMoving => _state.Motion.IsDriven;

    /// <summary>The pen is down or the gripper closed, or on the way there.</summary>
    public bool IsToolEngaged => _toolEngaged;
    public bool IsHolding => _body.IsHolding;
    public Bumpers Bumpers => _body.Bumpers | _pressed;
    public int HeadingMillidegrees => _body.HeadingMillidegrees;
    public BatteryLevel BatteryLevel => _battery.Level;

    /// <summary>How far the wheels turned since the odometers were zeroed.</summary>
    public WheelTravel Odometer => _state.Odometer;

    /// <summary>How far the last command that ended turned the wheels.</summary>
    public WheelTravel LastTravel => _state.LastTravel;

    /// <summary>The last command that ended.</summary>
    public Verb LastVerb => _state.LastVerb;

    /// <summary>Wheel speeds now, um/s.</summary>
    public (int Left, int Right) Speed => IsMoving ? (_state.Motion.Left, _state.Motion.Right) : (0, 0);

    /// <summary>All that can be seen from outside.</summary>
    public RobotStatus Status => new(IsBusy ? _state.Command : null, Odometer, Speed.Left, Speed.Right, Bumpers, ReadBattery(100));

    public bool MotorEnable
    {
        set
        {
            if (_state.MotorEnable == value) return;
            Sync();
            _state.MotorEnable = value;
            if (!value && IsMoving) FinishMotion(Outcome.Aborted);
            Rearm();
        }
    }

    public bool BumpStop
    {
        set => _state.BumpStop = value;
    }

    /// <summary>The front range that counts as near, mm; 0 is off.</summary>
    public int NearLimit
    {
        set
        {
            _state.NearLimit = value;
            LookAhead();
        }
    }

    /// <summary>Whether the range finders are broken.</summary>
    public bool IsRangeDead
    {
        get => _rangeDead;
        set
        {
            bool died = value && !_rangeDead;
            _rangeDead = value;
            if (died) _panel.FaultsRose(RobotFaults.Sensor);
        }
    }

    /// <summary>Wheels that do not turn whatever drives them.</summary>
    public RobotFaults StalledWheels
    {
        get => _stalled;
        set => _stalled = value;
    }

    /// <summary>Bumpers that a person holds down.</summary>
    public Bumpers HeldBumpers
    {
        get => _pressed;
        set
        {
            Sync();
            _pressed = value;
            FeelBumpers();
            Rearm();
        }
    }

    /// <summary>The charge in parts of <paramref name="scale"/>.</summary>
    public int ReadBattery(int scale) => _battery.Read(scale, _inTurn ? Time : Math.Max(Time, _clock.Now));

    /// <summary>A person changes the charge.</summary>
    public void SetBattery(int percent)
    {
        Sync();
        BatteryLevel before = _battery.Level;
        _battery.SetCharge(percent, 100, Time);
        NoteBattery(before);
        Rearm();
    }

    public void SetBatteryThresholds(int low, int critical, int scale)
    {
        Sync();
        _battery.Settle(Time);
        BatteryLevel before = _battery.Level;
        _battery.SetThresholds(low, critical, scale);
        NoteBattery(before);
        Rearm();
    }

    /// <summary>Measures, whatever the switches say about the sensor.</summary>
    /// <returns>Millimetres from the rim, or -1 without an echo.</returns>
    public int MeasureRange(int bearing) => _body.MeasureRange(bearing);

    public void SetLight(uint rgb)
    {
        Sync();
        _state.Light = rgb;
        _body.SetLight(rgb);
        Rearm();
    }

    /// <summary>Starts the watchdog anew; 0 ms is off.</summary>
    public void SetWatchdog(int milliseconds)
    {
        Sync();
        _state.WatchdogPeriod = milliseconds;
        FeedWatchdog();
    }

    public void FeedWatchdog()
    {
        Sync();
        _state.Watchdog = _state.WatchdogPeriod == 0 ? Never : Time + (_state.WatchdogPeriod * Millisecond);
        Rearm();
    }

    /// <summary>Sets the telemetry period, ns; 0 is off.</summary>
    public void SetTelemetry(long period)
    {
        Sync();
        (_state.TelemetryPeriod, _state.Telemetry) = (period, Never);
        Rearm();
    }

    /// <summary>Calls <see cref="IRobotPanel.Fetch"/> after the time a fetch takes.</summary>
    public void ScheduleFetch()
    {
        if (_state.Fetch != Never) return;
        Sync();
        _state.Fetch = Time + FetchTime;
        Rearm();
    }

    public void CancelFetch()
    {
        _state.Fetch = Never;
        Rearm();
    }

    /// <summary>Begins a command; one is running at most.</summary>
    /// <returns><see cref="Outcome.Running"/>, or how it ended at once.</returns>
    public Outcome Start(in RobotCommand command)
    {
        Sync();
        if (_state.IsRunning) return Outcome.Busy;
        Outcome outcome = Begin(command);
        if (outcome == Outcome.Running)
        {
            (_state.Command, _state.IsRunning, _state.AtStart) = (command, true, _state.Odometer);
        }
        else
        {
            (_state.LastVerb, _state.LastTravel) = (command.Verb, default);
        }
        Rearm();
        return outcome;
    }

    /// <summary>Stops the wheels and ends the running command.</summary>
    public void Abort()
    {
        Sync();
        Halt(Outcome.Aborted);
        Rearm();
    }

    /// <summary>Electronics as after power-on; the mechanics stay where they are unless power came.</summary>
    /// <param name="releaseTool">Whether the tool has a spring that lifts it.</param>
    /// <param name="low">The battery's low threshold after a reset, parts of <paramref name="scale"/>.</param>
    /// <param name="critical">The critical one.</param>
    public void Reset(bool powerOn, bool releaseTool, int low, int critical, int scale)
    {
        _state = new State();
        Time = Math.Max(Time, _clock.Now);
        if (powerOn)
        {
            _body.PowerOn();
            _battery.SetCharge(_options.BatteryPercent, 100, Time);
        }
        _battery.Settle(Time);
        _battery.SetThresholds(low, critical, scale);
        if (powerOn || releaseTool)
        {
            _toolEngaged = false;
            _body.SetTool(false);
        }
        _body.SetLight(0);
        _state.Felt = Bumpers;
        Rearm();
    }

    /// <summary>Does what has fallen due until now.</summary>
    public void Sync()
    {
        // What an event starts, starts at the event's time, even when the clock is ahead of it.
        if (_inTurn) return;
        _inTurn = true;
        CatchUp(_clock.Now);
        _inTurn = false;
    }

    private void CatchUp(long now)
    {
        for (int events = 0; events < TurnLimit; events++)
        {
            long due = NextEvent();
            if (due > now)
            {
                Time = Math.Max(Time, now);
                return;
            }
            Time = Math.Max(Time, due);
            RunEvent(due);
            Account();
        }
    }

    private void Expired()
    {
        Sync();
        Rearm();
    }

    private long NextEvent()
    {
        long next = Math.Min(Math.Min(_state.NextTick, _state.CommandEnd), Math.Min(_state.Watchdog, _battery.NextChange()));
        return Math.Min(next, Math.Min(_state.Telemetry, _state.Fetch));
    }

    // The order of events that fall on the same nanosecond.
    private void RunEvent(long due)
    {
        if (_state.NextTick == due) Tick();
        else if (_state.CommandEnd == due) EndTimed();
        else if (_state.Watchdog == due) Bite();
        else if (_battery.NextChange() == due) Discharge();
        else if (_state.Telemetry == due) SendTelemetry();
        else Fetch();
    }

    // After anything that may have changed what is driven, lit or due. A turn does it itself, after each event.
    private void Rearm()
    {
        if (_inTurn) return;
        Account();
        long next = NextEvent();
        if (next == Never) _timer.Cancel();
        else _timer.Arm(next - _clock.Now);
    }

    private void Account()
    {
        int power = IdlePower + (_state.Light != 0 ? LightPower : 0);
        if (IsMoving) power += (_state.Motion.Left != 0 ? WheelPower : 0) + (_state.Motion.Right != 0 ? WheelPower : 0);
        if (_state is { IsRunning: true, Command.Verb: Verb.Tool }) power += ToolPower;
        if (power != _battery.Power)
        {
            BatteryLevel before = _battery.Level;
            _battery.SetPower(power, Time);
            NoteBattery(before);
        }
        UpdateTelemetry();
    }

    private Outcome Begin(in RobotCommand command)
    {
        if (command.IsMotion && !_state.MotorEnable) return Outcome.Disabled;
        if ((command.IsMotion || command.Verb == Verb.Tool) && _battery.Level == BatteryLevel.Empty) return Outcome.NoPower;
        switch (command.Verb)
        {
            case Verb.Drive: return BeginGoal(new WheelTravel(command.A, command.A), command.B);
            case Verb.Turn: return BeginGoal(new WheelTravel(-command.A, command.A), command.B);
            case Verb.Velocity: return BeginVelocity(command.A, command.B);
            case Verb.Stop: StopWheels(); return Outcome.Ok;
            case Verb.Tool: return BeginTool(command.A != 0);
            case Verb.Light: SetLight((uint)command.A); return Outcome.Ok;
            case Verb.Wait: return BeginTimed(command.A * Millisecond);
            case Verb.ZeroOdometer: _state.Odometer = default; return Outcome.Ok;
            default: return Outcome.Ok;
        }
    }

    private Outcome BeginGoal(WheelTravel goal, int speed)
    {
        StopWheels();
        if (goal == default) return Outcome.Ok;
        if (IsBlocked(goal)) return Outcome.Blocked;
        Drive(Motion.To(goal, speed));
        return Outcome.Running;
    }

    private Outcome BeginVelocity(int left, int right)
    {
        StopWheels();
        if (left == 0 && right == 0) return Outcome.Ok;
        if (IsBlocked(new WheelTravel(left, right))) return Outcome.Blocked;
        Drive(Motion.At(left, right));
        return Outcome.Ok;
    }

    private Outcome BeginTool(bool engage)
    {
        _toolEngaged = engage;
        return BeginTimed(ToolTime);
    }

    private Outcome BeginTimed(long duration)
    {
        if (duration == 0) return Outcome.Ok;
        _state.CommandEnd = Time + duration;
        return Outcome.Running;
    }

    private void EndTimed()
    {
        _state.CommandEnd = Never;
        End(Outcome.Ok);
    }

    private void Drive(in Motion motion) => (_state.Motion, _state.NextTick) = (motion, Time + Motion.ControlPeriod);

    private void StopWheels() => (_state.Motion, _state.NextTick) = (default, Never);

    // The running command ends, whatever it was; wheels that run without one stop too.
    private void Halt(Outcome outcome)
    {
        StopWheels();
        if (_state.IsRunning) End(outcome);
    }

    private void End(Outcome outcome)
    {
        // A servo ends where it was sent even if nobody waits for it.
        if (_state.Command.Verb == Verb.Tool) _body.SetTool(_toolEngaged);
        (_state.LastVerb, _state.LastTravel) = (_state.Command.Verb, _state.Odometer - _state.AtStart);
        (_state.IsRunning, _state.CommandEnd) = (false, Never);
        _panel.CommandEnded(outcome);
        Rearm();
    }

    private void Tick()
    {
        _state.NextTick += Motion.ControlPeriod;
        WheelTravel wanted = _state.Motion.NextStep();
        // A wheel that stalls is driven all the same: that is how the firmware finds out.
        var free = new WheelTravel((_stalled & RobotFaults.StallLeft) != 0 ? 0 : wanted.Left, (_stalled & RobotFaults.StallRight) != 0 ? 0 : wanted.Right);
        WheelTravel done = _body.Move(free);
        _state.Odometer += done;
        _state.Motion.StepDone(wanted, done);
        // Touching something at the very end is no failure to get there.
        if (_state.Motion.IsThere) FinishMotion(Outcome.Ok);
        FeelBumpers();
        LookAhead();
        if (IsMoving && _state.Motion.Stalled != 0) Stall();
    }

    private void Stall()
    {
        _panel.FaultsRose(_state.Motion.Stalled);
        FinishMotion(Outcome.Stalled);
    }

    // The wheels stop. Only a motion with a goal has a command waiting for it.
    private void FinishMotion(Outcome outcome)
    {
        bool waits = _state.Motion.HasGoal;
        StopWheels();
        if (waits) End(outcome);
        else Rearm();
    }

    private bool IsBlocked(WheelTravel way)
    {
        long forward = way.Left + way.Right;
        return _state.BumpStop && ((forward > 0 && (Bumpers & Bumpers.Front) != 0) || (forward < 0 && (Bumpers & Bumpers.Rear) != 0));
    }

    private void FeelBumpers()
    {
        Bumpers felt = Bumpers, fresh = felt & ~_state.Felt;
        _state.Felt = felt;
        if (fresh != Bumpers.None) _panel.BumpersPressed(fresh);
        if (IsMoving && IsBlocked(new WheelTravel(_state.Motion.Left, _state.Motion.Right))) FinishMotion(Outcome.Blocked);
    }

    private void LookAhead()
    {
        bool near = false;
        if (_state.NearLimit > 0 && !_rangeDead)
        {
            int range = _body.MeasureRange(0);
            near = range >= 0 && range < _state.NearLimit;
        }
        bool came = near && !_state.IsNear;
        _state.IsNear = near;
        if (came) _panel.CameNear();
    }

    private void Bite()
    {
        _state.Watchdog = Never;
        Halt(Outcome.Watchdog);
        _panel.FaultsRose(RobotFaults.Watchdog);
        _panel.WatchdogExpired();
        Rearm();
    }

    private void Discharge()
    {
        BatteryLevel before = _battery.Level;
        _battery.Settle(Time);
        NoteBattery(before);
    }

    private void NoteBattery(BatteryLevel before)
    {
        if (_battery.Level <= before) return;
        _panel.BatteryFell();
        if (_battery.Level != BatteryLevel.Empty) return;
        _panel.FaultsRose(RobotFaults.Power);
        if (IsMoving) FinishMotion(Outcome.NoPower);
    }

    private void Fetch()
    {
        _state.Fetch = Never;
        _panel.Fetch();
    }

    private void SendTelemetry()
    {
        _state.Telemetry = Never;
        _panel.WriteTelemetry();
    }

    // Records flow while something goes on, and one tells the end of it.
    private void UpdateTelemetry()
    {
        bool active = _state.TelemetryPeriod != 0 && (IsMoving || _state.IsRunning || _state.Fetch != Never);
        if (active && _state.Telemetry == Never)
        {
            _state.Telemetry = Time + _state.TelemetryPeriod;
        }
        else if (!active && _state.Telemetry != Never)
        {
            _state.Telemetry = Never;
            _panel.WriteTelemetry();
        }
    }
}
