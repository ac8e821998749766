using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Transport;

/// <summary>What a mapping is for.</summary>
public enum MappingAccess
{
    /// <summary>Reading only: a write faults.</summary>
    Read,
    /// <summary>Reading and writing.</summary>
    ReadWrite,
}

/// <summary>
/// Part of a file, mapped shared. It is unmapped when disposed. After that every call here throws <see cref="ObjectDisposedException"/>, but a
/// span obtained before must no longer be used: whoever keeps one across a point where another thread may dispose holds a reference by
/// <see cref="SafeHandle.DangerousAddRef"/>, which delays the unmapping.
/// </summary>
/// <remarks>
/// The file had all the bytes when it was mapped. If it is not sealed (<see cref="CannotShrink"/>), its owner can still cut it, and then an
/// access ends the process by SIGBUS: map unsealed files of peers you trust only.
/// </remarks>
public sealed class MappedMemory : SafeHandle
{
    private MappedMemory(nint address, ulong length, MappingAccess access, bool cannotShrink)
        : base(0, ownsHandle: true)
    {
        SetHandle(address);
        (Length, Access, CannotShrink) = (length, access, cannotShrink);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>Bytes.</summary>
    public ulong Length { get; }

    /// <summary>What the mapping is for.</summary>
    public MappingAccess Access { get; }

    /// <summary>The file is sealed against shrinking, so no access to this mapping can fault.</summary>
    public bool CannotShrink { get; }

    /// <summary>All bytes, when there are less than 2 GiB. Throws <see cref="ObjectDisposedException"/> and <see cref="InvalidOperationException"/>.</summary>
    public Span<byte> Span => GetSpan(0, Length <= int.MaxValue ? (int)Length : throw new InvalidOperationException("More than 2 GiB: use GetSpan."));

    /// <summary>
    /// Maps part of a file. False, with an errno, when it cannot be: EINVAL for an offset or size that is not of this file, ENODEV for what is not
    /// a regular file, otherwise what the system says. Never throws for what a peer chose.
    /// </summary>
    /// <param name="file">A regular or memory file; it may be closed afterwards.</param>
    /// <param name="offset">First byte, a multiple of the page size.</param>
    /// <param name="length">Bytes; the file must have them all.</param>
    /// <param name="access">What the mapping is for.</param>
    /// <param name="memory">The mapping.</param>
    /// <param name="errno">0, or why not.</param>
    public static unsafe bool TryMap(
        FileDescriptor file, ulong offset, ulong length, MappingAccess access, [NotNullWhen(true)] out MappedMemory? memory, out int errno)
    {
        ArgumentNullException.ThrowIfNull(file);
        memory = null;
        ulong pageMask = (ulong)Environment.SystemPageSize - 1;
        if (length == 0 || (offset & pageMask) != 0 || offset > long.MaxValue || length > long.MaxValue - offset)
        {
            errno = Errno.EINVAL;
            return false;
        }
        // Asked before the size: a file that is sealed now cannot get below the size read next.
        bool cannotShrink = (file.Seals & FileSeals.Shrink) != 0;
        LibC.StatX status;
        try
        {
            status = file.GetStatus();
        }
        catch (TransportException e)
        {
            errno = e.Errno;
            return false;
        }
        if ((status.Mode & LibC.S_IFMT) != LibC.S_IFREG)
        {
            errno = Errno.ENODEV;
            return false;
        }
        if (offset + length > status.Size)
        {
            errno = Errno.EINVAL;
            return false;
        }
        int protection = LibC.PROT_READ | (access == MappingAccess.ReadWrite ? LibC.PROT_WRITE : 0);
        // Safe: the kernel chooses an address where nothing is; all bytes are of the file, as just checked.
        void* address = LibC.mmap(null, (nuint)length, protection, LibC.MAP_SHARED, file, (long)offset);
        if ((nint)address == -1)
        {
            errno = Marshal.GetLastPInvokeError();
            return false;
        }
        memory = new MappedMemory((nint)address, length, access, cannotShrink);
        errno = 0;
        return true;
    }

    /// <summary>As <see cref="TryMap"/>, but throws <see cref="TransportException"/>.</summary>
    public static MappedMemory Map(FileDescriptor file, ulong offset, ulong length, MappingAccess access) =>
        TryMap(file, offset, length, access, out MappedMemory? memory, out int errno)
            ? memory
            : throw new TransportException($"map {length} bytes at {offset} of file descriptor {file.Number}", errno);

    /// <summary>
    /// Some bytes. Throws <see cref="ArgumentOutOfRangeException"/> when they are not all inside, <see cref="ObjectDisposedException"/> after
    /// disposal. Writing to a <see cref="MappingAccess.Read"/> mapping faults.
    /// </summary>
    public unsafe Span<byte> GetSpan(ulong offset, int length)
    {
        ObjectDisposedException.ThrowIf(IsClosed, this);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        if (offset > Length || (ulong)length > Length - offset)
        {
            throw new ArgumentOutOfRangeException(nameof(offset), offset, $"{length} bytes from there are not inside {Length}.");
        }
        // Safe: inside the mapping, as just checked; the class remark says how long it stays.
        return new Span<byte>((byte*)handle + offset, length);
    }

    /// <inheritdoc/>
    // Safe: the address and length are those mmap returned, and a SafeHandle releases once.
    protected override unsafe bool ReleaseHandle() => LibC.munmap((void*)handle, (nuint)Length) == 0;
}
