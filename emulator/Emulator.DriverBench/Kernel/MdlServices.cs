using Emulator.DriverBench.Pe;

namespace Emulator.DriverBench.Kernel;

/// <summary>Memory descriptor lists. All memory of the bench is the system's own, so a buffer is mapped where it is.</summary>
internal sealed class MdlServices(BenchMachine machine)
{
    private const ushort Mapped = 1, Locked = 2, NonPaged = 4;
    private readonly Dictionary<ulong, ulong> _mdls = [];

    private GuestMemory Guest => machine.Guest;

    // MDL: Next, Size, MdlFlags, Process, MappedSystemVa, StartVa, ByteCount, ByteOffset; behind it the pages.
    private ulong SizeAt => machine.Is64Bit ? 8u : 4;
    private ulong FlagsAt => machine.Is64Bit ? 0xAu : 6;
    private ulong MappedAt => machine.Is64Bit ? 0x18u : 0xC;
    private ulong StartAt => machine.Is64Bit ? 0x20u : 0x10;
    private ulong CountAt => machine.Is64Bit ? 0x28u : 0x14;
    private ulong OffsetAt => machine.Is64Bit ? 0x2Cu : 0x18;
    private ulong HeaderSize => machine.Is64Bit ? 0x30u : 0x1C;

    public void AddTo(NtServices nt)
    {
        nt.Add("MmSizeOfMdl", "pp", Irql.High, a => Size(a[0], a[1]));
        nt.Add("IoAllocateMdl", "pubbp", Irql.Dispatch, a => Allocate(a[0], (uint)a[1], a[2] != 0, a[4]), exhausted: 0);
        nt.Add("IoFreeMdl", "p", Irql.Dispatch, a => Free(a[0]));
        nt.Add("IoBuildPartialMdl", "pppu", Irql.Dispatch, a => BuildPartial(a[0], a[1], a[2], (uint)a[3]));
        nt.Add("MmBuildMdlForNonPagedPool", "p", Irql.Dispatch, a => Change(a[0], NonPaged, on: true, map: true));
        nt.Add("MmProbeAndLockPages", "pbu", Irql.Dispatch, a => Lock(a[0]));
        nt.Add("MmUnlockPages", "p", Irql.Dispatch, a => Unlock(a[0]));
        nt.Add("MmMapLockedPages", "pb", Irql.Dispatch, a => Map(a[0]), exhausted: 0);
        nt.Add("MmMapLockedPagesSpecifyCache", "pbupuu", Irql.Dispatch, a => Map(a[0]), exhausted: 0);
        nt.Add("MmUnmapLockedPages", "pp", Irql.Dispatch, a => Change(a[1], Mapped, on: false, map: false));
        nt.Add("MmGetPhysicalAddress", "p", Irql.Dispatch, a => machine.Dma.PhysicalOf(a[0]));
    }

    /// <summary>A list for a buffer that the I/O manager has locked.</summary>
    public ulong Create(ulong buffer, uint length)
    {
        ulong mdl = machine.AllocateKernel((int)Size(buffer, length), "MDL");
        Fill(mdl, buffer, length);
        Guest.SetU16(mdl + FlagsAt, Locked);
        return mdl;
    }

    /// <summary>A driver goes: the lists it made are left behind.</summary>
    public void CheckLeaks(LoadedImage image)
    {
        foreach ((ulong mdl, ulong owner) in _mdls.Where(m => image.Contains(m.Value)).ToList())
        {
            machine.ReportAt(Rule.Leak, $"{image.ModuleName} is unloaded and leaves the MDL 0x{mdl:x}", owner);
            _mdls.Remove(mdl);
        }
    }

    private ulong Size(ulong at, ulong length) => HeaderSize + (((at & 0xFFF) + length + 0xFFF) / 0x1000 * (ulong)machine.Layout.Pointer);

    private void Fill(ulong mdl, ulong at, uint length)
    {
        Guest.SetU16(mdl + SizeAt, (ushort)Size(at, length));
        Guest.SetPointer(mdl + StartAt, at & ~0xFFFul);
        Guest.SetU32(mdl + CountAt, length);
        Guest.SetU32(mdl + OffsetAt, (uint)at & 0xFFF);
        for (ulong i = 0; i < (Size(at, length) - HeaderSize) / (ulong)machine.Layout.Pointer; i++)
        {
            Guest.SetPointer(mdl + HeaderSize + (i * (ulong)machine.Layout.Pointer), machine.Dma.PhysicalOf((at & ~0xFFFul) + (i * 0x1000)) / 0x1000);
        }
    }

    private ulong Allocate(ulong at, uint length, bool secondary, ulong irp)
    {
        ulong mdl = machine.AllocateKernel((int)Size(at, length), "MDL");
        Fill(mdl, at, length);
        _mdls[mdl] = machine.CallerAddress;
        if (irp == 0) return mdl;
        ulong link = irp + (ulong)machine.Layout.Pointer;
        if (secondary) link = Guest.Chain(Guest.Pointer(link), 0).Prepend(link).Last();
        Guest.SetPointer(link, mdl);
        return mdl;
    }

    private ulong Free(ulong mdl)
    {
        if (!_mdls.Remove(mdl)) throw machine.Crash($"IoFreeMdl of 0x{mdl:x}, which is no MDL of a driver's");
        if ((Guest.U16(mdl + FlagsAt) & Locked) != 0) machine.Report(Rule.Pool, "an MDL is freed with its pages locked");
        machine.FreeKernel(mdl, "MDL");
        return 0;
    }

    private ulong BuildPartial(ulong source, ulong target, ulong at, uint length)
    {
        ulong start = Guest.Pointer(source + StartAt) + Guest.U32(source + OffsetAt);
        Fill(target, at, length != 0 ? length : (uint)(start + Guest.U32(source + CountAt) - at));
        Guest.SetU16(target + FlagsAt, (ushort)(Guest.U16(source + FlagsAt) & (NonPaged | Mapped)));
        Guest.SetPointer(target + MappedAt, at);
        return 0;
    }

    private ulong Change(ulong mdl, ushort flag, bool on, bool map)
    {
        ushort flags = Guest.U16(mdl + FlagsAt);
        Guest.SetU16(mdl + FlagsAt, (ushort)(on ? flags | flag : flags & ~flag));
        if (map) Guest.SetPointer(mdl + MappedAt, Guest.Pointer(mdl + StartAt) + Guest.U32(mdl + OffsetAt));
        return 0;
    }

    private ulong Lock(ulong mdl)
    {
        if ((Guest.U16(mdl + FlagsAt) & Locked) != 0) machine.Report(Rule.Pool, "the pages of an MDL are locked twice");
        return Change(mdl, Locked, on: true, map: false);
    }

    private ulong Unlock(ulong mdl)
    {
        if ((Guest.U16(mdl + FlagsAt) & Locked) == 0) machine.Report(Rule.Pool, "the pages of an MDL are unlocked that were not locked");
        return Change(mdl, Locked | Mapped, on: false, map: false);
    }

    private ulong Map(ulong mdl)
    {
        if ((Guest.U16(mdl + FlagsAt) & (Locked | NonPaged)) == 0) machine.Report(Rule.Pool, "an MDL is mapped whose pages are not locked");
        Change(mdl, Mapped, on: true, map: true);
        return Guest.Pointer(mdl + MappedAt);
    }
}
