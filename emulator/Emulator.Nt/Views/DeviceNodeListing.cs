using System.Text;

namespace Emulator.Nt.Views;

/// <summary>A device node of a listing.</summary>
/// <param name="Depth">0 for the listing's first node.</param>
/// <param name="InstancePath">Empty when there is none; null when it cannot be read.</param>
/// <param name="ServiceName">Empty when there is none; null when it cannot be read.</param>
/// <param name="State">"DeviceNodeStarted (0x308)"; null when the layout does not say where it is.</param>
/// <param name="PreviousState">As State.</param>
public sealed record ListedNode(
    NtAddress Address, int Depth, NtAddress PhysicalDeviceObject, string? InstancePath, string? ServiceName, string? State, string? PreviousState);

/// <summary>A tree of device nodes as WinDbg's !devnode shows it.</summary>
/// <param name="Nodes">Parents before their children; at least one.</param>
public sealed record DeviceNodeListing(IReadOnlyList<ListedNode> Nodes, IReadOnlyList<NtFinding> Findings)
{
    // A tree as deep as it is long would otherwise make lines whose spaces alone fill memory.
    private const int DeepestIndent = 32;

    /// <summary>The tree, two spaces a level, lines ended by '\n', findings last.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        foreach (ListedNode node in Nodes)
        {
            string indent = new(' ', 2 * Math.Min(node.Depth, DeepestIndent));
            DriverListing.Line(text, $"{indent}DevNode 0x{node.Address} for PDO 0x{node.PhysicalDeviceObject}");
            if (node.InstancePath is not "") DriverListing.Line(text, $"{indent}  InstancePath is \"{node.InstancePath ?? "(cannot be read)"}\"");
            if (node.ServiceName is not "") DriverListing.Line(text, $"{indent}  ServiceName is \"{node.ServiceName ?? "(cannot be read)"}\"");
            if (node.State is not null) DriverListing.Line(text, $"{indent}  State = {node.State}");
            if (node.PreviousState is not null) DriverListing.Line(text, $"{indent}  Previous State = {node.PreviousState}");
        }
        foreach (NtFinding finding in Findings) DriverListing.Line(text, $"*** {finding}");
        return text.ToString();
    }
}
