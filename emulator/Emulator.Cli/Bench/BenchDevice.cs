using Emulator.Models;

namespace Emulator.Cli.Bench;

/// <summary>A device of a run, and the drivers of its stack.</summary>
/// <param name="Name">Its model's, numbered from the second of a model on: "proseware-robot-2".</param>
/// <param name="Model">Null when nobody says which: only a driver that takes no device does without.</param>
/// <param name="LowerFilters">Bottom up.</param>
/// <param name="UpperFilters">Bottom up.</param>
internal sealed record BenchDevice(
    string Name, DeviceModel? Model, DriverFile Function, IReadOnlyList<DriverFile> LowerFilters, IReadOnlyList<DriverFile> UpperFilters)
{
    /// <summary>Whether a step's "DEVICE:" means it.</summary>
    public bool IsCalled(string name) => name.Equals(Name, StringComparison.OrdinalIgnoreCase);

    /// <summary>Bottom up, as their AddDevice is called.</summary>
    public IEnumerable<DriverFile> Drivers => [.. LowerFilters, Function, .. UpperFilters];
}
