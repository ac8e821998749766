using System.Runtime.CompilerServices;
using Emulator.DriverBench.Memory;

namespace Emulator.DriverBench.Cpu;

/// <summary>
/// One decoded instruction. Subclasses are generic over operator, width and operand kinds, all structs, so that the JIT
/// makes one straight piece of code of each combination.
/// </summary>
internal abstract class Operation
{
    public ulong Address;
    /// <summary>The address behind the instruction.</summary>
    public ulong Next;
    public byte R1;
    public byte R2;
    public byte R3;
    // The memory operand: ((base + (index << shift) + displacement) & offset mask) + segment, & linear mask.
    public byte Base = CpuState.ZeroSlot;
    public byte Index = CpuState.ZeroSlot;
    public byte Shift;
    public byte Segment = CpuState.ZeroSlot;
    public ulong Displacement;
    public ulong OffsetMask;
    public ulong LinearMask;
    public ulong Immediate;

    /// <summary>False when the instruction did not finish normally; the state's Stop says why.</summary>
    public abstract bool Execute(CpuState s);

    /// <summary>The offset part of the memory operand: what LEA loads.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Offset(CpuState s)
        => (s.Registers[Base & 31] + (s.Registers[Index & 31] << Shift) + Displacement) & OffsetMask;

    /// <summary>The linear address of the memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong LinearAddress(CpuState s)
    {
        s.CurrentAddress = Address;
        return (Offset(s) + s.Registers[Segment & 31]) & LinearMask;
    }
}

/// <summary>An operand size. Values travel as zero-extended ulong.</summary>
internal interface IWidth
{
    static abstract int Bits { get; }
    static abstract ulong Mask { get; }
    static abstract ulong SignExtend(ulong value);
    static abstract ulong Get(CpuState s, int register);
    static abstract void Set(CpuState s, int register, ulong value);
    static abstract bool TryLoad(AddressSpace memory, ulong address, out ulong value);
    static abstract bool TryStore(AddressSpace memory, ulong address, ulong value);
}

