using System.CommandLine;
using System.Text.Json;
using Emulator.Cli.Control;
using Emulator.Cli.Lab;
using Emulator.Tracing;

namespace Emulator.Cli.Commands;

/// <summary>`emulator run`: serves a lab until it is told to stop.</summary>
internal static class RunCommand
{
    public static Command Create()
    {
        Argument<string> lab = CommonOptions.Lab();
        Option<OutputFormat> format = CommonOptions.Format();
        Option<bool> live = CommonOptions.Live();
        Option<string?> trace = CommonOptions.Trace();
        var command = new Command("run", "Serve a lab's devices until Ctrl-C. Prints their sockets, then \"ready\".") { lab, live, trace, format };
        command.SetAction(parsed => Run(
            parsed.InvocationConfiguration, parsed.GetRequiredValue(lab), parsed.GetValue(live), parsed.GetValue(trace), parsed.GetValue(format)));
        return command.WithExamples(
            ("emulator run parallel-port", "serve the lab qemu-config/labs/parallel-port.jsonc"),
            ("emulator run my-lab.jsonc --live", "and print every access as it happens"),
            ("emulator run my-lab.jsonc --trace out/session.trace", "and record it for `emulator trace show`"));
    }

    private static int Run(InvocationConfiguration console, string lab, bool live, string? trace, OutputFormat format)
    {
        using var interruption = new Interruption();
        LabSource source = LabSource.Load(lab);
        TraceRenderer? renderer = !live && !source.Lab.Trace.Live ? null
            : format == OutputFormat.Json ? new JsonTraceRenderer(new Utf8TextStream(console.Output))
            : new TextTraceRenderer(new TerminalTraceWriter(console.Output, TerminalTraceWriter.WantsColour));
        using (var running = new RunningLab(source, new TraceChoice(trace ?? source.Lab.Trace.File, renderer), console.Error.WriteLine))
        {
            SayReady(running, console.Output, format);
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
