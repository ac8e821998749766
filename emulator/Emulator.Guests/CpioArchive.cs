using System.Globalization;
using System.Text;

namespace Emulator.Guests;

/// <summary>
/// Writes a cpio archive in the "newc" format that the Linux kernel unpacks into its initramfs
/// (Linux Documentation/driver-api/early-userspace/buffer-format.rst). The same entries give the same bytes: no times, owner root.
/// Dispose completes the archive and leaves the stream open.
/// </summary>
public sealed class CpioArchive : IDisposable
{
    private const uint DirectoryType = 0x4000;
    private const uint FileType = 0x8000;
    private const uint LinkType = 0xa000;

    private readonly Stream _stream;
    private readonly HashSet<string> _directories = [];
    private uint _nextInode = 1;
    private long _written;
    private bool _complete;

    /// <summary>
    /// Starts an archive at the stream's position. When it follows another archive, that position must be a multiple of four bytes,
    /// padded with zeros: the kernel looks for the next archive only there.
    /// </summary>
    public CpioArchive(Stream stream) => _stream = stream;

    /// <summary>Adds a directory and those above it, unless this archive has them already.</summary>
    /// <param name="path">Absolute or relative to the root; "/" separates.</param>
    /// <param name="permissions">The nine permission bits and the three above them.</param>
    public void AddDirectory(string path, UnixFileMode permissions = ExecutableMode)
    {
        string name = Normalise(path);
        AddParents(name);
        if (_directories.Add(name))
        {
            WriteHeader(name, DirectoryType | (uint)permissions, 2, 0);
        }
    }

    /// <summary>Adds a file; the directories above it come along.</summary>
    public void AddFile(string path, ReadOnlySpan<byte> content, UnixFileMode permissions = PlainMode)
    {
        WriteFileHeader(path, permissions, content.Length);
        Write(content);
        Pad();
    }

    /// <summary>Adds a file whose content is the rest of a seekable stream.</summary>
    /// <exception cref="ArgumentException">The content is 4 GiB or longer, which the format cannot say.</exception>
    public void AddFile(string path, Stream content, UnixFileMode permissions = PlainMode)
    {
        long length = content.Length - content.Position;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, uint.MaxValue, nameof(content));
        WriteFileHeader(path, permissions, length);
        byte[] buffer = new byte[64 * 1024];
        for (long left = length; left > 0;)
        {
            // A file that shrinks meanwhile would leave the rest of the archive unreadable.
            int count = content.Read(buffer, 0, (int)Math.Min(left, buffer.Length));
            Write(count > 0 ? buffer.AsSpan(0, count) : throw new EndOfStreamException($"{path} became shorter while it was read"));
            left -= count;
        }

        Pad();
    }

    public void AddSymbolicLink(string path, string target)
    {
        string name = Normalise(path);
        byte[] content = Encoding.UTF8.GetBytes(target);
        AddParents(name);
        WriteHeader(name, LinkType | 0x1ff, 1, content.Length);
        Write(content);
        Pad();
    }

    public void Dispose()
    {
        if (!_complete)
        {
            _complete = true;
            _nextInode = 0;
            WriteHeader("TRAILER!!!", 0, 1, 0);
        }
    }

    private const UnixFileMode PlainMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
    private const UnixFileMode ExecutableMode = PlainMode | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    private static string Normalise(string path)
    {
        string[] parts = path.Split('/', StringSplitOptions.RemoveEmptyEntries);
        return parts.Length > 0 && !parts.Any(part => part is "." or ".." || part.Contains('\0'))
            ? string.Join('/', parts)
            : throw new ArgumentException($"'{path}' is no path inside the archive", nameof(path));
    }

    private void WriteFileHeader(string path, UnixFileMode permissions, long length)
    {
        string name = Normalise(path);
        AddParents(name);
        WriteHeader(name, FileType | (uint)permissions, 1, length);
    }

    private void AddParents(string name)
    {
        for (int slash = name.IndexOf('/'); slash >= 0; slash = name.IndexOf('/', slash + 1))
        {
            if (_directories.Add(name[..slash]))
            {
                WriteHeader(name[..slash], DirectoryType | (uint)ExecutableMode, 2, 0);
            }
        }
    }

    private void WriteHeader(string name, uint mode, uint links, long size)
    {
        byte[] nameBytes = Encoding.UTF8.GetBytes(name + '\0');
        // Magic, then 13 numbers of eight hexadecimal digits: inode, mode, uid, gid, links, mtime, size, four device numbers, name size, check.
        var header = new StringBuilder("070701", 110);
        foreach (uint field in (ReadOnlySpan<uint>)[_nextInode++, mode, 0, 0, links, 0, (uint)size, 0, 0, 0, 0, (uint)nameBytes.Length, 0])
        {
            header.Append(field.ToString("x8", CultureInfo.InvariantCulture));
        }

        Write(Encoding.ASCII.GetBytes(header.ToString()));
        Write(nameBytes);
        Pad();
    }

    private void Write(ReadOnlySpan<byte> bytes)
    {
        _stream.Write(bytes);
        _written += bytes.Length;
    }

    private void Pad() => Write("\0\0\0"u8[..(int)(-_written & 3)]);
}
