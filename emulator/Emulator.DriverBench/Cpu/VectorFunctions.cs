using System.Collections.Frozen;
using System.Runtime.Intrinsics;
using Iced.Intel;

namespace Emulator.DriverBench.Cpu;

/// <summary>The new destination from the old one, the source and the constant of an SSE or SSE2 instruction.</summary>
internal delegate Vector128<byte> VectorFunction(Vector128<byte> a, Vector128<byte> b, byte constant);

/// <summary>SSE and SSE2 by mnemonic. A scalar source in memory arrives zero-extended (SDM volume 2).</summary>
internal static class VectorFunctions
{
    public static FrozenDictionary<Mnemonic, VectorFunction> ByMnemonic { get; } = new Dictionary<Mnemonic, VectorFunction>
    {
        // Logic
        [Mnemonic.Pand] = static (a, b, _) => a & b,
        [Mnemonic.Andps] = static (a, b, _) => a & b,
        [Mnemonic.Andpd] = static (a, b, _) => a & b,
        [Mnemonic.Pandn] = static (a, b, _) => ~a & b,
        [Mnemonic.Andnps] = static (a, b, _) => ~a & b,
        [Mnemonic.Andnpd] = static (a, b, _) => ~a & b,
        [Mnemonic.Por] = static (a, b, _) => a | b,
        [Mnemonic.Orps] = static (a, b, _) => a | b,
        [Mnemonic.Orpd] = static (a, b, _) => a | b,
        [Mnemonic.Pxor] = static (a, b, _) => a ^ b,
        [Mnemonic.Xorps] = static (a, b, _) => a ^ b,
        [Mnemonic.Xorpd] = static (a, b, _) => a ^ b,

        // Integer arithmetic
        [Mnemonic.Paddb] = static (a, b, _) => a + b,
        [Mnemonic.Paddw] = static (a, b, _) => (a.AsInt16() + b.AsInt16()).AsByte(),
        [Mnemonic.Paddd] = static (a, b, _) => (a.AsInt32() + b.AsInt32()).AsByte(),
        [Mnemonic.Paddq] = static (a, b, _) => (a.AsInt64() + b.AsInt64()).AsByte(),
        [Mnemonic.Psubb] = static (a, b, _) => a - b,
        [Mnemonic.Psubw] = static (a, b, _) => (a.AsInt16() - b.AsInt16()).AsByte(),
        [Mnemonic.Psubd] = static (a, b, _) => (a.AsInt32() - b.AsInt32()).AsByte(),
        [Mnemonic.Psubq] = static (a, b, _) => (a.AsInt64() - b.AsInt64()).AsByte(),
        [Mnemonic.Paddsb] = static (a, b, _) => Bytes(a, b, static (x, y) => Math.Clamp((sbyte)x + (sbyte)y, sbyte.MinValue, sbyte.MaxValue)),
        [Mnemonic.Paddusb] = static (a, b, _) => Bytes(a, b, static (x, y) => Math.Min(x + y, byte.MaxValue)),
        [Mnemonic.Psubsb] = static (a, b, _) => Bytes(a, b, static (x, y) => Math.Clamp((sbyte)x - (sbyte)y, sbyte.MinValue, sbyte.MaxValue)),
        [Mnemonic.Psubusb] = static (a, b, _) => Bytes(a, b, static (x, y) => Math.Max(x - y, 0)),
        [Mnemonic.Paddsw] = static (a, b, _) => Words(a, b, static (x, y) => Math.Clamp((short)x + (short)y, short.MinValue, short.MaxValue)),
        [Mnemonic.Paddusw] = static (a, b, _) => Words(a, b, static (x, y) => Math.Min(x + y, ushort.MaxValue)),
        [Mnemonic.Psubsw] = static (a, b, _) => Words(a, b, static (x, y) => Math.Clamp((short)x - (short)y, short.MinValue, short.MaxValue)),
        [Mnemonic.Psubusw] = static (a, b, _) => Words(a, b, static (x, y) => Math.Max(x - y, 0)),
        [Mnemonic.Pmullw] = static (a, b, _) => Words(a, b, static (x, y) => (short)x * (short)y),
        [Mnemonic.Pmulhw] = static (a, b, _) => Words(a, b, static (x, y) => ((short)x * (short)y) >> 16),
        [Mnemonic.Pmulhuw] = static (a, b, _) => Words(a, b, static (x, y) => (int)(((uint)x * y) >> 16)),
        [Mnemonic.Pmuludq] = static (a, b, _)
            => ((a.AsUInt64() & Vector128.Create(0xFFFF_FFFFul)) * (b.AsUInt64() & Vector128.Create(0xFFFF_FFFFul))).AsByte(),
        [Mnemonic.Pmaddwd] = static (a, b, _) => MultiplyAddWords(a.AsInt16(), b.AsInt16()).AsByte(),
        [Mnemonic.Pavgb] = static (a, b, _) => Bytes(a, b, static (x, y) => (x + y + 1) >> 1),
        [Mnemonic.Pavgw] = static (a, b, _) => Words(a, b, static (x, y) => (x + y + 1) >> 1),
        [Mnemonic.Psadbw] = static (a, b, _) => SumOfDifferences(a, b).AsByte(),
        [Mnemonic.Pmaxub] = static (a, b, _) => Vector128.Max(a, b),
        [Mnemonic.Pminub] = static (a, b, _) => Vector128.Min(a, b),
        [Mnemonic.Pmaxsw] = static (a, b, _) => Vector128.Max(a.AsInt16(), b.AsInt16()).AsByte(),
        [Mnemonic.Pminsw] = static (a, b, _) => Vector128.Min(a.AsInt16(), b.AsInt16()).AsByte(),
        [Mnemonic.Pcmpeqb] = static (a, b, _) => Vector128.Equals(a, b),
        [Mnemonic.Pcmpeqw] = static (a, b, _) => Vector128.Equals(a.AsInt16(), b.AsInt16()).AsByte(),
        [Mnemonic.Pcmpeqd] = static (a, b, _) => Vector128.Equals(a.AsInt32(), b.AsInt32()).AsByte(),
        [Mnemonic.Pcmpgtb] = static (a, b, _) => Vector128.GreaterThan(a.AsSByte(), b.AsSByte()).AsByte(),
        [Mnemonic.Pcmpgtw] = static (a, b, _) => Vector128.GreaterThan(a.AsInt16(), b.AsInt16()).AsByte(),
        [Mnemonic.Pcmpgtd] = static (a, b, _) => Vector128.GreaterThan(a.AsInt32(), b.AsInt32()).AsByte(),

        // Shifts: the count is the source's low quadword; a constant arrives there, too.
        [Mnemonic.Psllw] = static (a, b, _) => Count(b) > 15 ? default : (a.AsUInt16() << Count(b)).AsByte(),
        [Mnemonic.Pslld] = static (a, b, _) => Count(b) > 31 ? default : (a.AsUInt32() << Count(b)).AsByte(),
        [Mnemonic.Psllq] = static (a, b, _) => Count(b) > 63 ? default : (a.AsUInt64() << Count(b)).AsByte(),
        [Mnemonic.Psrlw] = static (a, b, _) => Count(b) > 15 ? default : (a.AsUInt16() >> Count(b)).AsByte(),
        [Mnemonic.Psrld] = static (a, b, _) => Count(b) > 31 ? default : (a.AsUInt32() >> Count(b)).AsByte(),
        [Mnemonic.Psrlq] = static (a, b, _) => Count(b) > 63 ? default : (a.AsUInt64() >> Count(b)).AsByte(),
        [Mnemonic.Psraw] = static (a, b, _) => (a.AsInt16() >> Math.Min(Count(b), 15)).AsByte(),
        [Mnemonic.Psrad] = static (a, b, _) => (a.AsInt32() >> Math.Min(Count(b), 31)).AsByte(),
        [Mnemonic.Pslldq] = static (a, b, _) => Count(b) > 15 ? default : FromWhole(Whole(a) << (8 * Count(b))),
        [Mnemonic.Psrldq] = static (a, b, _) => Count(b) > 15 ? default : FromWhole(Whole(a) >> (8 * Count(b))),

        // Shuffles
        [Mnemonic.Punpcklbw] = static (a, b, _) => Interleave(a, b, 0, 1),
        [Mnemonic.Punpckhbw] = static (a, b, _) => Interleave(a, b, 8, 1),
        [Mnemonic.Punpcklwd] = static (a, b, _) => Interleave(a, b, 0, 2),
        [Mnemonic.Punpckhwd] = static (a, b, _) => Interleave(a, b, 8, 2),
        [Mnemonic.Punpckldq] = static (a, b, _) => Interleave(a, b, 0, 4),
        [Mnemonic.Punpckhdq] = static (a, b, _) => Interleave(a, b, 8, 4),
        [Mnemonic.Punpcklqdq] = static (a, b, _) => Interleave(a, b, 0, 8),
        [Mnemonic.Punpckhqdq] = static (a, b, _) => Interleave(a, b, 8, 8),
        [Mnemonic.Unpcklps] = static (a, b, _) => Interleave(a, b, 0, 4),
        [Mnemonic.Unpckhps] = static (a, b, _) => Interleave(a, b, 8, 4),
        [Mnemonic.Unpcklpd] = static (a, b, _) => Interleave(a, b, 0, 8),
        [Mnemonic.Unpckhpd] = static (a, b, _) => Interleave(a, b, 8, 8),
        [Mnemonic.Packsswb] = static (a, b, _) => Vector128.Create(
            PackWords(a, static x => (byte)Math.Clamp((int)x, sbyte.MinValue, sbyte.MaxValue)),
            PackWords(b, static x => (byte)Math.Clamp((int)x, sbyte.MinValue, sbyte.MaxValue))).AsByte(),
        [Mnemonic.Packuswb] = static (a, b, _) => Vector128.Create(
            PackWords(a, static x => (byte)Math.Clamp((int)x, 0, byte.MaxValue)),
            PackWords(b, static x => (byte)Math.Clamp((int)x, 0, byte.MaxValue))).AsByte(),
        [Mnemonic.Packssdw] = static (a, b, _) => Vector128.Create(PackDwords(a), PackDwords(b)).AsByte(),
        [Mnemonic.Pshufd] = static (_, b, constant) => Vector128.Create(
            Dword(b, constant), Dword(b, constant >> 2), Dword(b, constant >> 4), Dword(b, constant >> 6)).AsByte(),
        [Mnemonic.Shufps] = static (a, b, constant) => Vector128.Create(
            Dword(a, constant), Dword(a, constant >> 2), Dword(b, constant >> 4), Dword(b, constant >> 6)).AsByte(),
        [Mnemonic.Shufpd] = static (a, b, constant) => Vector128.Create(a.AsUInt64()[constant & 1], b.AsUInt64()[(constant >> 1) & 1]).AsByte(),
        [Mnemonic.Pshuflw] = static (_, b, constant) => b.AsUInt64().WithElement(0, ShuffleWords(b.AsUInt64()[0], constant)).AsByte(),
        [Mnemonic.Pshufhw] = static (_, b, constant) => b.AsUInt64().WithElement(1, ShuffleWords(b.AsUInt64()[1], constant)).AsByte(),
        [Mnemonic.Movhlps] = static (a, b, _) => a.AsUInt64().WithElement(0, b.AsUInt64()[1]).AsByte(),
        [Mnemonic.Movlhps] = static (a, b, _) => a.AsUInt64().WithElement(1, b.AsUInt64()[0]).AsByte(),
        [Mnemonic.Movlps] = static (a, b, _) => a.AsUInt64().WithElement(0, b.AsUInt64()[0]).AsByte(),
        [Mnemonic.Movlpd] = static (a, b, _) => a.AsUInt64().WithElement(0, b.AsUInt64()[0]).AsByte(),
        [Mnemonic.Movhps] = static (a, b, _) => a.AsUInt64().WithElement(1, b.AsUInt64()[0]).AsByte(),
        [Mnemonic.Movhpd] = static (a, b, _) => a.AsUInt64().WithElement(1, b.AsUInt64()[0]).AsByte(),

        // Packed floating point
        [Mnemonic.Addps] = static (a, b, _) => FirstNaN(a.AsSingle(), a.AsSingle() + b.AsSingle()).AsByte(),
        [Mnemonic.Addpd] = static (a, b, _) => FirstNaN(a.AsDouble(), a.AsDouble() + b.AsDouble()).AsByte(),
        [Mnemonic.Subps] = static (a, b, _) => (a.AsSingle() - b.AsSingle()).AsByte(),
        [Mnemonic.Subpd] = static (a, b, _) => (a.AsDouble() - b.AsDouble()).AsByte(),
        [Mnemonic.Mulps] = static (a, b, _) => FirstNaN(a.AsSingle(), a.AsSingle() * b.AsSingle()).AsByte(),
        [Mnemonic.Mulpd] = static (a, b, _) => FirstNaN(a.AsDouble(), a.AsDouble() * b.AsDouble()).AsByte(),
        [Mnemonic.Divps] = static (a, b, _) => (a.AsSingle() / b.AsSingle()).AsByte(),
        [Mnemonic.Divpd] = static (a, b, _) => (a.AsDouble() / b.AsDouble()).AsByte(),
        [Mnemonic.Sqrtps] = static (_, b, _) => Vector128.Sqrt(b.AsSingle()).AsByte(),
        [Mnemonic.Sqrtpd] = static (_, b, _) => Vector128.Sqrt(b.AsDouble()).AsByte(),
        // MIN and MAX answer the source when either is a NaN or both are zero: exactly a comparison.
        [Mnemonic.Minps] = static (a, b, _) => Vector128.ConditionalSelect(Vector128.LessThan(a.AsSingle(), b.AsSingle()), a.AsSingle(), b.AsSingle()).AsByte(),
        [Mnemonic.Minpd] = static (a, b, _) => Vector128.ConditionalSelect(Vector128.LessThan(a.AsDouble(), b.AsDouble()), a.AsDouble(), b.AsDouble()).AsByte(),
        [Mnemonic.Maxps] = static (a, b, _)
            => Vector128.ConditionalSelect(Vector128.GreaterThan(a.AsSingle(), b.AsSingle()), a.AsSingle(), b.AsSingle()).AsByte(),
        [Mnemonic.Maxpd] = static (a, b, _)
            => Vector128.ConditionalSelect(Vector128.GreaterThan(a.AsDouble(), b.AsDouble()), a.AsDouble(), b.AsDouble()).AsByte(),
        [Mnemonic.Cmpps] = static (a, b, constant) => CompareSingles(a.AsSingle(), b.AsSingle(), constant),
        [Mnemonic.Cmppd] = static (a, b, constant) => CompareDoubles(a.AsDouble(), b.AsDouble(), constant),

        // Scalar floating point
        [Mnemonic.Addss] = static (a, b, _) => Low32(a, FirstNaN(a.AsSingle(), a.AsSingle() + b.AsSingle()).AsByte()),
        [Mnemonic.Addsd] = static (a, b, _) => Low64(a, FirstNaN(a.AsDouble(), a.AsDouble() + b.AsDouble()).AsByte()),
        [Mnemonic.Subss] = static (a, b, _) => Single(a, a.AsSingle()[0] - b.AsSingle()[0]),
        [Mnemonic.Subsd] = static (a, b, _) => Double(a, a.AsDouble()[0] - b.AsDouble()[0]),
        [Mnemonic.Mulss] = static (a, b, _) => Low32(a, FirstNaN(a.AsSingle(), a.AsSingle() * b.AsSingle()).AsByte()),
        [Mnemonic.Mulsd] = static (a, b, _) => Low64(a, FirstNaN(a.AsDouble(), a.AsDouble() * b.AsDouble()).AsByte()),
        [Mnemonic.Divss] = static (a, b, _) => Single(a, a.AsSingle()[0] / b.AsSingle()[0]),
        [Mnemonic.Divsd] = static (a, b, _) => Double(a, a.AsDouble()[0] / b.AsDouble()[0]),
        [Mnemonic.Sqrtss] = static (a, b, _) => Single(a, MathF.Sqrt(b.AsSingle()[0])),
        [Mnemonic.Sqrtsd] = static (a, b, _) => Double(a, Math.Sqrt(b.AsDouble()[0])),
        [Mnemonic.Minss] = static (a, b, _) => a.AsSingle()[0] < b.AsSingle()[0] ? a : Low32(a, b),
        [Mnemonic.Minsd] = static (a, b, _) => a.AsDouble()[0] < b.AsDouble()[0] ? a : Low64(a, b),
        [Mnemonic.Maxss] = static (a, b, _) => a.AsSingle()[0] > b.AsSingle()[0] ? a : Low32(a, b),
        [Mnemonic.Maxsd] = static (a, b, _) => a.AsDouble()[0] > b.AsDouble()[0] ? a : Low64(a, b),
        [Mnemonic.Cmpss] = static (a, b, constant) => Low32(a, CompareSingles(a.AsSingle(), b.AsSingle(), constant)),
        [Mnemonic.Cmpsd] = static (a, b, constant) => Low64(a, CompareDoubles(a.AsDouble(), b.AsDouble(), constant)),

        // Conversions between vectors
        [Mnemonic.Cvtss2sd] = static (a, b, _) => Double(a, b.AsSingle()[0]),
        [Mnemonic.Cvtsd2ss] = static (a, b, _) => Single(a, (float)b.AsDouble()[0]),
        [Mnemonic.Cvtps2pd] = static (_, b, _) => Vector128.Create((double)b.AsSingle()[0], b.AsSingle()[1]).AsByte(),
        [Mnemonic.Cvtpd2ps] = static (_, b, _) => Vector128.Create((float)b.AsDouble()[0], (float)b.AsDouble()[1], 0, 0).AsByte(),
        [Mnemonic.Cvtdq2ps] = static (_, b, _) => Vector128.ConvertToSingle(b.AsInt32()).AsByte(),
        [Mnemonic.Cvtdq2pd] = static (_, b, _) => Vector128.Create((double)b.AsInt32()[0], b.AsInt32()[1]).AsByte(),
        [Mnemonic.Cvtps2dq] = static (_, b, _) => FromSingles(b.AsSingle(), MidpointRounding.ToEven),
        [Mnemonic.Cvttps2dq] = static (_, b, _) => FromSingles(b.AsSingle(), MidpointRounding.ToZero),
        [Mnemonic.Cvtpd2dq] = static (_, b, _) => FromDoubles(b.AsDouble(), MidpointRounding.ToEven),
        [Mnemonic.Cvttpd2dq] = static (_, b, _) => FromDoubles(b.AsDouble(), MidpointRounding.ToZero),
    }.ToFrozenDictionary();

