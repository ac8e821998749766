using System.Runtime.InteropServices;
using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Transport;

/// <summary>A counter in the kernel that one side raises and the other waits for. Source: eventfd(2).</summary>
public sealed class EventFd : IDisposable
{
    // A write waits when the counter is full and a read when it is 0, and a peer can fill or empty the counter of an eventfd it gave us. It
    // shares the flags of the open file, too: one that came non-blocking can be made blocking at any time. So calls on such a one are of the
    // kinds that never wait; where the kernel has none, we look before each call, which leaves the peer a moment to be hostile in.
    private readonly bool _isShared, _readsNoWait;
    private readonly KernelSignal? _kernelSignal;

    // Cleared where the kernel (before 5.12) or the C library cannot read an eventfd without waiting.
    private static bool s_hasReadNoWait = true;

    private EventFd(FileDescriptor handle) => Handle = handle;

    private EventFd(FileDescriptor handle, KernelSignal? kernelSignal, bool readsNoWait)
        => (Handle, _isShared, _kernelSignal, _readsNoWait) = (handle, true, kernelSignal, readsNoWait);

    /// <summary>The descriptor, to poll or to pass on; owned by this object.</summary>
    public FileDescriptor Handle { get; }

    /// <summary>A new eventfd at 0, non-blocking. Throws <see cref="TransportException"/>.</summary>
    public static EventFd Create()
    {
        int fd = LibC.eventfd(0, LibC.EFD_CLOEXEC | LibC.EFD_NONBLOCK);
        return fd >= 0 ? new EventFd(new FileDescriptor(fd)) : throw TransportException.FromLastError("create an eventfd");
    }

    /// <summary>
    /// Takes ownership of a descriptor that a peer sent; null, and the descriptor closed, when it is not an eventfd. (Writing to another kind of
    /// file could wait without end, or do things the peer should not make us do.)
    /// </summary>
    public static EventFd? TryAdopt(FileDescriptor descriptor) => TryAdopt(descriptor, KernelSignal.OfThisProcess, readsNoWait: true);

    /// <summary>As <see cref="TryAdopt(FileDescriptor)"/>, with what the kernel has of calls that never wait.</summary>
    /// <param name="descriptor">What a peer sent.</param>
    /// <param name="kernelSignal">Adds without waiting; null where the kernel does not.</param>
    /// <param name="readsNoWait">Whether to try the read that never waits.</param>
    internal static EventFd? TryAdopt(FileDescriptor descriptor, KernelSignal? kernelSignal, bool readsNoWait)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        if (!descriptor.IsEventFd())
        {
            descriptor.Dispose();
            return null;
        }
        return new EventFd(descriptor, kernelSignal, readsNoWait);
    }

    /// <summary>Adds 1, and never waits. A full counter stays full: its reader is going to wake anyway. False when the descriptor does not take it.</summary>
    public unsafe bool Signal()
    {
        if (_kernelSignal is { } kernelSignal && kernelSignal.TryAdd(Handle))
        {
            return true;
        }
        ulong one = 1;
        while (true)
        {
            if (_isShared && !IsReady(PollEvents.Writable, 0))
            {
                return true;
            }
            // Safe: 8 bytes of a local.
            if (LibC.write(Handle, &one, sizeof(ulong)) == sizeof(ulong))
            {
                return true;
            }
            int errno = Marshal.GetLastPInvokeError();
            if (errno != Errno.EINTR)
            {
                return errno == Errno.EAGAIN;
            }
        }
    }

    /// <summary>Takes the counter back to 0; false, at once, when it is there already.</summary>
    /// <param name="count">What it was.</param>
    public unsafe bool TryDrain(out ulong count)
    {
        ulong value = 0;
        count = 0;
        while (true)
        {
            nint length = _isShared ? ReadShared(&value) : LibC.read(Handle, &value, sizeof(ulong));
            if (length == sizeof(ulong))
            {
                count = value;
                return true;
            }
            if (length == 0 || Marshal.GetLastPInvokeError() != Errno.EINTR)
            {
                return false;
            }
        }
    }

    // As read(2), without ever waiting; 0 when there is nothing to read. Safe in the caller: the kernel writes 8 bytes to its local.
    private unsafe nint ReadShared(ulong* value)
    {
        if (_readsNoWait && s_hasReadNoWait)
        {
            try
            {
                var vector = new LibC.IoVector { Base = (byte*)value, Length = sizeof(ulong) };
                nint length = LibC.preadv2(Handle, &vector, 1, -1, LibC.RWF_NOWAIT);
                if (length >= 0 || Marshal.GetLastPInvokeError() != Errno.EOPNOTSUPP)
                {
                    return length;
                }
            }
            catch (EntryPointNotFoundException)
            {
                // An older C library: as without the flag.
            }
            s_hasReadNoWait = false;
        }
        return IsReady(PollEvents.Readable, 0) ? LibC.read(Handle, value, sizeof(ulong)) : 0;
    }

    /// <summary>Takes the counter back to 0.</summary>
    public bool TryDrain() => TryDrain(out _);

    /// <summary>Waits until the counter is not 0, and leaves it; false when it stayed 0 that long.</summary>
    public bool Wait(TimeSpan timeout) => IsReady(PollEvents.Readable, Math.Max(0, (long)timeout.TotalNanoseconds));

    /// <summary>Closes the descriptor.</summary>
    public void Dispose() => Handle.Dispose();

    private unsafe bool IsReady(PollEvents events, long timeoutNanoseconds)
    {
        if (timeoutNanoseconds > 0)
        {
            using var poller = new Poller(1);
            poller.Add(Handle, events);
            return poller.Wait(timeoutNanoseconds) > 0;
        }
        bool held = false;
        try
        {
            Handle.DangerousAddRef(ref held);
            var slot = new LibC.PollFd { Fd = Handle.Number, Events = (short)events };
            LibC.TimeSpec now = default;
            // Safe: one slot and one timespec, both locals.
            return LibC.ppoll(&slot, 1, &now, null) > 0 && ((PollEvents)slot.Returned & events) != 0;
        }
        finally
        {
            if (held)
            {
                Handle.DangerousRelease();
            }
        }
    }
}
