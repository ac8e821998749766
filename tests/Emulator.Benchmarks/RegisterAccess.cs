using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using DeviceModels.ParallelPort;
using Emulator.Pci;
using Emulator.Testing;

namespace Emulator.Benchmarks;

/// <summary>Single accesses inside the model, without a socket.</summary>
[MemoryDiagnoser]
public class RegisterAccess
{
    private readonly BenchRegisters _bank = new();
    private PciFunction _function = null!, _card = null!;

    [GlobalSetup]
    public void Plug()
    {
        _bank.Handled.OnWrite((int _, in Emulator.Registers.RegisterWrite _) => { });
        var host = new FakePciHost();
        _function = host.Plug(new BenchFunction(host.Slot));
        var cardHost = new FakePciHost();
        _card = cardHost.Plug(ParallelPortModels.All[0].Create(cardHost.Slot));
    }

    [Benchmark(Description = "bank: read a register")]
    public ulong BankRead() => _bank.Read(0x0, 4);

    [Benchmark(Description = "bank: write with a handler")]
    public void BankWrite() => _bank.Write(0x8, 4, 0x55);

    [Benchmark(Description = "function: read with a handler")]
    public ulong FunctionRead() => _function.Read(0, 0x8, 4);

    [Benchmark(Description = "function: write with a handler")]
    public void FunctionWrite() => _function.Write(0, 0x8, 4, 0x55);

    [Benchmark(Description = "parallel port: read STATUS")]
    public ulong CardStatus() => _card.Read(0, 0x1, 1);

    internal static IEnumerable<Figure> Measure()
    {
        ManualConfig config = ManualConfig.CreateEmpty()
            .AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithWarmupCount(3).WithIterationCount(11))
            .AddDiagnoser(MemoryDiagnoser.Default)
            .AddLogger(NullLogger.Instance)
            .WithOptions(ConfigOptions.DisableOptimizationsValidator | ConfigOptions.DisableLogFile)
            .WithArtifactsPath(Directory.CreateTempSubdirectory("emulator-bench-").FullName);
        Summary summary = BenchmarkRunner.Run<RegisterAccess>(config);
        Directory.Delete(config.ArtifactsPath, recursive: true);
        foreach (BenchmarkReport report in summary.Reports)
        {
            if (report.ResultStatistics is not { } statistics) throw new BenchException($"{report.BenchmarkCase.DisplayInfo} did not run");
            long allocated = report.GcStats.GetBytesAllocatedPerOperation(report.BenchmarkCase) ?? 0;
            yield return new Figure(report.BenchmarkCase.Descriptor.WorkloadMethodDisplayInfo.Trim('\''), statistics.Median, null, null, "ns", 50,
                $"{allocated} bytes allocated per access");
        }
    }
}
