using System.Text.RegularExpressions;
using Emulator.Tests.Cli;

namespace Emulator.DriverTests.Cli;

/// <summary>`emulator bench` as a person types it, and what it prints taken apart.</summary>
internal static partial class BenchSession
{
    public static CommandRun Bench(params string[] args) => CommandRun.Of(["bench", .. args]);

    /// <summary>It is refused with one line that has the message, and nothing runs.</summary>
    public static void Refused(string message, params string[] args)
    {
        CommandRun run = Bench(args);
        string[] lines = [.. run.Error.TrimEnd('\n').Split('\n').Where(l => !l.StartsWith("Try 'emulator ", StringComparison.Ordinal))];
        Assert.That(lines, Has.Length.EqualTo(1), run.Error);
        Assert.That(lines[0], Does.StartWith("emulator: ").And.Contain(message));
        Assert.That(run.ExitCode, Is.EqualTo(2), message);
        Assert.That(run.Output, Is.Empty);
    }

    /// <summary>The lines of a block, which begins with its heading and ends with an empty line.</summary>
    public static string[] Block(CommandRun run, string heading)
    {
        string[] lines = run.Output.Split('\n');
        int start = Array.FindIndex(lines, l => l == heading || l.StartsWith(heading + "  ", StringComparison.Ordinal));
        Assert.That(start, Is.Not.Negative, $"no {heading} in:\n{run.Output}\n{run.Error}");
        return [.. lines.Skip(start + 1).TakeWhile(l => l.Length > 0)];
    }

    /// <summary>The steps with their status, and with several devices whose they are: "READ 64 contoso-robot STATUS_PENDING".</summary>
    public static string[] Life(CommandRun run, bool hasDevices = false)
        => [.. Block(run, "life").Select(l => string.Join(' ', Columns(l).TakeWhile((c, i) => i < 2 || (hasDevices && i == 2 && !char.IsDigit(c[0])))))];

    /// <summary>"GeneralRobot.sys export driver" for each module in the load order.</summary>
    public static string[] Roles(CommandRun run) => [.. Block(run, "load order").Select(l => string.Join(' ', Columns(l).Where((_, i) => i is 0 or 3)))];

    /// <summary>Where functions lie is the compiler's business.</summary>
    public static string WithoutAddresses(string line) => Address().Replace(line, "");

    private static string[] Columns(string line) => line.Split("  ", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    [GeneratedRegex(@"[0-9a-f]{8,16} (?=\S)|(?<=\()[0-9a-f]{8,16}")]
    private static partial Regex Address();
}
