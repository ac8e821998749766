using System.Text.Json.Serialization;
using Emulator.Models;
using Emulator.Pci;
using Emulator.Registers;

namespace Emulator.Cli.Datasheets;

/// <summary>A model's description, read from its banks: what every format of `emulator regs` is written from.</summary>
/// <param name="Model">The name a lab file uses.</param>
internal sealed record Datasheet(
    string Model, string Summary, IdentitySheet Identity, IReadOnlyList<BarSheet> Bars, IReadOnlyList<SwitchSheet> Switches, IReadOnlyList<BankSheet> Banks)
{
    /// <summary>Reads the description of a model with its default options.</summary>
    public static Datasheet Of(DeviceModel model)
    {
        PciFunction function = model.Create(new DetachedSlot());
        PciIdentity id = function.Identity;
        var banks = new List<BankSheet>();
        foreach (Bar bar in function.Bars.OfType<Bar>())
        {
            banks.AddRange(bar.Windows.Where(w => w.Bank is not null).Select(w => BankSheet.Of(w.Bank!, $"bar{bar.Index}", w.Offset, w.Bank!.Length)));
        }
        banks.Add(BankSheet.Of(function.Configuration, "configuration", 0, function.Configuration.Size));
        return new Datasheet(
            model.Name,
            model.Summary,
            new IdentitySheet(id.Vendor, id.Device, id.ClassCode, id.Revision, id.SubsystemVendor, id.Subsystem, id.InterruptPin),
            [.. function.Bars.OfType<Bar>().Select(BarSheet.Of)],
            [.. function.Switches.Select(s => new SwitchSheet(s.Name, s.Summary, s.Values, s.Get()))],
            banks);
    }
}

/// <summary>See <see cref="PciIdentity"/>.</summary>
internal sealed record IdentitySheet(
    ushort Vendor, ushort Device, uint ClassCode, byte Revision, ushort SubsystemVendor, ushort Subsystem, byte InterruptPin);

/// <param name="Kind">"io", "memory32" or "memory64".</param>
/// <param name="Size">Bytes.</param>
internal sealed record BarSheet(int Index, string Kind, ulong Size, bool Prefetchable, IReadOnlyList<WindowSheet> Windows)
{
    public static BarSheet Of(Bar bar)
        => new(bar.Index, bar.Kind.ToString().ToLowerInvariant(), bar.Size, bar.IsPrefetchable,
            [.. bar.Windows.Select(w => new WindowSheet(w.Offset, w.Length, w.Bank?.Name, w.IsMappable))]);
}

/// <param name="Bank">The bank's name, or null where the window is RAM.</param>
internal sealed record WindowSheet(ulong Offset, ulong Length, string? Bank, bool Mappable);

/// <param name="Default">Its value at power-on.</param>
internal sealed record SwitchSheet(string Name, string Summary, IReadOnlyList<string> Values, string Default);

/// <param name="Region">"bar0" to "bar5", or "configuration".</param>
/// <param name="Offset">Bytes from the start of the region.</param>
/// <param name="Length">Bytes.</param>
/// <param name="AccessSizes">Widths the bank answers, bytes.</param>
internal sealed record BankSheet(
    string Name, string Summary, string Region, ulong Offset, int Length, IReadOnlyList<int> AccessSizes, IReadOnlyList<RegisterSheet> Registers)
{
    public static BankSheet Of(RegisterBank bank, string region, ulong offset, int length)
        => new(bank.Name, bank.Summary, region, offset, length,
            [.. Enumerable.Range(0, 4).Select(log => 1 << log).Where(size => ((int)bank.AccessSizes & size) != 0)], RegisterSheet.Of(bank));
}

/// <summary>A register, or an array of registers that differ only in their place.</summary>
/// <param name="Name">Without the index, for an array.</param>
/// <param name="Offset">Of the first one, bytes from the start of the bank.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Reset">The value at power-on.</param>
/// <param name="Count">Elements; 1 for a single register.</param>
/// <param name="Stride">Bytes from one element to the next; 0 for a single register.</param>
/// <param name="IsReadComputed">A read returns what the device computes, not what is stored.</param>
/// <param name="HasReadSideEffects">A read may change the device's state.</param>
internal sealed record RegisterSheet(
    string Name, int Offset, int Size, ulong Reset, string Summary, int Count, int Stride, bool IsReadComputed, bool HasReadSideEffects,
    IReadOnlyList<FieldSheet> Fields)
{
    [JsonIgnore]
    public bool IsArray => Count > 1;

    public static IReadOnlyList<RegisterSheet> Of(RegisterBank bank)
    {
        var sheets = new List<RegisterSheet>();
        for (int i = 0; i < bank.Registers.Count;)
        {
            RegisterSheet first = Of(bank.Registers[i]);
            int count = 1, stride = 0;
            for (; i + count < bank.Registers.Count && first.Name.EndsWith("[0]", StringComparison.Ordinal); count++)
            {
                Register next = bank.Registers[i + count];
                int step = next.Offset - bank.Registers[i + count - 1].Offset;
                if (next.Name != $"{first.Name[..^3]}[{count}]" || (stride != 0 && step != stride) || !first.IsLike(Of(next))) break;
                stride = step;
            }
            sheets.Add(count == 1 ? first : first with { Name = first.Name[..^3], Count = count, Stride = stride });
            i += count;
        }
        return [.. sheets.OrderBy(r => r.Offset)];
    }

    private static RegisterSheet Of(Register register)
        => new(register.Name, register.Offset, register.Size, register.ResetValue, register.Summary, 1, 0, register.IsReadComputed, register.HasReadSideEffects,
            [.. register.Fields.OrderByDescending(f => f.High).Select(FieldSheet.Of)]);

    private bool IsLike(RegisterSheet other)
        => (Size, Reset, Summary) == (other.Size, other.Reset, other.Summary)
            && (IsReadComputed, HasReadSideEffects) == (other.IsReadComputed, other.HasReadSideEffects)
            && Fields.Count == other.Fields.Count && Fields.Zip(other.Fields).All(pair => pair.First.IsLike(pair.Second));
}

/// <param name="Access">RO, RW, WO, RW1C, RW1S or RC.</param>
/// <param name="Reset">Right-aligned.</param>
/// <param name="Sticky">Keeps its value over every reset but power-on.</param>
/// <param name="Values">What values mean; empty for a plain number.</param>
internal sealed record FieldSheet(
    string Name, int High, int Low, string Access, ulong Reset, bool Sticky, string Summary, IReadOnlyList<ValueSheet> Values)
{
    public static FieldSheet Of(Field field)
        => new(field.Name, field.High, field.Low, field.Access.Abbreviate(), field.ResetValue, field.IsSticky, field.Summary,
            [.. field.ValueNames.Select(v => new ValueSheet(v.Key, v.Value))]);

    public bool IsLike(FieldSheet other) => this with { Values = other.Values } == other && Values.SequenceEqual(other.Values);
}

internal sealed record ValueSheet(ulong Value, string Name);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(Datasheet))]
internal sealed partial class DatasheetJson : JsonSerializerContext;
