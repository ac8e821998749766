using Emulator.Registers;

namespace Emulator.Testing;

/// <summary>Something that holds for a bank after any sequence of guest accesses.</summary>
/// <param name="Name">What holds, as the rest of a sentence.</param>
/// <param name="NeedsPlainBank">Whether handlers may break it: it is about what the definition says, not about a device.</param>
/// <param name="Check">Resets the bank, makes the accesses, and gives null, or why the property does not hold.</param>
public sealed record BankProperty(string Name, bool NeedsPlainBank, Func<RegisterBank, IReadOnlyList<BankAccess>, string?> Check);

/// <summary>
/// What every register bank obeys, whatever it is for. <see cref="Check"/> tries all of it on a bank with random accesses; the
/// single properties serve property-testing libraries with their own generators.
/// </summary>
/// <example><code>
/// [Test] public void The_bank_keeps_the_rules() => BankProperties.Check(new UartRegisters());
/// </code></example>
public static class BankProperties
{
    /// <summary>Every property.</summary>
    public static IReadOnlyList<BankProperty> All { get; } =
    [
        new("no access throws or answers more than its width", false, AnswersWithinWidth),
        new("write-only bits read zero", false, WriteOnlyReadsZero),
        new("a peek changes nothing", false, PeekChangesNothing),
        new("a reset restores every register", false, ResetRestores),
        new("read-only and undefined bits survive any traffic", true, ReadOnlySurvives),
        new("RW bits hold what was last written", true, ReadWriteHolds),
        new("RW1C bits are never set by the guest", true, WriteOneToClearNeverSets),
        new("RW1S bits are never cleared by the guest", true, WriteOneToSetNeverClears),
        new("RC bits read zero the second time", true, ReadToClearIsZeroNext),
        new("writing byte by byte is the same as writing wide", true, BytesEqualWide),
        new("a peek sees what a read would", true, PeekSeesWhatReadDoes),
    ];

    /// <summary>
    /// Tries every property on random sequences of accesses. Those about the definition alone are tried on a copy without
    /// handlers (<see cref="WithoutHandlers"/>). The bank is left reset.
    /// </summary>
    /// <param name="bank">The bank.</param>
    /// <param name="seed">Where the sequences start: a failure prints it.</param>
    /// <param name="runs">Sequences a property.</param>
    /// <exception cref="PropertyFailedException">A property does not hold; the message has the seed and the shortest sequence found.</exception>
    public static void Check(RegisterBank bank, int seed = 1, int runs = 50)
    {
        RegisterBank plain = WithoutHandlers(bank);
        foreach (BankProperty property in All)
        {
            RegisterBank subject = property.NeedsPlainBank ? plain : bank;
            var random = new Random(seed);
            for (int run = 0; run < runs; run++)
            {
                BankAccess[] accesses = [.. Enumerable.Range(0, random.Next(1, 60)).Select(_ => BankAccess.Random(random, bank.Length))];
                string? Try(IReadOnlyList<BankAccess> steps) => Verdict(property, subject, steps);
                if (Try(accesses) is not { } why) continue;
                (IReadOnlyList<BankAccess> shortest, why) = Shrinker.Shrink(accesses, why, Try);
                throw PropertyFailedException.Create(bank.Name, property.Name, why, seed, shortest);
            }
        }
        bank.Reset();
    }

    /// <summary>Whether a property holds; an exception counts as a reason why not.</summary>
    /// <returns>Null, or why not.</returns>
    public static string? Verdict(BankProperty property, RegisterBank bank, IReadOnlyList<BankAccess> accesses)
    {
        try
        {
            return property.Check(bank, accesses);
        }
        // Whatever a handler throws is what the property is about.
        catch (Exception e)
        {
            return $"{e.GetType().Name}: {e.Message}";
        }
    }

    /// <summary>A bank with the same definitions, and no device behind it.</summary>
    public static RegisterBank WithoutHandlers(RegisterBank bank) => new Copy(bank, bank.AccessSizes);

