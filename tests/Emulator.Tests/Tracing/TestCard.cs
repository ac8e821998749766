using Emulator.Observation;
using Emulator.Pci;
using Emulator.Registers;
using Emulator.Testing;
using Emulator.Tracing;

namespace Emulator.Tests.Tracing;

/// <summary>A card with one of everything a trace must name.</summary>
internal sealed class TestCard : PciFunction
{
    public TestCard(PciSlot slot) : base(new PciIdentity(0x1234, 0x5678, 0x070103), slot)
    {
        Ports = new TestPorts();
        MapBar(0, BarKind.Io, Ports);
        MapBar(1, BarKind.Memory64, 16 * 1024).Add(0, new TestControl()).AddRam(4096, 4096, mappable: true);
    }

    public TestPorts Ports { get; }

    protected override void OnReset(ResetKind kind)
    {
    }

    public static TestCard Detached() => new(new DetachedSlot());
}

internal enum TestMode : byte
{
    Compatible = 0,
    Nibble = 1,
    Ecp = 3,
}

/// <summary>0: DATA, 1: STATUS, 2: CONTROL, 3: nothing, 4-7: WIDE.</summary>
internal sealed class TestPorts : RegisterBank
{
    public TestPorts() : base("SPP", 8)
    {
        Add("DATA", 0, 1).Bits(7, 0, "DATA", Access.ReadWrite);
        Status = Add("STATUS", 1, 1)
            .Bit(3, "nERR", Access.ReadOnly, reset: 1)
            .Bit(6, "nACK", Access.ReadOnly, reset: 1)
            .Bit(7, "BUSY", Access.ReadOnly);
        Add("CONTROL", 2, 1)
            .Bit(0, "STROBE", Access.ReadWrite)
            .Bits(3, 1, "DELAY", Access.ReadWrite)
            .Bit(4, "IRQEN", Access.ReadOnly)
            .Bit(7, "KICK", Access.WriteOnly);
        Add("WIDE", 4, 4)
            .Bits(15, 0, "COUNT", Access.ReadWrite)
            .Bits<TestMode>(18, 16, "MODE", Access.ReadWrite, out _)
            .Bit(31, "DONE", Access.WriteOneToClear);
    }

    public Register Status { get; }
    public override byte Unmapped => 0xff;
}

internal sealed class TestControl : RegisterBank
{
    public TestControl() : base("CTL", 64)
    {
        Add("BASE", 0, 8).Bits(63, 12, "ADDR", Access.ReadWrite);
        AddArray("SLOT", 16, 4, count: 4, stride: 4, r => r.Bit(0, "EN", Access.ReadWrite));
    }
}

/// <summary>Traces in memory.</summary>
internal static class TestTrace
{
    public static DeviceEvent Event(
        long time, DeviceEventKind kind = DeviceEventKind.Write, ulong value = 0, ulong offset = 0, int region = 0, int length = 1, bool ok = true)
        => new(time, kind, (byte)region, ok, length, offset, value);

    /// <summary>What a recorder writes while <paramref name="record"/> runs.</summary>
    public static byte[] Record(Action<TraceRecorder> record, int capacity = TraceRecorder.DefaultCapacity)
    {
        var stream = new MemoryStream();
        var failures = new List<string>();
        using (var recorder = new TraceRecorder(stream, "memory", failures.Add, capacity)) record(recorder);
        Assert.That(failures, Is.Empty);
        return stream.ToArray();
    }

    public static TraceReader Open(byte[] file) => TraceReader.Open(new MemoryStream(file), "memory");

    public static List<TraceEntry> ReadAll(byte[] file)
    {
        using TraceReader reader = Open(file);
        return [.. reader.Read()];
    }

    /// <summary>A small trace with two devices, blocks, remarks and folding in it.</summary>
    public static byte[] Sample() => Record(recorder =>
    {
        var first = FakeHost("first", recorder);
        var second = FakeHost("second", recorder);
        first.Bar(0).Write8(0, 0x41);
        for (int i = 0; i < 3; i++) first.Bar(0).Read8(1);
        second.Clock.Advance(1500);
        second.Config.Read32(0);
        second.Bar(5).Read8(0);
    });

    public static FakePciHost FakeHost(string name, TraceRecorder recorder)
    {
        var host = new FakePciHost();
        var card = new TestCard(host.Slot);
        card.Observer = recorder.Attach(name, "test-card", card);
        host.Plug(card);
        return host;
    }

    /// <summary>The text of entries, without times.</summary>
    public static string Text(IEnumerable<TraceEntry> entries, bool fold = true) => TraceText.Normalise(TimedText(entries, fold));

    public static string TimedText(IEnumerable<TraceEntry> entries, bool fold = true)
    {
        var text = new StringWriter();
        var renderer = new TextTraceRenderer(new PlainTraceTextWriter(text), fold);
        foreach (TraceEntry entry in entries) renderer.Render(entry);
        renderer.Flush();
        return text.ToString();
    }
}
