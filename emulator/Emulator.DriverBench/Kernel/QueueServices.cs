namespace Emulator.DriverBench.Kernel;

/// <summary>Device queues, and the I/O manager's StartIo on top of them.</summary>
internal sealed class QueueServices(BenchMachine machine)
{
    private GuestMemory Guest => machine.Guest;
    private ulong Pointer => (ulong)machine.Layout.Pointer;

    // KDEVICE_QUEUE: Type, Size, a list, a lock, Busy. KDEVICE_QUEUE_ENTRY: a list entry, SortKey, Inserted.
    private ulong Head => Pointer;
    private ulong Busy => machine.Is64Bit ? 0x20u : 0x10;
    private ulong Key => 2 * Pointer;
    private ulong Inserted => (2 * Pointer) + 4;

    // DEVICE_OBJECT and IRP.
    private ulong CurrentIrp => machine.Is64Bit ? 0x20u : 0x14;
    private ulong QueueOfDevice => machine.Is64Bit ? 0xA0u : 0x60;
    private ulong EntryOfIrp => machine.Is64Bit ? 0x78u : 0x40;

    public void AddTo(NtServices nt)
    {
        nt.Add("KeInitializeDeviceQueue", "p", Irql.Dispatch, a => Initialize(a[0]));
        nt.Add("KeInsertDeviceQueue", "pp", Irql.Dispatch, a => Insert(a[0], a[1], null) ? 1u : 0);
        nt.Add("KeInsertByKeyDeviceQueue", "ppu", Irql.Dispatch, a => Insert(a[0], a[1], (uint)a[2]) ? 1u : 0);
        nt.Add("KeRemoveDeviceQueue", "p", Irql.Dispatch, a => Remove(a[0], 0));
        nt.Add("KeRemoveByKeyDeviceQueue", "pu", Irql.Dispatch, a => Remove(a[0], (uint)a[1]));
        nt.Add("KeRemoveEntryDeviceQueue", "pp", Irql.Dispatch, a => RemoveEntry(a[1]) ? 1u : 0);
        nt.Add("IoStartPacket", "pppp", Irql.Dispatch, a => Start(a[0], a[1], a[2], a[3]));
        nt.Add("IoStartNextPacket", "pb", Irql.Dispatch, a => StartNext(a[0], 0));
        nt.Add("IoStartNextPacketByKey", "pbu", Irql.Dispatch, a => StartNext(a[0], (uint)a[2]));
    }

    /// <summary>A device object's own queue.</summary>
    public void InitializeOf(ulong device) => Initialize(device + QueueOfDevice);

    private ulong Initialize(ulong at)
    {
        Guest.SetU16(at, 20);
        Guest.SetU16(at + 2, (ushort)(Busy + (machine.Is64Bit ? 8u : 4)));
        Guest.SetPointer(at + Head, at + Head);
        Guest.SetPointer(at + Head + Pointer, at + Head);
        Guest.SetByte(at + Busy, 0);
        return 0;
    }

    /// <summary>False when the queue was idle: it is busy with this entry now, which is not in it.</summary>
    private bool Insert(ulong queue, ulong entry, uint? key)
    {
        bool busy = Guest.Byte(queue + Busy) != 0;
        Guest.SetByte(queue + Busy, 1);
        Guest.SetByte(entry + Inserted, busy ? (byte)1 : (byte)0);
        if (!busy) return false;
        ulong head = queue + Head, after = head;
        if (key is { } sort)
        {
            Guest.SetU32(entry + Key, sort);
            for (after = Guest.Pointer(head); after != head && Guest.U32(after + Key) <= sort; after = Guest.Pointer(after))
            {
            }
        }
        ulong before = Guest.Pointer(after + Pointer);
        Guest.SetPointer(entry, after);
        Guest.SetPointer(entry + Pointer, before);
        Guest.SetPointer(before, entry);
        Guest.SetPointer(after + Pointer, entry);
        return true;
    }

    /// <summary>The first entry of at least this key, else the first one; with an empty queue 0, and it is idle.</summary>
    private ulong Remove(ulong queue, uint key)
    {
        ulong head = queue + Head, first = Guest.Pointer(head), entry = first;
        if (first == head)
        {
            Guest.SetByte(queue + Busy, 0);
            return 0;
        }
        if (key > 0) entry = Guest.Chain(first, 0).FirstOrDefault(at => at == head || Guest.U32(at + Key) >= key);
        if (entry == head) entry = first;
        RemoveEntry(entry);
        return entry;
    }

    private bool RemoveEntry(ulong entry)
    {
        if (Guest.Byte(entry + Inserted) == 0) return false;
        ulong next = Guest.Pointer(entry), before = Guest.Pointer(entry + Pointer);
        Guest.SetPointer(before, next);
        Guest.SetPointer(next + Pointer, before);
        Guest.SetByte(entry + Inserted, 0);
        return true;
    }

    private ulong Start(ulong device, ulong irp, ulong key, ulong cancel)
    {
        if (cancel != 0) Guest.SetPointer(irp + (ulong)machine.Layout.IrpCancelRoutine, cancel);
        if (Insert(device + QueueOfDevice, irp + EntryOfIrp, key == 0 ? null : Guest.U32(key))) return 0;
        CallStartIo(device, irp);
        return 0;
    }

    private ulong StartNext(ulong device, uint key)
    {
        Guest.SetPointer(device + CurrentIrp, 0);
        ulong entry = Remove(device + QueueOfDevice, key);
        if (entry != 0) CallStartIo(device, entry - EntryOfIrp);
        return 0;
    }

    private void CallStartIo(ulong device, ulong irp)
    {
        ulong driver = Guest.Pointer(device + (ulong)machine.Layout.DeviceDriver);
        ulong routine = Guest.Pointer(driver + (ulong)machine.Layout.DriverStartIo);
        if (routine == 0) throw machine.Crash("IoStartPacket in a driver that has no StartIo routine");
        Guest.SetPointer(device + CurrentIrp, irp);
        byte irql = machine.CurrentIrql;
        machine.CurrentIrql = Irql.Dispatch;
        machine.Call(routine, device, irp);
        machine.CurrentIrql = irql;
    }
}
