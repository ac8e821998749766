using System.Runtime.Intrinsics;

namespace Emulator.DriverBench.Cpu;

/// <summary>Where the source of a vector instruction is.</summary>
internal enum VectorSource : byte
{
    /// <summary>The XMM register in R2.</summary>
    Register,
    /// <summary>The constant in Immediate, as the low quadword.</summary>
    Constant,
    Memory2,
    Memory4,
    Memory8,
    Memory16,
    /// <summary>#GP unless aligned to 16.</summary>
    Memory16Aligned,
}

/// <summary>An instruction with a vector source.</summary>
internal abstract class VectorOperation : Operation
{
    private readonly VectorSource _source;

    protected VectorOperation(VectorSource source) => _source = source;

    protected bool TryReadSource(CpuState s, out Vector128<byte> value)
    {
        value = default;
        if (_source == VectorSource.Register)
        {
            value = s.Xmm[R2 & 15];
            return true;
        }
        if (_source == VectorSource.Constant)
        {
            value = Vector128.Create(Immediate, 0).AsByte();
            return true;
        }
        ulong place = LinearAddress(s);
        ulong low, high = 0;
        bool done;
        switch (_source)
        {
            case VectorSource.Memory2:
                done = s.Memory.TryRead16(place, out ushort word);
                low = word;
                break;
            case VectorSource.Memory4:
                done = s.Memory.TryRead32(place, out uint dword);
                low = dword;
                break;
            case VectorSource.Memory8:
                done = s.Memory.TryRead64(place, out low);
                break;
            default:
                if (_source == VectorSource.Memory16Aligned && (place & 15) != 0) return Misaligned(s, place);
                done = s.Memory.TryRead64(place, out low) && s.Memory.TryRead64((place + 8) & LinearMask, out high);
                break;
        }
        value = Vector128.Create(low, high).AsByte();
        return done || s.MemoryFault(this);
    }

    protected bool Misaligned(CpuState s, ulong place) => s.Fault(this, StopReason.GeneralProtection, $"SSE operand at 0x{place:x} is not aligned to 16");
}

/// <summary>R1 = function(R1, source, R3).</summary>
internal sealed class VectorFunctionOperation(VectorFunction function, VectorSource source) : VectorOperation(source)
{
    public override bool Execute(CpuState s)
    {
        if (!TryReadSource(s, out Vector128<byte> b)) return false;
        s.Xmm[R1 & 15] = function(s.Xmm[R1 & 15], b, R3);
        return true;
    }
}

/// <summary>R1 = source; what memory does not fill becomes zero.</summary>
internal sealed class VectorLoadOperation(VectorSource source) : VectorOperation(source)
{
    public override bool Execute(CpuState s)
    {
        if (!TryReadSource(s, out Vector128<byte> value)) return false;
        s.Xmm[R1 & 15] = value;
        return true;
    }
}

/// <summary>R1 = R2, as wide as an element: MOVQ clears the rest, MOVSS and MOVSD keep it.</summary>
internal sealed class VectorMoveElementOperation(int size, bool clear) : Operation
{
    public override bool Execute(CpuState s)
    {
        ulong b = s.Xmm[R2 & 15].AsUInt64()[0];
        Vector128<ulong> a = clear ? default : s.Xmm[R1 & 15].AsUInt64();
        s.Xmm[R1 & 15] = a.WithElement(0, size == 8 ? b : (a[0] & ~0xFFFF_FFFFul) | (uint)b).AsByte();
        return true;
    }
}

/// <summary>Stores 4, 8 or 16 bytes of R2; 8 from the upper half when asked.</summary>
internal sealed class VectorStoreOperation(int size, bool aligned, bool upper) : VectorOperation(VectorSource.Register)
{
    public override bool Execute(CpuState s)
    {
        ulong place = LinearAddress(s);
        Vector128<ulong> value = s.Xmm[R2 & 15].AsUInt64();
        bool done;
        if (size == 16)
        {
            if (aligned && (place & 15) != 0) return Misaligned(s, place);
            done = s.Memory.TryWrite128(place, new UInt128(value[1], value[0]));
        }
        else if (size == 8) done = s.Memory.TryWrite64(place, value[upper ? 1 : 0]);
        else done = s.Memory.TryWrite32(place, (uint)value[0]);
        return done || s.MemoryFault(this);
    }
}

/// <summary>MOVD and MOVQ: R1 (vector) from a general register; the rest is cleared.</summary>
internal sealed class VectorFromGeneralOperation<TWidth> : Operation where TWidth : struct, IWidth
{
    public override bool Execute(CpuState s)
    {
        s.Xmm[R1 & 15] = Vector128.Create(TWidth.Get(s, R2), 0).AsByte();
        return true;
    }
}

/// <summary>MOVD and MOVQ: R1 (general) from a vector.</summary>
internal sealed class GeneralFromVectorOperation<TWidth> : Operation where TWidth : struct, IWidth
{
    public override bool Execute(CpuState s)
    {
        TWidth.Set(s, R1, s.Xmm[R2 & 15].AsUInt64()[0] & TWidth.Mask);
        return true;
    }
}

internal enum VectorMask : byte
{
    Bytes, Singles, Doubles,
}

/// <summary>PMOVMSKB, MOVMSKPS, MOVMSKPD: the sign bits of R2 into R1.</summary>
internal sealed class MoveMaskOperation(VectorMask kind) : Operation
{
    public override bool Execute(CpuState s)
    {
        Vector128<byte> value = s.Xmm[R2 & 15];
        Width32.Set(s, R1, kind switch
        {
            VectorMask.Bytes => value.ExtractMostSignificantBits(),
            VectorMask.Singles => value.AsSingle().ExtractMostSignificantBits(),
            _ => value.AsDouble().ExtractMostSignificantBits(),
        });
        return true;
    }
}

