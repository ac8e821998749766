namespace Emulator.DriverBench.Kernel;

/// <summary>What drivers ask of the system as a whole: its version, its one processor, who makes a request; and its log of errors.</summary>
internal sealed class SystemServices(BenchMachine machine)
{
    // ERROR_LOG_MAXIMUM_SIZE.
    private const ulong LargestEntry = 240;
    private readonly Random _random = new(2);
    private readonly HashSet<ulong> _entries = [];

    private GuestMemory Guest => machine.Guest;

    public void AddTo(NtServices nt)
    {
        nt.Add("RtlGetVersion", "p", Irql.Passive, a => Version(a[0]));
        nt.Add("RtlIsNtDdiVersionAvailable", "u", Irql.Passive, a => (a[0] & 0xFFFF) == 0 && a[0] <= (machine.Is64Bit ? 0x0601_0000u : 0x0502_0000) ? 1u : 0);
        nt.Add("ExUuidCreate", "p", Irql.Passive, a => CreateUuid(a[0]));
        nt.Add("KeQuerySystemTimePrecise", "p", Irql.High, a => { Guest.SetU64(a[0], (ulong)machine.Time.SystemTime); return 0; });
        nt.Add("KeQueryInterruptTimePrecise", "p", Irql.High, a => { Guest.SetU64(a[0], (ulong)machine.Timers.Now); return (ulong)machine.Timers.Now / 100; });
        AddProcessor(nt);
        nt.Add("IoAllocateErrorLogEntry", "pb", Irql.Dispatch, a => AllocateEntry(a[1]), exhausted: 0);
        nt.Add("IoWriteErrorLogEntry", "p", Irql.Dispatch, a => FreeEntry(a[0], "IoWriteErrorLogEntry", written: true));
        nt.Add("IoFreeErrorLogEntry", "p", Irql.Dispatch, a => FreeEntry(a[0], "IoFreeErrorLogEntry", written: false));
    }

    private void AddProcessor(NtServices nt)
    {
        foreach ((string name, string parameters) in new[]
        {
            ("KeQueryActiveProcessors", ""), ("KeQueryActiveProcessorCountEx", "w"), ("KeQueryMaximumProcessorCount", ""),
            ("KeQueryMaximumProcessorCountEx", "w"), ("KeQueryActiveGroupCount", ""), ("KeQueryMaximumGroupCount", ""),
        })
        {
            nt.Add(name, parameters, Irql.High, _ => 1);
        }
        nt.Add("KeQueryActiveProcessorCount", "p", Irql.High, a =>
        {
            if (a[0] != 0) Guest.SetPointer(a[0], 1);
            return 1;
        });
        nt.Add("KeGetCurrentProcessorNumberEx", "p", Irql.High, a =>
        {
            if (a[0] != 0) Guest.SetU32(a[0], 0);
            return 0;
        });
        nt.Add("KeSetSystemAffinityThread", "p", Irql.Dispatch, _ => 0);
        nt.Add("KeRevertToUserAffinityThread", "", Irql.Dispatch, _ => 0);
        nt.Add("KeSetSystemAffinityThreadEx", "p", Irql.Dispatch, _ => 0);
        nt.Add("KeRevertToUserAffinityThreadEx", "p", Irql.Dispatch, _ => 0);
    }

    /// <summary>RTL_OSVERSIONINFOW or the longer RTL_OSVERSIONINFOEXW: 6.1 on x64, 5.2 on x86, as the layouts are.</summary>
    private ulong Version(ulong at)
    {
        const int shorter = 0x114, longer = 0x11C;
        uint size = Guest.U32(at);
        Guest.SetBytes(at, new byte[size == longer ? longer : shorter]);
        ReadOnlySpan<uint> fields = machine.Is64Bit ? [size, 6, 1, 7601, 2] : [size, 5, 2, 3790, 2];
        for (int i = 0; i < fields.Length; i++) Guest.SetU32(at + (ulong)(i * 4), fields[i]);
        return NtStatus.Success;
    }

    /// <summary>A random UUID (RFC 9562, version 4), the same in every run.</summary>
    private ulong CreateUuid(ulong at)
    {
        var bytes = new byte[16];
        _random.NextBytes(bytes);
        bytes[7] = (byte)((bytes[7] & 0x0F) | 0x40);
        bytes[8] = (byte)((bytes[8] & 0x3F) | 0x80);
        Guest.SetBytes(at, bytes);
        return NtStatus.Success;
    }

    private ulong AllocateEntry(ulong size)
    {
        if (size > LargestEntry) return 0;
        ulong entry = machine.AllocateKernel((int)Math.Max(size, 0x30), "error log entry");
        _entries.Add(entry);
        return entry;
    }

    private ulong FreeEntry(ulong entry, string function, bool written)
    {
        if (!_entries.Remove(entry)) throw machine.Crash($"{function} of 0x{entry:x}, which is no error log entry");
        // IO_ERROR_LOG_PACKET: ErrorCode, UniqueErrorValue, FinalStatus.
        if (written) machine.Printed.Add($"error log: 0x{Guest.U32(entry + 0xC):x8}, value {Guest.U32(entry + 0x10)}, status 0x{Guest.U32(entry + 0x14):x8}");
        machine.FreeKernel(entry, "error log entry");
        return 0;
    }
}
