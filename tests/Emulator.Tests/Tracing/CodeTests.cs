using System.Buffers.Binary;
using System.Text.Json;
using Emulator.Observation;
using Emulator.Testing;
using Emulator.Tracing;
using static Emulator.Tests.Tracing.TestTrace;

namespace Emulator.Tests.Tracing;

/// <summary>Accesses with the driver's instruction behind them.</summary>
[Category("Unit")]
public sealed class CodeTests
{
    private static readonly CodePlace Start = new(0x1042, "GeneralRobot!RobotStart+0x42", "mov [rcx], al"),
        Isr = new(0x2000, "GeneralRobot!RobotIsr", "mov al, [rdx]");

    [Test]
    public void An_access_is_read_and_shown_with_its_function_and_instruction()
    {
        List<TraceEntry> entries = ReadAll(Sample());
        Assert.That(entries.Select(e => (e.Event.Kind, e.Code)), Is.EqualTo(new (DeviceEventKind, CodePlace?)[]
        {
            (DeviceEventKind.Write, Start), (DeviceEventKind.Write, null), (DeviceEventKind.Intx, null), (DeviceEventKind.Read, Isr),
            (DeviceEventKind.Read, Isr), (DeviceEventKind.Read, Start),
        }));
        Assert.That(Text(entries), Is.EqualTo(
            """
            card  W       BAR0 SPP.DATA               0x41        GeneralRobot!RobotStart+0x42  mov [rcx], al
            card  W       BAR0 SPP.DATA               0x42
            card  INTx    deasserted
            card  R       BAR0 SPP.DATA               0x43        GeneralRobot!RobotIsr  mov al, [rdx]  x 2
            card  R       BAR0 SPP.DATA               0x43        GeneralRobot!RobotStart+0x42  mov [rcx], al

            """));
    }

    [Test]
    public void JSON_has_it_as_an_object()
    {
        var stream = new MemoryStream();
        using (var renderer = new JsonTraceRenderer(stream))
        {
            foreach (TraceEntry entry in ReadAll(Sample())) renderer.Render(entry);
        }
        string[] lines = System.Text.Encoding.UTF8.GetString(stream.ToArray()).Split('\n');
        using JsonDocument first = JsonDocument.Parse(lines[0]), second = JsonDocument.Parse(lines[1]);
        JsonElement code = first.RootElement.GetProperty("code");
        Assert.That(code.GetProperty("address").GetString(), Is.EqualTo("0x1042"));
        Assert.That(code.GetProperty("function").GetString(), Is.EqualTo(Start.Function));
        Assert.That(code.GetProperty("instruction").GetString(), Is.EqualTo(Start.Instruction));
        Assert.That(second.RootElement.TryGetProperty("code", out _), Is.False);
    }

    [TestCase("RobotIsr", 2)]
    [TestCase("robotisr", 2)]
    [TestCase("GeneralRobot!RobotIsr", 2)]
    [TestCase("GeneralRobot!*", 4)]
    [TestCase("RobotStart,RobotIsr", 4)]
    public void A_filter_takes_functions(string patterns, int shown)
    {
        using TraceReader reader = Open(Sample());
        Assert.That(TraceFilterParser.TryParseFunctions(patterns, reader.Devices, out IReadOnlyList<string> functions), Is.Null);
        var filter = new TraceFilter { Functions = functions };
        Assert.That(reader.Read().Count(e => filter.Matches(e)), Is.EqualTo(shown));
    }

    [Test]
    public void A_function_that_is_not_there_is_answered_with_those_that_are()
    {
        using TraceReader reader = Open(Sample()), without = Open(TestTrace.Sample());
        Assert.That(TraceFilterParser.TryParseFunctions("RobotDpc", reader.Devices, out _),
            Is.EqualTo("no function 'RobotDpc' made an access; choose from GeneralRobot!RobotIsr, GeneralRobot!RobotStart; * and ? stand for any letters"));
        Assert.That(TraceFilterParser.TryParseFunctions(",", reader.Devices, out _), Does.StartWith("no function; choose from"));
        Assert.That(TraceFilterParser.TryParseFunctions("RobotDpc", without.Devices, out _), Does.StartWith("the trace does not say which functions"));
    }

