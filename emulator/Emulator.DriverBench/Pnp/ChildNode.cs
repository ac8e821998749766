using Emulator.DriverBench.Kernel;
using Emulator.Nt.Objects;

namespace Emulator.DriverBench.Pnp;

/// <summary>
/// A device that a bus driver in the bench reports below its own. No driver is found for it: it is started as it is if its capabilities say
/// that it can do without (RawDeviceOK), and left alone otherwise.
/// </summary>
public sealed class ChildNode
{
    internal ChildNode(BenchMachine machine, ulong pdo, ulong address, string instancePath, IReadOnlyList<string> hardwareIds, bool isRaw)
    {
        (Pdo, Address, InstancePath, HardwareIds, IsRaw) = (pdo, address, instancePath, hardwareIds, isRaw);
        Requests = new NodeRequests(machine, pdo, address);
    }

    /// <summary>The physical device object, which the bus driver made.</summary>
    public ulong Pdo { get; }

    /// <summary>The DEVICE_NODE.</summary>
    public ulong Address { get; }

    /// <summary>@"TOY\ARM\0"; empty when the bus driver does not say what it is.</summary>
    public string InstancePath { get; }

    /// <summary>The most exact first.</summary>
    public IReadOnlyList<string> HardwareIds { get; }

    /// <summary>It can do without a driver of its own.</summary>
    public bool IsRaw { get; }

    /// <summary>Where the PnP manager has it.</summary>
    public DeviceNodeState State => Requests.State;

    internal NodeRequests Requests { get; }
}
