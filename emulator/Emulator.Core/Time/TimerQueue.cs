namespace Emulator.Time;

/// <summary>
/// The timers of one function, over whatever tells the time. A function has a handful of timers, so a scan of a small
/// array beats a heap; the earliest deadline is cached because it is looked at on every access.
/// </summary>
public sealed class TimerQueue : IDeviceClock
{
    /// <summary>No timer is armed.</summary>
    public const long Never = long.MaxValue;

    // Expiries run in one call at the most: a timer that arms itself with no delay must not starve the socket.
    private const int TurnLimit = 64;

    private readonly List<Timer> _timers = [];
    private long _armings;

    /// <inheritdoc/>
    public long Now { get; private set; }

    /// <summary>When the next timer falls due, or <see cref="Never"/>.</summary>
    public long NextDeadline { get; private set; } = Never;

    public IDeviceTimer CreateTimer(Action expired)
    {
        var timer = new Timer(this, expired);
        _timers.Add(timer);
        return timer;
    }

    /// <summary>Sets the time a turn sees. Time never goes back.</summary>
    public void SetNow(long now)
    {
        // The last nanosecond is Never's: no deadline falls on it.
        if (now > Now) Now = Math.Min(now, Never - 1);
    }

    /// <summary>Runs what is due at <see cref="Now"/>, earliest first, then first armed first; at most 64 expiries a call.</summary>
    public void RunDue()
    {
        for (int i = 0; i < TurnLimit && NextDeadline <= Now; i++) Earliest().Expire();
    }

    /// <summary>Moves to the next deadline, at the most to <paramref name="limit"/>, and runs the one timer due there.</summary>
    /// <returns>Whether a timer expired.</returns>
    public bool StepTo(long limit)
    {
        if (NextDeadline == Never || NextDeadline > limit)
        {
            SetNow(limit);
            return false;
        }
        SetNow(NextDeadline);
        Earliest().Expire();
        return true;
    }

    private Timer Earliest()
    {
        Timer earliest = _timers[0];
        foreach (Timer timer in _timers)
        {
            if (timer.Deadline < earliest.Deadline || (timer.Deadline == earliest.Deadline && timer.Arming < earliest.Arming)) earliest = timer;
        }
        return earliest;
    }

    private void FindNext()
    {
        long next = Never;
        foreach (Timer timer in _timers) next = Math.Min(next, timer.Deadline);
        NextDeadline = next;
    }

    private sealed class Timer(TimerQueue queue, Action expired) : IDeviceTimer
    {
        public long Deadline { get; private set; } = Never;

        /// <summary>Orders equal deadlines: without it a timer that arms itself with no delay would keep its equals waiting.</summary>
        public long Arming { get; private set; }
        public bool IsArmed => Deadline != Never;

        public void Arm(long delayNanoseconds)
        {
            long delay = Math.Max(0, delayNanoseconds);
            Deadline = delay < Never - 1 - queue.Now ? queue.Now + delay : Never - 1;
            Arming = queue._armings++;
            queue.FindNext();
        }

        public void Cancel()
        {
            if (!IsArmed) return;
            Deadline = Never;
            queue.FindNext();
        }

        public void Expire()
        {
            Deadline = Never;
            queue.FindNext();
            expired();
        }
    }
}
