namespace Emulator.VfioUser.Protocol;

/// <summary>Region indices of a PCI device. Source: linux/vfio.h, VFIO_PCI_*_REGION_INDEX.</summary>
public static class RegionIndex
{
    /// <summary>BAR 0; the BARs are 0 to 5.</summary>
    public const int Bar0 = 0;
    /// <summary>BAR 1.</summary>
    public const int Bar1 = 1;
    /// <summary>BAR 2.</summary>
    public const int Bar2 = 2;
    /// <summary>BAR 3.</summary>
    public const int Bar3 = 3;
    /// <summary>BAR 4.</summary>
    public const int Bar4 = 4;
    /// <summary>BAR 5.</summary>
    public const int Bar5 = 5;
    /// <summary>Expansion ROM.</summary>
    public const int Rom = 6;
    /// <summary>Configuration space: 256 bytes, or 4096 for PCI Express.</summary>
    public const int Config = 7;
    /// <summary>Legacy VGA ranges.</summary>
    public const int Vga = 8;
    /// <summary>How many regions a PCI device reports.</summary>
    public const int Count = 9;
}

/// <summary>Interrupt indices of a PCI device. Source: linux/vfio.h, VFIO_PCI_*_IRQ_INDEX.</summary>
public static class IrqIndex
{
    /// <summary>The level-triggered line.</summary>
    public const int Intx = 0;
    /// <summary>MSI vectors.</summary>
    public const int Msi = 1;
    /// <summary>MSI-X vectors.</summary>
    public const int MsiX = 2;
    /// <summary>The device reports an unrecoverable error.</summary>
    public const int Err = 3;
    /// <summary>The device asks to be released.</summary>
    public const int Req = 4;
    /// <summary>How many interrupt indices a PCI device reports.</summary>
    public const int Count = 5;
}
