using System.CommandLine;
using System.CommandLine.Completions;
using System.Text.Json;
using Emulator.Cli.Control;
using Emulator.Cli.Lab;

namespace Emulator.Cli.Commands;

/// <summary>`emulator set`: the switches of a running lab's devices.</summary>
internal static class SetCommand
{
    public static Command Create()
    {
        var lab = CommonOptions.Lab("LAB", "The running lab: its file, its name, or the folder of its sockets");
        var device = new Argument<string?>("DEVICE") { HelpName = "DEVICE", Description = "A device's name in the lab", Arity = ArgumentArity.ZeroOrOne };
        var name = new Argument<string?>("SWITCH") { HelpName = "SWITCH", Description = "What to change, such as paper", Arity = ArgumentArity.ZeroOrOne };
        var value = new Argument<string?>("VALUE") { HelpName = "VALUE", Description = "The new value", Arity = ArgumentArity.ZeroOrOne };
        Option<OutputFormat> format = CommonOptions.Format();
        device.CompletionSources.Add(context => Running(context, lab).Select(d => d.Name));
        name.CompletionSources.Add(context => Switches(context, lab, device).Select(s => s.Name));
        value.CompletionSources.Add(
            context => Switches(context, lab, device).Where(s => s.Name == context.ParseResult.GetValue(name)).SelectMany(s => s.Values));
        var command = new Command("set", "Show or change the switches of a running lab: paper out, cable unplugged.") { lab, device, name, value, format };
        command.SetAction(parsed => Run(
            parsed.InvocationConfiguration.Output, parsed.GetRequiredValue(lab), parsed.GetValue(device), parsed.GetValue(name), parsed.GetValue(value),
            parsed.GetValue(format)));
        return command.WithExamples(
            ("emulator set parallel-port", "every switch, its value and what it takes"),
            ("emulator set parallel-port lp paper out", "the printer runs out of paper"));
    }

    private static int Run(TextWriter output, string lab, string? device, string? name, string? value, OutputFormat format)
    {
        if (name is not null && value is null) throw new UserError($"a value for {name} is missing; `emulator set {lab}` lists what it takes");
        using var client = new ControlClient(FolderOf(lab).Control);
        ControlReply reply = client.Ask(new ControlRequest(name is null ? "list" : "set", device, name, value));
        if (format == OutputFormat.Json)
        {
            output.WriteLine(JsonSerializer.Serialize(reply.Devices, ControlJson.Default.IReadOnlyListDeviceState));
            return CommandLine.Done;
        }
        foreach (DeviceState found in reply.Devices)
        {
            foreach (SwitchState s in found.Switches)
            {
                string takes = s.Values.Count == 0 ? "any text" : string.Join('|', s.Values);
                output.WriteLine(name is null ? $"{found.Name} {s.Name} {s.Value}    ({takes}: {s.Summary})" : $"{found.Name} {s.Name} {s.Value}");
            }
            if (found.Switches.Count == 0) output.WriteLine($"{found.Name} has no switches");
        }
        return CommandLine.Done;
    }

    /// <summary>The folder of a running lab, by the lab or by the folder itself.</summary>
    public static LabFolder FolderOf(string lab) => Directory.Exists(lab) ? LabFolder.At(lab) : LabFolder.Of(LabSource.Load(lab));

    private static IEnumerable<SwitchState> Switches(CompletionContext context, Argument<string> lab, Argument<string?> device)
        => Running(context, lab).Where(d => d.Name == context.ParseResult.GetValue(device)).SelectMany(d => d.Switches);

    // Completion has no way to complain: where no lab runs it offers nothing.
    private static IReadOnlyList<DeviceState> Running(CompletionContext context, Argument<string> lab)
    {
        try
        {
            using var client = new ControlClient(FolderOf(context.ParseResult.GetValue(lab) ?? "").Control);
            return client.Ask(new ControlRequest("list")).Devices;
        }
        catch (UserError)
        {
            return [];
        }
    }
}
