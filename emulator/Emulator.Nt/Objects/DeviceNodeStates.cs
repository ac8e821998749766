using System.Globalization;

namespace Emulator.Nt.Objects;

/// <summary>The state of a device node (PNP_DEVNODE_STATE, whose names begin with DeviceNode).</summary>
public enum DeviceNodeState
{
    Unspecified = 0x300,
    Uninitialized,
    Initialized,
    DriversAdded,
    ResourcesAssigned,
    StartPending,
    StartCompletion,
    StartPostWork,
    Started,
    QueryStopped,
    Stopped,
    RestartCompletion,
    EnumeratePending,
    EnumerateCompletion,
    AwaitingQueuedDeletion,
    AwaitingQueuedRemoval,
    QueryRemoved,
    RemovePendingCloses,
    Removed,
    DeletePendingCloses,
    Deleted,
}

/// <summary>The states of a device node in words.</summary>
public static class DeviceNodeStates
{
    /// <summary>"DeviceNodeStarted (0x308)"; "unknown (0x...)" for a value that is no state.</summary>
    public static string Describe(uint state)
    {
        string name = Enum.IsDefined((DeviceNodeState)state) ? $"DeviceNode{(DeviceNodeState)state}" : "unknown";
        return string.Create(CultureInfo.InvariantCulture, $"{name} (0x{state:x})");
    }
}
