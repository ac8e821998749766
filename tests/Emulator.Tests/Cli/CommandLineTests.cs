using System.CommandLine;
using Emulator.Cli;
using Emulator.Cli.Commands;

namespace Emulator.Tests.Cli;

[Category("Unit")]
public sealed class CommandLineTests
{
    private static IEnumerable<string> Commands => CommandLine.Create().Subcommands.Select(c => c.Name);

    [TestCaseSource(nameof(Commands))]
    public void Help_of_every_command_has_examples(string command)
    {
        CommandRun run = CommandRun.Of(command, "--help");
        Assert.That(run.ExitCode, Is.Zero);
        Assert.That(run.Output, Does.Contain("Usage:").And.Contain("Examples:"));
        Assert.That(run.Output, Does.Contain($"  emulator {command}").Or.Contain("(emulator"));
        Assert.That(run.Error, Is.Empty);
    }

    // The library breaks help's lines where it likes.
    [TestCase("read=BYTES, write=HEX or @FILE, ioctl=CODE[:BYTES BACK[:HEX or @FILE]], wait=TIME", "bench", "run")]
    [TestCase("its folder is made where there is none", "bench", "run")]
    [TestCase("its folder is made where there is none", "run")]
    public void Help_says_how_to_write_what_is_typed(string how, params string[] command)
        => Assert.That(string.Join(' ', CommandRun.Of([.. command, "--help"]).Output.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)),
            Does.Contain(how));

    [Test]
    public void Every_option_and_argument_has_a_description()
    {
        var bare = new List<string>();
        void Visit(Command command)
        {
            bare.AddRange(command.Options.Where(o => string.IsNullOrEmpty(o.Description) && !o.Hidden).Select(o => $"{command.Name} {o.Name}"));
            bare.AddRange(command.Arguments.Where(a => string.IsNullOrEmpty(a.Description)).Select(a => $"{command.Name} {a.Name}"));
            foreach (Command inner in command.Subcommands) Visit(inner);
        }
        Visit(CommandLine.Create());
        Assert.That(bare, Is.Empty);
    }

    [TestCase("unknown command 'rnu'; did you mean \"run\"?", "rnu")]
    [TestCase("unknown option '--liv'; did you mean \"--live\"?", "run", "x", "--liv")]
    [TestCase("--format takes text, json; not 'xml'", "models", "--format", "xml")]
    [TestCase("no model \"parallel-prot\"; did you mean \"parallel-port\"?", "regs", "parallel-prot")]
    [TestCase("no completion for 'csh'", "completion", "csh")]
    [TestCase("cannot read the trace '': its name is empty; name a file", "trace", "show", "")]
    [TestCase("cannot read the trace '/': it is a folder; name a file in it", "trace", "show", "/")]
    [TestCase("cannot read the trace '/nonexistent/x': Could not find", "trace", "show", "/nonexistent/x")]
    [TestCase("the name of the device's socket is empty; name one", "probe", "")]
    [TestCase("a Unix socket path may have 107: choose a shorter folder",
        "probe", "/tmp/a-path-of-more-than-107-bytes/a-path-of-more-than-107-bytes/a-path-of-more-than-107-bytes/a-path-of-more-than-107-bytes")]
    public void A_slip_of_the_keyboard_gets_one_line_and_exit_code_2(string message, params string[] args)
    {
        CommandRun run = CommandRun.Of(args);
        Assert.That(run.ExitCode, Is.EqualTo(2));
        Assert.That(run.Error, Does.StartWith("emulator: ").And.Contain(message).And.Not.Contain("(Parameter"));
        Assert.That(run.Output, Is.Empty);
    }

    [Test]
    public void Models_lists_the_catalogue_as_text_and_as_JSON()
    {
        string text = CommandRun.Of("models").Output, json = CommandRun.Of("models", "--format", "json").Output;
        using var parsed = System.Text.Json.JsonDocument.Parse(json);
        Assert.That(parsed.RootElement.EnumerateArray().Select(m => m.GetProperty("name").GetString()), Is.EqualTo(ModelCatalog.All.Select(m => m.Name)));
        Assert.That(text.Split('\n', StringSplitOptions.RemoveEmptyEntries), Has.Length.EqualTo(ModelCatalog.All.Count));
    }

    [TestCase("emulator ru", "run")]
    [TestCase("emulator regs ", "parallel-port")]
    [TestCase("emulator regs parallel-port --format ", "md")]
    [TestCase("emulator completion ", "zsh")]
    [TestCase("emulator run ", "two-cards")]
    [TestCase("emulator trace show x --kind ", "interrupt")]
    [TestCase("emulator bench ", "drvobj")]
    [TestCase("emulator bench run x.sys --model ", "proseware-robot")]
    [TestCase("emulator bench run x.sys --interrupts ", "line")]
    public void The_suggest_directive_completes(string line, string expected)
    {
        CommandRun run = CommandRun.Of($"[suggest:{line.Length}]", line);
        Assert.That(run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries), Does.Contain(expected));
    }

    [Test]
    public void A_suggestion_comes_once()
    {
        const string Line = "emulator run ";
        string[] words = CommandRun.Of($"[suggest:{Line.Length}]", Line).Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.That(words, Is.Unique.And.No.Member("/?"));
    }

    [TestCase("bash", "complete -o bashdefault -o default -F _emulator emulator")]
    [TestCase("zsh", "compdef _emulator emulator")]
    [TestCase("fish", "complete --command emulator")]
    public void Completion_prints_a_script(string shell, string registration)
        => Assert.That(CommandRun.Of("completion", shell).Output, Does.Contain(registration).And.Contain("[suggest:"));
}
