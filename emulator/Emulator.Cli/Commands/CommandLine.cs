using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;

namespace Emulator.Cli.Commands;

/// <summary>The `emulator` command: its subcommands, and how every one of them ends.</summary>
internal static class CommandLine
{
    /// <summary>Exit codes: done, failed, not understood.</summary>
    public const int Done = 0, Failed = 1, BadInput = 2;

    public static RootCommand Create()
    {
        var root = new RootCommand("Serves register-level models of PCI devices to QEMU over vfio-user, and shows what their drivers do.")
        {
            RunCommand.Create(),
            BootCommand.Create(),
            QemuCommand.Create(),
            ModelsCommand.Create(),
            RegsCommand.Create(),
            ProbeCommand.Create(),
            SetCommand.Create(),
            BenchCommand.Create(),
            TraceCommand.Create(),
            SchemaCommand.Create(),
            CompletionCommand.Create(),
        };
        return root.WithExamples(
            ("make run", "boot a guest that prints through our parallel port and drives our robots"),
            ("emulator run qemu-config/labs/parallel-port.jsonc --live", "serve a lab, watch every access by name"),
            ("emulator regs parallel-port --format md", "the datasheet of a model"));
    }

    /// <summary>Parses and runs.</summary>
    /// <returns>The exit code.</returns>
    public static int Run(string[] args, TextWriter output, TextWriter error)
    {
        ParseResult parsed = Create().Parse(args);
        if (parsed.Action is ParseErrorAction)
        {
            error.WriteLine($"emulator: {Explain(parsed)}");
            error.WriteLine($"Try '{NameOf(parsed.CommandResult)} --help'.");
            return BadInput;
        }
        try
        {
            // Commands that serve end by signals of their own handling; nothing here needs the library's.
            return parsed.Invoke(new InvocationConfiguration
            {
                Output = output,
                Error = error,
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null,
            });
        }
        catch (UserError problem)
        {
            output.Flush();
            error.WriteLine($"emulator: {problem.Message}");
            return problem.ExitCode;
        }
    }

    /// <summary>Adds an Examples section to a command's help.</summary>
    public static T WithExamples<T>(this T command, params (string Line, string Meaning)[] examples) where T : Command
    {
        // One of its own for each command, instead of the root's for all, so that each has its own examples.
        foreach (HelpOption inherited in command.Options.OfType<HelpOption>().ToArray()) command.Options.Remove(inherited);
        var help = new HelpOption("--help", "-h") { Recursive = false };
        command.Options.Add(help);
        help.Action = new HelpWithExamples((SynchronousCommandLineAction)help.Action!, examples);
        return command;
    }

    // A word nobody knows says more than what is missing because of it.
    private static string Explain(ParseResult parsed)
    {
        if (parsed.UnmatchedTokens is not [var word, ..]) return parsed.Errors[0].Message;
        Command command = parsed.CommandResult.Command;
        string[] known = word.StartsWith('-') ? [.. command.Options.Select(o => o.Name)] : [.. command.Subcommands.Select(c => c.Name)];
        return known.Length == 0 ? $"unexpected '{word}'"
            : $"unknown {(word.StartsWith('-') ? "option" : "command")} '{word}'; {Spelling.Suggest(word, known)}";
    }

    private static string NameOf(SymbolResult? result)
    {
        var names = new Stack<string>();
        for (; result is not null; result = result.Parent)
        {
            if (result is CommandResult command) names.Push(command.Command is RootCommand ? "emulator" : command.Command.Name);
        }
        return string.Join(' ', names);
    }

    private sealed class HelpWithExamples(SynchronousCommandLineAction inner, (string Line, string Meaning)[] examples) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            inner.Invoke(parseResult);
            TextWriter output = parseResult.InvocationConfiguration.Output;
            output.WriteLine("Examples:");
            foreach ((string line, string meaning) in examples)
            {
                output.WriteLine($"  {line}");
                output.WriteLine($"      {meaning}");
            }
            output.WriteLine();
            return Done;
        }
    }
}
