using System.Globalization;
using System.Numerics;
using Emulator.Pci;

namespace DeviceModels.Scratch;

/// <summary>Options with every default filled in and everything checked: what is left to do cannot fail.</summary>
internal sealed class ScratchPlan
{
    public const ulong Page = 4096;

    private const ulong LargestRam = 1 << 30, LargestRegisters = 64 << 10;

    private readonly List<PlannedBar> _bars = [];

    public ScratchPlan(ScratchOptions options, Func<string, byte[]>? readFile)
    {
        ScratchInterruptOptions interrupts = options.Interrupts ?? new ScratchInterruptOptions();
        Pin = Known("interrupts.pin", interrupts.Pin);
        ushort vendor = (ushort)Number("vendor", options.Vendor, 0x1af4, 0xffff), device = (ushort)Number("device", options.Device, 0x10f0, 0xffff);
        if (vendor is 0xffff) throw new ScratchOptionsException("vendor", "0xffff means that no function is there", "write another, such as \"0x1af4\"");
        Identity = new PciIdentity(vendor, device, (uint)Number("classCode", options.ClassCode, 0xff0000, 0xffffff))
        {
            Revision = (byte)Number("revision", options.Revision, 1, 0xff),
            SubsystemVendor = (ushort)Number("subsystemVendor", options.SubsystemVendor, vendor, 0xffff),
            Subsystem = (ushort)Number("subsystem", options.Subsystem, device, 0xffff),
            InterruptPin = (byte)Pin,
        };
        Capabilities = options.Capabilities ?? new ScratchCapabilityOptions();
        if (Capabilities.AdvancedFeatures && Capabilities.PciExpress)
            throw new ScratchOptionsException("capabilities.advancedFeatures", "a PCI Express function resets by its own capability", "leave one of them out");
        PlanBars(options.Bars ?? [new ScratchBarOptions()], readFile);
        if (options.Engine is { } engine) PlanEngine(engine);
        Msi = interrupts.Msi ?? 0;
        if (interrupts.Msi is not (null or 1 or 2 or 4 or 8 or 16 or 32))
            throw new ScratchOptionsException("interrupts.msi", $"{Msi} vectors do not exist", "write 1, 2, 4, 8, 16 or 32, or leave it out");
        if (interrupts.MsiX is { } messages) PlanMsiX(messages);
        VendorSpecific = PlanVendorSpecific(Capabilities.VendorSpecific ?? []);
        foreach (PlannedBar bar in _bars) bar.PlanWindows();
        CheckConfigurationSpace();
    }

    public PciIdentity Identity { get; }
    public ScratchPin Pin { get; }
    public ScratchCapabilityOptions Capabilities { get; }
    public IReadOnlyList<PlannedBar> Bars => _bars;
    public int Msi { get; }
    public PlannedMsiX? MsiX { get; private set; }
    public PlannedEngine? Engine { get; private set; }
    public IReadOnlyList<byte[]> VendorSpecific { get; }