/// <summary>PBLENDVB, BLENDVPS and BLENDVPD: elements of the source where XMM0's are negative.</summary>
internal sealed class VectorBlendOperation(VectorSource source, int size) : VectorOperation(source)
{
    public override bool Execute(CpuState s)
    {
        if (!TryReadSource(s, out Vector128<byte> b)) return false;
        Vector128<byte> signs = s.Xmm[0];
        Vector128<byte> mask = size switch
        {
            1 => Vector128.LessThan(signs.AsSByte(), default).AsByte(),
            4 => Vector128.LessThan(signs.AsInt32(), default).AsByte(),
            _ => Vector128.LessThan(signs.AsInt64(), default).AsByte(),
        };
        s.Xmm[R1 & 15] = Vector128.ConditionalSelect(mask, b, s.Xmm[R1 & 15]);
        return true;
    }
}

/// <summary>PTEST: ZF and CF from two conjunctions, the others clear.</summary>
internal sealed class VectorTestOperation(VectorSource source) : VectorOperation(source)
{
    public override bool Execute(CpuState s)
    {
        if (!TryReadSource(s, out Vector128<byte> b)) return false;
        Vector128<byte> a = s.Xmm[R1 & 15];
        s.SetArithmeticFlags(((a & b) == default ? CpuState.ZeroFlag : 0) | ((~a & b) == default ? CpuState.CarryFlag : 0));
        return true;
    }
}

/// <summary>
/// PEXTRB, PEXTRW, PEXTRD, PEXTRQ, EXTRACTPS: an element of R2 into a general register, zero-extended, or into memory; its index is Immediate.
/// </summary>
internal sealed class ExtractElementOperation<TWidth, TDestination> : Operation where TWidth : struct, IWidth where TDestination : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        int bit = TWidth.Bits * ((int)Immediate & ((128 / TWidth.Bits) - 1));
        ulong half = s.Xmm[R2 & 15].AsUInt64()[bit >> 6];
        return TDestination.TryWrite(this, s, TDestination.Locate(this, s), (half >> (bit & 63)) & TWidth.Mask) || s.MemoryFault(this);
    }
}

/// <summary>PINSRB, PINSRW, PINSRD, PINSRQ: an element of R1 from a general register or memory; its index is R3.</summary>
internal sealed class InsertElementOperation<TWidth, TSource> : Operation where TWidth : struct, IWidth where TSource : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        if (!TSource.TryRead(this, s, TSource.Locate(this, s), out ulong value)) return s.MemoryFault(this);
        int bit = TWidth.Bits * (R3 & ((128 / TWidth.Bits) - 1)), half = bit >> 6;
        Vector128<ulong> old = s.Xmm[R1 & 15].AsUInt64();
        ulong mask = TWidth.Mask << (bit & 63);
        s.Xmm[R1 & 15] = old.WithElement(half, (old[half] & ~mask) | ((value << (bit & 63)) & mask)).AsByte();
        return true;
    }
}

/// <summary>CVTSI2SS and CVTSI2SD: the low element of R1 from an integer.</summary>
internal sealed class ConvertFromIntegerOperation<TWidth, TSource>(bool toDouble) : Operation where TWidth : struct, IWidth where TSource : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        if (!TSource.TryRead(this, s, TSource.Locate(this, s), out ulong value)) return s.MemoryFault(this);
        long integer = (long)TWidth.SignExtend(value);
        Vector128<byte> old = s.Xmm[R1 & 15];
        s.Xmm[R1 & 15] = toDouble ? old.AsDouble().WithElement(0, integer).AsByte() : old.AsSingle().WithElement(0, integer).AsByte();
        return true;
    }
}

/// <summary>CVT(T)SS2SI and CVT(T)SD2SI: R1 from the low element of the source.</summary>
internal sealed class ConvertToIntegerOperation<TWidth>(VectorSource source, bool fromDouble, bool truncate) : VectorOperation(source)
    where TWidth : struct, IWidth
{
    public override bool Execute(CpuState s)
    {
        if (!TryReadSource(s, out Vector128<byte> value)) return false;
        double number = fromDouble ? value.AsDouble()[0] : value.AsSingle()[0];
        TWidth.Set(s, R1, VectorFunctions.ToInteger(number, TWidth.Bits, truncate ? MidpointRounding.ToZero : MidpointRounding.ToEven));
        return true;
    }
}

/// <summary>COMISS, UCOMISS, COMISD, UCOMISD: ZF, PF and CF from a comparison, the others clear.</summary>
internal sealed class CompareScalarOperation(VectorSource source, bool isDouble) : VectorOperation(source)
{
    public override bool Execute(CpuState s)
    {
        if (!TryReadSource(s, out Vector128<byte> value)) return false;
        double a = isDouble ? s.Xmm[R1 & 15].AsDouble()[0] : s.Xmm[R1 & 15].AsSingle()[0];
        double b = isDouble ? value.AsDouble()[0] : value.AsSingle()[0];
        if (double.IsNaN(a) || double.IsNaN(b)) s.SetArithmeticFlags(CpuState.ZeroFlag | CpuState.ParityFlag | CpuState.CarryFlag);
        else s.SetArithmeticFlags(a == b ? CpuState.ZeroFlag : a < b ? CpuState.CarryFlag : 0);
        return true;
    }
}
