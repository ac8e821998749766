using Emulator.Models;
using Emulator.Pci;
using Emulator.Registers;

namespace Emulator.Testing;

/// <summary>What a model meets: an access of a guest, or time and mail.</summary>
/// <param name="Kind">Which.</param>
/// <param name="Region">The region of an access (<see cref="PciRegion"/>); any number.</param>
/// <param name="Offset">Bytes into the region, any number; nanoseconds for <see cref="ModelStepKind.Advance"/>.</param>
/// <param name="Length">Bytes of an access.</param>
/// <param name="Value">What a write drives; a long one repeats its bytes.</param>
public readonly record struct ModelStep(ModelStepKind Kind, int Region, ulong Offset, int Length, ulong Value)
{
    /// <summary>"write 4 at BAR0+0x10: 0x1", "advance 500 ns".</summary>
    public override string ToString() => Kind switch
    {
        ModelStepKind.Read => $"read {Length} at {Name(Region)}+0x{Offset:x}",
        ModelStepKind.Write => $"write {Length} at {Name(Region)}+0x{Offset:x}: 0x{Value:x}",
        ModelStepKind.Advance => $"advance {Offset} ns",
        ModelStepKind.Reset => $"reset {(ResetKind)Value}",
        _ => "settle",
    };

    private static string Name(int region) => region switch
    {
        >= 0 and < PciRegion.BarCount => $"BAR{region}",
        PciRegion.Configuration => "config",
        _ => $"region {region}",
    };
}

/// <summary>The kinds of <see cref="ModelStep"/>.</summary>
public enum ModelStepKind : byte
{
    Read,
    Write,
    /// <summary>Time passes.</summary>
    Advance,
    /// <summary>Mail and queued transfers are delivered.</summary>
    Settle,
    /// <summary>A reset; the value is its <see cref="ResetKind"/>.</summary>
    Reset,
}

/// <summary>What every model obeys, whatever it is: tried with random traffic on a <see cref="FakePciHost"/>.</summary>
public static class ModelProperties
{
    private const int Steps = 400;

    /// <summary>Every property below.</summary>
    public static void Check(DeviceModel model, int seed = 1, int runs = 10)
    {
        NothingThrows(model, seed, runs);
        PowerOnRestores(model, seed, runs);
        AccessesAllocateNothing(model, seed, runs);
    }

    /// <summary>Accesses of any region, offset and size, resets and time never throw, and never answer more than their width.</summary>
    /// <exception cref="PropertyFailedException">They do.</exception>
    public static void NothingThrows(DeviceModel model, int seed = 1, int runs = 10)
        => Try(model, "nothing throws", seed, runs, (_, _) => null);

    /// <summary>A power-on reset brings every register, and the RAM of every BAR, to what they are in a new device.</summary>
    /// <exception cref="PropertyFailedException">It does not.</exception>
    public static void PowerOnRestores(DeviceModel model, int seed = 1, int runs = 10)
    {
        FakePciHost fresh = Plug(model);
        ulong[][] expected = Values(fresh.Function);
        byte[]?[] expectedRam = [.. fresh.Function.Bars.Select(b => b?.Memory?.Span.ToArray())];
        Try(model, "power-on restores every bank", seed, runs, (host, _) =>
        {
            host.Settle();
            host.Function.Reset(ResetKind.PowerOn);
            host.Config.Write16(0x04, 0x0007);
            RegisterBank[] banks = [.. host.Function.Banks];
            ulong[][] values = Values(host.Function);
            for (int i = 0; i < banks.Length; i++)
            {
                for (int j = 0; j < values[i].Length; j++)
                {
                    if (values[i][j] != expected[i][j])
                        return $"{banks[i].Name}.{banks[i].Registers[j].Name} is 0x{values[i][j]:x}, in a new device 0x{expected[i][j]:x}";
                }
            }
            for (int i = 0; i < expectedRam.Length; i++)
            {
                if (expectedRam[i] is { } ram && !host.Function.Bars[i]!.Memory!.Span.SequenceEqual(ram)) return $"the RAM of BAR{i} is not as in a new device";
            }
            return null;
        });
    }

    /// <summary>No access allocates memory, once everything has been used before; those the guest error log prints are excepted.</summary>
    /// <exception cref="PropertyFailedException">One does, each time.</exception>
    public static void AccessesAllocateNothing(DeviceModel model, int seed = 1, int runs = 10)
    {
        var random = new Random(seed);
        FakePciHost host = Plug(model);
        host.Messages.EnsureCapacity(Steps * 64);
        var buffer = new byte[MostBytes];
        for (int run = 0; run < runs; run++)
        {
            ModelStep[] steps = Sequence(random, host.Function);
            var allocated = new long[steps.Length];
            // A list that grows does so now and then; what allocates in every one of these rounds does so by design.
            for (int round = 0; round < 4; round++)
            {
                host.Function.Reset(ResetKind.PowerOn);
                host.Config.Write16(0x04, 0x0007);
                host.Messages.Clear();
                for (int i = 0; i < steps.Length; i++)
                {
                    long errors = host.Function.Log.Count, before = GC.GetAllocatedBytesForCurrentThread();
                    Do(host, steps[i], buffer);
                    long bytes = GC.GetAllocatedBytesForCurrentThread() - before;
                    if (host.Function.Log.Count != errors || steps[i].Kind > ModelStepKind.Write) bytes = 0;
                    allocated[i] = round == 0 ? bytes : Math.Min(allocated[i], bytes);
                }
            }
            for (int i = 0; i < steps.Length; i++)
            {
                if (allocated[i] == 0) continue;
                string why = $"{steps[i]} allocates {allocated[i]} bytes";
                throw PropertyFailedException.Create(model.Name, "accesses allocate nothing", why, seed, steps[..(i + 1)]);
            }
        }
    }

