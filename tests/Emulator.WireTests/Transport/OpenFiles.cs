namespace Emulator.WireTests.Transport;

/// <summary>What this process has open, to find leaks.</summary>
internal static class OpenFiles
{
    private const int Attempts = 3;

    /// <summary>How many descriptors are open. The one that reads the folder is counted every time alike.</summary>
    public static int Count() => Directory.GetFileSystemEntries("/proc/self/fd").Length;

    /// <summary>
    /// Runs an action <paramref name="times"/> times after a first one and returns how many more descriptors are open then: 0, or less, when it
    /// leaks none. The runtime opens files of its own now and then, so growth is only believed when it comes again.
    /// </summary>
    public static int Growth(int times, Action action)
    {
        action();
        int least = int.MaxValue;
        for (int attempt = 0; attempt < Attempts && least > 0; attempt++)
        {
            int before = Count();
            for (int i = 0; i < times; i++)
            {
                action();
            }
            least = Math.Min(least, Count() - before);
        }
        return least;
    }
}
