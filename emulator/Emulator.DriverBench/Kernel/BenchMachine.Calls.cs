using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Memory;

namespace Emulator.DriverBench.Kernel;

/// <content>Calls into drivers, what is checked when they return, and the memory that NT itself has.</content>
public sealed partial class BenchMachine
{
    /// <summary>Pageable memory where NT could not bring it in; each function that needs it is told of once.</summary>
    private void OnPageableTouched(ulong address, ulong instruction)
    {
        if (CurrentIrql < Irql.Dispatch || !_pageableTouched.Add(Symbols.Describe(instruction).Split('+')[0])) return;
        ReportAt(Rule.Irql, $"pageable memory is needed at IRQL {CurrentIrql}: {Space.Describe(address)}", instruction);
    }

    internal void Report(Rule rule, string text)
    {
        ulong at = CallerAddress;
        _findings.Add(new Finding(rule, text, at == 0 ? "" : Symbols.Describe(at), at));
    }

    internal void ReportAt(Rule rule, string text, ulong address)
        => _findings.Add(new Finding(rule, text, address == 0 ? "" : Symbols.Describe(address), address));

    internal BugCheckException Crash(string text) => Crash(text, CallerAddress != 0 ? CallerAddress : Cpu.State.Rip);

    internal BugCheckException Crash(string text, ulong at)
    {
        var finding = new Finding(Rule.Crash, text, Symbols.Describe(at), at);
        _findings.Add(finding);
        return new BugCheckException(finding);
    }

    /// <summary>A driver needs what the bench lacks.</summary>
    internal MissingFunctionException Lacks(string needs, string what, ulong at)
        => new($"{Symbols.FindModule(at) ?? "a driver"} {needs} {what}, which the bench lacks; in {Symbols.Describe(at)} (0x{at:x})");

    /// <summary>An access to what a driver imports as a variable and the bench lacks ends the run.</summary>
    internal void CheckMissing(ulong address, ulong at)
    {
        if (_modules.MissingAt(address) is { } what) throw Lacks("accesses", what, at);
    }

    /// <summary>Memory refused the bench an access: where a driver's call asked for it, the driver may handle that.</summary>
    private Exception Refused(MemoryFault fault)
        => AnsweringFunction != 0 && Exceptions.IsRaised(fault.Address) ? Exceptions.OfFault(fault) : Crash(fault.ToString());

    /// <summary>Calls a driver's function and checks what it must leave as it found it.</summary>
    internal ulong Call(ulong address, params ReadOnlySpan<ulong> arguments) => CallUntil(CurrentIrql, address, arguments);

    /// <summary>Calls a function of NT's as a driver would.</summary>
    /// <param name="name">One that the bench has.</param>
    internal ulong CallService(string name, params ReadOnlySpan<ulong> arguments) => Call(AddressOf(name)!.Value, arguments);

    /// <summary>Calls a cancel routine, which lowers the IRQL to the one it is given.</summary>
    internal void CallCancel(ulong address, byte irqlAfter, ulong device, ulong irp) => CallUntil(irqlAfter, address, [device, irp]);

    /// <summary>Calls a driver's function whose purpose it is to change what locks are held, and the IRQL.</summary>
    internal ulong CallLocking(ulong address, params ReadOnlySpan<ulong> arguments)
    {
        ulong outer = RunningFunction;
        RunningFunction = address;
        CallOutcome outcome = Cpu.Call(address, arguments);
        RunningFunction = outer;
        // Where nothing can run, no function has a name: the one that led there has.
        bool astray = outcome.Run.Fault is { Kind: not MemoryFaultKind.None, Access: MemoryAccess.Execute };
        if (outcome.Run.Reason == StopReason.InstructionLimit)
        {
            throw Crash($"{Symbols.Describe(address)} ran for {outcome.Run.Instructions} instructions and did not return", outcome.Run.Address);
        }
        if (!outcome.Returned) throw Crash(outcome.Run.ToString(), astray ? address : outcome.Run.Address);
        if (outcome.StackImbalance != 0) ReportAt(Rule.CallingConvention, $"returned with the stack pointer off by {outcome.StackImbalance} bytes", address);
        if (outcome.Clobbered.Length > 0) ReportAt(Rule.CallingConvention, $"did not preserve {outcome.Clobbered}", address);
        return outcome.Value;
    }

