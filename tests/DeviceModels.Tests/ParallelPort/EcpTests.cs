using System.Text;
using DeviceModels.ParallelPort.Peripherals;

namespace DeviceModels.Tests.ParallelPort;

[TestFixture, Category("Unit")]
internal sealed class EcpTests : ParallelPortFixture
{
    private const byte Empty = 0x01, Full = 0x02, Service = 0x04, DmaEnable = 0x08, NoErrorInterrupt = 0x10;
    private const byte Standard = 0 << 5, ByteMode = 1 << 5, FifoMode = 2 << 5, EcpMode = 3 << 5, EppMode = 4 << 5, TestMode = 6 << 5, Configuration = 7 << 5;
    private const int Depth = 16;

    private Ieee1284Host _driver = null!;

    [SetUp]
    public void PlugIn()
    {
        PlugPrinter(ecp: true);
        _driver = new Ieee1284Host(Host);
    }

    [Test]
    public void The_card_identifies_as_an_AFAVLAB_TK9902_with_two_blocks_of_eight_ports()
    {
        Assert.That(Host.Config.Read32(0x00), Is.EqualTo(0x2120_14dbu));
        Host.Config.Write32(0x10, 0xffff_ffff);
        Host.Config.Write32(0x14, 0xffff_ffff);
        Assert.That(Host.Config.Read64(0x10), Is.EqualTo(0xffff_fff9_ffff_fff9ul));
    }

    [Test]
    public void A_driver_finds_the_ECR_as_the_ECP_standard_has_it_after_reset()
    {
        Assert.That(Ecp.Read8(Ecr), Is.EqualTo(Standard | NoErrorInterrupt | Service | Empty));
        Assert.That(Ecp.Read8(Fifo), Is.EqualTo(0xff));
        Assert.That(Ecp.Read8(ConfigurationB), Is.EqualTo(0xff));
        Assert.That(Ecp.Read8(3), Is.EqualTo(0xff), "nothing answers behind the ECR");
    }

    [Test]
    public void A_system_driver_finds_the_ECR()
    {
        Port.Write8(Control, 0x0c);
        Assert.That(Ecp.Read8(Ecr) & 3, Is.Not.EqualTo(0x0c & 3), "the ECR is not CONTROL");
        Assert.That(Ecp.Read8(Ecr) & 3, Is.EqualTo(1));
        Ecp.Write8(Ecr, 0x34);
        Assert.That(Ecp.Read8(Ecr), Is.EqualTo(0x35));
    }

    [Test]
    public void A_system_driver_finds_EPP_only_with_the_ECR_in_EPP_mode()
    {
        Assert.That(CanClearTimeout(), Is.False);
        Ecp.Write8(Ecr, EppMode);
        Port.Write8(Control, 0x04);
        Assert.That(CanClearTimeout(), Is.True);
        Ecp.Write8(Ecr, Standard);
        Assert.That(CanClearTimeout(), Is.False);

        bool CanClearTimeout()
        {
            if ((Port.Read8(Status) & Timeout) == 0) return true;
            byte status = Port.Read8(Status);
            Port.Write8(Status, (byte)(status | Timeout));
            Port.Write8(Status, (byte)(status & ~Timeout));
            return (Port.Read8(Status) & Timeout) == 0;
        }
    }

    [TestCase(Standard, ExpectedResult = 0x55, TestName = "In mode 000 the direction is always out")]
    [TestCase(ByteMode, ExpectedResult = 0xff, TestName = "In mode 001 the data lines float in reverse")]
    public int Direction_by_mode(byte mode)
    {
        Ecp.Write8(Ecr, mode);
        Port.Write8(Control, Idle | Reverse);
        Port.Write8(Data, 0x55);
        return Port.Read8(Data);
    }

