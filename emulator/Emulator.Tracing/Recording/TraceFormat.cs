using System.Buffers.Binary;
using System.Text;

namespace Emulator.Tracing;

/// <summary>The numbers of the trace file format. trace-format.md is the description; change both together.</summary>
internal static class TraceFormat
{
    public const ushort Major = 1, Minor = 1;
    public const int PreambleBytes = 24, ChunkHeaderBytes = 16, RemarkHeaderBytes = 16, CodeHeaderBytes = 16;

    /// <summary>Limits a reader may rely on, so that no length in a file makes it ask for much memory.</summary>
    public const int MaxDevices = 256, MaxRecordsBytes = 64 * 1024, MaxRemarkBytes = RemarkHeaderBytes + MaxRemarkText, MaxDeviceBytes = 16 << 20;

    public const int MaxCodePlaces = 64 * 1024, MaxCodeText = 512, MaxCodeBytes = CodeHeaderBytes + (2 * MaxCodeText);

    public const int MaxRemarkText = 8 * 1024, MaxRecordsPerChunk = MaxRecordsBytes / TraceRecord.Bytes;

    public const uint Device = 'D' | ('E' << 8) | ('V' << 16) | ((uint)'I' << 24);
    public const uint Code = 'C' | ('O' << 8) | ('D' << 16) | ((uint)'E' << 24);
    public const uint Records = 'R' | ('E' << 8) | ('C' << 16) | ((uint)'S' << 24);
    public const uint Remark = 'R' | ('M' << 8) | ('R' << 16) | ((uint)'K' << 24);
    public const uint End = 'E' | ('N' << 8) | ('D' << 16) | ((uint)' ' << 24);

    /// <summary>As PNG's: a byte no text has, a name, and line ends that a text-mode copy would break.</summary>
    public static ReadOnlySpan<byte> Magic => [0x89, (byte)'E', (byte)'M', (byte)'T', (byte)'\r', (byte)'\n', 0x1a, (byte)'\n'];

    public static void WritePreamble(Span<byte> preamble, long startedUnixNs)
    {
        preamble[..PreambleBytes].Clear();
        Magic.CopyTo(preamble);
        BinaryPrimitives.WriteUInt16LittleEndian(preamble[8..], Major);
        BinaryPrimitives.WriteUInt16LittleEndian(preamble[10..], Minor);
        BinaryPrimitives.WriteInt64LittleEndian(preamble[16..], startedUnixNs);
    }

    /// <summary>As many bytes of a name as a file holds.</summary>
    public static byte[] CodeText(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        return bytes.Length <= MaxCodeText ? bytes : bytes[..MaxCodeText];
    }

    public static void WriteChunkHeader(Span<byte> header, uint type, int payloadBytes, int device)
    {
        header[..ChunkHeaderBytes].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], (uint)payloadBytes);
        BinaryPrimitives.WriteUInt16LittleEndian(header[8..], (ushort)device);
    }
}
