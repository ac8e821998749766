using Emulator.Registers;
using static Emulator.Registers.Access;

namespace DeviceModels.ParallelPort.Registers;

/// <summary>ECR modes (Microsoft, Extended Capabilities Port Protocol and ISA Interface Standard 1.14, "ecr").</summary>
internal enum EcpMode : byte
{
    Standard = 0,
    Byte = 1,
    ParallelPortFifo = 2,
    Ecp = 3,
    Epp = 4,
    Vendor = 5,
    Test = 6,
    Configuration = 7,
}

/// <summary>The ECP block: what an ISA port has at base + 0x400.</summary>
internal sealed class EcpRegisters : RegisterBank
{
    /// <summary>What cnfgA reads: pulsed interrupts, 8-bit PWords, no byte left in the transmitter.</summary>
    public const byte ConfigurationA = 0x14;

    /// <summary>cnfgA bit 2: zero while a byte that left the FIFO has not reached the peripheral.</summary>
    public const byte TransmitterEmpty = 0x04;

    public readonly Register Fifo, ConfigurationB, Control;
    public readonly Field<EcpMode> Mode;
    public readonly Field NoErrorInterrupt, DmaEnable, Service, Full, Empty;

    public EcpRegisters()
        : base("ECP", length: 8, "Extended capabilities port: FIFO, configuration and extended control.")
    {
        Fifo = Add("FIFO", 0x0, size: 1,
                "By MODE: cFifo (FIFO), ecpDFifo (ECP), tFifo (TEST), cnfgA (CONFIGURATION); elsewhere nothing answers.")
            .Bits(7, 0, "D", ReadWrite,
                summary: "A byte through the FIFO. As cnfgA: 7 level interrupts, 6:4 PWord (1: 8 bits), 2 transmitter empty, 1:0 bytes of a partial PWord.");
        ConfigurationB = Add("CNFGB", 0x1, size: 1, "Configuration B; in CONFIGURATION mode only.")
            .Bits(2, 0, "DMACHANNEL", ReadOnly, summary: "Zero: none.")
            .Bits(5, 3, "INTRLINE", ReadOnly, summary: "Zero: set by other means, here PCI.")
            .Bit(6, "INTRVALUE", ReadOnly, summary: "The level of the interrupt line.")
            .Bit(7, "COMPRESS", ReadOnly, summary: "Zero: no compression on the way out; expansion on the way in is always done.");
        Control = Add("ECR", 0x2, size: 1, "Extended control register.")
            .Bit(0, "EMPTY", ReadOnly, out Empty, reset: 1, summary: "The FIFO is empty.")
            .Bit(1, "FULL", ReadOnly, out Full, summary: "The FIFO takes no further byte.")
            .Bit(2, "SERVICEINTR", ReadWrite, out Service, reset: 1,
                summary: "Zero: interrupt at the threshold, which sets it; writing one interrupts nothing.")
            .Bit(3, "DMAEN", ReadWrite, out DmaEnable, summary: "DMA moves the data, thresholds do not interrupt; the card has no channel.")
            .Bit(4, "NERRINTREN", ReadWrite, out NoErrorInterrupt, reset: 1, summary: "Zero: nFAULT falling interrupts in ECP mode.")
            .Bits(7, 5, "MODE", ReadWrite, out Mode, summary: "How the port works; entering STANDARD or BYTE empties the FIFO.");
    }

    public override byte Unmapped => 0xff;
}
