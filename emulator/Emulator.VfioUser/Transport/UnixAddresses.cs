using System.Text;
using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Transport;

/// <summary>Builds socket addresses, with a clear error for a path the kernel cannot hold.</summary>
internal static class UnixAddresses
{
    /// <summary>Bytes of the longest path: 108 less the closing NUL.</summary>
    internal const int MaximumPathBytes = LibC.UnixAddress.PathSize - 1;

    internal static unsafe LibC.UnixAddress FromPath(string path)
    {
        if (path.Length == 0 || path.Contains('\0', StringComparison.Ordinal))
        {
            throw new TransportException($"use '{path.Replace("\0", "\\0", StringComparison.Ordinal)}' as a socket path", Errno.EINVAL, "name a file");
        }
        int bytes = Encoding.UTF8.GetByteCount(path);
        if (bytes > MaximumPathBytes)
        {
            throw new TransportException(
                $"use '{path}' as a socket path",
                Errno.ENAMETOOLONG,
                $"it has {bytes} bytes and a Unix socket path may have {MaximumPathBytes}: choose a shorter folder");
        }
        LibC.UnixAddress address = default;
        address.Family = LibC.AF_UNIX;
        // Safe: at most 107 of the 108 bytes are written, as just checked, so a NUL remains.
        Encoding.UTF8.GetBytes(path, new Span<byte>(address.Path, MaximumPathBytes));
        return address;
    }
}
