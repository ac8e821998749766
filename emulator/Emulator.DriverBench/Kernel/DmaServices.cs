using Emulator.DriverBench.Memory;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverBench.Kernel;

/// <summary>Mm's I/O space and system routines, and the HAL's DMA adapters with their common buffers.</summary>
internal sealed class DmaServices(BenchMachine machine)
{
    // DMA_OPERATIONS: Size, then 15 functions.
    private const int Operations = 15;
    private readonly Dictionary<ulong, (ulong Pdo, ulong Owner)> _adapters = [];
    private readonly Dictionary<ulong, Buffer> _buffers = [];
    private readonly Dictionary<ulong, (MemoryRegion Region, ulong Length, BenchSlot Slot, ulong Owner)> _mappings = [];

    public void AddTo(NtServices nt)
    {
        nt.Add("MmMapIoSpace", "qpu", Irql.Dispatch, a => Map(a[0], a[1]), exhausted: 0);
        nt.Add("MmUnmapIoSpace", "pp", Irql.Dispatch, a => Unmap(a[0], a[1]));
        nt.Add("MmGetSystemRoutineAddress", "p", Irql.Passive, a => nt.Find(machine.Guest.UnicodeString(a[0])) ?? 0);
        nt.Add("IoGetDmaAdapter", "ppp", Irql.Passive, a => GetAdapter(a[0], a[1], a[2]), exhausted: 0);
        nt.Add("HalPutDmaAdapter", "p", Irql.Dispatch, a => PutAdapter(a[0]));
        nt.Add("HalAllocateCommonBuffer", "pupb", Irql.Passive, a => AllocateBuffer(a[0], (uint)a[1], a[2]), exhausted: 0);
        nt.Add("HalFreeCommonBuffer", "puqpb", Irql.Passive, a => FreeBuffer((uint)a[1], a[2], a[3]));
        nt.Add("HalUnsupportedDmaOperation", "p", Irql.High, _ => throw machine.Crash("a DMA operation that the bench lacks"));
    }

    /// <summary>Where memory lies for devices: a common buffer where it is; anything else has an address that no device reaches.</summary>
    public ulong PhysicalOf(ulong at)
    {
        foreach ((ulong start, Buffer buffer) in _buffers)
        {
            if (at - start < buffer.Region.Length) return buffer.Physical + (at - start);
        }
        return at & 0xFFFF_FFFF;
    }

    /// <summary>The device was removed: mappings, adapters and common buffers of its are left behind.</summary>
    public void CheckLeaks(BenchSlot slot)
    {
        foreach ((ulong at, (MemoryRegion Region, ulong Length, BenchSlot Slot, ulong Owner) mapping) in _mappings.Where(m => m.Value.Slot == slot))
        {
            machine.ReportAt(Rule.Leak, $"the device is removed with {mapping.Region.Name} mapped at 0x{at:x}", mapping.Owner);
        }
        foreach ((ulong at, (ulong Pdo, ulong Owner) adapter) in _adapters.Where(a => a.Value.Pdo == slot.Pdo))
        {
            machine.ReportAt(Rule.Leak, $"the device is removed with its DMA adapter 0x{at:x}", adapter.Owner);
        }
        foreach ((ulong at, Buffer buffer) in _buffers.Where(b => b.Value.Pdo == slot.Pdo))
        {
            machine.ReportAt(Rule.Leak, $"the device is removed with the common buffer at 0x{at:x}", buffer.Owner);
        }
    }

    private ulong Map(ulong physical, ulong length)
    {
        if (length == 0 || machine.Bus.FindMemory(physical, length) is not { } found)
        {
            machine.Report(Rule.Pool, $"MmMapIoSpace of 0x{length:x} bytes at 0x{physical:x}, where no device is");
            return 0;
        }
        ulong at = machine.IoSpace.Reserve(length);
        if (at == 0) return 0;
        string name = $"BAR {found.Bar} of {found.Slot.Function.Identity}";
        MemoryRegion region = machine.Space.MapMmio(at, length, new Window(found.Slot, found.Bar, found.Offset), name);
        _mappings[at] = (region, length, found.Slot, machine.CallerAddress);
        return at;
    }

    private ulong Unmap(ulong at, ulong length)
    {
        if (!_mappings.Remove(at, out (MemoryRegion Region, ulong Length, BenchSlot Slot, ulong Owner) mapping))
        {
            machine.Report(Rule.Pool, $"MmUnmapIoSpace of 0x{at:x}, which is not mapped");
            return 0;
        }
        if (mapping.Length != length) machine.Report(Rule.Pool, $"MmUnmapIoSpace of 0x{length:x} bytes, of which 0x{mapping.Length:x} were mapped");
        machine.Space.Unmap(mapping.Region);
        machine.IoSpace.Release(at, mapping.Length);
        return 0;
    }

