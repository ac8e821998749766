using System.Text;
using DeviceModels.ParallelPort.Peripherals;

namespace DeviceModels.Tests.ParallelPort;

[TestFixture, Category("Unit")]
internal sealed class LogicTracerTests : ParallelPortFixture
{
    private MemoryStream _dump = null!;
    private LogicTracer _tracer = null!;
    private MemoryPrintSink _sink = null!;

    [SetUp]
    public void PlugIn()
    {
        (_dump, _sink) = (new MemoryStream(), new MemoryPrintSink());
        _tracer = new LogicTracer(new Printer(_sink), _dump);
        Plug(_tracer);
    }

    [TearDown]
    public void Unplug() => _tracer.Dispose();

    [Test]
    public void The_dump_declares_all_seventeen_lines()
    {
        VcdFile vcd = Finish();
        Assert.That(vcd.Timescale, Is.EqualTo("1ns"));
        Assert.That(vcd.Variables.Sum(v => v.Width), Is.EqualTo(17));
        Assert.That(vcd.Variables.Select(v => v.Name), Is.EquivalentTo(
            (string[])["nStrobe", "nAutoFd", "nInit", "nSelectIn", "Data", "nAck", "Busy", "PError", "Select", "nFault"]));
    }

    [Test]
    public void A_printed_byte_makes_the_edges_of_the_compatibility_mode_figure()
    {
        Port.Write8(Control, Idle);
        Host.Clock.Advance(Microsecond);
        long start = Host.Clock.Now;
        Send((byte)'A');
        VcdFile vcd = Finish();
        Assert.That(vcd.Changes.Where(c => c.Time >= start).Select(c => $"{(c.Time - start) / 100 / 10.0:f1} {c.Name}={c.Value}"), Is.EqualTo((string[])
        [
            "0.0 Data=01000001", "1.0 nStrobe=0", "1.0 Busy=1", "2.0 nStrobe=1", "3.5 nAck=0", "8.5 nAck=1", "8.5 Busy=0",
        ]));
        Assert.That(_sink.Current, Is.EqualTo("A"u8.ToArray()), "the tracer changes nothing");
    }

    [Test]
    public void A_direction_change_floats_the_data_lines()
    {
        Port.Write8(Data, 0x0f);
        Port.Write8(Control, Idle | Reverse);
        Port.Write8(Control, Idle);
        Assert.That(Finish().Changes.Where(c => c.Name == "Data").Select(c => c.Value), Is.EqualTo((string[])
            ["zzzzzzzz", "00000000", "00001111", "zzzzzzzz", "00001111"]));
    }

    [Test]
    public void A_long_trace_arrives_whole()
    {
        byte[] document = Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("0123456789", 500)));
        Send(document);
        long end = Host.Clock.Now;
        VcdFile vcd = Finish();
        Assert.That(vcd.Changes.Count(c => c is { Name: "nStrobe", Value: "0" }), Is.EqualTo(document.Length));
        Assert.That(vcd.End, Is.EqualTo(end), "the last levels last to the end");
    }

    [Test]
    public void A_full_disk_ends_the_trace_and_not_the_printing()
    {
        _tracer = new LogicTracer(new Printer(_sink), new FullStream());
        Plug(_tracer);
        byte[] document = new byte[10_000];
        document.AsSpan().Fill((byte)'x');
        Send(document);
        Assert.That(_tracer.Failure, Is.EqualTo("No space left."));
        Assert.That(_sink.Current, Has.Count.EqualTo(document.Length));
    }

    private VcdFile Finish()
    {
        _tracer.Dispose();
        return new VcdFile(Encoding.ASCII.GetString(_dump.ToArray()));
    }

    private sealed class FullStream : MemoryStream
    {
        public override void Write(byte[] buffer, int offset, int count) => throw new IOException("No space left.");
    }
}
