using DeviceModels.ParallelPort;
using DeviceModels.ParallelPort.Peripherals;
using Emulator.Models;
using Emulator.Pci;
using Emulator.Registers;
using Emulator.Testing;
using FsCheck;
using FsCheck.Fluent;

namespace DeviceModels.Tests.ParallelPort;

[TestFixture, Category("Unit")]
internal sealed class ParallelPortPropertyTests : ParallelPortFixture
{
    private static readonly Arbitrary<int[]> Traffic = Gen.Choose(int.MinValue, int.MaxValue).ArrayOf(200).ToArbitrary();

    // What a random guest meets at the end of the cable; each answers in its own way.
    private static readonly Func<IParallelPeripheral>[] Peripherals =
    [
        () => new Printer(new DiscardingPrintSink()),
        () => new Printer(new DiscardingPrintSink(), new PrinterOptions { BytesPerSecond = 5_000, HostTimeout = 50_000 }),
        () => new LogicTracer(new Printer(new DiscardingPrintSink()), Stream.Null),
        () => new LoopbackPlug(),
        () => new LoopbackPlug(LoopbackWiring.Control),
        () => new NoPeripheral(),
        Chatter,
    ];

    [Test]
    public void Random_traffic_never_throws_and_breaks_no_invariant([Values] bool ecp, [Range(0, 6)] int peripheral)
        => Check.One(FixedSeed.Config.WithMaxTest(100), Prop.ForAll(Traffic, traffic =>
        {
            Plug(Peripherals[peripheral](), ecp);
            foreach (int step in traffic)
            {
                Take((uint)step, ecp);
                AssertInvariants(ecp);
            }
            foreach (DeviceSwitch each in Card.Switches.Where(s => s.Values.Count > 0)) Assert.That(each.TrySet(each.Values[0]), Is.Null);
            // Whatever happened, a new client finds the card and what is plugged into it at power-on.
            Card.Reset(ResetKind.PowerOn);
            Host.Config.Write16(0x04, 1);
            Host.Clock.Advance(Millisecond);
            Assert.That(Host.IntxAsserted, Is.False);
            Assert.That(Port.Read8(Control), Is.EqualTo(0xc4));
            if (ecp) Assert.That(Ecp.Read8(Ecr), Is.EqualTo(0x15));
            if (peripheral < 3) Assert.That(Port.Read8(Status) & 0xfe, Is.EqualTo(0xde));
        }));

    [Test]
    public void Accesses_allocate_nothing([Values] bool ecp)
    {
        var tracer = new LogicTracer(new Printer(new DiscardingPrintSink()), Stream.Null);
        Plug(tracer, ecp);
        // Guest errors print a few lines and then only count.
        Assert.That(Allocations.BytesOf(() =>
        {
            for (int i = 0; i < 50; i++) Exercise(ecp);
        }), Is.Zero);
    }

    [Test]
    public void The_models_describe_themselves_and_every_register_and_field_has_a_summary([Values(0, 1)] int index)
    {
        DeviceModel model = ParallelPortModels.All[index];
        PciFunction card = model.Create(new DetachedSlot());
        Assert.That(model.Name, Is.EqualTo(index == 0 ? "parallel-port" : "parallel-port-ecp"));
        Assert.That(card.Bars.Count(b => b is not null), Is.EqualTo(index + 1));
        foreach (Register register in card.Banks.Where(b => b != card.Configuration).SelectMany(b => b.Registers))
        {
            Assert.That(register.Summary, Is.Not.Empty, register.Name);
            foreach (Field field in register.Fields) Assert.That(field.Summary, Is.Not.Empty, $"{register.Name}.{field.Name}");
        }
    }

    [Test]
    public void The_switches_of_the_card_are_those_of_its_peripheral()
    {
        PlugPrinter();
        Assert.That(Card.Switches.Select(s => s.Name), Is.EqualTo((string[])["paper", "line", "fault", "speed"]));
        foreach (DeviceSwitch each in Card.Switches) Assert.That(each.TrySet(each.Get()), Is.Null, each.Name);
    }

    private static ScriptedPeripheral Chatter()
    {
        var peripheral = new ScriptedPeripheral();
        peripheral.OnConnected = () => peripheral.Offer([.. Enumerable.Range(0, 400).Select(i => (byte)(i / 100))]);
        return peripheral;
    }

