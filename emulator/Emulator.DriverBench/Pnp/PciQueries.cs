using System.Text;
using Emulator.DriverBench.Kernel;
using Emulator.Pci;

namespace Emulator.DriverBench.Pnp;

/// <summary>What pci tells the drivers above about a function: names, bus, place in the tree, and its configuration space.</summary>
internal sealed class PciQueries(BenchMachine machine)
{
    private const byte QueryDeviceText = 0xC, ReadConfig = 0xF, WriteConfig = 0x10, QueryBusInformation = 0x15;
    private const uint NameTag = 0x20_69_63_50;
    private static readonly Guid PciBusType = new("C8EBDFB0-B510-11D0-80E5-00A0C92542E3");
    private NtServices _pci = null!;

    /// <summary>GUID_BUS_INTERFACE_STANDARD (wdmguid.h).</summary>
    public static Guid BusInterface { get; } = new("496B8280-6F25-11D0-BEAF-08002BE2092F");

    /// <summary>BUS_INTERFACE_STANDARD in pointers: Size and Version share the first, then Context and six functions.</summary>
    public const int InterfaceLength = 8, InterfaceContext = 1, InterfaceReference = 2, InterfaceDereference = 3, InterfaceGetDmaAdapter = 5;

    private GuestMemory Guest => machine.Guest;
    private NtLayout Layout => machine.Layout;

    public void AddTo(NtServices pci)
    {
        _pci = pci;
        pci.Add("PciInterfaceReference", "p", Irql.Dispatch, _ => 0);
        pci.Add("PciInterfaceDereference", "p", Irql.Dispatch, _ => 0);
        pci.Add("PciTranslateBusAddress", "pqupp", Irql.Dispatch, a =>
        {
            Guest.SetU64(a[4], a[1]);
            return 1;
        });
        // Never made to fail: NT would make up for it, in the middle of IoGetDmaAdapter, which can be.
        pci.Add("PciGetDmaAdapter", "ppp", Irql.Passive, a => machine.Dma.CreateAdapter(a[0], a[2]));
        pci.Add("PciSetBusData", "pupuu", Irql.Dispatch, a => Configure(a[0], (uint)a[1], a[2], (uint)a[3], (uint)a[4], write: true));
        pci.Add("PciGetBusData", "pupuu", Irql.Dispatch, a => Configure(a[0], (uint)a[1], a[2], (uint)a[3], (uint)a[4], write: false));
    }

    /// <summary>Answers a query. Null when pci leaves the request as it is.</summary>
    /// <param name="information">Where IoStatus.Information of the request lies.</param>
    public uint? Answer(BenchSlot slot, byte minor, ulong location, ulong information) => minor switch
    {
        Irp.QueryInterface => Interface(slot, location),
        Irp.QueryDeviceRelations => Relations(slot, location, information),
        QueryDeviceText => DeviceText(slot, location, information),
        Irp.QueryId => Id(slot, location, information),
        QueryBusInformation => BusInformation(information),
        ReadConfig => Space(slot, location, information, write: false),
        WriteConfig => Space(slot, location, information, write: true),
        _ => null,
    };

    private ulong Parameter(ulong location, int index) => Guest.Pointer(location + (ulong)Layout.StackParameter(index));

    private uint? Interface(BenchSlot slot, ulong location)
    {
        if (Parameter(location, 0) == 0 || new Guid(Guest.Bytes(Parameter(location, 0), 16)) != BusInterface) return null;
        // Size and Version share a slot; then the interface.
        uint size = Guest.U16(location + (ulong)Layout.StackParameter(1));
        ulong target = Parameter(location, 2), pointer = (ulong)Layout.Pointer;
        if (size < InterfaceLength * pointer) return NtStatus.InvalidParameter;
        Guest.SetU16(target, (ushort)(InterfaceLength * pointer));
        Guest.SetU16(target + 2, 1);
        string[] functions = ["PciInterfaceReference", "PciInterfaceDereference", "PciTranslateBusAddress", "PciGetDmaAdapter",
            "PciSetBusData", "PciGetBusData"];
        Guest.SetPointer(target + (InterfaceContext * pointer), slot.Pdo);
        for (int i = 0; i < functions.Length; i++)
        {
            Guest.SetPointer(target + ((ulong)(i + InterfaceReference) * pointer), _pci.Find(functions[i])!.Value);
        }
        return NtStatus.Success;
    }

