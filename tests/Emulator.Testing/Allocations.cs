namespace Emulator.Testing;

/// <summary>What an action allocates on the thread that runs it.</summary>
public static class Allocations
{
    /// <summary>How often the action runs.</summary>
    public const int Runs = 10;

    /// <summary>
    /// The bytes an action allocates whenever it runs: the fewest of several runs after a first one. The runtime allocates on the same
    /// thread when it compiles a busy method anew, and chooses the moment; it does so in some runs, the action's own code in all.
    /// </summary>
    /// <param name="action">Can run again and again; long enough that what it allocates now and then comes in every run.</param>
    public static long BytesOf(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        action();
        long fewest = long.MaxValue;
        for (int i = 1; i < Runs; i++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            action();
            fewest = Math.Min(fewest, GC.GetAllocatedBytesForCurrentThread() - before);
        }
        return fewest;
    }
}
