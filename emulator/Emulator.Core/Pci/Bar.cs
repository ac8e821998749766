using System.Buffers.Binary;
using System.Numerics;
using Emulator.Memory;
using Emulator.Registers;

namespace Emulator.Pci;

public enum BarKind : byte { Io, Memory32, Memory64 }

/// <summary>A part of a BAR: registers or RAM.</summary>
/// <param name="Offset">Bytes from the start of the BAR.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Bank">The registers, or null where it is RAM.</param>
/// <param name="IsMappable">RAM a client may map into its guest, whole pages.</param>
public sealed record BarWindow(ulong Offset, ulong Length, RegisterBank? Bank, bool IsMappable);

/// <summary>
/// A base address register's region: windows of registers and RAM. Where no window is, reads give <see cref="Unmapped"/>.
/// </summary>
public sealed class Bar
{
    private const ulong Page = 4096;

    private readonly List<BarWindow> _windows = [];
    private readonly Func<int, BarMemory> _createMemory;
    private readonly Action<int> _refused;
    private RegisterBank? _only;

    internal Bar(int index, BarKind kind, ulong size, bool prefetchable, Func<int, BarMemory> createMemory, Action<int> refused)
    {
        ulong smallest = kind == BarKind.Io ? 4u : 16u, largest = kind switch { BarKind.Io => 256, BarKind.Memory32 => 1u << 31, _ => 1UL << 40 };
        if (!BitOperations.IsPow2(size) || size < smallest || size > largest)
            throw new ArgumentException($"BAR{index}: {size} bytes is not a power of two from {smallest} to {largest}.", nameof(size));
        (Index, Kind, Size, IsPrefetchable, _createMemory, _refused) = (index, kind, size, prefetchable, createMemory, refused);
    }

    public int Index { get; }
    public BarKind Kind { get; }

    /// <summary>Bytes: a power of two.</summary>
    public ulong Size { get; }
    public bool IsPrefetchable { get; }

    /// <summary>Sorted by offset.</summary>
    public IReadOnlyList<BarWindow> Windows => _windows;

    /// <summary>The bytes behind the RAM windows, at the BAR's own offsets; null in a BAR without RAM.</summary>
    public BarMemory? Memory { get; private set; }

    /// <summary>What each byte of a read returns where no window is: I/O floats high, memory reads zero.</summary>
    public byte Unmapped => Kind == BarKind.Io ? (byte)0xff : (byte)0;

    /// <summary>Puts registers at an offset.</summary>
    public Bar Add(ulong offset, RegisterBank bank)
    {
        Insert(new BarWindow(offset, (ulong)bank.Length, bank, IsMappable: false));
        bank.Seal();
        bank.Refused = _refused;
        _only = _windows.Count == 1 && offset == 0 ? bank : null;
        return this;
    }

    /// <summary>Puts RAM at an offset.</summary>
    /// <param name="mappable">Lets a client map it into its guest, so that accesses no longer arrive here; needs whole pages.</param>
    public Bar AddRam(ulong offset, ulong length, bool mappable = false)
    {
        if (mappable && (offset % Page != 0 || length % Page != 0))
            throw new ArgumentException($"BAR{Index}: mappable RAM at 0x{offset:x}, 0x{length:x} bytes, is not whole pages of 4096.", nameof(length));
        if (Size > int.MaxValue) throw new ArgumentException($"BAR{Index}: RAM needs a BAR of at most 1 GiB.", nameof(length));
        Insert(new BarWindow(offset, length, null, mappable));
        Memory ??= _createMemory((int)Size);
        _only = null;
        return this;
    }

    /// <summary>A guest read of 1, 2, 4 or 8 bytes.</summary>
    public ulong Read(ulong offset, int size)
    {
        if (_only is { } bank && Covers(bank, offset, size)) return bank.Read((int)offset, size);
        if (FindWindow(offset, size) is { } window)
            return window.Bank is { } registers ? registers.Read((int)(offset - window.Offset), size) : ReadRam(offset, size);
        return Pieces(offset, size);
    }