    /// <summary>Reads "0x1af4", "4096" or "64K".</summary>
    internal static bool TryParse(string text, out ulong value)
    {
        ReadOnlySpan<char> digits = text.AsSpan().Trim();
        if (digits.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
            return ulong.TryParse(digits[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
        int shift = digits.Length == 0 ? 0 : char.ToUpperInvariant(digits[^1]) switch { 'K' => 10, 'M' => 20, 'G' => 30, _ => 0 };
        if (shift > 0) digits = digits[..^1];
        if (!ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out value) || value > ulong.MaxValue >> shift) return false;
        value <<= shift;
        return true;
    }

    private static ulong Number(string option, string? text, ulong missing, ulong largest)
    {
        if (text is null) return missing;
        if (!TryParse(text, out ulong value))
            throw new ScratchOptionsException(option, $"'{text}' is not a number", "write \"0x1f\", \"31\" or a size such as \"64K\"");
        if (value > largest) throw new ScratchOptionsException(option, $"{text} is too large", $"write at most 0x{largest:x}");
        return value;
    }

    // A deserialized enum can hold any number.
    private static T Known<T>(string option, T value) where T : struct, Enum
        => Enum.IsDefined(value)
            ? value
            : throw new ScratchOptionsException(option, $"'{value}' is not one of its values", $"write {string.Join(", ", Enum.GetNames<T>())}");

    private void PlanBars(IReadOnlyList<ScratchBarOptions> bars, Func<string, byte[]>? readFile)
    {
        for (int i = 0; i < bars.Count; i++)
        {
            string at = $"bars[{i}]";
            ScratchBarOptions bar = bars[i] ?? throw new ScratchOptionsException(at, "is null", "write {} for a BAR of defaults, or leave it out");
            ScratchBarKind kind = Known($"{at}.kind", bar.Kind);
            int width = kind == ScratchBarKind.Memory64 ? 2 : 1;
            if (bar.Index < 0 || bar.Index > PciRegion.BarCount - width)
                throw new ScratchOptionsException($"{at}.index", $"{bar.Index} is not a place for {kind}", $"write 0 to {PciRegion.BarCount - width}");
            int last = bar.Index + width - 1;
            if (_bars.Find(b => b.Index <= last && bar.Index <= b.Last) is { } other)
                throw new ScratchOptionsException($"{at}.index", $"BAR{bar.Index} is taken by {other.Option}", "write another index; a 64-bit BAR takes two");
            _bars.Add(PlanBar(at, bar, kind, last, readFile));
        }
    }

    private static PlannedBar PlanBar(string at, ScratchBarOptions bar, ScratchBarKind kind, int last, Func<string, byte[]>? readFile)
    {
        bool io = kind == ScratchBarKind.Io;
        ulong size = Number($"{at}.size", bar.Size, io ? 256u : Page, ulong.MaxValue), smallest = io ? 4u : 16u, largest = io ? 256 : LargestRam;
        if (!BitOperations.IsPow2(size) || size < smallest || size > largest)
            throw new ScratchOptionsException($"{at}.size", $"{bar.Size} is not a power of two from {smallest} to {(io ? "256" : "1G")}",
                $"write {Nearest(size, smallest, largest)}");
        ScratchContent content = Known($"{at}.content", bar.Content ?? (size <= LargestRegisters ? ScratchContent.Registers : ScratchContent.Ram));
        if (content == ScratchContent.Registers && size > LargestRegisters)
            throw new ScratchOptionsException($"{at}.content", $"{bar.Size} of registers are too many", "write at most 64K, or content \"Ram\"");
        if (io && bar.Prefetchable)
            throw new ScratchOptionsException($"{at}.prefetchable", "I/O is never prefetchable", "leave it out, or write kind \"Memory32\"");
        byte fill = (byte)Number($"{at}.fill", bar.Fill, 0, 0xff);
        byte[] file = [];
        if (bar.File is { } name)
        {
            if (readFile is null) throw new ScratchOptionsException($"{at}.file", "files cannot be read here", "leave it out and use fill");
            try
            {
                file = readFile(name);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
            {
                throw new ScratchOptionsException($"{at}.file: {e.Message.ReplaceLineEndings(" ")}; write the name of a file that can be read", e);
            }
            if ((ulong)file.Length > size)
                throw new ScratchOptionsException($"{at}.file", $"'{name}' has {file.Length} bytes, the BAR {size}",
                    $"write a size of at least {BitOperations.RoundUpToPowerOf2((ulong)file.Length)}");
        }
        return new PlannedBar
        {
            Option = at,
            Index = bar.Index,
            Last = last,
            Kind = (BarKind)kind,
            Size = size,
            Content = content,
            Prefetchable = bar.Prefetchable,
            Fill = fill,
            File = file,
            Mapped = PlanMapping(at, bar, io, size, content),
        };
    }

    private static string Nearest(ulong size, ulong smallest, ulong largest)
    {
        ulong above = size >= largest ? largest : BitOperations.RoundUpToPowerOf2(Math.Max(size, smallest));
        ulong below = Math.Max(smallest, above >> 1);
        return size > smallest && size < largest && below < above ? $"\"{below}\" or \"{above}\"" : $"\"{above}\"";
    }

    private static List<(ulong Offset, ulong Length)> PlanMapping(string at, ScratchBarOptions bar, bool io, ulong size, ScratchContent content)
    {
        ScratchMapping mapping = Known($"{at}.mapped", bar.Mapped ?? ScratchMapping.None);
        if (bar.MappedAreas is not { Count: > 0 } areas)
        {
            if (mapping == ScratchMapping.None) return [];
            CheckMappable($"{at}.mapped", io, size, content);
            return [(0, size)];
        }
        if (bar.Mapped is not null)
            throw new ScratchOptionsException($"{at}.mapped", "says the same as mappedAreas", "leave one of them out");
        CheckMappable($"{at}.mappedAreas", io, size, content);
        var mapped = new List<(ulong Offset, ulong Length)>();
        for (int i = 0; i < areas.Count; i++)
        {
            string option = $"{at}.mappedAreas[{i}]";
            ulong offset = Number($"{option}.offset", areas[i]?.Offset, 0, size), length = Number($"{option}.size", areas[i]?.Size, 0, size);
            if (length == 0 || offset % Page != 0 || length % Page != 0)
                throw new ScratchOptionsException(option, "is not whole pages", "write an offset and a size that are multiples of 4K");
            if (length > size - offset)
                throw new ScratchOptionsException(option, $"reaches beyond the BAR's 0x{size:x} bytes", "write a smaller offset or size");
            if (mapped.Exists(m => offset < m.Offset + m.Length && m.Offset < offset + length))
                throw new ScratchOptionsException(option, "overlaps an area before it", "write areas that do not overlap");
            mapped.Add((offset, length));
        }
        return mapped;
    }

    private static void CheckMappable(string option, bool io, ulong size, ScratchContent content)
    {
        if (io) throw new ScratchOptionsException(option, "I/O cannot be mapped", "leave it out, or write kind \"Memory32\"");
        if (content != ScratchContent.Ram) throw new ScratchOptionsException(option, "registers cannot be mapped", "leave it out, or write content \"Ram\"");
        if (size < Page) throw new ScratchOptionsException(option, "a BAR smaller than a page cannot be mapped", "leave it out, or write size \"4K\"");
    }

    private PlannedBar BarOf(string option, int index)
        => _bars.Find(b => b.Index == index)
            ?? throw new ScratchOptionsException(option, $"there is no BAR{index}",
                _bars.Count == 0 ? "add it to bars" : $"write {string.Join(" or ", _bars.Select(b => b.Index))}, or add it to bars");

    private void PlanEngine(ScratchEngineOptions options)
    {
        PlannedBar bar = BarOf("engine.bar", options.Bar);
        ulong offset = Number("engine.offset", options.Offset, 0, bar.Size);
        bar.Reserve("engine.offset", offset, EngineRegisters.BankLength);
        Engine = new PlannedEngine(bar.Index, offset);
    }

    private void PlanMsiX(ScratchMsiXOptions options)
    {
        int vectors = options.Vectors, most = options.AllowMany ? 2048 : Emulator.Pci.Capabilities.MsiXCapability.UsualMaximum;
        if (vectors < 1 || vectors > most)
        {
            string remedy = vectors > most && !options.AllowMany ? ", or \"allowMany\": true (Windows refuses some devices with more)" : "";
            throw new ScratchOptionsException("interrupts.msiX.vectors", $"{vectors} is out of range", $"write 1 to {most}{remedy}");
        }
        ulong table = (ulong)vectors * 16, pending = (ulong)(vectors + 63) / 64 * 8;
        ulong tableOffset = Number("interrupts.msiX.tableOffset", options.TableOffset, 0, LargestRam);
        ulong pendingOffset = Number("interrupts.msiX.pendingOffset", options.PendingOffset, tableOffset + table, LargestRam);
        PlannedBar bar = options.Bar is { } index ? BarOf("interrupts.msiX.bar", index) : OwnBar(Math.Max(tableOffset + table, pendingOffset + pending));
        if (bar.Kind == BarKind.Io) throw new ScratchOptionsException("interrupts.msiX.bar", $"BAR{bar.Index} is I/O", "name a memory BAR, or leave it out");
        bar.Reserve("interrupts.msiX.tableOffset", tableOffset, table);
        bar.Reserve("interrupts.msiX.pendingOffset", pendingOffset, pending);
        MsiX = new PlannedMsiX(vectors, bar.Index, tableOffset, pendingOffset, options.AllowMany);
    }

    private PlannedBar OwnBar(ulong length)
    {
        int index = PciRegion.BarCount - 1;
        while (index >= 0 && _bars.Exists(b => b.Index <= index && index <= b.Last)) index--;
        if (index < 0) throw new ScratchOptionsException("interrupts.msiX.bar", "no BAR is free for the table", "name a memory BAR, or remove one from bars");
        var bar = new PlannedBar
        {
            Option = "interrupts.msiX",
            Index = index,
            Last = index,
            Kind = BarKind.Memory32,
            Size = BitOperations.RoundUpToPowerOf2(Math.Max(length, Page)),
            Content = null,
        };
        _bars.Add(bar);
        return bar;
    }

    private static List<byte[]> PlanVendorSpecific(IReadOnlyList<string> texts)
    {
        var all = new List<byte[]>();
        for (int i = 0; i < texts.Count; i++)
        {
            string option = $"capabilities.vendorSpecific[{i}]";
            try
            {
                all.Add(Convert.FromHexString((texts[i] ?? "").Replace(" ", "", StringComparison.Ordinal)));
            }
            catch (FormatException e)
            {
                throw new ScratchOptionsException($"{option}: '{texts[i]}' is not bytes in hexadecimal; write two digits a byte, such as \"00 1f ff\"", e);
            }
        }
        return all;
    }

    // The capabilities share the 192 bytes after the header; only vendor-specific ones can be too long for them.
    private void CheckConfigurationSpace()
    {
        int used = (Capabilities.PowerManagement ? 8 : 0) + (Msi > 0 ? 0x18 : 0) + (MsiX is null ? 0 : 12)
            + (Capabilities.PciExpress ? 0x3c : 0) + (Capabilities.AdvancedFeatures ? 8 : 0);
        int left = 0xc0 - used;
        for (int i = 0; i < VendorSpecific.Count; i++)
        {
            int length = (3 + VendorSpecific[i].Length + 3) & ~3;
            if (length > left)
                throw new ScratchOptionsException($"capabilities.vendorSpecific[{i}]", $"{VendorSpecific[i].Length} bytes do not fit",
                    $"write at most {Math.Max(0, left - 3)}, or leave other capabilities out");
            left -= length;
        }
    }
}

/// <summary>Where the engine is.</summary>
internal sealed record PlannedEngine(int Bar, ulong Offset);

/// <summary>Where MSI-X is.</summary>
internal sealed record PlannedMsiX(int Vectors, int Bar, ulong TableOffset, ulong PendingOffset, bool AllowMany);

/// <summary>A BAR, and what is where in it.</summary>
internal sealed class PlannedBar
{
    private readonly List<(string Option, ulong Offset, ulong Length)> _reserved = [];
    private readonly List<(ulong Offset, ulong Length, bool IsMapped)> _windows = [];

    public required string Option { get; init; }
    public required int Index { get; init; }
    public required int Last { get; init; }
    public required BarKind Kind { get; init; }
    public required ulong Size { get; init; }

    /// <summary>Null for a BAR that holds nothing but what is reserved.</summary>
    public required ScratchContent? Content { get; init; }
    public bool Prefetchable { get; init; }
    public byte Fill { get; init; }
    public byte[] File { get; init; } = [];
    public List<(ulong Offset, ulong Length)> Mapped { get; init; } = [];

    /// <summary>The content's windows: the BAR without what is reserved.</summary>
    public IReadOnlyList<(ulong Offset, ulong Length, bool IsMapped)> Windows => _windows;

    /// <summary>Takes room for registers of the model's own.</summary>
    public void Reserve(string option, ulong offset, ulong length)
    {
        if (offset % 8 != 0) throw new ScratchOptionsException(option, $"0x{offset:x} is not a multiple of 8", $"write \"0x{offset & ~7UL:x}\"");
        if (offset > Size || length > Size - offset)
            throw new ScratchOptionsException(option, $"0x{length:x} bytes at 0x{offset:x} do not fit the 0x{Size:x} of BAR{Index}",
                "write a smaller offset, or a larger BAR");
        if (_reserved.Find(r => offset < r.Offset + r.Length && r.Offset < offset + length) is { Option: not null } other)
            throw new ScratchOptionsException(option, $"0x{offset:x} overlaps {other.Option} at 0x{other.Offset:x}",
                $"write \"0x{(other.Offset + other.Length + 7) & ~7UL:x}\" or more");
        _reserved.Add((option, offset, length));
        _reserved.Sort((a, b) => a.Offset.CompareTo(b.Offset));
    }

    /// <summary>Cuts the content into windows around what is reserved, and those where mapping begins and ends.</summary>
    public void PlanWindows()
    {
        if (Content is null) return;
        ulong at = 0;
        foreach ((string _, ulong offset, ulong length) in _reserved)
        {
            Cut(at, offset);
            at = offset + length;
        }
        Cut(at, Size);
    }

    private void Cut(ulong start, ulong end)
    {
        // A page with registers in it must trap.
        ulong firstPage = (start + ScratchPlan.Page - 1) & ~(ScratchPlan.Page - 1), lastPage = end & ~(ScratchPlan.Page - 1);
        foreach ((ulong offset, ulong length) in Mapped.OrderBy(m => m.Offset))
        {
            ulong from = Math.Max(offset, firstPage), to = Math.Min(offset + length, lastPage);
            if (from >= to) continue;
            if (from > start) _windows.Add((start, from - start, false));
            _windows.Add((from, to - from, true));
            start = to;
        }
        if (end > start) _windows.Add((start, end - start, false));
    }
}
