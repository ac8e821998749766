using System.Buffers.Binary;

namespace Emulator.Cli.Probing;

/// <summary>
/// Reads configuration space as lspci does: from its bytes alone, by the PCI specifications, trusting none of its pointers.
/// </summary>
internal sealed class ConfigurationDecoder(byte[] bytes)
{
    private static readonly string?[] CommandNames = ["I/O", "Mem", "BusMaster", null, null, null, "ParErr", null, "SERR", null, "DisINTx"];
    private static readonly string?[] StatusNames =
        [null, null, null, "INTx", "Cap", null, null, null, "MDPErr", null, null, ">TAbort", "<TAbort", "<MAbort", ">SERR", "<PERR"];

    public int Vendor => Word(0x00);
    public int Device => Word(0x02);
    public int ClassCode => (int)(Dword(0x08) >> 8);
    public int Revision => Byte(0x08);
    public int SubsystemVendor => Word(0x2c);
    public int Subsystem => Word(0x2e);
    public IReadOnlyDictionary<string, bool> Command => Bits(Word(0x04), CommandNames);
    public IReadOnlyDictionary<string, bool> Status => Bits(Word(0x06), StatusNames);
    public string? InterruptPin => Byte(0x3d) is >= 1 and <= 4 and var pin ? ((char)('A' + pin - 1)).ToString() : null;

    /// <summary>"io", "memory32" or "memory64", and whether prefetchable, of a BAR (PCI 3.0, 6.2.5.1).</summary>
    public (string Kind, bool Prefetchable) Bar(int index)
    {
        uint value = Dword(0x10 + (4 * index));
        if ((value & 1) != 0) return ("io", false);
        return ((value >> 1 & 3) == 2 ? "memory64" : "memory32", (value & 8) != 0);
    }

    /// <summary>The chain of capabilities. A ring ends it.</summary>
    public IReadOnlyList<ProbedCapability> Capabilities()
    {
        var found = new List<ProbedCapability>();
        if ((Word(0x06) & 0x10) == 0) return found;
        var seen = new HashSet<int>();
        for (int at = Byte(0x34) & 0xfc; at >= 0x40 && seen.Add(at); at = Byte(at + 1) & 0xfc)
        {
            (string name, string[] details) = Decode(Byte(at), at);
            found.Add(new ProbedCapability(at, Byte(at), name, details));
        }
        return found;
    }

    /// <summary>The name of a class (PCI Code and ID Assignment 1.11, 1), as precise as known; empty if not.</summary>
    public static string ClassName(int classCode) => (classCode >> 8) switch
    {
        0x0100 => "SCSI controller",
        0x0101 => "IDE controller",
        0x0106 => "SATA controller",
        0x0108 => "Non-volatile memory controller",
        0x0200 => "Ethernet controller",
        0x0280 => "Network controller",
        0x0300 => "VGA controller",
        0x0403 => "Audio device",
        0x0500 => "RAM memory",
        0x0580 => "Memory controller",
        0x0600 => "Host bridge",
        0x0604 => "PCI bridge",
        0x0680 => "Bridge",
        0x0700 => "Serial controller",
        0x0701 => "Parallel controller" + (classCode & 0xff) switch
        {
            0 => ": SPP",
            1 => ": BiDir",
            2 => ": ECP 1.x",
            3 => ": IEEE 1284",
            0xfe => ": IEEE 1284 target",
            _ => "",
        },
        0x0702 => "Multiport serial controller",
        0x0780 => "Communication controller",
        0x0880 => "System peripheral",
        0x0980 => "Input device controller",
        0x0c03 => "USB controller" + (classCode & 0xff) switch { 0x00 => ": UHCI", 0x10 => ": OHCI", 0x20 => ": EHCI", 0x30 => ": xHCI", _ => "" },
        0x0c05 => "SMBus",
        0x0d80 => "Wireless controller",
        0x1180 => "Signal processing controller",
        _ => (classCode >> 16) switch
        {
            0x00 => "Unclassified device",
            0x01 => "Mass storage controller",
            0x02 => "Network controller",
            0x03 => "Display controller",
            0x04 => "Multimedia controller",
            0x05 => "Memory controller",
            0x06 => "Bridge",
            0x07 => "Communication controller",
            0x08 => "System peripheral",
            0x09 => "Input device controller",
            0x0c => "Serial bus controller",
            0x0d => "Wireless controller",
            0x12 => "Processing accelerator",
            0xff => "Unassigned class",
            _ => "",
        },
    };

