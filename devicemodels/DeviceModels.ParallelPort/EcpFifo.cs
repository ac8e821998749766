namespace DeviceModels.ParallelPort;

/// <summary>The 16-entry FIFO. Each entry is a byte and, in ECP mode, whether it is a command.</summary>
internal sealed class EcpFifo
{
    public const int Depth = 16;

    private readonly byte[] _bytes = new byte[Depth];
    private readonly bool[] _commands = new bool[Depth];
    private int _first;

    /// <summary>0 to <see cref="Depth"/>.</summary>
    public int Count { get; private set; }

    public int Free => Depth - Count;
    public bool IsEmpty => Count == 0;
    public bool IsFull => Count == Depth;

    /// <summary>The byte read last; an empty FIFO keeps showing it.</summary>
    public byte Last { get; private set; }

    /// <summary>False, and nothing stored, when it is full.</summary>
    public bool TryPush(byte value, bool isCommand = false)
    {
        if (IsFull) return false;
        int at = (_first + Count) % Depth;
        (_bytes[at], _commands[at]) = (value, isCommand);
        Count++;
        return true;
    }

    /// <summary>False, and the last byte again, when it is empty.</summary>
    public bool TryPop(out byte value, out bool isCommand)
    {
        (value, isCommand) = (Last, false);
        if (IsEmpty) return false;
        (value, isCommand) = (_bytes[_first], _commands[_first]);
        _first = (_first + 1) % Depth;
        Count--;
        Last = value;
        return true;
    }

    public void Clear() => (_first, Count, Last) = (0, 0, 0);
}
