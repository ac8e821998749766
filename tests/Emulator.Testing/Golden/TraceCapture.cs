using System.Globalization;
using Emulator.Observation;
using Emulator.Pci;
using Emulator.Tracing;

namespace Emulator.Testing;

/// <summary>
/// Keeps what a function does in memory and shows it as text, by the names of its registers.
/// </summary>
/// <example><code>
/// var host = new FakePciHost();
/// var card = host.Plug(new MyCard(host.Slot));
/// var trace = TraceCapture.Attach(card);
/// host.Bar(0).Write32(0x10, 1);
/// GoldenTrace.Check(trace.NormalisedText, "my-card-start");
/// </code></example>
public sealed class TraceCapture : IDeviceObserver
{
    private readonly TracedDevice _device;
    private readonly List<TraceEntry> _entries = [];
    private TraceEntryMaker _maker;

    private TraceCapture(TracedDevice device) => (_device, _maker) = (device, new TraceEntryMaker(device));

    /// <summary>What happened, in order.</summary>
    public IReadOnlyList<TraceEntry> Entries => _entries;

    /// <summary>Text as <c>emulator trace show</c> prints it, identical consecutive reads folded into one line.</summary>
    public string Text => Render(fold: true);

    /// <summary><see cref="Text"/> without times: what a golden file holds.</summary>
    public string NormalisedText => TraceText.Normalise(Text);

    /// <summary>Becomes the observer of a function. Call it after the model is constructed, so that its BARs are known.</summary>
    /// <param name="name">The device's name in the text.</param>
    public static TraceCapture Attach(PciFunction function, string name = "device")
    {
        var capture = new TraceCapture(TracedDevice.Of(name, function.GetType().Name, function));
        function.Observer = capture;
        return capture;
    }

    /// <summary>Forgets what happened so far.</summary>
    public void Clear() => _entries.Clear();

    public void OnEvent(in DeviceEvent deviceEvent)
    {
        if (_maker.TryMake(deviceEvent, out TraceEntry entry)) _entries.Add(entry);
    }

    public void OnCode(int number, CodePlace place) => _device.AddCode(number, place);

    public void OnRemark(long time, string text)
        => _entries.Add(new TraceEntry(_device, _device.ToTraceTime(time), new DeviceEvent(time, 0, 0, Ok: true, 0, 0, 0), text));

    /// <summary>The text, filtered.</summary>
    public string Render(bool fold, TraceFilter? filter = null)
    {
        var text = new StringWriter(CultureInfo.InvariantCulture);
        var renderer = new TextTraceRenderer(new PlainTraceTextWriter(text), fold);
        foreach (TraceEntry entry in _entries)
        {
            if (filter is null || filter.Matches(entry)) renderer.Render(entry);
        }
        renderer.Flush();
        return text.ToString();
    }
}
