using System.Buffers.Binary;

namespace Emulator.DriverBench.Cpu;

/// <summary>destination = operator(destination, source).</summary>
internal sealed class BinaryOperation<TOperator, TWidth, TDestination, TSource> : Operation
    where TOperator : struct, IBinaryOperator where TWidth : struct, IWidth where TDestination : struct, IOperand where TSource : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        ulong place = TDestination.Locate(this, s);
        if (!TSource.TryRead(this, s, TSource.Locate(this, s), out ulong b)) return s.MemoryFault(this);
        if (!TDestination.TryRead(this, s, place, out ulong a)) return s.MemoryFault(this);
        (ulong result, ulong carries) = (s.Result, s.Carries);
        ulong value = TOperator.Apply<TWidth>(s, a, b);
        if (!TOperator.Stores || TDestination.TryWrite(this, s, place, value)) return true;
        // A fault leaves no trace in the flags.
        (s.Result, s.Carries) = (result, carries);
        return s.MemoryFault(this);
    }
}

/// <summary>destination = operator(destination).</summary>
internal sealed class UnaryOperation<TOperator, TWidth, TDestination> : Operation
    where TOperator : struct, IUnaryOperator where TWidth : struct, IWidth where TDestination : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        ulong place = TDestination.Locate(this, s);
        if (!TDestination.TryRead(this, s, place, out ulong a)) return s.MemoryFault(this);
        (ulong result, ulong carries) = (s.Result, s.Carries);
        ulong value = TOperator.Apply<TWidth>(s, a);
        if (TDestination.TryWrite(this, s, place, value)) return true;
        (s.Result, s.Carries) = (result, carries);
        return s.MemoryFault(this);
    }
}

/// <summary>MOV, and MOVZX when the source is narrower.</summary>
internal sealed class MoveOperation<TDestination, TSource> : Operation where TDestination : struct, IOperand where TSource : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        if (!TSource.TryRead(this, s, TSource.Locate(this, s), out ulong value)) return s.MemoryFault(this);
        return TDestination.TryWrite(this, s, TDestination.Locate(this, s), value) || s.MemoryFault(this);
    }
}

/// <summary>MOVSX and MOVSXD: the first register from a narrower source.</summary>
internal sealed class MoveSignExtendOperation<TWidth, TNarrow, TSource> : Operation
    where TWidth : struct, IWidth where TNarrow : struct, IWidth where TSource : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        if (!TSource.TryRead(this, s, TSource.Locate(this, s), out ulong value)) return s.MemoryFault(this);
        TWidth.Set(s, R1, TNarrow.SignExtend(value));
        return true;
    }
}

internal sealed class LoadAddressOperation<TWidth> : Operation where TWidth : struct, IWidth
{
    public override bool Execute(CpuState s)
    {
        TWidth.Set(s, R1, Offset(s));
        return true;
    }
}

internal sealed class ExchangeOperation<TDestination, TSource> : Operation where TDestination : struct, IOperand where TSource : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        ulong place = TDestination.Locate(this, s);
        if (!TDestination.TryRead(this, s, place, out ulong a)) return s.MemoryFault(this);
        TSource.TryRead(this, s, 0, out ulong b);
        if (!TDestination.TryWrite(this, s, place, b)) return s.MemoryFault(this);
        return TSource.TryWrite(this, s, 0, a);
    }
}

internal sealed class ExchangeAddOperation<TWidth, TDestination, TSource> : Operation
    where TWidth : struct, IWidth where TDestination : struct, IOperand where TSource : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        ulong place = TDestination.Locate(this, s);
        if (!TDestination.TryRead(this, s, place, out ulong a)) return s.MemoryFault(this);
        TSource.TryRead(this, s, 0, out ulong b);
        (ulong result, ulong carries) = (s.Result, s.Carries);
        ulong sum = Add.Apply<TWidth>(s, a, b);
        // The register first: XADD of a register with itself leaves the sum.
        TSource.TryWrite(this, s, 0, a);
        if (TDestination.TryWrite(this, s, place, sum)) return true;
        TSource.TryWrite(this, s, 0, b);
        (s.Result, s.Carries) = (result, carries);
        return s.MemoryFault(this);
    }
}

