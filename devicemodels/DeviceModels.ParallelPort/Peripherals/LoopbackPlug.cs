using Emulator.Models;

namespace DeviceModels.ParallelPort.Peripherals;

/// <summary>The two wirings that parallel-port testers sell plugs for.</summary>
public enum LoopbackWiring : byte
{
    /// <summary>Norton, PassMark: D0-nFault (2-15), D1-Select (3-13), D2-PError (4-12), D3-nAck (5-10), D4-Busy (6-11).</summary>
    Data,
    /// <summary>CheckIt: D0-nFault (2-15), nStrobe-Select (1-13), nAutoFd-PError (14-12), nInit-nAck (16-10), nSelectIn-Busy (17-11).</summary>
    Control,
}

/// <summary>
/// A test plug: five wires from lines the host drives to the five it reads. As plain wires do, it carries levels of the
/// cable, so what a driver reads back is inverted wherever just one of the two register bits is.
/// </summary>
/// <param name="wiring">Which wires.</param>
public sealed class LoopbackPlug(LoopbackWiring wiring = LoopbackWiring.Data) : IParallelPeripheral
{
    private IParallelHost _host = null!;
    private PeripheralSignals _signals = PeripheralSignals.All;

    public PeripheralLines Lines => new(_signals);

    public IReadOnlyList<DeviceSwitch> Switches => [];

    public void Connect(IParallelHost host) => _host = host;

    public void PowerOn()
    {
    }

    public void HostChanged(HostLines lines)
    {
        PeripheralSignals signals = Wire((lines.Data & 0x01) != 0, PeripheralSignals.NFault);
        signals |= wiring == LoopbackWiring.Data
            ? Wire((lines.Data & 0x02) != 0, PeripheralSignals.Select)
                | Wire((lines.Data & 0x04) != 0, PeripheralSignals.PError)
                | Wire((lines.Data & 0x08) != 0, PeripheralSignals.NAck)
                | Wire((lines.Data & 0x10) != 0, PeripheralSignals.Busy)
            : Wire(lines.AreHigh(HostSignals.NStrobe), PeripheralSignals.Select)
                | Wire(lines.AreHigh(HostSignals.NAutoFd), PeripheralSignals.PError)
                | Wire(lines.AreHigh(HostSignals.NInit), PeripheralSignals.NAck)
                | Wire(lines.AreHigh(HostSignals.NSelectIn), PeripheralSignals.Busy);
        if (signals == _signals) return;
        _signals = signals;
        _host.PeripheralChanged();
    }

    private static PeripheralSignals Wire(bool isHigh, PeripheralSignals line) => isHigh ? line : PeripheralSignals.None;
}
