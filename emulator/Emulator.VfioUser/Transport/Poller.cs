using System.Diagnostics;
using System.Runtime.InteropServices;
using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Transport;

/// <summary>What to wait for, and what happened. Source: poll(2).</summary>
[Flags]
public enum PollEvents : short
{
    /// <summary>Nothing.</summary>
    None = 0,
    /// <summary>POLLIN: a read would not wait.</summary>
    Readable = 1,
    /// <summary>POLLOUT: a write would not wait.</summary>
    Writable = 4,
    /// <summary>POLLERR: reported without being asked for.</summary>
    Error = 8,
    /// <summary>POLLHUP: the peer is gone; reported without being asked for.</summary>
    HangUp = 16,
}

/// <summary>
/// Waits for several descriptors and a time at once, without allocating. Each descriptor has a slot, numbered from 0 in the order of
/// <see cref="Add"/>, and stays open while it is here. For one thread.
/// </summary>
public sealed class Poller : IDisposable
{
    /// <summary>Wait without end.</summary>
    public const long Infinite = -1;

    private const long NanosecondsPerSecond = 1_000_000_000;

    private readonly LibC.PollFd[] _slots;
    private readonly FileDescriptor?[] _handles;
    private int _count;

    /// <summary>A poller for at most this many descriptors.</summary>
    public Poller(int capacity)
    {
        _slots = new LibC.PollFd[capacity];
        _handles = new FileDescriptor?[capacity];
    }

    /// <summary>Slots in use.</summary>
    public int Count => _count;

    /// <summary>Adds a descriptor and returns its slot. Throws <see cref="InvalidOperationException"/> when all slots are in use.</summary>
    public int Add(FileDescriptor descriptor, PollEvents events)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        if (_count == _slots.Length)
        {
            throw new InvalidOperationException($"All {_count} slots are in use.");
        }
        Replace(_count, descriptor, events);
        return _count++;
    }

    /// <summary>Puts another descriptor into a slot, or none: an empty slot is never ready.</summary>
    public void Replace(int slot, FileDescriptor? descriptor, PollEvents events)
    {
        bool held = false;
        // The reference keeps the number from being closed, and reused for another file, while it is polled.
        descriptor?.DangerousAddRef(ref held);
        _handles[slot]?.DangerousRelease();
        _handles[slot] = descriptor;
        _slots[slot] = new LibC.PollFd { Fd = descriptor?.Number ?? -1, Events = (short)events };
    }

    /// <summary>Changes what a slot waits for. With <see cref="PollEvents.None"/> it still reports errors and hang-ups.</summary>
    public void Watch(int slot, PollEvents events) => _slots[slot].Events = (short)events;

    /// <summary>What the last <see cref="Wait"/> found for a slot.</summary>
    public PollEvents Events(int slot) => (PollEvents)_slots[slot].Returned;

    /// <summary>
    /// Waits until a slot is ready or the time is over; a signal does not end the wait. Throws <see cref="TransportException"/>.
    /// </summary>
    /// <param name="timeoutNanoseconds">0 to look only, <see cref="Infinite"/> to wait without end.</param>
    /// <returns>How many slots are ready: 0 when the time is over.</returns>
    public unsafe int Wait(long timeoutNanoseconds)
    {
        long deadline = 0;
        LibC.TimeSpec timeout;
        // Safe: the array is pinned for the call, _count is at most its length, and the kernel writes only to its elements.
        fixed (LibC.PollFd* slots = _slots)
        {
            while (true)
            {
                timeout.Seconds = timeoutNanoseconds / NanosecondsPerSecond;
                timeout.Nanoseconds = timeoutNanoseconds % NanosecondsPerSecond;
                long started = timeoutNanoseconds > 0 && deadline == 0 ? Stopwatch.GetTimestamp() : 0;
                int ready = LibC.ppoll(slots, (nuint)_count, timeoutNanoseconds < 0 ? null : &timeout, null);
                if (ready >= 0)
                {
                    return ready;
                }
                int errno = Marshal.GetLastPInvokeError();
                if (errno != Errno.EINTR)
                {
                    throw new TransportException("wait for file descriptors", errno);
                }
                if (timeoutNanoseconds > 0)
                {
                    deadline = deadline == 0 ? started + ToTicks(timeoutNanoseconds) : deadline;
                    timeoutNanoseconds = Math.Max(0, ToNanoseconds(deadline - Stopwatch.GetTimestamp()));
                }
            }
        }
    }

    /// <summary>Lets go of every descriptor; none is closed.</summary>
    public void Dispose()
    {
        for (int i = 0; i < _count; i++)
        {
            Replace(i, null, PollEvents.None);
        }
        _count = 0;
    }

    private static long ToTicks(long nanoseconds) =>
        (long)Math.Min(long.MaxValue / 4, nanoseconds * ((double)Stopwatch.Frequency / NanosecondsPerSecond));

    private static long ToNanoseconds(long ticks) => (long)(ticks * ((double)NanosecondsPerSecond / Stopwatch.Frequency));
}
