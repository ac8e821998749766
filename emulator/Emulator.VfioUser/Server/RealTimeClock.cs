using System.Diagnostics;
using Emulator.Time;

namespace Emulator.VfioUser.Server;

/// <summary>Monotonic time for the timers of one function: looked at once a turn, so that a turn sees one time.</summary>
internal sealed class RealTimeClock
{
    private readonly long _start = Stopwatch.GetTimestamp();

    public TimerQueue Timers { get; } = new();

    /// <summary>The present time, which <see cref="Latch"/> makes the time of a turn; in nanoseconds.</summary>
    public long Elapsed => (Stopwatch.GetTimestamp() - _start) * (1_000_000_000 / Stopwatch.Frequency);

    /// <summary>Begins a turn at the present time.</summary>
    public void Latch() => Timers.SetNow(Elapsed);

    /// <summary>Nanoseconds until the next timer, at least 0; -1 when none is armed.</summary>
    public long UntilNext() => Timers.NextDeadline == TimerQueue.Never ? -1 : Math.Max(0, Timers.NextDeadline - Timers.Now);
}
