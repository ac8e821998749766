using System.Numerics;
using Emulator.Registers;
using static Emulator.Registers.Access;

namespace Emulator.Pci.Capabilities;

/// <summary>Message Signaled Interrupts (PCI 3.0, 6.8.1), with per-vector masking.</summary>
public sealed class MsiCapability
{
    private readonly Field _enable, _allocated, _mask, _pending;
    private readonly Register _address, _data;
    private readonly Register? _addressHigh;

    internal MsiCapability(ConfigurationSpace config, int vectors, bool wide, int at, Action changed)
    {
        if (vectors is not (1 or 2 or 4 or 8 or 16 or 32))
            throw new ArgumentException($"MSI offers 1, 2, 4, 8, 16 or 32 vectors, not {vectors}.", nameof(vectors));
        Vectors = vectors;
        int data = wide ? 0xc : 0x8;
        Offset = config.AddCapability(0x05, "MSI", data + 0xc, at);
        config.Define("MSI_CTRL", Offset + 2, 2, "Message Control for MSI.")
            .Bit(0, "EN", ReadWrite, out _enable, summary: "MSI Enable.")
            .Bits(3, 1, "MMC", ReadOnly, reset: (ulong)BitOperations.Log2((uint)vectors), summary: "Multiple Message Capable, log2.")
            .Bits(6, 4, "MME", ReadWrite, out _allocated, summary: "Multiple Message Enable, log2.")
            .Bit(7, "64B", ReadOnly, reset: wide ? 1u : 0u, summary: "64-bit address capable.")
            .Bit(8, "PVM", ReadOnly, reset: 1, summary: "Per-vector masking capable.")
            .OnWrite((int _, in RegisterWrite _) => changed());
        _address = config.Define("MSI_ADDR", Offset + 4, 4, "Message address.").Bits(31, 2, "ADDR", ReadWrite);
        if (wide) _addressHigh = config.Define("MSI_ADDR_HI", Offset + 8, 4, "Message address, high half.").Bits(31, 0, "ADDR", ReadWrite);
        _data = config.Define("MSI_DATA", Offset + data, 2, "Message data.").Bits(15, 0, "DATA", ReadWrite);
        config.Define("MSI_MASK", Offset + data + 4, 4, "Mask bits.")
            .Bits(vectors - 1, 0, "MASK", ReadWrite, out _mask)
            .OnWrite((int _, in RegisterWrite _) => changed());
        config.Define("MSI_PENDING", Offset + data + 8, 4, "Pending bits.").Bits(vectors - 1, 0, "PENDING", ReadOnly, out _pending);
    }

    /// <summary>Bytes into configuration space.</summary>
    public int Offset { get; }
    public int Vectors { get; }
    public bool IsEnabled => _enable.IsSet;

    /// <summary>Where the guest wants the message of vector 0.</summary>
    public ulong Address => _address.Value | ((_addressHigh?.Value ?? 0) << 32);

    /// <summary>The 16-bit data of a vector: the low bits of the guest's value are the vector.</summary>
    public ushort Data(int vector) => (ushort)((_data.Value & ~(ulong)(Allocated - 1)) | (uint)vector);

    internal bool IsMasked(int vector) => (_mask.Value >> vector & 1) != 0;
    internal bool IsPending(int vector) => (_pending.Value >> vector & 1) != 0;

    // 6.8.1.3: with fewer vectors allocated than offered, the function shares what it has.
    internal int Fold(int vector) => vector & (Allocated - 1);

    internal void SetPending(int vector, bool pending)
        => _pending.Value = pending ? _pending.Value | (1UL << vector) : _pending.Value & ~(1UL << vector);

    private int Allocated => Math.Min(Vectors, 1 << (int)_allocated.Value);
}
