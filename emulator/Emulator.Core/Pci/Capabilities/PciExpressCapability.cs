using Emulator.Registers;
using static Emulator.Registers.Access;

namespace Emulator.Pci.Capabilities;

/// <summary>PCI Express capability, version 2, of an endpoint (PCIe 3.0, 7.8): a 2.5 GT/s x1 link with Function Level Reset.</summary>
public sealed class PciExpressCapability
{
    internal const int Length = 0x3c;

    private readonly List<Field> _kept = [];
    private readonly ulong[] _values;

    internal PciExpressCapability(ConfigurationSpace config, int at, Action functionLevelReset)
    {
        Offset = config.AddCapability(0x10, "PCIE", Length, at);
        config.BecomeExpress();
        config.Define("PCIE_CAP", Offset + 0x02, 2)
            .Bits(3, 0, "VERSION", ReadOnly, reset: 2)
            .Bits(7, 4, "TYPE", ReadOnly, summary: "0: PCI Express endpoint.");
        config.Define("DEVCAP", Offset + 0x04, 4, "Device Capabilities.")
            .Bits(2, 0, "MPS", ReadOnly, summary: "Max Payload Size supported: 0 is 128 bytes.")
            .Bit(15, "RBER", ReadOnly, reset: 1, summary: "Role-Based Error Reporting.")
            .Bit(28, "FLR", ReadOnly, reset: 1, summary: "Function Level Reset capable.");
        config.Define("DEVCTL", Offset + 0x08, 2, "Device Control.")
            .Bits(3, 0, "ERR", ReadWrite, summary: "Error reporting enables.")
            .Bit(4, "RO", ReadWrite, reset: 1, summary: "Enable Relaxed Ordering.")
            .Bits(7, 5, "MPS", ReadWrite, out Field payload, summary: "Max Payload Size.")
            .Bit(11, "NS", ReadWrite, reset: 1, summary: "Enable No Snoop.")
            .Bits(14, 12, "MRRS", ReadWrite, reset: 2, summary: "Max Read Request Size.")
            .Bit(15, "FLR", WriteOnly, out Field initiate, summary: "Initiate Function Level Reset.")
            .OnWrite((int _, in RegisterWrite write) =>
            {
                if (write.WroteOne(initiate)) functionLevelReset();
            });
        _kept.Add(payload);
        config.Define("DEVSTA", Offset + 0x0a, 2, "Device Status.")
            .Bits(3, 0, "ERR", WriteOneToClear)
            .Bit(5, "TRPND", ReadOnly, summary: "Transactions Pending.");
        config.Define("LNKCAP", Offset + 0x0c, 4, "Link Capabilities.")
            .Bits(3, 0, "SPEED", ReadOnly, reset: 1)
            .Bits(9, 4, "WIDTH", ReadOnly, reset: 1);
        config.Define("LNKCTL", Offset + 0x10, 2, "Link Control.")
            .Bits(1, 0, "ASPM", ReadWrite, out Field powerManagement, summary: "Active State Power Management.")
            .Bit(3, "RCB", ReadWrite, out Field boundary, summary: "Read Completion Boundary.")
            .Bit(6, "CCC", ReadWrite, out Field commonClock, summary: "Common Clock Configuration.");
        _kept.AddRange([powerManagement, boundary, commonClock]);
        _values = new ulong[_kept.Count];
        config.Define("LNKSTA", Offset + 0x12, 2, "Link Status.")
            .Bits(3, 0, "SPEED", ReadOnly, reset: 1)
            .Bits(9, 4, "WIDTH", ReadOnly, reset: 1);
        config.Define("DEVCAP2", Offset + 0x24, 4, "Device Capabilities 2.").Bits(31, 0, "CAP", ReadOnly);
        config.Define("DEVCTL2", Offset + 0x28, 2, "Device Control 2.").Bits(3, 0, "CTO", ReadWrite, summary: "Completion Timeout Value.");
        config.Define("LNKCTL2", Offset + 0x30, 2, "Link Control 2.").Bits(3, 0, "TARGET", ReadWrite, reset: 1, summary: "Target Link Speed.").Sticky();
    }

    /// <summary>Bytes into configuration space.</summary>
    public int Offset { get; }

    // 6.6.2: what belongs to the link, and Max_Payload_Size, outlives a Function Level Reset; any other reset clears it.
    internal void BeforeFunctionLevelReset()
    {
        for (int i = 0; i < _values.Length; i++) _values[i] = _kept[i].Value;
    }

    internal void AfterFunctionLevelReset()
    {
        for (int i = 0; i < _values.Length; i++) _kept[i].Value = _values[i];
    }
}

/// <summary>Advanced Features (PCI Advanced Capabilities ECN): Function Level Reset for a conventional function.</summary>
public sealed class AdvancedFeaturesCapability
{
    internal const int Length = 6;

    internal AdvancedFeaturesCapability(ConfigurationSpace config, int at, Action functionLevelReset)
    {
        Offset = config.AddCapability(0x13, "AF", 8, at);
        config.Define("AF_LENGTH", Offset + 2, 1).Bits(7, 0, "LENGTH", ReadOnly, reset: Length);
        config.Define("AF_CAP", Offset + 3, 1)
            .Bit(0, "TP", ReadOnly, reset: 1, summary: "Transactions Pending is implemented.")
            .Bit(1, "FLR", ReadOnly, reset: 1, summary: "Function Level Reset capable.");
        config.Define("AF_CTRL", Offset + 4, 1)
            .Bit(0, "FLR", WriteOnly, out Field initiate, summary: "Initiate Function Level Reset.")
            .OnWrite((int _, in RegisterWrite write) =>
            {
                if (write.WroteOne(initiate)) functionLevelReset();
            });
        config.Define("AF_STATUS", Offset + 5, 1).Bit(0, "TP", ReadOnly);
    }

    /// <summary>Bytes into configuration space.</summary>
    public int Offset { get; }
}

/// <summary>A vendor-specific capability (PCI 3.0, appendix H, ID 09h): a length byte and the vendor's own, read-only.</summary>
public sealed class VendorSpecificCapability
{
    internal VendorSpecificCapability(ConfigurationSpace config, ReadOnlySpan<byte> data, int number, int at)
    {
        int length = 3 + data.Length;
        if (length > 0xff) throw new ArgumentException($"A vendor-specific capability holds at most 252 bytes, not {data.Length}.", nameof(data));
        Offset = config.AddCapability(0x09, $"VNDR{number}", length, at);
        config.Define($"VNDR{number}_LENGTH", Offset + 2, 1).Bits(7, 0, "LENGTH", ReadOnly, (ulong)length);
        for (int i = 0; i < data.Length; i++) config.Define($"VNDR{number}_DATA[{i}]", Offset + 3 + i, 1).Bits(7, 0, "DATA", ReadOnly, data[i]);
    }

    /// <summary>Bytes into configuration space.</summary>
    public int Offset { get; }
}
