using System.Numerics;
using Emulator.Registers;
using static Emulator.Registers.Access;

namespace Emulator.Pci;

/// <summary>
/// Configuration space of a type 0 function (PCI 3.0, 6.1 and 6.2), with a chain of capabilities. It is a register bank
/// like any other, so it is documented, decoded and tested like any other.
/// </summary>
public sealed class ConfigurationSpace : RegisterBank
{
    /// <summary>Bytes of conventional and of PCI Express configuration space.</summary>
    public const int ConventionalSize = 256, ExpressSize = 4096;

    private const int HeaderSize = 0x40;

    private readonly Register _command, _capabilitiesPointer;
    private readonly Field _capabilitiesList, _firstCapability;
    private readonly List<(string Name, int Offset, int Length)> _capabilities = [];
    private Field? _lastLink;

    internal readonly Field IoEnable, MemoryEnable, BusMasterEnable, InterruptDisable, InterruptStatus;

    internal ConfigurationSpace(PciIdentity identity)
        : base("CONFIG", ExpressSize, $"PCI configuration space of {identity}.")
    {
        Add("VENDOR_ID", 0x00, 2).Bits(15, 0, "VENDOR", ReadOnly, identity.Vendor);
        Add("DEVICE_ID", 0x02, 2).Bits(15, 0, "DEVICE", ReadOnly, identity.Device);
        _command = Add("COMMAND", 0x04, 2)
            .Bit(0, "IOSE", ReadWrite, out IoEnable, summary: "I/O Space Enable: the I/O BARs decode.")
            .Bit(1, "MSE", ReadWrite, out MemoryEnable, summary: "Memory Space Enable: the memory BARs decode.")
            .Bit(2, "BME", ReadWrite, out BusMasterEnable, summary: "Bus Master Enable: DMA and messages may leave the function.")
            .Bit(6, "PERR", ReadWrite, summary: "Parity Error Response.")
            .Bit(8, "SERR", ReadWrite, summary: "SERR# Enable.")
            .Bit(10, "INTDIS", ReadWrite, out InterruptDisable, summary: "Interrupt Disable: INTx stays deasserted.");
        Add("STATUS", 0x06, 2)
            .Bit(3, "INTS", ReadOnly, out InterruptStatus, summary: "Interrupt Status: INTx is wanted, whatever INTDIS says.")
            .Bit(4, "CAPL", ReadOnly, out _capabilitiesList, summary: "Capabilities List present.")
            .Bit(8, "MDPE", WriteOneToClear, summary: "Master Data Parity Error.")
            .Bit(11, "STA", WriteOneToClear, summary: "Signaled Target Abort.")
            .Bit(12, "RTA", WriteOneToClear, summary: "Received Target Abort.")
            .Bit(13, "RMA", WriteOneToClear, summary: "Received Master Abort.")
            .Bit(14, "SSE", WriteOneToClear, summary: "Signaled System Error.")
            .Bit(15, "DPE", WriteOneToClear, summary: "Detected Parity Error.");
        Add("REVISION_ID", 0x08, 1).Bits(7, 0, "REVISION", ReadOnly, identity.Revision);
        Add("CLASS_PROG", 0x09, 1).Bits(7, 0, "INTERFACE", ReadOnly, identity.ClassCode & 0xff);
        Add("CLASS_SUB", 0x0a, 1).Bits(7, 0, "SUBCLASS", ReadOnly, identity.ClassCode >> 8 & 0xff);
        Add("CLASS_BASE", 0x0b, 1).Bits(7, 0, "BASE", ReadOnly, identity.ClassCode >> 16 & 0xff);
        Add("CACHE_LINE_SIZE", 0x0c, 1).Bits(7, 0, "SIZE", ReadWrite);
        Add("LATENCY_TIMER", 0x0d, 1).Bits(7, 0, "TIMER", ReadWrite);
        Add("HEADER_TYPE", 0x0e, 1).Bits(6, 0, "LAYOUT", ReadOnly).Bit(7, "MF", ReadOnly);
        Add("BIST", 0x0f, 1).Bits(7, 0, "BIST", ReadOnly);
        Add("CARDBUS_CIS", 0x28, 4).Bits(31, 0, "CIS", ReadOnly);
        Add("SUBSYSTEM_VENDOR_ID", 0x2c, 2).Bits(15, 0, "VENDOR", ReadOnly, identity.SubsystemVendor);
        Add("SUBSYSTEM_ID", 0x2e, 2).Bits(15, 0, "SUBSYSTEM", ReadOnly, identity.Subsystem);
        Add("EXPANSION_ROM", 0x30, 4).Bits(31, 0, "BASE", ReadOnly, summary: "No expansion ROM.");
        _capabilitiesPointer = Add("CAPABILITIES_POINTER", 0x34, 1).Bits(7, 0, "POINTER", ReadOnly, out _firstCapability);
        Add("INTERRUPT_LINE", 0x3c, 1).Bits(7, 0, "LINE", ReadWrite);
        Add("INTERRUPT_PIN", 0x3d, 1).Bits(7, 0, "PIN", ReadOnly, identity.InterruptPin);
        Add("MIN_GNT", 0x3e, 1).Bits(7, 0, "GRANT", ReadOnly);
        Add("MAX_LAT", 0x3f, 1).Bits(7, 0, "LATENCY", ReadOnly);
    }