    /// <summary>Random steps for a function: mostly at its registers, now and then anywhere.</summary>
    public static ModelStep[] Sequence(Random random, PciFunction function)
        => [.. Enumerable.Range(0, random.Next(1, Steps)).Select(_ => Step(random, function))];

    /// <summary>Makes one step.</summary>
    /// <param name="buffer">For long accesses: at least <see cref="MostBytes"/>.</param>
    /// <returns>What a read of at most 8 bytes gave.</returns>
    public static ulong Do(FakePciHost host, in ModelStep step, Span<byte> buffer)
    {
        bool isOne = step.Length is 1 or 2 or 4 or 8;
        switch (step.Kind)
        {
            case ModelStepKind.Read when isOne:
                return host.Function.Read(step.Region, step.Offset, step.Length);
            case ModelStepKind.Read:
                host.Function.Read(step.Region, step.Offset, buffer[..step.Length]);
                break;
            case ModelStepKind.Write when isOne:
                host.Function.Write(step.Region, step.Offset, step.Length, step.Value);
                break;
            case ModelStepKind.Write:
                buffer[..step.Length].Fill((byte)step.Value);
                host.Function.Write(step.Region, step.Offset, buffer[..step.Length]);
                break;
            case ModelStepKind.Advance:
                host.Clock.Advance((long)step.Offset);
                break;
            case ModelStepKind.Settle:
                host.Settle();
                break;
            case ModelStepKind.Reset:
                host.Function.Reset((ResetKind)step.Value);
                // Without decoding, the rest of the sequence would try nothing.
                host.Config.Write16(0x04, 0x0007);
                break;
        }
        return 0;
    }

    /// <summary>Bytes of the longest access of a <see cref="Sequence"/>.</summary>
    public const int MostBytes = 64;

    private static void Try(DeviceModel model, string property, int seed, int runs, Func<FakePciHost, IReadOnlyList<ModelStep>, string?> atEnd)
    {
        var random = new Random(seed);
        PciFunction description = Plug(model).Function;
        for (int run = 0; run < runs; run++)
        {
            ModelStep[] steps = Sequence(random, description);
            string? Verdict(IReadOnlyList<ModelStep> sequence) => Play(model, sequence, atEnd);
            if (Verdict(steps) is not { } why) continue;
            (IReadOnlyList<ModelStep> shortest, why) = Shrinker.Shrink(steps, why, Verdict);
            throw PropertyFailedException.Create(model.Name, property, why, seed, shortest);
        }
    }

    private static string? Play(DeviceModel model, IReadOnlyList<ModelStep> steps, Func<FakePciHost, IReadOnlyList<ModelStep>, string?> atEnd)
    {
        FakePciHost host = Plug(model);
        Span<byte> buffer = stackalloc byte[MostBytes];
        try
        {
            foreach (ModelStep step in steps)
            {
                ulong seen = Do(host, step, buffer);
                if (step.Kind == ModelStepKind.Read && step.Length < 8 && seen >> (step.Length * 8) != 0) return $"{step} gave 0x{seen:x}";
            }
            return atEnd(host, steps);
        }
        // Whatever a model throws is what the property is about.
        catch (Exception e)
        {
            return $"{e.GetType().Name}: {e.Message}";
        }
    }

    private static FakePciHost Plug(DeviceModel model)
    {
        var host = new FakePciHost();
        host.Plug(model.Create(host.Slot));
        return host;
    }

    private static ulong[][] Values(PciFunction function)
        => [.. function.Banks.Select(bank => bank.Registers.Select(r => r.Value).ToArray())];

    private static ModelStep Step(Random random, PciFunction function)
    {
        switch (random.Next(32))
        {
            case 0: return new ModelStep(ModelStepKind.Advance, 0, (ulong)random.NextInt64(1, 10_000_000), 0, 0);
            case 1: return new ModelStep(ModelStepKind.Settle, 0, 0, 0, 0);
            case 2 when random.Next(4) == 0: return new ModelStep(ModelStepKind.Reset, 0, 0, 0, (ulong)random.Next(1, 5));
        }
        int region = random.Next(12) switch
        {
            0 => random.Next(-1, 10),
            1 or 2 => PciRegion.Configuration,
            _ => AnyBar(random, function),
        };
        ulong size = function.RegionSize(region);
        int length = random.Next(16) == 0 ? random.Next(0, MostBytes + 1) : 1 << random.Next(4);
        ulong offset = random.Next(24) switch
        {
            0 => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
            1 => size - (ulong)random.Next(0, 10),
            // Most registers, and most trouble, are at the start.
            < 12 => (ulong)random.Next(0, 0x80),
            _ => size == 0 ? 0 : (ulong)random.NextInt64(0, (long)Math.Min(size, long.MaxValue)),
        };
        if (length is 2 or 4 or 8 && random.Next(4) != 0) offset &= ~(ulong)(length - 1);
        ulong value = BankAccess.AnyValue(random);
        if (length < 8 && length > 0) value &= ulong.MaxValue >> (64 - (length * 8));
        return new ModelStep(random.Next(2) == 0 ? ModelStepKind.Read : ModelStepKind.Write, region, offset, length, value);
    }

    private static int AnyBar(Random random, PciFunction function)
    {
        int[] bars = [.. function.Bars.OfType<Bar>().Select(b => b.Index)];
        return bars.Length == 0 ? 0 : bars[random.Next(bars.Length)];
    }
}
