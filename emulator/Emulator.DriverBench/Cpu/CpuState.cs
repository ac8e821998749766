using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Emulator.DriverBench.Memory;

namespace Emulator.DriverBench.Cpu;

/// <summary>Which instruction set a driver is made of.</summary>
public enum CpuMode
{
    /// <summary>32-bit protected mode, flat segments.</summary>
    X86,
    /// <summary>64-bit long mode.</summary>
    X64,
}

/// <summary>General-purpose registers by their encoding; x86 has the first eight.</summary>
public enum Gpr
{
    Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R13, R14, R15,
}

/// <summary>
/// The registers of one CPU. The six arithmetic flags are kept lazily: the last result gives ZF, SF and PF, and a word
/// of carries gives CF, OF and AF; <see cref="Rflags"/> puts them together.
/// </summary>
public sealed class CpuState
{
    internal const ulong CarryFlag = 1 << 0;
    internal const ulong ParityFlag = 1 << 2;
    internal const ulong AuxiliaryFlag = 1 << 4;
    internal const ulong ZeroFlag = 1 << 6;
    internal const ulong SignFlag = 1 << 7;
    internal const ulong InterruptFlag = 1 << 9;
    internal const ulong DirectionFlag = 1 << 10;
    internal const ulong OverflowFlag = 1 << 11;
    internal const ulong ArithmeticFlags = CarryFlag | ParityFlag | AuxiliaryFlag | ZeroFlag | SignFlag | OverflowFlag;

    // Slots behind the sixteen GPRs, so that every address is base + index << scale + segment without a branch.
    internal const byte ZeroSlot = 16;
    internal const byte FsSlot = 17;
    internal const byte GsSlot = 18;

    // Bits of Carries: 63 is CF, 62 is CF^OF, 3 is AF; bit 0 inverts SF, bits 8..15 are added into PF's byte.
    internal const ulong CarryBit = 1ul << 63;
    internal const ulong OverflowBit = 1ul << 62;
    internal const ulong AuxiliaryBit = 1ul << 3;

    internal RegisterFile Registers;
    internal XmmFile Xmm;
    /// <summary>The last result, sign-extended to 64 bits.</summary>
    internal ulong Result = 1;
    internal ulong Carries;
    /// <summary>Where the instruction that last touched memory or a hook stands.</summary>
    internal ulong CurrentAddress;
    /// <summary>IF, DF and the rest that no arithmetic touches.</summary>
    internal ulong SystemFlags = InterruptFlag;
    internal uint Mxcsr = DefaultMxcsr;
    internal readonly AddressSpace Memory;
    internal readonly Interpreter Interpreter;
    internal PendingStop Stop;

    internal const uint DefaultMxcsr = 0x1F80;

    /// <summary>How the detail of a #DE begins whose divisor is 0.</summary>
    internal const string DivisionByZero = "division by zero";

    internal CpuState(AddressSpace memory, Interpreter interpreter) => (Memory, Interpreter) = (memory, interpreter);

    /// <summary>The instruction pointer: the next instruction when nothing runs, the current block's end while a hook runs.</summary>
    public ulong Rip { get; set; }

    public ulong this[Gpr register]
    {
        get => Registers[(int)register & 15];
        set => Registers[(int)register & 15] = value & Interpreter.AddressMask;
    }

    public ulong Rsp
    {
        get => Registers[(int)Gpr.Rsp];
        set => Registers[(int)Gpr.Rsp] = value & Interpreter.AddressMask;
    }

    /// <summary>Base address of FS (the TEB's segment; on x86 the KPCR).</summary>
    public ulong FsBase
    {
        get => Registers[FsSlot];
        set => Registers[FsSlot] = value;
    }

    /// <summary>Base address of GS (on x64 the KPCR).</summary>
    public ulong GsBase
    {
        get => Registers[GsSlot];
        set => Registers[GsSlot] = value;
    }

    public bool InterruptsEnabled
    {
        get => (SystemFlags & InterruptFlag) != 0;
        set => SystemFlags = value ? SystemFlags | InterruptFlag : SystemFlags & ~InterruptFlag;
    }

    /// <summary>All flags, as PUSHF stores them.</summary>
    public ulong Rflags
    {
        get => SystemFlags | 2 | (Carry ? CarryFlag : 0) | (Parity ? ParityFlag : 0) | (Auxiliary ? AuxiliaryFlag : 0)
            | (Zero ? ZeroFlag : 0) | (Sign ? SignFlag : 0) | (Overflow ? OverflowFlag : 0);
        set
        {
            SetArithmeticFlags(value);
            SystemFlags = value & ~(ArithmeticFlags | 2);
        }
    }

    public UInt128 GetXmm(int index)
    {
        Vector128<ulong> value = Xmm[index & 15].AsUInt64();
        return new UInt128(value[1], value[0]);
    }

