using System.Reflection.PortableExecutable;
using System.Text.RegularExpressions;
using Emulator.DriverTests.GuestDrivers;
using Emulator.Tests.Cli;

namespace Emulator.DriverTests.Cli;

/// <summary>What the README shows of the bench is what the bench does.</summary>
[Category("Driver")]
internal sealed partial class ReadmeSessionTests
{
    private const string Drivers = "out/drivers/x64/";

    public static IEnumerable<TestCaseData> Sessions
        => Session().Matches(File.ReadAllText(Path.Combine(GuestDriverFiles.Repository(), "README.md")))
            .Select(m => new TestCaseData(m.Groups[1].Value, m.Groups[2].Value).SetArgDisplayNames(m.Groups[1].Value));

    [Test]
    public void There_is_a_session_of_one_device_and_one_of_two() => Assert.That(Sessions.Count(), Is.EqualTo(2));

    [TestCaseSource(nameof(Sessions))]
    public void A_session_in_the_README_is_what_the_bench_prints(string command, string lines)
    {
        string[] shown = [.. lines.Split('\n').Where(l => l.Trim() is not ("" or "..."))];
        Assert.That(shown, Has.Length.GreaterThan(20));
        string[] typed = [.. command.Split((char[])[' ', '\\', '\n'], StringSplitOptions.RemoveEmptyEntries)
            .Select(w => w.StartsWith(Drivers, StringComparison.Ordinal) ? GuestDriverFiles.PathOf(Machine.Amd64, w[Drivers.Length..]) : w)];
        string[] printed = [.. CommandRun.Of(["bench", "run", .. typed]).Output.Split('\n').Select(WithoutNumbers)];
        int at = 0;
        foreach (string line in shown.Select(WithoutNumbers))
        {
            at = Array.IndexOf(printed, line, at) + 1;
            Assert.That(at, Is.Positive, line);
        }
    }

    // Which numbers they are is the compiler's business, and the machine's.
    private static string WithoutNumbers(string line) => Number().Replace(line, "N");

    [GeneratedRegex(@"\b[0-9a-f]{8,16}\b|0x[0-9a-f]+|\b\d+(\.\d+)?\b")]
    private static partial Regex Number();

    [GeneratedRegex(@"\$ emulator bench run ((?:.*\\\n)*.*)\n((?s:.*?))```")]
    private static partial Regex Session();
}
