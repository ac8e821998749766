using System.Globalization;
using System.Text;

namespace Emulator.Nt.Views;

/// <summary>What a listing shows beside the driver's name: the flags of WinDbg's !drvobj.</summary>
[Flags]
public enum DriverListingParts
{
    None = 0,

    /// <summary>The driver's device objects; what !drvobj shows when no flag is given.</summary>
    Devices = 1,

    /// <summary>The entry points, with all 28 dispatch routines.</summary>
    Dispatch = 2,

    /// <summary>The stack of every device object; only with <see cref="Devices"/>.</summary>
    Stacks = 4,
}

/// <summary>An entry of the dispatch table.</summary>
/// <param name="Code">The major function code, 0 to 27.</param>
public sealed record DispatchRoutine(int Code, string Name, CodeAddress Entry);

/// <summary>A driver as WinDbg's !drvobj shows it.</summary>
/// <param name="Name">"\Driver\Parport"; null when it cannot be read.</param>
/// <param name="DispatchRoutines">28, by code; null when not asked for.</param>
/// <param name="Devices">Null when not asked for.</param>
/// <param name="Stacks">Null when not asked for.</param>
public sealed record DriverListing(
    NtAddress Address, string? Name, string? ServiceKeyName, CodeAddress DriverEntry, CodeAddress DriverStartIo, CodeAddress DriverUnload,
    CodeAddress AddDevice, IReadOnlyList<DispatchRoutine>? DispatchRoutines, IReadOnlyList<NtAddress>? Devices, IReadOnlyList<DeviceStackListing>? Stacks,
    IReadOnlyList<NtFinding> Findings)
{
    private const int DevicesPerLine = 4;

    /// <summary>The listing, lines ended by '\n', findings last.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        Line(text, $"Driver object ({Address}) is for:");
        Line(text, $"{Name ?? "(its name cannot be read)"}");
        if (Devices is not null)
        {
            Line(text, $"Device Object list:");
            foreach (NtAddress[] some in Devices.Chunk(DevicesPerLine)) Line(text, $"{string.Join("  ", some)}");
        }
        if (DispatchRoutines is not null)
        {
            Line(text, $"DriverEntry: {DriverEntry}");
            Line(text, $"DriverStartIo: {DriverStartIo}");
            Line(text, $"DriverUnload: {DriverUnload}");
            Line(text, $"AddDevice: {AddDevice}");
            Line(text, $"Dispatch routines:");
            foreach (DispatchRoutine routine in DispatchRoutines) Line(text, $"[{routine.Code:x2}] {routine.Name} {routine.Entry}");
        }
        if (Stacks is not null)
        {
            Line(text, $"Device Object stacks:");
            foreach (DeviceStackListing stack in Stacks)
            {
                Line(text, $"!devstack {stack.Levels.Single(l => l.IsCurrent).Device} :");
                text.Append(stack);
            }
        }
        foreach (NtFinding finding in Findings) Line(text, $"*** {finding}");
        return text.ToString();
    }

    internal static void Line(StringBuilder text, FormattableString line) => text.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
}
