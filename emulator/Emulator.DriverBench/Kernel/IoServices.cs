using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Pnp;
using Emulator.Nt;
using Emulator.Pci;

namespace Emulator.DriverBench.Kernel;

/// <summary>Io and Po: device objects, stacks, requests, names and interfaces.</summary>
internal sealed class IoServices(BenchMachine machine)
{
    private readonly Dictionary<ulong, Device> _devices = [];
    private readonly Dictionary<ulong, BenchRequest> _requests = [];
    private readonly HashSet<ulong> _ended = [];
    private readonly Dictionary<string, ulong> _names = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, (string Target, ulong Owner)> _links = new(StringComparer.OrdinalIgnoreCase);
    private readonly HashSet<string> _interfaces = new(StringComparer.OrdinalIgnoreCase);

    private uint _generated;

    private NtLayout Layout => machine.Layout;
    private GuestMemory Guest => machine.Guest;

    /// <summary>A driver goes: names it made and requests it holds are left behind.</summary>
    public void CheckLeaks(LoadedDriver driver)
    {
        foreach ((string link, (string Target, ulong Owner) entry) in _links.Where(l => driver.Image.Contains(l.Value.Owner)))
        {
            machine.ReportAt(Rule.Leak, $"{driver.Name} is unloaded and leaves the symbolic link {link}", entry.Owner);
        }
        foreach (BenchRequest request in _requests.Values.Where(r => driver.Object != 0 && r.Drivers.Contains(driver.Object)))
        {
            machine.Report(Rule.Leak, $"{driver.Name} is unloaded and the IRP 0x{request.Address:x}, which it saw, has not ended");
        }
    }

    public void AddTo(NtServices nt)
    {
        nt.Add("IopInvalidDeviceRequest", "pp", Irql.Dispatch, a => End(a[1], NtStatus.InvalidDeviceRequest));
        nt.Add("IoCreateDevice", "pupuubp", Irql.Apc, a =>
            CreateDevice(a[0], (uint)a[1], a[2] == 0 ? "" : Guest.UnicodeString(a[2]), (uint)a[3], (uint)a[4], a[6]),
            exhausted: NtStatus.InsufficientResources);
        nt.Add("IoDeleteDevice", "p", Irql.Apc, a => DeleteDevice(a[0]));
        nt.Add("IoAttachDeviceToDeviceStack", "pp", Irql.Dispatch, a => Attach(a[0], a[1]));
        nt.Add("IoDetachDevice", "p", Irql.Passive, a => Detach(a[0]));
        nt.Add("IoCreateSymbolicLink", "pp", Irql.Passive, a => CreateLink(Guest.UnicodeString(a[0]), Guest.UnicodeString(a[1])),
            exhausted: NtStatus.InsufficientResources);
        nt.Add("IoDeleteSymbolicLink", "p", Irql.Passive, a => _links.Remove(Guest.UnicodeString(a[0])) ? NtStatus.Success : NtStatus.ObjectNameNotFound);
        nt.Add("IoRegisterDeviceInterface", "pppp", Irql.Passive, a => RegisterInterface(a[0], a[1], a[3]), exhausted: NtStatus.InsufficientResources);
        nt.Add("IoSetDeviceInterfaceState", "pb", Irql.Passive, a => SetInterface(Guest.UnicodeString(a[0]), a[1] != 0));
        nt.Add("IofCallDriver", "pp", Irql.Dispatch, a => CallDriver(a[0], a[1]), CallConvention.FastCall);
        nt.Add("IofCompleteRequest", "pb", Irql.Dispatch, a => Complete(a[0]), CallConvention.FastCall);
        nt.Add("IoInvalidateDeviceState", "p", Irql.Dispatch, a => InvalidateState(a[0]));
        nt.Add("PoCallDriver", "pp", Irql.Dispatch, a => CallDriver(a[0], a[1]));
        nt.Add("PoStartNextPowerIrp", "p", Irql.Dispatch, _ => 0);
        nt.Add("PoSetPowerState", "puu", Irql.Dispatch, a => SetPowerState(a[0], (uint)a[2]));
        nt.Add("PoRequestPowerIrp", "pbuppp", Irql.Dispatch, a => RequestPower(a[0], (byte)a[1], (uint)a[2], a[3], a[4], a[5]),
            exhausted: NtStatus.InsufficientResources);
    }

