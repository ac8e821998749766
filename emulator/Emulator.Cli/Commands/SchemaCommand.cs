using System.CommandLine;
using Emulator.Cli.Lab;

namespace Emulator.Cli.Commands;

/// <summary>`emulator schema`: the JSON schema of lab files.</summary>
internal static class SchemaCommand
{
    public static Command Create()
    {
        var command = new Command("schema", "Print the JSON schema of lab files, for editors that complete and check them.");
        command.SetAction(parsed =>
        {
            parsed.InvocationConfiguration.Output.Write(LabSchema.Render());
            return CommandLine.Done;
        });
        return command.WithExamples(("emulator schema > lab.schema.json", "then start a lab with \"$schema\": \"lab.schema.json\""));
    }
}
