using Emulator.Memory;
using Emulator.Pci;
using Emulator.Registers;
using Emulator.Time;
using Emulator.Turns;
using static Emulator.Registers.Access;

namespace Emulator.WireTests.Server;

/// <summary>Registers that show what reaches a handler. Offsets are part of the tests.</summary>
internal sealed class CardRegisters : RegisterBank
{
    public const int Identification = 0x00, Scratch = 0x04, Throw = 0x08, Writes = 0x0c, Start = 0x10;
    public const uint IdentificationValue = 0x44434241, ScratchReset = 0x5a5a0001;

    public CardRegisters() : base("CARD", 0x40)
    {
        Add("ID", Identification, 4).Bits(31, 0, "ID", ReadOnly, IdentificationValue);
        ScratchValue = Add("SCRATCH", Scratch, 4).Bits(31, 0, "VALUE", ReadWrite, ScratchReset);
        Add("THROW", Throw, 4).Bits(31, 0, "VALUE", ReadWrite)
            .OnRead((_, _) => throw new InvalidOperationException("a read that fails"))
            .OnWrite((int _, in RegisterWrite _) => throw new InvalidOperationException("a write that fails"));
        Register writes = Add("WRITES", Writes, 4).Bits(31, 0, "COUNT", ReadOnly, out Field count);
        ScratchValue.OnWrite((int _, in RegisterWrite _) => count.Value++);
        StartTransfer = Add("START", Start, 4).Bits(31, 0, "LENGTH", ReadWrite);
    }

    public Register ScratchValue { get; }
    public Register StartTransfer { get; }
}

/// <summary>A card with everything the server has to serve: I/O and memory, registers and RAM, whole and sparse mappings, all interrupts.</summary>
internal sealed class CardFunction : PciFunction
{
    public const int Registers = 0, Ports = 1, Sparse = 2, Whole = 4, Messages = 5;
    public const int SparseSize = 0x10000, WholeSize = 0x4000, Vectors = 4, PendingOffset = 0x800;
    public const ulong TransferAddress = 0x10_0000;

    public CardFunction(PciSlot slot) : base(new PciIdentity(0x1af4, 0x10fe, 0xff0000), slot)
    {
        var registers = new CardRegisters();
        MapBar(Registers, BarKind.Memory32, 4096).Add(0, registers);
        MapBar(Ports, BarKind.Io, new PortRegisters());
        MapBar(Sparse, BarKind.Memory64, SparseSize).AddRam(0, 0x1000).AddRam(0x1000, 0x2000, mappable: true).AddRam(0x8000, 0x8000, mappable: true);
        MapBar(Whole, BarKind.Memory32, WholeSize).AddRam(0, WholeSize, mappable: true);
        AddMsi(Vectors);
        AddMsiX(Vectors, MapBar(Messages, BarKind.Memory32, 4096), 0, PendingOffset);
        AddPciExpress();
        AlwaysDecodes = true;
        for (int i = 0; i < Sources.Length; i++) Sources[i] = Interrupts.CreateSource(i);
        Timer = Clock.CreateTimer(() => Expired());
        Transfer = new DmaRequest(request => Completed(request)) { Address = TransferAddress };
        registers.StartTransfer.OnWrite((int _, in RegisterWrite write) =>
        {
            // From within the handler of the write, as a doorbell does.
            Transfer.Buffer = new byte[(int)write.After];
            Memory.Queue(Transfer);
        });
    }

    public Interrupts.InterruptSource[] Sources { get; } = new Interrupts.InterruptSource[Vectors];
    public IDeviceTimer Timer { get; }
    public Action Expired { get; set; } = () => { };

    /// <summary>What a write to START queues, with the length written.</summary>
    public DmaRequest Transfer { get; }
    public List<DmaStatus> Ended { get; } = [];
    public Action<DmaRequest> OnCompleted { get; set; } = _ => { };
    public Action<ResetKind> OnAnyReset { get; set; } = _ => { };
    public IMailbox Post => Mailbox;

    protected override void OnReset(ResetKind kind)
    {
        // Configuration space says otherwise after a reset, but decoding is not what these tests are about.
        AlwaysDecodes = true;
        Timer.Cancel();
        OnAnyReset(kind);
    }

    private void Completed(DmaRequest request)
    {
        Ended.Add(request.Status);
        OnCompleted(request);
    }

    private sealed class PortRegisters : RegisterBank
    {
        public PortRegisters() : base("PORTS", 16) => AddArray("PORT", 0, 1, 16, 1, r => r.Bits(7, 0, "VALUE", ReadWrite, (ulong)r.Index));
    }
}

/// <summary>A conventional function with as little as possible: no pin, no messages, 256 bytes of configuration space.</summary>
internal sealed class PlainFunction : PciFunction
{
    public PlainFunction(PciSlot slot) : base(new PciIdentity(0x1af4, 0x10fd, 0xff0000) { InterruptPin = 0 }, slot)
        => MapBar(0, BarKind.Memory32, new CardRegisters());

    protected override void OnReset(ResetKind kind)
    {
    }
}
