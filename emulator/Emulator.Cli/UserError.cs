namespace Emulator.Cli;

/// <summary>Ends a command with one line for the person who typed it: what is wrong, where, and how to mend it.</summary>
internal sealed class UserError : Exception
{
    /// <param name="message">One line, without a full stop.</param>
    /// <param name="exitCode">2 for bad input, 1 for a command that was understood and failed.</param>
    public UserError(string message, int exitCode = 2, Exception? cause = null) : base(message, cause) => ExitCode = exitCode;

    public int ExitCode { get; }

    /// <summary>An error of what was asked for at run time: exit code 1.</summary>
    public static UserError Failed(string message, Exception? cause = null) => new(message, exitCode: 1, cause);
}
