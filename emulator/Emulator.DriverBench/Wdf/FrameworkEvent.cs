namespace Emulator.DriverBench.Wdf;

/// <summary>A callback of a driver that the framework called.</summary>
public sealed class FrameworkEvent
{
    internal FrameworkEvent(string driver, string name, string detail) => (Driver, Name, Detail) = (driver, name, detail);

    /// <summary>"KmdfRobot".</summary>
    public string Driver { get; }

    /// <summary>As the documentation calls the callback: "EvtDeviceD0Entry".</summary>
    public string Name { get; }

    /// <summary>Which of several, or why: "message 2", "enter WdfDevStatePnpStarted". May be empty.</summary>
    public string Detail { get; }

    /// <summary>What the callback returned, when that is an NTSTATUS and it has returned.</summary>
    public uint? Status { get; internal set; }

    public override string ToString()
        => $"{Driver}: {Name}{(Detail.Length > 0 ? $" ({Detail})" : "")}{(Status is { } status ? $" = 0x{status:x8}" : "")}";
}
