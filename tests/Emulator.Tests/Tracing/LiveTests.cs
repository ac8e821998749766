using Emulator.Observation;
using Emulator.Testing;
using Emulator.Tracing;
using static Emulator.Tests.Tracing.TestTrace;

namespace Emulator.Tests.Tracing;

[Category("Unit")]
public sealed class LiveTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Test]
    public void What_a_device_does_is_shown_while_it_runs()
    {
        var output = new Output();
        using var live = new LiveTrace(new TextTraceRenderer(output, fold: false));
        var host = new FakePciHost();
        var card = new TestCard(host.Slot);
        card.Observer = live.Attach("card", "test-card", card);
        host.Plug(card);
        host.Bar(0).Write8(0, 0x41);
        host.Bar(3).Read8(0);
        Assert.That(SpinWait.SpinUntil(() => output.Text.Contains("note    guest error", StringComparison.Ordinal), Limit));
        Assert.That(output.Text, Does.Contain("BAR0 SPP.DATA               0x41"));
        Assert.That(live.NotShown, Is.Zero);
    }

    [Test]
    public void Dispose_shows_what_is_left_in_order_over_the_devices()
    {
        var output = new Output();
        long now = System.Diagnostics.Stopwatch.GetTimestamp();
        using (var live = new LiveTrace(new TextTraceRenderer(output), new TraceFilter { Kinds = TraceKinds.Write | TraceKinds.Remark }))
        {
            IDeviceObserver first = live.Attach("a", "test-card", TestCard.Detached(), now), second = live.Attach("b", "test-card", TestCard.Detached(), now);
            output.Gate.Reset();
            first.OnEvent(Event(1_000, DeviceEventKind.Intx));
            first.OnEvent(Event(1_000, value: 1));
            Assert.That(output.Blocked.Wait(Limit));
            first.OnEvent(Event(4_000, value: 4));
            first.OnRemark(4_000, "five");
            second.OnEvent(Event(2_000, value: 2));
            second.OnEvent(Event(3_000, value: 3));
            output.Gate.Set();
        }
        Assert.That(TraceText.Normalise(output.Text), Is.EqualTo(
            """
            a  W       BAR0 SPP.DATA               0x01
            b  W       BAR0 SPP.DATA               0x02
            b  W       BAR0 SPP.DATA               0x03
            a  W       BAR0 SPP.DATA               0x04
            a  note    five

            """));
    }

    [Test]
    public void An_output_that_is_stuck_makes_no_device_wait_and_what_is_lost_is_counted()
    {
        const int Capacity = 64, Count = 10_000;
        var output = new Output();
        using (var live = new LiveTrace(new TextTraceRenderer(output), capacity: Capacity))
        {
            IDeviceObserver observer = live.Attach("card", "test-card", TestCard.Detached());
            output.Gate.Reset();
            observer.OnEvent(Event(0));
            Assert.That(output.Blocked.Wait(Limit));
            for (int i = 1; i < Count; i++) observer.OnEvent(Event(i));
            Assert.That(live.NotShown, Is.InRange(Count - Capacity - 1, Count - 1));
            output.Gate.Set();
        }
        string[] lines = output.Text.TrimEnd('\n').Split('\n');
        int shown = lines.Count(l => l.Contains("SPP.DATA", StringComparison.Ordinal));
        long said = lines.Where(l => l.StartsWith('…')).Sum(l => long.Parse(l.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture));
        Assert.That(shown + said, Is.EqualTo(Count));
        Assert.That(said, Is.Positive);
    }

    [Test]
    public void An_event_allocates_nothing_shown_or_not()
    {
        var output = new Output();
        using var live = new LiveTrace(new TextTraceRenderer(output), capacity: 64);
        IDeviceObserver observer = live.Attach("card", "test-card", TestCard.Detached());
        void Run()
        {
            for (int i = 0; i < 10_000; i++) observer.OnEvent(Event(i));
        }

        Assert.That(Allocations.BytesOf(Run), Is.Zero);
    }

    [Test]
    public void An_output_that_fails_ends_the_view_with_one_line()
    {
        var said = new List<string>();
        var output = new Output { Fails = true };
        var live = new LiveTrace(new TextTraceRenderer(output), failed: said.Add, capacity: 64);
        IDeviceObserver observer = live.Attach("card", "test-card", TestCard.Detached());
        for (int i = 0; i < 1000; i++) observer.OnEvent(Event(i));
        live.Dispose();
        Assert.That(said, Is.EqualTo((string[])["the live trace has ended: Broken pipe The devices go on."]));
    }

    [Test]
    public void A_tee_hands_everything_to_all_in_order()
    {
        var seen = new List<string>();
        var tee = new ObserverTee(new Spy("a", seen), new Spy("b", seen));
        tee.OnEvent(Event(7));
        tee.OnRemark(8, "text");
        Assert.That(seen, Is.EqualTo((string[])["a 7", "b 7", "a 8 text", "b 8 text"]));
    }

    [Test]
    public void A_tee_of_those_present_is_no_more_than_needed()
    {
        var one = new Spy("a", []);
        Assert.That(ObserverTee.Of(null, null), Is.Null);
        Assert.That(ObserverTee.Of(null, one), Is.SameAs(one));
        Assert.That(ObserverTee.Of(one, null, one), Is.TypeOf<ObserverTee>());
    }

    private sealed class Spy(string name, List<string> seen) : IDeviceObserver
    {
        public void OnEvent(in DeviceEvent deviceEvent) => seen.Add($"{name} {deviceEvent.Time}");
        public void OnRemark(long time, string text) => seen.Add($"{name} {time} {text}");
    }

    // An output a test can hold up: closing the gate blocks the next write.
    private sealed class Output : ITraceTextWriter
    {
        private readonly System.Text.StringBuilder _text = new();

        public ManualResetEventSlim Gate { get; } = new(initialState: true);
        public ManualResetEventSlim Blocked { get; } = new();
        public bool Fails { get; init; }

        public string Text
        {
            get
            {
                lock (_text) return _text.ToString();
            }
        }

        public void Write(TraceStyle style, ReadOnlySpan<char> text)
        {
            if (Fails) throw new IOException("Broken pipe");
            if (!Gate.IsSet) Blocked.Set();
            Gate.Wait();
            lock (_text) _text.Append(text);
        }

        public void EndLine()
        {
            lock (_text) _text.Append('\n');
        }

        public void Flush()
        {
        }
    }
}
