namespace Emulator.DriverBench.Kernel;

/// <summary>What a rule of the bench is about.</summary>
public enum Rule
{
    Irql,
    SpinLock,
    RemoveLock,
    IrpCompletion,
    Pool,
    Leak,
    CallingConvention,
    Interrupt,
    Dma,
    Framework,
    Power,
    Timer,
    Mutex,
    Handle,
    Crash,
}

/// <summary>A rule that a driver broke.</summary>
/// <param name="Rule">Which.</param>
/// <param name="Text">What happened.</param>
/// <param name="Function">Where, as "GeneralRobot!RobotDpc+0x1c"; empty when no code ran.</param>
/// <param name="Address">Of the instruction behind the call that broke it; 0 when no code ran.</param>
public sealed record Finding(Rule Rule, string Text, string Function, ulong Address)
{
    public override string ToString() => Address == 0 ? $"{Rule}: {Text}" : $"{Rule}: {Text}; {Function} (0x{Address:x})";
}

/// <summary>A driver brought the machine down: a fault, KeBugCheckEx, a wait that nothing can end. The machine is of no further use.</summary>
public sealed class BugCheckException(Finding finding) : Exception(finding.ToString())
{
    public Finding Finding { get; } = finding;
}