    private static string? AnswersWithinWidth(RegisterBank bank, IReadOnlyList<BankAccess> accesses)
    {
        bank.Reset();
        foreach (BankAccess access in accesses)
        {
            ulong seen = access.Do(bank), peeked = bank.Peek(access.Offset, access.Size);
            if (((seen | peeked) & ~access.Bits) != 0) return $"{access} gave 0x{seen:x}, a peek 0x{peeked:x}";
        }
        return null;
    }

    private static string? WriteOnlyReadsZero(RegisterBank bank, IReadOnlyList<BankAccess> accesses)
    {
        bank.Reset();
        foreach (BankAccess access in accesses)
        {
            ulong seen = DoUnlessRefused(bank, access, out bool refused) & Mask(bank, access, f => f.Access == Access.WriteOnly);
            if (!refused && seen != 0) return $"{access} gave 0x{seen:x} there";
        }
        return null;
    }

    private static string? PeekChangesNothing(RegisterBank bank, IReadOnlyList<BankAccess> accesses)
    {
        bank.Reset();
        foreach (BankAccess access in accesses)
        {
            access.Do(bank);
            ulong[] before = Values(bank);
            ulong first = bank.Peek(access.Offset, access.Size), second = bank.Peek(access.Offset, access.Size);
            if (first != second) return $"after {access} one peek gave 0x{first:x}, the next 0x{second:x}";
            if (Difference(bank, before, Values(bank), _ => ulong.MaxValue) is { } difference) return $"after {access} a peek changed {difference}";
        }
        return null;
    }

    private static string? ResetRestores(RegisterBank bank, IReadOnlyList<BankAccess> accesses)
    {
        foreach (BankAccess access in accesses) access.Do(bank);
        bank.Reset();
        return Difference(bank, [.. bank.Registers.Select(r => r.ResetValue)], Values(bank), _ => ulong.MaxValue) is { } difference
            ? $"after a reset, not at its reset value: {difference}"
            : null;
    }

    private static string? ReadOnlySurvives(RegisterBank bank, IReadOnlyList<BankAccess> accesses)
    {
        bank.Reset();
        ulong[] before = Values(bank);
        foreach (BankAccess access in accesses) access.Do(bank);
        return Difference(bank, before, Values(bank), r => ~Bits(r, f => f.Access != Access.ReadOnly));
    }

    private static string? ReadWriteHolds(RegisterBank bank, IReadOnlyList<BankAccess> accesses)
    {
        bank.Reset();
        foreach (BankAccess access in accesses)
        {
            DoUnlessRefused(bank, access, out bool refused);
            ulong mask = Mask(bank, access, f => f.Access == Access.ReadWrite), seen = bank.Peek(access.Offset, access.Size) & mask;
            if (access.IsWrite && !refused && seen != (access.Value & mask)) return $"after {access} they are 0x{seen:x}";
        }
        return null;
    }

    private static string? WriteOneToClearNeverSets(RegisterBank bank, IReadOnlyList<BankAccess> accesses)
        => EachAccess(bank, accesses, (r, before, after) => after & ~before & Bits(r, f => f.Access == Access.WriteOneToClear));

    private static string? WriteOneToSetNeverClears(RegisterBank bank, IReadOnlyList<BankAccess> accesses)
        => EachAccess(bank, accesses, (r, before, after) => before & ~after & Bits(r, f => f.Access == Access.WriteOneToSet));

    private static string? ReadToClearIsZeroNext(RegisterBank bank, IReadOnlyList<BankAccess> accesses)
    {
        bank.Reset();
        foreach (Register register in bank.Registers) register.Value |= Bits(register, f => f.Access == Access.ReadToClear);
        foreach (BankAccess access in accesses)
        {
            access.Do(bank);
            if (access.IsWrite) continue;
            ulong again = DoUnlessRefused(bank, access, out bool refused) & Mask(bank, access, f => f.Access == Access.ReadToClear);
            if (!refused && again != 0) return $"{access} again gave 0x{again:x}";
        }
        return null;
    }

