using Emulator.DriverBench.Memory;

namespace Emulator.DriverBench.Cpu;

/// <summary>Why a run ended.</summary>
public enum StopReason
{
    /// <summary>No reason: still running.</summary>
    None,
    /// <summary>The instruction limit was reached; another run goes on from here.</summary>
    InstructionLimit,
    /// <summary>The code returned to the return sentinel.</summary>
    Returned,
    /// <summary>A host call or hook asked for it.</summary>
    HostStop,
    /// <summary>HLT.</summary>
    Halted,
    /// <summary>#PF: a data access or code fetch that memory refused.</summary>
    PageFault,
    /// <summary>A push or access ran into the guard below a stack.</summary>
    StackOverflow,
    /// <summary>#DE.</summary>
    DivideError,
    /// <summary>#UD: UD2 or bytes that are no instruction.</summary>
    InvalidOpcode,
    /// <summary>#GP: misaligned SSE operand, non-canonical address, privileged operation without a hook.</summary>
    GeneralProtection,
    /// <summary>INT3 or INT n that no hook took.</summary>
    SoftwareInterrupt,
    /// <summary>An instruction the interpreter does not know.</summary>
    Unsupported,
    /// <summary>Host calls and guest calls are nested too deeply.</summary>
    NestedTooDeeply,
}

/// <summary>How a run ended.</summary>
/// <param name="Reason">Why.</param>
/// <param name="Address">The instruction that could not go on, or the next one.</param>
/// <param name="Instructions">How many were executed.</param>
/// <param name="Fault">The refused access of a page fault or stack overflow.</param>
/// <param name="Detail">One line for people: the instruction, its address and symbol, and what went wrong. Empty for ordinary ends.</param>
public readonly record struct RunOutcome(StopReason Reason, ulong Address, ulong Instructions, MemoryFault Fault, string Detail)
{
    /// <summary>Neither returned nor merely out of instructions.</summary>
    public bool IsFault => Reason is not (StopReason.None or StopReason.InstructionLimit or StopReason.Returned or StopReason.HostStop or StopReason.Halted);

    public override string ToString() => Detail.Length > 0 ? $"{Reason}: {Detail}" : $"{Reason} at 0x{Address:x}";
}

/// <summary>How a call into the driver ended. The CPU's registers are what they were before the call.</summary>
/// <param name="Run">The run; <see cref="StopReason.Returned"/> when the function came back.</param>
/// <param name="Value">RAX, or EAX on x86.</param>
/// <param name="HighValue">EDX on x86: the upper half of a 64-bit result.</param>
/// <param name="StackImbalance">Bytes too many (positive) or too few taken off the stack by the callee: a calling-convention bug.</param>
/// <param name="Clobbered">Registers the convention preserves and the callee did not ("rbx, DF"), or empty.</param>
public readonly record struct CallOutcome(RunOutcome Run, ulong Value, ulong HighValue, long StackImbalance, string Clobbered)
{
    public bool Returned => Run.Reason == StopReason.Returned;
}
