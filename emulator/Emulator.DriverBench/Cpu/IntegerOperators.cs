using System.Numerics;
using System.Runtime.CompilerServices;

namespace Emulator.DriverBench.Cpu;

/// <summary>An operator of two operands that gives a result and sets flags (SDM volume 1, 3.4.3.1; volume 2 per instruction).</summary>
internal interface IBinaryOperator
{
    /// <summary>False for CMP, TEST and BT, which only set flags.</summary>
    static abstract bool Stores { get; }
    static abstract ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth;
}

/// <summary>An operator of one operand.</summary>
internal interface IUnaryOperator
{
    static abstract ulong Apply<TWidth>(CpuState s, ulong a) where TWidth : struct, IWidth;
}

internal static class Flags
{
    /// <summary>All six flags from a result and the carry out of every bit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Set<TWidth>(CpuState s, ulong result, ulong carries) where TWidth : struct, IWidth
    {
        s.Result = TWidth.SignExtend(result);
        s.Carries = ((carries << (64 - TWidth.Bits)) & (CpuState.CarryBit | CpuState.OverflowBit)) | (carries & CpuState.AuxiliaryBit);
    }

    /// <summary>CF, OF and AF clear; the others from the result.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetLogic<TWidth>(CpuState s, ulong result) where TWidth : struct, IWidth
    {
        s.Result = TWidth.SignExtend(result);
        s.Carries = 0;
    }

    /// <summary>CF and OF as given (0 or 1), AF clear, the others from the result.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SetShift<TWidth>(CpuState s, ulong result, ulong carry, ulong overflow) where TWidth : struct, IWidth
    {
        s.Result = TWidth.SignExtend(result);
        s.Carries = (carry << 63) | ((carry ^ overflow) << 62);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong SubtractionBorrows(ulong a, ulong b, ulong result) => (~a & b) | ((~a | b) & result);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong AdditionCarries(ulong a, ulong b, ulong result) => (a & b) | ((a | b) & ~result);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Top<TWidth>(ulong value) where TWidth : struct, IWidth => (value >> (TWidth.Bits - 1)) & 1;

    /// <summary>A shift count as the processor masks it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Count<TWidth>(ulong count) where TWidth : struct, IWidth => (int)count & (TWidth.Bits == 64 ? 63 : 31);
}

internal readonly struct Add : IBinaryOperator
{
    public static bool Stores => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        ulong result = (a + b) & TWidth.Mask;
        Flags.Set<TWidth>(s, result, Flags.AdditionCarries(a, b, result));
        return result;
    }
}

internal readonly struct AddWithCarry : IBinaryOperator
{
    public static bool Stores => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        ulong result = (a + b + (s.Carries >> 63)) & TWidth.Mask;
        Flags.Set<TWidth>(s, result, Flags.AdditionCarries(a, b, result));
        return result;
    }
}

internal readonly struct Subtract : IBinaryOperator
{
    public static bool Stores => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        ulong result = (a - b) & TWidth.Mask;
        Flags.Set<TWidth>(s, result, Flags.SubtractionBorrows(a, b, result));
        return result;
    }
}

internal readonly struct SubtractWithBorrow : IBinaryOperator
{
    public static bool Stores => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        ulong result = (a - b - (s.Carries >> 63)) & TWidth.Mask;
        Flags.Set<TWidth>(s, result, Flags.SubtractionBorrows(a, b, result));
        return result;
    }
}

internal readonly struct Compare : IBinaryOperator
{
    public static bool Stores => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth => Subtract.Apply<TWidth>(s, a, b);
}

internal readonly struct And : IBinaryOperator
{
    public static bool Stores => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        ulong result = a & b;
        Flags.SetLogic<TWidth>(s, result);
        return result;
    }
}

internal readonly struct Test : IBinaryOperator
{
    public static bool Stores => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth => And.Apply<TWidth>(s, a, b);
}

internal readonly struct Or : IBinaryOperator
{
    public static bool Stores => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        ulong result = a | b;
        Flags.SetLogic<TWidth>(s, result);
        return result;
    }
}

internal readonly struct ExclusiveOr : IBinaryOperator
{
    public static bool Stores => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        ulong result = a ^ b;
        Flags.SetLogic<TWidth>(s, result);
        return result;
    }
}

internal readonly struct ShiftLeft : IBinaryOperator
{
    public static bool Stores => true;

    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        int count = Flags.Count<TWidth>(b);
        if (count == 0) return a;
        ulong result = (a << count) & TWidth.Mask;
        ulong carry = count <= TWidth.Bits ? (a >> (TWidth.Bits - count)) & 1 : 0;
        Flags.SetShift<TWidth>(s, result, carry, Flags.Top<TWidth>(result) ^ carry);
        return result;
    }
}

