using System.CommandLine;
using Emulator.Cli.Arena;
using Emulator.Cli.Booting;
using Emulator.Cli.Lab;
using Emulator.Guests;
using Emulator.Tracing;

namespace Emulator.Cli.Commands;

/// <summary>`emulator boot`: a lab and its guest, from start to end.</summary>
internal static class BootCommand
{
    private sealed record Choices(string Lab, string? Document, bool Live, bool Arena, string? Trace, bool ShowConsole);

    public static Command Create()
    {
        Argument<string> lab = CommonOptions.Lab();
        var document = new Option<string?>("--print") { Description = "The document the demonstration prints, instead of the lab's own", HelpName = "FILE" };
        var console = new Option<bool>("--console") { Description = "Show the guest's console while the demonstration runs" };
        Option<bool> live = CommonOptions.Live();
        Option<bool> arena = CommonOptions.Arena();
        Option<string?> trace = CommonOptions.Trace();
        var command = new Command("boot",
            "Serve a lab and boot its guest under QEMU: a shell in it on a terminal, the lab's demonstration elsewhere and with --arena.")
        {
            lab, document, console, live, arena, trace,
        };
        command.SetAction((parsed, _) => BootAsync(
            new Choices(
                parsed.GetRequiredValue(lab), parsed.GetValue(document), parsed.GetValue(live), parsed.GetValue(arena), parsed.GetValue(trace),
                parsed.GetValue(console)),
            parsed.InvocationConfiguration));
        return command.WithExamples(
            ("emulator boot parallel-port", "on a terminal, a shell in the guest: try `echo hello >/dev/lp0`, leave with `exit`"),
            ("emulator boot parallel-port </dev/null",
                "the demonstration: the guest prints README.md, the result is compared; QEMU and the guest are fetched on first use"),
            ("emulator boot parallel-port --print letter.ps </dev/null", "the same with another document"),
            ("emulator boot demo --arena", "the demonstration with the robots to be seen as they move"));
    }

    private static async Task<int> BootAsync(Choices choices, InvocationConfiguration console)
    {
        LabSource source = LabSource.Load(choices.Lab);
        LabGuestSetup.GuestOf(source);
        bool live = choices.Live || source.Lab.Trace.Live;
        if (choices.Arena) ArenaView.Require(source, live);
        bool interactive = choices.Document is null && !choices.Arena && !Console.IsInputRedirected && !Console.IsOutputRedirected;
        using var interruption = new Interruption();
        CancellationToken cancel = interruption.Token;
        try
        {
            string? document = interactive ? null : Demonstration.FindDocument(source, choices.Document);
            QemuInstallation qemu = await QemuInstallation.EnsureAsync(console.Error.WriteLine, cancel);
            LinuxGuestImage image = await LinuxGuestImage.EnsureAsync(console.Error.WriteLine, cancel);
            TraceRenderer? renderer = live
                ? new TextTraceRenderer(new TerminalTraceWriter(console.Output, TerminalTraceWriter.WantsColour))
                : null;
            MessageLog? log = choices.Arena ? ArenaView.LogForTerminal() : null;
            TextWriter messages = log ?? console.Error;
            Demonstration? demonstration = null;
            bool good;
            // The lab ends before its trace is shown.
            using (var running = new RunningLab(source, new TraceChoice(choices.Trace ?? source.Lab.Trace.File, renderer), messages.WriteLine))
            {
                GuestOptions options = LabGuestSetup.Options(source, running.Folder) with { Qemu = qemu, Image = image };
                messages.WriteLine($"{source.Name}: booting Linux with {string.Join(", ", running.Devices.Select(d => $"{d.Name} ({d.Model})"))}");
                if (interactive) return await TalkAsync(options, source, console, interruption);
                demonstration = new Demonstration(source, running, document, log ?? console.Output);
                options = options with
                {
                    Payload = demonstration.Payload,
                    OnConsoleText = choices.ShowConsole ? messages.Write : null,
                };
                using ArenaView? view = choices.Arena ? new ArenaView(running, log, console.Output, console.Error) : null;
                good = await PlayAsync(demonstration, options, cancel);
            }
            demonstration.ShowResults();
            return good ? CommandLine.Done : CommandLine.Failed;
        }
        catch (OperationCanceledException problem) when (cancel.IsCancellationRequested)
        {
            throw UserError.Failed($"{interruption.Signal}: the guest and its devices are gone", problem);
        }
        catch (GuestException problem)
        {
            throw UserError.Failed(problem.Message, problem);
        }
    }

    private static async Task<int> TalkAsync(GuestOptions options, LabSource source, InvocationConfiguration console, Interruption interruption)
    {
        console.Error.WriteLine(
            $"{source.Name}: `exit` in the guest's shell, or Ctrl-A X, ends it; `emulator set {source.Name}` in another terminal shows its switches");
        await using GuestSession session = await GuestSession.StartAsync(options with { Interactive = true }, interruption.Token);
        QemuExit exit = await session.Process.Exited.WaitAsync(interruption.Token);
        if (exit.ExitCode == 0) return CommandLine.Done;
        throw UserError.Failed(exit.ToString());
    }

    private static async Task<bool> PlayAsync(Demonstration demonstration, GuestOptions options, CancellationToken cancel)
    {
        // A guest that does not come up in time has its own explanation, with its console's last lines.
        await using GuestSession session = await GuestSession.StartAsync(options, cancel);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(demonstration.Timeout);
        try
        {
            return await demonstration.PlayAsync(session, limit.Token);
        }
        catch (OperationCanceledException problem) when (!cancel.IsCancellationRequested)
        {
            throw UserError.Failed(
                $"the demonstration took longer than {demonstration.Timeout.TotalSeconds:0} s; it waited for {demonstration.Step}; the guest's console:\n"
                    + session.Console.LastLines(), problem);
        }
    }
}
