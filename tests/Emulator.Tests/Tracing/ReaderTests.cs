using System.Buffers.Binary;
using System.Text;
using Emulator.Observation;
using Emulator.Testing;
using Emulator.Tracing;
using FsCheck;
using FsCheck.Fluent;
using static Emulator.Tests.Tracing.TestTrace;

namespace Emulator.Tests.Tracing;

[Category("Unit")]
public sealed class ReaderTests
{
    private const int PreambleBytes = 24, HeaderBytes = 16;

    private const string SmallDevice =
        """
        {"name":"d","model":"m","startNs":0,
        "identity":{"vendor":1,"device":2,"classCode":3,"revision":0,"subsystemVendor":0,"subsystem":0,"interruptPin":1},
        "bars":[],"banks":[{"name":"CONFIG","length":256,"registers":[]}],"configuration":0}
        """;

    private static byte[] Preamble(ushort major = 1, ushort minor = 0, long started = 0)
    {
        byte[] preamble = [0x89, .. "EMT\r\n"u8, 0x1a, (byte)'\n', .. new byte[16]];
        BinaryPrimitives.WriteUInt16LittleEndian(preamble.AsSpan(8), major);
        BinaryPrimitives.WriteUInt16LittleEndian(preamble.AsSpan(10), minor);
        BinaryPrimitives.WriteInt64LittleEndian(preamble.AsSpan(16), started);
        return preamble;
    }

