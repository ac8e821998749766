using System.Buffers.Text;
using System.Text.Json;

namespace Emulator.VfioUser.Protocol;

/// <summary>
/// What one side can do, from the JSON of its VERSION message. Source: vfio-user specification, VFIO_USER_VERSION. Numbers above 2^31 - 1
/// are read as that: each is a limit of the peer, so a smaller one is safe.
/// </summary>
public readonly record struct Capabilities
{
    /// <summary>Room that <see cref="Write"/> never exceeds, in bytes.</summary>
    public const int MaximumJsonSize = 256;

    private const int MaximumDepth = 16;

    /// <summary>The values a peer has that names none.</summary>
    public Capabilities()
    {
    }

    /// <summary>max_msg_fds: most descriptors the sender takes in one message.</summary>
    public int MaxMessageFds { get; init; } = ProtocolLimits.DefaultMaxMessageFds;

    /// <summary>max_data_xfer_size: most bytes of data in one read or write message.</summary>
    public int MaxDataTransferSize { get; init; } = ProtocolLimits.DefaultMaxDataTransferSize;

    /// <summary>max_dma_maps: most DMA ranges valid at once.</summary>
    public int MaxDmaMaps { get; init; } = ProtocolLimits.DefaultMaxDmaMaps;

    /// <summary>pgsizes: page sizes of DMA maps, or'ed together.</summary>
    public ulong PageSizes { get; init; } = ProtocolLimits.DefaultPageSizes;

    /// <summary>write_multiple: REGION_WRITE_MULTI is understood.</summary>
    public bool WriteMultiple { get; init; }

    /// <summary>twin_socket.supported: server-to-client commands may have a socket of their own.</summary>
    public bool TwinSocket { get; init; }

    /// <summary>twin_socket.fd_index: which descriptor of the reply is that socket; -1 when not named.</summary>
    public int TwinSocketFdIndex { get; init; } = -1;

    /// <summary>
    /// Reads the JSON of a VERSION message: everything after the two version numbers, with or without the closing NUL. Empty text means the
    /// defaults; unknown names are skipped. False for text that is not JSON, or not of the specified types. Never throws.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> json, out Capabilities value)
    {
        value = new();
        int end = json.IndexOf((byte)0);
        if (end >= 0)
        {
            json = json[..end];
        }
        if (json.IsEmpty)
        {
            return true;
        }
        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = MaximumDepth });
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            {
                return false;
            }
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (!reader.ValueTextEquals("capabilities"u8))
                {
                    reader.Skip();
                }
                else if (!TryParseObject(ref reader, ref value))
                {
                    value = new();
                    return false;
                }
            }
            // Read on to the end, so that text after the object is found to be no JSON.
            while (reader.Read())
            {
            }
            return true;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            // The reader reports broken text, and names it cannot unescape, in no other way.
            value = new();
            return false;
        }
    }

    /// <summary>
    /// Writes {"capabilities":{...}} and a NUL, and returns the bytes written, at most <see cref="MaximumJsonSize"/>. Values equal to the
    /// specification's defaults are left out, but for the two that every peer shows: QEMU refuses a VERSION reply longer than its request.
    /// Throws <see cref="ArgumentException"/> when there is too little room.
    /// </summary>
    public int Write(Span<byte> destination)
    {
        int at = 0;
        Append(destination, ref at, "{\"capabilities\":{\"max_msg_fds\":"u8);
        Append(destination, ref at, (ulong)MaxMessageFds);
        Append(destination, ref at, ",\"max_data_xfer_size\":"u8);
        Append(destination, ref at, (ulong)MaxDataTransferSize);
        if (MaxDmaMaps != ProtocolLimits.DefaultMaxDmaMaps)
        {
            Append(destination, ref at, ",\"max_dma_maps\":"u8);
            Append(destination, ref at, (ulong)MaxDmaMaps);
        }
        if (PageSizes != ProtocolLimits.DefaultPageSizes)
        {
            Append(destination, ref at, ",\"pgsizes\":"u8);
            Append(destination, ref at, PageSizes);
        }
        if (WriteMultiple)
        {
            Append(destination, ref at, ",\"write_multiple\":true"u8);
        }
        if (TwinSocket)
        {
            Append(destination, ref at, ",\"twin_socket\":{\"supported\":true"u8);
            if (TwinSocketFdIndex >= 0)
            {
                Append(destination, ref at, ",\"fd_index\":"u8);
                Append(destination, ref at, (ulong)TwinSocketFdIndex);
            }
            Append(destination, ref at, "}"u8);
        }
        Append(destination, ref at, "}}\0"u8);
        return at;
    }

    private static bool TryParseObject(ref Utf8JsonReader reader, ref Capabilities value)
    {
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
        {
            return false;
        }
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool understood = true;
            if (reader.ValueTextEquals("max_msg_fds"u8))
            {
                understood = TryReadLimit(ref reader, out int number);
                value = value with { MaxMessageFds = number };
            }
            else if (reader.ValueTextEquals("max_data_xfer_size"u8))
            {
                understood = TryReadLimit(ref reader, out int number);
                value = value with { MaxDataTransferSize = number };
            }
            else if (reader.ValueTextEquals("max_dma_maps"u8))
            {
                understood = TryReadLimit(ref reader, out int number);
                value = value with { MaxDmaMaps = number };
            }
            else if (reader.ValueTextEquals("pgsizes"u8))
            {
                understood = TryReadNumber(ref reader, out ulong number);
                value = value with { PageSizes = number };
            }
            else if (reader.ValueTextEquals("write_multiple"u8))
            {
                understood = TryReadBoolean(ref reader, out bool flag);
                value = value with { WriteMultiple = flag };
            }
            else if (reader.ValueTextEquals("twin_socket"u8))
            {
                understood = TryParseTwinSocket(ref reader, ref value);
            }
            else
            {
                reader.Skip();
            }
            if (!understood)
            {
                return false;
            }
        }
        return reader.TokenType == JsonTokenType.EndObject;
    }

    private static bool TryParseTwinSocket(ref Utf8JsonReader reader, ref Capabilities value)
    {
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
        {
            return false;
        }
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool understood = true;
            if (reader.ValueTextEquals("supported"u8))
            {
                understood = TryReadBoolean(ref reader, out bool flag);
                value = value with { TwinSocket = flag };
            }
            else if (reader.ValueTextEquals("fd_index"u8))
            {
                understood = TryReadLimit(ref reader, out int number);
                value = value with { TwinSocketFdIndex = number };
            }
            else
            {
                reader.Skip();
            }
            if (!understood)
            {
                return false;
            }
        }
        return reader.TokenType == JsonTokenType.EndObject;
    }

    private static bool TryReadNumber(ref Utf8JsonReader reader, out ulong number)
    {
        number = 0;
        return reader.Read() && reader.TokenType == JsonTokenType.Number && reader.TryGetUInt64(out number);
    }

    private static bool TryReadLimit(ref Utf8JsonReader reader, out int number)
    {
        bool understood = TryReadNumber(ref reader, out ulong wide);
        number = (int)Math.Min(wide, int.MaxValue);
        return understood;
    }

    private static bool TryReadBoolean(ref Utf8JsonReader reader, out bool flag)
    {
        bool understood = reader.Read() && reader.TokenType is JsonTokenType.True or JsonTokenType.False;
        flag = understood && reader.TokenType == JsonTokenType.True;
        return understood;
    }

    private static void Append(Span<byte> destination, ref int at, ReadOnlySpan<byte> text)
    {
        text.CopyTo(destination[at..]);
        at += text.Length;
    }

    private static void Append(Span<byte> destination, ref int at, ulong number)
    {
        if (!Utf8Formatter.TryFormat(number, destination[at..], out int written))
        {
            throw new ArgumentException("No room for the capabilities.", nameof(destination));
        }
        at += written;
    }
}
