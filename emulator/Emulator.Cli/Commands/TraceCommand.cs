using System.CommandLine;
using Emulator.Tracing;

namespace Emulator.Cli.Commands;

/// <summary>`emulator trace`: what a lab recorded.</summary>
internal static class TraceCommand
{
    public static Command Create()
    {
        var command = new Command("trace", "Read recorded traces.") { CreateShow() };
        return command.WithExamples(("emulator trace show out/parallel-port.trace", "every access of a session, by name"));
    }

    private static Command CreateShow()
    {
        var file = new Argument<string>("FILE") { Description = "A trace that `run` or `boot` recorded; it may still be growing" };
        var device = new Option<string?>("--device") { Description = "Only these devices, separated by commas", HelpName = "NAMES" };
        var register = new Option<string?>("--register")
        {
            Description = "Only accesses to these registers, with * and ?: STATUS, SPP.*, CONFIG.BAR?, or a region: BAR1",
            HelpName = "PATTERNS",
        };
        var function = new Option<string?>("--function")
        {
            Description = "Only accesses from these functions of a driver, with * and ?: PowerCallback, ProsewareRobot!*; for traces of `bench run`",
            HelpName = "PATTERNS",
        };
        var kind = new Option<string?>("--kind")
        {
            Description = "Only these kinds of events: " + string.Join(", ", TraceFilterParser.KindChoices),
            HelpName = "KINDS",
        };
        kind.CompletionSources.Add([.. TraceFilterParser.KindChoices]);
        var from = new Option<string?>("--from") { Description = "Only from this time on: 250us, 3ms, 1.5s since the start", HelpName = "TIME" };
        var to = new Option<string?>("--to") { Description = "Only up to this time", HelpName = "TIME" };
        var every = new Option<bool>("--every") { Description = "Show each of a polling driver's identical reads; text folds them into one line with a count" };
        Option<OutputFormat> format = CommonOptions.Format();
        var command = new Command("show", "Show a recorded trace: every access, interrupt and transfer with its time and names.")
        {
            file, device, register, function, kind, from, to, every, format,
        };
        command.SetAction(parsed => Show(
            parsed.InvocationConfiguration, parsed.GetRequiredValue(file), parsed.GetValue(format), parsed.GetValue(every),
            devices => new TraceFilter
            {
                Devices = parsed.GetValue(device) is not { } d ? new HashSet<string>()
                    : Checked("--device", TraceFilterParser.TryParseDevices(d, devices, out IReadOnlySet<string> names), names),
                Registers = parsed.GetValue(register) is { } r
                    ? Checked("--register", TraceFilterParser.TryParseRegisters(r, devices, out IReadOnlyList<string> patterns), patterns)
                    : [],
                Functions = parsed.GetValue(function) is { } c
                    ? Checked("--function", TraceFilterParser.TryParseFunctions(c, devices, out IReadOnlyList<string> functions), functions)
                    : [],
                Kinds = parsed.GetValue(kind) is { } k ? Checked("--kind", TraceFilterParser.TryParseKinds(k, out TraceKinds kinds), kinds) : TraceKinds.All,
                From = parsed.GetValue(from) is { } f ? Checked("--from", TraceFilterParser.TryParseTime(f, out long start), start) : long.MinValue,
                To = parsed.GetValue(to) is { } t ? Checked("--to", TraceFilterParser.TryParseTime(t, out long end), end) : long.MaxValue,
            }));
        return command.WithExamples(
            ("emulator trace show out/session.trace --register STATUS,CONTROL", "the handshake only"),
            ("emulator trace show out/session.trace --kind interrupt --from 1.5s", "interrupts after a second and a half"),
            ("emulator trace show out/bench.trace --function DeviceControlCallback", "what one function of a driver did in `emulator bench run --trace`"),
            ("emulator trace show out/session.trace --format json | jq '.registers[]?.name'", "JSON lines, one an event"));
    }

    private static int Show(
        InvocationConfiguration console, string file, OutputFormat format, bool every, Func<IReadOnlyList<TracedDevice>, TraceFilter> createFilter)
    {
        try
        {
            using TraceReader reader = TraceReader.Open(file);
            TraceFilter filter = createFilter(reader.Devices);
            using var json = format == OutputFormat.Json ? new JsonTraceRenderer(new Utf8TextStream(console.Output), fold: false) : null;
            TraceRenderer renderer = json is not null ? json
                : new TextTraceRenderer(new TerminalTraceWriter(console.Output, TerminalTraceWriter.WantsColour), fold: !every, reader.Devices);
            foreach (TraceEntry entry in reader.Read())
            {
                if (filter.Matches(entry)) renderer.Render(entry);
            }
            renderer.Flush();
            if (reader.IsTruncated) console.Error.WriteLine($"emulator: {file} was not ended: its recorder was killed, or is still at work");
            return CommandLine.Done;
        }
        catch (Exception problem) when (problem is IOException or TraceFormatException)
        {
            throw new UserError(problem.Message, cause: problem);
        }
    }

    private static T Checked<T>(string option, string? problem, T value) => problem is null ? value : throw new UserError($"{option}: {problem}");
}
