using Emulator.Cli.Commands;

namespace Emulator.Tests.Cli;

/// <summary>A command that ran in this process: what it wrote, and how it ended.</summary>
internal sealed record CommandRun(int ExitCode, string Output, string Error)
{
    public static CommandRun Of(params string[] args)
    {
        using StringWriter output = new(), error = new();
        int exitCode = CommandLine.Run(args, output, error);
        return new CommandRun(exitCode, output.ToString(), error.ToString());
    }
}

/// <summary>Where this checkout is.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

    public static string Labs => Path.Combine(Root, "qemu-config", "labs");

    private static string Find()
    {
        for (string? folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            if (File.Exists(Path.Combine(folder, "Emulator.sln"))) return folder;
        }
        throw new InvalidOperationException("The tests run from a checkout.");
    }
}
