using System.CommandLine;

namespace Emulator.Cli.Commands;

/// <summary>`emulator completion`: a script for the shell, which asks the [suggest] directive for words.</summary>
internal static class CompletionCommand
{
    private enum Shell { Bash, Zsh, Fish }

    // Where the command offers nothing, the shell's own completion of file names takes over.
    private const string Bash =
        """
        # emulator completion for bash: eval "$(emulator completion bash)"
        _emulator() {
            local IFS=$'\n' current=${COMP_WORDS[COMP_CWORD]}
            COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" "[suggest:$COMP_POINT]" "$COMP_LINE" 2>/dev/null)" -- "$current"))
        }
        complete -o bashdefault -o default -F _emulator emulator

        """;

    private const string Zsh =
        """
        #compdef emulator
        # emulator completion for zsh: eval "$(emulator completion zsh)"
        _emulator() {
            local -a found
            found=("${(@f)$("${words[1]}" "[suggest:$CURSOR]" "$BUFFER" 2>/dev/null)}")
            [[ -n "${found[*]}" ]] && compadd -- "${found[@]}"
            _files
        }
        compdef _emulator emulator

        """;

    private const string Fish =
        """
        # emulator completion for fish: emulator completion fish | source
        function __emulator_complete
            emulator "[suggest:"(commandline --cursor)"]" (commandline --current-buffer | string collect) 2>/dev/null
        end
        complete --command emulator --arguments '(__emulator_complete)'

        """;

    public static Command Create()
    {
        var shell = new Argument<string>("SHELL") { HelpName = "SHELL", Description = "bash, zsh or fish" };
        shell.CompletionSources.Add(Names);
        var command = new Command("completion", "Print a shell's completion script.") { shell };
        command.SetAction(parsed =>
        {
            string name = parsed.GetRequiredValue(shell);
            if (!Names.Contains(name)) throw new UserError($"no completion for '{name}'; {Spelling.Suggest(name, Names)}");
            parsed.InvocationConfiguration.Output.Write(Enum.Parse<Shell>(name, ignoreCase: true) switch
            {
                Shell.Bash => Bash,
                Shell.Zsh => Zsh,
                _ => Fish,
            });
            return CommandLine.Done;
        });
        return command.WithExamples(
            ("eval \"$(emulator completion bash)\"", "for this bash; put it into ~/.bashrc to keep it"),
            ("emulator completion fish > ~/.config/fish/completions/emulator.fish", "for every fish"));
    }

    private static string[] Names { get; } = [.. Enum.GetNames<Shell>().Select(n => n.ToLowerInvariant())];
}