    /// <summary>The device object at the top of the stack this one is in.</summary>
    public ulong TopOf(ulong device)
    {
        while (Guest.Pointer(device + (ulong)Layout.DeviceAttached) is var above and not 0) device = above;
        return device;
    }

    /// <summary>Sends a request to the top of a device's stack.</summary>
    /// <param name="parameters">Parameters of the stack location, each in its pointer-sized slot.</param>
    /// <param name="input">What the system buffer starts with.</param>
    /// <param name="outputLength">How much of it can come back.</param>
    public BenchRequest Send(ulong device, byte major, byte minor, uint status, ReadOnlySpan<ulong> parameters, ReadOnlySpan<byte> input = default,
        int outputLength = 0, ulong file = 0, Action<BenchRequest>? ended = null)
    {
        ulong top = TopOf(device);
        int count = Guest.Byte(top + (ulong)Layout.DeviceStackSize);
        int size = Layout.IrpSize + (count * Layout.StackSize);
        ulong irp = machine.AllocateKernel(size, $"IRP {major}/{minor}");
        _ended.Remove(irp);
        var request = new BenchRequest(machine, irp, count, outputLength, ended);
        Guest.SetU16(irp, 6);
        Guest.SetU16(irp + 2, (ushort)size);
        Guest.SetU32(irp + (ulong)Layout.IrpStatus, status);
        Guest.SetByte(irp + (ulong)Layout.IrpStackCount, (byte)count);
        Guest.SetByte(irp + (ulong)Layout.IrpCurrentLocation, (byte)(count + 1));
        ulong location = irp + (ulong)(Layout.IrpSize + (count * Layout.StackSize));
        Guest.SetPointer(irp + (ulong)Layout.IrpStackLocation, location);
        int buffer = Math.Max(input.Length, outputLength);
        if (buffer > 0)
        {
            request.Buffer = machine.AllocateKernel(buffer, "system buffer");
            Guest.SetBytes(request.Buffer, input);
            Guest.SetPointer(irp + (ulong)Layout.IrpSystemBuffer, request.Buffer);
        }
        ulong next = location - (ulong)Layout.StackSize;
        Guest.SetByte(next, major);
        Guest.SetByte(next + 1, minor);
        for (int i = 0; i < parameters.Length; i++) Guest.SetPointer(next + (ulong)Layout.StackParameter(i), parameters[i]);
        Guest.SetPointer(next + (ulong)Layout.StackFile, file);
        _requests.Add(irp, request);
        request.Returned = (uint)CallDriver(top, irp);
        if (request.Returned != NtStatus.Pending && !request.IsCompleted)
        {
            string text = $"the dispatch routine of major {major}, minor {minor} returned 0x{request.Returned:x8} and the IRP is not completed";
            machine.ReportAt(Rule.IrpCompletion, text, Dispatch(top, major));
        }
        return request;
    }

    /// <summary>IoCancelIrp.</summary>
    public bool Cancel(BenchRequest request)
    {
        if (request.IsCompleted) return false;
        ulong irp = request.Address;
        Guest.SetByte(irp + (ulong)Layout.IrpCancel, 1);
        ulong routine = Guest.Pointer(irp + (ulong)Layout.IrpCancelRoutine);
        if (routine == 0) return false;
        Guest.SetPointer(irp + (ulong)Layout.IrpCancelRoutine, 0);
        byte irql = machine.Synchronization.AcquireCancel();
        Guest.SetByte(irp + (ulong)Layout.IrpCancelIrql, irql);
        ulong device = Guest.Pointer(Guest.Pointer(irp + (ulong)Layout.IrpStackLocation) + (ulong)Layout.StackDevice);
        machine.CallCancel(routine, irql, device, irp);
        return true;
    }

