using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Emulator.DriverBench.Memory;

/// <summary>
/// What a driver's addresses lead to: RAM with page protections, device registers, guards, nothing. An access that fails
/// answers false and leaves <see cref="LastFault"/>; it never throws. Not thread-safe: one CPU, one thread.
/// </summary>
public sealed class AddressSpace
{
    public const int PageSize = 0x1000;
    private const ulong PageMask = ~(ulong)(PageSize - 1);
    private const int CacheSize = 256;
    // No page-aligned address equals it.
    private const ulong NoPage = 1;

    private readonly CachedPage[] _cache = new CachedPage[CacheSize];
    private readonly List<MemoryRegion> _regions = [];
    private readonly ulong _lastAddress;
    private MemoryFault _lastFault;

    public AddressSpace(AddressWidth width)
    {
        Width = width;
        _lastAddress = width == AddressWidth.Bits32 ? uint.MaxValue : ulong.MaxValue;
        ForgetPages();
    }

    public AddressWidth Width { get; }

    /// <summary>4 or 8.</summary>
    public int PointerSize => (int)Width / 8;

    /// <summary>All regions, by rising address.</summary>
    public IReadOnlyList<MemoryRegion> Regions => _regions;

    /// <summary>Why the last failed access failed.</summary>
    public ref readonly MemoryFault LastFault => ref _lastFault;

    /// <summary>Bytes that were executed have changed, or the mapping of executable memory did: decoded instructions are stale.</summary>
    internal event Action? CodeChanged;

    /// <summary>Sees each read and write of pageable memory, with its address.</summary>
    internal event Action<ulong>? PageableTouched;

    /// <summary>Maps fresh zeroed RAM.</summary>
    /// <param name="address">Page-aligned.</param>
    /// <param name="length">In bytes, rounded up to whole pages.</param>
    /// <param name="protection">For all pages; <see cref="Protect"/> changes single ones.</param>
    /// <param name="name">What fault messages call it.</param>
    /// <exception cref="ArgumentException">The range is not free, not aligned or outside the address width.</exception>
    public MemoryRegion MapRam(ulong address, ulong length, Protection protection, string name)
    {
        int rounded = checked((int)((length + PageSize - 1) & PageMask));
        return MapRam(address, new RamBacking(rounded), 0, rounded, protection, name);
    }

    /// <summary>Maps RAM that may be mapped elsewhere, too.</summary>
    /// <exception cref="ArgumentException">The range is not free, not aligned or outside the address width or the backing.</exception>
    public MemoryRegion MapRam(ulong address, RamBacking backing, int offset, int length, Protection protection, string name)
    {
        ArgumentNullException.ThrowIfNull(backing);
        if (address % PageSize != 0 || offset % PageSize != 0 || length % PageSize != 0)
        {
            throw new ArgumentException($"RAM at 0x{address:x} ({name}) is not made of whole pages.", nameof(address));
        }
        if (offset < 0 || length <= 0 || offset > backing.Bytes.Length - length) throw new ArgumentOutOfRangeException(nameof(length));
        return Insert(new MemoryRegion(address, backing, offset, length, protection, name));
    }

    /// <summary>Maps device registers; address and length may be any.</summary>
    /// <exception cref="ArgumentException">The range is not free or outside the address width.</exception>
    public MemoryRegion MapMmio(ulong address, ulong length, IMmioHandler handler, string name)
        => Insert(new MemoryRegion(RegionKind.Mmio, address, length, name) { Handler = handler });

    /// <summary>Makes every access to a range a fault that names it.</summary>
    /// <exception cref="ArgumentException">The range is not free or outside the address width.</exception>
    public MemoryRegion MapGuard(ulong address, ulong length, GuardKind guard, string name)
        => Insert(new MemoryRegion(RegionKind.Guard, address, length, name) { Guard = guard });