    /// <summary>The HAL's DMA_ADAPTER for a device of the bus; 0 for anything else.</summary>
    /// <param name="registers">Where the number of map registers goes, or 0.</param>
    public ulong CreateAdapter(ulong pdo, ulong registers)
    {
        if (machine.Bus.SlotOfPdo(pdo) is null) return 0;
        (NtLayout layout, GuestMemory guest) = (machine.Layout, machine.Guest);
        ulong adapter = machine.AllocateKernel(layout.Pointer * 2 + ((Operations + 1) * layout.Pointer), "DMA_ADAPTER");
        ulong table = adapter + (ulong)(layout.Pointer * 2);
        guest.SetU16(adapter, 1);
        guest.SetU16(adapter + 2, (ushort)(layout.Pointer * 2));
        guest.SetPointer(adapter + (ulong)layout.Pointer, table);
        guest.SetU32(table, (uint)((Operations + 1) * layout.Pointer));
        for (int i = 1; i <= Operations; i++)
        {
            string name = i switch { 1 => "HalPutDmaAdapter", 2 => "HalAllocateCommonBuffer", 3 => "HalFreeCommonBuffer", _ => "HalUnsupportedDmaOperation" };
            guest.SetPointer(table + (ulong)(i * layout.Pointer), machine.AddressOf(name)!.Value);
        }
        if (registers != 0) guest.SetU32(registers, 64);
        _adapters[adapter] = (pdo, machine.CallerAddress);
        return adapter;
    }

    // NT first asks the device's stack, from the top, for the bus's interface, mostly out of the middle of a driver's START_DEVICE, and takes
    // the HAL's adapter when nobody in the stack has one.
    private ulong GetAdapter(ulong pdo, ulong description, ulong registers)
    {
        const string what = "BUS_INTERFACE_STANDARD";
        const int idSize = 16;
        if (machine.Bus.SlotOfPdo(pdo) is null) return 0;
        int pointer = machine.Layout.Pointer, size = PciQueries.InterfaceLength * pointer;
        ulong ask = machine.AllocateKernel(idSize + size, what), answer = ask + idSize;
        machine.Guest.SetBytes(ask, PciQueries.BusInterface.ToByteArray());
        // Size and version, 16 bits each, share a slot.
        BenchRequest request = machine.Io.Send(pdo, Irp.Pnp, Irp.QueryInterface, NtStatus.NotSupported, [ask, (uint)size | 1u << 16, answer, 0]);
        ulong adapter = 0;
        if (request.Wait() && NtStatus.IsSuccess(request.Status))
        {
            ulong context = Member(PciQueries.InterfaceContext);
            adapter = machine.Call(Member(PciQueries.InterfaceGetDmaAdapter), context, description, registers);
            machine.Call(Member(PciQueries.InterfaceDereference), context);
        }
        machine.FreeKernel(ask, what);
        return adapter != 0 ? adapter : CreateAdapter(pdo, registers);

        ulong Member(int index) => machine.Guest.Pointer(answer + (ulong)(index * pointer));
    }

    private ulong PutAdapter(ulong adapter)
    {
        if (_adapters.Remove(adapter)) machine.FreeKernel(adapter, "DMA_ADAPTER");
        else machine.Report(Rule.Pool, $"PutDmaAdapter of 0x{adapter:x}, which is none");
        return 0;
    }

    private ulong AllocateBuffer(ulong adapter, uint length, ulong logical)
    {
        if (!_adapters.TryGetValue(adapter, out (ulong Pdo, ulong Owner) owner))
        {
            throw machine.Crash($"AllocateCommonBuffer with 0x{adapter:x}, which is no adapter");
        }
        int pages = (int)((length + AddressSpace.PageSize - 1) / AddressSpace.PageSize);
        ulong physical = pages == 0 ? 0 : machine.Ram.Allocate(pages);
        if (physical == 0) return 0;
        int bytes = pages * AddressSpace.PageSize;
        ulong at = machine.IoSpace.Reserve((ulong)bytes);
        int offset = (int)(physical - PhysicalMemory.Base);
        MemoryRegion region = machine.Space.MapRam(at, machine.Ram.Backing, offset, bytes, Protection.ReadWrite, "common buffer");
        _buffers[at] = new Buffer(region, physical, pages, owner.Pdo, machine.CallerAddress);
        machine.Guest.SetU64(logical, physical);
        return at;
    }

    private ulong FreeBuffer(uint length, ulong logical, ulong at)
    {
        if (!_buffers.Remove(at, out Buffer? buffer))
        {
            machine.Report(Rule.Pool, $"FreeCommonBuffer of 0x{at:x}, which is none");
            return 0;
        }
        if (buffer.Physical != logical || (length + AddressSpace.PageSize - 1) / AddressSpace.PageSize != buffer.Pages)
        {
            machine.Report(Rule.Pool, "FreeCommonBuffer with another address or length than it was allocated with");
        }
        machine.Space.Unmap(buffer.Region);
        machine.IoSpace.Release(at, buffer.Region.Length);
        machine.Ram.Free(buffer.Physical, buffer.Pages);
        return 0;
    }

    private sealed record Buffer(MemoryRegion Region, ulong Physical, int Pages, ulong Pdo, ulong Owner);

    private sealed class Window(BenchSlot slot, int bar, ulong start) : IMmioHandler
    {
        public ulong Read(ulong offset, int size) => slot.ReadRegister(bar, start + offset, size);

        public void Write(ulong offset, int size, ulong value) => slot.WriteRegister(bar, start + offset, size, value);
    }
}