    [Test]
    public void A_system_driver_measures_the_FIFO_in_test_mode()
    {
        // The depth.
        Ecp.Write8(Ecr, Standard);
        Ecp.Write8(Ecr, TestMode);
        int depth = 0;
        for (; depth < 1024 && (Ecp.Read8(Ecr) & Full) == 0; depth++) Ecp.Write8(Fifo, 0xaa);
        Assert.That(depth, Is.EqualTo(Depth));

        // writeIntrThreshold: how many places are free when the interrupt comes.
        Modify(Service, Service);
        Modify(Service, 0);
        int free = 1;
        for (; free <= depth; free++)
        {
            Assert.That(Ecp.Read8(Fifo), Is.EqualTo(0xaa));
            Host.Clock.Advance(50 * Microsecond);
            if ((Ecp.Read8(Ecr) & Service) != 0) break;
        }
        Assert.That(free, Is.EqualTo(8));

        // readIntrThreshold: how many bytes are there when it comes.
        SetMode(ByteMode);
        Port.Write8(Control, Idle | Reverse);
        SetMode(TestMode);
        Modify(Service, Service);
        Modify(Service, 0);
        int waiting = 1;
        for (; waiting <= depth; waiting++)
        {
            Ecp.Write8(Fifo, 0xaa);
            if ((Ecp.Read8(Ecr) & Service) != 0) break;
        }
        Assert.That(waiting, Is.EqualTo(8));

        // PWord and the way interrupts are wired.
        Ecp.Write8(Ecr, Standard);
        Ecp.Write8(Ecr, Configuration | NoErrorInterrupt | Service);
        Assert.That(Ecp.Read8(Fifo), Is.EqualTo(0x14), "8-bit PWords, pulsed interrupts, transmitter empty");
        Assert.That(Ecp.Read8(ConfigurationB), Is.Zero, "IRQ and DMA by other means");
        SetMode(Standard);
        Assert.That(Sink.Current, Is.Empty, "nothing of it reached the printer");
    }

    [Test]
    public void The_test_FIFO_is_first_in_first_out_and_shows_the_last_byte_when_empty()
    {
        Ecp.Write8(Ecr, TestMode | Service);
        for (int i = 0; i < Depth + 3; i++) Ecp.Write8(Fifo, (byte)i);
        Assert.That(Ecp.Read8(Ecr) & (Full | Empty), Is.EqualTo(Full));
        for (int i = 0; i < Depth; i++) Assert.That(Ecp.Read8(Fifo), Is.EqualTo(i));
        Assert.That(Ecp.Read8(Ecr) & (Full | Empty), Is.EqualTo(Empty));
        Assert.That(Ecp.Read8(Fifo), Is.EqualTo(Depth - 1));
    }

    [Test]
    public void Entering_mode_000_or_001_empties_the_FIFO([Values(Standard, ByteMode)] byte mode)
    {
        Ecp.Write8(Ecr, TestMode | Service);
        Ecp.Write8(Fifo, 1);
        Ecp.Write8(Ecr, (byte)(mode | Service));
        Assert.That(Ecp.Read8(Ecr) & Empty, Is.EqualTo(Empty));
    }

    [Test]
    public void In_FIFO_mode_hardware_prints_what_is_written()
    {
        StartFifo(FifoMode);
        byte[] text = "sixteen bytes..."u8.ToArray();
        foreach (byte value in text) Ecp.Write8(Fifo, value);
        Assert.That(Ecp.Read8(Ecr) & Full, Is.EqualTo(Full), "printing takes time");
        Host.Clock.Advance(Millisecond);
        Assert.That(Ecp.Read8(Ecr) & (Full | Empty), Is.EqualTo(Empty));
        Assert.That(Sink.Current, Is.EqualTo(text));
    }

    [Test]
    public void In_FIFO_mode_data_is_set_up_strobed_and_held_for_500_ns_each()
    {
        using var dump = new MemoryStream();
        var tracer = new LogicTracer(new Printer(new MemoryPrintSink()), dump);
        Plug(tracer, ecp: true);
        StartFifo(FifoMode);
        Ecp.Write8(Fifo, 0x41);
        Ecp.Write8(Fifo, 0x42);
        Host.Clock.Advance(Millisecond);
        tracer.Dispose();
        var changes = new VcdFile(Encoding.ASCII.GetString(dump.ToArray())).Changes;
        long[] falls = [.. changes.Where(c => c is { Name: "nStrobe", Value: "0" }).Select(c => c.Time)];
        long[] rises = [.. changes.Where(c => c is { Name: "nStrobe", Value: "1" }).Select(c => c.Time).Skip(1)];
        long[] data = [.. changes.Where(c => c.Name == "Data" && c.Value is "01000001" or "01000010").Select(c => c.Time)];
        long busy = changes.First(c => c is { Name: "Busy", Value: "0" } && c.Time > falls[0]).Time;
        Assert.That(falls, Has.Length.EqualTo(2));
        Assert.That(falls[0] - data[0], Is.EqualTo(500));
        Assert.That(rises[0] - falls[0], Is.EqualTo(500));
        Assert.That(data[1] - rises[0], Is.GreaterThanOrEqualTo(500));
        Assert.That(data[1], Is.GreaterThan(busy), "the next byte waits until the printer is ready");
    }

