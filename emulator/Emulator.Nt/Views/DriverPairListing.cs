using System.Globalization;
using System.Text;
using System.Text.Json.Serialization;
using Emulator.Nt.Objects;

namespace Emulator.Nt.Views;

/// <summary>The entry most of a dispatch table shares: nt!IopInvalidDeviceRequest where the driver left the I/O manager's, or a general half's own.</summary>
/// <param name="Count">Of the 28 entries.</param>
public sealed record SharedEntry(CodeAddress Entry, int Count)
{
    /// <summary>Whether one function takes every request, as in KMDF drivers; then it is the driver's dispatch routine and no default.</summary>
    public bool IsWholeTable => Count == DriverObjectLayout.MajorFunctionCount;
}

/// <summary>A module that holds functions of a driver it is not.</summary>
/// <param name="DispatchRoutines">The IRP_MJ names of the entries it holds, without the default's.</param>
public sealed record GeneralHalf(string Module, bool HoldsAddDevice, bool HoldsUnload, bool HoldsStartIo, IReadOnlyList<string> DispatchRoutines);

/// <summary>A device of a pair in its stack.</summary>
/// <param name="Levels">How many levels of the stack are the pair's.</param>
/// <param name="StackDepth">Levels of the whole stack.</param>
public sealed record PairLevel(NtAddress Device, DeviceRole Role, int Levels, int StackDepth);

/// <summary>The halves of a driver pair, by the rule that NT loads the specific half, and the general one owns its dispatch table.</summary>
/// <param name="Specific">The module whose DriverEntry NT called; null when not known.</param>
/// <param name="SpecificBasis">The member that says so: DriverStart, DriverSection or DriverEntry.</param>
/// <param name="General">Empty when the driver is no pair.</param>
/// <param name="DefaultEntry">Null when no two entries are alike.</param>
/// <param name="Levels">One for each device of the driver.</param>
public sealed record DriverPairListing(
    NtAddress DriverObject, string? DriverName, string? Specific, string? SpecificBasis, CodeAddress DriverEntry, IReadOnlyList<GeneralHalf> General,
    SharedEntry? DefaultEntry, IReadOnlyList<PairLevel> Levels, IReadOnlyList<NtFinding> Findings)
{
    public bool IsPair => General.Count > 0;

    /// <summary>Whether there are devices, and in each one's stack the driver takes exactly one level.</summary>
    public bool IsOneLevel => Levels.Count > 0 && Levels.All(l => l.Levels == 1);

    /// <summary>"(ProsewareRobot.sys, GeneralRobot.sys)" for a pair, "parport.sys" otherwise.</summary>
    [JsonIgnore]
    public string Files => Modules.Spell(Specific, [.. General.Select(g => g.Module)]);

    /// <summary>The analysis in words, lines ended by '\n', findings last.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        Line(text, IsPair ? $"Driver pair {Files}" : $"{Files} is a driver on its own, no pair");
        Line(text, $"Specific half: {Specific ?? "(unknown)"}{(SpecificBasis is null ? "" : $", by {SpecificBasis}")}; DriverEntry {DriverEntry}");
        foreach (GeneralHalf half in General) Line(text, $"General half: {half.Module} holds {string.Join(", ", Held(half))}");
        if (DefaultEntry is not null)
        {
            string which = DefaultEntry.IsWholeTable ? "Every entry" : "Default entry";
            Line(text, $"{which}: {DefaultEntry.Entry}, {DefaultEntry.Count} of {DriverObjectLayout.MajorFunctionCount}");
        }
        if (Levels.Count == 0) Line(text, $"The {What} has no device object.");
        foreach (PairLevel level in Levels)
        {
            string taken = level.Levels == 1 ? "one level" : $"{level.Levels} levels";
            Line(text, $"The {What} takes {taken} of the {level.StackDepth} in the stack of {level.Device}, its {StackRoles.NameOf(level.Role)}.");
        }
        foreach (NtFinding finding in Findings) Line(text, $"*** {finding}");
        return text.ToString();
    }

    private string What => IsPair ? "pair" : "driver";

    private static IEnumerable<string> Held(GeneralHalf half)
    {
        if (half.HoldsAddDevice) yield return "AddDevice";
        if (half.HoldsUnload) yield return "DriverUnload";
        if (half.HoldsStartIo) yield return "DriverStartIo";
        if (half.DispatchRoutines.Count > 0)
        {
            string plural = half.DispatchRoutines.Count == 1 ? "" : "s";
            yield return string.Create(CultureInfo.InvariantCulture, $"{half.DispatchRoutines.Count} dispatch routine{plural}");
        }
    }

    private static void Line(StringBuilder text, string line) => text.Append(line).Append('\n');
}
