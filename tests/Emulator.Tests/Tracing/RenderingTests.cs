using System.Text.Json;
using Emulator.Observation;
using Emulator.Pci;
using Emulator.Testing;
using Emulator.Tracing;
using static Emulator.Tests.Tracing.TestTrace;

namespace Emulator.Tests.Tracing;

[Category("Unit")]
public sealed class RenderingTests
{
    private static readonly TracedDevice Card = TracedDevice.Of("card", "test-card", TestCard.Detached());

    private static DeviceEvent Read(int region, ulong offset, int length, ulong value, bool ok = true)
        => Event(0, DeviceEventKind.Read, value, offset, region, length, ok);

    private static DeviceEvent Write(int region, ulong offset, int length, ulong value, bool ok = true)
        => Event(0, DeviceEventKind.Write, value, offset, region, length, ok);

    private static TraceEntry Entry(DeviceEvent e) => new(Card, e.Time, e, null);

    private static TestCaseData Case(string name, DeviceEvent e, string line) => new TestCaseData(e, line).SetName(name);

    private static readonly TestCaseData[] Lines =
    [
        Case("A_read_names_its_register_and_fields", Read(0, 1, 1, 0xc8),
            "R       BAR0 SPP.STATUS             0xc8        BUSY=1 nACK=1 nERR=1"),
        Case("A_field_that_is_the_whole_register_is_not_said_twice", Write(0, 0, 1, 0x41),
            "W       BAR0 SPP.DATA               0x41"),
        Case("A_write_shows_what_it_can_change", Write(0, 2, 1, 0x87),
            "W       BAR0 SPP.CONTROL            0x87        KICK=1 DELAY=3 STROBE=1"),
        Case("A_read_shows_what_it_can_see", Read(0, 2, 1, 0x17),
            "R       BAR0 SPP.CONTROL            0x17        IRQEN=1 DELAY=3 STROBE=1"),
        Case("Values_of_an_enumeration_have_names", Write(0, 4, 4, 0x80031234),
            "W       BAR0 SPP.WIDE               0x80031234  DONE=1 MODE=Ecp COUNT=0x1234"),
        Case("Values_without_a_name_are_numbers", Write(0, 4, 4, 0x00070009),
            "W       BAR0 SPP.WIDE               0x00070009  DONE=0 MODE=7 COUNT=9"),
        Case("A_byte_lane_says_which_bits", Write(0, 5, 1, 0x12),
            "W       BAR0 SPP.WIDE<15:8>         0x12        COUNT<15:8>=0x12"),
        Case("Fields_inside_a_lane_are_whole", Read(0, 6, 2, 0x8003),
            "R       BAR0 SPP.WIDE<31:16>        0x8003      DONE=1 MODE=Ecp"),
        Case("An_access_to_two_registers_names_both", Write(0, 0, 2, 0x8741),
            "W       BAR0 SPP.DATA,STATUS        0x8741      DATA=0x41  STATUS=0x87"),
        Case("An_access_across_registers_and_a_gap_names_each_part", Read(0, 1, 4, 0x12ff03c8),
            "R       BAR0 SPP.STATUS,CONTROL,0x3,WIDE<7:0>  0x12ff03c8  STATUS=0xc8{BUSY=1 nACK=1 nERR=1}  "
            + "CONTROL=0x03{IRQEN=0 DELAY=1 STROBE=1}  WIDE<7:0>=0x12{COUNT<7:0>=0x12}"),
        Case("A_gap_in_a_bank_is_unmapped", Read(0, 3, 1, 0xff),
            "R       BAR0+0x3                    0xff        unmapped"),
        Case("A_gap_in_a_BAR_is_unmapped", Read(1, 0x2000, 8, 0),
            "R       BAR1+0x2000                 0x0000000000000000  unmapped"),
        Case("RAM_is_an_offset", Read(1, 0x1010, 4, 0xdeadbeef),
            "R       BAR1+0x1010                 0xdeadbeef"),
        Case("A_bulk_write_shows_its_first_bytes", Write(1, 0x1000, 4096, 0x8877665544332211),
            "W       BAR1+0x1000                 4096 bytes 11 22 33 44 55 66 77 88 …"),
        Case("A_bulk_write_of_few_bytes_shows_them_all", Write(1, 0x1000, 3, 0x332211),
            "W       BAR1+0x1000                 3 bytes 11 22 33"),
        Case("An_element_of_an_array_has_its_index", Write(1, 24, 4, 1),
            "W       BAR1 CTL.SLOT[2]            0x00000001  EN=1"),
        Case("A_64_bit_register_is_16_digits", Write(1, 0, 8, 0x12345000),
            "W       BAR1 CTL.BASE               0x0000000012345000  ADDR=0x12345"),
        Case("Configuration_space_is_named_too", Write(7, 4, 2, 7),
            "W       CONFIG.COMMAND              0x0007      INTDIS=0 SERR=0 PERR=0 BME=1 MSE=1 IOSE=1"),
        Case("A_dword_of_configuration_space_names_both_words", Read(7, 0, 4, 0x56781234),
            "R       CONFIG.VENDOR_ID,DEVICE_ID  0x56781234  VENDOR_ID=0x1234  DEVICE_ID=0x5678"),
        Case("A_refused_access_shows_no_fields", Read(0, 1, 1, 0xff, ok: false),
            "R       BAR0 SPP.STATUS             0xff        refused"),
        Case("A_region_that_is_not_there_has_a_name", Read(6, 0, 4, 0xffffffff, ok: false),
            "R       ROM+0x0                     0xffffffff  refused"),
        Case("A_transfer_of_a_dword", Event(0, DeviceEventKind.DmaRead, 0x04030201, 0x12345678, 0, 4),
            "DMA R   0x0000000012345678          0x04030201"),
        Case("A_transfer_of_a_block", Event(0, DeviceEventKind.DmaWrite, 0x0807060504030201, 0x1000, 0, 16),
            "DMA W   0x0000000000001000          16 bytes 01 02 03 04 05 06 07 08 …"),
        Case("A_transfer_that_failed", Event(0, DeviceEventKind.DmaRead, 0, 0x1000, 0, 16, ok: false),
            "DMA R   0x0000000000001000          16 bytes    refused"),
        Case("A_view_to_read", Event(0, DeviceEventKind.DmaReadView, 0x1, 0x1000, 0, 4096),
            "VIEW R  0x0000000000001000          4096 bytes 01 00 00 00 00 00 00 00 …"),
        Case("A_view_to_write", Event(0, DeviceEventKind.DmaWriteView, 0x1, 0x1000, 0, 1),
            "VIEW W  0x0000000000001000          0x01"),
        Case("INTx_up", Event(0, DeviceEventKind.Intx, 1, length: 0),
            "INTx    asserted"),
        Case("INTx_down", Event(0, DeviceEventKind.Intx, 0, length: 0),
            "INTx    deasserted"),
        Case("MSI_sent", Event(0, DeviceEventKind.Msi, 1, 3, length: 0),
            "MSI     vector 3                    sent"),
        Case("MSI_X_pending", Event(0, DeviceEventKind.MsiX, 0, 15, length: 0),
            "MSI-X   vector 15                   pending"),
        Case("A_reset", Event(0, DeviceEventKind.Reset, (ulong)ResetKind.FunctionLevel, length: 0),
            "reset   function-level"),
        Case("A_client_that_connects", Event(0, DeviceEventKind.Client, 1, length: 0),
            "client  connected"),
        Case("A_client_that_goes", Event(0, DeviceEventKind.Client, 0, length: 0),
            "client  gone"),
        Case("A_mapping", Event(0, DeviceEventKind.DmaMap, 0x80000000, 0xc0000, length: 0),
            "map     0x00000000000c0000          0x80000000 bytes"),
        Case("An_unmapping", Event(0, DeviceEventKind.DmaUnmap, 0x80000000, 0xc0000, length: 0),
            "unmap   0x00000000000c0000          0x80000000 bytes"),
        Case("A_kind_from_the_future", Event(0, (DeviceEventKind)200, 5, 6, 1, 7),
            "#200    BAR1+0x6                    0x5, length 7"),
    ];