    /// <summary>IoCreateDevice.</summary>
    /// <param name="target">Where the address is written; with 0 it is the result, instead of the status.</param>
    public ulong CreateDevice(ulong driver, uint extension, string name, uint type, uint characteristics, ulong target)
    {
        // FILE_AUTOGENERATED_DEVICE_NAME.
        if (name.Length == 0 && (characteristics & 0x80) != 0) name = $@"\Device\{++_generated:x8}";
        if (name.Length > 0 && _names.ContainsKey(name)) return NtStatus.ObjectNameCollision;
        int body = Layout.DeviceSize + ((int)extension + 15 & ~15);
        int size = body + Layout.DeviceExtensionSize;
        ulong device = AllocateObject(size, name, $"DEVICE_OBJECT {name}");
        ulong more = device + (ulong)body;
        Guest.SetU16(device, 3);
        Guest.SetU16(device + 2, (ushort)(Layout.DeviceSize + (int)extension));
        Guest.SetPointer(device + (ulong)Layout.DeviceDriver, driver);
        Guest.SetPointer(device + (ulong)Layout.DeviceNext, Guest.Pointer(driver + (ulong)Layout.DriverDevice));
        Guest.SetPointer(driver + (ulong)Layout.DriverDevice, device);
        // DO_DEVICE_INITIALIZING; DO_DEVICE_HAS_NAME.
        Guest.SetU32(device + (ulong)Layout.DeviceFlags, 0x80u | (name.Length > 0 ? 0x40u : 0));
        Guest.SetU32(device + (ulong)Layout.DeviceCharacteristics, characteristics);
        Guest.SetPointer(device + (ulong)Layout.DeviceExtension, extension == 0 ? 0 : device + (ulong)Layout.DeviceSize);
        Guest.SetU32(device + (ulong)Layout.DeviceType, type);
        Guest.SetByte(device + (ulong)Layout.DeviceStackSize, 1);
        Guest.SetPointer(device + (ulong)Layout.DeviceObjectExtension, more);
        Guest.SetU16(more, 13);
        Guest.SetPointer(more + (ulong)Layout.DeviceExtensionObject, device);
        _devices[device] = new Device(size, name);
        if (name.Length > 0) _names[name] = device;
        if (target != 0) Guest.SetPointer(target, device);
        return target != 0 ? NtStatus.Success : device;
    }

    /// <summary>Allocates an object's body behind its OBJECT_HEADER and, before that, its OBJECT_HEADER_NAME_INFO.</summary>
    private ulong AllocateObject(int size, string path, string what)
    {
        ObjectHeaderLayout layout = Layout.Objects.ObjectHeader!;
        string name = path[(path.LastIndexOf('\\') + 1)..];
        int before = layout.NameInfoSize + layout.Body + 15 & ~15;
        ulong body = machine.AllocateKernel(before + size + ((name.Length + 1) * sizeof(char)), what) + (ulong)before;
        if (name.Length == 0) return body;
        ulong header = body - (ulong)layout.Body;
        // InfoMask's bit 1, or the distance.
        Guest.SetByte(header + (ulong)layout.NameInfo, (byte)(layout.NameInfoIsMask ? 2 : layout.NameInfoSize));
        Guest.SetUnicodeString(header - (ulong)(layout.NameInfoSize - layout.Name), body + (ulong)size, name);
        return body;
    }

    public ulong DeleteDevice(ulong device)
    {
        if (!_devices.TryGetValue(device, out Device? found)) throw machine.Crash($"IoDeleteDevice of 0x{device:x}, which is no device object");
        if (found.IsDeleted) throw machine.Crash($"IoDeleteDevice of 0x{device:x} a second time");
        if (Guest.Pointer(DoeOf(device) + (ulong)Layout.DeviceExtensionAttachedTo) != 0)
        {
            machine.Report(Rule.Leak, "a device object is deleted while attached to a stack");
        }
        found.IsDeleted = true;
        _names.Remove(found.Name);
        ulong driver = Guest.Pointer(device + (ulong)Layout.DeviceDriver), link = driver + (ulong)Layout.DriverDevice;
        while (Guest.Pointer(link) is var at and not 0 && at != device) link = at + (ulong)Layout.DeviceNext;
        Guest.SetPointer(link, Guest.Pointer(device + (ulong)Layout.DeviceNext));
        FreeWhenAlone(device, found);
        return 0;
    }

