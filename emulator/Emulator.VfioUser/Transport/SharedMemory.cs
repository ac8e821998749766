using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Transport;

/// <summary>
/// Memory that exists as a file without a name, to be mapped here and, through its descriptor, by a peer. It is sealed at its size, so that
/// neither side can make the other's mapping fault. Source: memfd_create(2).
/// </summary>
public sealed class SharedMemory : IDisposable
{
    private SharedMemory(FileDescriptor handle, ulong length) => (Handle, Length) = (handle, length);

    /// <summary>The descriptor, to pass on; owned by this object.</summary>
    public FileDescriptor Handle { get; }

    /// <summary>Bytes.</summary>
    public ulong Length { get; }

    /// <summary>Creates memory that reads as zero. Throws <see cref="TransportException"/>.</summary>
    /// <param name="name">Shown in /proc; it need not be unique.</param>
    /// <param name="length">Bytes, not 0.</param>
    public static SharedMemory Create(string name, ulong length)
    {
        ArgumentOutOfRangeException.ThrowIfZero(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, (ulong)long.MaxValue);
        int fd = LibC.memfd_create(name, LibC.MFD_CLOEXEC | LibC.MFD_ALLOW_SEALING);
        if (fd < 0)
        {
            throw TransportException.FromLastError($"create the shared memory '{name}'");
        }
        var handle = new FileDescriptor(fd);
        if (LibC.ftruncate(handle, (long)length) != 0
            || LibC.fcntl(handle, LibC.F_ADD_SEALS, (int)(FileSeals.Shrink | FileSeals.Grow | FileSeals.Seal)) != 0)
        {
            TransportException error = TransportException.FromLastError($"give the shared memory '{name}' its {length} bytes");
            handle.Dispose();
            throw error;
        }
        return new SharedMemory(handle, length);
    }

    /// <summary>Maps all of it. Throws <see cref="TransportException"/>.</summary>
    public MappedMemory Map(MappingAccess access = MappingAccess.ReadWrite) => MappedMemory.Map(Handle, 0, Length, access);

    /// <summary>Closes the descriptor; mappings stay.</summary>
    public void Dispose() => Handle.Dispose();
}