    [Test]
    public void The_service_interrupt_comes_at_eight_free_places_and_disarms_itself()
    {
        Switch("line", "off");
        StartFifo(FifoMode);
        for (int i = 0; i < Depth; i++) Ecp.Write8(Fifo, (byte)'x');
        Modify(Service, 0);
        Host.Clock.Advance(Millisecond);
        Assert.That(Host.IntxRises, Is.Zero, "full and stuck");

        Switch("line", "on");
        long limit = Host.Clock.Now + Second;
        while (Host.IntxRises == 0 && Host.Clock.Now < limit) Host.Clock.Advance(100);
        Assert.That(Card.FifoCount, Is.EqualTo(8));
        Assert.That(Ecp.Read8(Ecr) & Service, Is.EqualTo(Service), "set by hardware");
        Host.Clock.Advance(Millisecond);
        Assert.That(Host.IntxRises, Is.EqualTo(1), "once");
        Assert.That(Host.IntxAsserted, Is.False);
        Assert.That(Sink.Current, Has.Count.EqualTo(Depth));
    }

    [Test]
    public void Arming_the_service_interrupt_with_room_in_the_FIFO_interrupts_at_once()
    {
        StartFifo(FifoMode);
        Modify(Service, 0);
        Assert.That(Host.IntxRises, Is.EqualTo(1));
        Assert.That(Ecp.Read8(Ecr) & Service, Is.EqualTo(Service));
        Modify(Service, Service);
        Host.Clock.Advance(Millisecond);
        Assert.That(Host.IntxRises, Is.EqualTo(1), "writing a one interrupts nothing");
    }

    [Test]
    public void With_dmaEn_the_thresholds_interrupt_nobody_and_no_data_moves()
    {
        StartFifo(FifoMode);
        Modify(Service | DmaEnable, DmaEnable);
        Host.Clock.Advance(Millisecond);
        Assert.That(Host.IntxRises, Is.Zero);
        Assert.That(Ecp.Read8(Ecr) & (Service | DmaEnable | Empty), Is.EqualTo(DmaEnable | Empty));
    }

    [Test]
    public void A_fault_interrupts_in_ECP_mode_when_nErrIntrEn_is_zero([Values] bool enabled)
    {
        var device = Plugged();
        Assert.That(_driver.Negotiate(Ieee1284Host.EcpMode), Is.True);
        Ecp.Write8(Ecr, ByteMode | NoErrorInterrupt | Service);
        Ecp.Write8(Ecr, (byte)(EcpMode | Service | (enabled ? 0 : NoErrorInterrupt)));
        device.Offer(1);
        Assert.That(Host.IntxRises, Is.EqualTo(enabled ? 1 : 0), "nPeriphRequest fell");
        if (!enabled) Modify(NoErrorInterrupt, 0);
        Assert.That(Host.IntxRises, Is.EqualTo(1), "enabling finds the fault that is there already");
    }

    [Test]
    public void In_ECP_mode_the_FIFO_sends_data_and_the_DATA_register_sends_commands()
    {
        var device = Plugged();
        StartEcp();
        Ecp.Write8(Fifo, 0x01);
        Port.Write8(Data, 0x85);
        Port.Write8(Data, 0x03);
        Ecp.Write8(Fifo, 0x02);
        Ecp.Write8(Fifo, 0x04);
        Host.Clock.Advance(Millisecond);
        Assert.That(device.Received, Is.EqualTo((byte[])[1, 2, 2, 2, 2, 4]));
        Assert.That(device.Address, Is.EqualTo(5));
        Assert.That(Ecp.Read8(Ecr) & Empty, Is.EqualTo(Empty));
    }