    /// <summary>CVTSD2SI and friends: out of range gives the "integer indefinite" (SDM volume 1, 4.8.2.1).</summary>
    public static ulong ToInteger(double value, int bits, MidpointRounding rounding)
    {
        double whole = Math.Round(value, rounding);
        if (bits == 32) return whole is >= int.MinValue and <= int.MaxValue ? (uint)(int)whole : 0x8000_0000;
        return whole is >= -9223372036854775808.0 and < 9223372036854775808.0 ? (ulong)(long)whole : 1ul << 63;
    }

    private static int Count(Vector128<byte> b) => (int)Math.Min(b.AsUInt64()[0], 255);

    private static uint Dword(Vector128<byte> value, int index) => value.AsUInt32()[index & 3];

    private static UInt128 Whole(Vector128<byte> value) => new(value.AsUInt64()[1], value.AsUInt64()[0]);

    private static Vector128<byte> FromWhole(UInt128 value) => Vector128.Create((ulong)value, (ulong)(value >> 64)).AsByte();

    private static Vector128<byte> Single(Vector128<byte> a, float value) => a.AsSingle().WithElement(0, value).AsByte();

    private static Vector128<byte> Double(Vector128<byte> a, double value) => a.AsDouble().WithElement(0, value).AsByte();

    // Of two NaNs the processor keeps the first, made quiet (SDM volume 1, 4.8.3.5). The compiler may swap what it adds and multiplies.
    private static Vector128<float> FirstNaN(Vector128<float> a, Vector128<float> result)
        => Vector128.ConditionalSelect(Vector128.Equals(a, a), result, (a.AsUInt32() | Vector128.Create(0x0040_0000u)).AsSingle());