    /// <summary>Bytes a client may access: 4096 with a PCI Express capability, otherwise 256.</summary>
    public int Size { get; private set; } = ConventionalSize;

    /// <summary>The address the guest wrote to a BAR, type bits removed.</summary>
    public ulong BarAddress(Bar bar)
    {
        int at = 0x10 + (4 * bar.Index);
        ulong address = Peek(at, bar.Kind == BarKind.Memory64 ? 8 : 4);
        return address & ~(bar.Kind == BarKind.Io ? 3UL : 15UL);
    }

    internal void OnCommandWrite(WriteHandler handler) => _command.OnWrite(handler);

    internal void DefineBar(Bar bar)
    {
        int at = 0x10 + (4 * bar.Index), low = BitOperations.Log2(bar.Size);
        if (bar.Kind == BarKind.Io)
        {
            Add($"BAR{bar.Index}", at, 4, $"I/O, {bar.Size} ports.")
                .Bit(0, "IO", ReadOnly, reset: 1)
                .Bits(31, low, "BASE", ReadWrite);
            return;
        }
        bool wide = bar.Kind == BarKind.Memory64;
        Register register = Add($"BAR{bar.Index}", at, 4, $"Memory, {bar.Size} bytes, {(wide ? "64" : "32")}-bit.")
            .Bit(0, "IO", ReadOnly)
            .Bits(2, 1, "TYPE", ReadOnly, reset: wide ? 2u : 0u, summary: "0: 32-bit, 2: 64-bit.")
            .Bit(3, "PREF", ReadOnly, reset: bar.IsPrefetchable ? 1u : 0u, summary: "Prefetchable.");
        if (low < 32) register.Bits(31, low, "BASE", ReadWrite);
        if (wide)
            Add($"BAR{bar.Index + 1}", at + 4, 4, $"High half of BAR{bar.Index}.").Bits(31, Math.Max(0, low - 32), "BASE", ReadWrite);
    }

    /// <summary>Takes room for a capability and links it to the end of the chain.</summary>
    /// <param name="id">The capability ID (PCI Code and ID Assignment).</param>
    /// <param name="name">Prefix of its registers' names.</param>
    /// <param name="length">Bytes, header included.</param>
    /// <param name="offset">Where a real card has it, or 0 for the first free place.</param>
    /// <returns>The offset.</returns>
    internal int AddCapability(byte id, string name, int length, int offset = 0)
    {
        if (offset == 0) offset = FindRoom(length);
        if (offset < HeaderSize || offset % 4 != 0 || length > ConventionalSize - offset)
            throw new ArgumentException($"CONFIG.{name}: a capability of {length} bytes does not fit at 0x{offset:x}.", nameof(offset));
        int other = Overlapped(offset, length);
        if (other >= 0)
            throw new ArgumentException($"CONFIG.{name}: {length} bytes at 0x{offset:x} overlap {_capabilities[other].Name}.", nameof(offset));
        _capabilities.Add((name, offset, length));
        Add($"{name}_ID", offset, 1).Bits(7, 0, "ID", ReadOnly, id);
        Add($"{name}_NEXT", offset + 1, 1).Bits(7, 0, "POINTER", ReadOnly, out Field link);
        if (_lastLink is { } last)
        {
            last.Register.PatchReset(last, (ulong)offset);
        }
        else
        {
            _capabilitiesPointer.PatchReset(_firstCapability, (ulong)offset);
            _capabilitiesList.Register.PatchReset(_capabilitiesList, 1);
        }
        _lastLink = link;
        return offset;
    }

    /// <summary>A register of a capability.</summary>
    internal Register Define(string name, int offset, int size, string summary = "") => Add(name, offset, size, summary);

    internal void BecomeExpress() => Size = ExpressSize;

    private int FindRoom(int length)
    {
        for (int offset = HeaderSize; offset + length <= ConventionalSize; offset += 4)
        {
            if (Overlapped(offset, length) < 0) return offset;
        }
        throw new ArgumentException($"CONFIG: no room for a capability of {length} bytes.");
    }

    // Capabilities have holes without registers, so what is taken is told by their lengths.
    private int Overlapped(int offset, int length)
        => _capabilities.FindIndex(c => offset < c.Offset + c.Length && c.Offset < offset + length);
}
