using Emulator.DriverBench.Memory;

namespace Emulator.DriverBench.Cpu;

/// <summary>The host's functions, which the driver calls at addresses inside a host range.</summary>
public interface IHostCalls
{
    /// <summary>
    /// The driver called <see cref="CallFrame.Address"/>. Read the arguments, do the work (it may call back into the driver with
    /// <see cref="Interpreter.Call"/>), and end with one of Return, Return64, JumpTo or Stop.
    /// </summary>
    void Invoke(ref CallFrame frame);
}

/// <summary>
/// A call from the driver into the host: arguments by the calling convention of the CPU's mode (x64: the Microsoft
/// ABI; x86: cdecl and stdcall, or fastcall by <see cref="FastArg"/>).
/// </summary>
public ref struct CallFrame
{
    private readonly CpuState _state;
    private readonly bool _x64;
    private MemoryFault _fault;

    internal CallFrame(Interpreter cpu, ulong address)
    {
        (Cpu, _state, Address, _x64) = (cpu, cpu.State, address, cpu.Mode == CpuMode.X64);
    }

    public Interpreter Cpu { get; }

    /// <summary>The host address that was called.</summary>
    public ulong Address { get; }

    /// <summary>Where the driver goes on: just behind the call. 0 when the stack cannot be read.</summary>
    public readonly ulong ReturnAddress => Cpu.Memory.TryReadPointer(_state.Rsp, out ulong address) ? address : 0;

    internal FrameEnd End { get; private set; }
    internal string StopDetail { get; private set; } = "";
    internal RunOutcome StopOutcome { get; private set; }
    internal readonly MemoryFault Fault => _fault;

    /// <summary>Argument <paramref name="index"/>, counted from 0; on x86 a 32-bit slot. 0 when the stack cannot be read: the run then stops there.</summary>
    public ulong Arg(int index)
    {
        if (!_x64) return StackSlot(index + 1);
        return index switch
        {
            0 => _state[Gpr.Rcx],
            1 => _state[Gpr.Rdx],
            2 => _state[Gpr.R8],
            3 => _state[Gpr.R9],
            // Behind the return address and the four home slots.
            _ => StackSlot(index + 1),
        };
    }

    /// <summary>Argument of a __fastcall function: on x86 ECX, EDX, then the stack; on x64 the same as <see cref="Arg"/>.</summary>
    public ulong FastArg(int index) => _x64 ? Arg(index) : index switch { 0 => _state[Gpr.Rcx], 1 => _state[Gpr.Rdx], _ => StackSlot(index - 1) };

    /// <summary>On x86 a 64-bit argument in two slots from <paramref name="index"/>; on x64 the argument itself.</summary>
    public ulong Arg64(int index) => _x64 ? Arg(index) : Arg(index) | (Arg(index + 1) << 32);

    /// <summary>Goes back to the driver.</summary>
    /// <param name="value">RAX or EAX.</param>
    /// <param name="argumentBytes">x86 stdcall and fastcall: how many bytes of arguments the function takes off the stack.</param>
    public void Return(ulong value = 0, int argumentBytes = 0)
    {
        _state[Gpr.Rax] = value;
        Leave(argumentBytes);
    }

    /// <summary>Goes back with 64 bits: RAX, or EDX:EAX.</summary>
    public void Return64(ulong value, int argumentBytes = 0)
    {
        _state[Gpr.Rax] = value;
        if (!_x64) _state[Gpr.Rdx] = value >> 32;
        Leave(argumentBytes);
    }

    /// <summary>Lets another function answer the call: it finds the same arguments and returns to the caller.</summary>
    public void JumpTo(ulong address)
    {
        if (End is FrameEnd.Faulted) return;
        _state.Rip = address;
        End = FrameEnd.Returned;
    }

    /// <summary>Ends the run with <see cref="StopReason.HostStop"/>. After a Return the run can go on later, else the call would repeat.</summary>
    public void Stop(string detail) => (End, StopDetail) = (FrameEnd.Stopped, detail);

    /// <summary>Ends the run with the outcome of a nested one.</summary>
    public void Stop(in RunOutcome outcome) => (End, StopOutcome) = (FrameEnd.Failed, outcome);

    private void Leave(int argumentBytes)
    {
        if (End is FrameEnd.Faulted) return;
        ulong rsp = _state.Rsp;
        if (!Cpu.Memory.TryReadPointer(rsp, out ulong address))
        {
            (End, _fault) = (FrameEnd.Faulted, Cpu.Memory.LastFault);
            return;
        }
        _state.Rsp = rsp + (ulong)Cpu.Memory.PointerSize + (ulong)argumentBytes;
        _state.Rip = address;
        End = FrameEnd.Returned;
    }

    private ulong StackSlot(int slot)
    {
        ulong address = (_state.Rsp + (ulong)(slot * Cpu.Memory.PointerSize)) & Cpu.AddressMask;
        if (Cpu.Memory.TryReadPointer(address, out ulong value)) return value;
        (End, _fault) = (FrameEnd.Faulted, Cpu.Memory.LastFault);
        return 0;
    }
}

internal enum FrameEnd
{
    /// <summary>The host forgot to end the call.</summary>
    Open,
    Returned,
    Stopped,
    Failed,
    Faulted,
}
