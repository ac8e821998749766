using System.Buffers.Binary;

namespace Emulator.VfioUser.Protocol;

/// <summary>
/// VERSION request and reply: u16 major @0, u16 minor @2, then optional JSON with a closing NUL.
/// Source: vfio-user specification, VFIO_USER_VERSION.
/// </summary>
/// <param name="Major">Both sides must have the same.</param>
/// <param name="Minor">The reply's is at most the request's.</param>
/// <param name="Capabilities">What the sender can do.</param>
public readonly record struct VersionPayload(ushort Major, ushort Minor, Capabilities Capabilities)
{
    /// <summary>Bytes before the JSON.</summary>
    public const int HeaderSize = 4;

    /// <summary>Room that <see cref="Write"/> never exceeds, in bytes.</summary>
    public const int MaximumSize = HeaderSize + Capabilities.MaximumJsonSize;

    /// <summary>Reads a whole payload; false when it is shorter than 4 bytes or its JSON is not as specified. Never throws.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out VersionPayload value)
    {
        value = default;
        if (source.Length < HeaderSize || !Capabilities.TryParse(source[HeaderSize..], out Capabilities capabilities))
        {
            return false;
        }
        value = new(
            BinaryPrimitives.ReadUInt16LittleEndian(source),
            BinaryPrimitives.ReadUInt16LittleEndian(source[2..]),
            capabilities);
        return true;
    }

    /// <summary>
    /// Writes the payload with its JSON and NUL, and returns the bytes written. Throws <see cref="ArgumentException"/> when there is too
    /// little room; <see cref="MaximumSize"/> bytes are always enough.
    /// </summary>
    public int Write(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(destination, Major);
        BinaryPrimitives.WriteUInt16LittleEndian(destination[2..], Minor);
        return HeaderSize + Capabilities.Write(destination[HeaderSize..]);
    }
}