    /// <summary>What a read would see, without its side effects.</summary>
    public ulong Peek(ulong offset, int size)
    {
        ulong value = 0;
        for (int i = 0; i < size; i++)
        {
            ulong one = Unmapped;
            if (FindWindow(offset + (ulong)i, 1) is { } window)
                one = window.Bank is { } registers ? registers.Peek((int)(offset - window.Offset) + i, 1) : ReadRam(offset + (ulong)i, 1);
            value |= one << (i * 8);
        }
        return value;
    }

    /// <summary>A guest write of 1, 2, 4 or 8 bytes.</summary>
    public void Write(ulong offset, int size, ulong value)
    {
        if (_only is { } bank && Covers(bank, offset, size))
        {
            bank.Write((int)offset, size, value);
        }
        else if (FindWindow(offset, size) is { } window)
        {
            if (window.Bank is { } registers) registers.Write((int)(offset - window.Offset), size, value);
            else WriteRam(offset, size, value);
        }
        else if (size > 1)
        {
            int half = size / 2;
            Write(offset, half, value & (ulong.MaxValue >> (64 - (half * 8))));
            Write(offset + (ulong)half, half, value >> (half * 8));
        }
    }

    /// <summary>The RAM at a range that lies within one RAM window, for bulk copies.</summary>
    public bool TryGetRam(ulong offset, int length, out Span<byte> ram)
    {
        if (FindWindow(offset, length) is { Bank: null })
        {
            ram = Memory!.Span.Slice((int)offset, length);
            return true;
        }
        ram = default;
        return false;
    }

    internal void Reset(bool keepSticky)
    {
        foreach (BarWindow window in _windows) window.Bank?.Reset(keepSticky);
    }

    private void Insert(BarWindow window)
    {
        if (window.Length == 0 || window.Offset > Size || window.Length > Size - window.Offset)
            throw new ArgumentException($"BAR{Index}: 0x{window.Length:x} bytes at 0x{window.Offset:x} do not fit 0x{Size:x} bytes.", nameof(window));
        if (_windows.Find(w => window.Offset < w.Offset + w.Length && w.Offset < window.Offset + window.Length) is { } other)
            throw new ArgumentException($"BAR{Index}: the window at 0x{window.Offset:x} overlaps the one at 0x{other.Offset:x}.", nameof(window));
        _windows.Add(window);
        _windows.Sort((a, b) => a.Offset.CompareTo(b.Offset));
    }

    private static bool Covers(RegisterBank bank, ulong offset, int size)
        => offset < (ulong)bank.Length && size <= bank.Length - (int)offset;

    private BarWindow? FindWindow(ulong offset, int length)
    {
        foreach (BarWindow window in _windows)
        {
            ulong within = offset - window.Offset;
            if (offset >= window.Offset && within < window.Length && (ulong)length <= window.Length - within) return window;
        }
        return null;
    }

    // An access across the edge of a window falls apart into halves, as a bus splits it.
    private ulong Pieces(ulong offset, int size)
    {
        if (size == 1) return Unmapped;
        int half = size / 2;
        return Read(offset, half) | Read(offset + (ulong)half, half) << (half * 8);
    }

    private ulong ReadRam(ulong offset, int size)
    {
        ReadOnlySpan<byte> at = Memory!.Span[(int)offset..];
        return size switch
        {
            1 => at[0],
            2 => BinaryPrimitives.ReadUInt16LittleEndian(at),
            4 => BinaryPrimitives.ReadUInt32LittleEndian(at),
            _ => BinaryPrimitives.ReadUInt64LittleEndian(at),
        };
    }

    private void WriteRam(ulong offset, int size, ulong value)
    {
        Span<byte> at = Memory!.Span[(int)offset..];
        switch (size)
        {
            case 1: at[0] = (byte)value; break;
            case 2: BinaryPrimitives.WriteUInt16LittleEndian(at, (ushort)value); break;
            case 4: BinaryPrimitives.WriteUInt32LittleEndian(at, (uint)value); break;
            default: BinaryPrimitives.WriteUInt64LittleEndian(at, value); break;
        }
    }
}