    /// <summary>The DEVOBJ_EXTENSION.</summary>
    public ulong DoeOf(ulong device) => Guest.Pointer(device + (ulong)Layout.DeviceObjectExtension);

    /// <summary>The memory stays while something is attached: the driver above still detaches.</summary>
    private void FreeWhenAlone(ulong device, Device found)
    {
        if (Guest.Pointer(device + (ulong)Layout.DeviceAttached) != 0) return;
        machine.Synchronization.Forget(device, (ulong)found.Size);
        machine.Interrupts.Forget(device, (ulong)found.Size);
        _devices.Remove(device);
        machine.FreeKernel(device, $"DEVICE_OBJECT {found.Name}");
    }

    private ulong Attach(ulong source, ulong target)
    {
        ulong top = TopOf(target);
        Guest.SetPointer(top + (ulong)Layout.DeviceAttached, source);
        Guest.SetByte(source + (ulong)Layout.DeviceStackSize, (byte)(Guest.Byte(top + (ulong)Layout.DeviceStackSize) + 1));
        Guest.SetPointer(DoeOf(source) + (ulong)Layout.DeviceExtensionAttachedTo, top);
        return top;
    }

    private ulong Detach(ulong target)
    {
        ulong above = Guest.Pointer(target + (ulong)Layout.DeviceAttached);
        if (above == 0) throw machine.Crash($"IoDetachDevice of 0x{target:x}, to which nothing is attached");
        Guest.SetPointer(DoeOf(above) + (ulong)Layout.DeviceExtensionAttachedTo, 0);
        Guest.SetPointer(target + (ulong)Layout.DeviceAttached, 0);
        if (_devices.TryGetValue(target, out Device? found) && found.IsDeleted) FreeWhenAlone(target, found);
        return 0;
    }

    private ulong CreateLink(string link, string target)
        => _links.TryAdd(link, (target, machine.CallerAddress)) ? NtStatus.Success : NtStatus.ObjectNameCollision;

    private ulong RegisterInterface(ulong pdo, ulong guid, ulong target)
    {
        if (machine.Bus.SlotOfPdo(pdo) is not { } slot) return NtStatus.InvalidDeviceRequest;
        PciIdentity identity = slot.Function.Identity;
        string text = $@"\??\PCI#VEN_{identity.Vendor:X4}&DEV_{identity.Device:X4}#{slot.Index}#{new Guid(Guest.Bytes(guid, 16)):B}";
        ulong buffer = machine.Memory.Allocate(0, (ulong)((text.Length * 2) + 2), 0x66496F49);
        if (buffer == 0) return NtStatus.InsufficientResources;
        Guest.SetUnicodeString(target, buffer, text);
        return NtStatus.Success;
    }

    private ulong SetInterface(string name, bool enable)
    {
        if (enable && machine.Faults.NextAllocationFails("IoSetDeviceInterfaceState")) return NtStatus.InsufficientResources;
        if (enable) return _interfaces.Add(name) ? NtStatus.Success : NtStatus.ObjectNameCollision;
        return _interfaces.Remove(name) ? NtStatus.Success : NtStatus.ObjectNameNotFound;
    }

    private ulong Dispatch(ulong device, byte major)
        => Guest.Pointer(Guest.Pointer(device + (ulong)Layout.DeviceDriver) + (ulong)(Layout.DriverMajor + (major * Layout.Pointer)));

