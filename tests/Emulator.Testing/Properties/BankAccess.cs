using Emulator.Registers;

namespace Emulator.Testing;

/// <summary>One guest access to a bank.</summary>
/// <param name="IsWrite">A write, or a read.</param>
/// <param name="Offset">Bytes from the start of the bank; any number.</param>
/// <param name="Size">1, 2, 4 or 8 bytes.</param>
/// <param name="Value">What a write drives; bits beyond the size do not count.</param>
public readonly record struct BankAccess(bool IsWrite, int Offset, int Size, ulong Value)
{
    /// <summary>Bits of an access of this size.</summary>
    public ulong Bits => ulong.MaxValue >> (64 - (Size * 8));

    /// <summary>Any access: mostly in and about the bank, now and then anywhere.</summary>
    public static BankAccess Random(Random random, int length)
    {
        int offset = random.Next(16) switch
        {
            0 => length - random.Next(0, 10),
            1 => random.Next(int.MinValue, int.MaxValue),
            _ => random.Next(-2, length + 2),
        };
        int size = 1 << random.Next(4);
        // Registers are mostly used as they are meant to be.
        if (random.Next(4) != 0) offset &= ~(size - 1);
        return new BankAccess(random.Next(2) == 0, offset, size, AnyValue(random));
    }

    /// <summary>"write 4 at 0x10: 0x12345678".</summary>
    public override string ToString() => IsWrite ? $"write {Size} at 0x{Offset:x}: 0x{Value & Bits:x}" : $"read {Size} at 0x{Offset:x}";

    internal static ulong AnyValue(Random random) => random.Next(4) switch
    {
        0 => 0,
        1 => ulong.MaxValue,
        2 => 1UL << random.Next(64),
        _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
    };

    internal ulong Do(RegisterBank bank)
    {
        if (!IsWrite) return bank.Read(Offset, Size);
        bank.Write(Offset, Size, Value & Bits);
        return 0;
    }
}
