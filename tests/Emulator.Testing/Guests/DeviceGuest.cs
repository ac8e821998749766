using Emulator.Guests;
using Emulator.Pci;
using Emulator.VfioUser.Server;

namespace Emulator.Testing;

/// <summary>A device for a <see cref="DeviceGuest"/>.</summary>
/// <param name="Name">Unique in its guest; names the device in traces and messages.</param>
/// <param name="Create">Constructs the function on the slot it gets.</param>
public sealed record GuestDevice(string Name, Func<PciSlot, PciFunction> Create);

/// <summary>
/// A real guest with devices of yours: every device is served over vfio-user from this process, QEMU boots a Linux kernel with
/// them, and commands run in the guest. The devices outlive QEMU, so a test can kill it and boot again.
/// </summary>
/// <example><code>
/// await using DeviceGuest guest = await DeviceGuest.BootAsync([new("die", slot => new DieCard(slot))]);
/// GuestCommandResult result = await guest.RunAsync($"pciio {guest.PciAddress("die")} 0 0x8 4");
/// </code></example>
public sealed class DeviceGuest : IAsyncDisposable
{
    // Slots of the root bus that nothing else uses, so that a device is where a test expects it.
    private const int FirstSlot = 0x10;

    private readonly List<(DeviceServer Server, TraceCapture Trace)> _devices = [];
    private readonly List<string> _reports = [];
    private readonly GuestOptions _options;
    private readonly string _folder = Directory.CreateTempSubdirectory("device-guest-").FullName;
    private GuestSession? _session;

    private DeviceGuest(IReadOnlyList<GuestDevice> devices, GuestOptions options)
    {
        var sockets = new List<VfioUserDevice>();
        foreach (GuestDevice device in devices)
        {
            string path = Path.Combine(_folder, $"{device.Name}.sock"), slot = $"{FirstSlot + sockets.Count:x2}.0";
            var server = new DeviceServer(new DeviceServerOptions { Name = device.Name, SocketPath = path, Report = Report }, device.Create);
            _devices.Add((server, TraceCapture.Attach(server.Function, device.Name)));
            sockets.Add(new VfioUserDevice(path, slot, device.Name));
        }
        _options = options with { Devices = sockets };
    }

    /// <summary>The guest that runs now.</summary>
    public GuestSession Session => _session ?? throw new InvalidOperationException("The guest does not run: call StartAsync.");

    /// <summary>What the servers said: clients, guest errors, bugs.</summary>
    public IReadOnlyList<string> Reports
    {
        get
        {
            lock (_reports) return [.. _reports];
        }
    }

    /// <summary>Serves the devices and boots a guest with them.</summary>
    /// <param name="devices">At most 12.</param>
    /// <param name="options">Kernel modules, payload, machine and limits; the devices are filled in here.</param>
    /// <param name="cancel">Ends the wait; nothing is left behind.</param>
    /// <exception cref="GuestException">The guest did not start; the message says why.</exception>
    public static async Task<DeviceGuest> BootAsync(
        IReadOnlyList<GuestDevice> devices, GuestOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(devices.Count, 12);
        var guest = new DeviceGuest(devices, options ?? new GuestOptions());
        try
        {
            foreach ((DeviceServer server, _) in guest._devices) server.Start();
            await guest.StartAsync(cancel);
            return guest;
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }

    /// <summary>Runs a shell command in the guest. See <see cref="GuestSession.RunAsync"/>.</summary>
    public Task<GuestCommandResult> RunAsync(string command, TimeSpan? timeout = null, CancellationToken cancel = default)
        => Session.RunAsync(command, timeout, onOutput: null, cancel);

    /// <summary>Where a device is in the guest, as Linux names it: "0000:00:10.0".</summary>
    public string PciAddress(string name) => $"0000:00:{FirstSlot + IndexOf(name):x2}.0";

    /// <summary>Runs something on a device's own thread: the only way to look into it while it is served.</summary>
    public void On(string name, Action<PciFunction> action)
    {
        DeviceServer server = _devices[IndexOf(name)].Server;
        server.Invoke(() => action(server.Function));
    }

    /// <summary>The trace of a device so far: a line an event, registers and fields by name.</summary>
    public string TraceOf(string name)
    {
        (DeviceServer server, TraceCapture trace) = _devices[IndexOf(name)];
        string text = "";
        server.Invoke(() => text = trace.Text);
        return text;
    }

    /// <summary>Kills QEMU with SIGKILL; the devices stay.</summary>
    public async Task KillQemuAsync()
    {
        await Session.Kill9Async();
        await Session.DisposeAsync();
        _session = null;
    }

    /// <summary>Boots a guest with the same devices again, after <see cref="KillQemuAsync"/>.</summary>
    public async Task StartAsync(CancellationToken cancel = default)
    {
        if (_session is not null) throw new InvalidOperationException("The guest runs already.");
        _session = await GuestSession.StartAsync(_options, cancel);
    }

    /// <summary>Ends QEMU, then the devices, and removes their sockets.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_session is not null) await _session.DisposeAsync();
        foreach ((DeviceServer server, _) in _devices) server.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private int IndexOf(string name)
    {
        int index = _devices.FindIndex(d => d.Server.Name == name);
        return index >= 0 ? index : throw new ArgumentException($"There is no device '{name}'.", nameof(name));
    }

    private void Report(string line)
    {
        lock (_reports) _reports.Add(line);
    }
}
