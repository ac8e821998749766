using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using Emulator.Models;

namespace Emulator.Cli.Commands;

/// <summary>`emulator models`: what a lab file can name.</summary>
internal static class ModelsCommand
{
    public static Command Create()
    {
        Option<OutputFormat> format = CommonOptions.Format();
        var command = new Command("models", "List the device models of this build.") { format };
        command.SetAction(parsed => List(parsed.InvocationConfiguration.Output, parsed.GetValue(format)));
        return command.WithExamples(("emulator models", "name and summary, a model a line"), ("emulator models --format json", "the same for a program"));
    }

    private static int List(TextWriter output, OutputFormat format)
    {
        if (format == OutputFormat.Json)
        {
            output.WriteLine(JsonSerializer.Serialize(
                [.. ModelCatalog.All.Select(m => new ModelLine(m.Name, m.Summary))], ModelsJson.Default.IReadOnlyListModelLine));
            return CommandLine.Done;
        }
        int width = ModelCatalog.All.Max(m => m.Name.Length);
        foreach (DeviceModel model in ModelCatalog.All) output.WriteLine($"{model.Name.PadRight(width)}  {model.Summary}");
        return CommandLine.Done;
    }
}

internal sealed record ModelLine(string Name, string Summary);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(IReadOnlyList<ModelLine>))]
internal sealed partial class ModelsJson : JsonSerializerContext;
