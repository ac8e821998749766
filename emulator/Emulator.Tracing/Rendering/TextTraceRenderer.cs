using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Emulator.Observation;

namespace Emulator.Tracing;

/// <summary>
/// One aligned line an event: time in microseconds, device, what happened, where, the value, and the fields of registers:
/// those a read shows, or those a write can change; at the end, where it is known, the driver's function and instruction.
/// </summary>
/// <param name="fold">Whether identical consecutive reads become one line that ends in "x 120".</param>
/// <param name="devices">Devices known beforehand: their column is as wide as the longest name from the first line on.</param>
public sealed class TextTraceRenderer(ITraceTextWriter writer, bool fold = true, IEnumerable<TracedDevice>? devices = null) : TraceRenderer(fold)
{
    private const int KindWidth = 6, TargetWidth = 26, ValueWidth = 10;

    private readonly AccessPiece[] _pieces = new AccessPiece[TracedDevice.MaxPieces];
    private int _nameWidth = (devices ?? []).Select(d => TraceText.WithoutControls(d.Name).Length).DefaultIfEmpty(0).Max();
    private int _spaces;

    protected override void Write(in TraceEntry entry, long count)
    {
        string name = TraceText.WithoutControls(entry.Device.Name);
        _nameWidth = Math.Max(_nameWidth, name.Length);
        Put(TraceStyle.Time, (entry.Time / 1000m).ToString("0.000", CultureInfo.InvariantCulture).PadLeft(TraceText.TimeWidth));
        Put(TraceStyle.Device, name, _nameWidth);
        if (entry.Remark is { } remark)
        {
            Put(TraceStyle.Warning, "note", KindWidth);
            Put(TraceStyle.Warning, TraceText.WithoutControls(remark));
        }
        else
        {
            WriteEvent(entry.Device, entry.Event);
        }
        if (entry.Code is { } code)
        {
            Put(TraceStyle.Code, TraceText.WithoutControls(code.Function));
            Put(TraceStyle.Code, TraceText.WithoutControls(code.Instruction));
        }
        if (count > 1) Put(TraceStyle.Repeat, Text($"x {count}"));
        EndLine();
    }

    protected override void WriteNotShown(long count)
    {
        Put(TraceStyle.Warning, Text($"… {count} events not shown"));
        EndLine();
    }

    protected override void FlushOutput() => writer.Flush();

    private void WriteEvent(TracedDevice device, in DeviceEvent e)
    {
        (TraceStyle style, string kind) = EventNames.Short(e.Kind);
        Put(style, kind, KindWidth);
        switch (e.Kind)
        {
            case DeviceEventKind.Read or DeviceEventKind.Write:
                WriteAccess(device, e);
                break;
            case DeviceEventKind.DmaRead or DeviceEventKind.DmaWrite or DeviceEventKind.DmaReadView or DeviceEventKind.DmaWriteView:
                Put(TraceStyle.Target, Address(e.Offset), TargetWidth);
                // A transfer that failed moved nothing.
                PutValue(e.Ok ? Bytes(e) : Text($"{e.Length} bytes"));
                break;
            case DeviceEventKind.Intx:
                Put(TraceStyle.Value, e.Value == 0 ? "deasserted" : "asserted");
                break;
            case DeviceEventKind.Msi or DeviceEventKind.MsiX:
                Put(TraceStyle.Target, Text($"vector {e.Offset}"), TargetWidth);
                PutValue(e.Value == 0 ? "pending" : "sent");
                break;
            case DeviceEventKind.Reset:
                Put(TraceStyle.Value, EventNames.Reset(e.Value));
                break;
            case DeviceEventKind.Client:
                Put(TraceStyle.Value, e.Value == 0 ? "gone" : "connected");
                break;
            case DeviceEventKind.DmaMap or DeviceEventKind.DmaUnmap:
                Put(TraceStyle.Target, Address(e.Offset), TargetWidth);
                PutValue(Text($"0x{e.Value:x} bytes"));
                break;
            default:
                Put(TraceStyle.Target, Text($"{TracedDevice.RegionName(e.Region)}+0x{e.Offset:x}"), TargetWidth);
                PutValue(Text($"0x{e.Value:x}, length {e.Length}"));
                break;
        }
        if (!e.Ok) Put(TraceStyle.Warning, "refused");
    }

