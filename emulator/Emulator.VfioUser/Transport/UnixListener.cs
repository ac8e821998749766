using System.Runtime.InteropServices;
using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Transport;

/// <summary>What <see cref="UnixListener.TryAccept"/> found.</summary>
public enum AcceptOutcome
{
    /// <summary>Nobody is waiting.</summary>
    NoneWaiting,
    /// <summary>A peer of our own user, or root, is connected.</summary>
    Accepted,
    /// <summary>A peer of another user was turned away.</summary>
    Refused,
}

/// <summary>
/// A listening AF_UNIX socket in a folder that only our user can write, itself with mode 0600. A socket that a dead server left is replaced;
/// one that a live server holds is not. Disposing removes the socket file if it is still ours.
/// </summary>
public sealed class UnixListener : IDisposable
{
    private const uint SocketMode = 0x180; // 0600
    private const uint FolderMode = 0x1c0; // 0700
    private const int GroupOrWorldWritable = 0x12; // 0022
    private static readonly TimeSpan LockTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LockRetry = TimeSpan.FromMilliseconds(10);

    private readonly FileDescriptor _folder;
    private readonly string _name;
    private readonly FileIdentity _identity;
    private readonly uint _ownUid = LibC.geteuid();

    private UnixListener(string path, string name, FileDescriptor folder, FileDescriptor socket, FileIdentity identity) =>
        (Path, _name, _folder, Handle, _identity) = (path, name, folder, socket, identity);

    /// <summary>Where clients connect: the full path.</summary>
    public string Path { get; }

    /// <summary>The listening socket, for a <see cref="Poller"/>: readable when somebody waits. Owned by this object.</summary>
    public FileDescriptor Handle { get; }

    /// <summary>
    /// Binds and listens. The folder is created with mode 0700 if it is missing. Throws <see cref="TransportException"/> that says what to do
    /// when the path is too long, the folder is another user's or others may write it, a live server holds the path, or a file that is no
    /// socket is there.
    /// </summary>
    /// <param name="path">The socket's path; 107 bytes at most once it is made absolute.</param>
    /// <param name="backlog">How many clients may wait to be accepted.</param>
    public static UnixListener Bind(string path, int backlog = 4) => Bind(path, backlog, LockTimeout);

    /// <summary>As <see cref="Bind(string, int)"/>, waiting for another server that looks at the same folder only so long.</summary>
    internal static UnixListener Bind(string path, int backlog, TimeSpan lockTimeout)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (path.Contains('\0', StringComparison.Ordinal) || path.EndsWith('/'))
        {
            throw new TransportException($"serve '{path.Replace("\0", "\\0", StringComparison.Ordinal)}'", Errno.EINVAL, "name a file, not a folder");
        }
        string fullPath = System.IO.Path.GetFullPath(path);
        LibC.UnixAddress address = UnixAddresses.FromPath(fullPath);
        string folderPath = System.IO.Path.GetDirectoryName(fullPath)!;
        string name = System.IO.Path.GetFileName(fullPath);