internal readonly struct Width8 : IWidth
{
    public static int Bits => 8;
    public static ulong Mask => 0xFF;
    public static ulong SignExtend(ulong value) => (ulong)(sbyte)value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Get(CpuState s, int register) => (byte)s.Registers[register & 31];
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set(CpuState s, int register, ulong value)
    {
        ref ulong whole = ref s.Registers[register & 31];
        whole = (whole & ~0xFFul) | (byte)value;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryLoad(AddressSpace memory, ulong address, out ulong value)
    {
        bool done = memory.TryRead8(address, out byte narrow);
        value = narrow;
        return done;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryStore(AddressSpace memory, ulong address, ulong value) => memory.TryWrite8(address, (byte)value);
}

internal readonly struct Width16 : IWidth
{
    public static int Bits => 16;
    public static ulong Mask => 0xFFFF;
    public static ulong SignExtend(ulong value) => (ulong)(short)value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Get(CpuState s, int register) => (ushort)s.Registers[register & 31];
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set(CpuState s, int register, ulong value)
    {
        ref ulong whole = ref s.Registers[register & 31];
        whole = (whole & ~0xFFFFul) | (ushort)value;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryLoad(AddressSpace memory, ulong address, out ulong value)
    {
        bool done = memory.TryRead16(address, out ushort narrow);
        value = narrow;
        return done;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryStore(AddressSpace memory, ulong address, ulong value) => memory.TryWrite16(address, (ushort)value);
}

internal readonly struct Width32 : IWidth
{
    public static int Bits => 32;
    public static ulong Mask => 0xFFFF_FFFF;
    public static ulong SignExtend(ulong value) => (ulong)(int)value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Get(CpuState s, int register) => (uint)s.Registers[register & 31];
    // A 32-bit result clears the upper half; in x86 mode the upper halves are always clear.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set(CpuState s, int register, ulong value) => s.Registers[register & 31] = (uint)value;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryLoad(AddressSpace memory, ulong address, out ulong value)
    {
        bool done = memory.TryRead32(address, out uint narrow);
        value = narrow;
        return done;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryStore(AddressSpace memory, ulong address, ulong value) => memory.TryWrite32(address, (uint)value);
}

internal readonly struct Width64 : IWidth
{
    public static int Bits => 64;
    public static ulong Mask => ulong.MaxValue;
    public static ulong SignExtend(ulong value) => value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Get(CpuState s, int register) => s.Registers[register & 31];
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set(CpuState s, int register, ulong value) => s.Registers[register & 31] = value;
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryLoad(AddressSpace memory, ulong address, out ulong value) => memory.TryRead64(address, out value);
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryStore(AddressSpace memory, ulong address, ulong value) => memory.TryWrite64(address, value);
}

/// <summary>Where an operand lives. Locate once, then read and write at that place.</summary>
internal interface IOperand
{
    static abstract ulong Locate(Operation operation, CpuState s);
    static abstract bool TryRead(Operation operation, CpuState s, ulong place, out ulong value);
    static abstract bool TryWrite(Operation operation, CpuState s, ulong place, ulong value);
}

/// <summary>The register in R1.</summary>
internal readonly struct First<TWidth> : IOperand where TWidth : struct, IWidth
{
    public static ulong Locate(Operation operation, CpuState s) => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead(Operation operation, CpuState s, ulong place, out ulong value)
    {
        value = TWidth.Get(s, operation.R1);
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryWrite(Operation operation, CpuState s, ulong place, ulong value)
    {
        TWidth.Set(s, operation.R1, value);
        return true;
    }
}

/// <summary>The register in R2.</summary>
internal readonly struct Second<TWidth> : IOperand where TWidth : struct, IWidth
{
    public static ulong Locate(Operation operation, CpuState s) => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead(Operation operation, CpuState s, ulong place, out ulong value)
    {
        value = TWidth.Get(s, operation.R2);
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryWrite(Operation operation, CpuState s, ulong place, ulong value)
    {
        TWidth.Set(s, operation.R2, value);
        return true;
    }
}

/// <summary>The register in R3.</summary>
internal readonly struct Third<TWidth> : IOperand where TWidth : struct, IWidth
{
    public static ulong Locate(Operation operation, CpuState s) => 0;

    public static bool TryRead(Operation operation, CpuState s, ulong place, out ulong value)
    {
        value = TWidth.Get(s, operation.R3);
        return true;
    }

    public static bool TryWrite(Operation operation, CpuState s, ulong place, ulong value)
    {
        TWidth.Set(s, operation.R3, value);
        return true;
    }
}

/// <summary>AH, CH, DH or BH: bits 8..15 of the register in R1.</summary>
internal readonly struct FirstHigh : IOperand
{
    public static ulong Locate(Operation operation, CpuState s) => 0;

    public static bool TryRead(Operation operation, CpuState s, ulong place, out ulong value)
    {
        value = (byte)(s.Registers[operation.R1 & 31] >> 8);
        return true;
    }

    public static bool TryWrite(Operation operation, CpuState s, ulong place, ulong value)
    {
        ref ulong whole = ref s.Registers[operation.R1 & 31];
        whole = (whole & ~0xFF00ul) | ((ulong)(byte)value << 8);
        return true;
    }
}

/// <summary>AH, CH, DH or BH: bits 8..15 of the register in R2.</summary>
internal readonly struct SecondHigh : IOperand
{
    public static ulong Locate(Operation operation, CpuState s) => 0;

    public static bool TryRead(Operation operation, CpuState s, ulong place, out ulong value)
    {
        value = (byte)(s.Registers[operation.R2 & 31] >> 8);
        return true;
    }

    public static bool TryWrite(Operation operation, CpuState s, ulong place, ulong value)
    {
        ref ulong whole = ref s.Registers[operation.R2 & 31];
        whole = (whole & ~0xFF00ul) | ((ulong)(byte)value << 8);
        return true;
    }
}

/// <summary>The constant in Immediate.</summary>
internal readonly struct Constant : IOperand
{
    public static ulong Locate(Operation operation, CpuState s) => 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead(Operation operation, CpuState s, ulong place, out ulong value)
    {
        value = operation.Immediate;
        return true;
    }

    public static bool TryWrite(Operation operation, CpuState s, ulong place, ulong value)
        => throw new InvalidOperationException("A constant is no destination.");
}

/// <summary>The memory operand.</summary>
internal readonly struct InMemory<TWidth> : IOperand where TWidth : struct, IWidth
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Locate(Operation operation, CpuState s) => operation.LinearAddress(s);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead(Operation operation, CpuState s, ulong place, out ulong value) => TWidth.TryLoad(s.Memory, place, out value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryWrite(Operation operation, CpuState s, ulong place, ulong value) => TWidth.TryStore(s.Memory, place, value);
}
