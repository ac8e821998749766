using System.CommandLine;
using Emulator.Cli.Commands;
using Emulator.DriverBench.Pnp;

namespace Emulator.Cli.Bench;

/// <summary>What every command of the bench takes.</summary>
internal sealed class BenchOptions
{
    private enum Grant { Messages, Line }

    private readonly Option<Grant> _interrupts = CommonOptions.Choice<Grant>("--interrupts", "What the bus driver grants a device that has both");
    private readonly string _steps;

    /// <param name="what">What the steps are to this command.</param>
    /// <param name="steps">Those without the option.</param>
    /// <param name="more">What else help says of them.</param>
    public BenchOptions(string what, string steps, string more = "")
    {
        _steps = steps;
        Steps = new Option<string?>("--steps") { HelpName = "STEPS", Description = $"{what}; {steps} unless told otherwise{more}" };
        Steps.CompletionSources.Add([.. BenchStep.Words]);
        Models.CompletionSources.Add([.. ModelCatalog.All.Select(m => m.Name)]);
    }

    public Argument<string[]> Files { get; } = new("FILES")
    {
        HelpName = "FILE.sys",
        Arity = ArgumentArity.OneOrMore,
        Description = "Drivers of one device or more, in any order with their filters and what they import from; "
            + "an import beside its driver is found without being named",
    };

    public Option<string[]> Models { get; } = new("--model")
    {
        HelpName = "[DRIVER=]MODEL",
        Description = "A device, and its driver if there are several; the model that an INF beside the driver is for unless told otherwise; "
            + "repeated, as many devices",
    };

    public Option<string[]> UpperFilters { get; } = Filter("--filter", "An upper filter, where neither an INF nor the order of files says which driver is one");
    public Option<string[]> LowerFilters { get; } = Filter("--lower-filter", "A lower filter, where no INF says it is one");

    public Option<string?> Steps { get; }
    public Option Interrupts => _interrupts;

    public InterruptGrant GrantOf(ParseResult parsed) => parsed.GetValue(_interrupts) == Grant.Messages ? InterruptGrant.Messages : InterruptGrant.Line;

    /// <exception cref="UserError">A step is none.</exception>
    public IReadOnlyList<BenchStep> StepsOf(ParseResult parsed) => BenchStep.Parse(parsed.GetValue(Steps) ?? _steps);

    /// <exception cref="UserError">The files do not make a stack.</exception>
    public BenchFiles FilesOf(ParseResult parsed) => FilesOf(parsed, parsed.GetRequiredValue(Files));

    /// <inheritdoc cref="FilesOf(ParseResult)"/>
    public BenchFiles FilesOf(ParseResult parsed, string[] files)
    {
        // The library takes an option it does not know for one more file.
        if (Array.Find(files, f => f.StartsWith('-')) is not { } option)
        {
            return new BenchFiles(new BenchWords(
                files, parsed.GetValue(Models) ?? [], parsed.GetValue(UpperFilters) ?? [], parsed.GetValue(LowerFilters) ?? []));
        }
        throw new UserError($"unknown option '{option}'; {Spelling.Suggest(option, [.. parsed.CommandResult.Command.Options.Select(o => o.Name)])}");
    }

    private static Option<string[]> Filter(string name, string what) => new(name)
    {
        HelpName = "[DRIVER=]FILE.sys",
        Description = $"{what}; with DRIVER= of that driver's device alone; may be repeated, bottom up",
    };
}
