using System.Text.Json;
using System.Text.Json.Serialization;
using Emulator.DriverBench.Kernel;
using Emulator.Nt;
using Emulator.Nt.Views;

namespace Emulator.Cli.Bench;

/// <summary>A step of a run and what came of it.</summary>
/// <param name="Device">The name of the device whose step it is; null for the machine's.</param>
/// <param name="Status">"STATUS_SUCCESS", or in words.</param>
/// <param name="IsFailure">It failed, and should not have.</param>
/// <param name="TimeNs">Virtual time when it had ended.</param>
/// <param name="Instructions">Executed in it.</param>
/// <param name="Detail">What came back, or why it was left out.</param>
internal sealed record StepResult(string? Device, string Name, string Status, bool IsFailure, long TimeNs, ulong Instructions, string? Detail)
{
    public static StepResult Skipped(string? device, string name, string why) => new(device, name, "left out", IsFailure: false, 0, 0, why);
}

/// <summary>A module the bench loaded.</summary>
/// <param name="Lacks">What it imports and the bench lacks.</param>
internal sealed record ModuleLine(
    string File, NtAddress Base, uint Size, DriverRole Role, IReadOnlyList<ModuleImports> Imports, IReadOnlyList<string> Lacks, bool HasMap);

/// <summary>How many functions a module imports of another.</summary>
internal sealed record ModuleImports(string Module, int Count);

/// <summary>A rule that was broken.</summary>
internal sealed record FindingLine(string Rule, string Text, string Function, NtAddress Address)
{
    public static FindingLine Of(Finding finding, bool is64Bit)
        => new(finding.Rule.ToString(), finding.Text, finding.Function, new NtAddress(finding.Address, is64Bit));
}

/// <summary>What the run cost here; only where it was asked for, because no two runs agree.</summary>
internal sealed record BenchCost(double Milliseconds, double InstructionsPerSecond, double PeakMegabytes);

/// <summary>A device of the run.</summary>
/// <param name="Device">Vendor and device ID: "1234:5057"; empty without a model.</param>
/// <param name="Function">The file of its function driver.</param>
/// <param name="Accesses">Of drivers, to the first that was plugged in.</param>
/// <param name="Stack">When it had started, or else when its drivers were added; null when it came to neither.</param>
/// <param name="Pair">Its function driver's halves, at the same time.</param>
internal sealed record DeviceLine(
    string Name, string Model, string Device, string Function, int Accesses, DeviceStackListing? Stack, DriverPairListing? Pair);

/// <summary>All that a run in the bench found. Its JSON has these names.</summary>
/// <param name="Injected">The faults that were made.</param>
/// <param name="Allocations">The calls that could fail for want of resources.</param>
/// <param name="Callbacks">Those of KMDF drivers that the framework called, in order; null without such drivers.</param>
internal sealed record BenchReport(
    string Machine, string Interrupts, IReadOnlyList<DeviceLine> Devices, IReadOnlyList<ModuleLine> Modules, IReadOnlyList<StepResult> Steps,
    IReadOnlyList<DriverListing> Drivers, DeviceNodeListing? Nodes, bool FaultsWanted, IReadOnlyList<string> Injected, int Allocations,
    IReadOnlyList<string> Printed, IReadOnlyList<string>? Callbacks, IReadOnlyList<FindingLine> Findings, ulong Instructions, long VirtualTimeNs,
    int InterruptsDelivered, int DpcsDelivered, bool Clean, BenchCost? Cost);

[JsonSourceGenerationOptions(
    WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(BenchReport))]
internal sealed partial class BenchJson : JsonSerializerContext;