    private ulong CallDriver(ulong device, ulong irp)
    {
        BenchRequest request = Live(irp, "IoCallDriver");
        byte at = Guest.Byte(irp + (ulong)Layout.IrpCurrentLocation);
        if (at <= 1) throw machine.Crash("NO_MORE_IRP_STACK_LOCATIONS");
        Guest.SetByte(irp + (ulong)Layout.IrpCurrentLocation, (byte)(at - 1));
        ulong location = Guest.Pointer(irp + (ulong)Layout.IrpStackLocation) - (ulong)Layout.StackSize;
        Guest.SetPointer(irp + (ulong)Layout.IrpStackLocation, location);
        Guest.SetPointer(location + (ulong)Layout.StackDevice, device);
        byte major = Guest.Byte(location);
        if (major >= NtLayout.MajorFunctions) throw machine.Crash($"an IRP with major function {major}");
        request.Visit(device, Guest.Pointer(device + (ulong)Layout.DeviceDriver));
        ulong routine = Dispatch(device, major);
        uint status = (uint)machine.Call(routine, device, irp);
        // SL_PENDING_RETURNED.
        if (status == NtStatus.Pending && !request.IsCompleted && (Guest.Byte(location + 3) & 1) == 0)
        {
            machine.ReportAt(Rule.IrpCompletion, "returned STATUS_PENDING without IoMarkIrpPending", routine);
        }
        return status;
    }

    private BenchRequest Live(ulong irp, string who)
    {
        if (_requests.TryGetValue(irp, out BenchRequest? request)) return request;
        throw machine.Crash(_ended.Contains(irp) ? $"{who} for the IRP 0x{irp:x}, which is completed already" : $"{who} for 0x{irp:x}, which is no IRP");
    }

    private ulong End(ulong irp, uint status)
    {
        Guest.SetU32(irp + (ulong)Layout.IrpStatus, status);
        Guest.SetPointer(irp + (ulong)Layout.IrpInformation, 0);
        Complete(irp);
        return status;
    }

    /// <summary>IoCompleteRequest: calls the completion routines from the current location upward.</summary>
    public ulong Complete(ulong irp)
    {
        BenchRequest request = Live(irp, "IoCompleteRequest");
        uint first = Guest.U32(irp + (ulong)Layout.IrpStatus);
        if (first == NtStatus.Pending) machine.Report(Rule.IrpCompletion, "an IRP is completed with STATUS_PENDING");
        if (Guest.Pointer(irp + (ulong)Layout.IrpCancelRoutine) != 0) machine.Report(Rule.IrpCompletion, "an IRP is completed with its cancel routine set");
        int count = request.StackCount, size = Layout.StackSize;
        if (Guest.Byte(irp + (ulong)Layout.IrpCurrentLocation) > count) throw machine.Crash("MULTIPLE_IRP_COMPLETE_REQUESTS");
        while (true)
        {
            ulong location = Guest.Pointer(irp + (ulong)Layout.IrpStackLocation);
            int current = Guest.Byte(irp + (ulong)Layout.IrpCurrentLocation) + 1;
            Guest.SetByte(irp + (ulong)Layout.IrpCurrentLocation, (byte)current);
            Guest.SetPointer(irp + (ulong)Layout.IrpStackLocation, location + (ulong)size);
            byte control = Guest.Byte(location + 3);
            Guest.SetByte(irp + (ulong)Layout.IrpPendingReturned, (byte)(control & 1));
            bool success = NtStatus.IsSuccess(Guest.U32(irp + (ulong)Layout.IrpStatus)), cancelled = Guest.Byte(irp + (ulong)Layout.IrpCancel) != 0;
            // SL_INVOKE_ON_CANCEL, _SUCCESS, _ERROR.
            bool wanted = (control & (success ? 0x40 : 0x80)) != 0 || (cancelled && (control & 0x20) != 0);
            ulong routine = Guest.Pointer(location + (ulong)Layout.StackRoutine), context = Guest.Pointer(location + (ulong)Layout.StackContext);
            Guest.SetBytes(location + 3, [0]);
            if (wanted && routine != 0)
            {
                ulong device = current > count ? 0 : Guest.Pointer(location + (ulong)size + (ulong)Layout.StackDevice);
                if ((uint)machine.Call(routine, device, irp, context) == NtStatus.MoreProcessingRequired) return 0;
            }
            else if ((control & 1) != 0 && current <= count)
            {
                Guest.SetByte(location + (ulong)size + 3, (byte)(Guest.Byte(location + (ulong)size + 3) | 1));
            }
            if (current > count) break;
        }
        _requests.Remove(irp);
        _ended.Add(irp);
        request.End();
        machine.FreeKernel(irp, "IRP");
        return 0;
    }

