using System.Diagnostics;
using Emulator.Models;
using Emulator.Testing;

namespace Emulator.Fuzz;

/// <summary>Random accesses, resets and time over a model in process: what every model obeys.</summary>
internal sealed class ModelFuzzer(DeviceModel model) : IFuzzer
{
    private const int RunsAtOnce = 5;

    public string Name => $"model/{model.Name}";

    public string Run(int seed, TimeSpan time, CancellationToken stop)
    {
        long started = Stopwatch.GetTimestamp();
        int runs = 0;
        do
        {
            ModelProperties.Check(model, unchecked(seed + runs), RunsAtOnce);
            runs += RunsAtOnce;
        }
        while (Stopwatch.GetElapsedTime(started) < time && !stop.IsCancellationRequested);
        return $"{runs} sequences a property";
    }
}
