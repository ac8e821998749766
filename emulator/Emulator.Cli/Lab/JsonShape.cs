using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Emulator.Cli.Lab;

/// <summary>A place in a JSON file and what is wrong there.</summary>
/// <param name="Offset">Bytes from the start of the text.</param>
/// <param name="Path">Such as "devices[1].name"; empty for the whole file.</param>
internal sealed record JsonFault(long Offset, string Path, string Message);

/// <summary>
/// Checks a JSON text against a type's contract before it is deserialized, so that every error has a line, a column and a
/// remedy; and remembers where each value stands, for the errors found later.
/// </summary>
internal sealed class JsonShape
{
    private readonly Dictionary<string, long> _places = [];
    private readonly JsonSerializerOptions _options;
    private JsonFault? _fault;

    private JsonShape(JsonSerializerOptions options) => _options = options;

    /// <summary>Where the value of each path starts, in bytes from the start of the text.</summary>
    public IReadOnlyDictionary<string, long> Places => _places;

    /// <summary>The first thing that is wrong, or null.</summary>
    public JsonFault? Fault => _fault;

    public static JsonShape Check(ReadOnlySpan<byte> json, JsonTypeInfo type)
    {
        var shape = new JsonShape(type.Options);
        var reader = new Utf8JsonReader(json, new JsonReaderOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
        try
        {
            reader.Read();
            shape.Value(ref reader, type, "");
            if (shape._fault is null) reader.Read();
        }
        catch (JsonException problem)
        {
            shape._fault ??= new JsonFault(OffsetOf(json, problem), "", WithoutPosition(problem.Message));
        }
        return shape;
    }

    /// <summary>A message of the parser without the position it appends, which counts from zero.</summary>
    public static string WithoutPosition(string message)
    {
        int at = message.IndexOf(" LineNumber:", StringComparison.Ordinal), path = message.IndexOf(" Path: ", StringComparison.Ordinal);
        if (path >= 0 && path < at) at = path;
        return (at < 0 ? message : message[..at]).TrimEnd('.', ' ', '|');
    }

    // Each check leaves the reader on the value's last token, or sets the fault and returns at once.
    private void Value(ref Utf8JsonReader reader, JsonTypeInfo type, string path)
    {
        _places[path] = reader.TokenStartIndex;
        switch (type.Kind)
        {
            case JsonTypeInfoKind.Object when reader.TokenType == JsonTokenType.StartObject:
                Object(ref reader, type, path);
                break;
            case JsonTypeInfoKind.Enumerable when reader.TokenType == JsonTokenType.StartArray:
                JsonTypeInfo element = _options.GetTypeInfo(type.ElementType!);
                for (int i = 0; reader.Read() && reader.TokenType != JsonTokenType.EndArray && _fault is null; i++) Value(ref reader, element, $"{path}[{i}]");
                break;
            case JsonTypeInfoKind.Object:
                Fail(reader.TokenStartIndex, path, $"expected an object {{...}}, not {Describe(reader)}");
                break;
            case JsonTypeInfoKind.Enumerable:
                Fail(reader.TokenStartIndex, path, $"expected a list [...], not {Describe(reader)}");
                break;
            default:
                Scalar(ref reader, type, path);
                break;
        }
    }

    private void Object(ref Utf8JsonReader reader, JsonTypeInfo type, string path)
    {
        long start = reader.TokenStartIndex;
        string? discriminator = type.PolymorphismOptions?.TypeDiscriminatorPropertyName;
        if (discriminator is not null)
        {
            if (!TryChooseDerived(reader, type, discriminator, path, out JsonTypeInfo? derived)) return;
            type = derived!;
        }
        var properties = type.Properties.ToDictionary(p => p.Name, StringComparer.Ordinal);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        while (_fault is null && reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            long at = reader.TokenStartIndex;
            string name = reader.GetString()!, inner = path.Length == 0 ? name : $"{path}.{name}";
            if (!seen.Add(name))
            {
                Fail(at, inner, "this key is here twice; remove one");
            }
            else if (name == discriminator)
            {
                reader.Read();
                _places[inner] = reader.TokenStartIndex;
            }
            else if (properties.TryGetValue(name, out JsonPropertyInfo? property))
            {
                reader.Read();
                if (reader.TokenType == JsonTokenType.Null) Fail(reader.TokenStartIndex, inner, "null means nothing here; remove the key or give it a value");
                else Value(ref reader, _options.GetTypeInfo(property.PropertyType), inner);
            }
            else
            {
                IEnumerable<string> known = properties.Keys.Prepend(discriminator).OfType<string>().Where(k => !seen.Contains(k) && k != "$schema");
                Fail(at, path, $"unknown key \"{name}\"; {Spelling.Suggest(name, [.. known])}");
            }
        }
        if (_fault is null && type.Properties.FirstOrDefault(p => p.IsRequired && !seen.Contains(p.Name)) is { } missing)
            Fail(start, path, $"\"{missing.Name}\" is missing");
    }

    // The discriminator may stand anywhere in the object: a copy of the reader looks ahead for it.
    private bool TryChooseDerived(Utf8JsonReader ahead, JsonTypeInfo type, string discriminator, string path, out JsonTypeInfo? derived)
    {
        long start = ahead.TokenStartIndex;
        IList<JsonDerivedType> known = type.PolymorphismOptions!.DerivedTypes;
        string[] names = [.. known.Select(d => (string)d.TypeDiscriminator!)];
        derived = null;
        while (ahead.Read() && ahead.TokenType == JsonTokenType.PropertyName)
        {
            bool found = ahead.ValueTextEquals(discriminator);
            ahead.Read();
            if (!found) { ahead.Skip(); continue; }
            if (ahead.TokenType != JsonTokenType.String) return Fail(ahead.TokenStartIndex, path, $"\"{discriminator}\" is one of {string.Join(", ", names)}");
            string name = ahead.GetString()!;
            int index = Array.IndexOf(names, name);
            if (index < 0) return Fail(ahead.TokenStartIndex, path, $"unknown {discriminator} \"{name}\"; {Spelling.Suggest(name, names)}");
            derived = _options.GetTypeInfo(known[index].DerivedType);
            return true;
        }
        return Fail(start, path, $"\"{discriminator}\" is missing; it is one of {string.Join(", ", names)}");
    }

    private void Scalar(ref Utf8JsonReader reader, JsonTypeInfo type, string path)
    {
        long at = reader.TokenStartIndex;
        if (reader.TokenType is JsonTokenType.StartObject or JsonTokenType.StartArray)
        {
            Fail(at, path, $"expected {Expected(type.Type)}, not {Describe(reader)}");
            return;
        }
        Utf8JsonReader copy = reader;
        try
        {
            JsonSerializer.Deserialize(ref copy, type);
        }
        catch (JsonException)
        {
            string typed = reader.TokenType == JsonTokenType.String ? reader.GetString()! : "";
            Type plain = Nullable.GetUnderlyingType(type.Type) ?? type.Type;
            string hint = plain.IsEnum && Spelling.Nearest(typed, NamesOf(plain)) is { } nearest ? $"; did you mean \"{nearest}\"?" : "";
            Fail(at, path, $"expected {Expected(plain)}, not {Describe(reader)}{hint}");
        }
    }

    private string Expected(Type type)
    {
        Type plain = Nullable.GetUnderlyingType(type) ?? type;
        if (plain.IsEnum) return "one of " + string.Join(", ", NamesOf(plain));
        if (plain == typeof(Quantity)) return "a number such as 4096, \"0x1000\" or \"4K\"";
        if (plain == typeof(bool)) return "true or false";
        return plain == typeof(string) ? "a text in quotes" : "a whole number";
    }

    private IEnumerable<string> NamesOf(Type type)
        => Enum.GetValuesAsUnderlyingType(type).Cast<object>()
            .Select(v => JsonSerializer.SerializeToElement(Enum.ToObject(type, v), _options.GetTypeInfo(type)).GetString()!);

    private bool Fail(long offset, string path, string message)
    {
        _fault ??= new JsonFault(offset, path, message);
        return false;
    }

    private static string Describe(Utf8JsonReader reader) => reader.TokenType switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "a list",
        JsonTokenType.Null => "null",
        JsonTokenType.String => $"\"{reader.GetString()}\"",
        _ => Encoding.UTF8.GetString(reader.ValueSpan),
    };

    private static long OffsetOf(ReadOnlySpan<byte> json, JsonException problem)
    {
        int line = 0, offset = 0;
        for (; line < (problem.LineNumber ?? 0) && offset < json.Length; offset++)
        {
            if (json[offset] == (byte)'\n') line++;
        }
        return Math.Min(json.Length, offset + (problem.BytePositionInLine ?? 0));
    }
}