internal sealed class CompareExchangeOperation<TWidth, TDestination, TSource> : Operation
    where TWidth : struct, IWidth where TDestination : struct, IOperand where TSource : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        ulong place = TDestination.Locate(this, s);
        if (!TDestination.TryRead(this, s, place, out ulong old)) return s.MemoryFault(this);
        TSource.TryRead(this, s, 0, out ulong desired);
        ulong accumulator = TWidth.Get(s, (int)Gpr.Rax);
        bool equal = accumulator == old;
        // The processor writes the destination either way.
        if (!TDestination.TryWrite(this, s, place, equal ? desired : old)) return s.MemoryFault(this);
        Subtract.Apply<TWidth>(s, accumulator, old);
        if (!equal) TWidth.Set(s, (int)Gpr.Rax, old);
        return true;
    }
}

internal sealed class CompareExchange8Operation : Operation
{
    public override bool Execute(CpuState s)
    {
        ulong place = LinearAddress(s);
        if (!s.Memory.TryRead64(place, out ulong old)) return s.MemoryFault(this);
        ulong expected = (s.Registers[(int)Gpr.Rdx] << 32) | (uint)s.Registers[(int)Gpr.Rax];
        ulong desired = (s.Registers[(int)Gpr.Rcx] << 32) | (uint)s.Registers[(int)Gpr.Rbx];
        bool equal = old == expected;
        if (!s.Memory.TryWrite64(place, equal ? desired : old)) return s.MemoryFault(this);
        if (!equal) (s.Registers[(int)Gpr.Rax], s.Registers[(int)Gpr.Rdx]) = ((uint)old, old >> 32);
        ZeroFlag.Set(s, equal);
        return true;
    }
}

internal sealed class CompareExchange16Operation : Operation
{
    public override bool Execute(CpuState s)
    {
        ulong place = LinearAddress(s);
        if ((place & 15) != 0) return s.Fault(this, StopReason.GeneralProtection, $"CMPXCHG16B operand at 0x{place:x} is not aligned to 16");
        if (!s.Memory.TryRead128(place, out UInt128 old)) return s.MemoryFault(this);
        bool equal = old == new UInt128(s.Registers[(int)Gpr.Rdx], s.Registers[(int)Gpr.Rax]);
        UInt128 desired = equal ? new UInt128(s.Registers[(int)Gpr.Rcx], s.Registers[(int)Gpr.Rbx]) : old;
        if (!s.Memory.TryWrite128(place, desired)) return s.MemoryFault(this);
        if (!equal) (s.Registers[(int)Gpr.Rax], s.Registers[(int)Gpr.Rdx]) = ((ulong)old, (ulong)(old >> 64));
        ZeroFlag.Set(s, equal);
        return true;
    }
}

internal static class ZeroFlag
{
    /// <summary>Sets ZF and keeps the others.</summary>
    public static void Set(CpuState s, bool zero) => s.SetArithmeticFlags((s.Rflags & ~CpuState.ZeroFlag) | (zero ? CpuState.ZeroFlag : 0));
}

internal sealed class ScanOperation<TOperator, TWidth, TSource> : Operation
    where TOperator : struct, IScanOperator where TWidth : struct, IWidth where TSource : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        if (!TSource.TryRead(this, s, TSource.Locate(this, s), out ulong a)) return s.MemoryFault(this);
        TWidth.Set(s, R1, TOperator.Apply<TWidth>(s, TWidth.Get(s, R1), a));
        return true;
    }
}

