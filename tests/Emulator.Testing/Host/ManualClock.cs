using Emulator.Time;

namespace Emulator.Testing;

/// <summary>Time that moves only when told. Timers fire in order of their deadlines, each at its own time.</summary>
public sealed class ManualClock : IDeviceClock
{
    internal TimerQueue Timers { get; } = new();

    /// <summary>Nanoseconds.</summary>
    public long Now => Timers.Now;

    /// <summary>When the next timer falls due, in nanoseconds, or <see cref="TimerQueue.Never"/>.</summary>
    public long NextDeadline => Timers.NextDeadline;

    public IDeviceTimer CreateTimer(Action expired) => Timers.CreateTimer(expired);

    /// <summary>Moves time forward, firing what falls due in order; a timer armed on the way may fire too.</summary>
    public void Advance(long nanoseconds)
    {
        long end = nanoseconds < TimerQueue.Never - Now ? Now + nanoseconds : TimerQueue.Never;
        while (Timers.StepTo(end))
        {
        }
    }
}
