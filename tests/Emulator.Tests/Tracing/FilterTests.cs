using Emulator.Observation;
using Emulator.Pci;
using Emulator.Tracing;
using static Emulator.Tests.Tracing.TestTrace;

namespace Emulator.Tests.Tracing;

[Category("Unit")]
public sealed class FilterTests
{
    private static readonly TracedDevice First = TracedDevice.Of("lp0", "test-card", TestCard.Detached());
    private static readonly TracedDevice Second = TracedDevice.Of("lp1", "test-card", TestCard.Detached());

    private static TraceEntry Entry(DeviceEvent e, TracedDevice? device = null) => new(device ?? First, e.Time, e, null);

    private static TraceEntry Access(int region, ulong offset, int length, DeviceEventKind kind = DeviceEventKind.Read)
        => Entry(Event(0, kind, 0, offset, region, length));

    [Test]
    public void A_filter_with_nothing_set_matches_everything()
    {
        var filter = new TraceFilter();
        Assert.That(filter.Matches(Access(0, 0, 1)));
        Assert.That(filter.Matches(Entry(Event(long.MinValue, (DeviceEventKind)200))));
        Assert.That(filter.Matches(new TraceEntry(First, 0, default, "remark")));
    }

    [TestCase(DeviceEventKind.Read, 0, TraceKinds.Read)]
    [TestCase(DeviceEventKind.Write, 1, TraceKinds.Write)]
    [TestCase(DeviceEventKind.Read, PciRegion.Configuration, TraceKinds.Config)]
    [TestCase(DeviceEventKind.Write, PciRegion.Configuration, TraceKinds.Config)]
    [TestCase(DeviceEventKind.DmaRead, 0, TraceKinds.Dma)]
    [TestCase(DeviceEventKind.DmaWrite, 0, TraceKinds.Dma)]
    [TestCase(DeviceEventKind.DmaReadView, 0, TraceKinds.Dma)]
    [TestCase(DeviceEventKind.DmaWriteView, 0, TraceKinds.Dma)]
    [TestCase(DeviceEventKind.Intx, 0, TraceKinds.Interrupt)]
    [TestCase(DeviceEventKind.Msi, 0, TraceKinds.Interrupt)]
    [TestCase(DeviceEventKind.MsiX, 0, TraceKinds.Interrupt)]
    [TestCase(DeviceEventKind.Reset, 0, TraceKinds.Reset)]
    [TestCase(DeviceEventKind.Client, 0, TraceKinds.Client)]
    [TestCase(DeviceEventKind.DmaMap, 0, TraceKinds.Map)]
    [TestCase(DeviceEventKind.DmaUnmap, 0, TraceKinds.Map)]
    public void An_event_matches_its_own_kind_only(DeviceEventKind kind, int region, TraceKinds expected)
    {
        TraceEntry entry = Entry(Event(0, kind, region: region));
        Assert.That(TraceFilter.KindOf(entry), Is.EqualTo(expected));
        Assert.That(new TraceFilter { Kinds = expected }.Matches(entry));
        Assert.That(new TraceFilter { Kinds = TraceKinds.All & ~expected }.Matches(entry), Is.False);
    }

    [Test]
    public void A_remark_is_a_kind_of_its_own()
    {
        var remark = new TraceEntry(First, 0, Event(0, DeviceEventKind.Read), "remark");
        Assert.That(new TraceFilter { Kinds = TraceKinds.Remark }.Matches(remark));
        Assert.That(new TraceFilter { Kinds = TraceKinds.Read }.Matches(remark), Is.False);
        Assert.That(new TraceFilter { Registers = ["*"] }.Matches(remark), Is.False);
    }

    [Test]
    public void Devices_match_by_name()
    {
        var filter = new TraceFilter { Devices = new HashSet<string> { "lp1" } };
        Assert.That(filter.Matches(Entry(Event(0), Second)));
        Assert.That(filter.Matches(Entry(Event(0), First)), Is.False);
    }

    [TestCase(9, false)]
    [TestCase(10, true)]
    [TestCase(20, true)]
    [TestCase(21, false)]
    public void Times_are_inclusive(long time, bool matches)
        => Assert.That(new TraceFilter { From = 10, To = 20 }.Matches(Entry(Event(time))), Is.EqualTo(matches));

