using DeviceModels.ParallelPort;
using DeviceModels.Robot;
using DeviceModels.Scratch;
using Emulator.Models;

namespace Emulator.Cli;

/// <summary>Every device model this build has: the one place that names them all.</summary>
internal static class ModelCatalog
{
    public static IReadOnlyList<DeviceModel> All { get; } = [.. ParallelPortModels.All, .. RobotModels.All, .. ScratchModels.All];

    /// <summary>The model of that name.</summary>
    /// <exception cref="UserError">There is none.</exception>
    public static DeviceModel Find(string name)
        => All.FirstOrDefault(m => m.Name.Equals(name, StringComparison.OrdinalIgnoreCase))
            ?? throw new UserError($"no model \"{name}\"; {Spelling.Suggest(name, [.. All.Select(m => m.Name)])}");
}