internal readonly struct ShiftRight : IBinaryOperator
{
    public static bool Stores => true;

    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        int count = Flags.Count<TWidth>(b);
        if (count == 0) return a;
        ulong result = a >> count;
        Flags.SetShift<TWidth>(s, result, (a >> (count - 1)) & 1, Flags.Top<TWidth>(a));
        return result;
    }
}

internal readonly struct ShiftArithmeticRight : IBinaryOperator
{
    public static bool Stores => true;

    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        int count = Flags.Count<TWidth>(b);
        if (count == 0) return a;
        long wide = (long)TWidth.SignExtend(a);
        ulong result = (ulong)(wide >> count) & TWidth.Mask;
        Flags.SetShift<TWidth>(s, result, (ulong)(wide >> (count - 1)) & 1, 0);
        return result;
    }
}

internal readonly struct RotateLeft : IBinaryOperator
{
    public static bool Stores => true;

    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        int count = Flags.Count<TWidth>(b);
        if (count == 0) return a;
        count &= TWidth.Bits - 1;
        ulong result = count == 0 ? a : ((a << count) | (a >> (TWidth.Bits - count))) & TWidth.Mask;
        ulong carry = result & 1;
        s.SetCarryAndOverflow(carry, Flags.Top<TWidth>(result) ^ carry);
        return result;
    }
}

internal readonly struct RotateRight : IBinaryOperator
{
    public static bool Stores => true;

    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        int count = Flags.Count<TWidth>(b);
        if (count == 0) return a;
        count &= TWidth.Bits - 1;
        ulong result = count == 0 ? a : ((a >> count) | (a << (TWidth.Bits - count))) & TWidth.Mask;
        s.SetCarryAndOverflow(Flags.Top<TWidth>(result), Flags.Top<TWidth>(result) ^ Flags.Top<TWidth>(result << 1));
        return result;
    }
}

internal readonly struct RotateCarryLeft : IBinaryOperator
{
    public static bool Stores => true;

    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        int count = Flags.Count<TWidth>(b);
        if (TWidth.Bits < 32) count %= TWidth.Bits + 1;
        if (count == 0) return a;
        ulong result = ((a << count) | ((s.Carries >> 63) << (count - 1)) | (count > 1 ? a >> (TWidth.Bits + 1 - count) : 0)) & TWidth.Mask;
        ulong carry = (a >> (TWidth.Bits - count)) & 1;
        s.SetCarryAndOverflow(carry, Flags.Top<TWidth>(result) ^ carry);
        return result;
    }
}

internal readonly struct RotateCarryRight : IBinaryOperator
{
    public static bool Stores => true;

    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        int count = Flags.Count<TWidth>(b);
        if (TWidth.Bits < 32) count %= TWidth.Bits + 1;
        if (count == 0) return a;
        ulong result = ((a >> count) | ((s.Carries >> 63) << (TWidth.Bits - count)) | (count > 1 ? a << (TWidth.Bits + 1 - count) : 0)) & TWidth.Mask;
        s.SetCarryAndOverflow((a >> (count - 1)) & 1, Flags.Top<TWidth>(result) ^ Flags.Top<TWidth>(result << 1));
        return result;
    }
}

internal readonly struct BitTest : IBinaryOperator
{
    public static bool Stores => false;

    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
    {
        s.SetCarry(((a >> ((int)b & (TWidth.Bits - 1))) & 1) != 0);
        return a;
    }
}

internal readonly struct BitTestAndSet : IBinaryOperator
{
    public static bool Stores => true;

    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
        => BitTest.Apply<TWidth>(s, a, b) | (1ul << ((int)b & (TWidth.Bits - 1)));
}

internal readonly struct BitTestAndReset : IBinaryOperator
{
    public static bool Stores => true;

    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
        => BitTest.Apply<TWidth>(s, a, b) & ~(1ul << ((int)b & (TWidth.Bits - 1)));
}

internal readonly struct BitTestAndComplement : IBinaryOperator
{
    public static bool Stores => true;

    public static ulong Apply<TWidth>(CpuState s, ulong a, ulong b) where TWidth : struct, IWidth
        => BitTest.Apply<TWidth>(s, a, b) ^ (1ul << ((int)b & (TWidth.Bits - 1)));
}

internal readonly struct Not : IUnaryOperator
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(CpuState s, ulong a) where TWidth : struct, IWidth => ~a & TWidth.Mask;
}

internal readonly struct Negate : IUnaryOperator
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(CpuState s, ulong a) where TWidth : struct, IWidth => Subtract.Apply<TWidth>(s, 0, a);
}