    [TestCaseSource(nameof(Lines))]
    public void An_event_is_one_line(DeviceEvent e, string line) => Assert.That(Text([Entry(e)]), Is.EqualTo($"card  {line}\n"));

    [Test]
    public void Every_line_begins_with_the_time_in_microseconds()
        => Assert.That(TimedText([Entry(Event(1_234_567_891, DeviceEventKind.Intx, 1))]), Is.EqualTo("   1234567.891  card  INTx    asserted\n"));

    [Test]
    public void A_remark_is_a_line_whose_control_characters_are_harmless()
        => Assert.That(
            Text([new TraceEntry(Card, 0, default, "say \u001b[2J and\nbreak \u202e the line")]),
            Is.EqualTo("card  note    say \\u001b[2J and\\u000abreak \\u202e the line\n"));

    [Test]
    public void Identical_consecutive_reads_fold_into_one_line()
    {
        DeviceEvent busy = Read(0, 1, 1, 0x80), ready = Read(0, 1, 1, 0x00);
        TraceEntry[] entries = [.. Enumerable.Range(0, 120).Select(i => Entry(busy with { Time = i })), Entry(ready), Entry(ready with { Ok = false })];
        Assert.That(Text(entries), Is.EqualTo(
            """
            card  R       BAR0 SPP.STATUS             0x80        BUSY=1 nACK=0 nERR=0  x 120
            card  R       BAR0 SPP.STATUS             0x00        BUSY=0 nACK=0 nERR=0
            card  R       BAR0 SPP.STATUS             0x00        refused

            """));
        Assert.That(Text(entries, fold: false).Split('\n'), Has.Length.EqualTo(123));
    }

