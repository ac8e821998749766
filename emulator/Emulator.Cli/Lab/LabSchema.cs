using System.ComponentModel;
using System.Reflection;
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
        root.Insert(0, "$schema", "https://json-schema.org/draft/2020-12/schema");
        root.Insert(1, "title", "Emulator lab");
        return root.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n";
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