internal readonly struct Increment : IUnaryOperator
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(CpuState s, ulong a) where TWidth : struct, IWidth
    {
        bool carry = s.Carry;
        ulong result = Add.Apply<TWidth>(s, a, 1);
        s.SetCarry(carry);
        return result;
    }
}

internal readonly struct Decrement : IUnaryOperator
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Apply<TWidth>(CpuState s, ulong a) where TWidth : struct, IWidth
    {
        bool carry = s.Carry;
        ulong result = Subtract.Apply<TWidth>(s, a, 1);
        s.SetCarry(carry);
        return result;
    }
}

/// <summary>An operator of a source that gives a new destination: BSF, BSR, LZCNT, TZCNT, POPCNT.</summary>
internal interface IScanOperator
{
    static abstract ulong Apply<TWidth>(CpuState s, ulong old, ulong a) where TWidth : struct, IWidth;
}

internal readonly struct BitScanForward : IScanOperator
{
    public static ulong Apply<TWidth>(CpuState s, ulong old, ulong a) where TWidth : struct, IWidth
    {
        // Only ZF is defined; a zero source leaves the destination (documented by AMD, true of Intel).
        Flags.SetLogic<TWidth>(s, a);
        return a == 0 ? old : (ulong)BitOperations.TrailingZeroCount(a);
    }
}

internal readonly struct BitScanReverse : IScanOperator
{
    public static ulong Apply<TWidth>(CpuState s, ulong old, ulong a) where TWidth : struct, IWidth
    {
        Flags.SetLogic<TWidth>(s, a);
        return a == 0 ? old : (ulong)BitOperations.Log2(a);
    }
}

internal readonly struct TrailingZeros : IScanOperator
{
    public static ulong Apply<TWidth>(CpuState s, ulong old, ulong a) where TWidth : struct, IWidth
    {
        ulong count = Math.Min((ulong)BitOperations.TrailingZeroCount(a), (ulong)TWidth.Bits);
        Flags.SetShift<TWidth>(s, count, a == 0 ? 1ul : 0, 0);
        return count;
    }
}

internal readonly struct LeadingZeros : IScanOperator
{
    public static ulong Apply<TWidth>(CpuState s, ulong old, ulong a) where TWidth : struct, IWidth
    {
        ulong count = (ulong)(BitOperations.LeadingZeroCount(a) - (64 - TWidth.Bits));
        Flags.SetShift<TWidth>(s, count, a == 0 ? 1ul : 0, 0);
        return count;
    }
}

internal readonly struct PopulationCount : IScanOperator
{
    public static ulong Apply<TWidth>(CpuState s, ulong old, ulong a) where TWidth : struct, IWidth
    {
        // All flags are cleared but ZF: a zero result would set PF, too.
        s.SetArithmeticFlags(a == 0 ? CpuState.ZeroFlag : 0);
        return (ulong)BitOperations.PopCount(a);
    }
}

/// <summary>One of the sixteen conditions of Jcc, SETcc and CMOVcc.</summary>
internal interface ICondition
{
    static abstract bool Holds(CpuState s);
}

internal readonly struct IfOverflow : ICondition { public static bool Holds(CpuState s) => s.Overflow; }
internal readonly struct IfNotOverflow : ICondition { public static bool Holds(CpuState s) => !s.Overflow; }
internal readonly struct IfBelow : ICondition { public static bool Holds(CpuState s) => s.Carry; }
internal readonly struct IfAboveOrEqual : ICondition { public static bool Holds(CpuState s) => !s.Carry; }
internal readonly struct IfEqual : ICondition { public static bool Holds(CpuState s) => s.Zero; }
internal readonly struct IfNotEqual : ICondition { public static bool Holds(CpuState s) => !s.Zero; }
internal readonly struct IfBelowOrEqual : ICondition { public static bool Holds(CpuState s) => s.Carry || s.Zero; }
internal readonly struct IfAbove : ICondition { public static bool Holds(CpuState s) => !(s.Carry || s.Zero); }
internal readonly struct IfSign : ICondition { public static bool Holds(CpuState s) => s.Sign; }
internal readonly struct IfNotSign : ICondition { public static bool Holds(CpuState s) => !s.Sign; }
internal readonly struct IfParity : ICondition { public static bool Holds(CpuState s) => s.Parity; }
internal readonly struct IfNotParity : ICondition { public static bool Holds(CpuState s) => !s.Parity; }
internal readonly struct IfLess : ICondition { public static bool Holds(CpuState s) => s.Less; }
internal readonly struct IfGreaterOrEqual : ICondition { public static bool Holds(CpuState s) => !s.Less; }
internal readonly struct IfLessOrEqual : ICondition { public static bool Holds(CpuState s) => s.Less || s.Zero; }
internal readonly struct IfGreater : ICondition { public static bool Holds(CpuState s) => !(s.Less || s.Zero); }
