using Emulator.DriverBench.Kernel;
using Emulator.Nt.Objects;
using Emulator.Pci;

namespace Emulator.DriverBench.Pnp;

/// <summary>One level of a device stack.</summary>
/// <param name="Device">The DEVICE_OBJECT.</param>
/// <param name="Driver">"AfterThought".</param>
/// <param name="StackSize">How many stack locations a request to it needs.</param>
public sealed record StackLevel(ulong Device, string Driver, int StackSize);

/// <summary>A device on the bench's bus with its stack: the PnP manager's and the I/O manager's view. Requests start at the top.</summary>
public sealed class DeviceNode
{
    private const int ListHeader = 20;
    private readonly BenchMachine _machine;
    private readonly BenchSlot _slot;

    internal DeviceNode(BenchMachine machine, BenchSlot slot) => (_machine, _slot) = (machine, slot);

    public PciFunction Function => _slot.Function;

    /// <summary>False once it was pulled out, whoever knows of that.</summary>
    public bool IsPresent => _slot.IsPresent;

    /// <summary>The accesses of drivers to its registers and ports so far.</summary>
    public int Accesses => _slot.Accesses;

    internal BenchSlot Slot => _slot;

    /// <summary>The physical device object.</summary>
    public ulong Pdo => _slot.Pdo;

    /// <summary>The DEVICE_NODE.</summary>
    public ulong Address => _slot.Node;

    /// <summary>Where the PnP manager has it.</summary>
    public DeviceNodeState State => _slot.Requests.State;

    /// <summary>What its stack reports below it, when it has started and when a driver says that there is news (IoInvalidateDeviceRelations).</summary>
    public IReadOnlyList<ChildNode> Children => _slot.Children.Nodes;

    /// <summary>PNP_DEVICE_STATE as the stack last told it, which a driver has NT ask for with IoInvalidateDeviceState: 4 is failed.</summary>
    public uint PnpState => _slot.PnpState;

    /// <summary>The stack, topmost first.</summary>
    public IReadOnlyList<StackLevel> Stack
    {
        get
        {
            (NtLayout layout, GuestMemory guest) = (_machine.Layout, _machine.Guest);
            var levels = new List<StackLevel>();
            foreach (ulong at in guest.Chain(Pdo, (ulong)layout.DeviceAttached))
            {
                ulong driver = guest.Pointer(at + (ulong)layout.DeviceDriver);
                string name = guest.UnicodeString(driver + (ulong)layout.DriverName);
                levels.Insert(0, new StackLevel(at, name[(name.LastIndexOf('\\') + 1)..],
                    guest.Byte(at + (ulong)layout.DeviceStackSize)));
            }
            return levels;
        }
    }

    /// <summary>Calls AddDevice of each driver: the function driver first, then its upper filters.</summary>
    /// <exception cref="DriverStatusException">One of them failed.</exception>
    public void AddDevice(params ReadOnlySpan<LoadedDriver> drivers)
    {
        if (drivers.Length > 0) _machine.Nodes.SetService(Address, drivers[0].Name);
        AddAll(drivers);
    }

    /// <summary>Calls AddDevice of each driver from the bottom of the stack to the top.</summary>
    /// <param name="upperFilters">Bottom up.</param>
    /// <param name="lowerFilters">Bottom up.</param>
    /// <exception cref="DriverStatusException">One of them failed.</exception>
    public void AddDevice(LoadedDriver function, IReadOnlyList<LoadedDriver> upperFilters, IReadOnlyList<LoadedDriver> lowerFilters)
    {
        ArgumentNullException.ThrowIfNull(function);
        _machine.Nodes.SetService(Address, function.Name);
        AddAll([.. lowerFilters, function, .. upperFilters]);
    }

    private void AddAll(ReadOnlySpan<LoadedDriver> drivers)
    {
        foreach (LoadedDriver driver in drivers)
        {
            if (driver.AddDevice == 0)
            {
                throw new DriverStatusException($"{driver.Name} has no AddDevice: it is no Plug and Play driver, and takes no device.",
                    NtStatus.InvalidDeviceRequest);
            }
            uint status = (uint)_machine.Call(driver.AddDevice, driver.Object, Pdo);
            if (!NtStatus.IsSuccess(status)) throw new DriverStatusException($"{driver.Name}: AddDevice failed with status 0x{status:x8}.", status);
        }
        Enter(DeviceNodeState.DriversAdded);
    }

