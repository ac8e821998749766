using Emulator.DriverBench.Memory;
using Emulator.DriverBench.Pe;

namespace Emulator.DriverBench.Kernel;

/// <summary>Mm's pageable sections of drivers, NT's variables that drivers read, and what is left of the HAL.</summary>
internal sealed class ImageServices(BenchMachine machine)
{
    private readonly Dictionary<ulong, int> _locks = [];

    public void AddTo(NtServices nt)
    {
        nt.Add("MmLockPagableDataSection", "p", Irql.Apc, a => LockSection(a[0]));
        nt.Add("MmLockPagableSectionByHandle", "p", Irql.Apc, a => LockSection(a[0]));
        nt.Add("MmUnlockPagableImageSection", "p", Irql.Apc, a => UnlockSection(a[0]));
        // Pageable is what the sections' names say; all of a driver becomes so only in NT's own memory pressure.
        nt.Add("MmPageEntireDriver", "p", Irql.Apc, a => BaseOf(a[0]));
        nt.Add("MmResetDriverPaging", "p", Irql.Apc, _ => 0);
        nt.Add("HalMakeBeep", "u", Irql.High, a =>
        {
            machine.Printed.Add(a[0] == 0 ? "the speaker is silent" : $"the speaker sounds at {a[0]} Hz");
            return 1;
        });
        // No debugger's port; no code page of several bytes; one processor; no safe mode.
        AddVariable("KdComPortInUse", 0);
        foreach (string type in (string[])["IoFileObjectType", "IoDeviceObjectType", "IoDriverObjectType", "ExEventObjectType", "PsThreadType"])
        {
            AddVariable(type, machine.AllocateKernel(0x100, type));
        }
        nt.AddVariable("KeTickCount", machine.SharedDataAddress + 0x320);
        AddVariable("NlsMbCodePageTag", 0);
        AddVariable("KeNumberProcessors", 1);
        AddVariable("InitSafeBootMode", 0);
        AddVariable("KdDebuggerEnabled", 0);
        AddVariable("KdDebuggerNotPresent", 1);
        AddVariable("MmHighestUserAddress", machine.Is64Bit ? 0x7FF_FFFE_FFFFul : 0x7FFE_FFFF);
        AddVariable("MmUserProbeAddress", machine.Is64Bit ? 0x7FF_FFFF_0000ul : 0x7FFF_0000);

        void AddVariable(string name, ulong value)
        {
            machine.Guest.SetPointer(nt.AddVariable(name), value);
        }
    }

    private ulong BaseOf(ulong address) => Find(address)?.Image.Base ?? 0;

    private (LoadedImage Image, PeSection Section)? Find(ulong address)
    {
        foreach (LoadedDriver driver in machine.Drivers)
        {
            if (!driver.Image.Contains(address)) continue;
            PeSection? section = driver.Image.Image.Sections.FirstOrDefault(s => address - driver.Image.Base - s.Rva < Math.Max(s.Length, 1));
            return section is null ? null : (driver.Image, section);
        }
        return null;
    }

    /// <summary>The section that an address lies in stays in memory. Its handle: its address.</summary>
    private ulong LockSection(ulong address)
    {
        if (Find(address) is not { } found) throw machine.Crash($"a section is to be locked at 0x{address:x}, where no driver is");
        ulong start = found.Image.Base + found.Section.Rva;
        _locks[start] = _locks.GetValueOrDefault(start) + 1;
        if (found.Section.Length > 0) machine.Space.Protect(start, found.Section.Length, found.Section.Protection & ~Protection.Pageable);
        machine.Space.DiscardDecodedCode();
        return start;
    }

    private ulong UnlockSection(ulong handle)
    {
        if (!_locks.TryGetValue(handle, out int count) || Find(handle) is not { } found)
        {
            machine.Report(Rule.Handle, $"MmUnlockPagableImageSection of 0x{handle:x}, which is not locked");
            return 0;
        }
        if (count > 1)
        {
            _locks[handle] = count - 1;
            return 0;
        }
        _locks.Remove(handle);
        if (found.Section.Length > 0) machine.Space.Protect(handle, found.Section.Length, found.Section.Protection);
        machine.Space.DiscardDecodedCode();
        return 0;
    }
}
