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
        Model.CompletionSources.Add([.. ModelCatalog.All.Select(m => m.Name)]);
    }

    public Argument<string[]> Files { get; } = new("FILES")
    {
        HelpName = "FILE.sys",
        Arity = ArgumentArity.OneOrMore,
        Description = "The device's driver, in any order with filters above it and what they import from; "
            + "an import beside its driver is found without being named",
    };

    public Option<string?> Model { get; } = new("--model")
    {
        HelpName = "MODEL",
        Description = "The device; the model that an INF beside the driver is for unless told otherwise",
    };

    public Option<string[]> Filters { get; } = new("--filter")
    {
        HelpName = "FILE.sys",
        Description = "An upper filter, where neither an INF nor the order of files says which driver is one; may be repeated, bottom up",
    };

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
        if (Array.Find(files, f => f.StartsWith('-')) is not { } option) return new BenchFiles(files, parsed.GetValue(Filters) ?? []);
        throw new UserError($"unknown option '{option}'; {Spelling.Suggest(option, [.. parsed.CommandResult.Command.Options.Select(o => o.Name)])}");
    }
}
