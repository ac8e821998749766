using DeviceModels.ParallelPort;
using DeviceModels.ParallelPort.Ieee1284;

namespace DeviceModels.Tests.ParallelPort;

/// <summary>A peripheral with a reverse channel: a test fills it, a driver empties it.</summary>
internal sealed class ScriptedPeripheral() : Ieee1284Peripheral(new Ieee1284Options { AckDelay = 1_000, AckWidth = 1_000 })
{
    private readonly List<byte> _received = [];
    private byte[] _reverse = [];

    public IReadOnlyList<byte> Received => _received;
    public int Address { get; private set; } = -1;
    public int Left => _reverse.Length;

    protected override PeripheralSignals Status => PeripheralSignals.Select | PeripheralSignals.NFault;
    protected override bool IsReady => true;
    protected override ReadOnlySpan<byte> ReverseData => _reverse;

    /// <summary>Runs when it has been plugged in.</summary>
    public Action? OnConnected { get; set; }

    public override void Connect(IParallelHost host)
    {
        base.Connect(host);
        OnConnected?.Invoke();
    }

    public void Offer(params byte[] bytes)
    {
        _reverse = [.. _reverse, .. bytes];
        StatusChanged();
    }

    protected override void Receive(byte value) => _received.Add(value);
    protected override void ReceiveAddress(byte address) => Address = address;
    protected override byte ReadAddress() => (byte)Address;
    protected override void ConsumeReverse(int count) => _reverse = _reverse[count..];
}