    [Test]
    public void A_live_view_shows_it_too_and_loses_both_or_none()
    {
        const int Capacity = 64, Count = 1000;
        var text = new StringWriter();
        using (var live = new LiveTrace(new TextTraceRenderer(new PlainTraceTextWriter(text), fold: false), capacity: Capacity))
        {
            IDeviceObserver observer = new ObserverTee(live.Attach("card", "test-card", TestCard.Detached()));
            observer.OnCode(0, Start);
            observer.OnCode(1, Isr);
            for (int i = 0; i < Count; i++)
            {
                // Even ones are the ISR's, odd ones nobody's.
                if (i % 2 == 0) observer.OnEvent(Event(i, DeviceEventKind.Code, offset: 1, length: 0));
                observer.OnEvent(Event(i, value: (ulong)(i % 2)));
            }
        }
        string[] lines = text.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.That(lines.Where(l => l.Contains("0x00", StringComparison.Ordinal)), Is.Not.Empty.And.All.Contain("RobotIsr"));
        Assert.That(lines.Where(l => l.Contains("0x01", StringComparison.Ordinal)), Is.All.Not.Contain("RobotIsr"));
        Assert.That(text.ToString(), Does.Not.Contain("#14"));
    }

    [Test]
    public void Long_names_are_cut_and_controls_are_shown_as_text()
    {
        byte[] file = Record(recorder =>
        {
            IDeviceObserver observer = recorder.Attach("card", "test-card", TestCard.Detached());
            observer.OnCode(0, new CodePlace(ulong.MaxValue, "a\u001b[2J", new string('b', 10_000)));
            observer.OnEvent(Event(0, DeviceEventKind.Code, length: 0));
            observer.OnEvent(Event(0));
        });
        TraceEntry entry = ReadAll(file).Single();
        Assert.That(entry.Code!.Instruction, Has.Length.EqualTo(512));
        Assert.That(Text([entry]), Does.Contain("a\\u001b[2J").And.Not.Contain("\u001b"));
    }

    [Test]
    public void A_number_that_nothing_explains_says_nothing()
    {
        byte[] file = Record(recorder =>
        {
            IDeviceObserver observer = recorder.Attach("card", "test-card", TestCard.Detached());
            foreach (ulong number in (ulong[])[7, int.MaxValue, ulong.MaxValue])
            {
                observer.OnEvent(Event(0, DeviceEventKind.Code, offset: number, length: 0));
                observer.OnEvent(Event(0));
            }
        });
        Assert.That(ReadAll(file).Select(e => e.Code), Is.EqualTo(new CodePlace?[] { null, null, null }));
    }

    [TestCase(8, 1, "instruction 1 of device 0 is out of order")]
    [TestCase(8, -1, "instruction -1 of device 0 is out of order")]
    [TestCase(12, 100, "instruction 0 of device 0 has names of another length")]
    public void A_damaged_name_is_refused(int offset, int value, string says)
    {
        byte[] file = Record(recorder => recorder.Attach("card", "test-card", TestCard.Detached()).OnCode(0, Start));
        int chunk = file.AsSpan().IndexOf("CODE"u8) + 16;
        if (offset == 8) BinaryPrimitives.WriteInt32LittleEndian(file.AsSpan(chunk + offset), value);
        else BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(chunk + offset), (ushort)value);
        Assert.That(() => Open(file), Throws.TypeOf<TraceFormatException>().With.Message.Contains(says));
    }

    /// <summary>A small trace whose accesses have instructions.</summary>
    internal static byte[] Sample() => Record(recorder =>
    {
        IDeviceObserver observer = recorder.AttachAt("card", "test-card", TestCard.Detached(), startNs: 0);
        observer.OnCode(0, Start);
        Access(0, Event(1, value: 0x41));
        observer.OnEvent(Event(2, value: 0x42));
        // What a read causes lies between its instruction and itself.
        observer.OnCode(1, Isr);
        observer.OnEvent(Event(3, DeviceEventKind.Code, offset: 1, length: 0));
        observer.OnEvent(Event(3, DeviceEventKind.Intx));
        observer.OnEvent(Event(3, DeviceEventKind.Read, 0x43));
        Access(1, Event(4, DeviceEventKind.Read, 0x43));
        Access(0, Event(5, DeviceEventKind.Read, 0x43));

        void Access(ulong number, DeviceEvent access)
        {
            observer.OnEvent(Event(access.Time, DeviceEventKind.Code, offset: number, length: 0));
            observer.OnEvent(access);
        }
    });
}