    [TestCase("STATUS", true)]
    [TestCase("status", true)]
    [TestCase("SPP.STATUS", true)]
    [TestCase("S*", true)]
    [TestCase("spp.*", true)]
    [TestCase("STAT??", true)]
    [TestCase("BAR0", true)]
    [TestCase("BAR?", true)]
    [TestCase("STAT", false)]
    [TestCase("CONTROL", false)]
    [TestCase("BAR1", false)]
    [TestCase("CONFIG.STATUS", false)]
    public void Registers_match_by_pattern(string pattern, bool matches)
    {
        var filter = new TraceFilter { Registers = ["nothing", pattern] };
        Assert.That(filter.Matches(Access(0, 1, 1)), Is.EqualTo(matches));
        Assert.That(filter.Matches(Access(0, 1, 1, DeviceEventKind.Write)), Is.EqualTo(matches));
    }

    [Test]
    public void A_register_matches_in_any_access_that_touches_it()
    {
        var filter = new TraceFilter { Registers = ["CONTROL"] };
        Assert.That(filter.Matches(Access(0, 0, 4)));
        Assert.That(filter.Matches(Access(0, 0, 2)), Is.False);
        Assert.That(new TraceFilter { Registers = ["SLOT[2]"] }.Matches(Access(1, 24, 4)));
        Assert.That(new TraceFilter { Registers = ["SLOT[2]"] }.Matches(Access(1, 20, 4)), Is.False);
    }

    [Test]
    public void An_interrupt_touches_no_register()
        => Assert.That(new TraceFilter { Registers = ["*"] }.Matches(Entry(Event(0, DeviceEventKind.Intx))), Is.False);

    [TestCase("read", TraceKinds.Read)]
    [TestCase(" Read , WRITE,dma", TraceKinds.Read | TraceKinds.Write | TraceKinds.Dma)]
    [TestCase("all", TraceKinds.All)]
    public void Kinds_are_words_with_commas(string text, TraceKinds expected)
    {
        Assert.That(TraceFilterParser.TryParseKinds(text, out TraceKinds kinds), Is.Null);
        Assert.That(kinds, Is.EqualTo(expected));
    }

    [TestCase("reed", "'reed' is no kind of event; choose from read, write, config, dma, interrupt, reset, map, client, remark, all")]
    [TestCase("", "no kind of event; choose from read, write, config, dma, interrupt, reset, map, client, remark, all")]
    public void A_wrong_kind_is_told_the_right_ones(string text, string error)
        => Assert.That(TraceFilterParser.TryParseKinds(text, out _), Is.EqualTo(error));

    [Test]
    public void Devices_are_checked_against_the_trace()
    {
        Assert.That(TraceFilterParser.TryParseDevices("lp1, lp0", [First, Second], out IReadOnlySet<string> names), Is.Null);
        Assert.That(names, Is.EquivalentTo((string[])["lp0", "lp1"]));
        Assert.That(TraceFilterParser.TryParseDevices("lp2", [First, Second], out _), Is.EqualTo("the trace has no device 'lp2'; choose from lp0, lp1"));
        Assert.That(TraceFilterParser.TryParseDevices("lp2", [], out _), Is.EqualTo("the trace has no device 'lp2'; it has none"));
    }

    [Test]
    public void Registers_are_checked_against_the_trace()
    {
        Assert.That(TraceFilterParser.TryParseRegisters("SPP.*,bar1,SLOT[3],CONFIG", [First], out IReadOnlyList<string> patterns), Is.Null);
        Assert.That(patterns, Is.EqualTo((string[])["SPP.*", "bar1", "SLOT[3]", "CONFIG"]));
        Assert.That(
            TraceFilterParser.TryParseRegisters("STATE", [First], out _),
            Does.StartWith("no register is called 'STATE'; choose from SPP.STATUS, CONFIG.STATUS, ").And.EndsWith(" more; * and ? stand for any letters"));
        Assert.That(TraceFilterParser.TryParseRegisters("SLOT[4]", [First], out _), Does.Contain("choose from CTL.SLOT*, "));
    }

    [TestCase("800ns", 800)]
    [TestCase("250us", 250_000)]
    [TestCase("250", 250_000)]
    [TestCase("0.5", 500)]
    [TestCase("3 ms", 3_000_000)]
    [TestCase("1.5S", 1_500_000_000)]
    [TestCase("-1us", -1000)]
    public void Times_have_units(string text, long expected)
    {
        Assert.That(TraceFilterParser.TryParseTime(text, out long nanoseconds), Is.Null);
        Assert.That(nanoseconds, Is.EqualTo(expected));
    }

    [TestCase("")]
    [TestCase("soon")]
    [TestCase("1,5s")]
    [TestCase("3 minutes")]
    [TestCase("99999999999999999999s")]
    public void A_wrong_time_is_told_how_to_write_one(string text)
        => Assert.That(TraceFilterParser.TryParseTime(text, out _), Is.EqualTo($"'{text}' is no time; write it as 800ns, 250us, 3ms or 1.5s since the start"));
}
