using Emulator.Cli.Commands;
using Emulator.Observation;
using Emulator.Pci;
using Emulator.Tracing;

namespace Emulator.Cli.Bench;

/// <summary>Shows every access of the bench at once and none left out: nothing waits there but the drivers.</summary>
internal sealed class BenchLive : IDisposable
{
    private readonly JsonTraceRenderer? _json;
    private readonly TraceRenderer _renderer;

    public BenchLive(TextWriter output, OutputFormat format)
    {
        _json = format == OutputFormat.Json ? new JsonTraceRenderer(new Utf8TextStream(output)) : null;
        _renderer = _json is not null ? _json : new TextTraceRenderer(new TerminalTraceWriter(output, TerminalTraceWriter.WantsColour));
    }

    public IDeviceObserver Attach(string name, string model, PciFunction function) => new Observer(_renderer, TracedDevice.Of(name, model, function));

    public void Flush() => _renderer.Flush();

    public void Dispose() => _json?.Dispose();

    private sealed class Observer(TraceRenderer renderer, TracedDevice device) : IDeviceObserver
    {
        private TraceEntryMaker _maker = new(device);

        public void OnEvent(in DeviceEvent deviceEvent)
        {
            if (_maker.TryMake(deviceEvent, out TraceEntry entry)) renderer.Render(entry);
        }

        public void OnCode(int number, CodePlace place) => device.AddCode(number, place);

        public void OnRemark(long time, string text)
            => renderer.Render(new TraceEntry(device, device.ToTraceTime(time), new DeviceEvent(time, 0, 0, Ok: true, 0, 0, 0), text));
    }
}
