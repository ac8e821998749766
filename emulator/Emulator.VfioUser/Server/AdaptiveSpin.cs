namespace Emulator.VfioUser.Server;

/// <summary>
/// Decides when looking for the next message beats sleeping until it comes. Sleeping and waking costs more than most register
/// accesses, but a look that finds nothing takes a processor from somebody. So: only while messages follow each other faster than
/// the limit, and after each look in vain only when twice as many of them have.
/// </summary>
/// <param name="limit">How long one look may take, in nanoseconds; 0 for never.</param>
internal sealed class AdaptiveSpin(long limit)
{
    // With the most, one look in vain a burst costs a hundredth of the time the burst takes; a longer burst seldom comes without a
    // pause, such as one that writing a trace makes, and would never be looked for again.
    private const int FewestGaps = 16, MostGaps = 512, Forgiven = 32;

    // What waking up adds to the gap that a sleeper sees.
    private const long WakeUp = 60_000;

    private int _needed = FewestGaps, _shortGaps, _found;

    /// <summary>How long one look may take, in nanoseconds.</summary>
    public long Limit => limit;

    /// <summary>Whether to look before sleeping.</summary>
    public bool IsActive { get; private set; }

    /// <summary>A message came this long after the one before, while sleeping.</summary>
    public void OnGap(long nanoseconds)
    {
        if (limit == 0) return;
        _shortGaps = nanoseconds <= limit + WakeUp ? _shortGaps + 1 : 0;
        if (_shortGaps >= _needed) (IsActive, _found) = (true, 0);
    }

    /// <summary>A look found a message.</summary>
    public void OnFound()
    {
        if (++_found == Forgiven) _needed = FewestGaps;
    }

    /// <summary>A look took the whole limit and found nothing.</summary>
    public void OnNothing()
    {
        (IsActive, _shortGaps) = (false, 0);
        _needed = Math.Min(_needed * 2, MostGaps);
    }
}