    [Test]
    public void Writes_and_reads_with_something_between_do_not_fold()
    {
        DeviceEvent read = Read(0, 1, 1, 0x80), write = Write(0, 0, 1, 1);
        TraceEntry other = Entry(read) with { Device = TracedDevice.Of("other", "test-card", TestCard.Detached()) };
        TraceEntry[] entries = [Entry(write), Entry(write), Entry(read), other, Entry(read), Entry(read) with { Remark = "note" }, Entry(read)];
        Assert.That(Text(entries).Split('\n'), Has.Length.EqualTo(entries.Length + 1));
    }

    [Test]
    public void Events_left_out_are_said_after_what_was_held_back()
    {
        var text = new StringWriter();
        var renderer = new TextTraceRenderer(new PlainTraceTextWriter(text));
        renderer.Render(Entry(Read(0, 1, 1, 0)));
        renderer.Render(Entry(Read(0, 1, 1, 0)));
        renderer.NotShown(1234);
        Assert.That(text.ToString(), Does.EndWith("  x 2\n… 1234 events not shown\n"));
    }

    [Test]
    public void Pieces_of_a_line_carry_their_styles()
    {
        var writer = new StyledWriter();
        var renderer = new TextTraceRenderer(writer, devices: [Card]);
        renderer.Render(Entry(Read(0, 1, 1, 0x80)));
        renderer.Render(Entry(Read(0, 1, 1, 0x80)));
        renderer.Flush();
        Assert.That(writer.Pieces, Is.EqualTo(
            (string[])["Time:0.000", "Device:card", "Read:R", "Target:BAR0 SPP.STATUS", "Value:0x80", "Field:BUSY=1 nACK=0 nERR=0", "Repeat:x 2", "|"]));
    }

    [Test]
    public void Device_names_are_one_column_from_the_first_line_on()
    {
        TracedDevice other = TracedDevice.Of("longer name", "test-card", TestCard.Detached());
        var text = new StringWriter();
        var renderer = new TextTraceRenderer(new PlainTraceTextWriter(text), devices: [Card, other]);
        renderer.Render(Entry(Event(0, DeviceEventKind.Intx)));
        Assert.That(text.ToString(), Does.Contain("card         INTx"));
    }

    [Test]
    public void Every_event_is_one_line_of_valid_JSON_with_a_time_a_device_and_a_kind()
    {
        TraceEntry[] entries = [.. Lines.Select(l => Entry((DeviceEvent)l.Arguments[0]!)), new TraceEntry(Card, 0, default, "a \"remark\"\n")];
        JsonElement[] lines = Json(entries);
        Assert.That(lines, Has.Length.EqualTo(entries.Length));
        foreach (JsonElement line in lines)
        {
            Assert.That(line.GetProperty("timeNs").GetInt64(), Is.Zero);
            Assert.That(line.GetProperty("device").GetString(), Is.EqualTo("card"));
            Assert.That(line.GetProperty("kind").GetString(), Is.Not.Empty);
        }
        Assert.That(lines[^1].GetProperty("text").GetString(), Is.EqualTo("a \"remark\"\n"));
    }

