using System.Text;
using DeviceModels.ParallelPort;
using DeviceModels.ParallelPort.Ieee1284;
using DeviceModels.ParallelPort.Peripherals;

namespace DeviceModels.Tests.ParallelPort;

[TestFixture, Category("Unit")]
internal sealed class Ieee1284Tests : ParallelPortFixture
{
    private const string Id = PrinterOptions.DefaultDeviceId;

    private static readonly byte[] EncodedId = [0, (byte)(Id.Length + 2), .. Encoding.ASCII.GetBytes(Id)];

    private Ieee1284Host _driver = null!;

    [SetUp]
    public void PlugIn()
    {
        PlugPrinter();
        _driver = new Ieee1284Host(Host);
    }

    [Test]
    public void The_device_ID_in_nibble_mode_is_length_and_text_and_then_there_is_no_more_data()
    {
        Assert.That(_driver.Negotiate(Ieee1284Host.Nibble | Ieee1284Host.DeviceId), Is.True);
        Assert.That(Printer.ModeName, Is.EqualTo("nibble"));
        // A system's driver reads the length first and the rest in a second call.
        Assert.That(_driver.ReadNibbles(2), Is.EqualTo(EncodedId[..2]));
        Assert.That(_driver.ReadNibbles(EncodedId.Length - 2), Is.EqualTo(EncodedId[2..]));
        Assert.That(_driver.HasData, Is.False);
        Assert.That(_driver.Terminate(), Is.True);
        AssertPrints();
    }

    [Test]
    public void The_device_ID_can_be_read_in_byte_mode()
    {
        Assert.That(_driver.Negotiate(Ieee1284Host.Byte | Ieee1284Host.DeviceId), Is.True);
        Assert.That(Printer.ModeName, Is.EqualTo("byte"));
        Assert.That(_driver.ReadBytes(1000), Is.EqualTo(EncodedId));
        Assert.That(_driver.Terminate(), Is.True);
        AssertPrints();
    }

    [Test]
    public void The_device_ID_can_be_read_in_ECP_mode()
    {
        Assert.That(_driver.Negotiate(Ieee1284Host.EcpMode | Ieee1284Host.DeviceId), Is.True);
        _driver.ReverseEcp();
        Assert.That(_driver.ReadEcp(1000), Is.EqualTo(EncodedId.Select(b => (int)b)));
        _driver.ForwardEcp();
        Assert.That(_driver.Terminate(), Is.True);
        AssertPrints();
    }

    [Test]
    public void Asking_again_starts_the_device_ID_from_its_beginning()
    {
        for (int i = 0; i < 2; i++)
        {
            Assert.That(_driver.Negotiate(Ieee1284Host.Nibble | Ieee1284Host.DeviceId), Is.True);
            Assert.That(_driver.ReadNibbles(5), Is.EqualTo(EncodedId[..5]));
            Assert.That(_driver.Terminate(), Is.True);
        }
    }

    [Test]
    public void Negotiation_and_the_first_byte_of_the_ID_make_the_edges_of_the_standards_figures()
    {
        using var dump = new MemoryStream();
        var tracer = new LogicTracer(new Printer(new MemoryPrintSink()), dump);
        Plug(tracer);
        _driver = new Ieee1284Host(Host);
        _driver.Control(0, 0);
        Host.Clock.Advance(Microsecond);
        long start = Host.Clock.Now;
        Assert.That(_driver.Negotiate(Ieee1284Host.Nibble | Ieee1284Host.DeviceId), Is.True);
        _driver.ReadNibble();
        _driver.ReadNibble();
        _driver.Terminate();
        tracer.Dispose();
        string[] steps = [.. new VcdFile(Encoding.ASCII.GetString(dump.ToArray())).Steps(start)];
        Assert.That(steps, Is.EqualTo((string[])
        [
            "Data=00000100",                    // event 0
            "nAutoFd=0 nSelectIn=1",            // event 1
            "PError=1 nAck=0",                  // event 2: nFault and Select were high
            "nStrobe=0",                        // event 3
            "nStrobe=1 nAutoFd=1",              // event 4
            "nFault=0 PError=0",                // event 5: data is available, XFlag high
            "nAck=1",                           // event 6
            "nAutoFd=0",                        // event 7: bits 0 to 3 of 0x00
            "Select=0", "nAck=0",               // events 8, 9
            "nAutoFd=1", "nAck=1",              // events 10, 11
            "nAutoFd=0", "nAck=0",              // bits 4 to 7
            "nAutoFd=1",
            "Select=1", "nAck=1",               // event 13: more data is available
            "nSelectIn=0",                      // event 22
            "nFault=1 Busy=1",                  // event 23
            "Select=0 nAck=0",                  // event 24
            "nAutoFd=0",                        // event 25
            "Select=1 nAck=1",                  // events 26, 27
            "nAutoFd=1",                        // event 28
            "Busy=0",                           // event 29
        ]));
    }

