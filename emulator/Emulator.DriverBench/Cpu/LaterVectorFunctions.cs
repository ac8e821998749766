using System.Collections.Frozen;
using System.Runtime.Intrinsics;
using Iced.Intel;

namespace Emulator.DriverBench.Cpu;

/// <summary>What compilers make of SSE3, SSSE3, SSE4.1 and SSE4.2 when told that they may: copying, shuffling and integers (SDM volume 2).</summary>
internal static class LaterVectorFunctions
{
    public static FrozenDictionary<Mnemonic, VectorFunction> ByMnemonic { get; } = new Dictionary<Mnemonic, VectorFunction>
    {
        // SSE3
        [Mnemonic.Movsldup] = static (_, b, _) => Shuffle(b, 0, 0, 2, 2),
        [Mnemonic.Movshdup] = static (_, b, _) => Shuffle(b, 1, 1, 3, 3),
        [Mnemonic.Movddup] = static (_, b, _) => Vector128.Create(b.AsUInt64()[0]).AsByte(),

        // SSSE3
        [Mnemonic.Pshufb] = Bytes(static (a, b, _, i) => (b[i] & 0x80) != 0 ? 0 : a[b[i] & 15]),
        [Mnemonic.Phaddw] = Pairs(static (x, y) => x + y),
        [Mnemonic.Phsubw] = Pairs(static (x, y) => x - y),
        [Mnemonic.Phaddsw] = Pairs(static (x, y) => Saturate(x + y)),
        [Mnemonic.Phsubsw] = Pairs(static (x, y) => Saturate(x - y)),
        [Mnemonic.Phaddd] = DwordPairs(static (x, y) => unchecked(x + y)),
        [Mnemonic.Phsubd] = DwordPairs(static (x, y) => unchecked(x - y)),
        [Mnemonic.Pmaddubsw] = Words(static (a, b, _, i) => Saturate((a[2 * i] * (sbyte)b[2 * i]) + (a[(2 * i) + 1] * (sbyte)b[(2 * i) + 1]))),
        [Mnemonic.Pmulhrsw] = Words(static (a, b, _, i) => (((a.AsInt16()[i] * b.AsInt16()[i]) >> 14) + 1) >> 1),
        [Mnemonic.Psignb] = Bytes(static (a, b, _, i) => (sbyte)a[i] * Math.Sign((sbyte)b[i])),
        [Mnemonic.Psignw] = Words(static (a, b, _, i) => a.AsInt16()[i] * Math.Sign(b.AsInt16()[i])),
        [Mnemonic.Psignd] = Dwords(static (a, b, _, i) => unchecked(a.AsInt32()[i] * Math.Sign(b.AsInt32()[i]))),
        [Mnemonic.Pabsb] = Bytes(static (_, b, _, i) => Math.Abs((int)(sbyte)b[i])),
        [Mnemonic.Pabsw] = Words(static (_, b, _, i) => Math.Abs((int)b.AsInt16()[i])),
        [Mnemonic.Pabsd] = Dwords(static (_, b, _, i) => (int)Math.Abs((long)b.AsInt32()[i])),
        [Mnemonic.Palignr] = Bytes(static (a, b, constant, i) => (i + constant) switch { < 16 => b[i + constant], < 32 => a[i + constant - 16], _ => 0 }),

        // SSE4.1
        [Mnemonic.Pmulld] = static (a, b, _) => (a.AsInt32() * b.AsInt32()).AsByte(),
        [Mnemonic.Pmuldq] = static (a, b, _)
            => Vector128.Create((long)a.AsInt32()[0] * b.AsInt32()[0], (long)a.AsInt32()[2] * b.AsInt32()[2]).AsByte(),
        [Mnemonic.Pminsb] = static (a, b, _) => Vector128.Min(a.AsSByte(), b.AsSByte()).AsByte(),
        [Mnemonic.Pmaxsb] = static (a, b, _) => Vector128.Max(a.AsSByte(), b.AsSByte()).AsByte(),
        [Mnemonic.Pminuw] = static (a, b, _) => Vector128.Min(a.AsUInt16(), b.AsUInt16()).AsByte(),
        [Mnemonic.Pmaxuw] = static (a, b, _) => Vector128.Max(a.AsUInt16(), b.AsUInt16()).AsByte(),
        [Mnemonic.Pminsd] = static (a, b, _) => Vector128.Min(a.AsInt32(), b.AsInt32()).AsByte(),
        [Mnemonic.Pmaxsd] = static (a, b, _) => Vector128.Max(a.AsInt32(), b.AsInt32()).AsByte(),
        [Mnemonic.Pminud] = static (a, b, _) => Vector128.Min(a.AsUInt32(), b.AsUInt32()).AsByte(),
        [Mnemonic.Pmaxud] = static (a, b, _) => Vector128.Max(a.AsUInt32(), b.AsUInt32()).AsByte(),
        [Mnemonic.Packusdw] = Words(static (a, b, _, i) => Math.Clamp((i < 4 ? a : b).AsInt32()[i & 3], 0, ushort.MaxValue)),
        [Mnemonic.Pcmpeqq] = static (a, b, _) => Vector128.Equals(a.AsInt64(), b.AsInt64()).AsByte(),
        [Mnemonic.Pblendw] = Words(static (a, b, constant, i) => ((constant >> i & 1) != 0 ? b : a).AsInt16()[i]),
        [Mnemonic.Blendps] = Dwords(static (a, b, constant, i) => ((constant >> i & 1) != 0 ? b : a).AsInt32()[i]),
        [Mnemonic.Blendpd] = static (a, b, constant) => Vector128.Create(
            ((constant & 1) != 0 ? b : a).AsUInt64()[0], ((constant & 2) != 0 ? b : a).AsUInt64()[1]).AsByte(),
        [Mnemonic.Pmovsxbw] = Words(static (_, b, _, i) => (sbyte)b[i]),
        [Mnemonic.Pmovzxbw] = Words(static (_, b, _, i) => b[i]),
        [Mnemonic.Pmovsxbd] = Dwords(static (_, b, _, i) => (sbyte)b[i]),
        [Mnemonic.Pmovzxbd] = Dwords(static (_, b, _, i) => b[i]),
        [Mnemonic.Pmovsxwd] = Dwords(static (_, b, _, i) => b.AsInt16()[i]),
        [Mnemonic.Pmovzxwd] = Dwords(static (_, b, _, i) => b.AsUInt16()[i]),
        [Mnemonic.Pmovsxbq] = static (_, b, _) => Vector128.Create((long)(sbyte)b[0], (sbyte)b[1]).AsByte(),
        [Mnemonic.Pmovzxbq] = static (_, b, _) => Vector128.Create((ulong)b[0], b[1]).AsByte(),
        [Mnemonic.Pmovsxwq] = static (_, b, _) => Vector128.Create((long)b.AsInt16()[0], b.AsInt16()[1]).AsByte(),
        [Mnemonic.Pmovzxwq] = static (_, b, _) => Vector128.Create((ulong)b.AsUInt16()[0], b.AsUInt16()[1]).AsByte(),
        [Mnemonic.Pmovsxdq] = static (_, b, _) => Vector128.Create((long)b.AsInt32()[0], b.AsInt32()[1]).AsByte(),
        [Mnemonic.Pmovzxdq] = static (_, b, _) => Vector128.Create((ulong)b.AsUInt32()[0], b.AsUInt32()[1]).AsByte(),

        // SSE4.2
        [Mnemonic.Pcmpgtq] = static (a, b, _) => Vector128.GreaterThan(a.AsInt64(), b.AsInt64()).AsByte(),
    }.ToFrozenDictionary();

