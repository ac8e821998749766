using Emulator.DriverBench.Kernel;
using Emulator.Pci;

namespace Emulator.DriverBench.Pnp;

/// <summary>Pci.sys in C#: its driver object, the physical device objects, and what they answer.</summary>
internal sealed class PciBusDriver(BenchMachine machine)
{
    // Where BARs lie; each slot has its own part.
    private const ulong MemoryWindow = 0xE000_0000, MemoryOfSlot = 0x0100_0000, PortWindow = 0xC000, PortsOfSlot = 0x400;

    public const int MostSlots = 16;

    private readonly List<BenchSlot> _slots = [];
    private readonly PciQueries _queries = new(machine);
    private int _named;

    public IReadOnlyList<BenchSlot> Slots => _slots;

    /// <summary>The DRIVER_OBJECT.</summary>
    public ulong Driver { get; private set; }

    public void AddTo(NtServices pci)
    {
        _queries.AddTo(pci);
        pci.Add("PciDispatchPnp", "pp", Irql.Passive, a => DispatchPnp(a[0], a[1]));
        pci.Add("PciDispatchPower", "pp", Irql.Dispatch, a => DispatchPower(a[0], a[1]));
    }

    public void Initialize(NtServices pci)
    {
        Driver = LoadedDriver.CreateObject(machine, pci.Name, pci.Section, pci.Base, (uint)NtServices.Length, 0, machine.AllocateKernel);
        SetMajor(Irp.Pnp, pci.Find("PciDispatchPnp")!.Value);
        SetMajor(Irp.Power, pci.Find("PciDispatchPower")!.Value);
    }

    public DeviceNode Plug(Func<PciSlot, PciFunction> create, InterruptGrant grant)
    {
        int index = Enumerable.Range(0, MostSlots).FirstOrDefault(i => !_slots.Exists(s => s.Index == i), -1);
        if (index < 0) throw new InvalidOperationException($"The bench's bus has {MostSlots} slots.");
        var slot = new BenchSlot(machine, index);
        slot.Insert(create(slot), grant);
        ulong nextMemory = MemoryWindow + ((ulong)index * MemoryOfSlot), nextPort = PortWindow + ((ulong)index * PortsOfSlot);
        (ulong endOfMemory, ulong endOfPorts) = (nextMemory + MemoryOfSlot, nextPort + PortsOfSlot);
        for (int i = 0; i < PciRegion.BarCount; i++)
        {
            if (slot.Function.Bars[i] is not { } bar) continue;
            ref ulong next = ref bar.Kind == BarKind.Io ? ref nextPort : ref nextMemory;
            slot.Addresses[i] = (next + bar.Size - 1) & ~(bar.Size - 1);
            next = slot.Addresses[i] + bar.Size;
        }
        if (nextMemory > endOfMemory || nextPort > endOfPorts)
        {
            throw new ArgumentException($"{slot.Function.Identity} has larger BARs than a slot of the bench.", nameof(create));
        }
        // FILE_DEVICE_UNKNOWN.
        slot.Pdo = machine.Io.CreateDevice(Driver, 16, $@"\Device\NTPNP_PCI{++_named:0000}", 0x22, 0, 0);
        ulong flags = slot.Pdo + (ulong)machine.Layout.DeviceFlags;
        // Initialised; a bus enumerated it.
        machine.Guest.SetU32(flags, (machine.Guest.U32(flags) & ~0x80u) | 0x1000);
        string path = InstancePath(slot);
        slot.Node = machine.Nodes.Add(slot.Pdo, path, machine.Nodes.Root);
        slot.Requests = new NodeRequests(machine, slot.Pdo, slot.Node);
        slot.Children = new ChildDevices(machine, slot.Requests, slot.Node, path);
        _slots.Add(slot);
        return new DeviceNode(machine, slot);
    }

    public void Forget(BenchSlot slot)
    {
        _slots.Remove(slot);
        machine.Nodes.Remove(slot.Node);
        machine.Io.DeleteDevice(slot.Pdo);
    }

    /// <summary>Reads or writes bytes of a function's configuration space; how many.</summary>
    public ulong Configure(ulong pdo, ulong buffer, uint offset, uint length, bool write) => _queries.Configure(pdo, 0, buffer, offset, length, write);

    public BenchSlot? SlotOfPdo(ulong pdo) => _slots.Find(s => s.Pdo == pdo);
    public BenchSlot? SlotOfVector(uint vector) => _slots.Find(s => s.Vector == vector);

    public (BenchSlot Slot, int Bar, ulong Offset)? FindMemory(ulong address, ulong length) => Find(address, length, ports: false);
    public (BenchSlot Slot, int Bar, ulong Offset)? FindPort(ushort port) => Find(port, 1, ports: true);