    /// <exception cref="ArgumentException">The region is not mapped here.</exception>
    public void Unmap(MemoryRegion region)
    {
        ArgumentNullException.ThrowIfNull(region);
        int index = IndexOf(region.Address);
        if (index < 0 || _regions[index] != region) throw new ArgumentException($"{region.Name} is not mapped.", nameof(region));
        _regions.RemoveAt(index);
        MappingChanged(region);
    }

    /// <summary>Changes what the pages that hold this range allow.</summary>
    /// <exception cref="ArgumentException">Not all of it is RAM.</exception>
    public void Protect(ulong address, ulong length, Protection protection)
    {
        if (length == 0) return;
        ulong last = (address + length - 1) & PageMask;
        for (ulong page = address & PageMask; ; page += PageSize)
        {
            if (RegionAt(page) is not { Kind: RegionKind.Ram } region) throw new ArgumentException($"No RAM at 0x{page:x}.", nameof(address));
            region.Protect(page, protection);
            Forget(page);
            if (region.Backing!.HasCode(region.BackingOffset + (int)(page - region.Address))) DiscardDecodedCode();
            if (page == last) return;
        }
    }

    /// <summary>The region that holds the address, or null.</summary>
    public MemoryRegion? RegionAt(ulong address)
    {
        int index = IndexOf(address);
        return index >= 0 && _regions[index].Contains(address) ? _regions[index] : null;
    }

    /// <summary>Whether the page at this address may be paged out.</summary>
    public bool IsPageable(ulong address) => RegionAt(address) is { Kind: RegionKind.Ram } region && (region.ProtectionAt(address) & Protection.Pageable) != 0;

    /// <summary>Whether nothing is mapped in the range.</summary>
    public bool IsFree(ulong address, ulong length)
    {
        if (length == 0 || address > _lastAddress || length - 1 > _lastAddress - address) return false;
        int index = IndexOf(address + (length - 1));
        return index < 0 || (_regions[index].Address < address && !_regions[index].Contains(address));
    }

    /// <summary>Says in words where an address lies: in which region, or how far from the nearest one.</summary>
    public string Describe(ulong address)
    {
        int index = IndexOf(address);
        if (index >= 0)
        {
            MemoryRegion below = _regions[index];
            if (below.Contains(address)) return $"{below.Name}+0x{address - below.Address:x}";
            if (address - below.End < PageSize) return $"0x{address - below.End:x} bytes past the end of {below.Name}";
        }
        if (index + 1 < _regions.Count && _regions[index + 1].Address - address <= PageSize)
        {
            return $"0x{_regions[index + 1].Address - address:x} bytes before {_regions[index + 1].Name}";
        }
        return "no region";
    }

    /// <summary>Throws away decoded instructions: for hosts that changed code through <see cref="RamBacking.Bytes"/>.</summary>
    public void DiscardDecodedCode()
    {
        foreach (MemoryRegion region in _regions) region.Backing?.ForgetCode();
        CodeChanged?.Invoke();
    }

