using Emulator.Pci;
using Emulator.Registers;

namespace Emulator.Tracing;

/// <summary>
/// All that is needed to name and decode the events of a function when its model is not at hand: what a trace file keeps
/// of it. The names of the properties are part of the file format.
/// </summary>
/// <param name="Name">The device's name in its lab, such as "lp0".</param>
/// <param name="Model">The model's name, such as "parallel-port".</param>
/// <param name="StartNs">When device time was 0, in nanoseconds since the recording began; negative if it was before.</param>
/// <param name="Configuration">Index in <paramref name="Banks"/> of configuration space.</param>
public sealed record DeviceDescription(
    string Name,
    string Model,
    long StartNs,
    IdentityDescription Identity,
    IReadOnlyList<BarDescription> Bars,
    IReadOnlyList<BankDescription> Banks,
    int Configuration)
{
    /// <summary>Describes a function.</summary>
    public static DeviceDescription Of(string name, string model, PciFunction function, long startNs = 0)
    {
        var banks = new List<RegisterBank>();
        int IndexOf(RegisterBank bank)
        {
            int index = banks.IndexOf(bank);
            if (index >= 0) return index;
            banks.Add(bank);
            return banks.Count - 1;
        }

        BarDescription[] bars =
        [
            .. function.Bars.OfType<Bar>().Select(bar => new BarDescription(
                bar.Index, KindName(bar.Kind), bar.Size, bar.IsPrefetchable,
                [
                    .. bar.Windows.Select(w => new WindowDescription(w.Offset, w.Length, w.IsMappable, w.Bank is null ? null : IndexOf(w.Bank))),
                ])),
        ];
        int configuration = IndexOf(function.Configuration);
        PciIdentity identity = function.Identity;
        return new DeviceDescription(
            name, model, startNs,
            new IdentityDescription(
                identity.Vendor, identity.Device, identity.ClassCode, identity.Revision, identity.SubsystemVendor, identity.Subsystem, identity.InterruptPin),
            bars, [.. banks.Select(Describe)], configuration);
    }

    private static string KindName(BarKind kind) => kind switch
    {
        BarKind.Io => "io",
        BarKind.Memory32 => "memory32",
        _ => "memory64",
    };

    private static BankDescription Describe(RegisterBank bank)
        => new(bank.Name, bank.Length, [.. bank.Registers.Select(r => new RegisterDescription(r.Name, r.Offset, r.Size, [.. r.Fields.Select(Describe)]))]);

    private static FieldDescription Describe(Field field)
    {
        IReadOnlyList<KeyValuePair<ulong, string>> names = field.ValueNames;
        return new FieldDescription(
            field.Name, field.Low, field.Width, field.Access.Abbreviate(),
            names.Count == 0 ? null : [.. names.Select(v => new ValueDescription(v.Key, v.Value))]);
    }
}

/// <summary>The identity in configuration space (PCI 3.0, 6.2.1).</summary>
public sealed record IdentityDescription(
    int Vendor, int Device, uint ClassCode, int Revision, int SubsystemVendor, int Subsystem, int InterruptPin);

/// <summary>A base address register's region.</summary>
/// <param name="Index">0 to 5.</param>
/// <param name="Kind">"io", "memory32" or "memory64".</param>
/// <param name="Size">Bytes.</param>
/// <param name="Windows">Sorted by offset.</param>
public sealed record BarDescription(int Index, string Kind, ulong Size, bool Prefetchable, IReadOnlyList<WindowDescription> Windows);

/// <summary>A part of a BAR.</summary>
/// <param name="Offset">Bytes from the start of the BAR.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Mappable">RAM a client may map: what it accesses through its mapping is not in the trace.</param>
/// <param name="Bank">Index of its registers in <see cref="DeviceDescription.Banks"/>; null where it is RAM.</param>
public sealed record WindowDescription(ulong Offset, ulong Length, bool Mappable, int? Bank = null);

/// <summary>A block of registers.</summary>
/// <param name="Length">Bytes it decodes.</param>
public sealed record BankDescription(string Name, int Length, IReadOnlyList<RegisterDescription> Registers);

/// <summary>A register.</summary>
/// <param name="Name">The datasheet's name; array elements are "NAME[n]".</param>
/// <param name="Offset">Bytes from the start of the bank.</param>
/// <param name="Size">1, 2, 4 or 8 bytes.</param>
public sealed record RegisterDescription(string Name, int Offset, int Size, IReadOnlyList<FieldDescription> Fields);

/// <summary>A field of a register.</summary>
/// <param name="Low">The lowest bit.</param>
/// <param name="Width">Bits.</param>
/// <param name="Access">RO, RW, WO, RW1C, RW1S or RC.</param>
/// <param name="Values">What values mean; null without an enumeration.</param>
public sealed record FieldDescription(string Name, int Low, int Width, string Access, IReadOnlyList<ValueDescription>? Values = null);

/// <summary>The name of a value.</summary>
public sealed record ValueDescription(ulong Value, string Name);
