using System.Text;
using DeviceModels.ParallelPort;
using DeviceModels.ParallelPort.Peripherals;
using Emulator.Testing;

namespace DeviceModels.Tests.ParallelPort;

[TestFixture, Category("Unit")]
internal sealed class CompatibilityModeTests : ParallelPortFixture
{
    [SetUp]
    public void PlugIn() => PlugPrinter();

    [Test]
    public void The_card_identifies_as_a_NetMos_9805()
    {
        Assert.That(Host.Config.Read32(0x00), Is.EqualTo(0x9805_9710u));
        Assert.That(Host.Config.Read32(0x08), Is.EqualTo(0x07_01_01_01u), "parallel controller, bidirectional, revision 1");
        Assert.That(Host.Config.Read32(0x2c), Is.EqualTo(0x0010_1000u));
        Assert.That(Host.Config.Read8(0x3d), Is.EqualTo(1), "INTA");
        Assert.That(Host.Config.Read16(0x06) & 0x10, Is.Zero, "no capabilities list");
    }

    [Test]
    public void BAR0_is_eight_ports_and_there_is_no_other([Range(0, 5)] int bar)
    {
        Host.Config.Write32(0x10 + (4 * bar), 0xffff_ffff);
        Assert.That(Host.Config.Read32(0x10 + (4 * bar)), Is.EqualTo(bar == 0 ? 0xffff_fff9u : 0u));
    }

    [Test]
    public void A_driver_finds_the_documented_reset_values()
    {
        Assert.That(Port.Read8(Data), Is.Zero);
        Assert.That(Port.Read8(Status), Is.EqualTo(0xde), "ready, selected, no interrupt, no EPP timeout");
        Assert.That(Port.Read8(Control), Is.EqualTo(0xc4), "nINIT high, reserved bits one");
    }

    [Test]
    public void Strobing_a_byte_prints_it_once()
    {
        Send((byte)'A');
        Assert.That(Sink.Current, Is.EqualTo("A"u8.ToArray()));
    }

    [Test]
    public void A_printed_byte_goes_through_busy_and_acknowledge()
    {
        var seen = new List<string>();
        Port.Write8(Control, Idle);
        Port.Write8(Data, 0x41);
        Note("data");
        Port.Write8(Control, Idle | Strobe);
        Note("strobe");
        Port.Write8(Control, Idle);
        Note("strobe off");
        Host.Clock.Advance(2_499);
        Note("2.499 us");
        Host.Clock.Advance(1);
        Note("2.5 us");
        Host.Clock.Advance(4_999);
        Note("7.499 us");
        Host.Clock.Advance(1);
        Note("7.5 us");
        Assert.That(string.Join("; ", seen), Is.EqualTo(
            "data: nBUSY nACK; strobe: nACK; strobe off: nACK; 2.499 us: nACK; 2.5 us:; 7.499 us:; 7.5 us: nBUSY nACK"));

        void Note(string moment)
        {
            byte status = Port.Read8(Status);
            seen.Add($"{moment}:{((status & NotBusy) != 0 ? " nBUSY" : "")}{((status & NotAck) != 0 ? " nACK" : "")}");
        }
    }

    [Test]
    public void A_strobe_while_the_printer_is_busy_is_lost()
    {
        Port.Write8(Data, 1);
        Port.Write8(Control, Idle | Strobe);
        Port.Write8(Control, Idle);
        Port.Write8(Data, 2);
        Port.Write8(Control, Idle | Strobe);
        Assert.That(Sink.Current, Is.EqualTo(new byte[] { 1 }));
    }