    // ---- single accesses: the CPU's path ----

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryRead8(ulong address, out byte value)
    {
        ref readonly CachedPage page = ref _cache[(int)(address / PageSize) & (CacheSize - 1)];
        if ((address & PageMask) == page.ReadTag)
        {
            value = page.Bytes[page.Offset + ((int)address & (PageSize - 1))];
            return true;
        }
        bool done = TryReadSlowly(address, 1, out ulong wide);
        value = (byte)wide;
        return done;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryRead16(ulong address, out ushort value)
    {
        ref readonly CachedPage page = ref _cache[(int)(address / PageSize) & (CacheSize - 1)];
        // The page of the last byte: an access that crosses a page never equals the tag kept under its first byte's page.
        if (((address + 1) & PageMask) == page.ReadTag)
        {
            value = BinaryPrimitives.ReadUInt16LittleEndian(page.Bytes.AsSpan(page.Offset + ((int)address & (PageSize - 1))));
            return true;
        }
        bool done = TryReadSlowly(address, 2, out ulong wide);
        value = (ushort)wide;
        return done;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryRead32(ulong address, out uint value)
    {
        ref readonly CachedPage page = ref _cache[(int)(address / PageSize) & (CacheSize - 1)];
        if (((address + 3) & PageMask) == page.ReadTag)
        {
            value = BinaryPrimitives.ReadUInt32LittleEndian(page.Bytes.AsSpan(page.Offset + ((int)address & (PageSize - 1))));
            return true;
        }
        bool done = TryReadSlowly(address, 4, out ulong wide);
        value = (uint)wide;
        return done;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryRead64(ulong address, out ulong value)
    {
        ref readonly CachedPage page = ref _cache[(int)(address / PageSize) & (CacheSize - 1)];
        if (((address + 7) & PageMask) == page.ReadTag)
        {
            value = BinaryPrimitives.ReadUInt64LittleEndian(page.Bytes.AsSpan(page.Offset + ((int)address & (PageSize - 1))));
            return true;
        }
        return TryReadSlowly(address, 8, out value);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryWrite8(ulong address, byte value)
    {
        ref readonly CachedPage page = ref _cache[(int)(address / PageSize) & (CacheSize - 1)];
        if ((address & PageMask) != page.WriteTag) return TryWriteSlowly(address, 1, value);
        page.Bytes[page.Offset + ((int)address & (PageSize - 1))] = value;
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryWrite16(ulong address, ushort value)
    {
        ref readonly CachedPage page = ref _cache[(int)(address / PageSize) & (CacheSize - 1)];
        if (((address + 1) & PageMask) != page.WriteTag) return TryWriteSlowly(address, 2, value);
        BinaryPrimitives.WriteUInt16LittleEndian(page.Bytes.AsSpan(page.Offset + ((int)address & (PageSize - 1))), value);
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryWrite32(ulong address, uint value)
    {
        ref readonly CachedPage page = ref _cache[(int)(address / PageSize) & (CacheSize - 1)];
        if (((address + 3) & PageMask) != page.WriteTag) return TryWriteSlowly(address, 4, value);
        BinaryPrimitives.WriteUInt32LittleEndian(page.Bytes.AsSpan(page.Offset + ((int)address & (PageSize - 1))), value);
        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryWrite64(ulong address, ulong value)
    {
        ref readonly CachedPage page = ref _cache[(int)(address / PageSize) & (CacheSize - 1)];
        if (((address + 7) & PageMask) != page.WriteTag) return TryWriteSlowly(address, 8, value);
        BinaryPrimitives.WriteUInt64LittleEndian(page.Bytes.AsSpan(page.Offset + ((int)address & (PageSize - 1))), value);
        return true;
    }

    /// <summary>Reads 16 bytes; device registers as two of 8, low half first.</summary>
    public bool TryRead128(ulong address, out UInt128 value)
    {
        value = default;
        if (!TryRead64(address, out ulong low) || !TryRead64(address + 8, out ulong high)) return false;
        value = new UInt128(high, low);
        return true;
    }

    /// <summary>Writes 16 bytes or none; device registers as two of 8, low half first.</summary>
    public bool TryWrite128(ulong address, UInt128 value)
        // The last byte decides whether the second half can fail after the first was stored.
        => CanWrite(address + 15) && TryWrite64(address, (ulong)value) && TryWrite64(address + 8, (ulong)(value >> 64));

    /// <summary>Reads a pointer of the address width.</summary>
    public bool TryReadPointer(ulong address, out ulong value)
    {
        if (Width == AddressWidth.Bits64) return TryRead64(address, out value);
        bool done = TryRead32(address, out uint narrow);
        value = narrow;
        return done;
    }

    /// <summary>Writes a pointer of the address width.</summary>
    public bool TryWritePointer(ulong address, ulong value)
        => Width == AddressWidth.Bits64 ? TryWrite64(address, value) : TryWrite32(address, (uint)value);

    // ---- bulk accesses: the host's path ----

    /// <summary>Reads as the driver would. False, and nothing read, unless all of it is readable RAM.</summary>
    public bool TryReadBytes(ulong address, Span<byte> destination)
        => TryCheck(address, destination.Length, MemoryAccess.Read) && CopyOut(address, destination);

    /// <summary>Writes as the driver would. False, and nothing written, unless all of it is writable RAM.</summary>
    public bool TryWriteBytes(ulong address, ReadOnlySpan<byte> source) => TryCheck(address, source.Length, MemoryAccess.Write) && CopyIn(address, source);

    /// <summary>Reads RAM whatever its protection, as a debugger does; registers and guards are never touched.</summary>
    public bool TryPeek(ulong address, Span<byte> destination) => TryCheck(address, destination.Length, null) && CopyOut(address, destination);

    /// <summary>Writes RAM whatever its protection, as a loader does; registers and guards are never touched.</summary>
    public bool TryPoke(ulong address, ReadOnlySpan<byte> source) => TryCheck(address, source.Length, null) && CopyIn(address, source);

    /// <summary>
    /// The bytes themselves, when the range lies in one region of RAM that allows the access. Valid while it stays mapped.
    /// </summary>
    public bool TryView(ulong address, int length, bool writable, out Span<byte> view)
    {
        view = default;
        if (!TryCheck(address, length, writable ? MemoryAccess.Write : MemoryAccess.Read)) return false;
        if (length == 0) return true;
        MemoryRegion region = RegionAt(address)!;
        if ((ulong)length > region.Length - (address - region.Address)) return Fault(MemoryFaultKind.Device, MemoryAccess.Read, address, length, region);
        int offset = region.BackingOffset + (int)(address - region.Address);
        if (writable && region.Backing!.HasCode(offset, length)) DiscardDecodedCode();
        view = region.Backing!.Bytes.AsSpan(offset, length);
        return true;
    }

    /// <summary>Reads 8-bit characters up to a zero or the limit. Null when it runs into memory that cannot be read.</summary>
    public string? ReadString8(ulong address, int limit = 1024)
    {
        var text = new System.Text.StringBuilder();
        for (; text.Length < limit; address++)
        {
            if (!TryRead8(address, out byte character)) return null;
            if (character == 0) break;
            text.Append((char)character);
        }
        return text.ToString();
    }

    /// <summary>Reads 16-bit characters up to a zero or the limit. Null when it runs into memory that cannot be read.</summary>
    public string? ReadString16(ulong address, int limit = 1024)
    {
        var text = new System.Text.StringBuilder();
        for (; text.Length < limit; address += 2)
        {
            if (!TryRead16(address, out ushort character)) return null;
            if (character == 0) break;
            text.Append((char)character);
        }
        return text.ToString();
    }

    // ---- code ----

    /// <summary>Reads one byte of code and marks it as decoded, so that a later store to it is noticed.</summary>
    internal bool TryFetch(ulong address, out byte value)
    {
        value = 0;
        MemoryRegion? region = address > _lastAddress ? null : RegionAt(address);
        if (!Allows(region, address, 1, MemoryAccess.Execute)) return false;
        int offset = region!.BackingOffset + (int)(address - region.Address);
        // The page's cached write permission would let stores pass unseen, at this address and at every alias.
        if (region.Backing!.MarkCode(offset, 1)) ForgetPages();
        value = region.Backing.Bytes[offset];
        return true;
    }

    // ---- inside ----

    private struct CachedPage
    {
        public ulong ReadTag;
        public ulong WriteTag;
        public byte[] Bytes;
        public int Offset;
    }

    private MemoryRegion Insert(MemoryRegion region)
    {
        if (!IsFree(region.Address, region.Length))
        {
            string place = $"0x{region.Address:x}..0x{region.End - 1:x}";
            throw new ArgumentException($"{place} is not free for {region.Name}: {Describe(region.Address)}.", nameof(region));
        }
        _regions.Insert(IndexOf(region.Address) + 1, region);
        return region;
    }

    /// <summary>The last region that starts at or below the address, or -1.</summary>
    private int IndexOf(ulong address)
    {
        int low = 0, high = _regions.Count - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            if (_regions[middle].Address <= address) low = middle + 1;
            else high = middle - 1;
        }
        return high;
    }

    private void MappingChanged(MemoryRegion region)
    {
        if (region.Kind != RegionKind.Ram) return;
        if (region.Length > 16 * PageSize) ForgetPages();
        else for (ulong page = region.Address; page != region.End; page += PageSize) Forget(page);
        for (ulong page = 0; page < region.Length; page += PageSize)
        {
            if (!region.Backing!.HasCode(region.BackingOffset + (int)page)) continue;
            region.Backing.ForgetCode();
            DiscardDecodedCode();
            return;
        }
    }

    private void Forget(ulong page)
    {
        ref CachedPage entry = ref _cache[(int)(page / PageSize) & (CacheSize - 1)];
        entry.ReadTag = entry.WriteTag = NoPage;
    }

    private void ForgetPages()
    {
        foreach (ref CachedPage entry in _cache.AsSpan()) entry.ReadTag = entry.WriteTag = NoPage;
    }

    private bool Fault(MemoryFaultKind kind, MemoryAccess access, ulong address, int size, MemoryRegion? region)
    {
        _lastFault = new MemoryFault(kind, access, address, size, region);
        return false;
    }

    /// <summary>Whether one byte of RAM allows the access; else the fault is noted.</summary>
    private bool Allows([NotNullWhen(true)] MemoryRegion? region, ulong address, int size, MemoryAccess access)
    {
        if (region is null) return Fault(MemoryFaultKind.Unmapped, access, address, size, null);
        if (region.Kind == RegionKind.Guard) return Fault(MemoryFaultKind.Guard, access, address, size, region);
        if (region.Kind == RegionKind.Mmio) return Fault(MemoryFaultKind.Device, access, address, size, region);
        Protection needed = access switch { MemoryAccess.Read => Protection.Read, MemoryAccess.Write => Protection.Write, _ => Protection.Execute };
        Protection protection = region.ProtectionAt(address);
        if ((protection & needed) == 0) return Fault(MemoryFaultKind.Protection, access, address, size, region);
        if ((protection & Protection.Pageable) != 0 && access != MemoryAccess.Execute) PageableTouched?.Invoke(address);
        return true;
    }

    private bool CanWrite(ulong address)
    {
        MemoryRegion? region = address > _lastAddress ? null : RegionAt(address);
        return region?.Kind == RegionKind.Mmio || Allows(region, address, 1, MemoryAccess.Write);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryReadSlowly(ulong address, int size, out ulong value)
    {
        value = 0;
        MemoryRegion? region = address > _lastAddress ? null : RegionAt(address);
        if (region is { Kind: RegionKind.Mmio })
        {
            if ((ulong)size > region.Length - (address - region.Address)) return Fault(MemoryFaultKind.Device, MemoryAccess.Read, address, size, region);
            value = region.Handler!.Read(address - region.Address, size) & (ulong.MaxValue >> (64 - (8 * size)));
            return true;
        }
        if (!TryCheck(address, size, MemoryAccess.Read)) return false;
        Remember(address, region!);
        for (int i = 0; i < size; i++)
        {
            value |= (ulong)ByteAt(address + (uint)i) << (8 * i);
        }
        return true;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool TryWriteSlowly(ulong address, int size, ulong value)
    {
        MemoryRegion? region = address > _lastAddress ? null : RegionAt(address);
        if (region is { Kind: RegionKind.Mmio })
        {
            if ((ulong)size > region.Length - (address - region.Address)) return Fault(MemoryFaultKind.Device, MemoryAccess.Write, address, size, region);
            region.Handler!.Write(address - region.Address, size, value);
            return true;
        }
        if (!TryCheck(address, size, MemoryAccess.Write)) return false;
        Remember(address, region!);
        bool changesCode = false;
        for (int i = 0; i < size; i++)
        {
            MemoryRegion at = RegionAt(address + (uint)i)!;
            int offset = at.BackingOffset + (int)(address + (uint)i - at.Address);
            at.Backing!.Bytes[offset] = (byte)(value >> (8 * i));
            changesCode |= at.Backing.HasCode(offset, 1);
        }
        if (changesCode) DiscardDecodedCode();
        return true;
    }

    private byte ByteAt(ulong address)
    {
        MemoryRegion region = RegionAt(address)!;
        return region.Backing!.Bytes[region.BackingOffset + (int)(address - region.Address)];
    }

    /// <summary>Caches the page of an address that was just accessed.</summary>
    private void Remember(ulong address, MemoryRegion region)
    {
        ulong page = address & PageMask;
        Protection protection = region.ProtectionAt(page);
        // Each access to it must be seen.
        if ((protection & Protection.Pageable) != 0) return;
        int offset = region.BackingOffset + (int)(page - region.Address);
        _cache[(int)(page / PageSize) & (CacheSize - 1)] = new CachedPage
        {
            ReadTag = (protection & Protection.Read) != 0 ? page : NoPage,
            WriteTag = (protection & Protection.Write) != 0 && !region.Backing!.HasCode(offset) ? page : NoPage,
            Bytes = region.Backing!.Bytes,
            Offset = offset,
        };
    }

    /// <summary>Whether a range is all RAM that allows the access (null: whatever its protection); else the fault is noted.</summary>
    private bool TryCheck(ulong address, int length, MemoryAccess? access)
    {
        if (length == 0) return true;
        MemoryAccess shown = access ?? MemoryAccess.Read;
        if (address > _lastAddress || (ulong)length - 1 > _lastAddress - address) return Fault(MemoryFaultKind.Unmapped, shown, address, length, null);
        ulong last = address + (uint)length - 1;
        for (ulong at = address; ;)
        {
            MemoryRegion? region = RegionAt(at);
            if (access is null && region is { Kind: RegionKind.Ram })
            {
                // Protection does not matter: on to the region's end.
                if (last - at < region.Length - (at - region.Address)) return true;
                at = region.End;
                continue;
            }
            if (!Allows(region, at, length, shown)) return false;
            if ((at & PageMask) == (last & PageMask)) return true;
            at = (at & PageMask) + PageSize;
        }
    }

    private bool CopyOut(ulong address, Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            Span<byte> piece = Piece(address, destination.Length, out _);
            piece.CopyTo(destination);
            destination = destination[piece.Length..];
            address += (uint)piece.Length;
        }
        return true;
    }

    private bool CopyIn(ulong address, ReadOnlySpan<byte> source)
    {
        bool changesCode = false;
        while (source.Length > 0)
        {
            Span<byte> piece = Piece(address, source.Length, out bool hasCode);
            source[..piece.Length].CopyTo(piece);
            changesCode |= hasCode;
            source = source[piece.Length..];
            address += (uint)piece.Length;
        }
        if (changesCode) DiscardDecodedCode();
        return true;
    }

    /// <summary>As much of a checked range as lies in one region.</summary>
    private Span<byte> Piece(ulong address, int length, out bool hasCode)
    {
        MemoryRegion region = RegionAt(address)!;
        int count = (int)Math.Min((ulong)length, region.Length - (address - region.Address));
        int offset = region.BackingOffset + (int)(address - region.Address);
        hasCode = region.Backing!.HasCode(offset, count);
        return region.Backing.Bytes.AsSpan(offset, count);
    }
}
