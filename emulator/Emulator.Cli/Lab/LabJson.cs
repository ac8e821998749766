using System.Text.Json;
using System.Text.Json.Serialization;
using DeviceModels.ParallelPort.Peripherals;
using DeviceModels.Scratch;

namespace Emulator.Cli.Lab;

/// <summary>How lab files are read. Source-generated: a lab must be up in less than half a second.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    ReadCommentHandling = JsonCommentHandling.Skip,
    AllowTrailingCommas = true,
    AllowOutOfOrderMetadataProperties = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    Converters =
    [
        typeof(LabEnumConverter<LabDecode>), typeof(LabEnumConverter<LabImage>), typeof(LabEnumConverter<LabMachine>), typeof(LabEnumConverter<LabAccelerator>),
        typeof(LabEnumConverter<ScratchBarKind>), typeof(LabEnumConverter<ScratchContent>), typeof(LabEnumConverter<ScratchMapping>),
        typeof(LabEnumConverter<ScratchPin>), typeof(LabEnumConverter<LoopbackWiring>),
    ],
    RespectNullableAnnotations = true)]
[JsonSerializable(typeof(LabFile))]
internal sealed partial class LabJson : JsonSerializerContext;

/// <summary>Enums by name, in camel case like every other word of a lab file.</summary>
internal sealed class LabEnumConverter<T>() : JsonStringEnumConverter<T>(JsonNamingPolicy.CamelCase, allowIntegerValues: false) where T : struct, Enum;