    // Bits 0 to 2 choose what to do, the rest is the operand.
    private void Take(uint step, bool ecp)
    {
        byte value = (byte)(step >> 8), offset = (byte)(step >> 16 & 7);
        int size = 1 << (int)(step >> 20 & 3);
        int room = Math.Min(offset, 8 - size);
        TestRegion bar = ecp && (step & 0x8) != 0 ? Ecp : Port;
        switch (step & 7)
        {
            case 0: bar.Write8(offset, value); break;
            case 1: _ = bar.Read8(offset); break;
            case 2: Host.Function.Write((step & 0x8) != 0 && ecp ? 1 : 0, (ulong)room, size, step * 0x9e37_79b9_7f4a_7c15ul); break;
            case 3: _ = Host.Function.Read((step & 0x8) != 0 && ecp ? 1 : 0, (ulong)room, size); break;
            // Handshakes are rare in noise: a third of the steps are edges of the control lines or time.
            case 4: Port.Write8(Control, (byte)(value & 0x3f)); break;
            case 5: Port.Write8(Control, (byte)(Port.Read8(Control) ^ (1 << (value & 3)))); break;
            case 6: Host.Clock.Advance(step >> 8 & 0x3fff); break;
            default: Peripheral(step); break;
        }
    }

    private void Peripheral(uint step)
    {
        if (Card.Switches.Count == 0) return;
        DeviceSwitch each = Card.Switches[(int)(step >> 8) % Card.Switches.Count];
        string value = each.Values.Count > 0 ? each.Values[(int)(step >> 16) % each.Values.Count]
            : (step >> 16).ToString(System.Globalization.CultureInfo.InvariantCulture);
        Assert.That(each.TrySet(value), Is.Null);
        // Back again, so that the printer is ready most of the time.
        if ((step >> 30) != 0 && each.Values.Count > 0) Assert.That(each.TrySet(each.Values[0]), Is.Null);
    }

    private void AssertInvariants(bool ecp)
    {
        Assert.That(Card.FifoCount, Is.InRange(0, 16));
        Assert.That(Card.Peek(0, Status, 1) & 0x02, Is.EqualTo(0x02), "STATUS.RSVD");
        Assert.That(Card.Peek(0, Control, 1) & 0xc0, Is.EqualTo(0xc0), "CONTROL.RSVD");
        if (!ecp) return;
        ulong ecr = Card.Peek(1, Ecr, 1);
        Assert.That((ecr & 1) != 0, Is.EqualTo(Card.FifoCount == 0), "ECR.EMPTY");
        Assert.That((ecr & 2) != 0, Is.EqualTo(Card.FifoCount == 16), "ECR.FULL");
        if ((ecr >> 5) is 0 or 1) Assert.That(Card.FifoCount, Is.Zero);
        if ((ecr >> 5) != 4) Assert.That(Card.Peek(0, Status, 1) & 1, Is.EqualTo(1), "the timeout bit reads one outside EPP mode");
    }

    private void Exercise(bool ecp)
    {
        Send((byte)'A', Idle | InterruptEnable);
        Send((byte)'B');
        for (int i = 0; i < 8; i++) _ = Port.Read8(i);
        _ = Port.Read32(0);
        Port.Write32(4, 0x01020304);
        Port.Write8(Status, 1);
        _ = Host.Config.Read32(0);
        // A negotiation and its end.
        Port.Write8(Data, 0x04);
        Port.Write8(Control, Init | AutoFeed);
        Port.Write8(Control, Init | AutoFeed | Strobe);
        Port.Write8(Control, Init);
        Port.Write8(Control, Init | AutoFeed);
        Port.Write8(Control, Init);
        Port.Write8(Control, Idle);
        Port.Write8(Control, Idle | AutoFeed);
        Port.Write8(Control, Idle);
        Host.Clock.Advance(Millisecond);
        if (!ecp) return;
        for (int mode = 0; mode < 8; mode++)
        {
            Ecp.Write8(Ecr, (byte)(mode << 5));
            for (int i = 0; i < 20; i++) Ecp.Write8(Fifo, (byte)i);
            for (int i = 0; i < 20; i++) _ = Ecp.Read8(Fifo);
            _ = Ecp.Read8(ConfigurationB);
            Host.Clock.Advance(Millisecond);
            Ecp.Write8(Ecr, 0);
        }
    }
}