    private static string? BytesEqualWide(RegisterBank bank, IReadOnlyList<BankAccess> accesses)
    {
        RegisterBank wide = new Copy(bank, AccessSizes.Any), bytes = new Copy(bank, AccessSizes.Any);
        foreach (BankAccess access in accesses)
        {
            if (!access.IsWrite) continue;
            access.Do(wide);
            for (int i = 0; i < access.Size; i++) bytes.Write(unchecked(access.Offset + i), 1, access.Value >> (i * 8) & 0xff);
            if (Difference(bank, Values(wide), Values(bytes), _ => ulong.MaxValue) is { } difference) return $"{access}, wide and by bytes: {difference}";
        }
        return null;
    }

    private static string? PeekSeesWhatReadDoes(RegisterBank bank, IReadOnlyList<BankAccess> accesses)
    {
        bank.Reset();
        foreach (BankAccess access in accesses)
        {
            ulong peeked = bank.Peek(access.Offset, access.Size), read = DoUnlessRefused(bank, access, out bool refused);
            if (!access.IsWrite && !refused && peeked != read) return $"{access} gave 0x{read:x}, a peek before it 0x{peeked:x}";
        }
        return null;
    }

    private static string? EachAccess(RegisterBank bank, IReadOnlyList<BankAccess> accesses, Func<Register, ulong, ulong, ulong> broken)
    {
        bank.Reset();
        foreach (BankAccess access in accesses)
        {
            ulong[] before = Values(bank);
            access.Do(bank);
            for (int i = 0; i < before.Length; i++)
            {
                Register register = bank.Registers[i];
                if (broken(register, before[i], register.Value) != 0) return $"{access} made {register.Name} 0x{register.Value:x} from 0x{before[i]:x}";
            }
        }
        return null;
    }

    private static ulong DoUnlessRefused(RegisterBank bank, in BankAccess access, out bool refused)
    {
        bool told = false;
        Action<int>? listener = bank.Refused;
        bank.Refused = offset =>
        {
            told = true;
            listener?.Invoke(offset);
        };
        try
        {
            return access.Do(bank);
        }
        finally
        {
            bank.Refused = listener;
            refused = told;
        }
    }

    private static ulong[] Values(RegisterBank bank)
    {
        var values = new ulong[bank.Registers.Count];
        for (int i = 0; i < values.Length; i++) values[i] = bank.Registers[i].Value;
        return values;
    }

    private static string? Difference(RegisterBank bank, ulong[] before, ulong[] after, Func<Register, ulong> mask)
    {
        for (int i = 0; i < before.Length; i++)
        {
            Register register = bank.Registers[i];
            if (((before[i] ^ after[i]) & mask(register)) != 0) return $"{register.Name} 0x{before[i]:x}, 0x{after[i]:x}";
        }
        return null;
    }

    private static ulong Bits(Register register, Func<Field, bool> which)
    {
        ulong bits = 0;
        foreach (Field field in register.Fields)
        {
            if (which(field)) bits |= field.Mask;
        }
        return bits;
    }

    // The bits of an access that belong to such fields.
    private static ulong Mask(RegisterBank bank, in BankAccess access, Func<Field, bool> which)
    {
        ulong mask = 0;
        for (int i = 0; i < access.Size; i++)
        {
            if (bank.At(unchecked(access.Offset + i)) is { } register)
                mask |= (Bits(register, which) >> ((unchecked(access.Offset + i) - register.Offset) * 8) & 0xff) << (i * 8);
        }
        return mask;
    }

    private sealed class Copy : RegisterBank
    {
        private readonly byte _unmapped;

        public Copy(RegisterBank bank, AccessSizes sizes) : base(bank.Name, bank.Length, bank.Summary)
        {
            (AccessSizes, _unmapped) = (sizes, bank.Unmapped);
            foreach (Register register in bank.Registers)
            {
                Register copy = Add(register.Name, register.Offset, register.Size, register.Summary);
                foreach (Field field in register.Fields) copy.Bits(field.High, field.Low, field.Name, field.Access, field.ResetValue, field.Summary);
            }
        }

        public override byte Unmapped => _unmapped;
    }
}
