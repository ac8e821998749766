using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Emulator.Cli.Lab;

/// <summary>A number as people write it: 4096, "0x1000" or "4K".</summary>
[JsonConverter(typeof(QuantityConverter))]
internal readonly record struct Quantity(ulong Value)
{
    /// <summary>What a string must look like; part of the schema.</summary>
    public const string Pattern = "^(0[xX][0-9a-fA-F]+|[0-9]+[KMGkmg]?)$";

    /// <summary>Decimal, with K, M or G for powers of 1024, or hexadecimal with 0x.</summary>
    public static bool TryParse(string text, out Quantity quantity)
    {
        quantity = default;
        ulong value;
        if (text.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
        {
            if (!ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value)) return false;
        }
        else
        {
            int shift = text.Length == 0 ? 0 : char.ToUpperInvariant(text[^1]) switch { 'K' => 10, 'M' => 20, 'G' => 30, _ => 0 };
            ReadOnlySpan<char> digits = shift == 0 ? text : text.AsSpan(0, text.Length - 1);
            if (!ulong.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out value) || value > ulong.MaxValue >> shift) return false;
            value <<= shift;
        }
        quantity = new Quantity(value);
        return true;
    }

    /// <summary>The value when it fits.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It does not; the message is for the person who wrote the file.</exception>
    public ulong AtMost(ulong maximum, string what)
        => Value <= maximum ? Value : throw new ArgumentOutOfRangeException(what, $"{what} is at most 0x{maximum:x}, not 0x{Value:x}");

    public override string ToString() => $"0x{Value:x}";
}

internal sealed class QuantityConverter : JsonConverter<Quantity>
{
    public override Quantity Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.Number && reader.TryGetUInt64(out ulong number)) return new Quantity(number);
        if (reader.TokenType == JsonTokenType.String && Quantity.TryParse(reader.GetString()!, out Quantity quantity)) return quantity;
        throw new JsonException("expected a number such as 4096, \"0x1000\" or \"4K\"");
    }

    public override void Write(Utf8JsonWriter writer, Quantity value, JsonSerializerOptions options) => writer.WriteStringValue(value.ToString());
}
