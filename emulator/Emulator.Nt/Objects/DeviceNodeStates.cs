using System.Globalization;

namespace Emulator.Nt.Objects;

/// <summary>The states of a device node (PNP_DEVNODE_STATE).</summary>
public static class DeviceNodeStates
{
    private const uint First = 0x300;

    private static readonly string[] Names =
    [
        "DeviceNodeUnspecified", "DeviceNodeUninitialized", "DeviceNodeInitialized", "DeviceNodeDriversAdded", "DeviceNodeResourcesAssigned",
        "DeviceNodeStartPending", "DeviceNodeStartCompletion", "DeviceNodeStartPostWork", "DeviceNodeStarted", "DeviceNodeQueryStopped",
        "DeviceNodeStopped", "DeviceNodeRestartCompletion", "DeviceNodeEnumeratePending", "DeviceNodeEnumerateCompletion",
        "DeviceNodeAwaitingQueuedDeletion", "DeviceNodeAwaitingQueuedRemoval", "DeviceNodeQueryRemoved", "DeviceNodeRemovePendingCloses",
        "DeviceNodeRemoved", "DeviceNodeDeletePendingCloses", "DeviceNodeDeleted",
    ];

    /// <summary>"DeviceNodeStarted (0x308)"; "unknown (0x...)" for a value that is no state.</summary>
    public static string Describe(uint state)
        => string.Create(CultureInfo.InvariantCulture, $"{(state - First < Names.Length ? Names[state - First] : "unknown")} (0x{state:x})");
}
