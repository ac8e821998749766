using Emulator.DriverBench.Pe;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverBench.Kernel;

/// <summary>Interrupt objects, the delivery of lines and messages at device IRQL, and DPCs.</summary>
internal sealed class InterruptServices(BenchMachine machine)
{
    private const int StormLimit = 1000;
    private const uint FullySpecified = 1, LineBased = 2, MessageBased = 3;
    private readonly List<Connection> _connections = [];
    private readonly Queue<(BenchSlot Slot, int Message)> _messages = [];
    private readonly LinkedList<ulong> _dpcs = [];
    private readonly Queue<Action> _atDispatch = [];
    private (BenchSlot? Slot, long Time, int Count, int Claimed) _run;

    public int Delivered { get; private set; }
    public int DpcsDelivered { get; private set; }

    public void AddTo(NtServices nt)
    {
        nt.Add("IoConnectInterrupt", "ppppubbubpb", Irql.Passive, Connect, exhausted: NtStatus.InsufficientResources);
        nt.Add("IoDisconnectInterrupt", "p", Irql.Passive, a => Disconnect(a[0]));
        nt.Add("IoConnectInterruptEx", "p", Irql.Passive, a => ConnectEx(a[0]), exhausted: NtStatus.InsufficientResources);
        nt.Add("IoDisconnectInterruptEx", "p", Irql.Passive, a => Disconnect(machine.Guest.Pointer(a[0] + (ulong)machine.Layout.Pointer)));
        nt.Add("KeInitializeDpc", "ppp", Irql.High, a => InitializeDpc(a[0], a[1], a[2]));
        nt.Add("KeInsertQueueDpc", "ppp", Irql.High, a => InsertDpc(a[0], a[1], a[2]));
        nt.Add("KeRemoveQueueDpc", "p", Irql.High, a => _dpcs.Remove(a[0]) ? 1u : 0u);
        nt.Add("KeSynchronizeExecution", "ppp", Irql.Device, a => Synchronize(a[1], a[2]));
        nt.Add("KeAcquireInterruptSpinLock", "p", Irql.Device, _ => machine.Synchronization.Raise(Irql.Device));
        nt.Add("KeReleaseInterruptSpinLock", "pb", Irql.Device, a => machine.Synchronization.Lower((byte)a[1]));
        nt.Add("KeSetImportanceDpc", "pu", Irql.High, _ => 0);
        nt.Add("KeSetTargetProcessorDpc", "pb", Irql.High, _ => 0);
        nt.Add("KeFlushQueuedDpcs", "", Irql.Passive, _ => FlushDpcs());
    }

    /// <summary>A message from a device: delivered as soon as the IRQL allows.</summary>
    public bool Send(BenchSlot slot, int message)
    {
        if (!_connections.Exists(c => c.Takes(slot, message))) return false;
        _messages.Enqueue((slot, message));
        machine.Cpu.RequestAttention();
        return true;
    }

    /// <summary>The device is gone: nothing comes from it any more.</summary>
    public void Drop(BenchSlot slot)
    {
        (BenchSlot Slot, int Message)[] kept = [.. _messages.Where(m => m.Slot != slot)];
        _messages.Clear();
        foreach ((BenchSlot, int) message in kept) _messages.Enqueue(message);
    }

    /// <summary>Delivers one thing that the IRQL allows. False when there is none.</summary>
    public bool Deliver()
    {
        if (machine.CurrentIrql < Irql.Device)
        {
            while (_messages.TryDequeue(out (BenchSlot Slot, int Message) next))
            {
                if (_connections.Find(c => c.Takes(next.Slot, next.Message)) is not { } connection) continue;
                Serve(next.Slot, connection, next.Message);
                if (next.Slot.IsStorming) _messages.Enqueue(next);
                return true;
            }
            foreach (BenchSlot slot in machine.Bus.Slots)
            {
                if (slot.LineAsserted && !slot.LineMasked && ServeLine(slot)) return true;
            }
        }
        if (machine.CurrentIrql >= Irql.Dispatch) return false;
        if (_atDispatch.TryDequeue(out Action? call))
        {
            AtIrql(Irql.Dispatch, call);
            return true;
        }
        if (_dpcs.First is not { } first) return false;
        _dpcs.RemoveFirst();
        RunDpc(first.Value);
        return true;
    }