    [Test]
    public void The_rising_edge_of_nACK_interrupts_once_and_the_line_falls_by_itself()
    {
        Port.Write8(Control, Idle | InterruptEnable);
        Port.Write8(Data, (byte)'A');
        Port.Write8(Control, Idle | InterruptEnable | Strobe);
        Port.Write8(Control, Idle | InterruptEnable);
        Host.Clock.Advance(7_499);
        Assert.That(Host.IntxRises, Is.Zero, "nACK has not risen yet");

        Host.Clock.Advance(1);
        Assert.That(Host.IntxAsserted, Is.True);
        Assert.That(Host.Config.Read16(0x06) & 0x08, Is.Not.Zero, "Interrupt Status");

        Host.Clock.Advance(Millisecond);
        Assert.That(Host.IntxAsserted, Is.False, "a driver that acknowledges nothing is not interrupted for ever");
        Assert.That(Host.IntxRises, Is.EqualTo(1));
        Assert.That(Port.Read8(Status) & NotInterrupt, Is.Zero, "the edge is remembered");
        Assert.That(Port.Read8(Status) & NotInterrupt, Is.Not.Zero, "until STATUS is read");
    }

    [Test]
    public void Reading_STATUS_ends_the_interrupt_early()
    {
        Port.Write8(Control, Idle | InterruptEnable);
        Port.Write8(Control, Idle | InterruptEnable | Strobe);
        Port.Write8(Control, Idle | InterruptEnable);
        Host.Clock.Advance(7_500);
        Assert.That(Port.Read8(Status) & NotInterrupt, Is.Zero);
        Assert.That(Host.IntxAsserted, Is.False);
    }

    [Test]
    public void No_interrupt_reaches_a_driver_that_did_not_enable_it()
    {
        Send((byte)'A');
        Assert.That(Host.IntxRises, Is.Zero);
        Assert.That(Port.Read8(Status) & NotInterrupt, Is.Not.Zero);
    }

    [Test]
    public void Clearing_the_interrupt_enable_drops_a_pending_interrupt()
    {
        Port.Write8(Control, Idle | InterruptEnable);
        Port.Write8(Control, Idle | InterruptEnable | Strobe);
        Port.Write8(Control, Idle | InterruptEnable);
        Host.Clock.Advance(7_500);
        Port.Write8(Control, Idle);
        Assert.That(Host.IntxAsserted, Is.False);
        Assert.That(Port.Read8(Status) & NotInterrupt, Is.Not.Zero);
    }

    [Test]
    public void Without_its_interrupt_wired_the_card_has_no_pin_and_remembers_the_edge_of_nACK_all_the_same()
    {
        Host = new FakePciHost();
        Card = Host.Plug(new ParallelPortCard(Host.Slot, new ParallelPortOptions(Interrupt: false), new Printer(Sink)));
        Assert.That(Host.Config.Read8(0x3d), Is.Zero);
        Send((byte)'A', Idle | InterruptEnable);
        Assert.That(Host.IntxRises, Is.Zero);
        Assert.That(Host.Config.Read16(0x06) & 0x08, Is.Zero, "Interrupt Status");
        Assert.That(Port.Read8(Status) & NotInterrupt, Is.Zero);
    }

    [Test]
    public void In_reverse_a_read_returns_the_floating_pins_and_forward_the_latch_again()
    {
        Port.Write8(Control, Idle | Reverse);
        Port.Write8(Data, 0x55);
        Assert.That(Port.Read8(Data), Is.EqualTo(0xff));
        Port.Write8(Control, Idle);
        Assert.That(Port.Read8(Data), Is.EqualTo(0x55));
    }

    [Test]
    public void A_dword_read_covers_the_three_registers_and_one_EPP_cycle()
        => Assert.That(Port.Read32(0) & 0xffffff, Is.EqualTo(0xc4_de_00u));

    [TestCase("paper", "out", PaperOut | Selected, TestName = "A printer without paper shows PError and nFault and is busy")]
    [TestCase("line", "off", 0, TestName = "A printer off line shows Select low and nFault and is busy")]
    [TestCase("fault", "jam", Selected, TestName = "A jammed printer shows nFault alone and is busy")]
    public void A_switch_shows_on_the_status_lines_and_holds_bytes_back(string name, string value, int expected)
    {
        Switch(name, value);
        Assert.That(Port.Read8(Status) & (NotBusy | PaperOut | Selected | NotFault), Is.EqualTo(expected));
        Send((byte)'A');
        Assert.That(Sink.Current, Is.Empty);

        SwitchOf(name).TrySet(SwitchOf(name).Values[0]);
        Assert.That(Port.Read8(Status), Is.EqualTo(0xde));
        Send((byte)'B');
        Assert.That(Sink.Current, Is.EqualTo("B"u8.ToArray()));
    }