    [TestCase(Ieee1284Host.Nibble, TestName = "A printer with nothing to say agrees to nibble mode and has no data")]
    [TestCase(Ieee1284Host.Byte, TestName = "A printer with nothing to say agrees to byte mode and has no data")]
    public void A_printer_with_nothing_to_say_has_no_data(byte mode)
    {
        Assert.That(_driver.Negotiate(mode), Is.True);
        Assert.That(_driver.HasData, Is.False);
        _driver.Control(AutoFeed, AutoFeed);
        Assert.That(_driver.Wait(NotAck, 0), Is.False, "reverse idle: nothing comes");
        Assert.That(_driver.Terminate(), Is.True);
        AssertPrints();
    }

    [TestCase(Ieee1284Host.ExtensionLink)]
    [TestCase(0x02)]
    [TestCase(0x44)]
    [TestCase(0x18)]
    public void A_request_for_what_it_does_not_know_is_refused(byte request)
    {
        Assert.That(_driver.Negotiate(request), Is.False);
        AssertPrints();
    }

    [TestCase(Ieee1284Modes.Nibble, Ieee1284Host.Nibble, ExpectedResult = true)]
    [TestCase(Ieee1284Modes.Nibble, Ieee1284Host.Byte, ExpectedResult = false)]
    [TestCase(Ieee1284Modes.Ecp, Ieee1284Host.Nibble, ExpectedResult = false)]
    [TestCase(Ieee1284Modes.Ecp, Ieee1284Host.EcpRle, ExpectedResult = false)]
    [TestCase(Ieee1284Modes.Ecp, Ieee1284Host.EcpMode, ExpectedResult = true)]
    [TestCase(Ieee1284Modes.None, Ieee1284Host.Nibble, ExpectedResult = null)]
    public bool? A_printer_agrees_to_the_modes_of_its_options(Ieee1284Modes modes, byte request)
    {
        PlugPrinter(options: new PrinterOptions { Modes = modes });
        return new Ieee1284Host(Host).Negotiate(request);
    }

    [Test]
    public void A_printer_without_device_ID_refuses_to_tell_it()
    {
        PlugPrinter(options: new PrinterOptions { DeviceId = "" });
        Assert.That(new Ieee1284Host(Host).Negotiate(Ieee1284Host.Nibble | Ieee1284Host.DeviceId), Is.False);
    }

    [Test]
    public void A_device_ID_that_is_not_ASCII_is_refused_in_words()
        => Assert.That(() => new Printer(new MemoryPrintSink(), new PrinterOptions { DeviceId = "MDL:Drucker für Büro;" }),
            Throws.ArgumentException.With.Message.Contains("ASCII"));

    [Test]
    public void A_printer_out_of_paper_still_negotiates_and_shows_it_again_afterwards()
    {
        Switch("paper", "out");
        Assert.That(_driver.Negotiate(Ieee1284Host.Nibble | Ieee1284Host.DeviceId), Is.True);
        Assert.That(_driver.ReadNibbles(1000), Is.EqualTo(EncodedId));
        Assert.That(_driver.Terminate(), Is.True);
        Assert.That(_driver.Status & (PaperOut | NotBusy | NotFault), Is.EqualTo(PaperOut));
    }

    [Test]
    public void A_host_that_stops_in_the_middle_finds_compatibility_mode_after_the_timeout([Values(0, 1, 3, 4)] int stop)
    {
        Port.Write8(Data, 0x04);
        _driver.Control(SelectIn, AutoFeed);
        if (stop > 0) _driver.Control(0, Strobe);
        if (stop > 1) _driver.Control(Strobe | AutoFeed, 0);
        if (stop > 2) _driver.Control(0, AutoFeed);
        if (stop > 3) _driver.Control(AutoFeed, SelectIn);
        Host.Clock.Advance(6 * Second);
        _driver.Control(0x0f, Idle);
        Assert.That(_driver.Status, Is.EqualTo(0xde));
        AssertPrints();
    }

    [Test]
    public void Between_bytes_a_host_may_take_for_ever()
    {
        Assert.That(_driver.Negotiate(Ieee1284Host.Nibble | Ieee1284Host.DeviceId), Is.True);
        Host.Clock.Advance(3600 * Second);
        Assert.That(_driver.ReadNibbles(1000), Is.EqualTo(EncodedId));
    }

    [Test]
    public void A_negotiation_given_up_leaves_compatibility_mode([Values] bool strobed)
    {
        Port.Write8(Data, 0x04);
        _driver.Control(SelectIn, AutoFeed);
        if (strobed) _driver.Control(0, Strobe);
        _driver.Control(AutoFeed | Strobe, SelectIn);
        Assert.That(_driver.Status, Is.EqualTo(0xde));
        AssertPrints();
    }

