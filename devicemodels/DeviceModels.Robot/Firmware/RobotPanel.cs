using DeviceModels.Robot.World;
using Emulator.Interrupts;
using Emulator.Registers;
using Emulator.Time;

namespace DeviceModels.Robot.Firmware;

/// <summary>What carries out a program in guest memory: the Proseware ring, the Contoso list.</summary>
internal interface IRobotProgram
{
    /// <summary>A descriptor is being carried out.</summary>
    bool HasCurrent { get; }

    /// <summary>A descriptor is in progress, or is to be fetched.</summary>
    bool IsActive { get; }

    /// <summary>Asks for a fetch unless a descriptor is in progress.</summary>
    void Resume();

    void Fetch();

    /// <summary>The current descriptor has ended.</summary>
    void Complete(Outcome outcome);

    /// <summary>Ends it when it is active, giving back what is in progress.</summary>
    void Stop();
}

/// <summary>The registers that both robots have, each in its own place and width.</summary>
/// <param name="Causes">Interrupt causes, a bit for each message.</param>
/// <param name="Enables">The same bits.</param>
/// <param name="Faults">Bits as <see cref="RobotFaults"/>.</param>
internal readonly record struct PanelRegisters(Register Causes, Register Enables, Register Faults);

/// <summary>The causes' masks, by what they tell of.</summary>
internal readonly record struct PanelCauses(ulong Command, ulong Sensor, ulong Fault, ulong Battery);

/// <summary>
/// What both robots' registers have in common: causes and interrupts, faults, and single commands that give way to the program.
/// </summary>
/// <typeparam name="TCommand">What the robot remembers of a single command to report it.</typeparam>
internal abstract class RobotPanel<TCommand> : IRobotPanel where TCommand : struct
{
    /// <summary>Message interrupts.</summary>
    public const int Vectors = 4;

    private readonly PanelRegisters _common;
    private readonly PanelCauses _causes;
    private readonly InterruptSource[] _sources = new InterruptSource[Vectors];
    private TCommand _running;

    protected RobotPanel(
        in PanelRegisters common, in PanelCauses causes, RobotMemory memory, InterruptController interrupts, IDeviceClock clock, IRobotBody body,
        RobotOptions options)
    {
        (_common, _causes, Memory) = (common, causes, memory);
        Firmware = new RobotFirmware(clock, body, options, this);
        for (int i = 0; i < _sources.Length; i++) _sources[i] = interrupts.CreateSource(i);
        common.Enables.OnWrite((int _, in RegisterWrite _) => UpdateInterrupts());
    }

    public RobotFirmware Firmware { get; }

    protected RobotMemory Memory { get; }

    protected abstract IRobotProgram Program { get; }

    /// <summary>Sets the cause of a command that ended.</summary>
    public void RaiseCommand() => Raise(_causes.Command);

    public void FaultsRose(RobotFaults faults) => RaiseOnRise(_common.Faults, (ulong)faults, _causes.Fault);

    public void CommandEnded(Outcome outcome)
    {
        if (Program.HasCurrent)
        {
            Program.Complete(outcome);
            return;
        }
        ReportAndRaise(_running, outcome);
        Program.Resume();
    }

    public void Fetch() => Program.Fetch();

    public abstract void BumpersPressed(Bumpers bumpers);

    public abstract void CameNear();

    public void BatteryFell() => Raise(_causes.Battery);

    public abstract void WriteTelemetry();

    public abstract void WatchdogExpired();

    /// <summary>Fills the result registers.</summary>
    protected abstract void Report(TCommand command, Outcome outcome);

    protected void ForgetCommand() => _running = default;

    /// <summary>Starts a single command, or refuses it at once.</summary>
    /// <param name="identity">What <see cref="Report"/> wants to know.</param>
    /// <param name="command">Null when the registers hold no command.</param>
    protected void Execute(TCommand identity, RobotCommand? command)
    {
        Outcome outcome = command is { } decoded ? Begin(decoded) : Outcome.Invalid;
        if (outcome == Outcome.Running)
        {
            _running = identity;
            return;
        }
        ReportAndRaise(identity, outcome);
        if (outcome is Outcome.Invalid or Outcome.Busy or Outcome.Disabled or Outcome.NoPower) FaultsRose(RobotFaults.Command);
    }

    /// <summary>Sets bits of an event field; one that rises is a cause.</summary>
    protected void RaiseSensor(Field events, ulong value) => RaiseOnRise(events.Register, value << events.Low, _causes.Sensor);

    protected void UpdateInterrupts()
    {
        ulong wanted = _common.Causes.Value & _common.Enables.Value;
        for (int i = 0; i < _sources.Length; i++) _sources[i].Level = (wanted >> i & 1) != 0;
    }

    protected static ulong Flag(Field field, bool set) => set ? field.Mask : 0;

    private Outcome Begin(in RobotCommand command)
    {
        Firmware.Sync();
        if (command.Verb == Verb.Stop)
        {
            Program.Stop();
            if (Firmware.IsBusy) Firmware.Abort();
        }
        else if (Program.IsActive)
        {
            return Outcome.Busy;
        }
        return Firmware.Start(command);
    }

    private void ReportAndRaise(TCommand command, Outcome outcome)
    {
        Report(command, outcome);
        RaiseCommand();
    }

    private void RaiseOnRise(Register register, ulong bits, ulong cause)
    {
        ulong before = register.Value;
        register.Value |= bits;
        if (register.Value != before) Raise(cause);
    }

    private void Raise(ulong cause)
    {
        _common.Causes.Value |= cause;
        UpdateInterrupts();
    }
}