    [Test]
    public void Paper_that_runs_out_while_a_byte_is_acknowledged_shows_at_once_and_the_byte_is_kept()
    {
        Port.Write8(Data, (byte)'A');
        Port.Write8(Control, Idle | Strobe);
        Port.Write8(Control, Idle);
        Switch("paper", "out");
        Assert.That(Port.Read8(Status) & PaperOut, Is.Not.Zero);
        Host.Clock.Advance(Millisecond);
        Assert.That(Port.Read8(Status) & (NotBusy | NotAck), Is.EqualTo(NotAck), "acknowledged, still busy");
        Assert.That(Sink.Current, Is.EqualTo("A"u8.ToArray()));
    }

    [Test]
    public void A_wrong_switch_value_is_refused_in_words()
    {
        Assert.That(SwitchOf("paper").TrySet("none"), Is.EqualTo("paper takes present, out; not 'none'"));
        Assert.That(SwitchOf("speed").TrySet("fast"), Does.Contain("fast"));
        Assert.That(SwitchOf("speed").TrySet("-1"), Is.Not.Null);
    }

    [Test]
    public void A_speed_limit_keeps_the_printer_busy_for_the_time_of_a_byte()
    {
        Switch("speed", "1000");
        Send((byte)'A');
        Host.Clock.Advance(Millisecond - (20 * Microsecond));
        Assert.That(Port.Read8(Status) & NotBusy, Is.Zero);
        Host.Clock.Advance(20 * Microsecond);
        Assert.That(Port.Read8(Status) & NotBusy, Is.Not.Zero);
    }

    [Test]
    public void Power_on_finds_the_printer_ready_and_ends_its_job()
    {
        Send("half a j"u8);
        Port.Write8(Control, Idle | Strobe);
        Card.Reset(Emulator.Pci.ResetKind.PowerOn);
        Assert.That(Sink.Jobs, Has.Count.EqualTo(1));
        Assert.That(Port.Read8(Status), Is.EqualTo(0xff), "I/O Space Enable is off");
        Host.Config.Write16(0x04, 1);
        Assert.That(Port.Read8(Status), Is.EqualTo(0xde));
    }

    [Test]
    public void An_open_cable_reads_busy_and_floats()
    {
        Plug(new NoPeripheral());
        Assert.That(Port.Read8(Status), Is.EqualTo(0x7e));
        Port.Write8(Control, Reverse);
        Assert.That(Port.Read8(Data), Is.EqualTo(0xff));
    }

    [Test]
    public void A_daisy_chain_packet_is_not_printed_and_printing_goes_on_after_it()
    {
        foreach (byte value in (byte[])[0xaa, 0x55, 0x00, 0xff, 0x87, 0x78, 0x30]) Port.Write8(Data, value);
        Port.Write8(Control, Idle | Strobe);
        Port.Write8(Control, Idle);
        Port.Write8(Data, 0xff);
        Assert.That(Sink.Current, Is.Empty);
        Send("ok"u8);
        Assert.That(Encoding.ASCII.GetString([.. Sink.Current]), Is.EqualTo("ok"));
    }

    [Test]
    public void The_daisy_chain_prefix_as_printed_data_is_printed()
    {
        byte[] bytes = [0xaa, 0x55, 0x00, 0xff, 0x87, 0x78, 0x30, 0xff];
        Send(bytes);
        Assert.That(Sink.Current, Is.EqualTo(bytes));
    }

    private Emulator.Models.DeviceSwitch SwitchOf(string name) => Card.Switches.Single(s => s.Name == name);
}
