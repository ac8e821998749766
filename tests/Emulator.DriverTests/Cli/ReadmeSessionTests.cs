using System.Reflection.PortableExecutable;
using System.Text.RegularExpressions;
using Emulator.DriverTests.GuestDrivers;
using Emulator.Tests.Cli;

namespace Emulator.DriverTests.Cli;

/// <summary>What the README shows of the bench is what the bench does.</summary>
[Category("Driver")]
internal sealed partial class ReadmeSessionTests
{
    [Test]
    public void The_session_in_the_README_is_what_the_bench_prints()
    {
        string readme = System.IO.File.ReadAllText(Path.Combine(GuestDriverFiles.Repository(), "README.md"));
        string session = readme[(readme.IndexOf("$ emulator bench run", StringComparison.Ordinal))..];
        string[] shown = [.. session[..session.IndexOf("```", StringComparison.Ordinal)].Split('\n')[1..].Where(l => l.Trim() is not ("" or "..."))];
        Assert.That(shown, Has.Length.GreaterThan(20));
        string[] printed = [.. CommandRun.Of("bench", "run", File("ProsewareRobot"), File("AfterThought")).Output.Split('\n').Select(WithoutNumbers)];
        int at = 0;
        foreach (string line in shown.Select(WithoutNumbers))
        {
            at = Array.IndexOf(printed, line, at) + 1;
            Assert.That(at, Is.Positive, line);
        }
    }

    private static string File(string driver) => GuestDriverFiles.PathOf(Machine.Amd64, $"{driver}.sys");

    // Which numbers they are is the compiler's business, and the machine's.
    private static string WithoutNumbers(string line) => Number().Replace(line, "N");

    [GeneratedRegex(@"\b[0-9a-f]{8,16}\b|0x[0-9a-f]+|\b\d+(\.\d+)?\b")]
    private static partial Regex Number();
}
