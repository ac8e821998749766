using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>An IRP as the driver that has it now sees it: its current stack location, and the next.</summary>
internal readonly record struct FxIrp(BenchMachine Machine, ulong Address)
{
    private NtLayout Layout => Machine.Layout;
    private GuestMemory Guest => Machine.Guest;
    private ulong Location => Guest.Pointer(Address + (ulong)Layout.IrpStackLocation);

    public byte Major => Guest.Byte(Location);
    public byte Minor => Guest.Byte(Location + 1);
    public ulong File => Guest.Pointer(Location + (ulong)Layout.StackFile);
    public ulong Device => Guest.Pointer(Location + (ulong)Layout.StackDevice);
    public bool IsCancelled => Guest.Byte(Address + (ulong)Layout.IrpCancel) != 0;
    public ulong SystemBuffer => Guest.Pointer(Address + (ulong)Layout.IrpSystemBuffer);
    public byte RequestorMode => Guest.Byte(Address + (ulong)Layout.IrpRequestorMode);

    public uint Status
    {
        get => Guest.U32(Address + (ulong)Layout.IrpStatus);
        set => Guest.SetU32(Address + (ulong)Layout.IrpStatus, value);
    }

    public ulong Information
    {
        get => Guest.Pointer(Address + (ulong)Layout.IrpInformation);
        set => Guest.SetPointer(Address + (ulong)Layout.IrpInformation, value);
    }

    /// <summary>A parameter of the current location; each has its pointer-sized slot.</summary>
    public ulong Parameter(int index) => Guest.Pointer(Location + (ulong)Layout.StackParameter(index));

    /// <summary>IoMarkIrpPending: SL_PENDING_RETURNED.</summary>
    public void MarkPending() => Guest.SetByte(Location + 3, (byte)(Guest.Byte(Location + 3) | 1));

    /// <summary>A completion routine: what IoMarkIrpPending was for in a lower driver.</summary>
    public void PropagatePending()
    {
        if (Guest.Byte(Address + (ulong)Layout.IrpPendingReturned) != 0) MarkPending();
    }

    /// <summary>IoSkipCurrentIrpStackLocation and IoCallDriver.</summary>
    public uint Skip(ulong device)
    {
        Guest.SetByte(Address + (ulong)Layout.IrpCurrentLocation, (byte)(Guest.Byte(Address + (ulong)Layout.IrpCurrentLocation) + 1));
        Guest.SetPointer(Address + (ulong)Layout.IrpStackLocation, Location + (ulong)Layout.StackSize);
        return (uint)Machine.Io.CallDriver(device, Address);
    }

    /// <summary>IoCopyCurrentIrpStackLocationToNext, IoSetCompletionRoutine for every end when there is one, and IoCallDriver.</summary>
    public uint SendOn(ulong device, ulong completion = 0, ulong context = 0)
    {
        ulong next = Location - (ulong)Layout.StackSize;
        Guest.SetBytes(next, Guest.Bytes(Location, Layout.StackRoutine));
        Guest.SetPointer(next + (ulong)Layout.StackRoutine, completion);
        Guest.SetPointer(next + (ulong)Layout.StackContext, context);
        // SL_INVOKE_ON_CANCEL, _SUCCESS, _ERROR.
        Guest.SetByte(next + 3, (byte)(completion == 0 ? 0 : 0xE0));
        return (uint)Machine.Io.CallDriver(device, Address);
    }

    /// <summary>IoSetCancelRoutine; gives the old one.</summary>
    public ulong SetCancelRoutine(ulong routine)
    {
        ulong at = Address + (ulong)Layout.IrpCancelRoutine, old = Guest.Pointer(at);
        Guest.SetPointer(at, routine);
        return old;
    }

    /// <summary>IoCompleteRequest.</summary>
    public uint Complete(uint status)
    {
        Status = status;
        Machine.Io.Complete(Address);
        return status;
    }
}
