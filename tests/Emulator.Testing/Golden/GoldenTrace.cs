using System.Runtime.CompilerServices;
using Emulator.Tracing;

namespace Emulator.Testing;

/// <summary>A text is not what its golden file says. The message holds the difference, and how to accept it.</summary>
public sealed class GoldenTraceException(string message) : Exception(message);

/// <summary>
/// Compares a trace with a text file kept beside the test: a change of what a device does shows as a difference to
/// review. Run the tests with EMULATOR_UPDATE_GOLDEN=1 to write the files anew.
/// </summary>
public static class GoldenTrace
{
    /// <summary>Set to 1, the golden files are written rather than compared.</summary>
    public const string UpdateVariable = "EMULATOR_UPDATE_GOLDEN";

    /// <summary>Compares with Golden/NAME.txt in the folder of the calling test.</summary>
    /// <param name="text">A rendered trace; times are dropped.</param>
    /// <param name="testFile">Filled in by the compiler.</param>
    /// <exception cref="GoldenTraceException">They differ, or there is no such file.</exception>
    public static void Check(string text, string name, [CallerFilePath] string testFile = "")
        => CheckFile(text, Path.Combine(FolderOf(testFile), "Golden", $"{name}.txt"));

    /// <summary>Compares with a file.</summary>
    /// <param name="text">A rendered trace; times are dropped.</param>
    /// <exception cref="GoldenTraceException">They differ, or there is no such file.</exception>
    public static void CheckFile(string text, string path)
    {
        string actual = TraceText.Normalise(text);
        if (Environment.GetEnvironmentVariable(UpdateVariable) == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, actual);
            return;
        }
        if (!File.Exists(path))
            throw new GoldenTraceException($"There is no golden file {path}. Run the test with {UpdateVariable}=1 to make it, then review it.");
        string expected = TraceText.Normalise(File.ReadAllText(path));
        if (actual != expected)
        {
            throw new GoldenTraceException(
                $"The trace differs from {path} (- expected, + actual):\n{TextDifference.Of(expected, actual)}" +
                $"If the change is meant, run the test with {UpdateVariable}=1 and review the file's difference.");
        }
    }

    // A deterministic build writes /_/ for the repository's root into the program: look for it above the running test.
    private static string FolderOf(string testFile)
    {
        string folder = Path.GetDirectoryName(testFile) ?? "";
        if (!testFile.StartsWith("/_/", StringComparison.Ordinal)) return folder;
        for (DirectoryInfo? root = new(AppContext.BaseDirectory); root is not null; root = root.Parent)
        {
            string candidate = Path.Combine(root.FullName, folder[3..]);
            if (Directory.Exists(candidate)) return candidate;
        }
        return folder;
    }
}
