using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Memory;

namespace Emulator.Benchmarks;

/// <summary>The driver bench: the whole life of a driver pair as `emulator bench run` lives it, and the interpreter alone.</summary>
internal static class DriverRuns
{
    private const int Runs = 9, Pairs = 9, Calls = 4, BufferBytes = 4096;
    private const ulong Code = 0x10_0000, Buffer = 0x20_0000, Stack = 0x30_0000;

    public static IEnumerable<Figure> Measure() => [.. Interpret(), .. Live()];

    private static IEnumerable<Figure> Live()
    {
        string root = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "..", "..", "..", ".."));
        string emulator = Path.Combine(root, "artifacts", "bin", "Emulator.Cli", "release", "emulator");
        string[] drivers = [.. new[] { "ProsewareRobot", "AfterThought" }.Select(name => Path.Combine(root, "out", "drivers", "x64", $"{name}.sys"))];
        if (!File.Exists(emulator)) throw new BenchException($"'{emulator}' is not built: make build CONFIGURATION=Release");
        if (!drivers.All(File.Exists)) throw new BenchException($"'{drivers[0]}' is not built: make drivers");
        var lives = new List<double>();
        var peaks = new List<double>();
        for (int i = 0; i < Runs; i++)
        {
            long begin = Stopwatch.GetTimestamp();
            using JsonDocument report = JsonDocument.Parse(Child.Run(emulator, ["bench", "run", .. drivers, "--time", "--format", "json"]));
            lives.Add(Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
            peaks.Add(report.RootElement.GetProperty("cost").GetProperty("peakMegabytes").GetDouble());
        }
        yield return new Figure("emulator bench run, a pair's whole life", Statistics.Median(lives), null, null, "ms", 1000,
            $"Proseware pair and filter, x64, from the process's start to its end; {Runs} runs");
        yield return new Figure("its peak of resident memory", Statistics.Median(peaks), null, null, "MB", 200, "as the process saw it at its end");
    }

    private static IEnumerable<Figure> Interpret()
    {
        using var folder = new TemporaryFolder();
        string source = Path.Combine(AppContext.BaseDirectory, "Rival", "interpreted.c");
        string compiled = folder.At("work.o"), code = folder.At("work"), rival = folder.At("rival");
        Child.Run("gcc", "-O2", "-fno-pic", "-mno-sse", "-fno-stack-protector", "-fcf-protection=none", "-c", "-o", compiled, source);
        Child.Run("objcopy", "-O", "binary", "-j", ".text.work", compiled, code);
        Child.Run("gcc", "-O2", "-DRIVAL", "-o", rival, source);
        Interpreter cpu = Load(File.ReadAllBytes(code));
        var rounds = new List<(double Ours, double Native)>();
        for (int i = 0; i < Pairs + 2; i++)
        {
            long begin = Stopwatch.GetTimestamp();
            ulong instructions = 0;
            for (int call = 0; call < Calls; call++)
            {
                CallOutcome outcome = cpu.Call(Code, Buffer, BufferBytes);
                if (!outcome.Returned) throw new BenchException(outcome.Run.ToString());
                instructions += outcome.Run.Instructions;
            }
            double ours = Stopwatch.GetElapsedTime(begin).TotalNanoseconds / instructions;
            double native = double.Parse(Child.Run(rival, code, "200"), CultureInfo.InvariantCulture) / (instructions / (double)Calls);
            // The first rounds bring the runtime's own compiler to its final code.
            if (i >= 2) rounds.Add((ours, native));
        }
        yield return new Figure(
            "an interpreted instruction", Statistics.Median(rounds.Select(r => r.Ours)), Statistics.Median(rounds.Select(r => r.Native)), null, "ns", 200,
            $"5 million a second are 200 ns; rival: the same machine code on this processor; {Pairs} pairs");
    }

    private static Interpreter Load(byte[] code)
    {
        var space = new AddressSpace(AddressWidth.Bits64);
        space.MapRam(Code, (ulong)code.Length, Protection.ReadExecute, "code");
        space.MapRam(Buffer, BufferBytes, Protection.ReadWrite, "buffer");
        MemoryRegion stack = space.MapRam(Stack, 0x4000, Protection.ReadWrite, "stack");
        var bytes = new byte[BufferBytes];
        for (int i = 0; i < bytes.Length; i++) bytes[i] = (byte)(i * 7);
        if (!space.TryPoke(Code, code) || !space.TryPoke(Buffer, bytes)) throw new BenchException("the interpreter's memory cannot be written");
        var cpu = new Interpreter(space, CpuMode.X64, new NoHost());
        cpu.State.Rsp = stack.End - 0x100;
        return cpu;
    }

    private sealed class NoHost : IHostCalls
    {
        public void Invoke(ref CallFrame frame) => frame.Stop("the code calls nobody");
    }
}
