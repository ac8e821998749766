using System.Globalization;

namespace Emulator.Benchmarks;

/// <summary>4-byte REGION_READs against the same bytes passed to and fro in C, and against ourselves with a trace.</summary>
internal static class RoundTrips
{
    private const int Pairs = 15;
    private const string Count = "20000";

    public static IEnumerable<Figure> Measure()
    {
        using var folder = new TemporaryFolder();
        string rival = folder.At("pingpong"), echo = folder.At("echo.sock"), plain = folder.At("plain.sock"), traced = folder.At("traced.sock");
        Child.Run("gcc", "-O2", "-o", rival, Path.Combine(AppContext.BaseDirectory, "Rival", "pingpong.c"));
        string self = Environment.ProcessPath!;
        using Child echoServer = Child.Start(rival, "echo", echo);
        using Child plainServer = Child.Start(self, "serve", plain);
        using Child tracedServer = Child.Start(self, "serve", traced, folder.At("trace"));
        echoServer.WaitFor(echo);
        plainServer.WaitFor(plain);
        tracedServer.WaitFor(traced);

        double Ask(params string[] arguments)
            => double.Parse(Child.Run(rival, ["ask", .. arguments]), CultureInfo.InvariantCulture) / 1000;
        // The first rounds bring the runtime's own compiler to its final code.
        for (int i = 0; i < 3; i++) _ = Ask(echo, Count) + Ask(plain, Count, "vfio") + Ask(traced, Count, "vfio");

        var rounds = new List<(double Echo, double Plain, double Traced)>();
        for (int i = 0; i < Pairs; i++) rounds.Add((Ask(echo, Count), Ask(plain, Count, "vfio"), Ask(traced, Count, "vfio")));

        double plainMedian = Statistics.Median(rounds.Select(r => r.Plain));
        yield return new Figure("REGION_READ of 4 bytes, round trip", plainMedian,
            Statistics.Median(rounds.Select(r => r.Echo)), Statistics.Median(rounds.Select(r => r.Plain / r.Echo)), "us", 1.10,
            $"rival: the same sizes over AF_UNIX between two C programs; {Pairs} pairs of {Count}, asked by the same C client");
        yield return new Figure("the same with a trace recorded", Statistics.Median(rounds.Select(r => r.Traced)),
            plainMedian, Statistics.Median(rounds.Select(r => r.Traced / r.Plain)), "us", 1.15, "rival: ourselves without a trace");
    }
}

/// <summary>A private folder that goes away.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    private readonly string _path = Directory.CreateTempSubdirectory("emulator-bench-").FullName;

    public string At(string name) => Path.Combine(_path, name);

    public void Dispose() => Directory.Delete(_path, recursive: true);
}
