using System.CommandLine;
using System.Text.Json;
using Emulator.Cli.Arena;
using Emulator.Cli.Control;
using Emulator.Cli.Lab;
using Emulator.Tracing;

namespace Emulator.Cli.Commands;

/// <summary>`emulator run`: serves a lab until it is told to stop.</summary>
internal static class RunCommand
{
    private sealed record Choices(string Lab, bool Live, bool Arena, string? Trace, OutputFormat Format);

    public static Command Create()
    {
        Argument<string> lab = CommonOptions.Lab();
        Option<OutputFormat> format = CommonOptions.Format();
        Option<bool> live = CommonOptions.Live();
        Option<bool> arena = CommonOptions.Arena();
        Option<string?> trace = CommonOptions.Trace();
        var command = new Command("run", "Serve a lab's devices until Ctrl-C. Prints their sockets, then \"ready\".") { lab, live, arena, trace, format };
        command.SetAction(parsed => Run(parsed.InvocationConfiguration, new Choices(
            parsed.GetRequiredValue(lab), parsed.GetValue(live), parsed.GetValue(arena), parsed.GetValue(trace), parsed.GetValue(format))));
        return command.WithExamples(
            ("emulator run parallel-port", "serve the lab qemu-config/labs/parallel-port.jsonc"),
            ("emulator run my-lab.jsonc --live", "and print every access as it happens"),
            ("emulator run robots --arena", "watch the robots move"),
            ("emulator run my-lab.jsonc --trace out/session.trace", "and record it for `emulator trace show`"));
    }

    private static int Run(InvocationConfiguration console, Choices choices)
    {
        using var interruption = new Interruption();
        LabSource source = LabSource.Load(choices.Lab);
        bool live = choices.Live || source.Lab.Trace.Live;
        if (choices.Arena) ArenaView.Require(source, live, choices.Format);
        TraceRenderer? renderer = !live ? null
            : choices.Format == OutputFormat.Json ? new JsonTraceRenderer(new Utf8TextStream(console.Output))
            : new TextTraceRenderer(new TerminalTraceWriter(console.Output, TerminalTraceWriter.WantsColour));
        MessageLog? log = choices.Arena ? ArenaView.LogForTerminal() : null;
        TextWriter messages = log ?? console.Error;
        using (var running = new RunningLab(source, new TraceChoice(choices.Trace ?? source.Lab.Trace.File, renderer), messages.WriteLine))
        {
            SayReady(running, log ?? console.Output, choices.Format);
            using ArenaView? view = choices.Arena ? new ArenaView(running, log, console.Output, console.Error) : null;
            interruption.Wait();
        }
        console.Error.WriteLine($"{source.Name}: {interruption.Signal}; the sockets are closed");
        return CommandLine.Done;
    }

    private static void SayReady(RunningLab running, TextWriter output, OutputFormat format)
    {
        if (format == OutputFormat.Json)
        {
            output.WriteLine(JsonSerializer.Serialize(running.Describe(), ControlJson.Default.IReadOnlyListDeviceState));
        }
        else
        {
            foreach (ServedDevice device in running.Devices) output.WriteLine($"{device.Name}  {device.Model}  {device.Identity}  {device.Server.SocketPath}");
            output.WriteLine("ready");
        }
        output.Flush();
    }
}