    [Test]
    public void ECP_data_is_printed_runs_are_expanded_and_addresses_are_not_printed()
    {
        Assert.That(_driver.Negotiate(Ieee1284Host.EcpRle), Is.True);
        Assert.That(Printer.ModeName, Is.EqualTo("ecp-rle"));
        Assert.That(_driver.WriteEcp((byte)'a'), Is.True);
        Assert.That(_driver.WriteEcp(0x85, isCommand: true), Is.True);
        Assert.That(_driver.WriteEcp(3, isCommand: true), Is.True);
        Assert.That(_driver.WriteEcp((byte)'b'), Is.True);
        Assert.That(_driver.WriteEcp((byte)'c'), Is.True);
        Assert.That(_driver.Terminate(), Is.True);
        Assert.That(Encoding.ASCII.GetString([.. Sink.Current]), Is.EqualTo("abbbbc"));
    }

    [Test]
    public void In_ECP_mode_a_printer_out_of_paper_stalls_and_host_transfer_recovery_gives_the_byte_up()
    {
        Assert.That(_driver.Negotiate(Ieee1284Host.EcpMode), Is.True);
        Switch("paper", "out");
        Assert.That(_driver.WriteEcp((byte)'a'), Is.False);
        _driver.Control(Init, Reverse);
        Assert.That(_driver.Wait(PaperOut, 0), Is.True);
        _driver.Control(Strobe | Reverse, Init);
        Assert.That(_driver.Wait(PaperOut, PaperOut), Is.True);
        Switch("paper", "present");
        Assert.That(_driver.WriteEcp((byte)'b'), Is.True);
        Assert.That(Sink.Current, Is.EqualTo("b"u8.ToArray()));
    }

    [Test]
    public void A_byte_stalled_in_ECP_mode_is_taken_when_there_is_paper_again()
    {
        Assert.That(_driver.Negotiate(Ieee1284Host.EcpMode), Is.True);
        Switch("paper", "out");
        Assert.That(_driver.WriteEcp((byte)'a'), Is.False);
        Switch("paper", "present");
        Assert.That(_driver.Status & NotBusy, Is.Zero, "PeriphAck");
        Assert.That(Sink.Current, Is.EqualTo("a"u8.ToArray()));
    }

    [Test]
    public void A_scanner_announces_data_that_comes_while_the_host_waits()
    {
        var scanner = new ScriptedPeripheral();
        Plug(scanner);
        _driver = new Ieee1284Host(Host);
        Assert.That(_driver.Negotiate(Ieee1284Host.Nibble), Is.True);
        _driver.Control(AutoFeed, AutoFeed | InterruptEnable);
        scanner.Offer(0xa5);
        Assert.That(_driver.Status & (NotFault | NotAck), Is.Zero, "events 18 and 19");
        _driver.Control(AutoFeed, 0);
        Assert.That(Host.IntxAsserted, Is.True, "event 21 interrupts");
        Assert.That(_driver.ReadNibbles(10), Is.EqualTo((byte[])[0xa5]));
    }

    [Test]
    public void Reverse_ECP_data_is_run_length_coded_only_when_that_was_agreed([Values] bool rle)
    {
        var scanner = new ScriptedPeripheral();
        Plug(scanner);
        _driver = new Ieee1284Host(Host);
        scanner.Offer([1, .. Enumerable.Repeat((byte)7, 130), 2, 2]);
        Assert.That(_driver.Negotiate(rle ? Ieee1284Host.EcpRle : Ieee1284Host.EcpMode), Is.True);
        Assert.That(_driver.HasData, Is.True, "nPeriphRequest");
        _driver.ReverseEcp();
        List<int> items = _driver.ReadEcp(1000);
        Assert.That(items, Is.EqualTo(rle ? [1, -128, 7, 7, 7, 2, 2] : (int[])[1, .. Enumerable.Repeat(7, 130), 2, 2]));
        Assert.That(scanner.Left, Is.Zero);
    }

    [Test]
    public void Turning_the_channel_round_before_a_byte_is_taken_loses_nothing()
    {
        var scanner = new ScriptedPeripheral();
        Plug(scanner);
        _driver = new Ieee1284Host(Host);
        scanner.Offer([9, 9, 9, 9]);
        Assert.That(_driver.Negotiate(Ieee1284Host.EcpRle), Is.True);
        _driver.ReverseEcp();
        Assert.That(_driver.ReadEcp(1), Is.EqualTo((int[])[-4]), "a count of four");
        _driver.ForwardEcp();
        Assert.That(_driver.WriteEcp(0x55), Is.True);
        _driver.ReverseEcp();
        Assert.That(_driver.ReadEcp(10), Is.EqualTo((int[])[-4, 9]));
        Assert.That(scanner.Received, Is.EqualTo((byte[])[0x55]));
    }

