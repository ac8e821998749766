using Emulator.Models;
using Emulator.Time;

namespace DeviceModels.ParallelPort;

/// <summary>The four control lines a host drives, as levels on the cable (IEEE 1284-2000, table 1): set is high.</summary>
/// <remarks>The bits are those of the CONTROL register, which inverts all but nInit.</remarks>
[Flags]
public enum HostSignals : byte
{
    None = 0,
    /// <summary>Pin 1. HostClk, nWrite.</summary>
    NStrobe = 0x01,
    /// <summary>Pin 14. HostBusy, HostAck, nDStrb.</summary>
    NAutoFd = 0x02,
    /// <summary>Pin 16. nReverseRequest.</summary>
    NInit = 0x04,
    /// <summary>Pin 17. IEEE 1284 active, nAStrb.</summary>
    NSelectIn = 0x08,
    All = NStrobe | NAutoFd | NInit | NSelectIn,
}

/// <summary>The five status lines a peripheral drives, as levels on the cable (IEEE 1284-2000, table 1): set is high.</summary>
/// <remarks>The bits are those of the STATUS register, which inverts Busy.</remarks>
[Flags]
public enum PeripheralSignals : byte
{
    None = 0,
    /// <summary>Pin 15. nDataAvail, nPeriphRequest.</summary>
    NFault = 0x08,
    /// <summary>Pin 13. XFlag.</summary>
    Select = 0x10,
    /// <summary>Pin 12. AckDataReq, nAckReverse.</summary>
    PError = 0x20,
    /// <summary>Pin 10. PtrClk, PeriphClk, Intr.</summary>
    NAck = 0x40,
    /// <summary>Pin 11. PtrBusy, PeriphAck, nWait.</summary>
    Busy = 0x80,
    All = NFault | Select | PError | NAck | Busy,
}

/// <summary>What the host puts on the cable.</summary>
/// <param name="Data">The level of the data lines D8..D1 while the host drives them; 0xff otherwise.</param>
/// <param name="DrivesData">Whether the host's data drivers are on.</param>
/// <param name="Signals">The control lines.</param>
public readonly record struct HostLines(byte Data, bool DrivesData, HostSignals Signals)
{
    /// <summary>A cable with no host: pull-ups hold every line high.</summary>
    public static HostLines Idle => new(0xff, DrivesData: false, HostSignals.All);

    /// <summary>Whether every one of the lines is high.</summary>
    public bool AreHigh(HostSignals signals) => (Signals & signals) == signals;

    /// <summary>Whether the line is high now and was low in <paramref name="before"/>.</summary>
    public bool Rose(HostSignals signal, HostLines before) => (Signals & ~before.Signals & signal) != 0;

    /// <summary>Whether the line is low now and was high in <paramref name="before"/>.</summary>
    public bool Fell(HostSignals signal, HostLines before) => (before.Signals & ~Signals & signal) != 0;
}

/// <summary>What the peripheral puts on the cable.</summary>
/// <param name="Signals">The status lines.</param>
/// <param name="Data">The level of the data lines while the peripheral drives them; 0xff otherwise.</param>
/// <param name="DrivesData">Whether the peripheral's data drivers are on.</param>
public readonly record struct PeripheralLines(PeripheralSignals Signals, byte Data = 0xff, bool DrivesData = false);

/// <summary>The host's end of the cable, as a peripheral sees it. Device thread only.</summary>
public interface IParallelHost
{
    /// <summary>The time of the card the cable is plugged into.</summary>
    IDeviceClock Clock { get; }

    /// <summary>
    /// The peripheral tells every change of its lines, edge by edge. The host only takes note: it never changes its own
    /// lines before the call returns.
    /// </summary>
    void PeripheralChanged();
}

/// <summary>
/// Whatever is at the far end of the cable: a printer, a test plug, a recorder, a real port. All seventeen signal lines
/// pass through here. Device thread only.
/// </summary>
/// <remarks>
/// Time stands still during a guest access, so in EPP mode, where the access itself waits for nWait, a peripheral answers
/// before <see cref="HostChanged"/> returns or not at all; everywhere else it may take as long as it likes.
/// </remarks>
public interface IParallelPeripheral
{
    /// <summary>The lines now.</summary>
    PeripheralLines Lines { get; }

    /// <summary>What a person can change while it runs.</summary>
    IReadOnlyList<DeviceSwitch> Switches { get; }

    /// <summary>Plugs it in. Called once, before anything else.</summary>
    void Connect(IParallelHost host);

    /// <summary>Power came: protocol state and timers back to their start; switches stay as a person left them.</summary>
    void PowerOn();

    /// <summary>The host's lines changed.</summary>
    void HostChanged(HostLines lines);
}