    private ulong InvalidateState(ulong pdo)
    {
        BenchSlot slot = machine.Bus.SlotOfPdo(pdo) ?? throw machine.Crash($"IoInvalidateDeviceState of 0x{pdo:x}, which is no physical device object");
        // Its function driver may have called from a completion routine: NT asks later, when the device may be gone.
        machine.Queue(() =>
        {
            if (machine.Bus.SlotOfPdo(pdo) != slot) return;
            Send(pdo, Irp.Pnp, Irp.QueryDeviceState, NtStatus.NotSupported, [], ended: request => slot.PnpState = (uint)request.Information);
        });
        return 0;
    }

    private ulong SetPowerState(ulong device, uint state)
    {
        if (!_devices.TryGetValue(device, out Device? found)) throw machine.Crash($"PoSetPowerState of 0x{device:x}, which is no device object");
        uint old = found.Power;
        found.Power = state;
        return old;
    }

    private ulong RequestPower(ulong device, byte minor, uint state, ulong routine, ulong context, ulong target)
    {
        if (target != 0) throw machine.Crash("PoRequestPowerIrp with a place for the IRP, which the bench lacks");
        machine.Queue(() => Send(device, Irp.Power, minor, NtStatus.NotSupported, [0, 1, state], ended: request =>
        {
            if (routine != 0) machine.Call(routine, device, minor, state, context, request.Address + (ulong)Layout.IrpStatus);
        }));
        return NtStatus.Pending;
    }

    private sealed class Device(int size, string name)
    {
        public int Size { get; } = size;
        public string Name { get; } = name;
        public uint Power { get; set; }
        public bool IsDeleted { get; set; }
    }
}

/// <summary>A request on its way through a stack.</summary>
public sealed class BenchRequest
{
    private readonly BenchMachine _machine;
    private readonly int _outputLength;
    private readonly Action<BenchRequest>? _ended;
    private readonly List<ulong> _visited = [];

    internal BenchRequest(BenchMachine machine, ulong address, int stackCount, int outputLength, Action<BenchRequest>? ended)
        => (_machine, Address, StackCount, _outputLength, _ended) = (machine, address, stackCount, outputLength, ended);

    /// <summary>Of the IRP.</summary>
    public ulong Address { get; }
    public int StackCount { get; }
    public bool IsCompleted { get; private set; }

    /// <summary>What the topmost dispatch routine returned.</summary>
    public uint Returned { get; internal set; }

    /// <summary>IoStatus, once completed.</summary>
    public uint Status { get; private set; }
    public ulong Information { get; private set; }

    /// <summary>What came back in the system buffer.</summary>
    public byte[] Output { get; private set; } = [];

    /// <summary>The device objects it was sent to, topmost first.</summary>
    public IReadOnlyList<ulong> Visited => _visited;

    internal ulong Buffer { get; set; }

    /// <summary>Cancels it. False when it has no cancel routine now, or has ended.</summary>
    public bool Cancel() => _machine.Io.Cancel(this);

    /// <summary>Lets the machine run until it has ended; the limit is virtual time in nanoseconds.</summary>
    public bool Wait(long limit = 60_000_000_000) => _machine.RunUntil(() => IsCompleted, limit);

    internal HashSet<ulong> Drivers { get; } = [];

    internal void Visit(ulong device, ulong driver)
    {
        _visited.Add(device);
        Drivers.Add(driver);
    }

    internal void End()
    {
        Status = _machine.Guest.U32(Address + (ulong)_machine.Layout.IrpStatus);
        Information = _machine.Guest.Pointer(Address + (ulong)_machine.Layout.IrpInformation);
        if (Buffer != 0)
        {
            if (_outputLength > 0) Output = _machine.Guest.Bytes(Buffer, (int)Math.Min(Information, (ulong)_outputLength));
            _machine.FreeKernel(Buffer, "system buffer");
        }
        IsCompleted = true;
        _ended?.Invoke(this);
    }
}
