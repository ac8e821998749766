using System.Text.Json.Serialization;

namespace Emulator.Nt.Views;

/// <summary>The views as JSON: the records' members in camel case, addresses as their digits, enumerations as words.</summary>
[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(DriverListing))]
[JsonSerializable(typeof(DeviceStackListing))]
[JsonSerializable(typeof(DeviceNodeListing))]
[JsonSerializable(typeof(DriverPairListing))]
public sealed partial class NtJson : JsonSerializerContext;