    /// <summary>
    /// Starts with the resources of the model's BARs and its interrupts; gives the status of START_DEVICE. Around it the stack sees what NT 5.2's PnP manager
    /// sends, in its order: first FILTER_RESOURCE_REQUIREMENTS; when it has started QUERY_CAPABILITIES, QUERY_PNP_DEVICE_STATE and, for the devices below it,
    /// QUERY_DEVICE_RELATIONS. A device that was stopped is started with nothing around it.
    /// </summary>
    public uint Start()
    {
        bool again = State == DeviceNodeState.Stopped;
        if (!again)
        {
            FilterRequirements();
            Enter(DeviceNodeState.ResourcesAssigned, DeviceNodeState.StartPending);
        }
        ulong list = BuildResources();
        uint status = _slot.Requests.Pnp(Irp.StartDevice, list, list);
        _machine.FreeKernel(list, "CM_RESOURCE_LIST");
        Enter(again ? DeviceNodeState.RestartCompletion : DeviceNodeState.StartCompletion);
        if (!NtStatus.IsSuccess(status)) Enter(DeviceNodeState.AwaitingQueuedRemoval);
        else if (again) Enter(DeviceNodeState.Started);
        else FinishStart();
        return status;
    }

    private void FinishStart()
    {
        Enter(DeviceNodeState.StartPostWork);
        _slot.Requests.Capabilities();
        _slot.PnpState = (uint)_slot.Requests.Ask(Irp.Pnp, Irp.QueryDeviceState).Information;
        Enter(DeviceNodeState.Started);
        _slot.Children.Enumerate();
        Enter(DeviceNodeState.EnumerateCompletion, DeviceNodeState.Started);
    }

    // A driver that wants other requirements answers with a list of its own in the pool; this bus has the ones it has.
    private void FilterRequirements()
    {
        ulong list = BuildRequirements();
        BenchRequest request = _slot.Requests.Ask(Irp.Pnp, Irp.FilterResourceRequirements, list);
        if (NtStatus.IsSuccess(request.Status) && request.Information != 0 && request.Information != list) _machine.Memory.Free(request.Information);
        _machine.FreeKernel(list, "IO_RESOURCE_REQUIREMENTS_LIST");
    }

    private ulong BuildRequirements()
    {
        const int header = 40, descriptor = 32;
        GuestMemory guest = _machine.Guest;
        Bar[] bars = [.. Function.Bars.OfType<Bar>()];
        int size = header + ((bars.Length + 1) * descriptor);
        ulong list = _machine.AllocateKernel(size, "IO_RESOURCE_REQUIREMENTS_LIST");
        guest.SetU32(list, (uint)size);
        // PCIBus; one alternative, version and revision 1.
        guest.SetU32(list + 4, 5);
        guest.SetU32(list + 28, 1);
        guest.SetU32(list + 32, 0x0001_0001);
        guest.SetU32(list + 36, (uint)bars.Length + 1);
        ulong at = list + header;
        foreach (Bar bar in bars)
        {
            // As in BuildResources; anywhere below 4 GiB, on a multiple of its size.
            guest.SetByte(at + 1, bar.Kind == BarKind.Io ? (byte)1 : (byte)3);
            guest.SetByte(at + 2, 1);
            guest.SetU16(at + 4, (ushort)(bar.Kind == BarKind.Io ? 1 : 0));
            guest.SetU32(at + 8, (uint)bar.Size);
            guest.SetU32(at + 12, (uint)bar.Size);
            guest.SetU64(at + 24, bar.Kind == BarKind.Io ? 0xFFFFu : uint.MaxValue);
            at += descriptor;
        }
        bool message = _slot.Messages > 0;
        guest.SetByte(at + 1, 2);
        guest.SetByte(at + 2, message ? (byte)1 : (byte)3);
        guest.SetU16(at + 4, (ushort)(message ? 3 : 0));
        guest.SetU32(at + 8, _slot.Vector);
        guest.SetU32(at + 12, _slot.Vector);
        return list;
    }

    // What is below has no resources, and a stop is for those.
    public uint QueryStop() => _slot.Requests.Query(Irp.QueryStop, DeviceNodeState.QueryStopped);
    public uint CancelStop() => _slot.Requests.Cancel(Irp.CancelStop, DeviceNodeState.QueryStopped);
    public uint Stop() => _slot.Requests.Pnp(Irp.Stop, DeviceNodeState.Stopped);

    /// <summary>Asks the devices below first; when one of them refuses, its own stack is not asked.</summary>
    public uint QueryRemove()
    {
        uint below = _slot.Children.QueryRemove();
        return NtStatus.IsSuccess(below) ? _slot.Requests.Query(Irp.QueryRemove, DeviceNodeState.QueryRemoved) : below;
    }

    public uint CancelRemove()
    {
        uint status = _slot.Requests.Cancel(Irp.CancelRemove, DeviceNodeState.QueryRemoved);
        _slot.Children.CancelRemove();
        return status;
    }

    /// <summary>Removes the devices below first.</summary>
    public uint Remove()
    {
        _slot.Children.Remove();
        uint status = _slot.Requests.Pnp(Irp.Remove, DeviceNodeState.Removed);
        _slot.Children.Forget();
        return status;
    }

