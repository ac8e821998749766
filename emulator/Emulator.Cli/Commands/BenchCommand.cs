using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Emulator.Cli.Bench;
using Emulator.DriverBench.Pnp;
using Emulator.Models;
using Emulator.Nt.Objects;
using Emulator.Nt.Views;
using Emulator.Pci;
using Emulator.Tracing;
using DeviceNode = Emulator.DriverBench.Pnp.DeviceNode;

namespace Emulator.Cli.Commands;

/// <summary>`emulator bench`: runs real driver files on our models, without a guest.</summary>
internal static class BenchCommand
{
    private enum Interrupts { Messages, Line }

    public static Command Create()
    {
        var command = new Command("bench", "Run Windows drivers (.sys) on the models, without a guest.") { CreateRun(), CreateDriver(), CreateStack(), CreateNodes(), CreatePair() };
        return command.WithExamples(
            ("emulator bench run out/drivers/x64/ProsewareRobot.sys out/drivers/x64/AfterThought.sys", "a driver pair's whole life, with a filter above it"),
            ("emulator bench drvobj ProsewareRobot 2 out/drivers/x64/ProsewareRobot.sys", "its driver object, as WinDbg's !drvobj shows it"));
    }

    private static Command CreateRun()
    {
        var common = new Common();
        var steps = new Option<string?>("--steps")
        {
            Description = $"The device's life, separated by commas; {BenchStep.WholeLife} unless told otherwise. Words: {string.Join(", ", BenchStep.Words)}; "
                + "read=BYTES, write=HEX, ioctl=CODE[:BYTES BACK[:HEX]], wait=TIME. What was begun is ended, said or not",
            HelpName = "STEPS",
        };
        steps.CompletionSources.Add([.. BenchStep.Words]);
        Option<string?> trace = new("--trace") { Description = "Record every access to this file, with the driver's instruction and function", HelpName = "FILE" };
        Option<bool> live = new("--live") { Description = "Print every access as it happens, before the report" };
        Option<int> failAllocation = Counted("--fail-allocation", "Let the Nth call fail that needs memory or another resource");
        Option<int> deviceGone = Counted("--device-gone", "Let the device vanish at the Nth access to it");
        Option<int> storm = Counted("--storm", "Let the device's interrupt never end, from the Nth on");
        var time = new Option<bool>("--time") { Description = "Say what the run cost here: time, instructions a second, memory" };
        Option<OutputFormat> format = CommonOptions.Format();
        var command = new Command("run", "Take drivers and their device through a life: load, add, start, requests, power, stop, removal, unload.")
        {
            common.Files, common.Model, common.Filters, common.Interrupts, steps, trace, live, failAllocation, deviceGone, storm, time, format,
        };
        command.SetAction(parsed =>
        {
            var choice = new BenchChoice(
                BenchStep.Parse(parsed.GetValue(steps) ?? BenchStep.WholeLife), common.GrantOf(parsed), parsed.GetValue(failAllocation),
                parsed.GetValue(deviceGone), parsed.GetValue(storm));
            return Run(
                parsed.InvocationConfiguration, common.FilesOf(parsed), parsed.GetValue(common.Model), choice, parsed.GetValue(trace), parsed.GetValue(live),
                parsed.GetValue(time), parsed.GetValue(format));
        });
        return command.WithExamples(
            ("emulator bench run out/drivers/x64/ProsewareRobot.sys", "the pair's whole life; GeneralRobot.sys is found beside it, the robot by the INF"),
            ("emulator bench run MyDriver.sys --model scratch --steps start,open,ioctl=0x222000:16", "any driver, on a model of your choice"),
            ("emulator bench run out/drivers/x86/ContosoRobot.sys --trace out/bench.trace", "with every register access recorded for `emulator trace show`"));
    }

    private static Command CreateDriver()
    {
        var common = new Common();
        var name = new Argument<string>("NAME") { HelpName = "NAME", Description = "A driver as its service is called: ProsewareRobot, or pci; or an address" };
        var files = new Argument<string[]>("FILES")
        {
            HelpName = "[FLAGS] FILE.sys",
            Arity = ArgumentArity.OneOrMore,
            Description = "!drvobj's flags (1 devices, 2 dispatch table, 4 stacks; 3 unless told otherwise), then driver files as for `bench run`",
        };
        Option<OutputFormat> format = CommonOptions.Format();
        var command = new Command("drvobj", "Show a driver's object once its device has started.") { name, files, common.Model, common.Filters, common.Interrupts, format };
        command.SetAction(parsed =>
        {
            string[] typed = parsed.GetRequiredValue(files);
            bool hasFlags = int.TryParse(typed[0], NumberStyles.None, CultureInfo.InvariantCulture, out int flags);
            if (hasFlags && flags > 7) throw new UserError($"drvobj's flags are 1, 2, 4 and their sums, not {flags}");
            if (hasFlags && typed.Length == 1) throw new UserError("name the driver files behind the flags");
            DriverListingParts parts = hasFlags ? (DriverListingParts)flags : DriverListingParts.Devices | DriverListingParts.Dispatch;
            BenchFiles stack = common.FilesOf(parsed, hasFlags ? typed[1..] : typed);
            return Show(
                parsed.InvocationConfiguration, stack, parsed.GetValue(common.Model), common.GrantOf(parsed), parsed.GetValue(format), NtJson.Default.DriverListing,
                (viewer, _, _) => viewer.ShowDriver(FindDriver(viewer, parsed.GetRequiredValue(name)), parts)!);
        });
        return command.WithExamples(("emulator bench drvobj ProsewareRobot 2 out/drivers/x64/ProsewareRobot.sys", "names and addresses of its 28 dispatch routines"));
    }