    private static int Saturate(int value) => Math.Clamp(value, short.MinValue, short.MaxValue);

    private static Vector128<byte> Shuffle(Vector128<byte> b, int first, int second, int third, int fourth)
    {
        Vector128<uint> dwords = b.AsUInt32();
        return Vector128.Create(dwords[first], dwords[second], dwords[third], dwords[fourth]).AsByte();
    }

    // Each of these is made once and runs without allocating.
    private static VectorFunction Bytes(Element each) => (a, b, constant) =>
    {
        Vector128<byte> result = default;
        for (int i = 0; i < 16; i++) result = result.WithElement(i, (byte)each(a, b, constant, i));
        return result;
    };

    private static VectorFunction Words(Element each) => (a, b, constant) =>
    {
        Vector128<ushort> result = default;
        for (int i = 0; i < 8; i++) result = result.WithElement(i, (ushort)each(a, b, constant, i));
        return result.AsByte();
    };

    private static VectorFunction Dwords(Element each) => (a, b, constant) =>
    {
        Vector128<int> result = default;
        for (int i = 0; i < 4; i++) result = result.WithElement(i, each(a, b, constant, i));
        return result.AsByte();
    };

    /// <summary>Neighbouring words of the old value give the lower half, those of the source the upper one.</summary>
    private static VectorFunction Pairs(Func<int, int, int> each) => Words((a, b, _, i) =>
    {
        Vector128<short> from = (i < 4 ? a : b).AsInt16();
        return each(from[2 * (i & 3)], from[(2 * (i & 3)) + 1]);
    });

    private static VectorFunction DwordPairs(Func<int, int, int> each) => Dwords((a, b, _, i) =>
    {
        Vector128<int> from = (i < 2 ? a : b).AsInt32();
        return each(from[2 * (i & 1)], from[(2 * (i & 1)) + 1]);
    });

    /// <summary>Element i of the result.</summary>
    private delegate int Element(Vector128<byte> a, Vector128<byte> b, byte constant, int i);
}
