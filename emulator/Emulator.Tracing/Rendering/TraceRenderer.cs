using Emulator.Observation;

namespace Emulator.Tracing;

/// <summary>
/// Shows a trace, an entry at a time. Consecutive reads that are the same in everything but time, as a polling driver
/// makes them, can become one with a count. For one thread.
/// </summary>
/// <param name="fold">Whether identical consecutive reads become one. The first is then held back until something else follows, or <see cref="Flush"/>.</param>
public abstract class TraceRenderer(bool fold)
{
    private TraceEntry _held;
    private long _count;

    /// <summary>Shows one entry.</summary>
    public void Render(in TraceEntry entry)
    {
        if (_count > 0 && IsRepeat(_held, entry))
        {
            _count++;
            return;
        }
        ReleaseHeld();
        if (fold && entry is { Remark: null, Event.Kind: DeviceEventKind.Read }) (_held, _count) = (entry, 1);
        else Write(entry, 1);
    }

    /// <summary>Says that events were left out here.</summary>
    public void NotShown(long count)
    {
        ReleaseHeld();
        WriteNotShown(count);
    }

    /// <summary>Shows what is held back, and has it seen now.</summary>
    public void Flush()
    {
        ReleaseHeld();
        FlushOutput();
    }

    /// <param name="entry">The first of <paramref name="count"/> that are alike.</param>
    /// <param name="count">At least 1.</param>
    protected abstract void Write(in TraceEntry entry, long count);
    protected abstract void WriteNotShown(long count);
    protected abstract void FlushOutput();

    private void ReleaseHeld()
    {
        if (_count == 0) return;
        Write(_held, _count);
        _count = 0;
    }

    private static bool IsRepeat(in TraceEntry first, in TraceEntry next)
        => next.Remark is null && ReferenceEquals(first.Device, next.Device) && first.Code == next.Code
            && first.Event with { Time = 0 } == next.Event with { Time = 0 };
}
