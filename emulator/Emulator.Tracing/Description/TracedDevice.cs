using System.Collections.Concurrent;
using System.Globalization;
using Emulator.Observation;
using Emulator.Pci;

namespace Emulator.Tracing;

/// <summary>
/// What one access did to one register, to RAM, or to nothing: an access falls apart into as many pieces as it touches.
/// </summary>
/// <param name="Bank">The bank, or null outside every bank.</param>
/// <param name="Register">The register, or null in RAM and where nothing is.</param>
/// <param name="IsRam">Whether the bytes are RAM behind a BAR.</param>
/// <param name="Offset">Bytes into the region, of the first byte of the piece.</param>
/// <param name="FirstByte">The first byte of the register the access covered.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Value">The bytes, right-aligned.</param>
public readonly record struct AccessPiece(
    BankDescription? Bank, RegisterDescription? Register, bool IsRam, ulong Offset, int FirstByte, int Length, ulong Value)
{
    /// <summary>The bits of the register the access covered.</summary>
    public ulong Lanes => (ulong.MaxValue >> (64 - (Length * 8))) << (FirstByte * 8);

    /// <summary>Whether the access covered the whole register.</summary>
    public bool IsWhole => Register is { } register && register.Size == Length;
}

/// <summary>
/// A device in a trace: its description, and the tables that name what its events touch. For one thread at a time.
/// </summary>
public sealed class TracedDevice
{
    /// <summary>The most pieces one access has: eight bytes, each another register.</summary>
    public const int MaxPieces = 8;

    private readonly ConcurrentDictionary<int, CodePlace> _code = new();
    private readonly Window[][] _windows = new Window[PciRegion.Count][];
    private readonly Dictionary<FieldDescription, Dictionary<ulong, string>> _valueNames = new(ReferenceEqualityComparer.Instance);

    internal TracedDevice(int id, DeviceDescription description)
    {
        (Id, Description) = (id, description);
        Array.Fill(_windows, []);
        Bank[] banks = [.. description.Banks.Select(b => new Bank(b, [.. b.Registers.OrderBy(r => r.Offset)]))];
        foreach (BarDescription bar in description.Bars)
            _windows[bar.Index] = [.. bar.Windows.Select(w => new Window(w.Offset, w.Length, w.Bank is { } bank ? banks[bank] : null))];
        Bank configuration = banks[description.Configuration];
        _windows[PciRegion.Configuration] = [new Window(0, (ulong)Math.Max(0, configuration.Description.Length), configuration)];
    }

    /// <summary>Its number in the trace.</summary>
    public int Id { get; }

    /// <summary>Its name in the lab.</summary>
    public string Name => Description.Name;

    public DeviceDescription Description { get; }

    /// <summary>The instructions that are known to access it; for a live view, those so far.</summary>
    public IEnumerable<CodePlace> CodePlaces => _code.OrderBy(c => c.Key).Select(c => c.Value);

    /// <summary>Makes known what a number in <see cref="DeviceEventKind.Code"/> events means. Any thread.</summary>
    public void AddCode(int number, CodePlace place) => _code[number] = place;

    internal int CodeCount => _code.Count;

    internal CodePlace? FindCode(ulong number) => number < int.MaxValue && _code.TryGetValue((int)number, out CodePlace? place) ? place : null;

    /// <summary>A device of its own, for a trace that never was a file.</summary>
    public static TracedDevice Of(string name, string model, PciFunction function) => new(0, DeviceDescription.Of(name, model, function));

    /// <summary>Nanoseconds since the recording began at a device time. What no recording can hold saturates.</summary>
    public long ToTraceTime(long deviceTime)
    {
        long sum = unchecked(Description.StartNs + deviceTime);
        bool overflowed = ((Description.StartNs ^ sum) & (deviceTime ^ sum)) < 0;
        return !overflowed ? sum : deviceTime < 0 ? long.MinValue : long.MaxValue;
    }

    /// <summary>"BAR0" to "BAR5", "ROM", "CONFIG", "VGA", or the number of a region that has no name.</summary>
    public static string RegionName(int region) => region switch
    {
        >= 0 and < PciRegion.BarCount => string.Create(CultureInfo.InvariantCulture, $"BAR{region}"),
        PciRegion.Rom => "ROM",
        PciRegion.Configuration => "CONFIG",
        8 => "VGA",
        _ => string.Create(CultureInfo.InvariantCulture, $"REGION{region}"),
    };

    /// <summary>What a value of a field means, or null.</summary>
    public string? ValueName(FieldDescription field, ulong value)
    {
        if (field.Values is null) return null;
        if (!_valueNames.TryGetValue(field, out Dictionary<ulong, string>? names))
        {
            _valueNames.Add(field, names = []);
            foreach (ValueDescription named in field.Values) names.TryAdd(named.Value, named.Name);
        }
        return names.GetValueOrDefault(value);
    }

