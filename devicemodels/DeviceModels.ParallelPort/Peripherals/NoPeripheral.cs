using Emulator.Models;

namespace DeviceModels.ParallelPort.Peripherals;

/// <summary>An open connector: the pull-ups of the card hold every line high, so STATUS reads busy.</summary>
public sealed class NoPeripheral : IParallelPeripheral
{
    public PeripheralLines Lines => new(PeripheralSignals.All);

    public IReadOnlyList<DeviceSwitch> Switches => [];

    public void Connect(IParallelHost host)
    {
    }

    public void PowerOn()
    {
    }

    public void HostChanged(HostLines lines)
    {
    }
}