    [Test]
    public void EPP_cycles_carry_addresses_and_data_both_ways()
    {
        var device = new ScriptedPeripheral();
        Plug(device);
        _driver = new Ieee1284Host(Host);
        Assert.That(_driver.Negotiate(Ieee1284Host.Epp), Is.True);
        Port.Write8(EppAddress, 0x21);
        Port.Write32(EppData, 0x44332211);
        Assert.That(device.Received, Is.EqualTo((byte[])[0x11, 0x22, 0x33, 0x44]), "a dword is four cycles, lowest byte first");
        Assert.That(device.Address, Is.EqualTo(0x21));
        Assert.That(Port.Read8(EppAddress), Is.EqualTo(0x21));
        device.Offer([1, 2, 3]);
        Assert.That(Port.Read16(EppData), Is.EqualTo(0x0201));
        Assert.That(Port.Read8(EppData), Is.EqualTo(3));
        Assert.That(_driver.Status & Timeout, Is.Zero);
    }

    [Test]
    public void EPP_cycles_make_the_edges_of_the_standards_figures()
    {
        using var dump = new MemoryStream();
        var device = new ScriptedPeripheral();
        var tracer = new LogicTracer(device, dump);
        Plug(tracer);
        _driver = new Ieee1284Host(Host);
        Assert.That(_driver.Negotiate(Ieee1284Host.Epp), Is.True);
        device.Offer(0x3c);
        Host.Clock.Advance(Microsecond);
        long start = Host.Clock.Now;
        Port.Write8(EppData, 0x5a);
        Port.Read8(EppData);
        Port.Write8(EppAddress, 0x81);
        tracer.Dispose();
        string[] steps = [.. new VcdFile(Encoding.ASCII.GetString(dump.ToArray())).Steps(start)];
        Assert.That(steps, Is.EqualTo((string[])
        [
            "Data=01011010 nStrobe=0", "nAutoFd=0", "Busy=1", "nAutoFd=1", "Busy=0", "Data=01000000 nStrobe=1",
            "Data=zzzzzzzz", "nAutoFd=0", "Data=00111100 Busy=1", "nAutoFd=1", "Data=zzzzzzzz Busy=0", "Data=01000000",
            "Data=10000001 nStrobe=0", "nSelectIn=0", "Busy=1", "nSelectIn=1", "Busy=0", "Data=01000000 nStrobe=1",
        ]));
    }

    [Test]
    public void An_EPP_cycle_nobody_answers_sets_the_timeout_bit_until_a_one_is_written()
    {
        Assert.That(_driver.Negotiate(Ieee1284Host.Epp), Is.True);
        Assert.That(Port.Read8(EppData), Is.EqualTo(0xff), "the printer has no data to read");
        Assert.That(Port.Read8(Status) & Timeout, Is.EqualTo(Timeout));
        Port.Write8(Status, 0);
        Assert.That(Port.Read8(Status) & Timeout, Is.EqualTo(Timeout), "writing zero leaves it");
        Port.Write8(Status, Timeout);
        Assert.That(Port.Read8(Status) & Timeout, Is.Zero);
    }

    [Test]
    public void An_open_cable_times_out_in_EPP()
    {
        Plug(new NoPeripheral());
        Port.Write8(EppData, 1);
        Assert.That(Port.Read8(Status) & Timeout, Is.EqualTo(Timeout));
    }

    [Test]
    public void With_DIR_set_an_EPP_write_is_a_read_on_the_cable()
    {
        var device = new ScriptedPeripheral();
        Plug(device);
        _driver = new Ieee1284Host(Host);
        Assert.That(_driver.Negotiate(Ieee1284Host.Epp), Is.True);
        device.Offer(1);
        _driver.Control(0, Reverse);
        Port.Write8(EppData, 0x77);
        Assert.That(device.Received, Is.Empty);
        Assert.That(device.Left, Is.Zero);
    }

    [Test]
    public void The_printer_prints_in_EPP_mode_and_nInit_ends_it()
    {
        Assert.That(_driver.Negotiate(Ieee1284Host.Epp), Is.True);
        foreach (byte value in "epp"u8) Port.Write8(EppData, value);
        Assert.That(Sink.Current, Is.EqualTo("epp"u8.ToArray()));
        _driver.Control(Init, 0);
        Host.Clock.Advance(50 * Microsecond);
        _driver.Control(0, Init | SelectIn);
        Assert.That(Sink.Jobs, Is.Empty, "leaving EPP mode does not initialize the printer");
        Assert.That(Printer.ModeName, Is.EqualTo("compatibility"));
        AssertPrints();
    }

    private void AssertPrints()
    {
        int before = Sink.Current.Count;
        Send((byte)'!');
        Assert.That(Sink.Current.Skip(before), Is.EqualTo("!"u8.ToArray()));
    }
}
