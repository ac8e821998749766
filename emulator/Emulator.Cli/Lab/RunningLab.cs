using System.Diagnostics;
using Emulator.Cli.Control;
using Emulator.Models;
using Emulator.Pci;
using Emulator.VfioUser.Server;
using Emulator.VfioUser.Transport;

namespace Emulator.Cli.Lab;

/// <summary>A lab being served: its devices on their sockets, its trace, its control socket. Disposing it leaves no socket behind.</summary>
internal sealed class RunningLab : IDisposable
{
    private readonly List<ServedDevice> _devices = [];
    private readonly ControlServer _control;
    private readonly LabTracing? _tracing;
    private readonly long _started;

    /// <summary>Creates the devices and serves them; their sockets listen when this returns.</summary>
    /// <param name="source">The lab.</param>
    /// <param name="trace">What to record and show.</param>
    /// <param name="report">Takes lines for a person, from any thread.</param>
    /// <exception cref="UserError">A device's options are wrong, or a socket or file cannot be made.</exception>
    public RunningLab(LabSource source, TraceChoice trace, Action<string> report)
    {
        Source = source;
        Folder = LabFolder.Of(source);
        TraceFile = trace.File;
        // Folders in /tmp have names that anybody can guess and take first.
        if (source.Lab.Sockets is null) Serving(() => UnixListener.RequirePrivateFolder(Path.GetDirectoryName(Folder.Path)!));
        // The control socket comes first: it is what a second run of the same lab stumbles over.
        _control = Serving(() => new ControlServer(Folder.Control, Answer));
        try
        {
            _started = Stopwatch.GetTimestamp();
            _tracing = new LabTracing(trace, report);
            for (int i = 0; i < source.Lab.Devices.Count; i++) _devices.Add(Create(i, report));
            foreach (ServedDevice device in _devices) Serving(() => device.Server.Start());
            _control.Start();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public LabSource Source { get; }
    public LabFolder Folder { get; }
    public IReadOnlyList<ServedDevice> Devices => _devices;

    /// <summary>The file it is recorded to, or null.</summary>
    public string? TraceFile { get; }

    /// <summary>How long it has been recorded: the time a trace gives to what happens now.</summary>
    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(_started);

    /// <summary>What each device is and where, with its switches as they are now.</summary>
    public IReadOnlyList<DeviceState> Describe() => [.. _devices.Select(Describe)];

    public void Dispose()
    {
        _control.Dispose();
        foreach (ServedDevice device in _devices)
        {
            device.Server.Dispose();
            device.Host.Dispose();
        }
        _tracing?.Dispose();
        if (Source.Lab.Sockets is null) RemoveFolder();
    }

    private ServedDevice Create(int index, Action<string> report)
    {
        LabDevice device = Source.Lab.Devices[index];
        var options = new DeviceServerOptions
        {
            Name = device.Name,
            SocketPath = Folder.Socket(device.Name),
            Report = report,
            SpinMicroseconds = device.SpinMicroseconds ?? DeviceServerOptions.DefaultSpinMicroseconds,
            OfferTwinSocket = device.TwinSocket,
            TrustUnsealedMemory = device.TrustUnsealedMemory,
        };
        var host = new DeviceHost(device.Name, report);
        try
        {
            long timeZero = 0;
            var server = new DeviceServer(options, slot =>
            {
                // The slot, and its clock with it, was made just now.
                timeZero = Stopwatch.GetTimestamp();
                return device.Create(slot, host);
            });
            server.Function.AlwaysDecodes = device.Decode == LabDecode.Always;
            _tracing!.Watch(device.Name, device.Model, server.Function, timeZero);
            return new ServedDevice(device, server, host);
        }
        catch (DeviceOptionsException problem)
        {
            throw Source.ErrorAtOption($"devices[{index}]", problem.Message);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw Source.ErrorAt($"devices[{index}]", problem.Message);
        }
    }

    private ControlReply Answer(ControlRequest request)
    {
        try
        {
            return request.Command switch
            {
                "list" when request.Device is null => new ControlReply(null, Describe()),
                "list" => new ControlReply(null, [Describe(Find(request.Device))]),
                "set" => Set(Find(request.Device ?? ""), request.Switch ?? "", request.Value ?? ""),
                _ => ControlReply.Failed($"unknown command \"{request.Command}\"; known: list, set"),
            };
        }
        catch (Exception problem) when (problem is UserError or ObjectDisposedException)
        {
            return ControlReply.Failed(problem.Message);
        }
    }

    private ServedDevice Find(string name)
        => _devices.Find(d => d.Name == name)
            ?? throw new UserError($"no device \"{name}\" in this lab; {Spelling.Suggest(name, [.. _devices.Select(d => d.Name)])}");

    private static ControlReply Set(ServedDevice device, string name, string value)
    {
        IReadOnlyList<DeviceSwitch> switches = device.Server.Function.Switches;
        DeviceSwitch found = switches.FirstOrDefault(s => s.Name == name)
            ?? throw new UserError(switches.Count == 0
                ? $"{device.Name} has no switches"
                : $"{device.Name} has no switch \"{name}\"; {Spelling.Suggest(name, [.. switches.Select(s => s.Name)])}");
        string? problem = null;
        SwitchState? now = null;
        device.Server.Invoke(() =>
        {
            problem = found.TrySet(value);
            now = Describe(found);
        });
        return problem is null
            ? new ControlReply(null, [new DeviceState(device.Name, device.Model, device.Server.SocketPath, [now!])])
            : ControlReply.Failed($"{device.Name}: {problem}");
    }

    private static DeviceState Describe(ServedDevice device)
    {
        IReadOnlyList<SwitchState> switches = [];
        device.Server.Invoke(() => switches = [.. device.Server.Function.Switches.Select(Describe)]);
        return new DeviceState(device.Name, device.Model, device.Server.SocketPath, switches);
    }

    private static SwitchState Describe(DeviceSwitch s) => new(s.Name, s.Summary, s.Values, s.Get());

    private static void Serving(Action serve)
        => Serving(() =>
        {
            serve();
            return true;
        });

    private static T Serving<T>(Func<T> serve)
    {
        try
        {
            return serve();
        }
        catch (TransportException problem)
        {
            throw UserError.Failed(problem.Message.TrimEnd('.'), problem);
        }
    }

    private void RemoveFolder()
    {
        try
        {
            Directory.Delete(Folder.Path);
        }
        catch (IOException)
        {
            // Somebody put a file of their own there, or the next run of this lab has begun.
        }
    }
}

/// <summary>A device of a running lab.</summary>
internal sealed record ServedDevice(LabDevice Device, DeviceServer Server, DeviceHost Host)
{
    public string Name => Device.Name;
    public string Model => Device.Model;
    public PciIdentity Identity => Server.Function.Identity;
}