/// <summary>BT, BTS, BTR and BTC of memory with a register: the bit offset is signed and reaches beyond the operand.</summary>
internal sealed class BitStringOperation<TOperator, TWidth> : Operation where TOperator : struct, IBinaryOperator where TWidth : struct, IWidth
{
    public override bool Execute(CpuState s)
    {
        ulong bit = TWidth.Get(s, R2);
        long unit = (long)TWidth.SignExtend(bit) >> (TWidth.Bits switch { 16 => 4, 32 => 5, _ => 6 });
        s.CurrentAddress = Address;
        ulong place = (((Offset(s) + (ulong)(unit * (TWidth.Bits / 8))) & OffsetMask) + s.Registers[Segment & 31]) & LinearMask;
        if (!TWidth.TryLoad(s.Memory, place, out ulong a)) return s.MemoryFault(this);
        (ulong result, ulong carries) = (s.Result, s.Carries);
        ulong value = TOperator.Apply<TWidth>(s, a, bit);
        if (!TOperator.Stores || TWidth.TryStore(s.Memory, place, value)) return true;
        (s.Result, s.Carries) = (result, carries);
        return s.MemoryFault(this);
    }
}

internal sealed class ByteSwapOperation<TWidth> : Operation where TWidth : struct, IWidth
{
    public override bool Execute(CpuState s)
    {
        ulong value = TWidth.Get(s, R1);
        // Of 16 bits the result is undefined; real processors give zero.
        TWidth.Set(s, R1, TWidth.Bits switch
        {
            16 => 0,
            32 => BinaryPrimitives.ReverseEndianness((uint)value),
            _ => BinaryPrimitives.ReverseEndianness(value),
        });
        return true;
    }
}

/// <summary>SHLD (left) and SHRD; the count is the source operand.</summary>
internal sealed class DoubleShiftOperation<TWidth, TDestination, TCount> : Operation
    where TWidth : struct, IWidth where TDestination : struct, IOperand where TCount : struct, IOperand
{
    private readonly bool _left;

    public DoubleShiftOperation(bool left) => _left = left;

    public override bool Execute(CpuState s)
    {
        ulong place = TDestination.Locate(this, s);
        if (!TDestination.TryRead(this, s, place, out ulong a)) return s.MemoryFault(this);
        TCount.TryRead(this, s, 0, out ulong given);
        int count = Flags.Count<TWidth>(given);
        if (count == 0) return TDestination.TryWrite(this, s, place, a) || s.MemoryFault(this);
        ulong b = TWidth.Get(s, R2);
        ulong value, carry;
        if (_left)
        {
            // Counts above 16 of 16 bits are undefined: this shifts in the destination again.
            value = count <= TWidth.Bits ? (a << count) | ShiftedRight(b, TWidth.Bits - count) : (b << (count - 16)) | ShiftedRight(a, 32 - count);
            carry = count <= TWidth.Bits ? (a >> (TWidth.Bits - count)) & 1 : (b >> (32 - count)) & 1;
        }
        else
        {
            value = count <= TWidth.Bits ? (a >> count) | ShiftedLeft(b, TWidth.Bits - count) : (b >> (count - 16)) | ShiftedLeft(a, 32 - count);
            carry = count <= TWidth.Bits ? (a >> (count - 1)) & 1 : (b >> (count - 17)) & 1;
        }
        value &= TWidth.Mask;
        if (!TDestination.TryWrite(this, s, place, value)) return s.MemoryFault(this);
        Flags.SetShift<TWidth>(s, value, carry, Flags.Top<TWidth>(value ^ a));
        return true;
    }

    private static ulong ShiftedRight(ulong value, int count) => count > 63 ? 0 : value >> count;

    private static ulong ShiftedLeft(ulong value, int count) => count > 63 ? 0 : value << count;
}

/// <summary>MUL and one-operand IMUL: the accumulator times the source, into DX:AX (AX for bytes).</summary>
internal sealed class MultiplyOperation<TWidth, TSource> : Operation where TWidth : struct, IWidth where TSource : struct, IOperand
{
    private readonly bool _signed;