    private static Vector128<double> FirstNaN(Vector128<double> a, Vector128<double> result)
        => Vector128.ConditionalSelect(Vector128.Equals(a, a), result, (a.AsUInt64() | Vector128.Create(0x0008_0000_0000_0000ul)).AsDouble());

    private static Vector128<byte> Low32(Vector128<byte> a, Vector128<byte> b) => a.AsUInt32().WithElement(0, b.AsUInt32()[0]).AsByte();

    private static Vector128<byte> Low64(Vector128<byte> a, Vector128<byte> b) => a.AsUInt64().WithElement(0, b.AsUInt64()[0]).AsByte();

    private static Vector128<byte> Bytes(Vector128<byte> a, Vector128<byte> b, Func<byte, byte, int> each)
    {
        Vector128<byte> result = default;
        for (int i = 0; i < 16; i++) result = result.WithElement(i, (byte)each(a[i], b[i]));
        return result;
    }

    private static Vector128<byte> Words(Vector128<byte> a, Vector128<byte> b, Func<ushort, ushort, int> each)
    {
        Vector128<ushort> result = default;
        for (int i = 0; i < 8; i++) result = result.WithElement(i, (ushort)each(a.AsUInt16()[i], b.AsUInt16()[i]));
        return result.AsByte();
    }

