using Emulator.DriverBench.Kernel;
using Emulator.Nt.Objects;

namespace Emulator.DriverBench.Pnp;

/// <summary>What the PnP manager sends to a device's stack, and the state its DEVICE_NODE has then.</summary>
internal sealed class NodeRequests(BenchMachine machine, ulong pdo, ulong node)
{
    private DeviceNodeState _beforeQuery;

    public DeviceNodeState State => machine.Nodes.StateOf(node);

    public void Enter(params ReadOnlySpan<DeviceNodeState> states)
    {
        foreach (DeviceNodeState state in states) machine.Nodes.Enter(node, state);
    }

    public BenchRequest Send(byte major, byte minor, params ReadOnlySpan<ulong> parameters)
        => machine.Io.Send(pdo, major, minor, NtStatus.NotSupported, parameters);

    /// <summary>Sends a request and waits for its end; it has to.</summary>
    public BenchRequest Ask(byte major, byte minor, params ReadOnlySpan<ulong> parameters)
    {
        BenchRequest request = Send(major, minor, parameters);
        return request.Wait() ? request : throw machine.Crash("a request of the PnP or power manager does not end");
    }

    public uint Pnp(byte minor, params ReadOnlySpan<ulong> parameters) => Ask(Irp.Pnp, minor, parameters).Status;

    public uint Pnp(byte minor, DeviceNodeState after)
    {
        uint status = Pnp(minor);
        Enter(after);
        return status;
    }

    public uint Query(byte minor, DeviceNodeState after)
    {
        uint status = Pnp(minor);
        if (!NtStatus.IsSuccess(status) || State == after) return status;
        _beforeQuery = State;
        Enter(after);
        return status;
    }

    public uint Cancel(byte minor, DeviceNodeState asked)
    {
        uint status = Pnp(minor);
        if (State == asked) Enter(_beforeQuery);
        return status;
    }

    /// <summary>QUERY_CAPABILITIES: the flags behind size and version; 0 when the stack does not know.</summary>
    public uint Capabilities()
    {
        const int Size = 64;
        ulong capabilities = machine.AllocateKernel(Size, "DEVICE_CAPABILITIES");
        machine.Guest.SetU16(capabilities, Size);
        machine.Guest.SetU16(capabilities + 2, 1);
        bool known = NtStatus.IsSuccess(Pnp(Irp.QueryCapabilities, capabilities));
        uint flags = machine.Guest.U32(capabilities + 4);
        machine.FreeKernel(capabilities, "DEVICE_CAPABILITIES");
        return known ? flags : 0;
    }
}
