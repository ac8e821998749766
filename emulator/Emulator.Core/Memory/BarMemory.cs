namespace Emulator.Memory;

/// <summary>
/// Bytes behind a RAM-backed BAR. The slot makes them, because only it knows how a client may map them; what the client
/// maps and what the device reads are the same bytes.
/// </summary>
public abstract class BarMemory
{
    /// <summary>All of it, as the device sees it. The guest may change it at any time.</summary>
    public abstract Span<byte> Span { get; }
}

/// <summary>Plain memory, for hosts that map nothing.</summary>
public sealed class PrivateBarMemory(int length) : BarMemory
{
    private readonly byte[] _bytes = new byte[length];

    public override Span<byte> Span => _bytes;
}