    /// <summary>Takes a guest access apart. Accesses of more than eight bytes reach RAM only and stay whole.</summary>
    /// <param name="deviceEvent">A <see cref="DeviceEventKind.Read"/> or <see cref="DeviceEventKind.Write"/>.</param>
    /// <param name="pieces">Room for <see cref="MaxPieces"/>.</param>
    /// <returns>How many pieces there are, in address order; 0 for other events and lengths no access has.</returns>
    public int Split(in DeviceEvent deviceEvent, Span<AccessPiece> pieces)
    {
        if (deviceEvent.Kind is not (DeviceEventKind.Read or DeviceEventKind.Write) || deviceEvent.Length is < 1 or > 8) return 0;
        Window[] windows = deviceEvent.Region < _windows.Length ? _windows[deviceEvent.Region] : [];
        int count = 0;
        for (int i = 0; i < deviceEvent.Length;)
        {
            ulong offset = unchecked(deviceEvent.Offset + (ulong)i);
            Window? window = Find(windows, offset);
            RegisterDescription? register = window?.Bank?.At(offset - window.Offset);
            int length = 1, first = 0;
            if (register is not null)
            {
                first = (int)(offset - window!.Offset) - register.Offset;
                length = Math.Min(register.Size - first, deviceEvent.Length - i);
            }
            ulong value = (deviceEvent.Value >> (i * 8)) & (ulong.MaxValue >> (64 - (length * 8)));
            var piece = new AccessPiece(window?.Bank?.Description, register, window is { Bank: null }, offset, first, length, value);
            if (count > 0 && Join(pieces[count - 1], piece) is { } joined) pieces[count - 1] = joined;
            else pieces[count++] = piece;
            i += length;
        }
        return count;
    }

    // Neighbouring bytes that are no register's are one piece.
    private static AccessPiece? Join(in AccessPiece before, in AccessPiece next)
        => before.Register is null && next.Register is null && ReferenceEquals(before.Bank, next.Bank) && before.IsRam == next.IsRam
            ? before with { Length = before.Length + next.Length, Value = before.Value | (next.Value << (before.Length * 8)) }
            : null;

    private static Window? Find(Window[] windows, ulong offset)
    {
        int low = 0, high = windows.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            Window window = windows[middle];
            if (offset < window.Offset) high = middle - 1;
            else if (offset - window.Offset >= window.Length) low = middle + 1;
            else return window;
        }
        return null;
    }

    private sealed record Window(ulong Offset, ulong Length, Bank? Bank);

    private sealed record Bank(BankDescription Description, RegisterDescription[] ByOffset)
    {
        public RegisterDescription? At(ulong offset)
        {
            int low = 0, high = ByOffset.Length - 1;
            while (low <= high)
            {
                int middle = (low + high) >>> 1;
                RegisterDescription register = ByOffset[middle];
                if (offset < (ulong)register.Offset) high = middle - 1;
                else if (offset - (ulong)register.Offset >= (ulong)register.Size) low = middle + 1;
                else return register;
            }
            return null;
        }
    }
}

/// <summary>One event of a trace, or a remark.</summary>
/// <param name="Device">Whose it is.</param>
/// <param name="Time">Nanoseconds since the recording began.</param>
/// <param name="Event">What happened; of a remark only the device time counts.</param>
/// <param name="Remark">The words of a remark; null for events.</param>
/// <param name="Code">The instruction that made an access, where it is known.</param>
public readonly record struct TraceEntry(TracedDevice Device, long Time, DeviceEvent Event, string? Remark, CodePlace? Code = null);

/// <summary>Makes entries of one device's events in their order, and joins accesses with the instructions that made them.</summary>
public struct TraceEntryMaker(TracedDevice device)
{
    private CodePlace? _place;

    /// <summary>An entry for an event. False for a <see cref="DeviceEventKind.Code"/> event, which belongs to the access that follows.</summary>
    public bool TryMake(in DeviceEvent deviceEvent, out TraceEntry entry)
    {
        entry = default;
        if (deviceEvent.Kind == DeviceEventKind.Code)
        {
            _place = device.FindCode(deviceEvent.Offset);
            return false;
        }
        // A read is traced behind its effects: they may lie between it and its instruction.
        bool isAccess = deviceEvent.Kind is DeviceEventKind.Read or DeviceEventKind.Write;
        entry = new TraceEntry(device, device.ToTraceTime(deviceEvent.Time), deviceEvent, null, isAccess ? _place : null);
        if (isAccess) _place = null;
        return true;
    }
}
