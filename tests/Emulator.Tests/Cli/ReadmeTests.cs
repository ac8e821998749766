using System.Text.RegularExpressions;

namespace Emulator.Tests.Cli;

/// <summary>What the README shows is what the repository has.</summary>
[Category("Unit")]
public sealed partial class ReadmeTests
{
    private static string Readme => File.ReadAllText(Path.Combine(Repository.Root, "README.md"));

    [TestCase("tests/Emulator.GuestTests/Examples/DieCard.cs")]
    [TestCase("tests/Emulator.GuestTests/Examples/DieCardTests.cs")]
    public void The_example_is_the_file_that_the_suite_compiles_and_runs(string file)
        => Assert.That(Readme, Does.Contain($"```csharp\n{File.ReadAllText(Path.Combine(Repository.Root, file)).TrimEnd()}\n```"));

    [Test]
    public void The_example_device_is_shorter_than_a_hundred_lines()
        => Assert.That(File.ReadLines(Path.Combine(Repository.Root, "tests/Emulator.GuestTests/Examples/DieCard.cs")).Count(), Is.LessThan(100));

    [Test]
    public void The_example_lab_is_a_lab()
    {
        string lab = LabBlock().Match(Readme).Groups[1].Value;
        Assert.That(lab, Does.Contain("devices"));
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.In("readme.jsonc"), lab);
        CommandRun run = CommandRun.Of("qemu", folder.In("readme.jsonc"));
        Assert.That(run.Error, Does.Not.Contain("readme.jsonc"), "a lab that is refused is named with the place");
    }

    [Test]
    public void Every_command_it_names_exists()
    {
        string[] commands = [.. CommandName().Matches(Readme).Select(m => m.Groups[1].Value).Distinct()];
        Assert.That(commands, Has.Length.GreaterThan(6));
        foreach (string command in commands) Assert.That(CommandRun.Of(command, "--help").ExitCode, Is.Zero, command);
    }

    [Test]
    public void Every_file_it_links_to_exists()
    {
        string[] links = [.. Link().Matches(Readme).Select(m => m.Groups[1].Value)];
        Assert.That(links, Is.Not.Empty);
        foreach (string link in links) Assert.That(Path.Exists(Path.Combine(Repository.Root, link)), Is.True, link);
    }

    [GeneratedRegex("```jsonc\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex LabBlock();

    [GeneratedRegex("`emulator ([a-z]+)")]
    private static partial Regex CommandName();

    [GeneratedRegex("""(?:\]\(|src=")([^)#:"]+)""")]
    private static partial Regex Link();
}