    private static Command CreatePair()
    {
        var common = new Common();
        var name = new Argument<string>("NAME") { HelpName = "NAME", Description = "A driver as its service is called: ProsewareRobot, or pci; or an address" };
        return CreateView(
            "pair", "Show which module is a driver's specific half and which its general half.", NtJson.Default.DriverPairListing, common, name,
            (viewer, _, _, typed) => viewer.ShowPair(FindDriver(viewer, typed!))!, "emulator bench pair ProsewareRobot out/drivers/x64/ProsewareRobot.sys",
            "the pair and the level of the stack it takes");
    }

    private static Command CreateStack()
        => CreateView(
            "devstack", "Show the device's stack once it has started.", NtJson.Default.DeviceStackListing, new Common(), null,
            (viewer, node, _, _) => viewer.ShowStack(node.Pdo)!, "emulator bench devstack out/drivers/x64/ProsewareRobot.sys out/drivers/x64/AfterThought.sys",
            "the filter, the pair and the bus driver's device");

    private static Command CreateNodes()
        => CreateView(
            "devnode", "Show the tree of device nodes once the device has started.", NtJson.Default.DeviceNodeListing, new Common(), null,
            (viewer, _, root, _) => viewer.ShowNodes(root)!, "emulator bench devnode out/drivers/x64/ProsewareRobot.sys", "the root and the robot, with their states");

    private static Command CreateView<T>(
        string word, string summary, JsonTypeInfo<T> json, Common common, Argument<string>? name, Func<NtViewer, DeviceNode, ulong, string?, T> show,
        string example, string meaning)
    {
        Option<OutputFormat> format = CommonOptions.Format();
        var command = new Command(word, summary);
        if (name is not null) command.Arguments.Add(name);
        command.Arguments.Add(common.Files);
        foreach (Option option in (Option[])[common.Model, common.Filters, common.Interrupts, format]) command.Options.Add(option);
        command.SetAction(parsed => Show(
            parsed.InvocationConfiguration, common.FilesOf(parsed), parsed.GetValue(common.Model), common.GrantOf(parsed), parsed.GetValue(format), json,
            (viewer, node, root) => show(viewer, node, root, name is null ? null : parsed.GetRequiredValue(name))));
        return command.WithExamples((example, meaning));
    }

    private static ulong FindDriver(NtViewer viewer, string name)
        => viewer.TryFindDriver(name, out DriverObject? driver, out string? problem) ? driver.Address.Value : throw new UserError(problem.TrimEnd('.'));

    private static int Run(
        InvocationConfiguration console, BenchFiles files, string? modelName, BenchChoice choice, string? trace, bool live, bool time, OutputFormat format)
    {
        DeviceModel model = files.FindModel(modelName);
        using var interruption = new Interruption();
        using TraceRecorder? recorder = trace is null ? null : Record(trace, console.Error.WriteLine);
        using BenchLive? shown = live ? new BenchLive(console.Output, format) : null;
        long began = Stopwatch.GetTimestamp();
        PciFunction? first = null;
        var run = new BenchRun(files, model, choice, (function, number) =>
        {
            first ??= function;
            string name = number == 1 ? model.Name : $"{model.Name}-{number}";
            function.Observer = ObserverTee.Of(recorder?.AttachAt(name, model.Name, function, startNs: 0), shown?.Attach(name, model.Name, function));
        }, interruption.Token);
        bool stopped = Stoppable(run.Live);
        double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
        BenchCost? cost = !time ? null
            : new BenchCost(seconds * 1000, run.Machine.Cpu.InstructionsExecuted / seconds, Process.GetCurrentProcess().PeakWorkingSet64 / 1048576.0);
        shown?.Flush();
        BenchReport report = Describe(run, model, first, choice, cost);
        if (format == OutputFormat.Json) console.Output.WriteLine(JsonSerializer.Serialize(report, BenchJson.Default.BenchReport));
        else BenchText.Write(report, console.Output);
        if (!stopped) return run.IsClean ? CommandLine.Done : CommandLine.Failed;
        throw UserError.Failed($"{interruption.Signal} stopped the bench in {(report.Steps is [.., var last] ? last.Name : "its beginning")}");
    }

