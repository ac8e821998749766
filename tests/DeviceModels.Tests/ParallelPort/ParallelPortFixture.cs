using DeviceModels.ParallelPort;
using DeviceModels.ParallelPort.Peripherals;
using Emulator.Testing;

namespace DeviceModels.Tests.ParallelPort;

/// <summary>A card with a printer, and the words a driver speaks to it.</summary>
internal abstract class ParallelPortFixture
{
    protected const int Data = 0, Status = 1, Control = 2, EppAddress = 3, EppData = 4;
    protected const int Fifo = 0, ConfigurationB = 1, Ecr = 2;
    protected const byte Strobe = 0x01, AutoFeed = 0x02, Init = 0x04, SelectIn = 0x08, InterruptEnable = 0x10, Reverse = 0x20;
    protected const byte NotBusy = 0x80, NotAck = 0x40, PaperOut = 0x20, Selected = 0x10, NotFault = 0x08, NotInterrupt = 0x04, Timeout = 0x01;
    protected const byte Idle = Init | SelectIn;
    protected const long Microsecond = 1_000, Millisecond = 1_000_000, Second = 1_000_000_000;

    protected FakePciHost Host { get; set; } = null!;
    protected ParallelPortCard Card { get; set; } = null!;
    protected MemoryPrintSink Sink { get; private set; } = null!;
    protected Printer Printer { get; private set; } = null!;
    protected TestRegion Port => Host.Bar(0);
    protected TestRegion Ecp => Host.Bar(1);

    protected void PlugPrinter(bool ecp = false, PrinterOptions? options = null)
    {
        Sink = new MemoryPrintSink();
        Printer = new Printer(Sink, options);
        Plug(Printer, ecp);
    }

    protected void Plug(IParallelPeripheral peripheral, bool ecp = false)
    {
        Host = new FakePciHost();
        Card = Host.Plug(new ParallelPortCard(Host.Slot, new ParallelPortOptions(ecp), peripheral));
    }

    /// <summary>One byte as IEEE 1284-2000 6.4 has it: data, strobe, and time for the acknowledge.</summary>
    protected void Send(byte value, byte control = Idle)
    {
        Port.Write8(Data, value);
        Host.Clock.Advance(Microsecond);
        Port.Write8(Control, (byte)(control | Strobe));
        Host.Clock.Advance(Microsecond);
        Port.Write8(Control, control);
        Host.Clock.Advance(10 * Microsecond);
    }

    protected void Send(ReadOnlySpan<byte> text)
    {
        foreach (byte value in text) Send(value);
    }

    protected void Switch(string name, string value)
        => Assert.That(Card.Switches.Single(s => s.Name == name).TrySet(value), Is.Null);
}
