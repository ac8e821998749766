namespace Emulator.DriverBench.Cpu;

/// <summary>
/// What surrounds the CPU: ports, IRQL, interrupts, model-specific registers. The base class answers as a machine with
/// nothing attached; the bench overrides what it has.
/// </summary>
public class CpuPlatform
{
    private ulong _taskPriority;

    /// <summary>Reads a port (size 1, 2 or 4). Nothing attached reads all ones.</summary>
    public virtual ulong ReadPort(Interpreter cpu, ushort port, int size) => ulong.MaxValue >> (64 - (8 * size));

    /// <summary>Writes a port (size 1, 2 or 4).</summary>
    public virtual void WritePort(Interpreter cpu, ushort port, int size, ulong value)
    {
    }

    /// <summary>CR8, which is the IRQL on x64.</summary>
    public virtual ulong ReadTaskPriority(Interpreter cpu) => _taskPriority;

    /// <summary>Sets CR8: inlined KeRaiseIrql and KeLowerIrql on x64.</summary>
    public virtual void WriteTaskPriority(Interpreter cpu, ulong value) => _taskPriority = value & 15;

    /// <summary>CLI, STI or POPF changed the interrupt flag.</summary>
    public virtual void InterruptFlagChanged(Interpreter cpu, bool enabled)
    {
    }

    /// <summary>INT3 (vector 3) and INT n: 0x29 is __fastfail with its code in ECX, 0x2D a debug service. True: taken, go on behind it.</summary>
    public virtual bool SoftwareInterrupt(Interpreter cpu, byte vector) => false;

    /// <summary>What RDTSC reads. Default: the number of executed instructions, so that runs repeat.</summary>
    public virtual ulong ReadTimestamp(Interpreter cpu)
    {
        ArgumentNullException.ThrowIfNull(cpu);
        return cpu.InstructionsExecuted;
    }

    /// <summary>CR0, CR2, CR3 or CR4. False: #GP.</summary>
    public virtual bool TryReadControlRegister(Interpreter cpu, int register, out ulong value)
    {
        value = register switch { 0 => 0x8005_0033, 4 => 0x6F8, _ => 0 };
        return register is 0 or 2 or 3 or 4;
    }

    /// <summary>RDMSR. False: #GP.</summary>
    public virtual bool TryReadMsr(Interpreter cpu, uint register, out ulong value)
    {
        value = 0;
        return false;
    }

    /// <summary>WRMSR. False: #GP.</summary>
    public virtual bool TryWriteMsr(Interpreter cpu, uint register, ulong value) => false;

    /// <summary>CPUID: a plain processor with SSE2, CMPXCHG16B and POPCNT, without anything the interpreter lacks.</summary>
    /// <returns>EAX, EBX, ECX, EDX.</returns>
    public virtual (uint Eax, uint Ebx, uint Ecx, uint Edx) Identify(uint leaf, uint subleaf) => leaf switch
    {
        // "Emul" "ator" "CPU1" in EBX, EDX, ECX.
        0 => (1, 0x6C75_6D45, 0x3155_5043, 0x726F_7461),
        // Family 6; TSC, MSR, CX8, CMOV, FXSR, SSE, SSE2; CX16, POPCNT.
        1 => (0x0000_06F0, 0, (1 << 13) | (1 << 23), (1 << 4) | (1 << 5) | (1 << 8) | (1 << 15) | (1 << 24) | (1 << 25) | (1 << 26)),
        0x8000_0000 => (0x8000_0001, 0, 0, 0),
        // LAHF in long mode, LZCNT; NX, long mode.
        0x8000_0001 => (0, 0, (1 << 0) | (1 << 5), (1 << 20) | (1 << 29)),
        _ => default,
    };

    /// <summary>Code in a page of <see cref="Memory.Protection.Pageable"/> is about to run.</summary>
    public virtual void EnteringPageable(Interpreter cpu, ulong address)
    {
    }

    /// <summary>
    /// An instruction faulted; the registers are what they were before it. True: the registers lead to code that deals with it, such as
    /// an exception handler, and the run goes on there.
    /// </summary>
    public virtual bool TryHandleFault(Interpreter cpu, in RunOutcome fault) => false;

    /// <summary>
    /// Runs between two instructions after <see cref="Interpreter.RequestAttention"/>: the place to deliver interrupts with
    /// <see cref="Interpreter.Call"/>. False stops the run (<see cref="StopReason.HostStop"/>).
    /// </summary>
    public virtual bool OnAttention(Interpreter cpu) => true;
}