    /// <summary>DEVICE_RELATIONS of TargetDeviceRelation (4): the device itself.</summary>
    private uint? Relations(BenchSlot slot, ulong location, ulong information)
    {
        if (Guest.U32(location + (ulong)Layout.StackParameter(0)) != 4) return null;
        ulong list = machine.Memory.Allocate(1, (ulong)(2 * Layout.Pointer), NameTag);
        if (list == 0) return NtStatus.InsufficientResources;
        Guest.SetPointer(list, 1);
        Guest.SetPointer(list + (ulong)Layout.Pointer, slot.Pdo);
        Guest.SetPointer(information, list);
        return NtStatus.Success;
    }

    private uint? DeviceText(BenchSlot slot, ulong location, ulong information)
    {
        PciIdentity identity = slot.Function.Identity;
        return Guest.U32(location + (ulong)Layout.StackParameter(0)) switch
        {
            // DeviceTextDescription, DeviceTextLocationInformation.
            0 => Give($"PCI device {identity}", information),
            1 => Give($"PCI bus 0, device {slot.Index + 1}, function 0", information),
            _ => null,
        };
    }

    private uint? Id(BenchSlot slot, ulong location, ulong information)
    {
        PciIdentity identity = slot.Function.Identity;
        return Guest.U32(location + (ulong)Layout.StackParameter(0)) switch
        {
            // BusQueryDeviceID, -HardwareIDs, -CompatibleIDs, -InstanceID.
            0 => Give(PciBusDriver.HardwareIds(identity)[0], information),
            1 => Give(string.Join('\0', PciBusDriver.HardwareIds(identity)) + "\0", information),
            2 => Give(string.Join('\0', PciBusDriver.CompatibleIds(identity)) + "\0", information),
            3 => Give($"{(slot.Index + 1) << 3:X2}", information),
            _ => null,
        };
    }

    private uint Give(string text, ulong information)
    {
        ulong buffer = machine.Memory.Allocate(1, (ulong)((text.Length + 1) * 2), NameTag);
        if (buffer == 0) return NtStatus.InsufficientResources;
        Guest.SetBytes(buffer, Encoding.Unicode.GetBytes(text + "\0"));
        Guest.SetPointer(information, buffer);
        return NtStatus.Success;
    }

    /// <summary>PNP_BUS_INFORMATION: its GUID, PCIBus, bus 0.</summary>
    private uint? BusInformation(ulong information)
    {
        ulong buffer = machine.Memory.Allocate(1, 24, NameTag);
        if (buffer == 0) return NtStatus.InsufficientResources;
        Guest.SetBytes(buffer, PciBusType.ToByteArray());
        Guest.SetU32(buffer + 16, 5);
        Guest.SetU32(buffer + 20, 0);
        Guest.SetPointer(information, buffer);
        return NtStatus.Success;
    }

    /// <summary>ReadWriteConfig: WhichSpace, Buffer, Offset, Length.</summary>
    private uint? Space(BenchSlot slot, ulong location, ulong information, bool write)
    {
        uint space = Guest.U32(location + (ulong)Layout.StackParameter(0)), offset = Guest.U32(location + (ulong)Layout.StackParameter(2));
        ulong done = Configure(slot.Pdo, space, Parameter(location, 1), offset, Guest.U32(location + (ulong)Layout.StackParameter(3)), write);
        Guest.SetPointer(information, done);
        return done > 0 ? NtStatus.Success : NtStatus.InvalidParameter;
    }

    /// <summary>Reads or writes bytes of the configuration space (0); how many. A device that is gone reads all ones.</summary>
    public ulong Configure(ulong pdo, uint space, ulong buffer, uint offset, uint length, bool write)
    {
        if (machine.Bus.SlotOfPdo(pdo) is not { } slot || space != 0 || offset >= 0x100) return 0;
        length = Math.Min(length, 0x100 - offset);
        for (uint i = 0; i < length;)
        {
            // As wide as alignment and rest allow, as the HAL does.
            int size = (offset + i) % 4 == 0 && length - i >= 4 ? 4 : (offset + i) % 2 == 0 && length - i >= 2 ? 2 : 1;
            if (write) slot.WriteConfiguration((int)(offset + i), size, Value(buffer + i, size));
            else Guest.SetBytes(buffer + i, BitConverter.GetBytes(slot.ReadConfiguration((int)(offset + i), size)).AsSpan(0, size));
            i += (uint)size;
        }
        return length;
    }

    private ulong Value(ulong at, int size) => size switch { 1 => Guest.Byte(at), 2 => Guest.U16(at), _ => Guest.U32(at) };
}
