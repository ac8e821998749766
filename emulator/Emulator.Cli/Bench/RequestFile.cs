using Emulator.Files;

namespace Emulator.Cli.Bench;

/// <summary>
/// What a driver is asked while its device is open: MyDriver.requests beside MyDriver.sys, in the words of --steps, separated by commas or
/// lines. From '#' to the end of a line is for people.
/// </summary>
internal static class RequestFile
{
    private const int LongestFile = 1 << 20;

    private static readonly BenchAction[] s_allowed =
        [BenchAction.Read, BenchAction.Write, BenchAction.Ioctl, BenchAction.Cancel, BenchAction.Wait];

    /// <summary>The requests for a driver; none where it has no such file.</summary>
    /// <exception cref="UserError">The file cannot be read, or asks for something else.</exception>
    public static IReadOnlyList<BenchStep> Of(string driver)
    {
        string path = Path.ChangeExtension(driver, ".requests");
        if (!File.Exists(path)) return [];
        try
        {
            string text = string.Join(',', BoundedFile.ReadAllText(path, LongestFile).Split('\n').Select(line => line.Split('#')[0]));
            IReadOnlyList<BenchStep> steps = BenchStep.Parse(text, path);
            BenchStep? other = steps.FirstOrDefault(s => s.Device is not null || !s_allowed.Contains(s.Action));
            return other is null ? steps : throw new UserError(
                $"{path}: {BenchStep.WordOf(other.Action)} is no request; "
                + $"write {string.Join(", ", s_allowed.Select(BenchStep.WordOf))}, for no device by name");
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new UserError($"{path}: {problem.Message.TrimEnd('.')}", cause: problem);
        }
    }
}
