using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Emulator.Nt;

/// <summary>A virtual address, written with all digits its machine has: 16 on x64, 8 on x86. In JSON it is that text, since numbers lose bits there.</summary>
[JsonConverter(typeof(NtAddressJsonConverter))]
public readonly record struct NtAddress(ulong Value, bool Is64Bit)
{
    public bool IsNull => Value == 0;

    public override string ToString() => Value.ToString(Is64Bit ? "x16" : "x8", CultureInfo.InvariantCulture);
}

/// <summary>Writes an address as its digits; the number of digits says which machine it is of.</summary>
public sealed class NtAddressJsonConverter : JsonConverter<NtAddress>
{
    /// <exception cref="JsonException">Not 8 or 16 hexadecimal digits.</exception>
    public override NtAddress Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        string text = reader.TokenType == JsonTokenType.String ? reader.GetString()! : "";
        if (text.Length is not (8 or 16) || !ulong.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong value))
        {
            throw new JsonException("An address is text of 8 or 16 hexadecimal digits.");
        }
        return new NtAddress(value, text.Length == 16);
    }

    public override void Write(Utf8JsonWriter writer, NtAddress value, JsonSerializerOptions options)
    {
        ArgumentNullException.ThrowIfNull(writer);
        writer.WriteStringValue(value.ToString());
    }
}
