using Emulator.Cli;

namespace Emulator.Fuzz;

/// <summary>Something that looks for failures until its time is over.</summary>
internal interface IFuzzer
{
    /// <summary>"wire/scratch".</summary>
    string Name { get; }

    /// <returns>What was tried, in words.</returns>
    /// <exception cref="Testing.PropertyFailedException">A finding, as short as it could be made.</exception>
    string Run(int seed, TimeSpan time, CancellationToken stop);
}

internal static class Fuzzers
{
    /// <summary>Two for every model of the catalogue.</summary>
    public static IReadOnlyList<IFuzzer> All { get; } =
        [.. ModelCatalog.All.Select(m => (IFuzzer)new WireFuzzer(m)), .. ModelCatalog.All.Select(m => (IFuzzer)new ModelFuzzer(m))];
}
