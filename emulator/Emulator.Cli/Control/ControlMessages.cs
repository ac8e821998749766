using System.Text.Json.Serialization;

namespace Emulator.Cli.Control;

/// <summary>
/// What a client asks of a running lab: one JSON object on one line. "list" needs no more; "set" names a device, one of its
/// switches and the new value.
/// </summary>
internal sealed record ControlRequest(string Command, string? Device = null, string? Switch = null, string? Value = null);

/// <summary>The answer, one JSON object on one line: an error for a person, or the devices the request was about, as they are now.</summary>
internal sealed record ControlReply(string? Error, IReadOnlyList<DeviceState> Devices)
{
    public static ControlReply Failed(string error) => new(error, []);
}

internal sealed record DeviceState(string Name, string Model, string Socket, IReadOnlyList<SwitchState> Switches);

/// <param name="Values">The values it takes; empty for free text.</param>
internal sealed record SwitchState(string Name, string Summary, IReadOnlyList<string> Values, string Value);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(ControlRequest))]
[JsonSerializable(typeof(ControlReply))]
[JsonSerializable(typeof(IReadOnlyList<DeviceState>))]
internal sealed partial class ControlJson : JsonSerializerContext;
