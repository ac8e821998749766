using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Emulator.Cli.Bench;
using Emulator.Nt.Objects;
using Emulator.Nt.Views;
using DeviceNode = Emulator.DriverBench.Pnp.DeviceNode;

namespace Emulator.Cli.Commands;

/// <summary>`emulator bench drvobj` and its like: one object of the machine, looked at after some steps of a device's life.</summary>
internal static class BenchViewCommands
{
    /// <summary>What a view looks at.</summary>
    /// <param name="Devices">At least one.</param>
    private sealed record Sight(NtViewer Viewer, IReadOnlyList<DeviceNode> Devices, ulong RootNode);

    public static Command CreateDriver()
    {
        Argument<string> name = CreateName();
        var files = new Argument<string[]>("FILES")
        {
            HelpName = "[FLAGS] FILE.sys",
            Arity = ArgumentArity.OneOrMore,
            Description = "!drvobj's flags (1 devices, 2 dispatch table, 4 stacks; 3 unless told otherwise), then driver files as for `bench run`",
        };
        return Create(
            "drvobj", "Show a driver's object, as WinDbg's !drvobj does.", NtJson.Default.DriverListing, [name, files],
            (parsed, common) =>
            {
                string[] typed = parsed.GetRequiredValue(files);
                bool hasFlags = int.TryParse(typed[0], NumberStyles.None, CultureInfo.InvariantCulture, out int flags);
                if (hasFlags && flags > 7) throw new UserError($"drvobj's flags are 1, 2, 4 and their sums, not {flags}");
                if (hasFlags && typed.Length == 1) throw new UserError("name the driver files behind the flags");
                DriverListingParts parts = hasFlags ? (DriverListingParts)flags : DriverListingParts.Devices | DriverListingParts.Dispatch;
                return (
                    common.FilesOf(parsed, hasFlags ? typed[1..] : typed),
                    sight => [sight.Viewer.ShowDriver(Find(sight.Viewer, parsed.GetRequiredValue(name)), parts)]);
            },
            ("emulator bench drvobj ProsewareRobot 2 out/drivers/x64/ProsewareRobot.sys", "names and addresses of its 28 dispatch routines"));
    }

    public static Command CreatePair()
    {
        Argument<string> name = CreateName();
        return Create(
            "pair", "Show which module is a driver's specific half and which its general half.", NtJson.Default.DriverPairListing, [name, null],
            (parsed, common) => (common.FilesOf(parsed), sight => [sight.Viewer.ShowPair(Find(sight.Viewer, parsed.GetRequiredValue(name)))]),
            ("emulator bench pair ProsewareRobot out/drivers/x64/ProsewareRobot.sys", "the pair and the level of the stack it takes"));
    }

    public static Command CreateStack()
        => Create(
            "devstack", "Show each device's stack, as WinDbg's !devstack does.", NtJson.Default.DeviceStackListing, [null],
            (parsed, common) => (common.FilesOf(parsed), sight => [.. sight.Devices.Select(d => sight.Viewer.ShowStack(d.Pdo))]),
            ("emulator bench devstack out/drivers/x64/ProsewareRobot.sys out/drivers/x64/AfterThought.sys", "the filter, the pair and the bus driver's"));

    public static Command CreateNodes()
        => Create(
            "devnode", "Show the tree of device nodes, as WinDbg's !devnode 0 1 does.", NtJson.Default.DeviceNodeListing, [null],
            (parsed, common) => (common.FilesOf(parsed), sight => [sight.Viewer.ShowNodes(sight.RootNode)]),
            ("emulator bench devnode out/drivers/x64/ProsewareRobot.sys", "the root and the robot, with their states"),
            ("emulator bench devnode out/drivers/x64/ProsewareRobot.sys --steps start,stop", "the same when it was stopped"));

    private static Argument<string> CreateName()
        => new("NAME") { HelpName = "NAME", Description = "A driver as its service is called: ProsewareRobot, or pci; or an address" };

    private static ulong Find(NtViewer viewer, string name)
        => viewer.TryFindDriver(name, out DriverObject? driver, out string? problem) ? driver.Address.Value : throw new UserError(problem.TrimEnd('.'));

    /// <param name="arguments">In their order; null is the driver files.</param>
    /// <param name="prepare">Looks at what was typed, before anything runs.</param>
    private static Command Create<T>(
        string word, string summary, JsonTypeInfo<T> json, Argument?[] arguments,
        Func<ParseResult, BenchOptions, (BenchFiles Files, Func<Sight, T?[]> Look)> prepare, params (string Line, string Meaning)[] examples) where T : class
    {
        var common = new BenchOptions("What happens to the devices before the look at them, as for `bench run`", "start");
        Option<OutputFormat> format = CommonOptions.Format();
        var command = new Command(word, summary);
        foreach (Argument? argument in arguments) command.Arguments.Add(argument ?? common.Files);
        Option[] options = [common.Models, common.UpperFilters, common.LowerFilters, common.Interrupts, common.Steps, format];
        foreach (Option option in options) command.Options.Add(option);
        command.SetAction(parsed =>
        {
            (BenchFiles files, Func<Sight, T?[]> look) = prepare(parsed, common);
            var choice = new BenchChoice(common.StepsOf(parsed), common.GrantOf(parsed));
            T[] listings = Look(parsed.InvocationConfiguration, files, choice, look, out bool isClean);
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(format) != OutputFormat.Json) output.Write(string.Join('\n', (object[])listings));
            else if (listings is [var listing]) output.WriteLine(JsonSerializer.Serialize(listing, json));
            else output.WriteLine(new JsonArray([.. listings.Select(l => JsonSerializer.SerializeToNode(l, json))]).ToJsonString(json.Options));
            return isClean ? CommandLine.Done : CommandLine.Failed;
        });
        return command.WithExamples(examples);
    }

    private static T[] Look<T>(
        InvocationConfiguration console, BenchFiles files, BenchChoice choice, Func<Sight, T?[]> look, out bool isClean) where T : class
    {
        using var interruption = new Interruption();
        T[] listings = [];
        BenchRun run = null!;
        run = new BenchRun(files, choice, null, interruption.Token)
        {
            BeforeEnd = devices => listings = [.. look(new Sight(run.Machine.Viewer, devices, run.Machine.RootNode)).OfType<T>()],
        };
        if (!run.TryLive()) throw UserError.Failed($"{interruption.Signal} stopped the bench");
        foreach (DriverBench.Kernel.Finding finding in run.Machine.Findings) console.Error.WriteLine($"finding: {finding}");
        isClean = run.IsClean;
        if (listings.Length > 0) return listings;
        StepResult? failed = run.Steps.FirstOrDefault(s => s.IsFailure);
        throw UserError.Failed(failed is null ? "there is no device after these steps; leave those out that remove it"
            : $"there is no device to look at: {failed.Name} {failed.Status}; `emulator bench run` says more");
    }
}