    public void CheckLeaks(LoadedImage image)
    {
        foreach (Connection connection in _connections.Where(c => image.Contains(c.Routine)).ToList())
        {
            machine.ReportAt(Rule.Leak, $"{image.ModuleName} is unloaded with its interrupt connected", connection.Routine);
            Disconnect(connection.Handle);
        }
        foreach (ulong dpc in _dpcs.Where(d => image.Contains(machine.Guest.Pointer(d + (ulong)machine.Layout.DpcRoutine))).ToList())
        {
            machine.ReportAt(Rule.Leak, $"{image.ModuleName} is unloaded with a DPC queued", machine.Guest.Pointer(dpc + (ulong)machine.Layout.DpcRoutine));
            _dpcs.Remove(dpc);
        }
    }

    /// <summary>Calls a routine of a driver at DISPATCH_LEVEL, as soon as the IRQL allows.</summary>
    public void CallAtDispatch(ulong routine, ulong first, ulong second)
    {
        _atDispatch.Enqueue(() => machine.Call(routine, first, second));
        machine.Cpu.RequestAttention();
    }

    private ulong Synchronize(ulong routine, ulong context)
    {
        ulong result = 0;
        AtIrql(Irql.Device, () => result = machine.Call(routine, context));
        return (byte)result;
    }

    private void AtIrql(byte irql, Action action)
    {
        byte before = machine.CurrentIrql;
        machine.CurrentIrql = irql;
        action();
        machine.CurrentIrql = before;
    }

    /// <summary>The memory of a device object goes.</summary>
    public void Forget(ulong start, ulong length)
    {
        foreach (ulong dpc in _dpcs.Where(d => d - start < length).ToList())
        {
            machine.Report(Rule.Leak, "the device goes while its DPC is queued");
            _dpcs.Remove(dpc);
        }
        foreach (Connection connection in _connections.Where(c => c.Context - start < length).ToList())
        {
            machine.Report(Rule.Leak, "the device goes while its interrupt is connected");
            _connections.Remove(connection);
        }
    }

    private ulong Connect(ulong[] a)
    {
        if (machine.Bus.SlotOfVector((uint)a[4]) is not { } slot) return NtStatus.InvalidParameter;
        ulong handle = machine.AllocateKernel(0x100, "KINTERRUPT");
        _connections.Add(new Connection(slot, handle, a[1], a[2], IsMessage: false));
        machine.Guest.SetPointer(a[0], handle);
        machine.Cpu.RequestAttention();
        return NtStatus.Success;
    }

    private ulong ConnectEx(ulong at)
    {
        (NtLayout layout, GuestMemory guest) = (machine.Layout, machine.Guest);
        uint version = guest.U32(at);
        if (version is FullySpecified or not (LineBased or MessageBased)) return NtStatus.NotSupported;
        if (machine.Bus.SlotOfPdo(guest.Pointer(at + (ulong)layout.Pointer)) is not { } slot) return NtStatus.InvalidParameter;
        ulong routine = guest.Pointer(at + (ulong)layout.ConnectRoutine), context = guest.Pointer(at + (ulong)layout.ConnectServiceContext);
        bool message = version == MessageBased && slot.Messages > 0;
        if (version == MessageBased && !message)
        {
            routine = guest.Pointer(at + (ulong)layout.ConnectFallBack);
            if (routine == 0) return NtStatus.InvalidParameter;
            guest.SetU32(at, LineBased);
        }
        ulong handle = machine.AllocateKernel(message ? 8 + (slot.Messages * layout.MessageSize) : 0x100, message ? "IO_INTERRUPT_MESSAGE_INFO" : "KINTERRUPT");
        if (message)
        {
            guest.SetByte(handle, Irql.Device);
            guest.SetU32(handle + 4, (uint)slot.Messages);
        }
        _connections.Add(new Connection(slot, handle, routine, context, message));
        guest.SetPointer(guest.Pointer(at + (ulong)layout.ConnectContext), handle);
        if (message) slot.EnableMessages(true);
        machine.Cpu.RequestAttention();
        return NtStatus.Success;
    }

    /// <summary>IoConnectInterruptEx, fully specified: one of a device's messages, or with null its line. 0 when it has none of that kind.</summary>
    public ulong ConnectOne(ulong pdo, int? message, ulong routine, ulong context)
    {
        if (machine.Bus.SlotOfPdo(pdo) is not { } slot || message >= slot.Messages || machine.Faults.NextAllocationFails("IoConnectInterruptEx")) return 0;
        ulong handle = machine.AllocateKernel(0x100, "KINTERRUPT");
        _connections.Add(new Connection(slot, handle, routine, context, message is not null, message));
        if (message is not null) slot.EnableMessages(true);
        machine.Cpu.RequestAttention();
        return handle;
    }