    private static Vector128<int> MultiplyAddWords(Vector128<short> a, Vector128<short> b)
    {
        Vector128<int> result = default;
        for (int i = 0; i < 4; i++) result = result.WithElement(i, (a[2 * i] * b[2 * i]) + (a[(2 * i) + 1] * b[(2 * i) + 1]));
        return result;
    }

    private static Vector128<ulong> SumOfDifferences(Vector128<byte> a, Vector128<byte> b)
    {
        ulong low = 0, high = 0;
        for (int i = 0; i < 8; i++)
        {
            low += (ulong)Math.Abs(a[i] - b[i]);
            high += (ulong)Math.Abs(a[i + 8] - b[i + 8]);
        }
        return Vector128.Create(low, high);
    }

    private static Vector128<byte> Interleave(Vector128<byte> a, Vector128<byte> b, int start, int size)
    {
        Vector128<byte> result = default;
        for (int i = 0; i < 8; i++)
        {
            int at = (i / size * size * 2) + (i % size);
            result = result.WithElement(at, a[start + i]).WithElement(at + size, b[start + i]);
        }
        return result;
    }

    private static ulong PackWords(Vector128<byte> value, Func<short, byte> each)
    {
        ulong result = 0;
        for (int i = 0; i < 8; i++) result |= (ulong)each(value.AsInt16()[i]) << (8 * i);
        return result;
    }

