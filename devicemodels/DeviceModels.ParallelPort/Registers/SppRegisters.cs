using Emulator.Registers;
using static Emulator.Registers.Access;

namespace DeviceModels.ParallelPort.Registers;

/// <summary>
/// The standard parallel port with the EPP registers behind it. Bit names are the signals of the cable; a leading n means
/// active low at the pin. STROBE, AUTOFD, SELECTIN and nBUSY are inverted between register and cable.
/// </summary>
internal sealed class SppRegisters : RegisterBank
{
    /// <summary>CONTROL bits 3:0 and the cable's lines differ in these (IBM PC/AT Technical Reference, printer adapter).</summary>
    public const byte ControlInversion = 0x0b;

    /// <summary>STATUS bits 7:3 and the cable's lines differ in this one.</summary>
    public const byte StatusInversion = 0x80;

    public const int EppDataPorts = 4;

    public readonly Register Data, Status, Control, EppAddress;
    public readonly Register[] EppData;
    public readonly Field Timeout, NoInterrupt, InterruptEnable, Direction;

    /// <param name="hasEcr">Whether an ECR switches EPP on; without one, EPP is always on.</param>
    public SppRegisters(bool hasEcr)
        : base("SPP", length: 8, "Standard parallel port (data, status, control) and EPP registers.")
    {
        Data = Add("DATA", 0x0, size: 1, hasEcr
                ? "Data lines; ecpAFifo (a channel address or run-length command) in ECP mode."
                : "Data lines: the latch when driving, the pins in the reverse direction.")
            .Bits(7, 0, "PD", ReadWrite, summary: "PD7..PD0, pins 9..2.");

        Status = Add("STATUS", 0x1, size: 1, "Status lines of the peripheral.")
            .Bit(0, "TMOUT", WriteOneToClear, out Timeout, reset: hasEcr ? 1u : 0u,
                summary: hasEcr ? "EPP timeout: an EPP cycle was not answered in 10 us; reads one in every mode but EPP."
                    : "EPP timeout: an EPP cycle was not answered in 10 us.")
            .Bit(1, "RSVD", ReadOnly, reset: 1, summary: "Reads one.")
            .Bit(2, "nIRQ", ReadOnly, out NoInterrupt, reset: 1, summary: "Zero: nACK rose while IRQEN was one; reading STATUS sets it.")
            .Bit(3, "nFAULT", ReadOnly, reset: 1, summary: "Pin 15; zero: the peripheral has an error.")
            .Bit(4, "SELECT", ReadOnly, reset: 1, summary: "Pin 13; one: the peripheral is on line.")
            .Bit(5, "PERROR", ReadOnly, summary: "Pin 12; one: out of paper.")
            .Bit(6, "nACK", ReadOnly, reset: 1, summary: "Pin 10; pulses low when a byte has been taken.")
            .Bit(7, "nBUSY", ReadOnly, reset: 1, summary: "Pin 11, inverted; zero: the peripheral cannot take a byte.");

        Control = Add("CONTROL", 0x2, size: 1, "Control lines of the host, interrupt enable and data direction.")
            .Bit(0, "STROBE", ReadWrite, summary: "Pin 1, inverted; one: DATA is valid.")
            .Bit(1, "AUTOFD", ReadWrite, summary: "Pin 14, inverted; one: a line feed after each line.")
            .Bit(2, "nINIT", ReadWrite, reset: 1, summary: "Pin 16; zero: initialize the peripheral.")
            .Bit(3, "SELECTIN", ReadWrite, summary: "Pin 17, inverted; one: select the peripheral.")
            .Bit(4, "IRQEN", ReadWrite, out InterruptEnable, summary: "ackIntEn: a rising edge of nACK interrupts.")
            .Bit(5, "DIR", ReadWrite, out Direction, summary: "One: the data drivers are off and DATA reads the pins.")
            .Bits(7, 6, "RSVD", ReadOnly, reset: 0b11, summary: "Read one.");

        EppAddress = Add("EPPADDR", 0x3, size: 1, "An access is an EPP address cycle.")
            .Bits(7, 0, "AD", ReadWrite, summary: "The address, or what the peripheral answers to an address read.");
        EppData = AddArray("EPPDATA", 0x4, size: 1, EppDataPorts, stride: 1, r => r.Bits(7, 0, "D", ReadWrite, summary: "The byte of the cycle."),
            "An access is an EPP data cycle; wider accesses are one cycle a byte, lowest first.");
    }

    public override byte Unmapped => 0xff;
}
