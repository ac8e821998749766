using System.Text;
using System.Text.Json.Serialization;

namespace Emulator.Nt.Views;

/// <summary>What a device object is in its stack.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<DeviceRole>))]
public enum DeviceRole
{
    /// <summary>Memory does not say.</summary>
    Unknown,

    /// <summary>The bus driver's (PDO), at the bottom.</summary>
    Physical,

    /// <summary>The function driver's (FDO).</summary>
    Functional,

    /// <summary>A filter driver's (filter DO), above or below the FDO.</summary>
    Filter,
}

/// <summary>A level of a device stack: one device object.</summary>
/// <param name="DriverName">"\Driver\AfterThought"; null when it cannot be read.</param>
/// <param name="ObjectName">Null when the object has none.</param>
/// <param name="IsCurrent">Whether it is the device the stack was asked of.</param>
/// <param name="SpecificModule">The module that is the driver, or the specific half of a pair; null when not known.</param>
/// <param name="GeneralModules">The general half of a pair; empty when the driver is no pair.</param>
public sealed record DeviceStackLevel(
    NtAddress Device, NtAddress DriverObject, string? DriverName, NtAddress DeviceExtension, string? ObjectName, int StackSize, bool IsCurrent, DeviceRole Role,
    string? SpecificModule, IReadOnlyList<string> GeneralModules)
{
    /// <summary>"Filter DO", "FDO", "PDO" or "DO".</summary>
    [JsonIgnore]
    public string RoleName => StackRoles.NameOf(Role);

    /// <summary>"(ProsewareRobot.sys, GeneralRobot.sys)" for a pair, "Pci.sys" otherwise.</summary>
    [JsonIgnore]
    public string Files => Modules.Spell(SpecificModule, GeneralModules);
}

/// <summary>A device stack as WinDbg's !devstack shows it.</summary>
/// <param name="Levels">Top first; at least one.</param>
/// <param name="Node">The device node of the PDO; null when there is none.</param>
/// <param name="FunctionBasis">How the FDO was told from filters; null when it was not.</param>
public sealed record DeviceStackListing(
    IReadOnlyList<DeviceStackLevel> Levels, ListedNode? Node, string? FunctionBasis, IReadOnlyList<NtFinding> Findings)
{
    /// <summary>The listing, lines ended by '\n', findings last. '&gt;' marks the device asked for.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        int digits = Levels[0].Device.ToString().Length;
        int names = Math.Max(17, Levels.Max(l => DriverText(l).Length));
        Line(text, $"  {"!DevObj".PadRight(digits)}  {"!DrvObj".PadRight(names)}  {"!DevExt".PadRight(digits)}  ObjectName");
        foreach (DeviceStackLevel level in Levels)
        {
            Line(text, $"{(level.IsCurrent ? '>' : ' ')} {level.Device}  {DriverText(level).PadRight(names)}  {level.DeviceExtension}  {level.ObjectName}");
        }
        if (Node is not null)
        {
            Line(text, $"!DevNode {Node.Address} :");
            Line(text, $"  DeviceInst is \"{Node.InstancePath ?? "(cannot be read)"}\"");
            if (Node.ServiceName is { Length: > 0 }) Line(text, $"  ServiceName is \"{Node.ServiceName}\"");
        }
        foreach (NtFinding finding in Findings) Line(text, $"*** {finding}");
        return text.ToString();
    }

    /// <summary>The stack as a figure in words, a level a line, top first: "Filter DO  AfterThought.sys".</summary>
    public string ToFigure()
    {
        var text = new StringBuilder();
        foreach (DeviceStackLevel level in Levels) Line(text, $"{level.RoleName,-9}  {level.Files}");
        return text.ToString();
    }

    private static string DriverText(DeviceStackLevel level) => level.DriverName is { Length: > 0 } name ? name : level.DriverObject.ToString();

    private static void Line(StringBuilder text, FormattableString line)
        => text.Append(FormattableString.Invariant(line).TrimEnd(' ')).Append('\n');
}
