using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Emulator.Cli.Lab;

namespace Emulator.Tests.Cli;

[Category("Unit")]
public sealed class LabSchemaTests
{
    private static readonly JsonDocumentOptions Relaxed = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    private static IEnumerable<string> Labs => Directory.GetFiles(Repository.Labs, "*.jsonc").Select(Path.GetFileName).OfType<string>();

    private static JsonObject Schema => JsonNode.Parse(LabSchema.Render())!.AsObject();

    [TestCaseSource(nameof(Labs))]
    public void Our_labs_follow_the_schema_and_start_with_it(string lab)
    {
        string text = File.ReadAllText(Path.Combine(Repository.Labs, lab));
        JsonObject json = JsonNode.Parse(text, documentOptions: Relaxed)!.AsObject();
        Assert.That(Violations(Schema, json, ""), Is.Empty);
        Assert.That(json.First().Key, Is.EqualTo("$schema"));
        Assert.That(json["$schema"]?.GetValue<string>(), Is.EqualTo("lab.schema.json"));
        Assert.That(LabSource.Parse(text, lab).Lab.Devices, Is.Not.Empty);
    }

    [Test]
    public void The_schema_in_the_repository_is_up_to_date()
        => Assert.That(File.ReadAllText(Path.Combine(Repository.Labs, "lab.schema.json")), Is.EqualTo(LabSchema.Render()), "run `make docs`");

    [TestCase("""{ "devices": [{ "name": "a", "model": "scratch", "decod": "honour" }] }""")]
    [TestCase("""{ "devices": [{ "name": "a", "model": "scratch", "decode": "honor" }] }""")]
    [TestCase("""{ "devices": [{ "name": "a", "model": "toaster" }] }""")]
    [TestCase("""{ "devices": [{ "name": 1, "model": "scratch" }] }""")]
    [TestCase("""{ "devices": [{ "model": "scratch" }] }""")]
    [TestCase("""{ "devices": [{ "name": "r", "model": "proseware-robot", "arena": { "objects": [{ "x": 1 }] } }] }""")]
    [TestCase("""{ "devices": [{ "name": "r", "model": "contoso-robot", "arena": { "objects": [{ "x": 1 }] } }] }""")]
    [TestCase("""{ "devices": [], "guest": { "memory": "lots" } }""")]
    [TestCase("""{ "devices": [], "name": null }""")]
    [TestCase("{ }")]
    public void The_schema_refuses_what_the_reader_refuses(string json) => Assert.That(Violations(Schema, JsonNode.Parse(json), ""), Is.Not.Empty);

    [Test]
    public void Every_key_of_the_schema_is_described()
    {
        var bare = new List<string>();
        void Visit(JsonNode? node, string path)
        {
            if (node is JsonObject schema && schema["properties"] is JsonObject properties)
            {
                foreach ((string name, JsonNode? property) in properties)
                {
                    // The discriminator of a choice is its name.
                    if (property!["const"] is null && property["description"] is null) bare.Add($"{path}.{name}");
                    Visit(property, $"{path}.{name}");
                }
            }
            Visit2(node, "items", path);
            if (node is JsonObject choice && choice["anyOf"] is JsonArray all) foreach (JsonNode? one in all) Visit(one, path);
        }
        void Visit2(JsonNode? node, string key, string path)
        {
            if (node is JsonObject schema && schema[key] is { } inner) Visit(inner, path);
        }
        Visit(Schema, "");
        Assert.That(bare, Is.Empty);
    }

    // The part of JSON Schema 2020-12 that ours uses; a keyword it does not know is an error, so that nothing is silently unchecked.
    private static IEnumerable<string> Violations(JsonNode schema, JsonNode? value, string path)
    {
        foreach ((string keyword, JsonNode? rule) in schema.AsObject())
        {
            switch (keyword)
            {
                case "$schema" or "title" or "description":
                    break;
                case "$ref":
                    foreach (string violation in Violations(Resolve(schema.Root, rule!.GetValue<string>()), value, path)) yield return violation;
                    break;
                case "type":
                    string[] types = rule is JsonArray several ? [.. several.Select(t => t!.GetValue<string>())] : [rule!.GetValue<string>()];
                    if (!types.Contains(TypeOf(value)) && !(types.Contains("number") && TypeOf(value) == "integer"))
                        yield return $"{path}: {TypeOf(value)}, not {string.Join('|', types)}";
                    break;
                case "properties":
                    foreach ((string name, JsonNode? property) in rule!.AsObject())
                    {
                        if (value is JsonObject holder && holder.ContainsKey(name))
                        {
                            foreach (string violation in Violations(property!, holder[name], $"{path}.{name}")) yield return violation;
                        }
                    }
                    break;
                case "required":
                    foreach (JsonNode? name in rule!.AsArray())
                    {
                        if (value is JsonObject holder && !holder.ContainsKey(name!.GetValue<string>())) yield return $"{path}: no {name}";
                    }
                    break;
                case "additionalProperties":
                    Assert.That(rule!.GetValue<bool>(), Is.False);
                    foreach ((string name, _) in value is JsonObject all ? all : [])
                    {
                        if (!schema["properties"]!.AsObject().ContainsKey(name)) yield return $"{path}: {name} is unknown";
                    }
                    break;
                case "items":
                    foreach ((int index, JsonNode? item) in value is JsonArray list ? list.Index() : [])
                    {
                        foreach (string violation in Violations(rule!, item, $"{path}[{index}]")) yield return violation;
                    }
                    break;
                case "anyOf":
                    if (rule!.AsArray().All(choice => Violations(choice!, value, path).Any())) yield return $"{path}: none of the choices";
                    break;
                case "enum":
                    if (!rule!.AsArray().Any(choice => JsonNode.DeepEquals(choice, value))) yield return $"{path}: {value} is none of {rule}";
                    break;
                case "const":
                    if (!JsonNode.DeepEquals(rule, value)) yield return $"{path}: {value} is not {rule}";
                    break;
                case "pattern":
                    if (TypeOf(value) == "string" && !Regex.IsMatch(value!.GetValue<string>(), rule!.GetValue<string>()))
                        yield return $"{path}: {value} does not match";
                    break;
                case "minimum":
                    if (TypeOf(value) is "integer" or "number" && value!.GetValue<double>() < rule!.GetValue<double>())
                        yield return $"{path}: {value} is too small";
                    break;
                default:
                    throw new NotSupportedException($"The schema has '{keyword}' at {path}: teach this test about it.");
            }
        }
    }

    // A JSON pointer into the schema itself: "#/properties/devices/items/anyOf/1".
    private static JsonNode Resolve(JsonNode root, string reference)
        => reference.Split('/').Skip(1).Aggregate(
            root, (node, part) => (node is JsonArray list ? list[int.Parse(part, System.Globalization.CultureInfo.InvariantCulture)] : node[part])!);

    private static string TypeOf(JsonNode? value) => value?.GetValueKind() switch
    {
        JsonValueKind.Object => "object",
        JsonValueKind.Array => "array",
        JsonValueKind.String => "string",
        JsonValueKind.True or JsonValueKind.False => "boolean",
        JsonValueKind.Number => value.AsValue().TryGetValue(out long _) ? "integer" : "number",
        _ => "null",
    };
}
