using Emulator.Registers;
using static Emulator.Registers.Access;

namespace Emulator.Pci.Capabilities;

/// <summary>The MSI-X table (PCI 3.0, 6.8.2.6): 16 bytes a vector.</summary>
public sealed class MsiXTable : RegisterBank
{
    internal const int EntrySize = 16;

    private readonly Register[] _address, _data;
    private readonly Field[] _mask;

    public MsiXTable(int vectors) : base("MSIX_TABLE", vectors * EntrySize, "MSI-X table.")
    {
        AccessSizes = AccessSizes.Dword | AccessSizes.Qword;
        _mask = new Field[vectors];
        _address = AddArray("MSG_ADDR", 0x0, 8, vectors, EntrySize, r => r.Bits(63, 2, "ADDR", ReadWrite), "Message address.");
        _data = AddArray("MSG_DATA", 0x8, 4, vectors, EntrySize, r => r.Bits(31, 0, "DATA", ReadWrite), "Message data.");
        VectorControl = AddArray("VECTOR_CTRL", 0xc, 4, vectors, EntrySize,
            r => r.Bit(0, "MASK", ReadWrite, out _mask[r.Index], reset: 1), "Vector control.");
    }

    internal Register[] VectorControl { get; }

    /// <summary>Where the guest wants a vector's message.</summary>
    public ulong Address(int vector) => _address[vector].Value;

    /// <summary>The 32-bit data of a vector's message.</summary>
    public uint Data(int vector) => (uint)_data[vector].Value;

    internal bool IsMasked(int vector) => _mask[vector].IsSet;
}

/// <summary>The MSI-X pending bit array (PCI 3.0, 6.8.2.10): 64 vectors a quadword.</summary>
public sealed class MsiXPendingBits : RegisterBank
{
    private readonly Register[] _pending;

    public MsiXPendingBits(int vectors) : base("MSIX_PBA", (vectors + 63) / 64 * 8, "MSI-X pending bit array.")
        => _pending = AddArray("PENDING", 0, 8, (vectors + 63) / 64, 8, r => r.Bits(63, 0, "PENDING", ReadOnly), "One bit a vector.");

    internal bool IsPending(int vector) => (_pending[vector / 64].Value >> (vector % 64) & 1) != 0;

    internal void Set(int vector, bool pending)
    {
        ulong bit = 1UL << (vector % 64);
        Register register = _pending[vector / 64];
        register.Value = pending ? register.Value | bit : register.Value & ~bit;
    }
}

/// <summary>MSI-X (PCI 3.0, 6.8.2): a table of vectors and their pending bits in a memory BAR.</summary>
public sealed class MsiXCapability
{
    /// <summary>More vectors than this make Windows refuse some devices; ask for more only knowingly.</summary>
    public const int UsualMaximum = 16;

    internal const int Length = 12, LargestTable = 2048;

    private readonly Field _enable, _functionMask;
    private readonly MsiXPendingBits _pending;

    internal MsiXCapability(ConfigurationSpace config, int vectors, Bar bar, ulong tableOffset, ulong pendingOffset, int at, Action changed)
    {
        if (vectors is < 1 or > LargestTable) throw new ArgumentException($"MSI-X offers 1 to 2048 vectors, not {vectors}.", nameof(vectors));
        if (bar.Kind == BarKind.Io || tableOffset % 8 != 0 || pendingOffset % 8 != 0)
            throw new ArgumentException("The MSI-X table and pending bits live in a memory BAR, at multiples of 8.", nameof(bar));
        Vectors = vectors;
        Table = new MsiXTable(vectors);
        _pending = new MsiXPendingBits(vectors);
        foreach (Register control in Table.VectorControl) control.OnWrite((int _, in RegisterWrite _) => changed());
        bar.Add(tableOffset, Table).Add(pendingOffset, _pending);
        Offset = config.AddCapability(0x11, "MSIX", Length, at);
        config.Define("MSIX_CTRL", Offset + 2, 2, "Message Control for MSI-X.")
            .Bits(10, 0, "SIZE", ReadOnly, reset: (ulong)vectors - 1, summary: "Table size, less one.")
            .Bit(14, "FMASK", ReadWrite, out _functionMask, summary: "Function Mask.")
            .Bit(15, "EN", ReadWrite, out _enable, summary: "MSI-X Enable.")
            .OnWrite((int _, in RegisterWrite _) => changed());
        config.Define("MSIX_TABLE", Offset + 4, 4)
            .Bits(2, 0, "BIR", ReadOnly, (ulong)bar.Index, "The BAR that holds the table.")
            .Bits(31, 3, "OFFSET", ReadOnly, tableOffset >> 3, "In units of 8 bytes.");
        config.Define("MSIX_PBA", Offset + 8, 4)
            .Bits(2, 0, "BIR", ReadOnly, (ulong)bar.Index, "The BAR that holds the pending bits.")
            .Bits(31, 3, "OFFSET", ReadOnly, pendingOffset >> 3, "In units of 8 bytes.");
    }

    /// <summary>Bytes into configuration space.</summary>
    public int Offset { get; }
    public int Vectors { get; }
    public MsiXTable Table { get; }
    public bool IsEnabled => _enable.IsSet;

    internal bool IsMasked(int vector, bool followsTable) => _functionMask.IsSet || (followsTable && Table.IsMasked(vector));
    internal bool IsPending(int vector) => _pending.IsPending(vector);
    internal void SetPending(int vector, bool pending) => _pending.Set(vector, pending);
}