    private static int Show<T>(
        InvocationConfiguration console, BenchFiles files, string? modelName, InterruptGrant grant, OutputFormat format, JsonTypeInfo<T> json,
        Func<NtViewer, DeviceNode, ulong, T> show)
    {
        using var interruption = new Interruption();
        T? listing = default;
        BenchRun run = null!;
        run = new BenchRun(files, files.FindModel(modelName), new BenchChoice([new BenchStep(BenchAction.Start)], grant), null, interruption.Token)
        {
            Started = node => listing = show(run.Machine.Viewer, node, run.Machine.RootNode),
        };
        if (Stoppable(run.Live)) throw UserError.Failed($"{interruption.Signal} stopped the bench");
        if (listing is null)
        {
            StepResult? why = run.Steps.FirstOrDefault(s => s.IsFailure);
            throw UserError.Failed($"the device did not start: {why?.Name} {why?.Status}; `emulator bench run` says more");
        }
        if (format == OutputFormat.Json) console.Output.WriteLine(JsonSerializer.Serialize(listing, json));
        else console.Output.Write(listing.ToString());
        foreach (DriverBench.Kernel.Finding finding in run.Machine.Findings) console.Error.WriteLine($"finding: {finding}");
        return run.IsClean ? CommandLine.Done : CommandLine.Failed;
    }

    private static bool Stoppable(Action live)
    {
        try
        {
            live();
            return false;
        }
        catch (OperationCanceledException)
        {
            return true;
        }
    }

    private static BenchReport Describe(BenchRun run, DeviceModel model, PciFunction? function, BenchChoice choice, BenchCost? cost)
    {
        DriverBench.Kernel.BenchMachine machine = run.Machine;
        string interrupts = choice.Interrupts == InterruptGrant.Messages ? "message interrupts where the device has them" : "line interrupt";
        return new BenchReport(
            machine.Is64Bit ? "x64" : "x86", model.Name, function?.Identity.ToString() ?? "", interrupts, run.Modules, run.Steps, run.Snapshot?.Stack,
            run.Snapshot?.Drivers ?? [], run.Snapshot?.Pair, run.Snapshot?.Nodes, choice.HasFaults,
            [.. machine.Faults.Injected.Select(f => f.ToString())], machine.Faults.Allocations, run.Accesses, machine.Printed,
            machine.Framework.Events.Count == 0 ? null : [.. machine.Framework.Events.Select(e => e.ToString())],
            [.. machine.Findings.Select(f => FindingLine.Of(f, machine.Is64Bit))], machine.Cpu.InstructionsExecuted, machine.Clock.Now,
            machine.InterruptsDelivered, machine.DpcsDelivered, run.IsClean, cost);
    }

    private static TraceRecorder Record(string file, Action<string> failed)
    {
        try
        {
            if (Path.GetDirectoryName(file) is { Length: > 0 } folder) Directory.CreateDirectory(folder);
            return new TraceRecorder(file, failed);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw UserError.Failed(problem.Message.TrimEnd('.'), problem);
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

    /// <summary>What every command of the bench takes.</summary>
    private sealed class Common
    {
        public Argument<string[]> Files { get; } = new("FILES")
        {
            HelpName = "FILE.sys",
            Arity = ArgumentArity.OneOrMore,
            Description = "The device's driver, in any order with filters above it and what they import from; an import beside its driver is found without being named",
        };

        public Option<string?> Model { get; } = CreateModel();

        public Option<string[]> Filters { get; } = new("--filter")
        {
            HelpName = "FILE.sys",
            Description = "An upper filter, where neither an INF nor the order of files says which driver is one; may be repeated, bottom up",
        };

        public Option<Interrupts> Interrupts { get; } = CommonOptions.Choice<Interrupts>("--interrupts", "What the bus driver grants a device that has both");

        public InterruptGrant GrantOf(ParseResult parsed)
            => parsed.GetValue(Interrupts) == BenchCommand.Interrupts.Messages ? InterruptGrant.Messages : InterruptGrant.Line;

        public BenchFiles FilesOf(ParseResult parsed) => FilesOf(parsed, parsed.GetRequiredValue(Files));

        public BenchFiles FilesOf(ParseResult parsed, string[] files)
        {
            // The library takes an option it does not know for one more file.
            if (Array.Find(files, f => f.StartsWith('-')) is not { } option) return new BenchFiles(files, parsed.GetValue(Filters) ?? []);
            throw new UserError($"unknown option '{option}'; {Spelling.Suggest(option, [.. parsed.CommandResult.Command.Options.Select(o => o.Name)])}");
        }

        private static Option<string?> CreateModel()
        {
            var option = new Option<string?>("--model") { HelpName = "MODEL", Description = "The device; the model that an INF beside the driver is for unless told otherwise" };
            option.CompletionSources.Add([.. ModelCatalog.All.Select(m => m.Name)]);
            return option;
        }
    }
}
