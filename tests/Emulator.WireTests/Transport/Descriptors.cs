using System.Runtime.InteropServices;

namespace Emulator.WireTests.Transport;

/// <summary>Descriptors of files and pipes, as a peer might pass them.</summary>
internal static class Descriptors
{
    /// <summary>Opens a file and gives the descriptor away.</summary>
    public static int Open(string path, FileAccess access)
    {
        int fd = NativeOpen(path, access == FileAccess.Read ? 0 : 2);
        return fd >= 0 ? fd : throw new IOException($"{path}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    /// <summary>A blocking eventfd, as some clients make them; the product makes only others.</summary>
    public static int BlockingEventFd()
    {
        int fd = NativeEventFd(0, 0);
        return fd >= 0 ? fd : throw new IOException(Marshal.GetLastPInvokeErrorMessage());
    }

    /// <summary>Adds to an eventfd's counter.</summary>
    public static bool Add(int eventFd, ulong value) => NativeWrite(eventFd, BitConverter.GetBytes(value), sizeof(ulong)) == sizeof(ulong);

    /// <summary>Locks an open file or folder as flock(2) does, for as long as the descriptor is open; false when it is locked already.</summary>
    public static bool Lock(int fd) => NativeLock(fd, 2 | 4) == 0;

    [DllImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static extern int NativeLock(int fd, int operation);

    /// <summary>Makes an open file blocking, for everybody who shares it.</summary>
    public static bool MakeBlocking(int fd) => NativeControl(fd, 4, 0) == 0;

    /// <summary>Makes the calling thread act as another user, for good: the bare system call changes this thread alone.</summary>
    public static bool TryBecomeUser(int uid)
        => NativeSystemCall(RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 147 : 117, uid, uid, uid) == 0;

    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static extern long NativeSystemCall(long number, long first, long second, long third);

    [DllImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    private static extern int NativeControl(int fd, int command, int argument);

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern int NativeOpen([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    private static extern int NativeEventFd(uint initial, int flags);

    [DllImport("libc", EntryPoint = "write", SetLastError = true)]
    private static extern nint NativeWrite(int fd, byte[] bytes, nuint count);
}
