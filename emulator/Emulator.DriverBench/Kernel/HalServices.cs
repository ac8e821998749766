namespace Emulator.DriverBench.Kernel;

/// <summary>What drivers of NT 4's days ask the HAL: the configuration space by bus and slot, and where resources are.</summary>
internal sealed class HalServices(BenchMachine machine)
{
    private const uint PciConfiguration = 4;

    public void AddTo(NtServices nt)
    {
        foreach ((string name, bool write) in new[] { ("HalGetBusData", false), ("HalSetBusData", true) })
        {
            nt.Add(name, "uuupu", Irql.Dispatch, a => Configure((uint)a[0], (uint)a[1], (uint)a[2], a[3], 0, (uint)a[4], write));
            nt.Add($"{name}ByOffset", "uuupuu", Irql.Dispatch, a => Configure((uint)a[0], (uint)a[1], (uint)a[2], a[3], (uint)a[4], (uint)a[5], write));
        }
        nt.Add("HalTranslateBusAddress", "uuqpp", Irql.Dispatch, a =>
        {
            machine.Guest.SetU64(a[4], a[2]);
            return 1;
        });
        nt.Add("HalGetInterruptVector", "uuuupp", Irql.Passive, a =>
        {
            machine.Guest.SetByte(a[4], Irql.Device);
            machine.Guest.SetPointer(a[5], 1);
            return a[3];
        });
    }

    /// <summary>PCI_SLOT_NUMBER: five bits of device, three of function. How many bytes; 2 for a slot without a device, as the HAL has it.</summary>
    private ulong Configure(uint kind, uint bus, uint number, ulong buffer, uint offset, uint length, bool write)
    {
        if (kind != PciConfiguration || bus != 0) return 0;
        if (machine.Bus.Slots.FirstOrDefault(s => s.Index + 1 == (number & 0x1F) && (number >> 5) == 0) is { IsPresent: true } slot)
        {
            return machine.Bus.Configure(slot.Pdo, buffer, offset, length, write);
        }
        if (length < 2) return 0;
        if (!write) machine.Guest.SetU16(buffer, 0xFFFF);
        return 2;
    }
}