    public void SetXmm(int index, UInt128 value) => Xmm[index & 15] = Vector128.Create((ulong)value, (ulong)(value >> 64)).AsByte();

    /// <summary>Everything, to put back later: how an interrupt or another thread borrows the CPU.</summary>
    public CpuContext Save() => new()
    {
        Registers = Registers,
        Xmm = Xmm,
        Rip = Rip,
        Result = Result,
        Carries = Carries,
        SystemFlags = SystemFlags,
        Mxcsr = Mxcsr,
        CurrentAddress = CurrentAddress,
    };

    public void Restore(in CpuContext context)
    {
        (Registers, Xmm, Rip, Result) = (context.Registers, context.Xmm, context.Rip, context.Result);
        (Carries, SystemFlags, Mxcsr, CurrentAddress) = (context.Carries, context.SystemFlags, context.Mxcsr, context.CurrentAddress);
    }

    // ---- flags ----

    internal bool Carry => (long)Carries < 0;
    internal bool Overflow => (long)(Carries ^ (Carries << 1)) < 0;
    internal bool Auxiliary => (Carries & AuxiliaryBit) != 0;
    internal bool Zero => Result == 0;
    internal bool Sign => (long)(Result ^ (Carries << 63)) < 0;
    internal bool Less => (long)(Result ^ (Carries << 63) ^ Carries ^ (Carries << 1)) < 0;
    internal bool Parity => (BitOperations.PopCount((byte)(Result ^ (Carries >> 8))) & 1) == 0;

    internal void SetArithmeticFlags(ulong flags)
    {
        // Of Result only "is it zero" is free to choose; sign and parity then follow by inversion.
        bool zero = (flags & ZeroFlag) != 0;
        Result = zero ? 0ul : 1ul;
        bool evenBits = zero;
        ulong carry = flags & CarryFlag;
        ulong overflow = (flags & OverflowFlag) != 0 ? 1ul : 0;
        Carries = (carry << 63) | ((carry ^ overflow) << 62) | ((flags & AuxiliaryFlag) != 0 ? AuxiliaryBit : 0)
            | ((flags & SignFlag) != 0 ? 1ul : 0) | (((flags & ParityFlag) != 0) == evenBits ? 0 : 1ul << 8);
    }

    /// <summary>Sets CF and keeps the others.</summary>
    internal void SetCarry(bool carry)
    {
        ulong overflow = Overflow ? OverflowBit : 0;
        Carries = (Carries & ~(CarryBit | OverflowBit)) | (carry ? CarryBit ^ OverflowBit : 0) ^ overflow;
    }

    /// <summary>Sets CF and OF and keeps the others.</summary>
    internal void SetCarryAndOverflow(ulong carry, ulong overflow)
        => Carries = (Carries & ~(CarryBit | OverflowBit)) | (carry << 63) | ((carry ^ overflow) << 62);

    // ---- stopping: each answers false, which is what an operation that did not run to its end returns ----

    /// <summary>The last memory access failed.</summary>
    internal bool MemoryFault(Operation operation)
    {
        MemoryFault fault = Memory.LastFault;
        StopReason reason = fault.Guard == GuardKind.Stack ? StopReason.StackOverflow : StopReason.PageFault;
        Stop = new PendingStop(reason, fault, null);
        Rip = operation.Address;
        return false;
    }

    internal bool Fault(Operation operation, StopReason reason, string detail)
    {
        Stop = new PendingStop(reason, default, detail);
        Rip = operation.Address;
        return false;
    }

    /// <summary>The instruction is done, but the run ends here.</summary>
    internal bool StopAfter(Operation operation, StopReason reason, string detail)
    {
        Stop = new PendingStop(reason, default, detail) { Completed = true };
        Rip = operation.Next;
        return false;
    }

    /// <summary>Leave the block and go on at <paramref name="address"/>.</summary>
    internal bool Resume(ulong address)
    {
        Stop = default;
        Rip = address;
        return false;
    }
}

/// <summary>A copy of all registers of a <see cref="CpuState"/>.</summary>
public struct CpuContext
{
    internal RegisterFile Registers;
    internal XmmFile Xmm;
    internal ulong Result;
    internal ulong Carries;
    internal ulong SystemFlags;
    internal ulong CurrentAddress;
    internal uint Mxcsr;

    public ulong Rip { get; set; }

    public ulong this[Gpr register]
    {
        readonly get => Registers[(int)register & 15];
        set => Registers[(int)register & 15] = value;
    }
}

[InlineArray(32)]
internal struct RegisterFile
{
    private ulong _first;
}

[InlineArray(16)]
internal struct XmmFile
{
    private Vector128<byte> _first;
}

/// <summary>Why an operation left its block.</summary>
internal readonly record struct PendingStop(StopReason Reason, MemoryFault Memory, string? Detail)
{
    /// <summary>The instruction itself ran to its end.</summary>
    public bool Completed { get; init; }
}