    private (string Name, string[] Details) Decode(int id, int at) => id switch
    {
        0x01 => ("Power Management", PowerManagement(at)),
        0x05 => ("MSI", Msi(at)),
        0x09 => ("Vendor Specific", [$"Len={Byte(at + 2):x2} {Hex(at + 3, Byte(at + 2) - 3)}".TrimEnd()]),
        0x10 => ("Express", Express(at)),
        0x11 => ("MSI-X", MsiX(at)),
        0x13 => ("PCI Advanced Features", [$"AFCap: TP{Sign(Byte(at + 3), 0)} FLR{Sign(Byte(at + 3), 1)}", $"AFStatus: TP{Sign(Byte(at + 5), 0)}"]),
        _ => ($"Capability 0x{id:x2}", []),
    };

    // PCI PM 1.2, 3.2.
    private string[] PowerManagement(int at)
    {
        int capabilities = Word(at + 2), control = Word(at + 4);
        return
        [
            $"version {capabilities & 7}, D1{Sign(capabilities, 9)} D2{Sign(capabilities, 10)}",
            $"Status: D{control & 3} NoSoftRst{Sign(control, 3)} PME-Enable{Sign(control, 8)}",
        ];
    }

    // PCI 3.0, 6.8.1.
    private string[] Msi(int at)
    {
        int control = Word(at + 2), data = (control & 0x80) != 0 ? 0xc : 8;
        ulong address = Dword(at + 4) | ((control & 0x80) != 0 ? (ulong)Dword(at + 8) << 32 : 0);
        string first = $"Enable{Sign(control, 0)} Count={1 << (control >> 4 & 7)}/{1 << (control >> 1 & 7)} Maskable{Sign(control, 8)} 64bit{Sign(control, 7)}";
        string second = $"Address: {address:x16}  Data: {Word(at + data):x4}";
        return (control & 0x100) == 0 ? [first, second] : [first, second, $"Masking: {Dword(at + data + 4):x8}  Pending: {Dword(at + data + 8):x8}"];
    }

    // PCI 3.0, 6.8.2.
    private string[] MsiX(int at)
    {
        int control = Word(at + 2);
        return
        [
            $"Enable{Sign(control, 15)} Count={(control & 0x7ff) + 1} Masked{Sign(control, 14)}",
            $"Vector table: BAR={Dword(at + 4) & 7} offset={Dword(at + 4) & ~7u:x8}",
            $"PBA: BAR={Dword(at + 8) & 7} offset={Dword(at + 8) & ~7u:x8}",
        ];
    }

    // PCIe 3.0, 7.8.
    private string[] Express(int at)
    {
        int capabilities = Word(at + 2), type = capabilities >> 4 & 15, control = Word(at + 8), link = (int)Dword(at + 0xc), status = Word(at + 0x12);
        string typeName = type switch
        {
            0 => "Endpoint",
            1 => "Legacy Endpoint",
            4 => "Root Port",
            9 => "Root Complex Integrated Endpoint",
            _ => $"type {type}",
        };
        return
        [
            $"v{capabilities & 15} {typeName}, IntMsgNum {capabilities >> 9 & 31}",
            $"DevCap: MaxPayload {128 << (int)(Dword(at + 4) & 7)} bytes, RBE{Sign((int)Dword(at + 4), 15)} FLReset{Sign((int)Dword(at + 4), 28)}",
            $"DevCtl: MaxPayload {128 << (control >> 5 & 7)} bytes, MaxReadReq {128 << (control >> 12 & 7)} bytes, "
                + $"RlxdOrd{Sign(control, 4)} NoSnoop{Sign(control, 11)}",
            $"LnkCap: Speed {Speed(link & 15)}, Width x{link >> 4 & 63}; LnkSta: Speed {Speed(status & 15)}, Width x{status >> 4 & 63}",
        ];
    }

    private static string Speed(int code) => code switch { 1 => "2.5GT/s", 2 => "5GT/s", 3 => "8GT/s", 4 => "16GT/s", 5 => "32GT/s", _ => $"code {code}" };

    private static char Sign(int value, int bit) => (value >> bit & 1) != 0 ? '+' : '-';

    private static Dictionary<string, bool> Bits(int value, string?[] names)
        => names.Select((name, bit) => (name, bit)).Where(n => n.name is not null).ToDictionary(n => n.name!, n => (value >> n.bit & 1) != 0);

    private string Hex(int at, int count) => string.Join(' ', Enumerable.Range(at, Math.Clamp(count, 0, 0x100 - at)).Select(i => $"{Byte(i):x2}"));

    // A capability may claim to lie across the end: what is not there reads as zero.
    private int Byte(int at) => at < bytes.Length ? bytes[at] : 0;
    private int Word(int at) => at + 2 <= bytes.Length ? BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at)) : Byte(at);
    private uint Dword(int at) => at + 4 <= bytes.Length ? BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at)) : (uint)Word(at);
}