    /// <summary>Pulls the card out, then tells the stacks, those of the devices below first. Afterwards comes <see cref="Remove"/>.</summary>
    /// <param name="pull">False: the card stays in its slot. So NT does with a device that does not start again after a stop.</param>
    public uint SurpriseRemove(bool pull = true)
    {
        Enter(DeviceNodeState.AwaitingQueuedRemoval);
        if (pull) _slot.Pull();
        _slot.Children.Surprise();
        return _slot.Requests.Pnp(Irp.SurpriseRemoval, DeviceNodeState.RemovePendingCloses);
    }

    /// <summary>After <see cref="Remove"/>: the bus driver forgets the device.</summary>
    public void Unplug()
    {
        foreach (StackLevel level in Stack.Where(l => l.Device != Pdo))
        {
            _machine.ReportAt(Rule.Leak, $"{level.Driver} leaves its device object in the stack", level.Device);
        }
        _slot.Children.Forget();
        _machine.Dma.CheckLeaks(_slot);
        _machine.Names.CheckLeaks(_slot);
        _machine.Bus.Forget(_slot);
    }

    /// <summary>Wires its interrupt line to another's, before either is started: an interrupt of one asks the drivers of both.</summary>
    public void ShareLine(DeviceNode other)
    {
        ArgumentNullException.ThrowIfNull(other);
        _slot.Line = other._slot.Line;
    }

    /// <summary>A device power request: 1 is D0, 4 is D3.</summary>
    public uint SetDevicePower(uint state) => _slot.Requests.Ask(Irp.Power, Irp.SetPower, 0, 1, state).Status;

    /// <summary>
    /// A system power request: 1 is S0, 4 is S3, 6 is S5. The stack's power policy owner turns it into a device one. The devices below go to sleep
    /// before it and wake after it.
    /// </summary>
    public uint SetSystemPower(uint state)
    {
        if (state != 1) _slot.Children.SetSystemPower(state);
        uint status = _slot.Requests.Ask(Irp.Power, Irp.SetPower, 0, 0, state).Status;
        if (state == 1) _slot.Children.SetSystemPower(state);
        return status;
    }

    /// <summary>Any request of the PnP or power manager, sent to the top of the stack.</summary>
    /// <param name="major"><see cref="Irp.Pnp"/>, <see cref="Irp.Power"/> or <see cref="Irp.SystemControl"/>.</param>
    /// <param name="parameters">Parameters of the stack location, each in its pointer-sized slot.</param>
    public BenchRequest Send(byte major, byte minor, params ReadOnlySpan<ulong> parameters)
        => _slot.Requests.Send(major, minor, parameters);

    /// <summary>Opens the device: a FILE_OBJECT, and CREATE.</summary>
    /// <exception cref="DriverStatusException">It did not let itself be opened.</exception>
    public BenchFile Open() => BenchFile.Open(_machine, Pdo);

    private void Enter(params ReadOnlySpan<DeviceNodeState> states) => _slot.Requests.Enter(states);

    private ulong BuildResources()
    {
        (NtLayout layout, GuestMemory guest) = (_machine.Layout, _machine.Guest);
        int bars = Function.Bars.Count(b => b is not null), interrupts = Math.Max(1, _slot.Messages);
        ulong list = _machine.AllocateKernel(ListHeader + ((bars + interrupts) * layout.DescriptorSize), "CM_RESOURCE_LIST");
        guest.SetU32(list, 1);
        // PCIBus; version and revision 1.
        guest.SetU32(list + 4, 5);
        guest.SetU32(list + 12, 0x0001_0001);
        guest.SetU32(list + 16, (uint)(bars + interrupts));
        ulong at = list + ListHeader;
        for (int i = 0; i < PciRegion.BarCount; i++)
        {
            if (Function.Bars[i] is not { } bar) continue;
            // CmResourceTypePort 1, CmResourceTypeMemory 3; for the device alone.
            guest.SetByte(at, bar.Kind == BarKind.Io ? (byte)1 : (byte)3);
            guest.SetByte(at + 1, 1);
            guest.SetU16(at + 2, (ushort)(bar.Kind == BarKind.Io ? 1 : 0));
            guest.SetU64(at + 4, _slot.Addresses[i]);
            guest.SetU32(at + 12, (uint)bar.Size);
            at += (ulong)layout.DescriptorSize;
        }
        for (int i = 0; i < interrupts; i++)
        {
            // CmResourceTypeInterrupt; a line is shared and level-sensitive, a message latched.
            bool message = _slot.Messages > 0;
            guest.SetByte(at, 2);
            guest.SetByte(at + 1, message ? (byte)1 : (byte)3);
            guest.SetU16(at + 2, (ushort)(message ? 3 : 0));
            guest.SetU32(at + 4, Irql.Device);
            guest.SetU32(at + 8, _slot.Vector);
            guest.SetPointer(at + 12, 1);
            at += (ulong)layout.DescriptorSize;
        }
        return list;
    }
}
