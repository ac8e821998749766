using System.ComponentModel;

namespace DeviceModels.Scratch;

/// <summary>What is behind a base address register.</summary>
public enum ScratchBarKind { Io, Memory32, Memory64 }

/// <summary>What a BAR's bytes are.</summary>
public enum ScratchContent
{
    /// <summary>Memory: any access of any width, and the only content a client may map.</summary>
    Ram,
    /// <summary>32-bit registers, each plain read-write, seen by name in a trace. At most 64K.</summary>
    Registers,
}

/// <summary>Whether a client may map a BAR into its guest, so that accesses no longer reach the emulator.</summary>
public enum ScratchMapping { None, All }

/// <summary>The INTx pin.</summary>
public enum ScratchPin { None, A, B, C, D }

/// <summary>
/// A PCI function described by data: to prototype a device, and to try clients against the server.
/// </summary>
/// <remarks>
/// Identifiers, sizes, offsets and byte values are strings, because JSON knows no hexadecimal: "0x1af4", "4096", or a size
/// with a suffix, "64K", "1M", "2G" (powers of 1024). Counts and indices are plain numbers. What is left out has a default.
/// The properties have setters because source-generated JSON readers lose the defaults of init-only ones.
/// </remarks>
public sealed record ScratchOptions
{
    /// <summary>Vendor ID, 16 bits. Default "0x1af4", whose devices 0x10f0 to 0x10ff are free for experiments.</summary>
    public string? Vendor { get; set; }

    /// <summary>Device ID, 16 bits. Default "0x10f0".</summary>
    public string? Device { get; set; }

    /// <summary>Subsystem Vendor ID, 16 bits. Default: the vendor.</summary>
    public string? SubsystemVendor { get; set; }

    /// <summary>Subsystem ID, 16 bits. Default: the device.</summary>
    public string? Subsystem { get; set; }

    /// <summary>Base class, subclass and programming interface, "0xBBSSPP". Default "0xff0000": of no class.</summary>
    public string? ClassCode { get; set; }

    /// <summary>Revision ID, 8 bits. Default "0x01".</summary>
    public string? Revision { get; set; }

    /// <summary>The base address registers. Default: BAR0, 32-bit memory, 4K of registers.</summary>
    public IReadOnlyList<ScratchBarOptions>? Bars { get; set; }

    /// <summary>How it interrupts. Default: INTA and no messages.</summary>
    public ScratchInterruptOptions? Interrupts { get; set; }

    /// <summary>What else its configuration space offers. Default: nothing.</summary>
    public ScratchCapabilityOptions? Capabilities { get; set; }

    /// <summary>A register block that moves guest memory and raises interrupts when told (<see cref="EngineRegisters"/>).
    /// Default: none; "{}" puts it at the start of BAR0.</summary>
    public ScratchEngineOptions? Engine { get; set; }
}

/// <summary>A base address register.</summary>
public sealed record ScratchBarOptions
{
    /// <summary>0 to 5. A 64-bit BAR takes the next one too.</summary>
    [Description("0 to 5. A 64-bit BAR takes the next one too.")]
    public int Index { get; set; }

    /// <summary>"Io", "Memory32" or "Memory64". Default "Memory32".</summary>
    [Description("\"io\", \"memory32\" or \"memory64\". Default \"memory32\".")]
    public ScratchBarKind Kind { get; set; } = ScratchBarKind.Memory32;

    /// <summary>Bytes, a power of two: 4 to 256 for I/O, 16 to 1G for memory. Default "4K", for I/O "256".</summary>
    [Description("Bytes, a power of two: 4 to 256 for I/O, 16 to 1G for memory. Default \"4K\", for I/O \"256\".")]
    public string? Size { get; set; }

    /// <summary>"Ram" or "Registers". Default "Registers" up to 64K, "Ram" above.</summary>
    [Description("\"ram\" or \"registers\". Default \"registers\" up to 64K, \"ram\" above.")]
    public ScratchContent? Content { get; set; }

    /// <summary>"None" or "All" of its RAM. Default "None". Registers inside the BAR keep their pages from being mapped.</summary>
    [Description("\"none\" or \"all\" of its RAM. Default \"none\". Registers inside the BAR keep their pages from being mapped.")]
    public ScratchMapping? Mapped { get; set; }

    /// <summary>Only these areas of the RAM may be mapped (a sparse BAR); instead of <see cref="Mapped"/>.</summary>
    [Description("Only these areas of the RAM may be mapped (a sparse BAR); instead of mapped.")]
    public IReadOnlyList<ScratchArea>? MappedAreas { get; set; }

    /// <summary>Whether reads have no side effects, as configuration space tells it. Memory only. Default false.</summary>
    [Description("Whether reads have no side effects, as configuration space tells it. Memory only. Default false.")]
    public bool Prefetchable { get; set; }

    /// <summary>The byte the content is full of at power-on, such as "0xff". Default "0".</summary>
    [Description("The byte the content is full of at power-on, such as \"0xff\". Default \"0\".")]
    public string? Fill { get; set; }

