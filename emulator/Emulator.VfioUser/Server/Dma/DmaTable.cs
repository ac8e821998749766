using System.Runtime.InteropServices;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server.Dma;

/// <summary>A range of DMA addresses the client made valid.</summary>
/// <param name="Address">First byte, as the device addresses it.</param>
/// <param name="Length">Bytes.</param>
/// <param name="IsReadable">The device may read.</param>
/// <param name="IsWritable">The device may write.</param>
/// <param name="Memory">The client's memory, mapped here; null where it shared no descriptor.</param>
internal sealed record DmaRange(ulong Address, ulong Length, bool IsReadable, bool IsWritable, MappedMemory? Memory)
{
    /// <summary>Last byte, inclusive, so that a range may end at the top of the address space.</summary>
    public ulong Last => Address + (Length - 1);

    public bool Permits(bool write) => write ? IsWritable : IsReadable;
}

/// <summary>
/// The DMA ranges of one client, sorted by address. Looked up by binary search, after a try at the range that served last.
/// Device thread only.
/// </summary>
internal sealed class DmaTable : IDisposable
{
    /// <summary>Most ranges of one client. Each mapping is one of the 65530 that Linux lets a process have, and all devices of the
    /// process, its heap too, share those.</summary>
    public const int MaximumRanges = 4096;

    /// <summary>Most bytes mapped for one client, 16 TiB: the address space, too, is for all devices.</summary>
    public const ulong MaximumMappedBytes = 1UL << 44;

    private readonly List<DmaRange> _ranges = [];
    private ulong _mappedBytes;
    private int _lastHit;

    public int Count => _ranges.Count;

    /// <summary>Whether a mapping of this many bytes is still within the limit.</summary>
    public bool HasRoomFor(ulong bytes) => bytes <= MaximumMappedBytes - _mappedBytes;

    /// <summary>Adds a range.</summary>
    /// <returns>0, or the errno to reply: EEXIST for an overlap, ENOSPC for one range too many. The caller keeps the memory then.</returns>
    public int Add(DmaRange range)
    {
        if (_ranges.Count >= MaximumRanges) return Errno.ENOSPC;
        int at = LowerBound(range.Address);
        if (at < _ranges.Count && _ranges[at].Address <= range.Last) return Errno.EEXIST;
        if (at > 0 && _ranges[at - 1].Last >= range.Address) return Errno.EEXIST;
        _ranges.Insert(at, range);
        _mappedBytes += range.Memory?.Length ?? 0;
        return 0;
    }

    /// <summary>
    /// Removes every range that lies in this one, and every reference to their memory. The protocol has a client name one range exactly;
    /// QEMU with an IOMMU for its guest also takes back what may be there, in pieces of the whole address space, as Linux's VFIO lets it
    /// (VFIO_IOMMU_UNMAP_DMA of type 1 version 2). A range that stayed would be memory that the guest believes safe from the device.
    /// </summary>
    /// <param name="removed">Bytes that were ranges; 0 when there were none.</param>
    /// <returns>0, or EINVAL, with nothing removed, where a range lies partly in it.</returns>
    public int Remove(ulong address, ulong length, out ulong removed)
    {
        removed = 0;
        if (length == 0 || address > ulong.MaxValue - (length - 1)) return Errno.EINVAL;
        ulong last = address + (length - 1);
        int at = LowerBound(address), end = at;
        if (at > 0 && _ranges[at - 1].Last >= address) return Errno.EINVAL;
        while (end < _ranges.Count && _ranges[end].Last <= last) end++;
        if (end < _ranges.Count && _ranges[end].Address <= last) return Errno.EINVAL;
        foreach (DmaRange range in CollectionsMarshal.AsSpan(_ranges)[at..end])
        {
            removed += range.Length;
            _mappedBytes -= range.Memory?.Length ?? 0;
            range.Memory?.Dispose();
        }
        _ranges.RemoveRange(at, end - at);
        return 0;
    }

    public void Clear()
    {
        foreach (DmaRange range in _ranges) range.Memory?.Dispose();
        _ranges.Clear();
        _mappedBytes = 0;
    }

    public void Dispose() => Clear();

    /// <summary>The range that holds an address, or null.</summary>
    public DmaRange? Find(ulong address)
    {
        if ((uint)_lastHit < (uint)_ranges.Count)
        {
            DmaRange last = _ranges[_lastHit];
            if (address - last.Address < last.Length) return last;
        }
        int at = LowerBound(address);
        if (at == _ranges.Count || _ranges[at].Address != address) at--;
        if (at < 0 || address - _ranges[at].Address >= _ranges[at].Length) return null;
        _lastHit = at;
        return _ranges[at];
    }

    /// <summary>Whether every byte is in a range that permits the access; ranges may adjoin.</summary>
    /// <param name="shared">Whether, besides, all of it must be memory shared by descriptor.</param>
    public bool Covers(ulong address, int length, bool write, bool shared)
    {
        // The last byte counts, so that a transfer may end at the top of the address space.
        if (length < 0 || (length > 0 && address > ulong.MaxValue - (ulong)(length - 1))) return false;
        ulong remaining = (ulong)length;
        do
        {
            if (Find(address) is not { } range || !range.Permits(write) || (shared && range.Memory is null)) return false;
            ulong here = range.Length - (address - range.Address);
            if (here >= remaining) return true;
            address += here;
            remaining -= here;
        }
        while (remaining > 0);
        return true;
    }

    // The first range at or above the address.
    private int LowerBound(ulong address)
    {
        int low = 0, high = _ranges.Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (_ranges[middle].Address < address) low = middle + 1;
            else high = middle;
        }
        return low;
    }
}