    private static ulong PackDwords(Vector128<byte> value)
    {
        ulong result = 0;
        for (int i = 0; i < 4; i++) result |= (ulong)(ushort)Math.Clamp(value.AsInt32()[i], short.MinValue, short.MaxValue) << (16 * i);
        return result;
    }

    private static ulong ShuffleWords(ulong words, int constant)
    {
        ulong result = 0;
        for (int i = 0; i < 4; i++) result |= (ulong)(ushort)(words >> (16 * ((constant >> (2 * i)) & 3))) << (16 * i);
        return result;
    }

    private static bool Holds(double a, double b, int predicate)
    {
        bool result = (predicate & 3) switch
        {
            0 => a == b,
            1 => a < b,
            2 => a <= b,
            _ => double.IsNaN(a) || double.IsNaN(b),
        };
        return result != ((predicate & 4) != 0);
    }

    private static Vector128<byte> CompareSingles(Vector128<float> a, Vector128<float> b, int predicate)
    {
        Vector128<uint> result = default;
        for (int i = 0; i < 4; i++) result = result.WithElement(i, Holds(a[i], b[i], predicate) ? uint.MaxValue : 0);
        return result.AsByte();
    }

    private static Vector128<byte> CompareDoubles(Vector128<double> a, Vector128<double> b, int predicate)
    {
        Vector128<ulong> result = default;
        for (int i = 0; i < 2; i++) result = result.WithElement(i, Holds(a[i], b[i], predicate) ? ulong.MaxValue : 0);
        return result.AsByte();
    }

    private static Vector128<byte> FromSingles(Vector128<float> value, MidpointRounding rounding)
    {
        Vector128<uint> result = default;
        for (int i = 0; i < 4; i++) result = result.WithElement(i, (uint)ToInteger(value[i], 32, rounding));
        return result.AsByte();
    }

    private static Vector128<byte> FromDoubles(Vector128<double> value, MidpointRounding rounding)
        => Vector128.Create((uint)ToInteger(value[0], 32, rounding), (uint)ToInteger(value[1], 32, rounding), 0, 0).AsByte();
}
