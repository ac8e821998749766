namespace DeviceModels.ParallelPort.Ieee1284;

/// <summary>
/// Recognises the command packets of IEEE 1284.3 daisy chains (CPP: a fixed sequence on the data lines without strobes,
/// then strobed commands). They are addressed to boxes before the peripheral, which must not print a command.
/// Packets for multiplexers are never strobed, so nothing need be known about them.
/// </summary>
internal sealed class DaisyChainFilter
{
    private const byte HighestAddress = 3;

    private int _matched;
    private bool _isCommand;

    private static ReadOnlySpan<byte> Prefix => [0xaa, 0x55, 0x00, 0xff, 0x87, 0x78];

    /// <summary>The data lines changed.</summary>
    public void OnData(byte value)
    {
        if (_matched == Prefix.Length)
        {
            // The byte after the prefix is a command, or the first of up to four addresses that a host assigns.
            _isCommand = !_isCommand || value <= HighestAddress;
            if (_isCommand) return;
            _matched = 0;
        }
        if (value == Prefix[_matched]) _matched++;
        else _matched = value == Prefix[0] ? 1 : 0;
    }

    /// <summary>nStrobe fell.</summary>
    /// <returns>Whether the byte belongs to a command packet.</returns>
    public bool OnStrobe()
    {
        if (_isCommand) return true;
        Reset();
        return false;
    }

    public void Reset() => (_matched, _isCommand) = (0, false);
}
