using System.CommandLine;
using System.CommandLine.Completions;
using Emulator.Cli.Lab;

namespace Emulator.Cli.Commands;

/// <summary>How a command writes its data.</summary>
internal enum OutputFormat { Text, Json }

/// <summary>Options and arguments that several commands share.</summary>
internal static class CommonOptions
{
    /// <summary>--format text|json.</summary>
    public static Option<OutputFormat> Format() => Choice<OutputFormat>("--format", "How to write the result");

    /// <summary>An option that takes the lower-case names of an enum; without it, the value is the enum's first.</summary>
    public static Option<T> Choice<T>(string name, string description) where T : struct, Enum
    {
        string[] names = [.. Enum.GetNames<T>().Select(n => n.ToLowerInvariant())];
        var option = new Option<T>(name)
        {
            Description = $"{description}; {names[0]} unless told otherwise",
            HelpName = string.Join('|', names),
            CustomParser = result =>
            {
                string typed = result.Tokens[0].Value;
                if (Enum.TryParse(typed, ignoreCase: true, out T value) && names.Contains(typed.ToLowerInvariant())) return value;
                result.AddError($"{name} takes {string.Join(", ", names)}; not '{typed}'");
                return default;
            },
        };
        option.CompletionSources.Clear();
        option.CompletionSources.Add(names);
        return option;
    }

    /// <summary>A lab: a file, or the name of one that comes with the emulator.</summary>
    public static Argument<string> Lab(string name = "LAB", string description = "A lab file, or the name of one in qemu-config/labs")
    {
        var argument = new Argument<string>(name) { Description = description, HelpName = name };
        argument.CompletionSources.Add(_ => LabSource.ShippedLabs() is { } folder
            ? Directory.GetFiles(folder, "*.jsonc").Select(Path.GetFileNameWithoutExtension).OfType<string>().Order()
            : []);
        return argument;
    }

    /// <summary>--live.</summary>
    public static Option<bool> Live() => new("--live") { Description = "Print every access as it happens" };

    /// <summary>--arena.</summary>
    public static Option<bool> Arena() => new("--arena")
    {
        Description = "Show the robots in their arenas as they move: a live picture on a terminal, lines elsewhere",
    };

    /// <summary>--trace FILE.</summary>
    public static Option<string?> Trace() => new("--trace")
    {
        Description = "Record every access to this file, instead of the lab's own; its folder is made where there is none",
        HelpName = "FILE",
    };

    /// <summary>The name of a model in the catalogue.</summary>
    public static Argument<string> Model()
    {
        var argument = new Argument<string>("MODEL") { HelpName = "MODEL", Description = "A model's name; `emulator models` lists them" };
        argument.CompletionSources.Add(_ => ModelCatalog.All.Select(m => new CompletionItem(m.Name, detail: m.Summary)));
        return argument;
    }
}