    private (BenchSlot Slot, int Bar, ulong Offset)? Find(ulong address, ulong length, bool ports)
    {
        foreach (BenchSlot slot in _slots)
        {
            for (int i = 0; i < PciRegion.BarCount; i++)
            {
                if (slot.Function.Bars[i] is not { } bar || (bar.Kind == BarKind.Io) != ports) continue;
                ulong offset = address - slot.Addresses[i];
                if (address >= slot.Addresses[i] && offset < bar.Size && length <= bar.Size - offset) return (slot, i, offset);
            }
        }
        return null;
    }

    /// <summary>As the PCI driver names a function, the most exact first.</summary>
    public static string[] HardwareIds(PciIdentity identity)
    {
        string device = $@"PCI\VEN_{identity.Vendor:X4}&DEV_{identity.Device:X4}", subsystem = $"&SUBSYS_{identity.Subsystem:X4}{identity.SubsystemVendor:X4}";
        return [$"{device}{subsystem}&REV_{identity.Revision:X2}", device + subsystem, $"{device}&REV_{identity.Revision:X2}", device];
    }

    /// <summary>As the PCI driver names a function by what it is.</summary>
    public static string[] CompatibleIds(PciIdentity identity)
    {
        string vendor = $@"PCI\VEN_{identity.Vendor:X4}", kind = $"{identity.ClassCode:X6}";
        return [vendor, $@"PCI\CC_{kind}", $@"PCI\CC_{kind[..4]}"];
    }

    // Device number and function stand behind the bus's own number, which pci makes of where it is.
    private static string InstancePath(BenchSlot slot)
    {
        PciIdentity identity = slot.Function.Identity;
        string device = $@"PCI\VEN_{identity.Vendor:X4}&DEV_{identity.Device:X4}&SUBSYS_{identity.Subsystem:X4}{identity.SubsystemVendor:X4}";
        return $@"{device}&REV_{identity.Revision:X2}\3&11583659&0&{(slot.Index + 1) << 3:X2}";
    }

    private void SetMajor(int major, ulong address)
        => machine.Guest.SetPointer(Driver + (ulong)(machine.Layout.DriverMajor + (major * machine.Layout.Pointer)), address);

    private ulong DispatchPnp(ulong pdo, ulong irp)
    {
        BenchSlot slot = SlotOfPdo(pdo) ?? throw machine.Crash($"a PnP request for 0x{pdo:x}, which is no device of pci");
        ulong location = machine.Guest.Pointer(irp + (ulong)machine.Layout.IrpStackLocation);
        byte minor = machine.Guest.Byte(location + 1);
        switch (minor)
        {
            case Irp.StartDevice:
                slot.Program();
                slot.SetPower(1);
                break;
            case Irp.QueryCapabilities:
                ulong capabilities = machine.Guest.Pointer(location + (ulong)machine.Layout.StackParameter(0));
                // DeviceState: S0 is D0 (1), the sleeping states D3 (4).
                for (int i = 1; i < 7; i++) machine.Guest.SetU32(capabilities + 16 + (ulong)(4 * i), i == 1 ? 1u : 4u);
                break;
            case Irp.QueryRemove or Irp.Remove or Irp.CancelRemove or Irp.Stop or Irp.QueryStop or Irp.CancelStop or Irp.SurpriseRemoval:
                break;
            default:
                uint? answer = _queries.Answer(slot, minor, location, irp + (ulong)machine.Layout.IrpInformation);
                return End(irp, answer ?? machine.Guest.U32(irp + (ulong)machine.Layout.IrpStatus));
        }
        return End(irp, NtStatus.Success);
    }

    private ulong DispatchPower(ulong pdo, ulong irp)
    {
        ulong location = machine.Guest.Pointer(irp + (ulong)machine.Layout.IrpStackLocation);
        byte minor = machine.Guest.Byte(location + 1);
        if (minor is not (Irp.SetPower or Irp.QueryPower)) return End(irp, machine.Guest.U32(irp + (ulong)machine.Layout.IrpStatus));
        // DevicePowerState is 1.
        bool device = machine.Guest.U32(location + (ulong)machine.Layout.StackParameter(1)) == 1;
        if (minor == Irp.SetPower && device) SlotOfPdo(pdo)?.SetPower(machine.Guest.U32(location + (ulong)machine.Layout.StackParameter(2)));
        return End(irp, NtStatus.Success);
    }

    private uint End(ulong irp, uint status)
    {
        machine.Guest.SetU32(irp + (ulong)machine.Layout.IrpStatus, status);
        machine.Io.Complete(irp);
        return status;
    }
}
