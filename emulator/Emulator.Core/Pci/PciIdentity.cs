namespace Emulator.Pci;

/// <summary>The identity a function shows in configuration space (PCI 3.0, 6.2.1).</summary>
/// <param name="Vendor">Vendor ID.</param>
/// <param name="Device">Device ID.</param>
/// <param name="ClassCode">Base class, subclass and programming interface as 0xBBSSPP.</param>
public sealed record PciIdentity(ushort Vendor, ushort Device, uint ClassCode)
{
    public byte Revision { get; init; }
    public ushort SubsystemVendor { get; init; }
    public ushort Subsystem { get; init; }

    /// <summary>INTA is 1 .. INTD is 4; 0 for a function without INTx.</summary>
    public byte InterruptPin { get; init; } = 1;

    /// <summary>"vvvv:dddd", as lspci prints it.</summary>
    public override string ToString() => $"{Vendor:x4}:{Device:x4}";
}

/// <summary>How far a reset reaches.</summary>
public enum ResetKind : byte
{
    /// <summary>Power came, or a new client: everything, sticky bits too.</summary>
    PowerOn = 1,
    /// <summary>The bus reset line: everything but sticky bits.</summary>
    Bus = 2,
    /// <summary>Function Level Reset (PCIe 6.6.2; Advanced Features): as the bus reset, for this function alone.</summary>
    FunctionLevel = 3,
    /// <summary>D3hot to D0 without No_Soft_Reset (PCI PM 1.2, 5.4).</summary>
    PowerManagement = 4,
}

/// <summary>The regions of a function, numbered as VFIO numbers them.</summary>
public static class PciRegion
{
    public const int Bar0 = 0, BarCount = 6, Rom = 6, Configuration = 7, Count = 9;
}
