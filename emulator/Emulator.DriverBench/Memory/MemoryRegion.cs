namespace Emulator.DriverBench.Memory;

/// <summary>A range of addresses of one kind. Made by <see cref="AddressSpace"/>.</summary>
public sealed class MemoryRegion
{
    private readonly Protection[] _protections;

    internal MemoryRegion(RegionKind kind, ulong address, ulong length, string name)
    {
        (Kind, Address, Length, Name) = (kind, address, length, name);
        _protections = [];
    }

    internal MemoryRegion(ulong address, RamBacking backing, int offset, int length, Protection protection, string name)
        : this(RegionKind.Ram, address, (ulong)length, name)
    {
        (Backing, BackingOffset) = (backing, offset);
        _protections = new Protection[length / AddressSpace.PageSize];
        Array.Fill(_protections, protection);
    }

    public RegionKind Kind { get; }
    public ulong Address { get; }

    /// <summary>In bytes.</summary>
    public ulong Length { get; }

    /// <summary>The first address behind it (0 when it ends at 2^64).</summary>
    public ulong End => Address + Length;

    /// <summary>What messages call it.</summary>
    public string Name { get; set; }

    /// <summary>The bytes of RAM, else null.</summary>
    public RamBacking? Backing { get; }

    /// <summary>Where in <see cref="Backing"/> the region starts.</summary>
    public int BackingOffset { get; }

    /// <summary>The registers of a device region, else null.</summary>
    public IMmioHandler? Handler { get; internal init; }
    public GuardKind Guard { get; internal init; }

    /// <summary>Whatever the owner wants to find again.</summary>
    public object? Tag { get; set; }

    public bool Contains(ulong address) => address - Address < Length;

    /// <summary>What the page at this address allows; device regions are read and write.</summary>
    public Protection ProtectionAt(ulong address) => Kind switch
    {
        RegionKind.Mmio => Protection.ReadWrite,
        RegionKind.Guard => Protection.None,
        _ => _protections[(int)((address - Address) / AddressSpace.PageSize)],
    };

    internal void Protect(ulong address, Protection protection) => _protections[(int)((address - Address) / AddressSpace.PageSize)] = protection;

    public override string ToString() => $"{Name} [0x{Address:x}, 0x{Length:x} bytes, {Kind}]";
}
