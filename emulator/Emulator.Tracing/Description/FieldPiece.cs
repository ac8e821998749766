using Emulator.Observation;

namespace Emulator.Tracing;

/// <summary>What an access did to one field, or to the part of it the access covered.</summary>
/// <param name="Low">The lowest bit of the field the access covered, counted within the field.</param>
/// <param name="Width">Bits covered.</param>
/// <param name="Value">Those bits, right-aligned.</param>
/// <param name="Meaning">The name of the value, where the field has names and the access covered all of it.</param>
public readonly record struct FieldPiece(FieldDescription Field, int Low, int Width, ulong Value, string? Meaning)
{
    /// <summary>Whether the access covered the whole field.</summary>
    public bool IsWhole => Width == Field.Width;

    /// <summary>The fields of a piece of an access, highest first: those a read shows, or those a write can change.</summary>
    public static List<FieldPiece> Of(TracedDevice device, DeviceEventKind kind, in AccessPiece piece)
    {
        var fields = new List<FieldPiece>();
        if (piece.Register is not { } register) return fields;
        int firstBit = piece.FirstByte * 8, lastBit = firstBit + (piece.Length * 8) - 1;
        foreach (FieldDescription field in register.Fields)
        {
            bool isHidden = kind == DeviceEventKind.Write ? field.Access is "RO" or "RC" : field.Access is "WO";
            int low = Math.Max(field.Low, firstBit), width = Math.Min(field.Low + field.Width - 1, lastBit) - low + 1;
            if (isHidden || width <= 0) continue;
            ulong value = (piece.Value >> (low - firstBit)) & (ulong.MaxValue >> (64 - width));
            fields.Add(new FieldPiece(field, low - field.Low, width, value, width == field.Width ? device.ValueName(field, value) : null));
        }
        fields.Sort((a, b) => b.Field.Low.CompareTo(a.Field.Low));
        return fields;
    }
}