    [Test]
    public void An_ECP_byte_sent_by_hardware_makes_the_edges_of_the_standards_figure()
    {
        using var dump = new MemoryStream();
        var tracer = new LogicTracer(new ScriptedPeripheral(), dump);
        Plug(tracer, ecp: true);
        _driver = new Ieee1284Host(Host);
        StartEcp();
        Host.Clock.Advance(Microsecond);
        long start = Host.Clock.Now;
        Ecp.Write8(Fifo, 0x5a);
        Host.Clock.Advance(10 * Microsecond);
        Port.Write8(Data, 0x81);
        Host.Clock.Advance(10 * Microsecond);
        tracer.Dispose();
        string[] steps = [.. new VcdFile(Encoding.ASCII.GetString(dump.ToArray())).Steps(start)];
        Assert.That(steps, Is.EqualTo((string[])
        [
            "Data=01011010", "nStrobe=0", "Busy=1", "nStrobe=1", "Busy=0",
            "Data=10000001 nAutoFd=0", "nStrobe=0", "Busy=1", "nStrobe=1", "Busy=0", "nAutoFd=1",
        ]));
    }

    [Test]
    public void The_reverse_FIFO_receives_and_expands_runs_longer_than_itself([Values(Ieee1284Host.EcpMode, Ieee1284Host.EcpRle)] byte mode)
    {
        var device = Plugged();
        byte[] sent = [1, 2, .. Enumerable.Repeat((byte)7, 300), 3];
        device.Offer(sent);
        StartEcp(mode);
        TurnRound();
        var received = new List<byte>();
        for (int i = 0; i < 10_000 && received.Count < sent.Length; i++)
        {
            Host.Clock.Advance(10 * Microsecond);
            Assert.That(Card.FifoCount, Is.LessThanOrEqualTo(Depth));
            while ((Ecp.Read8(Ecr) & Empty) == 0) received.Add(Ecp.Read8(Fifo));
        }
        Assert.That(received, Is.EqualTo(sent));
        Assert.That(device.Left, Is.Zero);
    }

    [Test]
    public void The_reverse_service_interrupt_comes_at_eight_bytes()
    {
        var device = Plugged();
        device.Offer([.. Enumerable.Range(0, 7).Select(i => (byte)i)]);
        StartEcp();
        TurnRound();
        Modify(Service, 0);
        Host.Clock.Advance(Millisecond);
        Assert.That(Host.IntxRises, Is.Zero);
        Assert.That(Card.FifoCount, Is.EqualTo(7));
        device.Offer(7);
        Host.Clock.Advance(Millisecond);
        Assert.That(Host.IntxRises, Is.EqualTo(1));
    }

    [Test]
    public void A_driver_counts_what_a_stuck_printer_did_not_take()
    {
        StartFifo(FifoMode);
        Switch("line", "off");
        for (int i = 0; i < 10; i++) Ecp.Write8(Fifo, (byte)i);
        Host.Clock.Advance(Second);
        // Straight to test mode: the handshake stops and the bytes stay.
        SetMode(TestMode);
        int room = 0;
        for (; (Ecp.Read8(Ecr) & Full) == 0; room++) Ecp.Write8(Fifo, 0);
        Assert.That(room, Is.EqualTo(Depth - 10));
        SetMode(ByteMode);
        SetMode(Configuration);
        Assert.That(Ecp.Read8(Fifo) & 0x04, Is.EqualTo(0x04), "no byte is left in the transmitter");
        Switch("line", "on");
        Host.Clock.Advance(Second);
        Assert.That(Sink.Current, Is.Empty);
    }

    [Test]
    public void A_byte_caught_in_the_transmitter_shows_in_cnfgA()
    {
        Assert.That(_driver.Negotiate(Ieee1284Host.EcpMode), Is.True);
        Switch("paper", "out");
        Ecp.Write8(Ecr, ByteMode | NoErrorInterrupt | Service);
        Ecp.Write8(Ecr, EcpMode | NoErrorInterrupt | Service);
        Ecp.Write8(Fifo, (byte)'a');
        Host.Clock.Advance(Second);
        Assert.That(Ecp.Read8(Ecr) & Empty, Is.EqualTo(Empty), "the FIFO no longer counts it");
        SetMode(ByteMode);
        SetMode(Configuration);
        Assert.That(Ecp.Read8(Fifo), Is.EqualTo(0x10));
        SetMode(ByteMode);
        SetMode(EcpMode);
        SetMode(Configuration);
        Assert.That(Ecp.Read8(Fifo), Is.EqualTo(0x14), "forgotten when the next transfer starts");
    }