    public MultiplyOperation(bool signed) => _signed = signed;

    public override bool Execute(CpuState s)
    {
        if (!TSource.TryRead(this, s, TSource.Locate(this, s), out ulong b)) return s.MemoryFault(this);
        ulong a = TWidth.Get(s, (int)Gpr.Rax);
        ulong low, high;
        if (_signed)
        {
            (a, b) = (TWidth.SignExtend(a), TWidth.SignExtend(b));
            if (TWidth.Bits == 64)
            {
                high = (ulong)Math.BigMul((long)a, (long)b, out long signedLow);
                low = (ulong)signedLow;
            }
            else high = (low = a * b) >> TWidth.Bits;
        }
        else if (TWidth.Bits == 64) high = Math.BigMul(a, b, out low);
        else high = (low = a * b) >> TWidth.Bits;
        low &= TWidth.Mask;
        high &= TWidth.Mask;
        if (TWidth.Bits == 8) Width16.Set(s, (int)Gpr.Rax, (high << 8) | low);
        else
        {
            TWidth.Set(s, (int)Gpr.Rax, low);
            TWidth.Set(s, (int)Gpr.Rdx, high);
        }
        ulong lost = high == (_signed ? TWidth.SignExtend(low) >> 63 == 0 ? 0 : TWidth.Mask : 0) ? 0ul : 1ul;
        s.SetCarryAndOverflow(lost, lost);
        return true;
    }
}

/// <summary>IMUL of two operands (R1 *= source) or three (R1 = source * Immediate).</summary>
internal sealed class MultiplyTruncatedOperation<TWidth, TSource> : Operation where TWidth : struct, IWidth where TSource : struct, IOperand
{
    private readonly bool _byConstant;

    public MultiplyTruncatedOperation(bool byConstant) => _byConstant = byConstant;

    public override bool Execute(CpuState s)
    {
        if (!TSource.TryRead(this, s, TSource.Locate(this, s), out ulong source)) return s.MemoryFault(this);
        long a = (long)TWidth.SignExtend(source);
        long b = (long)TWidth.SignExtend(_byConstant ? Immediate : TWidth.Get(s, R1));
        long high = Math.BigMul(a, b, out long low);
        ulong kept = (ulong)low & TWidth.Mask;
        TWidth.Set(s, R1, kept);
        long extended = (long)TWidth.SignExtend(kept);
        ulong lost = extended == low && high == (low >> 63) ? 0ul : 1ul;
        s.SetCarryAndOverflow(lost, lost);
        return true;
    }
}

/// <summary>DIV and IDIV: DX:AX (AX for bytes) by the source; #DE when the quotient does not fit.</summary>
internal sealed class DivideOperation<TWidth, TSource> : Operation where TWidth : struct, IWidth where TSource : struct, IOperand
{
    private readonly bool _signed;

    public DivideOperation(bool signed) => _signed = signed;

    public override bool Execute(CpuState s)
    {
        if (!TSource.TryRead(this, s, TSource.Locate(this, s), out ulong divisor)) return s.MemoryFault(this);
        if (divisor == 0) return s.Fault(this, StopReason.DivideError, CpuState.DivisionByZero);
        ulong low = TWidth.Get(s, (int)Gpr.Rax);
        ulong high = TWidth.Bits == 8 ? (low = Width16.Get(s, (int)Gpr.Rax)) >> 8 : TWidth.Get(s, (int)Gpr.Rdx);
        if (TWidth.Bits == 8) low &= 0xFF;
        ulong quotient, remainder;
        bool fits = _signed ? TrySigned(high, low, divisor, out quotient, out remainder) : TryUnsigned(high, low, divisor, out quotient, out remainder);
        if (!fits) return s.Fault(this, StopReason.DivideError, "the quotient does not fit");
        if (TWidth.Bits == 8) Width16.Set(s, (int)Gpr.Rax, ((remainder & 0xFF) << 8) | (quotient & 0xFF));
        else
        {
            TWidth.Set(s, (int)Gpr.Rax, quotient & TWidth.Mask);
            TWidth.Set(s, (int)Gpr.Rdx, remainder & TWidth.Mask);
        }
        return true;
    }