    private ulong CallUntil(byte irql, ulong address, ReadOnlySpan<ulong> arguments)
    {
        int locks = Synchronization.LocksHeld;
        ulong result = CallLocking(address, arguments);
        if (CurrentIrql != irql)
        {
            ReportAt(Rule.Irql, $"returned at IRQL {CurrentIrql}, not at {irql}", address);
            CurrentIrql = irql;
        }
        if (Synchronization.LocksHeld != locks) ReportAt(Rule.SpinLock, $"returned with {Synchronization.LocksHeld - locks:+0;-0} spin locks held", address);
        return result;
    }

    /// <summary>Where a driver that called NT or another module of the bench goes on; 0 when none is calling.</summary>
    internal ulong CallerAddress => _modules.Caller;

    /// <summary>The function of NT that answers a driver just now; 0 while the driver's own code runs.</summary>
    internal ulong AnsweringFunction => _modules.Contains(Cpu.State.Rip) ? Cpu.State.Rip : 0;

    /// <summary>A kernel stack as large as NT's, with a guard below. Where its stack pointer starts.</summary>
    internal ulong AllocateStack()
    {
        ulong size = Is64Bit ? 0x6000u : 0x3000u, at = Kernel.Reserve(size + AddressSpace.PageSize);
        if (at == 0) throw NoMemory("kernel stack");
        Space.MapGuard(at, AddressSpace.PageSize, GuardKind.Stack, "the end of the kernel stack");
        return Space.MapRam(at + AddressSpace.PageSize, size, Protection.ReadWrite, "kernel stack").End - 0x100;
    }

    /// <summary>The function that the bench called last and that has not returned; 0 when there is none.</summary>
    internal ulong RunningFunction { get; private set; }

    internal void FreeStack(ulong pointer)
    {
        MemoryRegion stack = Space.RegionAt(pointer)!, guard = Space.RegionAt(stack.Address - 1)!;
        Space.Unmap(stack);
        Space.Unmap(guard);
        Kernel.Release(guard.Address, guard.Length + stack.Length);
    }

    /// <summary>How calls between driver and bench are nested now; all 0 in a thread that has not begun.</summary>
    internal readonly record struct CallState(ulong Function, ulong Caller, int Depth, byte Irql, ulong EntryStack);

    internal CallState SaveCalls() => new(RunningFunction, _modules.Caller, Cpu.Depth, CurrentIrql, Cpu.EntryStack);

    internal void RestoreCalls(CallState state)
    {
        (RunningFunction, _modules.Caller, CurrentIrql) = (state.Function, state.Caller, state.Irql);
        (Cpu.Depth, Cpu.EntryStack) = (state.Depth, state.EntryStack);
    }

    /// <summary>Memory of NT's own, not the driver's.</summary>
    internal ulong AllocateKernel(int size, string name)
    {
        Kernel.AllocateBlock((ulong)size, 16, name, guardBefore: false, out ulong address);
        return address != 0 ? address : throw NoMemory(name);
    }

    /// <summary>Memory of the program that sends requests.</summary>
    internal ulong AllocateUser(int size)
    {
        User.AllocateBlock((ulong)size, 16, "buffer of a program", guardBefore: false, out ulong address);
        return address != 0 ? address : throw NoMemory("buffer of a program");
    }

    private BugCheckException NoMemory(string name) => Crash($"the bench's kernel memory has no room for: {name}");

    /// <summary>Frees what <see cref="AllocateKernel"/> or <see cref="AllocateUser"/> gave.</summary>
    internal void FreeKernel(ulong address, string name)
    {
        if (Space.RegionAt(address) is { } region) (address < Exceptions.UserEnd ? User : Kernel).Retire(region, $"freed {name}");
    }
}
