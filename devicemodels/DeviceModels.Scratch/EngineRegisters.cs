using Emulator.Registers;
using static Emulator.Registers.Access;

namespace DeviceModels.Scratch;

/// <summary>What the engine does with guest memory.</summary>
public enum EngineOperation : byte
{
    /// <summary>LENGTH bytes from SOURCE to DESTINATION.</summary>
    Copy = 0,
    /// <summary>LENGTH bytes at DESTINATION, each the low byte of PATTERN.</summary>
    Fill = 1,
    /// <summary>Reads LENGTH bytes at SOURCE, for their sum.</summary>
    Sum = 2,
}

/// <summary>
/// The DMA and interrupt engine of a scratch function, 64 bytes. A driver writes addresses and LENGTH, then CONTROL with GO;
/// GO reads one until the transfer has ended, then STATUS has DONE, and ERROR if guest memory refused. IRQ_LEVEL and
/// IRQ_PULSE interrupt without a transfer.
/// </summary>
public sealed class EngineRegisters : RegisterBank
{
    /// <summary>Bytes of the block.</summary>
    public const int BankLength = 0x40;

    /// <summary>What ID reads: "SCR1" in memory order.</summary>
    public const uint Identification = 0x31524353;

    /// <summary>The most bytes of one transfer.</summary>
    public const int LongestTransfer = 0x10000;

    internal readonly Register Control, Status, ByteCount, Source, Destination, Pattern, Result, Finished, Delay, IrqLevel, IrqPulse;
    internal readonly Field Go, Queued, InterruptEnable, Vector, Done, Error, PulseVector;
    internal readonly Field<EngineOperation> Operation;

    public EngineRegisters() : base("ENGINE", BankLength, "DMA and interrupt engine of a scratch function.")
    {
        Add("ID", 0x00, 4, "Tells that an engine is here.").Bits(31, 0, "ID", ReadOnly, Identification, "\"SCR1\" in memory order.");
        Control = Add("CONTROL", 0x04, 4, "Starts a transfer.")
            .Bit(0, "GO", WriteOneToSet, out Go, summary: "Writing one starts; reads one until the transfer has ended.")
            .Bits(2, 1, "OP", ReadWrite, out Operation, summary: "What to do.")
            .Bit(3, "QUEUED", ReadWrite, out Queued, summary: "1: by queued transfers, which reach memory the client does not share, too.")
            .Bit(4, "IE", ReadWrite, out InterruptEnable, summary: "Interrupt while STATUS has DONE.")
            .Bits(12, 8, "VECTOR", ReadWrite, out Vector, summary: "The message for DONE.");
        Status = Add("STATUS", 0x08, 4, "How the last transfer ended.")
            .Bit(0, "DONE", WriteOneToClear, out Done, summary: "It has ended.")
            .Bit(1, "ERROR", WriteOneToClear, out Error, summary: "Guest memory refused, or LENGTH is beyond 0x10000.");
        ByteCount = Add("LENGTH", 0x0c, 4).Bits(31, 0, "BYTES", ReadWrite, summary: "At most 0x10000.");
        Source = Add("SOURCE", 0x10, 8).Bits(63, 0, "ADDRESS", ReadWrite, summary: "Guest address to read from.");
        Destination = Add("DESTINATION", 0x18, 8).Bits(63, 0, "ADDRESS", ReadWrite, summary: "Guest address to write to.");
        Pattern = Add("PATTERN", 0x20, 4).Bits(7, 0, "BYTE", ReadWrite, summary: "The byte that OP = Fill writes, over and over; bits 31:8 read 0.");
        Result = Add("RESULT", 0x24, 4).Bits(31, 0, "SUM", ReadOnly, summary: "The sum of the bytes of the last transfer without ERROR.");
        Finished = Add("FINISHED", 0x28, 4).Bits(31, 0, "COUNT", ReadToClear, summary: "Transfers that ended since it was last read.");
        Delay = Add("DELAY", 0x2c, 4).Bits(31, 0, "NANOSECONDS", ReadWrite, summary: "Device time between GO and the transfer; 0 for none.");
        IrqLevel = Add("IRQ_LEVEL", 0x30, 4, "Levels a driver sets by hand.")
            .Bits(31, 0, "LEVEL", ReadWrite, summary: "Bit n: cause n. INTx is asserted while any is one; message n is sent when it becomes one.");
        IrqPulse = Add("IRQ_PULSE", 0x34, 4, "Sends a message at once, whatever the levels are.")
            .Bits(10, 0, "VECTOR", WriteOnly, out PulseVector, summary: "The message; nothing happens while INTx is in use.");
    }
}