    /// <summary>A file whose bytes are the start of the content at power-on; the rest is <see cref="Fill"/>.</summary>
    [Description("A file whose bytes are the start of the content at power-on; the rest is fill.")]
    public string? File { get; set; }
}

/// <summary>A part of a BAR: whole pages of 4K.</summary>
public sealed record ScratchArea
{
    /// <summary>Bytes from the start of the BAR, a multiple of 4K. Default "0".</summary>
    [Description("Bytes from the start of the BAR, a multiple of 4K. Default \"0\".")]
    public string? Offset { get; set; }

    /// <summary>Bytes, a multiple of 4K.</summary>
    [Description("Bytes, a multiple of 4K.")]
    public string? Size { get; set; }
}

/// <summary>How the function interrupts.</summary>
public sealed record ScratchInterruptOptions
{
    /// <summary>"None", "A", "B", "C" or "D". Default "A".</summary>
    [Description("\"none\", \"a\", \"b\", \"c\" or \"d\". Default \"a\".")]
    public ScratchPin Pin { get; set; } = ScratchPin.A;

    /// <summary>MSI vectors: 1, 2, 4, 8, 16 or 32. Default: no MSI.</summary>
    [Description("MSI vectors: 1, 2, 4, 8, 16 or 32. Default: no MSI.")]
    public int? Msi { get; set; }

    /// <summary>MSI-X. Default: none.</summary>
    [Description("MSI-X. Default: none.")]
    public ScratchMsiXOptions? MsiX { get; set; }
}

/// <summary>MSI-X: a table of vectors, and their pending bits, in a memory BAR.</summary>
public sealed record ScratchMsiXOptions
{
    /// <summary>1 to 16; to 2048 with <see cref="AllowMany"/>. Default 1.</summary>
    [Description("1 to 16; to 2048 with allowMany. Default 1.")]
    public int Vectors { get; set; } = 1;

    /// <summary>The BAR that holds both. Default: a BAR of its own, the highest that is free.</summary>
    [Description("The BAR that holds both. Default: a BAR of its own, the highest that is free.")]
    public int? Bar { get; set; }

    /// <summary>Bytes from the start of the BAR, a multiple of 8. Default "0".</summary>
    [Description("Bytes from the start of the BAR, a multiple of 8. Default \"0\".")]
    public string? TableOffset { get; set; }

    /// <summary>Bytes from the start of the BAR, a multiple of 8. Default: right after the table.</summary>
    [Description("Bytes from the start of the BAR, a multiple of 8. Default: right after the table.")]
    public string? PendingOffset { get; set; }

    /// <summary>Allows more than 16 vectors, which Windows refuses on some devices.</summary>
    [Description("Allows more than 16 vectors, which Windows refuses on some devices.")]
    public bool AllowMany { get; set; }
}

/// <summary>Capabilities without a behaviour of their own, besides resets and power.</summary>
public sealed record ScratchCapabilityOptions
{
    /// <summary>PCI Power Management: D0 and D3hot.</summary>
    [Description("PCI Power Management: D0 and D3hot.")]
    public bool PowerManagement { get; set; }

    /// <summary>A PCI Express endpoint with Function Level Reset and 4096 bytes of configuration space.</summary>
    [Description("A PCI Express endpoint with Function Level Reset and 4096 bytes of configuration space.")]
    public bool PciExpress { get; set; }

    /// <summary>Function Level Reset for a conventional function; not together with <see cref="PciExpress"/>.</summary>
    [Description("Function Level Reset for a conventional function; not together with pciExpress.")]
    public bool AdvancedFeatures { get; set; }

    /// <summary>Vendor-specific capabilities: the bytes of each after its length, in hexadecimal, such as "00 11 22 33".</summary>
    [Description("Vendor-specific capabilities: the bytes of each after its length, in hexadecimal, such as \"00 11 22 33\".")]
    public IReadOnlyList<string>? VendorSpecific { get; set; }
}

/// <summary>Where the DMA and interrupt engine is.</summary>
public sealed record ScratchEngineOptions
{
    /// <summary>The BAR. Default 0.</summary>
    [Description("The BAR. Default 0.")]
    public int Bar { get; set; }

    /// <summary>Bytes from the start of the BAR, a multiple of 8. Default "0".</summary>
    [Description("Bytes from the start of the BAR, a multiple of 8. Default \"0\".")]
    public string? Offset { get; set; }
}

/// <summary>An option that cannot be served: one line that names it, what is wrong, and what to write instead.</summary>
public sealed class ScratchOptionsException : Exception
{
    public ScratchOptionsException() { }
    public ScratchOptionsException(string message) : base(message) { }
    public ScratchOptionsException(string message, Exception innerException) : base(message, innerException) { }

    internal ScratchOptionsException(string option, string wrong, string remedy) : base($"{option}: {wrong}; {remedy}") { }
}
