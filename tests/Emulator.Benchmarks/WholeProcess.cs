using System.Diagnostics;
using System.Globalization;

namespace Emulator.Benchmarks;

/// <summary>`emulator run` with one device, from outside: how soon its socket is there, and how much memory it holds.</summary>
internal static class WholeProcess
{
    private const int Runs = 9;

    public static IEnumerable<Figure> Measure()
    {
        string emulator = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "Emulator.Cli", "release", "emulator"));
        if (!File.Exists(emulator)) throw new BenchException($"'{emulator}' is not built: make build CONFIGURATION=Release");
        using var folder = new TemporaryFolder();
        var starts = new List<double>();
        var resident = new List<double>();
        for (int i = 0; i < Runs; i++)
        {
            // A folder of its own for every run: what a run leaves must not look like the next one's start.
            string lab = folder.At($"lab{i}.jsonc"), sockets = folder.At($"run{i}"), socket = Path.Combine(sockets, "lpt0.sock");
            File.WriteAllText(lab, $$"""{ "name": "bench", "sockets": "{{sockets}}", "devices": [ { "name": "lpt0", "model": "parallel-port" } ] }""");
            long begin = Stopwatch.GetTimestamp();
            using Child run = Child.Start(emulator, "run", lab);
            run.WaitFor(socket);
            starts.Add(Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
            Thread.Sleep(300);
            resident.Add(ResidentMegabytes(run.Id));
        }
        yield return new Figure("emulator run, start to socket", Statistics.Median(starts), null, null, "ms", 500, $"{Runs} runs");
        yield return new Figure("resident memory, one device", Statistics.Median(resident), null, null, "MB", 80, "VmRSS, 0.3 s after the socket is there");
    }

    private static double ResidentMegabytes(int process)
    {
        string line = File.ReadLines($"/proc/{process}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal));
        return double.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024;
    }
}