    public ulong Disconnect(ulong handle)
    {
        int index = _connections.FindIndex(c => c.Handle == handle);
        if (index < 0)
        {
            machine.Report(Rule.Interrupt, $"0x{handle:x} disconnected, which is no connected interrupt");
            return 0;
        }
        Connection connection = _connections[index];
        _connections.RemoveAt(index);
        if (connection.IsMessage && !_connections.Exists(c => c.IsMessage && c.Slot == connection.Slot)) connection.Slot.EnableMessages(false);
        machine.FreeKernel(handle, "interrupt object");
        return 0;
    }

    private bool ServeLine(BenchSlot slot)
    {
        bool any = false;
        foreach (Connection connection in _connections.Where(c => !c.IsMessage && c.Slot.Vector == slot.Vector).ToList())
        {
            any = true;
            if (Serve(slot, connection, 0)) break;
        }
        return any;
    }

    private bool Serve(BenchSlot source, Connection connection, int message)
    {
        byte irql = machine.CurrentIrql;
        machine.CurrentIrql = Irql.Device;
        Delivered++;
        ulong claimed = connection.IsMessage && connection.Message is null
            ? machine.Call(connection.Routine, connection.Handle, connection.Context, (ulong)message)
            : machine.Call(connection.Routine, connection.Handle, connection.Context);
        machine.CurrentIrql = irql;
        CountRun(source, connection, (byte)claimed != 0);
        return (byte)claimed != 0;
    }

    /// <summary>Interrupts of one device that leave nothing else a chance to run: no DPC, and no time.</summary>
    private void CountRun(BenchSlot slot, Connection connection, bool claimed)
    {
        if (slot.InterruptsBeforeStorm > 0 && --slot.InterruptsBeforeStorm == 0)
        {
            machine.Faults.Add($"from here on {slot.Function.Identity} interrupts without end");
            slot.IsStorming = true;
        }
        if (_run.Slot != slot || _run.Time != machine.Timers.Now) _run = (slot, machine.Timers.Now, 0, 0);
        _run.Count++;
        if (claimed) _run.Claimed++;
        if (_run.Count < StormLimit) return;
        string end = connection.IsMessage ? "its messages so far are dropped" : "its line is masked until it falls";
        string text = $"interrupt storm: {slot.Function.Identity} interrupted {_run.Count} times in a row, claimed {_run.Claimed} times; {end}";
        machine.ReportAt(Rule.Interrupt, text, connection.Routine);
        _run = default;
        if (!slot.IsStorming && connection.IsMessage) Drop(slot);
        slot.IsStorming = false;
        slot.LineMasked = slot.LineAsserted;
    }

    public ulong InitializeDpc(ulong at, ulong routine, ulong context)
    {
        machine.Guest.SetBytes(at, new byte[machine.Layout.DpcSize]);
        machine.Guest.SetByte(at, 0x13);
        machine.Guest.SetPointer(at + (ulong)machine.Layout.DpcRoutine, routine);
        machine.Guest.SetPointer(at + (ulong)machine.Layout.DpcContext, context);
        return 0;
    }

    public ulong InsertDpc(ulong at, ulong argument1, ulong argument2)
    {
        if (_dpcs.Contains(at)) return 0;
        machine.Guest.SetPointer(at + (ulong)machine.Layout.DpcArgument1, argument1);
        machine.Guest.SetPointer(at + (ulong)machine.Layout.DpcArgument2, argument2);
        _dpcs.AddLast(at);
        machine.Cpu.RequestAttention();
        return 1;
    }

    public ulong FlushDpcs()
    {
        while (_dpcs.First is { } first)
        {
            _dpcs.RemoveFirst();
            RunDpc(first.Value);
        }
        return 0;
    }

    private void RunDpc(ulong at)
    {
        byte irql = machine.CurrentIrql;
        machine.CurrentIrql = Irql.Dispatch;
        DpcsDelivered++;
        _run = default;
        NtLayout layout = machine.Layout;
        GuestMemory guest = machine.Guest;
        machine.Call(guest.Pointer(at + (ulong)layout.DpcRoutine), at, guest.Pointer(at + (ulong)layout.DpcContext),
            guest.Pointer(at + (ulong)layout.DpcArgument1), guest.Pointer(at + (ulong)layout.DpcArgument2));
        machine.CurrentIrql = irql;
    }

    /// <param name="Message">The only one; null for all.</param>
    private sealed record Connection(BenchSlot Slot, ulong Handle, ulong Routine, ulong Context, bool IsMessage, int? Message = null)
    {
        public bool Takes(BenchSlot slot, int message) => IsMessage && Slot == slot && (Message ?? message) == message;
    }
}
