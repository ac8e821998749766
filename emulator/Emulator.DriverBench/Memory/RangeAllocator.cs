namespace Emulator.DriverBench.Memory;

/// <summary>
/// Hands out RAM from a range of an address space. Between any two allocations one page stays unmapped, so an access past an
/// end faults; blocks can be laid against that page, and freed memory can stay behind as a guard for a while.
/// </summary>
public sealed class RangeAllocator
{
    private readonly AddressSpace _space;
    private readonly List<(ulong Start, ulong End)> _free = [];
    private readonly Queue<MemoryRegion> _quarantine = new();
    private ulong _quarantinedBytes;

    /// <param name="space">Where memory is mapped.</param>
    /// <param name="start">The first address, page-aligned.</param>
    /// <param name="end">The first address behind the range, page-aligned.</param>
    public RangeAllocator(AddressSpace space, ulong start, ulong end)
    {
        ArgumentNullException.ThrowIfNull(space);
        if (start % AddressSpace.PageSize != 0 || end % AddressSpace.PageSize != 0 || end <= start) throw new ArgumentOutOfRangeException(nameof(end));
        (_space, Start, End) = (space, start, end);
        _free.Add((start, end));
    }

    public ulong Start { get; }
    public ulong End { get; }

    /// <summary>How much freed memory is kept as guards, in bytes; the oldest goes first.</summary>
    public ulong QuarantineLimit { get; set; } = 4 << 20;

    /// <summary>Finds a free range and reserves it with the unmapped page behind it. 0 when there is none.</summary>
    /// <param name="length">In bytes, rounded up to whole pages.</param>
    /// <param name="alignment">A power of two; at least a page.</param>
    public ulong Reserve(ulong length, ulong alignment = AddressSpace.PageSize)
    {
        if (length == 0 || length > End - Start) return 0;
        length = Rounded(length) + AddressSpace.PageSize;
        alignment = Math.Max(alignment, AddressSpace.PageSize);
        for (int i = 0; i < _free.Count; i++)
        {
            (ulong start, ulong end) = _free[i];
            ulong at = (start + alignment - 1) & ~(alignment - 1);
            if (at < start || at >= end || end - at < length) continue;
            _free.RemoveAt(i);
            if (at + length < end) _free.Insert(i, (at + length, end));
            if (start < at) _free.Insert(i, (start, at));
            return at;
        }
        return 0;
    }

    /// <summary>Maps zeroed RAM. Null when the range is used up.</summary>
    public MemoryRegion? Allocate(ulong length, Protection protection, string name, ulong alignment = AddressSpace.PageSize)
    {
        ulong at = Reserve(length, alignment);
        return at == 0 ? null : _space.MapRam(at, length, protection, name);
    }

    /// <summary>
    /// Maps RAM for a block of any size and lays the block's end against the unmapped page (as near as its alignment allows)
    /// or its start against the one before. Null when the range is used up.
    /// </summary>
    /// <param name="size">Of the block in bytes.</param>
    /// <param name="alignment">Of the block's address; a power of two, at most a page.</param>
    /// <param name="name">What fault messages call it.</param>
    /// <param name="guardBefore">Catch accesses below the block at once instead of those above.</param>
    /// <param name="address">Of the block.</param>
    public MemoryRegion? AllocateBlock(ulong size, ulong alignment, string name, bool guardBefore, out ulong address)
    {
        address = 0;
        if (Allocate(Math.Max(size, 1), Protection.ReadWrite, name) is not { } region) return null;
        address = guardBefore ? region.Address : (region.End - Math.Max(size, 1)) & ~(alignment - 1);
        return region;
    }

    /// <summary>Unmaps at once.</summary>
    public void Free(MemoryRegion region)
    {
        ArgumentNullException.ThrowIfNull(region);
        _space.Unmap(region);
        Release(region.Address, region.Length);
    }

    /// <summary>Frees, but keeps a guard in its place until the quarantine is full, so that a late access names what was there.</summary>
    public void Retire(MemoryRegion region, string name)
    {
        ArgumentNullException.ThrowIfNull(region);
        _space.Unmap(region);
        _quarantine.Enqueue(_space.MapGuard(region.Address, region.Length, GuardKind.Freed, name));
        _quarantinedBytes += region.Length;
        while (_quarantinedBytes > QuarantineLimit)
        {
            MemoryRegion oldest = _quarantine.Dequeue();
            _quarantinedBytes -= oldest.Length;
            Free(oldest);
        }
    }

    /// <summary>Gives back a range that <see cref="Reserve"/> handed out. What the caller mapped there is unmapped already.</summary>
    public void Release(ulong address, ulong length)
    {
        (ulong Start, ulong End) range = (address, address + Rounded(length) + AddressSpace.PageSize);
        int index = _free.FindIndex(other => other.Start > address);
        if (index < 0) index = _free.Count;
        if (index < _free.Count && _free[index].Start == range.End)
        {
            range.End = _free[index].End;
            _free.RemoveAt(index);
        }
        if (index > 0 && _free[index - 1].End == range.Start)
        {
            range.Start = _free[index - 1].Start;
            _free.RemoveAt(--index);
        }
        _free.Insert(index, range);
    }

    private static ulong Rounded(ulong length) => (length + AddressSpace.PageSize - 1) & ~(ulong)(AddressSpace.PageSize - 1);
}
