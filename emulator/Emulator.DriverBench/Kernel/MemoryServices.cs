using System.Text;
using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Memory;

namespace Emulator.DriverBench.Kernel;

/// <summary>Ex's pool, and moving memory: each allocation lies against an unmapped page, and stays a guard when freed.</summary>
internal sealed class MemoryServices(BenchMachine machine)
{
    private readonly Dictionary<ulong, Block> _pool = [];
    private readonly Dictionary<ulong, Block> _freed = [];
    private readonly Random _fill = new(1);

    public void AddTo(NtServices nt)
    {
        nt.Add("ExAllocatePoolWithTag", "upu", Irql.Dispatch, a => Allocate(a[0], a[1], (uint)a[2]), exhausted: 0);
        nt.Add("ExAllocatePool", "up", Irql.Dispatch, a => Allocate(a[0], a[1], 0), exhausted: 0);
        nt.Add("ExAllocatePoolWithQuotaTag", "upu", Irql.Dispatch, a => Allocate(a[0] & ~8ul, a[1], (uint)a[2]), exhausted: 0);
        nt.Add("ExAllocatePool2", "qpu", Irql.Dispatch, a => AllocateByFlags(a[0], a[1], (uint)a[2]), exhausted: 0);
        nt.Add("ExFreePoolWithTag", "pu", Irql.Dispatch, a => Free(a[0]));
        nt.Add("ExFreePool", "p", Irql.Dispatch, a => Free(a[0]));
        nt.Add("memcpy", "ppp", Irql.High, a => Copy(a[0], a[1], a[2]), CallConvention.Cdecl);
        nt.Add("memmove", "ppp", Irql.High, a => Copy(a[0], a[1], a[2]), CallConvention.Cdecl);
        nt.Add("RtlMoveMemory", "ppp", Irql.High, a => Copy(a[0], a[1], a[2]));
        nt.Add("RtlCopyMemory", "ppp", Irql.High, a => Copy(a[0], a[1], a[2]));
        nt.Add("RtlZeroMemory", "pp", Irql.High, a => Fill(a[0], 0, a[1]));
        nt.Add("RtlFillMemory", "ppb", Irql.High, a => Fill(a[0], (byte)a[2], a[1]));
        nt.Add("RtlAssert", "ppup", Irql.High, a => throw machine.Crash($"an assertion failed: {machine.Space.ReadString8(a[0])}"));
        nt.Add("DbgBreakPoint", "", Irql.High, _ => throw machine.Crash("DbgBreakPoint, and no debugger"));
        nt.Add("KeBugCheck", "u", Irql.High, a => throw machine.Crash($"KeBugCheck 0x{a[0]:x}"));
        nt.Add("memset", "pbp", Irql.High, a => Fill(a[0], (byte)a[1], a[2]), CallConvention.Cdecl);
        nt.Add("KeBugCheckEx", "upppp", Irql.High,
            a => throw machine.Crash($"KeBugCheckEx 0x{a[0]:x} (0x{a[1]:x}, 0x{a[2]:x}, 0x{a[3]:x}, 0x{a[4]:x})"));
    }

    /// <summary>Pool of the driver that is calling; 0 when there is none left.</summary>
    public ulong Allocate(ulong type, ulong size, uint tag)
    {
        // PagedPool is 1; the other bits choose flavours.
        if ((type & 1) != 0 && machine.CurrentIrql >= Irql.Dispatch) machine.Report(Rule.Irql, $"paged pool asked for at IRQL {machine.CurrentIrql}");
        if (size == 0) machine.Report(Rule.Pool, "an allocation of 0 bytes");
        uint alignment = machine.Is64Bit ? 16u : 8u;
        string name = $"pool '{TagText(tag)}', {size} bytes";
        if (machine.Kernel.AllocateBlock(size, alignment, name, guardBefore: false, out ulong address) is not { } region) return 0;
        var bytes = new byte[region.End - region.Address];
        _fill.NextBytes(bytes);
        bytes.AsSpan((int)(address + size - region.Address)).Fill(0xBD);
        machine.Guest.SetBytes(region.Address, bytes);
        if ((type & 1) != 0) machine.Space.Protect(region.Address, region.Length, Protection.ReadWrite | Protection.Pageable);
        _pool[address] = new Block(size, tag, machine.CallerAddress);
        return address;
    }

    /// <summary>POOL_FLAG_UNINITIALIZED 2, _NON_PAGED 0x40, _NON_PAGED_EXECUTE 0x80, _PAGED 0x100.</summary>
    private ulong AllocateByFlags(ulong flags, ulong size, uint tag)
    {
        ulong address = Allocate((flags & 0x100) != 0 ? 1u : 0, size, tag);
        if (address != 0 && (flags & 2) == 0) machine.Guest.SetBytes(address, new byte[size]);
        return address;
    }

    public ulong Free(ulong address)
    {
        if (!_pool.Remove(address, out Block? block))
        {
            machine.Report(Rule.Pool, _freed.TryGetValue(address, out Block? old)
                ? $"pool '{TagText(old.Tag)}' at 0x{address:x} freed twice; allocated by {machine.Symbols.Describe(old.Owner)}"
                : $"0x{address:x} freed, which is no pool");
            return 0;
        }
        MemoryRegion region = machine.Space.RegionAt(address)!;
        if (machine.CurrentIrql >= Irql.Dispatch && machine.Space.IsPageable(address))
        {
            machine.Report(Rule.Irql, $"paged pool freed at IRQL {machine.CurrentIrql}");
        }
        machine.Space.Protect(region.Address, region.Length, Protection.ReadWrite);
        int slack = (int)(region.End - address - block.Size);
        if (slack > 0 && machine.Guest.Bytes(address + block.Size, slack).Any(b => b != 0xBD))
        {
            machine.Report(Rule.Pool, $"pool '{TagText(block.Tag)}' written past its {block.Size} bytes; allocated by {machine.Symbols.Describe(block.Owner)}");
        }
        machine.Time.Forget(address, block.Size, "pool");
        machine.Kernel.Retire(region, $"freed pool '{TagText(block.Tag)}'");
        _freed[address] = block;
        return 0;
    }

    /// <summary>Pool whose allocation was called for by this driver.</summary>
    public void CheckLeaks(LoadedDriver driver)
    {
        foreach ((ulong address, Block block) in _pool)
        {
            if (!driver.Image.Contains(block.Owner)) continue;
            machine.ReportAt(Rule.Leak, $"{driver.Name} is unloaded and leaves pool '{TagText(block.Tag)}', {block.Size} bytes at 0x{address:x}", block.Owner);
        }
    }

    private static string TagText(uint tag) => tag == 0 ? "none" : Encoding.Latin1.GetString(BitConverter.GetBytes(tag));

    private ulong Copy(ulong target, ulong source, ulong length)
    {
        if (length > GuestMemory.Most) throw machine.Crash($"a copy of 0x{length:x} bytes");
        machine.Guest.SetBytes(target, machine.Guest.Bytes(source, (int)length));
        return target;
    }

    private ulong Fill(ulong target, byte value, ulong length)
    {
        if (length > GuestMemory.Most) throw machine.Crash($"a fill of 0x{length:x} bytes");
        var bytes = new byte[length];
        bytes.AsSpan().Fill(value);
        machine.Guest.SetBytes(target, bytes);
        return target;
    }

    private sealed record Block(ulong Size, uint Tag, ulong Owner);
}
