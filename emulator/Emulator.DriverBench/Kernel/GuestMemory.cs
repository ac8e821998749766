using System.Text;
using Emulator.DriverBench.Memory;
using Emulator.Memory;
using Emulator.Turns;

namespace Emulator.DriverBench.Kernel;

/// <summary>The bench's physical memory, which devices reach by DMA. Pages from 1 MiB on; address 0 is nobody's.</summary>
public sealed class PhysicalMemory
{
    private readonly SortedSet<int> _free;
    private readonly bool[] _taken;

    internal PhysicalMemory(int length)
    {
        Backing = new RamBacking(length);
        _free = new SortedSet<int>(Enumerable.Range(0, length / AddressSpace.PageSize));
        _taken = new bool[length / AddressSpace.PageSize];
    }

    public const ulong Base = 0x10_0000;

    internal RamBacking Backing { get; }

    /// <summary>Adjoining pages. Their first physical address; 0 when there are none.</summary>
    internal ulong Allocate(int pages)
    {
        int run = 0, previous = -2;
        foreach (int page in _free)
        {
            run = page == previous + 1 ? run + 1 : 1;
            previous = page;
            if (run < pages) continue;
            for (int i = 0; i < pages; i++) (_taken[page - i], _) = (true, _free.Remove(page - i));
            return Base + (ulong)((page - pages + 1) * AddressSpace.PageSize);
        }
        return 0;
    }

    internal void Free(ulong address, int pages)
    {
        int first = (int)(address - Base) / AddressSpace.PageSize;
        for (int page = first; page < first + pages; page++) (_taken[page], _) = (false, _free.Add(page));
    }

    /// <summary>What a device reaches: only pages that were allocated.</summary>
    internal bool TryView(ulong address, int length, out Span<byte> view)
    {
        view = default;
        ulong size = (ulong)Backing.Bytes.Length;
        if (length < 0 || address < Base || address - Base > size || (ulong)length > size - (address - Base)) return false;
        int start = (int)(address - Base);
        for (int page = start / AddressSpace.PageSize; page * AddressSpace.PageSize < start + length; page++)
        {
            if (!_taken[page]) return false;
        }
        view = Backing.Bytes.AsSpan(start, length);
        return true;
    }
}

/// <summary>
/// Structures in a driver's memory, read and written by the bench. A bad address is the driver's: an exception that it may handle, or the machine's end.
/// </summary>
internal sealed class GuestMemory(AddressSpace space, NtLayout layout, Func<string, BugCheckException> fail, Func<MemoryFault, Exception> refused)
{
    /// <summary>More bytes than any range of the machine's memory has in one piece.</summary>
    public const int Most = 0x1000_0000;

    private const int LongestChain = 0x1_0000;

    public byte Byte(ulong at) => space.TryRead8(at, out byte value) ? value : throw Bad();
    public ushort U16(ulong at) => space.TryRead16(at, out ushort value) ? value : throw Bad();
    public uint U32(ulong at) => space.TryRead32(at, out uint value) ? value : throw Bad();
    public ulong U64(ulong at) => space.TryRead64(at, out ulong value) ? value : throw Bad();
    public ulong Pointer(ulong at) => space.TryReadPointer(at, out ulong value) ? value : throw Bad();

    public void SetByte(ulong at, byte value) => Check(space.TryWrite8(at, value));
    public void SetU16(ulong at, ushort value) => Check(space.TryWrite16(at, value));
    public void SetU32(ulong at, uint value) => Check(space.TryWrite32(at, value));
    public void SetU64(ulong at, ulong value) => Check(space.TryWrite64(at, value));
    public void SetPointer(ulong at, ulong value) => Check(space.TryWritePointer(at, value));

    /// <summary>A length that no memory of the machine has is the driver's, too: it ends the machine before the host makes room for it.</summary>
    public byte[] Bytes(ulong at, int length)
    {
        if (length is < 0 or > Most) throw fail($"0x{length:x} bytes at 0x{at:x}, which are more than there are");
        var bytes = new byte[length];
        Check(space.TryReadBytes(at, bytes));
        return bytes;
    }

    public void SetBytes(ulong at, ReadOnlySpan<byte> bytes) => Check(space.TryWriteBytes(at, bytes));

    public string UnicodeString(ulong at)
    {
        int length = U16(at);
        return length == 0 ? "" : Encoding.Unicode.GetString(Bytes(Pointer(at + (ulong)layout.StringBuffer), length));
    }

    /// <summary>An ANSI_STRING, as Latin-1.</summary>
    public string AnsiString(ulong at)
    {
        int length = U16(at);
        return length == 0 ? "" : Encoding.Latin1.GetString(Bytes(Pointer(at + (ulong)layout.StringBuffer), length));
    }

    /// <summary>The elements of a list that ends with 0. One that never ends is the driver's, too.</summary>
    /// <param name="first">Its first element, or 0.</param>
    /// <param name="link">Where in an element the next one's address lies.</param>
    public IEnumerable<ulong> Chain(ulong first, ulong link)
    {
        int count = 0;
        for (ulong at = first; at != 0; at = Pointer(at + link))
        {
            if (++count > LongestChain) throw fail($"the list at 0x{first:x} has no end");
            yield return at;
        }
    }

    /// <summary>Points a UNICODE_STRING at characters with a zero behind them.</summary>
    public void SetUnicodeString(ulong at, ulong buffer, string text)
    {
        SetBytes(buffer, Encoding.Unicode.GetBytes(text + "\0"));
        SetU16(at, (ushort)(text.Length * 2));
        SetU16(at + 2, (ushort)((text.Length * 2) + 2));
        SetPointer(at + (ulong)layout.StringBuffer, buffer);
    }

    private void Check(bool done)
    {
        if (!done) throw Bad();
    }

    private Exception Bad() => refused(space.LastFault);
}

/// <summary>The physical memory as one function's DMA sees it.</summary>
internal sealed class DmaMemory(PhysicalMemory memory, IMailbox mailbox, Action<ulong, int> refused) : LocalGuestMemory(mailbox)
{
    public override bool TryView(ulong address, int length, bool writable, out Span<byte> view)
    {
        if (memory.TryView(address, length, out view)) return true;
        refused(address, length);
        return false;
    }
}
