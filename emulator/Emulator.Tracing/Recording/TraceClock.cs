using System.Diagnostics;

namespace Emulator.Tracing;

/// <summary>The time base the devices of a process share.</summary>
internal static class TraceClock
{
    /// <summary>Nanoseconds from one <see cref="Stopwatch"/> timestamp to another.</summary>
    public static long Nanoseconds(long from, long to) => (long)((Int128)(to - from) * 1_000_000_000 / Stopwatch.Frequency);
}
