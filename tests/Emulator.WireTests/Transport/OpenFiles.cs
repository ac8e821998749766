namespace Emulator.WireTests.Transport;

/// <summary>What this process has open, to find leaks.</summary>
internal static class OpenFiles
{
    /// <summary>How many descriptors are open. The one that reads the folder is counted every time alike.</summary>
    public static int Count() => Directory.GetFileSystemEntries("/proc/self/fd").Length;

    /// <summary>
    /// Runs an action again and again and returns how many more descriptors are open after than before, the least of several attempts: the runtime
    /// opens files of its own, but never as many as a leak in <paramref name="times"/> runs.
    /// </summary>
    public static int Growth(int times, Action action)
    {
        action();
        int before = Count();
        for (int i = 0; i < times; i++)
        {
            action();
        }
        return Count() - before;
    }
}
