using System.CommandLine;
using System.Text.Json;
using Emulator.Cli.Datasheets;

namespace Emulator.Cli.Commands;

/// <summary>`emulator regs`: a model's registers, as its banks define them.</summary>
internal static class RegsCommand
{
    private enum Format { Md, Json, C }

    public static Command Create()
    {
        Argument<string> model = CommonOptions.Model();
        Option<Format> format = CommonOptions.Choice<Format>("--format", "A datasheet in Markdown, the same as JSON, or a C header for a driver");
        var command = new Command("regs", "Print a model's datasheet: BARs, registers, fields, reset values and access kinds.") { model, format };
        command.SetAction(parsed =>
        {
            Datasheet sheet = Datasheet.Of(ModelCatalog.Find(parsed.GetRequiredValue(model)));
            parsed.InvocationConfiguration.Output.Write(parsed.GetValue(format) switch
            {
                Format.Json => JsonSerializer.Serialize(sheet, DatasheetJson.Default.Datasheet) + "\n",
                Format.C => CHeader.Render(sheet),
                _ => MarkdownDatasheet.Render(sheet),
            });
            return CommandLine.Done;
        });
        return command.WithExamples(
            ("emulator regs parallel-port", "the datasheet"),
            ("emulator regs parallel-port --format c > parallel_port.h", "offsets, masks and shifts for a driver"));
    }
}
