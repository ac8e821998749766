using System.Collections.Concurrent;
using System.Runtime.Versioning;
using Emulator.Pci;
using Emulator.VfioUser.Client;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Server;
using Emulator.WireTests.Transport;

namespace Emulator.WireTests.Server;

/// <summary>A server in a folder of its own, on a real socket.</summary>
[SupportedOSPlatform("linux")]
internal sealed class ServedDevice : IDisposable
{
    public static readonly TimeSpan Generous = TimeSpan.FromSeconds(30);

    private readonly TemporaryFolder _folder = new();

    public ServedDevice(Func<PciSlot, PciFunction>? create = null, Func<DeviceServerOptions, DeviceServerOptions>? adapt = null)
    {
        var options = new DeviceServerOptions { Name = "card", SocketPath = _folder.File("card.sock"), Report = Reports.Enqueue };
        Server = new DeviceServer(adapt is null ? options : adapt(options), create ?? (slot => new CardFunction(slot)));
        Server.Start();
    }

    public DeviceServer Server { get; }
    public CardFunction Card => (CardFunction)Server.Function;

    /// <summary>What the server said to people.</summary>
    public ConcurrentQueue<string> Reports { get; } = new();

    public WireClient Connect(bool negotiate = true, string? version = null)
    {
        var client = new WireClient(Server.SocketPath);
        if (negotiate) client.Negotiate(version);
        return client;
    }

    public VfioUserClient ConnectClient(VfioUserClientOptions? options = null)
        => VfioUserClient.Connect(Server.SocketPath, options ?? new VfioUserClientOptions { Timeout = Generous });

    public void Invoke(Action action) => Server.Invoke(action);

    public T Invoke<T>(Func<T> function)
    {
        T result = default!;
        Server.Invoke(() => result = function());
        return result;
    }

    /// <summary>Waits until the server has taken all that was sent before: a turn delivers mail first, so the second one knows.</summary>
    public void Settle()
    {
        Server.Invoke(() => { });
        Server.Invoke(() => { });
    }

    /// <summary>Waits until something holds on the device thread.</summary>
    public void WaitUntil(Func<bool> condition, string what) => Assert.That(SpinWait.SpinUntil(() => Invoke(condition), Generous), Is.True, what);

    public void WaitForNoClient() => Assert.That(SpinWait.SpinUntil(() => !Server.HasClient, Generous), Is.True, "the client is gone");

    /// <summary>A new client finds a device as after power-on.</summary>
    public void AssertServesAsNew()
    {
        using WireClient client = Connect();
        Assert.That(client.Read32(CardFunction.Registers, CardRegisters.Identification), Is.EqualTo(CardRegisters.IdentificationValue));
        Assert.That(client.Read32(CardFunction.Registers, CardRegisters.Scratch), Is.EqualTo(CardRegisters.ScratchReset));
        Assert.That(client.Read32(RegionIndex.Config, 4) & 0xffff, Is.Zero, "COMMAND");
        // Nothing of the one before is mapped any more.
        client.Call(Command.DmaMap, Wire.Bytes(new DmaMap(32, DmaMapFlags.Readable | DmaMapFlags.Writable, 0, 0, 1UL << 63)));
    }

    public void Dispose()
    {
        Server.Dispose();
        _folder.Dispose();
    }
}