        FileDescriptor folder = OpenPrivateFolder(folderPath);
        FileDescriptor? socket = null;
        try
        {
            Lock(folder, folderPath, lockTimeout);
            RemoveStale(folder, name, fullPath, address);
            socket = CreateSocket(nonBlocking: true);
            BindAndListen(socket, address, fullPath, backlog);
            if (!TryIdentify(folder, name, out FileIdentity identity, out _))
            {
                throw TransportException.FromLastError($"find the socket '{fullPath}' just created");
            }
            var listener = new UnixListener(fullPath, name, folder, socket, identity);
            Unlock(folder);
            return listener;
        }
        catch
        {
            socket?.Dispose();
            folder.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Accepts one waiting client without waiting. Whether it may connect is decided by the user that the kernel recorded: our own or root.
    /// Throws <see cref="TransportException"/>, for instance when this process can open no more files.
    /// </summary>
    public unsafe AcceptOutcome TryAccept(out UnixStream? stream, out PeerCredentials peer)
    {
        stream = null;
        peer = default;
        // Safe: no address is asked for, so the kernel writes nothing.
        int fd = LibC.accept4(Handle, null, null, LibC.SOCK_CLOEXEC);
        if (fd < 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            return errno is Errno.EAGAIN or Errno.EINTR or Errno.ECONNABORTED
                ? AcceptOutcome.NoneWaiting
                : throw new TransportException($"accept a client on '{Path}'", errno);
        }
        var accepted = new UnixStream(new FileDescriptor(fd));
        try
        {
            peer = accepted.Peer;
        }
        catch
        {
            accepted.Dispose();
            throw;
        }
        if (peer.Uid != _ownUid && peer.Uid != 0)
        {
            accepted.Dispose();
            return AcceptOutcome.Refused;
        }
        stream = accepted;
        return AcceptOutcome.Accepted;
    }

    /// <summary>Waits for a client, passing over those it refuses; null when none came in time. Throws <see cref="TransportException"/>.</summary>
    public UnixStream? Accept(TimeSpan timeout)
    {
        long started = Environment.TickCount64;
        using var poller = new Poller(1);
        poller.Add(Handle, PollEvents.Readable);
        while (true)
        {
            if (TryAccept(out UnixStream? stream, out _) == AcceptOutcome.Accepted)
            {
                return stream;
            }
            TimeSpan left = timeout - TimeSpan.FromMilliseconds(Environment.TickCount64 - started);
            if (left <= TimeSpan.Zero)
            {
                return null;
            }
            poller.Wait((long)left.TotalNanoseconds);
        }
    }

    /// <summary>Stops listening, and removes the socket file unless somebody else has replaced it.</summary>
    public void Dispose()
    {
        if (Handle.IsClosed)
        {
            return;
        }
        try
        {
            Lock(_folder, System.IO.Path.GetDirectoryName(Path)!, LockTimeout);
            if (TryIdentify(_folder, _name, out FileIdentity now, out _) && now == _identity)
            {
                _ = LibC.unlinkat(_folder, _name, 0);
            }
        }
        catch (TransportException)
        {
            // Whoever holds the folder's lock that long may be replacing the socket: leave the file. The next server finds it stale.
        }
        finally
        {
            Handle.Dispose();
            _folder.Dispose();
        }
    }

    /// <summary>
    /// Creates a folder with mode 0700 if it is missing. Throws <see cref="TransportException"/> when it is another user's or others may write
    /// it. For the folder above the one of a socket: whoever owns that can put another in its place.
    /// </summary>
    public static void RequirePrivateFolder(string path) => OpenPrivateFolder(System.IO.Path.GetFullPath(path)).Dispose();

    private static FileDescriptor OpenPrivateFolder(string path)
    {
        CreateFolder(path);
        int fd = LibC.open(path, LibC.O_RDONLY | LibC.O_NONBLOCK | LibC.O_CLOEXEC);
        if (fd < 0)
        {
            throw TransportException.FromLastError($"open the folder '{path}'");
        }
        var folder = new FileDescriptor(fd);
        try
        {
            LibC.StatX status = folder.GetStatus();
            if ((status.Mode & LibC.S_IFMT) != LibC.S_IFDIR)
            {
                throw new TransportException($"serve in '{path}'", Errno.ENOTDIR);
            }
            if (status.Uid != LibC.geteuid())
            {
                throw new TransportException(
                    $"serve in '{path}'", Errno.EPERM, "the folder belongs to another user: choose one of your own");
            }
            if ((status.Mode & GroupOrWorldWritable) != 0)
            {
                throw new TransportException(
                    $"serve in '{path}'", Errno.EPERM, $"other users may write that folder: run chmod go-w '{path}', or choose another");
            }
            return folder;
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    private static void CreateFolder(string path)
    {
        if (LibC.mkdir(path, FolderMode) == 0)
        {
            return;
        }
        int errno = Marshal.GetLastPInvokeError();
        string? parent = System.IO.Path.GetDirectoryName(path);
        if (errno == Errno.ENOENT && parent is not null)
        {
            CreateFolder(parent);
            errno = LibC.mkdir(path, FolderMode) == 0 ? 0 : Marshal.GetLastPInvokeError();
        }
        if (errno is not (0 or Errno.EEXIST))
        {
            throw new TransportException($"create the folder '{path}'", errno, "choose a folder that you may write");
        }
    }

    private static FileDescriptor CreateSocket(bool nonBlocking)
    {
        int fd = LibC.socket(LibC.AF_UNIX, LibC.SOCK_STREAM | LibC.SOCK_CLOEXEC | (nonBlocking ? LibC.SOCK_NONBLOCK : 0), 0);
        return fd >= 0 ? new FileDescriptor(fd) : throw TransportException.FromLastError("create a socket");
    }

    private static unsafe void BindAndListen(FileDescriptor socket, LibC.UnixAddress address, string path, int backlog)
    {
        // Linux gives the file the mode of the socket, so that it is never open to others, not even for a moment.
        // Safe: address is a copy on this stack frame, a whole sockaddr_un.
        if (LibC.fchmod(socket, SocketMode) != 0
            || LibC.bind(socket, &address, (uint)sizeof(LibC.UnixAddress)) != 0
            || LibC.listen(socket, backlog) != 0)
        {
            throw TransportException.FromLastError($"serve '{path}'");
        }
    }

    private static unsafe void RemoveStale(FileDescriptor folder, string name, string path, LibC.UnixAddress address)
    {
        if (!TryIdentify(folder, name, out _, out int mode))
        {
            return;
        }
        if ((mode & LibC.S_IFMT) != LibC.S_IFSOCK)
        {
            throw new TransportException($"serve '{path}'", Errno.EEXIST, "a file that is no socket is there: choose another path, or remove it");
        }
        using FileDescriptor probe = CreateSocket(nonBlocking: true);
        // Safe: address is a copy on this stack frame, a whole sockaddr_un.
        int result = LibC.connect(probe, &address, (uint)sizeof(LibC.UnixAddress));
        int errno = result == 0 ? 0 : Marshal.GetLastPInvokeError();
        switch (errno)
        {
            case Errno.ENOENT:
                return;
            case Errno.ECONNREFUSED:
                if (LibC.unlinkat(folder, name, 0) != 0 && Marshal.GetLastPInvokeError() != Errno.ENOENT)
                {
                    throw TransportException.FromLastError($"remove the stale socket '{path}'");
                }
                return;
            default:
                // Connected, or its queue is full, or it is a socket of another kind: somebody holds it.
                string holder = errno == 0 ? $"process {GetPeerPid(probe)}" : "another process";
                throw new TransportException($"serve '{path}'", Errno.EADDRINUSE, $"{holder} serves it: stop that, or choose another path");
        }
    }

    private static unsafe int GetPeerPid(FileDescriptor socket)
    {
        LibC.Credentials credentials;
        uint length = (uint)sizeof(LibC.Credentials);
        // Safe: the kernel writes at most length bytes, which credentials has.
        return LibC.getsockopt(socket, LibC.SOL_SOCKET, LibC.SO_PEERCRED, &credentials, &length) == 0 ? credentials.Pid : 0;
    }

    /// <summary>
    /// Between looking at a socket and binding or removing it, no second server may do the same. The folder itself is the lock, so that a killed
    /// server leaves nothing behind.
    /// </summary>
    private static void Lock(FileDescriptor folder, string path, TimeSpan timeout)
    {
        long started = Environment.TickCount64;
        while (LibC.flock(folder, LibC.LOCK_EX | LibC.LOCK_NB) != 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno is not (Errno.EAGAIN or Errno.EINTR))
            {
                throw new TransportException($"lock the folder '{path}'", errno);
            }
            if (TimeSpan.FromMilliseconds(Environment.TickCount64 - started) > timeout)
            {
                throw new TransportException($"lock the folder '{path}'", Errno.EBUSY, "another process holds it: stop that, or choose another folder");
            }
            Thread.Sleep(LockRetry);
        }
    }

    private static void Unlock(FileDescriptor folder) => _ = LibC.flock(folder, LibC.LOCK_UN);

    private static unsafe bool TryIdentify(FileDescriptor folder, string name, out FileIdentity identity, out int mode)
    {
        LibC.StatX status;
        // Safe: the kernel writes at most sizeof(StatX) = 256 bytes, which status has.
        bool found = LibC.statx(folder, name, LibC.AT_SYMLINK_NOFOLLOW, LibC.STATX_BASIC_STATS, &status) == 0;
        identity = found ? new(status.DeviceMajor, status.DeviceMinor, status.Inode) : default;
        mode = found ? status.Mode : 0;
        return found;
    }

    private readonly record struct FileIdentity(uint Major, uint Minor, ulong Inode);
}
