using System.Runtime.InteropServices;

namespace Emulator.VfioUser.Transport;

/// <summary>
/// Adds 1 to an eventfd that a peer shares, and never waits. write(2) waits while the counter is full unless O_NONBLOCK is set, and the peer can
/// fill the counter and clear that flag between any look of ours and the write; eventfd takes no RWF_NOWAIT. What the kernel itself adds at the
/// end of an asynchronous operation never waits, it stops at the largest value: so this reads 0 bytes of an empty file, and has that end
/// announced on the peer's eventfd. Source: io_submit(2), IOCB_FLAG_RESFD. For any thread; calls neither allocate nor lock.
/// </summary>
internal sealed unsafe class KernelSignal
{
    // Ends not yet collected: when there are so many, they are, and the signal is tried again.
    private const int Ends = 64, Tries = 3;

    private readonly nuint _context;
    private readonly FileDescriptor _empty;

    private KernelSignal(nuint context, FileDescriptor empty) => (_context, _empty) = (context, empty);

    /// <summary>The one of this process, for as long as that lives; null when the kernel has none for it.</summary>
    public static KernelSignal? OfThisProcess { get; } = TryCreate(Ends);

    /// <summary>Null when the kernel does not have this, does not allow it here, or has too many in use.</summary>
    /// <param name="ends">Ends that can wait to be collected.</param>
    internal static KernelSignal? TryCreate(int ends)
    {
        nuint context = 0;
        // Safe: the kernel writes one word, a local.
        if (LibC.syscall(LibC.IoSetup, ends, (nint)(&context), 0, 0, 0) != 0)
        {
            return null;
        }
        int fd = LibC.memfd_create("empty", LibC.MFD_CLOEXEC);
        return fd >= 0 ? new KernelSignal(context, new FileDescriptor(fd)) : null;
    }

    /// <summary>Adds 1. False when the kernel does not do so this way.</summary>
    /// <param name="eventFd">An eventfd. Throws <see cref="ObjectDisposedException"/> when it is disposed.</param>
    public bool TryAdd(FileDescriptor eventFd)
    {
        bool held = false;
        try
        {
            eventFd.DangerousAddRef(ref held);
            var operation = new LibC.AsynchronousOperation
            {
                Opcode = LibC.IOCB_CMD_PREAD,
                File = (uint)_empty.Number,
                Flags = LibC.IOCB_FLAG_RESFD,
                EventFd = (uint)eventFd.Number,
            };
            LibC.AsynchronousOperation* list = &operation;
            for (int i = 0; i < Tries; i++)
            {
                // Safe: one pointer to one operation, both locals; the operation ends within the call, and reads nothing.
                if (LibC.syscall(LibC.IoSubmit, (nint)_context, 1, (nint)(&list), 0, 0) == 1)
                {
                    return true;
                }
                if (Marshal.GetLastPInvokeError() != Protocol.Errno.EAGAIN)
                {
                    return false;
                }
                Collect();
            }
            return false;
        }
        finally
        {
            if (held)
            {
                eventFd.DangerousRelease();
            }
        }
    }

    private void Collect()
    {
        byte* ends = stackalloc byte[Ends * LibC.AsynchronousEndSize];
        LibC.TimeSpec now = default;
        // Safe: the kernel writes at most Ends elements, for which there is room, and waits for none.
        _ = LibC.syscall(LibC.IoGetEvents, (nint)_context, 0, Ends, (nint)ends, (nint)(&now));
    }
}
