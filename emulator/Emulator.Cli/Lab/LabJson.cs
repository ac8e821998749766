using System.Text.Json;
using System.Text.Json.Serialization;

namespace Emulator.Cli.Lab;

/// <summary>How lab files are read. Source-generated: a lab must be up in less than half a second.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    ReadCommentHandling = JsonCommentHandling.Skip,
    AllowTrailingCommas = true,
    AllowOutOfOrderMetadataProperties = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    UseStringEnumConverter = true,
    RespectNullableAnnotations = true)]
[JsonSerializable(typeof(LabFile))]
internal sealed partial class LabJson : JsonSerializerContext;
