using System.Diagnostics;
using System.Runtime.InteropServices;
using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Transport;

/// <summary>What to wait for, and what happened. The values are those of poll(2) and epoll(7).</summary>
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
/// <remarks>
/// epoll(7): what is waited for is registered once, not with every wait as for poll(2), which is 4 % of a round trip.
/// </remarks>
public sealed class Poller : IDisposable
{
    /// <summary>Wait without end.</summary>
    public const long Infinite = -1;

    private const long NanosecondsPerSecond = 1_000_000_000, NanosecondsPerMillisecond = 1_000_000;

    // Cleared where the kernel (before 5.11) or the C library has no wait in nanoseconds: timers are then up to a millisecond late.
    private static bool s_hasNanoseconds = true;

    private readonly FileDescriptor _epoll;
    private readonly FileDescriptor?[] _handles;
    private readonly PollEvents[] _returned;
    private readonly byte[] _ready;
    private int _count, _readyCount;

    /// <summary>A poller for at most this many descriptors. Throws <see cref="TransportException"/>.</summary>
    public Poller(int capacity)
    {
        int fd = LibC.epoll_create1(LibC.EPOLL_CLOEXEC);
        _epoll = fd >= 0 ? new FileDescriptor(fd) : throw TransportException.FromLastError("create a poller");
        _handles = new FileDescriptor?[capacity];
        _returned = new PollEvents[capacity];
        _ready = new byte[capacity * LibC.EpollEventSize];
    }

    /// <summary>Slots in use.</summary>
    public int Count => _count;

    /// <summary>Adds a descriptor, or an empty slot, and returns the slot. Throws <see cref="InvalidOperationException"/> when all are in use.</summary>
    public int Add(FileDescriptor? descriptor, PollEvents events)
    {
        if (_count == _handles.Length)
        {
            throw new InvalidOperationException($"All {_count} slots are in use.");
        }
        Replace(_count, descriptor, events);
        return _count++;
    }

    /// <summary>
    /// Puts another descriptor into a slot, or none: an empty slot is never ready. Throws <see cref="TransportException"/> for a descriptor
    /// that cannot be waited for.
    /// </summary>
    public void Replace(int slot, FileDescriptor? descriptor, PollEvents events)
    {
        _returned[slot] = PollEvents.None;
        if (_handles[slot] is { } before)
        {
            Control(LibC.EPOLL_CTL_DEL, before, slot, PollEvents.None);
            _handles[slot] = null;
            before.DangerousRelease();
        }
        if (descriptor is null)
        {
            return;
        }
        bool held = false;
        // The reference keeps the number from being closed, and reused for another file, while it is polled.
        descriptor.DangerousAddRef(ref held);
        if (!Control(LibC.EPOLL_CTL_ADD, descriptor, slot, events))
        {
            TransportException error = TransportException.FromLastError("wait for a file descriptor");
            descriptor.DangerousRelease();
            throw error;
        }
        _handles[slot] = descriptor;
    }

    /// <summary>Changes what a slot waits for. With <see cref="PollEvents.None"/> it still reports errors and hang-ups.</summary>
    public void Watch(int slot, PollEvents events)
    {
        if (_handles[slot] is { } descriptor)
        {
            Control(LibC.EPOLL_CTL_MOD, descriptor, slot, events);
        }
    }

    /// <summary>What the last <see cref="Wait"/> found for a slot.</summary>
    public PollEvents Events(int slot) => _returned[slot];

    /// <summary>
    /// Waits until a slot is ready or the time is over; a signal does not end the wait. Throws <see cref="TransportException"/>.
    /// </summary>
    /// <param name="timeoutNanoseconds">0 to look only, <see cref="Infinite"/> to wait without end.</param>
    /// <returns>How many slots are ready: 0 when the time is over.</returns>
    public int Wait(long timeoutNanoseconds)
    {
        for (int i = 0; i < _readyCount; i++)
        {
            _returned[ReadySlot(i)] = PollEvents.None;
        }
        _readyCount = 0;
        long deadline = 0;
        while (true)
        {
            if (timeoutNanoseconds > 0)
            {
                long now = Stopwatch.GetTimestamp();
                deadline = deadline == 0 ? now + ToTicks(timeoutNanoseconds) : deadline;
                timeoutNanoseconds = Math.Max(0, ToNanoseconds(deadline - now));
            }
            int ready = WaitOnce(timeoutNanoseconds);
            if (ready >= 0)
            {
                _readyCount = ready;
                for (int i = 0; i < ready; i++)
                {
                    _returned[ReadySlot(i)] = (PollEvents)BitConverter.ToUInt32(_ready, i * LibC.EpollEventSize);
                }
                return ready;
            }
            if (Marshal.GetLastPInvokeError() != Errno.EINTR)
            {
                throw TransportException.FromLastError("wait for file descriptors");
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
        _epoll.Dispose();
    }

    private unsafe int WaitOnce(long timeoutNanoseconds)
    {
        // Safe: the array is pinned for the call, and the kernel writes at most as many elements as it has.
        fixed (byte* ready = _ready)
        {
            if (timeoutNanoseconds <= 0)
            {
                return LibC.epoll_wait(_epoll, ready, _handles.Length, timeoutNanoseconds < 0 ? -1 : 0);
            }
            if (s_hasNanoseconds)
            {
                LibC.TimeSpec timeout;
                timeout.Seconds = timeoutNanoseconds / NanosecondsPerSecond;
                timeout.Nanoseconds = timeoutNanoseconds % NanosecondsPerSecond;
                try
                {
                    int result = LibC.epoll_pwait2(_epoll, ready, _handles.Length, &timeout, null);
                    if (result >= 0 || Marshal.GetLastPInvokeError() != Errno.ENOSYS)
                    {
                        return result;
                    }
                }
                catch (EntryPointNotFoundException)
                {
                    // An older C library: as without the system call.
                }
                s_hasNanoseconds = false;
            }
            long milliseconds = (timeoutNanoseconds + NanosecondsPerMillisecond - 1) / NanosecondsPerMillisecond;
            return LibC.epoll_wait(_epoll, ready, _handles.Length, (int)Math.Min(milliseconds, int.MaxValue));
        }
    }

    private unsafe bool Control(int operation, FileDescriptor descriptor, int slot, PollEvents events)
    {
        Span<byte> request = stackalloc byte[LibC.EpollEventSize];
        BitConverter.TryWriteBytes(request, (uint)events);
        BitConverter.TryWriteBytes(request[LibC.EpollDataOffset..], (long)slot);
        // Safe: the kernel reads one event, which the span has room for.
        fixed (byte* at = request)
        {
            return LibC.epoll_ctl(_epoll, operation, descriptor, at) == 0;
        }
    }

    private int ReadySlot(int index) => (int)BitConverter.ToInt64(_ready, (index * LibC.EpollEventSize) + LibC.EpollDataOffset);

    private static long ToTicks(long nanoseconds) =>
        (long)Math.Min(long.MaxValue / 4, nanoseconds * ((double)Stopwatch.Frequency / NanosecondsPerSecond));

    private static long ToNanoseconds(long ticks) => (long)(ticks * ((double)NanosecondsPerSecond / Stopwatch.Frequency));
}