    private static byte[] Chunk(string type, byte[] payload, int device = 0, uint? length = null)
    {
        var chunk = new byte[HeaderBytes + payload.Length];
        Encoding.Latin1.GetBytes(type).CopyTo(chunk, 0);
        BinaryPrimitives.WriteUInt32LittleEndian(chunk.AsSpan(4), length ?? (uint)payload.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(chunk.AsSpan(8), (ushort)device);
        payload.CopyTo(chunk, HeaderBytes);
        return chunk;
    }

    private static byte[] Device(string json = SmallDevice, int device = 0) => Chunk("DEVI", Encoding.UTF8.GetBytes(json), device);

    private static byte[] Record(long time, ulong value)
    {
        var record = new byte[32];
        BinaryPrimitives.WriteInt64LittleEndian(record, time);
        record[8] = 2;
        record[10] = 1;
        record[12] = 1;
        BinaryPrimitives.WriteUInt64LittleEndian(record.AsSpan(24), value);
        return record;
    }

    private static byte[] End() => Chunk("END ", []);

    private static TestCaseData Refused(string name, byte[] file, string says) => new TestCaseData(file, says).SetName(name);

    private static readonly TestCaseData[] Foreign =
    [
        Refused("An_empty_file", [],
            "holds no trace: it ends after 0 bytes"),
        Refused("Another_kind_of_file", "MZ\u0090"u8.ToArray(),
            "is not a trace"),
        Refused("A_file_that_ends_in_its_preamble", Preamble()[..8],
            "holds no trace: it ends after 8 bytes"),
        Refused("A_newer_format", Preamble(major: 2),
            "is a trace of format 2.0; this emulator reads 1.x"),
        Refused("A_start_before_1970", Preamble(started: -1),
            "damaged at byte 16"),
        Refused("A_chunk_type_that_is_no_text", [.. Preamble(), .. Chunk("\u0001\u0002\u0003\u0004", [])],
            "damaged at byte 24: 0x04030201 is no type of chunk"),
        Refused("Records_of_an_unknown_device", [.. Preamble(), .. Chunk("RECS", Record(0, 0))],
            "device 0 has events but no description"),
        Refused("A_remark_of_an_unknown_device", [.. Preamble(), .. Chunk("RMRK", new byte[16], 3)],
            "device 3 has events but no description"),
        Refused("Devices_out_of_order", [.. Preamble(), .. Device(device: 1)],
            "device 1 is out of order"),
        Refused("Half_a_record", [.. Preamble(), .. Device(), .. Chunk("RECS", new byte[33])],
            "33 bytes of records are not a multiple of 32"),
        Refused("No_records", [.. Preamble(), .. Device(), .. Chunk("RECS", [])],
            "has 32 to 65536 bytes, not 0"),
        Refused("Too_many_records", [.. Preamble(), .. Device(), .. Chunk("RECS", new byte[32], length: 65568)],
            "has 32 to 65536 bytes, not 65568"),
        Refused("A_huge_description", [.. Preamble(), .. Chunk("DEVI", new byte[2], length: uint.MaxValue)],
            "not 4294967295"),
        Refused("A_short_remark", [.. Preamble(), .. Device(), .. Chunk("RMRK", new byte[15])],
            "has 16 to 8208 bytes, not 15"),
        Refused("An_end_with_something_in_it", [.. Preamble(), .. Chunk("END ", new byte[1])],
            "has 0 to 0 bytes, not 1"),
        Refused("A_huge_chunk_of_an_unknown_type", [.. Preamble(), .. Chunk("WHAT", [], length: uint.MaxValue)],
            "not 4294967295"),
    ];

    [TestCaseSource(nameof(Foreign))]
    public void What_is_no_trace_is_refused_in_one_line(byte[] file, string says)
        => Assert.That(
            () => Open(file),
            Throws.TypeOf<TraceFormatException>().With.Message.StartsWith("'memory' ").And.Message.Contains(says).And.Message.Not.Contains("\n"));

    [TestCase("null", "is null")]
    [TestCase("{}", "is not valid JSON for a device")]
    [TestCase("[[[[[[[[[[[[[[[[[[[[", "is not valid JSON for a device")]
    [TestCase("\"\\ud800\"", "is not valid JSON for a device")]
    [TestCase("{\"name\":\"\\ud800\"}", "is not valid JSON for a device")]
    public void A_description_that_is_none_is_refused(string json, string says)
        => Assert.That(() => Open([.. Preamble(), .. Device(json)]), Throws.TypeOf<TraceFormatException>().With.Message.Contains(says));

    [TestCase("\"configuration\":0", "\"configuration\":1", "names bank 1")]
    [TestCase("\"configuration\":0", "\"configuration\":-1", "names bank -1")]
    [TestCase("\"name\":\"d\"", "\"name\":null", "is not valid JSON")]
    [TestCase("\"bars\":[]", "\"bars\":[null]", "BAR0 to BAR5")]
    [TestCase("\"bars\":[]", "\"bars\":[{\"index\":6,\"kind\":\"io\",\"size\":8,\"prefetchable\":false,\"windows\":[]}]", "BAR0 to BAR5")]
    [TestCase("\"bars\":[]", "\"bars\":[{\"index\":0,\"kind\":\"io\",\"size\":8,\"prefetchable\":false,\"windows\":[null]}]", "does not fit BAR0")]
    [TestCase(
        "\"bars\":[]",
        "\"bars\":[{\"index\":0,\"kind\":\"io\",\"size\":8,\"prefetchable\":false,\"windows\":[{\"offset\":4,\"length\":5,\"mappable\":false}]}]",
        "does not fit BAR0")]
    [TestCase(
        "\"bars\":[]",
        "\"bars\":[{\"index\":0,\"kind\":\"io\",\"size\":8,\"prefetchable\":false,\"windows\":[{\"offset\":0,\"length\":4,\"mappable\":false,\"bank\":7}]}]",
        "names bank 7")]
    [TestCase("\"length\":256", "\"length\":-2147483648", "of -2147483648 bytes")]
    [TestCase("{\"name\":\"CONFIG\",\"length\":256,\"registers\":[]}", "null", "a bank that is null")]
    [TestCase("\"registers\":[]", "\"registers\":[null]", "does not fit bank 'CONFIG'")]
    [TestCase("\"registers\":[]", "\"registers\":[{\"name\":\"R\",\"offset\":0,\"size\":3,\"fields\":[]}]", "does not fit bank 'CONFIG'")]
    [TestCase("\"registers\":[]", "\"registers\":[{\"name\":\"R\",\"offset\":253,\"size\":4,\"fields\":[]}]", "does not fit bank 'CONFIG'")]
    [TestCase("\"registers\":[]", "\"registers\":[{\"name\":\"R\",\"offset\":0,\"size\":1,\"fields\":[null]}]", "does not fit register 'R'")]
    [TestCase(
        "\"registers\":[]",
        "\"registers\":[{\"name\":\"R\",\"offset\":0,\"size\":1,\"fields\":[{\"name\":\"F\",\"low\":7,\"width\":2,\"access\":\"RW\"}]}]",
        "does not fit register 'R'")]
    [TestCase(
        "\"registers\":[]",
        "\"registers\":[{\"name\":\"R\",\"offset\":0,\"size\":1,\"fields\":[{\"name\":\"F\",\"low\":0,\"width\":2,\"access\":\"RW\"},"
        + "{\"name\":\"G\",\"low\":1,\"width\":2,\"access\":\"RW\"}]}]",
        "overlap in register 'R'")]
    [TestCase(
        "\"registers\":[]",
        "\"registers\":[{\"name\":\"R\",\"offset\":0,\"size\":1,\"fields\":[{\"name\":\"F\",\"low\":0,\"width\":2,\"access\":\"RW\",\"values\":[null]}]}]",
        "value of field 'F' that is null")]
    public void A_description_with_one_wrong_thing_is_refused(string part, string wrong, string says)
    {
        string json = SmallDevice.Replace(part, wrong, StringComparison.Ordinal);
        Assert.That(json, Is.Not.EqualTo(SmallDevice));
        Assert.That(() => Open([.. Preamble(), .. Device(json)]), Throws.TypeOf<TraceFormatException>().With.Message.Contains(says));
    }

    [Test]
    public void More_devices_than_a_trace_holds_are_refused()
    {
        byte[] file = [.. Preamble(), .. Enumerable.Range(0, 257).SelectMany(i => Device(device: i))];
        Assert.That(() => Open(file), Throws.TypeOf<TraceFormatException>().With.Message.Contains("device 256 is out of order"));
    }

    [Test]
    public void A_higher_minor_version_and_its_new_chunks_are_read()
    {
        byte[] file = [.. Preamble(minor: 7), .. Chunk("NEWS", new byte[100], 9), .. Device(), .. Chunk("RECS", Record(1, 2)), .. End()];
        Assert.That(ReadAll(file).Select(e => e.Event.Value), Is.EqualTo((ulong[])[2]));
    }

    [Test]
    public void Zeros_after_a_power_failure_end_the_trace()
    {
        using TraceReader reader = Open([.. Preamble(), .. Device(), .. Chunk("RECS", Record(1, 2)), .. new byte[4096]]);
        Assert.That(reader.Read().Select(e => e.Event.Value), Is.EqualTo((ulong[])[2]));
        Assert.That(reader.IsTruncated);
    }

    [Test]
    public void Nothing_after_the_end_is_read()
    {
        using TraceReader reader = Open([.. Preamble(), .. Device(), .. End(), .. Chunk("RECS", Record(1, 2))]);
        Assert.That(reader.Read(), Is.Empty);
        Assert.That(reader.IsTruncated, Is.False);
    }

    [Test]
    public void A_trace_cut_at_any_byte_is_read_as_far_as_it_goes()
    {
        byte[] file = Sample();
        List<TraceEntry> all = ReadAll(file);
        Assert.That(all, Has.Count.GreaterThan(8));
        var wrong = new List<string>();
        int most = 0;
        for (int length = PreambleBytes; length < file.Length; length++)
        {
            using TraceReader reader = Open(file[..length]);
            List<TraceEntry> read = [.. reader.Read()];
            // A remark, which is written first, may be there before the events it follows.
            bool isBeginning = Events(read, 0).SequenceEqual(Events(all, 0).Take(Events(read, 0).Count()))
                && Events(read, 1).SequenceEqual(Events(all, 1).Take(Events(read, 1).Count()))
                && read.All(e => e.Remark is null || all.Any(a => a.Remark == e.Remark));
            if (!reader.IsTruncated || !isBeginning || read.Count < most) wrong.Add($"{length} bytes: {string.Join(", ", read.Select(Line))}");
            most = read.Count;
        }
        Assert.That(wrong, Is.Empty);
        Assert.That(most, Is.EqualTo(all.Count));
    }

    [Test]
    public void Events_of_several_devices_are_merged_by_their_common_time()
    {
        byte[] file =
        [
            .. Preamble(), .. Device(SmallDevice.Replace("\"startNs\":0", "\"startNs\":100", StringComparison.Ordinal)), .. Device(device: 1),
            .. Chunk("RECS", [.. Record(0, 3), .. Record(10, 5)]),
            .. Chunk("RECS", [.. Record(20, 1), .. Record(90, 2)], 1),
            .. Chunk("RECS", [.. Record(50, 6)]),
            .. Chunk("RECS", [.. Record(105, 4), .. Record(1000, 7)], 1),
            .. End(),
        ];
        List<TraceEntry> entries = ReadAll(file);
        Assert.That(entries.Select(e => e.Event.Value), Is.EqualTo((ulong[])[1, 2, 3, 4, 5, 6, 7]));
        Assert.That(entries.Select(e => e.Time), Is.EqualTo((long[])[20, 90, 100, 105, 110, 150, 1000]));
    }

    [Test]
    public void A_later_device_starts_later_on_the_common_time()
    {
        byte[] file = TestTrace.Record(recorder =>
        {
            long now = System.Diagnostics.Stopwatch.GetTimestamp(), second = System.Diagnostics.Stopwatch.Frequency;
            IDeviceObserver early = recorder.Attach("early", "test-card", TestCard.Detached(), now);
            IDeviceObserver late = recorder.Attach("late", "test-card", TestCard.Detached(), now + (5 * second));
            late.OnEvent(Event(1_000_000_000, value: 6));
            early.OnEvent(Event(5_500_000_000, value: 5));
            early.OnEvent(Event(7_000_000_000, value: 7));
        });
        Assert.That(ReadAll(file).Select(e => e.Event.Value), Is.EqualTo((ulong[])[5, 6, 7]));
    }

    [Test]
    public void A_trace_can_be_read_twice()
    {
        using TraceReader reader = Open(Sample());
        string[] once = [.. reader.Read().Select(Line)];
        Assert.That(reader.Read().Select(Line), Is.EqualTo(once).And.Not.Empty);
    }

    [Test]
    public void A_file_that_is_not_there_is_named()
        => Assert.That(
            () => TraceReader.Open("/nonexistent/lab.trace"),
            Throws.TypeOf<IOException>().With.Message.StartsWith("cannot read the trace '/nonexistent/lab.trace': "));

    [Test]
    public void Random_bytes_are_refused_and_never_crash()
        => Prop.ForAll<byte[]>(bytes =>
                ReadsOrRefuses(bytes) && ReadsOrRefuses([.. Preamble(), .. bytes]) && ReadsOrRefuses([.. Preamble(), .. Device(), .. bytes]))
            .Check(FixedSeed.Config.WithMaxTest(300));

    [Test]
    public void A_trace_with_any_bytes_changed_is_read_or_refused([Values] bool withCode)
    {
        byte[] file = withCode ? CodeTests.Sample() : Sample();
        Gen<(int At, byte Value)> change = ArbMap.Default.GeneratorFor<byte>().SelectMany(v => Gen.Choose(0, file.Length - 1).Select(at => (at, v)));
        Prop.ForAll(change.NonEmptyListOf().ToArbitrary(), changes =>
        {
            byte[] damaged = [.. file];
            foreach ((int at, byte value) in changes) damaged[at] = value;
            return ReadsOrRefuses(damaged);
        }).Check(FixedSeed.Config.WithMaxTest(300));
    }

    [Test]
    public void Records_of_any_content_can_be_shown()
    {
        byte[] begin = TestTrace.Record(recorder => recorder.Attach("card", "test-card", TestCard.Detached()))[..^HeaderBytes];
        Prop.ForAll(ArbMap.Default.GeneratorFor<byte>().ArrayOf(64).ToArbitrary(), records =>
        {
            // Small kinds and regions, so that most of them are something.
            foreach (int at in (int[])[8, 9, 40, 41]) records[at] &= 0xf;
            return ReadsOrRefuses([.. begin, .. Chunk("RECS", records)]);
        }).Check(FixedSeed.Config.WithMaxTest(300));
    }

    private static string Line(TraceEntry entry) => $"{entry.Device.Name} {entry.Time} {entry.Event} {entry.Remark}";

    private static IEnumerable<DeviceEvent> Events(List<TraceEntry> entries, int device)
        => entries.Where(e => e.Device.Id == device && e.Remark is null).Select(e => e.Event);

    // Reads and shows everything. Anything but success or a TraceFormatException escapes and fails the test.
    private static bool ReadsOrRefuses(byte[] file)
    {
        try
        {
            using TraceReader reader = Open(file);
            var json = new JsonTraceRenderer(Stream.Null, fold: true);
            var text = new TextTraceRenderer(new PlainTraceTextWriter(TextWriter.Null), devices: reader.Devices);
            var filter = new TraceFilter { Registers = ["*A*"], Functions = ["*b*"] };
            int shown = 0;
            foreach (TraceEntry entry in reader.Read())
            {
                filter.Matches(entry);
                json.Render(entry);
                text.Render(entry);
                shown++;
            }
            json.Flush();
            text.Flush();
            return shown <= file.Length / 16;
        }
        catch (TraceFormatException e)
        {
            return !e.Message.Contains('\n', StringComparison.Ordinal);
        }
    }
}
