using System.Text.Json.Serialization;

namespace Emulator.Cli.Probing;

/// <summary>What a client finds at a served device: its configuration space taken apart, its regions and its interrupts.</summary>
/// <param name="ClassName">As the PCI Code and ID Assignment calls it; empty where unknown.</param>
/// <param name="Command">Bits of COMMAND by lspci's names.</param>
/// <param name="Status">Bits of STATUS by lspci's names.</param>
/// <param name="InterruptPin">"A" to "D", or null.</param>
internal sealed record ProbeReport(
    string Socket, int ServerProcess, int VendorId, int DeviceId, int ClassCode, string ClassName, int Revision, int SubsystemVendorId, int SubsystemId,
    IReadOnlyDictionary<string, bool> Command, IReadOnlyDictionary<string, bool> Status, string? InterruptPin, int ConfigurationSize,
    IReadOnlyList<ProbedBar> Bars, IReadOnlyList<ProbedCapability> Capabilities, IReadOnlyList<ProbedInterrupt> Interrupts);

/// <param name="Kind">"io", "memory32" or "memory64".</param>
/// <param name="Size">Bytes.</param>
/// <param name="Mappable">What a client may map into its guest.</param>
internal sealed record ProbedBar(int Index, string Kind, bool Prefetchable, ulong Size, IReadOnlyList<ProbedArea> Mappable);

internal sealed record ProbedArea(ulong Offset, ulong Size);

/// <param name="Details">One line each, decoded.</param>
internal sealed record ProbedCapability(int Offset, int Id, string Name, IReadOnlyList<string> Details);

internal sealed record ProbedInterrupt(string Name, uint Count, bool EventFd, bool Maskable, bool AutoMasked, bool NoResize);

/// <summary>A read or write that was asked for.</summary>
/// <param name="Region">"BAR0" to "BAR5", or "CONFIG".</param>
/// <param name="Bytes">What was read or written, in the device's order.</param>
internal sealed record ProbedAccess(string Access, string Region, ulong Offset, byte[] Bytes)
{
    /// <summary>The value, where one access moved it.</summary>
    public ulong? Value => Bytes.Length is 1 or 2 or 4 or 8 ? Bytes.Reverse().Aggregate(0UL, (value, b) => (value << 8) | b) : null;
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(ProbeReport))]
[JsonSerializable(typeof(IReadOnlyList<ProbedAccess>))]
internal sealed partial class ProbeJson : JsonSerializerContext;