    [Test]
    public void The_direction_is_fixed_while_the_FIFO_works([Values(FifoMode, EcpMode, TestMode)] byte mode)
    {
        Ecp.Write8(Ecr, ByteMode | Service);
        Ecp.Write8(Ecr, (byte)(mode | Service));
        Port.Write8(Control, Idle | Reverse);
        Assert.That(Port.Read8(Control) & Reverse, Is.Zero);
        Assert.That(Card.Log.Count, Is.EqualTo(1));
    }

    [Test]
    public void EPP_registers_answer_in_EPP_mode_only()
    {
        Assert.That(_driver.Negotiate(Ieee1284Host.Epp), Is.True);
        Port.Write8(EppData, (byte)'x');
        Assert.That(Port.Read8(EppData), Is.EqualTo(0xff));
        Assert.That(Sink.Current, Is.Empty);
        SetMode(EppMode);
        Port.Write8(EppData, (byte)'y');
        Assert.That(Sink.Current, Is.EqualTo("y"u8.ToArray()));
    }

    [TestCase(Standard)]
    [TestCase(ByteMode)]
    [TestCase(EppMode)]
    [TestCase(5 << 5, TestName = "The vendor mode does nothing")]
    [TestCase(Configuration)]
    public void A_FIFO_write_in_a_mode_without_FIFO_is_lost(byte mode)
    {
        Ecp.Write8(Ecr, (byte)(mode | Service));
        Ecp.Write8(Fifo, 0x55);
        Host.Clock.Advance(Millisecond);
        Assert.That(Card.FifoCount, Is.Zero);
        Assert.That(Sink.Current, Is.Empty);
        Assert.That(Card.Log.Count, Is.Not.Zero);
    }

    [Test]
    public void A_reset_in_mid_transfer_leaves_a_card_at_power_on()
    {
        StartFifo(FifoMode);
        for (int i = 0; i < Depth; i++) Ecp.Write8(Fifo, (byte)'x');
        Host.Clock.Advance(20 * Microsecond);
        Card.Reset(Emulator.Pci.ResetKind.PowerOn);
        int printed = Sink.Jobs.Sum(j => j.Length);
        Host.Config.Write16(0x04, 1);
        Host.Clock.Advance(Second);
        Assert.That(Ecp.Read8(Ecr), Is.EqualTo(0x15));
        Assert.That(Port.Read8(Status), Is.EqualTo(0xdf), "ready; the timeout bit reads one outside EPP mode");
        Assert.That(Sink.Jobs.Sum(j => j.Length) + Sink.Current.Count, Is.EqualTo(printed));
    }

    private void Modify(int clear, int set) => Ecp.Write8(Ecr, (byte)((Ecp.Read8(Ecr) & ~clear) | set));

    private void SetMode(int mode) => Modify(0xe0, mode);

    private void StartFifo(byte mode)
    {
        Port.Write8(Control, Idle);
        Ecp.Write8(Ecr, ByteMode | NoErrorInterrupt | Service);
        Ecp.Write8(Ecr, (byte)(mode | NoErrorInterrupt | Service));
    }

    private void StartEcp(byte mode = Ieee1284Host.EcpMode)
    {
        Assert.That(_driver.Negotiate(mode), Is.True);
        Ecp.Write8(Ecr, ByteMode | NoErrorInterrupt | Service);
        _driver.Control(Strobe | AutoFeed, 0);
        SetMode(EcpMode);
        Host.Clock.Advance(Microsecond);
    }

    // As the ECP standard has it: through mode 001, direction, mode 011, then nReverseRequest.
    private void TurnRound()
    {
        SetMode(ByteMode);
        _driver.Control(0, AutoFeed | Reverse);
        Host.Clock.Advance(5 * Microsecond);
        _driver.Control(Init | AutoFeed, 0);
        Assert.That(_driver.Wait(PaperOut, 0), Is.True, "event 40");
        SetMode(EcpMode);
    }

    private ScriptedPeripheral Plugged()
    {
        var device = new ScriptedPeripheral();
        Plug(device, ecp: true);
        _driver = new Ieee1284Host(Host);
        return device;
    }
}
