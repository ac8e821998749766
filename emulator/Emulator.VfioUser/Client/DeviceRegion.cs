using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Client;

/// <summary>What a device says of one region, with the file to map if there is one; disposing closes that file.</summary>
public sealed class DeviceRegion : IDisposable
{
    internal DeviceRegion(RegionInfo info, SparseArea[] areas, FileDescriptor? file) => (Info, MappableAreas, File) = (info, areas, file);

    /// <summary>The reply's fixed part.</summary>
    public RegionInfo Info { get; }

    /// <summary>See <see cref="RegionIndex"/>.</summary>
    public int Index => (int)Info.Index;

    /// <summary>Bytes; 0 when the device has no such region.</summary>
    public ulong Length => Info.Length;

    /// <summary>What parts may be mapped: the sparse areas, or the whole region, or nothing.</summary>
    public IReadOnlyList<SparseArea> MappableAreas { get; }

    /// <summary>The file to map; null when nothing may be mapped.</summary>
    public FileDescriptor? File { get; }

    /// <summary>
    /// Maps one of <see cref="MappableAreas"/>. Throws <see cref="TransportException"/>, and <see cref="InvalidOperationException"/> without a file.
    /// </summary>
    public MappedMemory Map(SparseArea area)
    {
        if (File is null)
        {
            throw new InvalidOperationException($"Region {Index} cannot be mapped.");
        }
        if (area.Offset > Length || area.Length > Length - area.Offset)
        {
            throw new ArgumentOutOfRangeException(nameof(area), area, $"Region {Index} has {Length} bytes.");
        }
        MappingAccess access = (Info.Flags & RegionInfoFlags.Write) != 0 ? MappingAccess.ReadWrite : MappingAccess.Read;
        return MappedMemory.Map(File, Info.FileOffset + area.Offset, area.Length, access);
    }

    /// <summary>Closes the file; mappings stay.</summary>
    public void Dispose() => File?.Dispose();
}
