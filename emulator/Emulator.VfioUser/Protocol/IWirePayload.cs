namespace Emulator.VfioUser.Protocol;

/// <summary>
/// A fixed-size structure of the wire, little-endian. A structure that variable data follows reads and writes its fixed part only.
/// </summary>
/// <typeparam name="TSelf">The structure itself.</typeparam>
public interface IWirePayload<TSelf>
    where TSelf : struct, IWirePayload<TSelf>
{
    /// <summary>Bytes on the wire.</summary>
    static abstract int WireSize { get; }

    /// <summary>Reads from the start of <paramref name="source"/>; false when it is shorter than <see cref="WireSize"/>. Never throws.</summary>
    static abstract bool TryRead(ReadOnlySpan<byte> source, out TSelf value);

    /// <summary>Writes <see cref="WireSize"/> bytes. Throws <see cref="ArgumentOutOfRangeException"/> when there is less room.</summary>
    void Write(Span<byte> destination);
}
