using System.Diagnostics;
using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pe;
using Emulator.DriverTests.Native;
using Emulator.Tests.Cli;

namespace Emulator.DriverTests.Cli;

/// <summary>Nothing that a driver does keeps the bench from ending.</summary>
[Category("Driver")]
internal sealed class EndlessDriverTests
{
    private static string Driver(Machine machine) => Targets.BuildDriver(Targets.CompilerFor(machine), machine, "endless.c", $"endless-{machine}", "-O2");

    [TestCase(Machine.Amd64)]
    [TestCase(Machine.I386)]
    public void A_function_that_does_not_return_brings_the_machine_down(Machine machine)
    {
        CommandRun run = CommandRun.Of("bench", "run", Driver(machine), "--model", "scratch");
        Assert.That(run.ExitCode, Is.EqualTo(1));
        Assert.That(run.Output, Does.Match($@"\n  DriverEntry endless-{machine}  crashed "));
        // Where it lies, to look the address up.
        Assert.That(run.Output, Does.StartWith(machine == Machine.Amd64 ? "x64, scratch 1af4:10f0, " : "x86, scratch 1af4:10f0, "));
        Assert.That(run.Output, Does.Match($@"\nload order\n  endless-{machine}\.sys  [0-9a-f]{{8,16}}  0x[0-9a-f]{{5}}  function driver "));
        Assert.That(run.Output, Does.Match(@": 1 module, 1 step, "));
        Assert.That(run.Output, Does.Contain($"Crash: endless-{machine}!entry ran for 100000000 instructions and did not return; in endless-{machine}!entry"));
    }

    [Test]
    public void A_machine_can_be_stopped_from_another_thread()
    {
        using var stop = new CancellationTokenSource();
        var machine = new BenchMachine(Machine.Amd64, stop.Token);
        PeImage image = PeImage.Open(Driver(Machine.Amd64));
        Task<bool> stopped = Task.Run(() =>
        {
            try
            {
                machine.Load(image);
                return false;
            }
            catch (OperationCanceledException)
            {
                return true;
            }
        });
        // The loop runs once its instructions are counted.
        Assert.That(SpinWait.SpinUntil(() => machine.Cpu.InstructionsExecuted > 1000, TimeSpan.FromMinutes(2)), Is.True);
        stop.Cancel();
        Assert.That(stopped.Result, Is.True);
    }

    [Test]
    public void Ctrl_C_stops_it_with_one_line_and_what_was_found_so_far()
    {
        using var folder = new TemporaryFolder();
        string trace = folder.In("bench.trace");
        string emulator = Path.Combine(AppContext.BaseDirectory, "emulator.dll");
        string[] command = [emulator, "bench", "run", Driver(Machine.Amd64), "--model", "scratch", "--trace", trace];
        using Process run = Process.Start(ForegroundProcess.Of("dotnet", command))!;
        Task<string> output = run.StandardOutput.ReadToEndAsync(), errors = run.StandardError.ReadToEndAsync();
        // It is made behind the handler of signals and just before the drivers run.
        Assert.That(SpinWait.SpinUntil(() => File.Exists(trace) || run.HasExited, TimeSpan.FromMinutes(2)), Is.True);
        ForegroundProcess.Signal(run, "INT");
        Assert.That(run.WaitForExit(TimeSpan.FromMinutes(2)), Is.True);
        Assert.That(errors.Result, Does.Match("^emulator: Ctrl-C stopped the bench in .+\n$"));
        Assert.That(run.ExitCode, Is.EqualTo(1));
        Assert.That(output.Result, Does.Contain("findings\n  none\n"));
    }
}