    private static bool TryUnsigned(ulong high, ulong low, ulong divisor, out ulong quotient, out ulong remainder)
    {
        (quotient, remainder) = (0, 0);
        if (high >= divisor) return false;
        if (TWidth.Bits < 64) (quotient, remainder) = Math.DivRem((high << TWidth.Bits) | low, divisor);
        else if (high == 0) (quotient, remainder) = Math.DivRem(low, divisor);
        else
        {
            (UInt128 q, UInt128 r) = UInt128.DivRem(new UInt128(high, low), divisor);
            (quotient, remainder) = ((ulong)q, (ulong)r);
        }
        return true;
    }

    private static bool TrySigned(ulong high, ulong low, ulong unsignedDivisor, out ulong quotient, out ulong remainder)
    {
        (quotient, remainder) = (0, 0);
        long divisor = (long)TWidth.SignExtend(unsignedDivisor);
        if (TWidth.Bits == 64)
        {
            // The one quotient that even 128 bits cannot hold.
            if (high == 1ul << 63 && low == 0 && divisor == -1) return false;
            (Int128 q, Int128 r) = Int128.DivRem(new Int128(high, low), divisor);
            (quotient, remainder) = ((ulong)q, (ulong)r);
            return q == (long)q;
        }
        long dividend = TWidth.Bits switch
        {
            8 => (short)((high << 8) | low),
            16 => (int)((high << 16) | low),
            _ => (long)((high << 32) | low),
        };
        // The one quotient that even 64 bits cannot hold.
        if (dividend == long.MinValue && divisor == -1) return false;
        (long wide, long rest) = Math.DivRem(dividend, divisor);
        (quotient, remainder) = ((ulong)wide, (ulong)rest);
        return wide == (long)TWidth.SignExtend((ulong)wide & TWidth.Mask);
    }
}

/// <summary>CBW, CWDE, CDQE: the accumulator from its lower half.</summary>
internal sealed class ExtendAccumulatorOperation<TWidth, TNarrow> : Operation where TWidth : struct, IWidth where TNarrow : struct, IWidth
{
    public override bool Execute(CpuState s)
    {
        TWidth.Set(s, (int)Gpr.Rax, TNarrow.SignExtend(TNarrow.Get(s, (int)Gpr.Rax)));
        return true;
    }
}

/// <summary>CWD, CDQ, CQO: DX from the accumulator's sign.</summary>
internal sealed class SignToDataOperation<TWidth> : Operation where TWidth : struct, IWidth
{
    public override bool Execute(CpuState s)
    {
        TWidth.Set(s, (int)Gpr.Rdx, Flags.Top<TWidth>(TWidth.Get(s, (int)Gpr.Rax)) == 0 ? 0 : TWidth.Mask);
        return true;
    }
}

internal sealed class SetConditionOperation<TCondition, TDestination> : Operation where TCondition : struct, ICondition where TDestination : struct, IOperand
{
    public override bool Execute(CpuState s)
        => TDestination.TryWrite(this, s, TDestination.Locate(this, s), TCondition.Holds(s) ? 1ul : 0) || s.MemoryFault(this);
}

internal sealed class ConditionalMoveOperation<TCondition, TWidth, TSource> : Operation
    where TCondition : struct, ICondition where TWidth : struct, IWidth where TSource : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        // The source is read, and may fault, whether the condition holds or not.
        if (!TSource.TryRead(this, s, TSource.Locate(this, s), out ulong value)) return s.MemoryFault(this);
        TWidth.Set(s, R1, TCondition.Holds(s) ? value : TWidth.Get(s, R1));
        return true;
    }
}
