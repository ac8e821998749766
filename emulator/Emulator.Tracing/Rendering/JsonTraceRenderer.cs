using System.Buffers;
using System.Text.Json;
using Emulator.Observation;

namespace Emulator.Tracing;

/// <summary>
/// One JSON object a line (JSON lines). The keys are stable and described in trace-format.md, "JSON lines".
/// </summary>
/// <param name="stream">Written to in blocks; <see cref="TraceRenderer.Flush"/> writes the rest. It stays open.</param>
/// <param name="fold">Whether identical consecutive reads become one line with a count.</param>
public sealed class JsonTraceRenderer(Stream stream, bool fold = false) : TraceRenderer(fold), IDisposable
{
    private const int BlockBytes = 32 * 1024;

    private readonly AccessPiece[] _pieces = new AccessPiece[TracedDevice.MaxPieces];
    private readonly ArrayBufferWriter<byte> _lines = new(2 * BlockBytes);
    private Utf8JsonWriter? _writer;

    private Utf8JsonWriter Json => _writer ??= new Utf8JsonWriter(_lines);

    public void Dispose()
    {
        Flush();
        _writer?.Dispose();
    }

    protected override void Write(in TraceEntry entry, long count)
    {
        Json.WriteStartObject();
        Json.WriteNumber("timeNs", entry.Time);
        Json.WriteString("device", entry.Device.Name);
        if (entry.Remark is { } remark)
        {
            Json.WriteString("kind", "remark");
            Json.WriteString("text", remark);
        }
        else
        {
            WriteEvent(entry.Device, entry.Event);
        }
        if (entry.Code is { } code)
        {
            Json.WriteStartObject("code");
            Json.WriteString("address", EventNames.Hex(code.Address, 0));
            Json.WriteString("function", code.Function);
            Json.WriteString("instruction", code.Instruction);
            Json.WriteEndObject();
        }
        if (count > 1) Json.WriteNumber("count", count);
        EndLine();
    }

    protected override void WriteNotShown(long count)
    {
        Json.WriteStartObject();
        Json.WriteString("kind", "not-shown");
        Json.WriteNumber("count", count);
        EndLine();
    }

    protected override void FlushOutput()
    {
        stream.Write(_lines.WrittenSpan);
        _lines.ResetWrittenCount();
        stream.Flush();
    }

    private void EndLine()
    {
        Json.WriteEndObject();
        Json.Flush();
        Json.Reset();
        _lines.Write("\n"u8);
        if (_lines.WrittenCount < BlockBytes) return;
        stream.Write(_lines.WrittenSpan);
        _lines.ResetWrittenCount();
    }

    private void WriteEvent(TracedDevice device, in DeviceEvent e)
    {
        Json.WriteString("kind", EventNames.Long(e.Kind));
        switch (e.Kind)
        {
            case DeviceEventKind.Intx:
                Json.WriteBoolean("asserted", e.Value != 0);
                break;
            case DeviceEventKind.Msi or DeviceEventKind.MsiX:
                Json.WriteNumber("vector", e.Offset);
                Json.WriteBoolean("sent", e.Value != 0);
                break;
            case DeviceEventKind.Reset:
                Json.WriteString("reset", EventNames.Reset(e.Value));
                break;
            case DeviceEventKind.Client:
                Json.WriteBoolean("connected", e.Value != 0);
                break;
            case DeviceEventKind.DmaMap or DeviceEventKind.DmaUnmap:
                Json.WriteString("address", EventNames.Hex(e.Offset, sizeof(ulong)));
                Json.WriteString("size", EventNames.Hex(e.Value, 0));
                break;
            case var kind when EventNames.IsDma(kind):
                Json.WriteString("address", EventNames.Hex(e.Offset, sizeof(ulong)));
                WriteBytes(e);
                break;
            default:
                Json.WriteString("region", TracedDevice.RegionName(e.Region));
                Json.WriteString("offset", EventNames.Hex(e.Offset, 0));
                WriteBytes(e);
                WriteRegisters(device, e);
                break;
        }
    }

    private void WriteBytes(in DeviceEvent e)
    {
        Json.WriteNumber("length", e.Length);
        Json.WriteString("value", EventNames.Hex(e.Value, Math.Clamp(e.Length, 0, sizeof(ulong))));
        Json.WriteBoolean("ok", e.Ok);
    }

    private void WriteRegisters(TracedDevice device, in DeviceEvent e)
    {
        Json.WriteStartArray("registers");
        foreach (AccessPiece piece in _pieces.AsSpan(0, device.Split(e, _pieces)))
        {
            if (piece.Register is not { } register) continue;
            Json.WriteStartObject();
            Json.WriteString("bank", piece.Bank!.Name);
            Json.WriteString("name", register.Name);
            Json.WriteString("value", EventNames.Hex(piece.Value, piece.Length));
            if (!piece.IsWhole)
            {
                Json.WriteNumber("low", piece.FirstByte * 8);
                Json.WriteNumber("width", piece.Length * 8);
            }
            Json.WriteStartArray("fields");
            if (e.Ok) WriteFields(device, e.Kind, piece);
            Json.WriteEndArray();
            Json.WriteEndObject();
        }
        Json.WriteEndArray();
    }

    private void WriteFields(TracedDevice device, DeviceEventKind kind, in AccessPiece piece)
    {
        foreach (FieldPiece field in FieldPiece.Of(device, kind, piece))
        {
            Json.WriteStartObject();
            Json.WriteString("name", field.Field.Name);
            Json.WriteNumber("value", field.Value);
            if (field.Meaning is { } meaning) Json.WriteString("meaning", meaning);
            if (!field.IsWhole)
            {
                Json.WriteNumber("low", field.Low);
                Json.WriteNumber("width", field.Width);
            }
            Json.WriteEndObject();
        }
    }
}
