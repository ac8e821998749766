using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Emulator.Cli.Bench;
using Emulator.DriverBench.Pnp;
using Emulator.Tracing;

namespace Emulator.Cli.Commands;

/// <summary>`emulator bench`: runs real driver files on our models, without a guest.</summary>
internal static class BenchCommand
{
    public static Command Create()
    {
        var command = new Command("bench", "Run Windows drivers (.sys) on the models, without a guest.")
        {
            CreateRun(), BenchViewCommands.CreateDriver(), BenchViewCommands.CreateStack(), BenchViewCommands.CreateNodes(), BenchViewCommands.CreatePair(),
        };
        return command.WithExamples(
            ("emulator bench run out/drivers/x64/ProsewareRobot.sys out/drivers/x64/AfterThought.sys", "a driver pair's whole life, with a filter above it"),
            ("emulator bench drvobj ProsewareRobot 2 out/drivers/x64/ProsewareRobot.sys", "its driver object, as WinDbg's !drvobj shows it"));
    }

    private static Command CreateRun()
    {
        var common = new BenchOptions(
            "The devices' life, separated by commas", BenchStep.WholeLife,
            $". Words: {string.Join(", ", BenchStep.Words)}; read=BYTES, write=HEX or @FILE, ioctl=CODE[:BYTES BACK[:HEX or @FILE]], wait=TIME; "
            + "requests is what MyDriver.requests beside MyDriver.sys asks, in these words. "
            + "DEVICE:STEP is for that device alone. What was begun is ended, said or not");
        var trace = new Option<string?>("--trace")
        {
            Description = "Record every access to this file, with the driver's instruction and function; its folder is made where there is none",
            HelpName = "FILE",
        };
        Option<bool> live = new("--live") { Description = "Print every access as it happens, before the report" };
        Option<int> failAllocation = Counted("--fail-allocation", "Let the Nth call fail that needs memory or another resource");
        Option<int> deviceGone = Counted("--device-gone", "Let the first device vanish at the Nth access to it");
        Option<int> storm = Counted("--storm", "Let the first device's interrupt never end, from the Nth on");
        var time = new Option<bool>("--time") { Description = "Say what the run cost here: time, instructions a second, memory" };
        Option<OutputFormat> format = CommonOptions.Format();
        var command = new Command("run", "Take drivers and their devices through a life: load, add, start, requests, power, stop, removal, unload.")
        {
            common.Files, common.Models, common.UpperFilters, common.LowerFilters, common.Interrupts, common.Steps, trace, live, failAllocation, deviceGone,
            storm, time, format,
        };
        command.SetAction(parsed =>
        {
            var choice = new BenchChoice(
                common.StepsOf(parsed), common.GrantOf(parsed), parsed.GetValue(failAllocation),
                parsed.GetValue(deviceGone), parsed.GetValue(storm));
            return Run(
                parsed.InvocationConfiguration, common.FilesOf(parsed), choice, parsed.GetValue(trace), parsed.GetValue(live), parsed.GetValue(time),
                parsed.GetValue(format));
        });
        return command.WithExamples(
            ("emulator bench run out/drivers/x64/ProsewareRobot.sys", "the pair's whole life; GeneralRobot.sys is found beside it, the robot by the INF"),
            ("emulator bench run out/drivers/x64/*.sys", "every driver of the folder, each on its device: one GeneralRobot.sys for all pairs"),
            ("emulator bench run MyDriver.sys --model scratch --steps start,open,ioctl=0x222000:16", "any driver, on a model of your choice"),
            ("emulator bench run out/drivers/x86/ContosoRobot.sys --trace out/bench.trace", "with every register access recorded for `emulator trace show`"));
    }

    private static int Run(
        InvocationConfiguration console, BenchFiles files, BenchChoice choice, string? trace, bool live, bool time, OutputFormat format)
    {
        using var interruption = new Interruption();
        using TraceRecorder? recorder = trace is null ? null : Record(trace, console.Error.WriteLine);
        using BenchLive? shown = live ? new BenchLive(console.Output, format) : null;
        long began = Stopwatch.GetTimestamp();
        var run = new BenchRun(files, choice, (function, device, name) => function.Observer = ObserverTee.Of(
            recorder?.AttachAt(name, device.Model!.Name, function, startNs: 0), shown?.Attach(name, device.Model!.Name, function)), interruption.Token);
        bool stopped = !run.TryLive();
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        BenchCost? cost = !time ? null
            : new BenchCost(seconds * 1000, run.Machine.Cpu.InstructionsExecuted / seconds, Process.GetCurrentProcess().PeakWorkingSet64 / 1048576.0);
        shown?.Flush();
        BenchReport report = Describe(run, choice, cost);
        if (format == OutputFormat.Json) console.Output.WriteLine(JsonSerializer.Serialize(report, BenchJson.Default.BenchReport));
        else BenchText.Write(report, console.Output);
        if (!stopped) return run.IsClean ? CommandLine.Done : CommandLine.Failed;
        throw UserError.Failed($"{interruption.Signal} stopped the bench in {(report.Steps is [.., var last] ? last.Name : "its beginning")}");
    }

    private static BenchReport Describe(BenchRun run, BenchChoice choice, BenchCost? cost)
    {
        DriverBench.Kernel.BenchMachine machine = run.Machine;
        DeviceLine[] devices = [.. run.Describe()];
        string interrupts = choice.Interrupts == InterruptGrant.Line ? "line interrupt"
            : $"message interrupts where {(devices.Length == 1 ? "the device has" : "the devices have")} them";
        return new BenchReport(
            machine.Is64Bit ? "x64" : "x86", interrupts, devices, run.Modules, run.Steps, run.Snapshot?.Drivers ?? [], run.Snapshot?.Nodes, choice.HasFaults,
            [.. machine.Faults.Injected.Select(f => f.ToString())], machine.Faults.Allocations, machine.Printed,
            machine.Framework.Events.Count == 0 ? null : [.. machine.Framework.Events.Select(e => e.ToString())],
            [.. machine.Findings.Select(f => FindingLine.Of(f, machine.Is64Bit))], machine.Cpu.InstructionsExecuted, machine.Clock.Now,
            machine.InterruptsDelivered, machine.DpcsDelivered, run.IsClean, cost);
    }

    private static TraceRecorder Record(string file, Action<string> failed)
    {
        try
        {
            return new TraceRecorder(file, failed);
        }
        catch (IOException problem)
        {
            throw new UserError(problem.Message, cause: problem);
        }
    }

    private static Option<int> Counted(string name, string description)
    {
        var option = new Option<int>(name) { Description = description, HelpName = "N" };
        option.Validators.Add(result =>
        {
            if (result.Tokens.Count == 1 && !(int.TryParse(result.Tokens[0].Value, NumberStyles.None, CultureInfo.InvariantCulture, out int n) && n > 0))
                result.AddError($"{name} takes a number from 1 on, not '{result.Tokens[0].Value}'");
        });
        return option;
    }
}