    private static readonly TestCaseData[] JsonLines =
    [
        Case("A_write_in_JSON", Write(0, 4, 4, 0x80030009),
            """
            {"timeNs":0,"device":"card","kind":"write","region":"BAR0","offset":"0x4","length":4,"value":"0x80030009","ok":true,
            "registers":[{"bank":"SPP","name":"WIDE","value":"0x80030009","fields":[{"name":"DONE","value":1},
            {"name":"MODE","value":3,"meaning":"Ecp"},{"name":"COUNT","value":9}]}]}
            """),
        Case("A_byte_lane_in_JSON", Read(0, 5, 1, 0x12),
            """
            {"timeNs":0,"device":"card","kind":"read","region":"BAR0","offset":"0x5","length":1,"value":"0x12","ok":true,
            "registers":[{"bank":"SPP","name":"WIDE","value":"0x12","low":8,"width":8,
            "fields":[{"name":"COUNT","value":18,"low":8,"width":8}]}]}
            """),
        Case("A_refused_read_in_JSON", Read(0, 1, 1, 0xff, ok: false),
            """
            {"timeNs":0,"device":"card","kind":"read","region":"BAR0","offset":"0x1","length":1,"value":"0xff","ok":false,
            "registers":[{"bank":"SPP","name":"STATUS","value":"0xff","fields":[]}]}
            """),
        Case("A_transfer_in_JSON", Event(0, DeviceEventKind.DmaRead, 1, 0x1000, 0, 16),
            """
            {"timeNs":0,"device":"card","kind":"dma-read","address":"0x0000000000001000",
            "length":16,"value":"0x0000000000000001","ok":true}
            """),
        Case("A_message_in_JSON", Event(0, DeviceEventKind.MsiX, 1, 3),
            """{"timeNs":0,"device":"card","kind":"msi-x","vector":3,"sent":true}"""),
        Case("INTx_in_JSON", Event(0, DeviceEventKind.Intx, 1),
            """{"timeNs":0,"device":"card","kind":"intx","asserted":true}"""),
        Case("A_reset_in_JSON", Event(0, DeviceEventKind.Reset, 2),
            """{"timeNs":0,"device":"card","kind":"reset","reset":"bus"}"""),
        Case("A_client_in_JSON", Event(0, DeviceEventKind.Client, 1),
            """{"timeNs":0,"device":"card","kind":"client","connected":true}"""),
        Case("A_mapping_in_JSON", Event(0, DeviceEventKind.DmaMap, 0x1000, 0x2000),
            """{"timeNs":0,"device":"card","kind":"dma-map","address":"0x0000000000002000","size":"0x1000"}"""),
    ];

    [TestCaseSource(nameof(JsonLines))]
    public void JSON_has_stable_keys(DeviceEvent e, string json)
    {
        var stream = new MemoryStream();
        using (var renderer = new JsonTraceRenderer(stream)) renderer.Render(Entry(e));
        Assert.That(System.Text.Encoding.UTF8.GetString(stream.ToArray()), Is.EqualTo(json.Replace("\n", "", StringComparison.Ordinal) + "\n"));
    }

    [Test]
    public void JSON_folds_only_when_asked_and_says_what_was_left_out()
    {
        DeviceEvent busy = Read(0, 1, 1, 0x80);
        Assert.That(Json([Entry(busy), Entry(busy)]), Has.Length.EqualTo(2));
        var stream = new MemoryStream();
        using (var renderer = new JsonTraceRenderer(stream, fold: true))
        {
            renderer.Render(Entry(busy));
            renderer.Render(Entry(busy));
            renderer.NotShown(7);
        }
        JsonElement[] lines = Parse(stream);
        Assert.That(lines.Select(l => l.GetProperty("count").GetInt32()), Is.EqualTo((int[])[2, 7]));
        Assert.That(lines[1].GetProperty("kind").GetString(), Is.EqualTo("not-shown"));
    }

    [Test]
    public void JSON_of_many_events_is_complete()
        => Assert.That(Json([.. Enumerable.Range(0, 5000).Select(i => Entry(Write(0, 4, 4, (ulong)i)))]), Has.Length.EqualTo(5000));

    [TestCase("        12.345  card  R\n", "card  R\n")]
    [TestCase("        -0.001  card  R\r\n     99999.000  card  W\r\n", "card  R\ncard  W\n")]
    [TestCase("card  R\n", "card  R\n")]
    [TestCase("1.5  is text\n", "1.5  is text\n")]
    [TestCase("… 3 events not shown\n", "… 3 events not shown\n")]
    [TestCase("", "")]
    public void Normalised_text_has_no_times(string text, string normal) => Assert.That(TraceText.Normalise(text), Is.EqualTo(normal));

    private static JsonElement[] Json(IReadOnlyList<TraceEntry> entries)
    {
        var stream = new MemoryStream();
        using (var renderer = new JsonTraceRenderer(stream))
        {
            foreach (TraceEntry entry in entries) renderer.Render(entry);
        }
        return Parse(stream);
    }

    private static JsonElement[] Parse(MemoryStream stream)
        => [.. System.Text.Encoding.UTF8.GetString(stream.ToArray()).TrimEnd('\n').Split('\n').Select(l => JsonDocument.Parse(l).RootElement)];

    private sealed class StyledWriter : ITraceTextWriter
    {
        public List<string> Pieces { get; } = [];

        public void Write(TraceStyle style, ReadOnlySpan<char> text)
        {
            if (style != TraceStyle.Plain) Pieces.Add($"{style}:{text.Trim()}");
        }

        public void EndLine() => Pieces.Add("|");

        public void Flush()
        {
        }
    }
}