    private void WriteAccess(TracedDevice device, in DeviceEvent e)
    {
        ReadOnlySpan<AccessPiece> pieces = _pieces.AsSpan(0, device.Split(e, _pieces));
        Put(TraceStyle.Target, Target(e, pieces), TargetWidth);
        PutValue(Bytes(e));
        // A refused access reached no register.
        if (!e.Ok) return;
        if (pieces.Length == 1)
        {
            if (pieces[0].Register is null && !pieces[0].IsRam) Put(TraceStyle.Warning, "unmapped");
            string fields = Fields(device, e.Kind, pieces[0]);
            if (fields.Length > 0) Put(TraceStyle.Field, fields);
            return;
        }
        foreach (AccessPiece piece in pieces)
        {
            if (piece.Register is null) continue;
            Put(TraceStyle.Target, Name(piece));
            _spaces = 0;
            Put(TraceStyle.Plain, "=");
            _spaces = 0;
            Put(TraceStyle.Value, EventNames.Hex(piece.Value, piece.Length));
            string fields = Fields(device, e.Kind, piece);
            if (fields.Length == 0) continue;
            _spaces = 0;
            Put(TraceStyle.Field, $"{{{fields}}}");
        }
    }

    // "CONFIG.COMMAND", "BAR0 SPP.DATA,STATUS", "BAR1+0x1000".
    private static string Target(in DeviceEvent e, ReadOnlySpan<AccessPiece> pieces)
    {
        string region = TracedDevice.RegionName(e.Region);
        bool hasRegister = false;
        foreach (AccessPiece piece in pieces) hasRegister |= piece.Register is not null;
        if (!hasRegister) return Text($"{region}+0x{e.Offset:x}");
        var target = new StringBuilder();
        BankDescription? bank = null;
        foreach (AccessPiece piece in pieces)
        {
            if (target.Length > 0) target.Append(',');
            if (piece.Register is null)
            {
                target.Append(CultureInfo.InvariantCulture, $"0x{piece.Offset:x}");
                continue;
            }
            if (target.Length == 0 && piece.Bank!.Name != region) target.Append(region).Append(' ');
            if (!ReferenceEquals(bank, piece.Bank)) target.Append(TraceText.WithoutControls(piece.Bank!.Name)).Append('.');
            bank = piece.Bank;
            target.Append(Name(piece));
        }
        return target.ToString();
    }

    // "STATUS", or "ADDR<15:8>" where the access covered only those bits.
    private static string Name(in AccessPiece piece)
    {
        string name = TraceText.WithoutControls(piece.Register!.Name);
        return piece.IsWhole ? name : Text($"{name}<{((piece.FirstByte + piece.Length) * 8) - 1}:{piece.FirstByte * 8}>");
    }

    // "BUSY=1 MODE=Ecp COUNT=0x12". A field that is the whole register says no more than the value.
    private static string Fields(TracedDevice device, DeviceEventKind kind, in AccessPiece piece)
    {
        var text = new StringBuilder();
        foreach (FieldPiece field in FieldPiece.Of(device, kind, piece))
        {
            if (field.Meaning is null && field.Field.Width == piece.Register!.Size * 8) continue;
            if (text.Length > 0) text.Append(' ');
            text.Append(TraceText.WithoutControls(field.Field.Name));
            if (!field.IsWhole) text.Append(CultureInfo.InvariantCulture, $"<{field.Low + field.Width - 1}:{field.Low}>");
            text.Append('=');
            if (field.Meaning is { } meaning) text.Append(TraceText.WithoutControls(meaning));
            else text.Append(field.Value < 10 ? Text($"{field.Value}") : Text($"0x{field.Value:x}"));
        }
        return text.ToString();
    }

    // The number, or of longer transfers the first bytes, in the order they lie in memory.
    private static string Bytes(in DeviceEvent e)
    {
        if (e.Length is 1 or 2 or 4 or 8) return EventNames.Hex(e.Value & (ulong.MaxValue >> (64 - (e.Length * 8))), e.Length);
        Span<byte> first = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(first, e.Value);
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{e.Length} bytes");
        for (int i = 0; i < Math.Min(first.Length, e.Length); i++) text.Append(CultureInfo.InvariantCulture, $" {first[i]:x2}");
        return e.Length > first.Length ? text.Append(" …").ToString() : text.ToString();
    }

    private static string Address(ulong address) => EventNames.Hex(address, sizeof(ulong));

    private static string Text(FormattableString text) => FormattableString.Invariant(text);

    private void PutValue(string value) => Put(TraceStyle.Value, value, ValueWidth);

    // Columns are two spaces apart; the spaces come with what follows, so that no line ends in one.
    private void Put(TraceStyle style, string text, int width = 0)
    {
        if (_spaces > 0) writer.Write(TraceStyle.Plain, new string(' ', _spaces));
        writer.Write(style, text);
        _spaces = Math.Max(0, width - text.Length) + 2;
    }

    private void EndLine()
    {
        _spaces = 0;
        writer.EndLine();
    }
}
