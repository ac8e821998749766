using System.Text;
using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Memory;

namespace Emulator.DriverBench.Kernel;

/// <summary>Ex (pool), Rtl, the C library and Dbg: each allocation lies against an unmapped page, and stays a guard when freed.</summary>
internal sealed class MemoryServices(BenchMachine machine)
{
    private readonly Dictionary<ulong, Block> _pool = [];
    private readonly Dictionary<ulong, Block> _freed = [];
    private static readonly System.Buffers.SearchValues<char> Conversions = System.Buffers.SearchValues.Create("diuxXpscSZ%");
    private readonly Random _fill = new(1);

    public void AddTo(NtServices nt)
    {
        nt.Add("ExAllocatePoolWithTag", "upu", Irql.Dispatch, a => Allocate(a[0], a[1], (uint)a[2]), exhausted: 0);
        nt.Add("ExFreePoolWithTag", "pu", Irql.Dispatch, a => Free(a[0]));
        nt.Add("ExFreePool", "p", Irql.Dispatch, a => Free(a[0]));
        nt.Add("RtlInitUnicodeString", "pp", Irql.High, a => InitializeString(a[0], a[1]));
        nt.Add("RtlFreeUnicodeString", "p", Irql.Passive, a => FreeString(a[0]));
        nt.Add("RtlCopyUnicodeString", "pp", Irql.High, a => CopyString(a[0], a[1]));
        nt.Add("memcpy", "ppp", Irql.High, a => Copy(a[0], a[1], a[2]), CallConvention.Cdecl);
        nt.Add("memmove", "ppp", Irql.High, a => Copy(a[0], a[1], a[2]), CallConvention.Cdecl);
        nt.Add("memset", "pbp", Irql.High, a => Fill(a[0], (byte)a[1], a[2]), CallConvention.Cdecl);
        nt.Add("DbgPrint", "ppppp", Irql.Device, Print, CallConvention.Cdecl);
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

    private ulong InitializeString(ulong target, ulong source)
    {
        string text = source == 0 ? "" : machine.Space.ReadString16(source, 0x7FFF) ?? throw machine.Crash($"no string at 0x{source:x}");
        machine.Guest.SetU16(target, (ushort)(text.Length * 2));
        machine.Guest.SetU16(target + 2, (ushort)(source == 0 ? 0 : (text.Length * 2) + 2));
        machine.Guest.SetPointer(target + (ulong)machine.Layout.StringBuffer, source);
        return 0;
    }

    private ulong FreeString(ulong target)
    {
        ulong buffer = machine.Guest.Pointer(target + (ulong)machine.Layout.StringBuffer);
        if (buffer != 0) Free(buffer);
        machine.Guest.SetU32(target, 0);
        machine.Guest.SetPointer(target + (ulong)machine.Layout.StringBuffer, 0);
        return 0;
    }

    private ulong CopyString(ulong target, ulong source)
    {
        int length = source == 0 ? 0 : Math.Min(machine.Guest.U16(source), machine.Guest.U16(target + 2));
        if (length > 0)
        {
            byte[] bytes = machine.Guest.Bytes(machine.Guest.Pointer(source + (ulong)machine.Layout.StringBuffer), length);
            machine.Guest.SetBytes(machine.Guest.Pointer(target + (ulong)machine.Layout.StringBuffer), bytes);
        }
        machine.Guest.SetU16(target, (ushort)length);
        return 0;
    }

    private ulong Copy(ulong target, ulong source, ulong length)
    {
        if (length > int.MaxValue) throw machine.Crash($"a copy of 0x{length:x} bytes");
        machine.Guest.SetBytes(target, machine.Guest.Bytes(source, (int)length));
        return target;
    }

    private ulong Fill(ulong target, byte value, ulong length)
    {
        if (length > int.MaxValue) throw machine.Crash($"a fill of 0x{length:x} bytes");
        var bytes = new byte[length];
        bytes.AsSpan().Fill(value);
        machine.Guest.SetBytes(target, bytes);
        return target;
    }

    /// <summary>Replaces %wZ, %s, %d, %u, %x and %p; up to four arguments.</summary>
    private ulong Print(ulong[] a)
    {
        string format = machine.Space.ReadString8(a[0]) ?? throw machine.Crash($"no format at 0x{a[0]:x}");
        var text = new StringBuilder();
        int next = 1;
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%') { text.Append(format[i]); continue; }
            int end = format.AsSpan(i + 1).IndexOfAny(Conversions) + i + 1;
            if (end == i) { text.Append(format.AsSpan(i)); break; }
            ulong value = format[end] == '%' || next >= a.Length ? 0 : a[next++];
            text.Append(format[end] switch
            {
                '%' => "%",
                'd' or 'i' => ((int)value).ToString(System.Globalization.CultureInfo.InvariantCulture),
                'u' => ((uint)value).ToString(System.Globalization.CultureInfo.InvariantCulture),
                'x' or 'X' => $"{(uint)value:x}",
                'p' => $"{value:x}",
                'c' => $"{(char)(byte)value}",
                's' => machine.Space.ReadString8(value) ?? "?",
                'S' => machine.Space.ReadString16(value) ?? "?",
                _ => machine.Guest.UnicodeString(value),
            });
            i = end;
        }
        machine.Printed.Add(text.ToString().TrimEnd('\n'));
        return 0;
    }

    private sealed record Block(ulong Size, uint Tag, ulong Owner);
}
