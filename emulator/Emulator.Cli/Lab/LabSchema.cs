using System.ComponentModel;
using System.Reflection;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Schema;

namespace Emulator.Cli.Lab;

/// <summary>The JSON schema of lab files, from the same types that read them.</summary>
internal static class LabSchema
{
    public static string Render()
    {
        JsonNode schema = LabJson.Default.LabFile.Options.GetJsonSchemaAsNode(
            typeof(LabFile), new JsonSchemaExporterOptions { TreatNullObliviousAsNonNullable = true, TransformSchemaNode = Transform });
        var root = (JsonObject)schema;
        RemoveNulls(root);
        root.Insert(0, "$schema", "https://json-schema.org/draft/2020-12/schema");
        root.Insert(1, "title", "Emulator lab");
        return root.ToJsonString(new JsonSerializerOptions { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }) + "\n";
    }

    // What may be left out is nullable in C#; in a lab file it is left out.
    private static void RemoveNulls(JsonNode? node)
    {
        foreach (JsonNode? inner in node switch
        {
            JsonObject o => o.Select(p => p.Value).ToArray(),
            JsonArray a => [.. a],
            _ => [],
        })
        {
            RemoveNulls(inner);
        }
        if (node is not JsonObject schema) return;
        if (schema["type"] is JsonArray types)
        {
            JsonNode[] kept = [.. types.Where(t => t?.GetValue<string>() != "null").Select(t => t!.DeepClone())];
            schema["type"] = kept.Length == 1 ? kept[0] : new JsonArray(kept);
        }
        if (schema["enum"] is JsonArray values) schema["enum"] = new JsonArray([.. values.OfType<JsonNode>().Select(v => v.DeepClone())]);
    }

    private static JsonNode Transform(JsonSchemaExporterContext context, JsonNode schema)
    {
        Type type = Nullable.GetUnderlyingType(context.TypeInfo.Type) ?? context.TypeInfo.Type;
        JsonObject node = schema as JsonObject ?? [];
        if (type == typeof(Quantity))
        {
            node["type"] = new JsonArray("integer", "string");
            node["pattern"] = Quantity.Pattern;
            node["minimum"] = 0;
        }
        ICustomAttributeProvider? described = context.PropertyInfo?.AttributeProvider;
        object? attribute = described?.GetCustomAttributes(typeof(DescriptionAttribute), inherit: true).FirstOrDefault()
            ?? type.GetCustomAttribute<DescriptionAttribute>(inherit: false);
        if (attribute is DescriptionAttribute { Description: { } text }) node.Insert(0, "description", text);
        return schema is JsonObject || node.Count > 0 ? node : schema;
    }
}
