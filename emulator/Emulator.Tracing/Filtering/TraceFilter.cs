using System.IO.Enumeration;
using Emulator.Observation;
using Emulator.Pci;

namespace Emulator.Tracing;

/// <summary>Kinds of entries a filter tells apart.</summary>
[Flags]
public enum TraceKinds
{
    None = 0,
    /// <summary>Reads of BARs.</summary>
    Read = 1,
    /// <summary>Writes of BARs.</summary>
    Write = 2,
    /// <summary>Reads and writes of configuration space.</summary>
    Config = 4,
    /// <summary>Transfers from and to guest memory, and views of it.</summary>
    Dma = 8,
    /// <summary>INTx, MSI and MSI-X.</summary>
    Interrupt = 16,
    Reset = 32,
    /// <summary>Guest memory mapped and unmapped.</summary>
    Map = 64,
    /// <summary>Clients that came and went.</summary>
    Client = 128,
    Remark = 256,
    All = 511,
}

/// <summary>Which entries of a trace to show: those that match everything that is set. For one thread at a time.</summary>
public sealed class TraceFilter
{
    private readonly Dictionary<RegisterDescription, bool> _wanted = new(ReferenceEqualityComparer.Instance);
    private readonly AccessPiece[] _pieces = new AccessPiece[TracedDevice.MaxPieces];

    /// <summary>Names of devices; empty for all.</summary>
    public IReadOnlySet<string> Devices { get; init; } = new HashSet<string>();

    /// <summary>
    /// Patterns of registers with * and ?, whatever the case: "STATUS", "SPP.*", "CONFIG.BAR?", or a whole region: "BAR1". With
    /// any, only accesses that touch one of them match. Empty for all.
    /// </summary>
    public IReadOnlyList<string> Registers { get; init; } = [];

    /// <summary>
    /// Patterns of functions with * and ?, whatever the case: "RobotIsr", "GeneralRobot!*". With any, only accesses known to come from one of
    /// them match. Empty for all.
    /// </summary>
    public IReadOnlyList<string> Functions { get; init; } = [];

    /// <summary>Nanoseconds since the recording began, inclusive.</summary>
    public long From { get; init; } = long.MinValue;

    /// <summary>Nanoseconds since the recording began, inclusive.</summary>
    public long To { get; init; } = long.MaxValue;

    public TraceKinds Kinds { get; init; } = TraceKinds.All;

    /// <summary>The kind of an entry; <see cref="TraceKinds.None"/> for one unknown to this version, which only <see cref="TraceKinds.All"/> shows.</summary>
    public static TraceKinds KindOf(in TraceEntry entry)
    {
        if (entry.Remark is not null) return TraceKinds.Remark;
        return entry.Event.Kind switch
        {
            DeviceEventKind.Read or DeviceEventKind.Write when entry.Event.Region == PciRegion.Configuration => TraceKinds.Config,
            DeviceEventKind.Read => TraceKinds.Read,
            DeviceEventKind.Write => TraceKinds.Write,
            DeviceEventKind.DmaRead or DeviceEventKind.DmaWrite or DeviceEventKind.DmaReadView or DeviceEventKind.DmaWriteView => TraceKinds.Dma,
            DeviceEventKind.Intx or DeviceEventKind.Msi or DeviceEventKind.MsiX => TraceKinds.Interrupt,
            DeviceEventKind.Reset => TraceKinds.Reset,
            DeviceEventKind.DmaMap or DeviceEventKind.DmaUnmap => TraceKinds.Map,
            DeviceEventKind.Client => TraceKinds.Client,
            _ => TraceKinds.None,
        };
    }

    /// <summary>Whether to show an entry.</summary>
    public bool Matches(in TraceEntry entry)
        => entry.Time >= From && entry.Time <= To
            && (Kinds == TraceKinds.All || (Kinds & KindOf(entry)) != 0)
            && (Devices.Count == 0 || Devices.Contains(entry.Device.Name))
            && (Registers.Count == 0 || TouchesRegister(entry))
            && (Functions.Count == 0 || (entry.Code is { } code && Functions.Any(pattern => Names(pattern, code))));

    private bool TouchesRegister(in TraceEntry entry)
    {
        if (entry.Remark is not null || entry.Event.Kind is not (DeviceEventKind.Read or DeviceEventKind.Write)) return false;
        string region = TracedDevice.RegionName(entry.Event.Region);
        foreach (string pattern in Registers)
        {
            if (Glob(pattern, region)) return true;
        }
        foreach (AccessPiece piece in _pieces.AsSpan(0, entry.Device.Split(entry.Event, _pieces)))
        {
            if (piece.Register is { } register && IsWanted(piece.Bank!, register)) return true;
        }
        return false;
    }

    private bool IsWanted(BankDescription bank, RegisterDescription register)
    {
        if (_wanted.TryGetValue(register, out bool wanted)) return wanted;
        foreach (string pattern in Registers) wanted |= Names(pattern, bank, register);
        _wanted.Add(register, wanted);
        return wanted;
    }

    internal static bool Names(string pattern, BankDescription bank, RegisterDescription register)
        => Glob(pattern, register.Name) || Glob(pattern, $"{bank.Name}.{register.Name}");

    internal static bool Names(string pattern, CodePlace code)
    {
        string function = FunctionOf(code);
        return Glob(pattern, function) || Glob(pattern, function[(function.IndexOf('!', StringComparison.Ordinal) + 1)..]);
    }

    /// <summary>"GeneralRobot!RobotStart", without the offset.</summary>
    internal static string FunctionOf(CodePlace code)
    {
        int offset = code.Function.LastIndexOf("+0x", StringComparison.Ordinal);
        return offset < 0 ? code.Function : code.Function[..offset];
    }

    internal static bool Glob(string pattern, string name) => FileSystemName.MatchesSimpleExpression(pattern, name, ignoreCase: true);
}
