using System.Runtime.InteropServices;
using Emulator.VfioUser.Protocol;
using Microsoft.Win32.SafeHandles;

namespace Emulator.VfioUser.Transport;

/// <summary>Seals of a memory file. Source: memfd_create(2), fcntl(2) F_ADD_SEALS.</summary>
[Flags]
public enum FileSeals
{
    /// <summary>None: the file can change in every way.</summary>
    None = 0,
    /// <summary>No more seals can be added.</summary>
    Seal = 1,
    /// <summary>The file cannot become shorter, so a mapping of it cannot raise SIGBUS.</summary>
    Shrink = 2,
    /// <summary>The file cannot become longer.</summary>
    Grow = 4,
    /// <summary>The file cannot be written.</summary>
    Write = 8,
    /// <summary>The file cannot be written but through mappings that exist.</summary>
    FutureWrite = 16,
}

/// <summary>An open file descriptor, owned: closed when disposed, and never closed under a call that uses it.</summary>
public sealed class FileDescriptor : SafeHandleMinusOneIsInvalid
{
    /// <summary>Takes ownership of <paramref name="fd"/>.</summary>
    public FileDescriptor(int fd)
        : base(ownsHandle: true)
    {
        SetHandle(fd);
    }

    /// <summary>The number, for messages and for passing on in SCM_RIGHTS; valid while this object is not disposed.</summary>
    public int Number => (int)handle;

    /// <summary>Whether the file is regular (a memory file is too), so that its size bounds what can be mapped.</summary>
    public bool IsRegularFile => (GetStatus().Mode & LibC.S_IFMT) == LibC.S_IFREG;

    /// <summary>Bytes of the file. Throws <see cref="TransportException"/>.</summary>
    public ulong Length => GetStatus().Size;

    /// <summary>Seals of a memory file; <see cref="FileSeals.None"/> for every other kind of file.</summary>
    public FileSeals Seals
    {
        get
        {
            int seals = LibC.fcntl(this, LibC.F_GET_SEALS, 0);
            return seals < 0 ? FileSeals.None : (FileSeals)seals;
        }
    }

    /// <summary>Closes a descriptor nobody owns yet. Errors are ignored: there is nothing left to do about them.</summary>
    public static void Close(int fd) => _ = LibC.close(fd);

    /// <summary>Closes descriptors nobody owns yet.</summary>
    public static void Close(ReadOnlySpan<int> fds)
    {
        foreach (int fd in fds)
        {
            Close(fd);
        }
    }

    /// <summary>A second descriptor of the same open file. Throws <see cref="TransportException"/>.</summary>
    public FileDescriptor Duplicate()
    {
        int fd = LibC.fcntl(this, LibC.F_DUPFD_CLOEXEC, 0);
        return fd >= 0 ? new FileDescriptor(fd) : throw TransportException.FromLastError("duplicate a file descriptor");
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => LibC.close((int)handle) == 0;

    internal unsafe LibC.StatX GetStatus()
    {
        LibC.StatX status;
        // Safe: the kernel writes at most sizeof(StatX) = 256 bytes, which status has.
        if (LibC.statx(this, "", LibC.AT_EMPTY_PATH, LibC.STATX_BASIC_STATS, &status) != 0)
        {
            throw TransportException.FromLastError($"read the status of file descriptor {Number}");
        }
        return status;
    }

    /// <summary>Whether /proc says that this descriptor is an eventfd.</summary>
    internal unsafe bool IsEventFd()
    {
        ReadOnlySpan<byte> expected = "anon_inode:[eventfd]"u8;
        const int Room = 64;
        byte* target = stackalloc byte[Room];
        // Safe: readlink writes at most Room bytes and returns how many.
        nint length = LibC.readlink($"/proc/self/fd/{Number}", target, Room);
        return length >= 0 && new ReadOnlySpan<byte>(target, (int)length).SequenceEqual(expected);
    }
}
