using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Client;

/// <summary>The memory a client has offered, by DMA address, for requests that come as messages. Safe for several threads.</summary>
internal sealed class DmaTable : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<Range> _ranges = [];

    /// <summary>Adds a range; false when it overlaps another. The mapping is then the table's to dispose.</summary>
    internal bool TryAdd(ulong address, Memory<byte> memory, MappedMemory? mapping, DmaMapFlags flags)
    {
        ulong length = mapping?.Length ?? (ulong)memory.Length;
        lock (_gate)
        {
            int at = _ranges.FindIndex(range => range.Address >= address);
            at = at < 0 ? _ranges.Count : at;
            if ((at < _ranges.Count && _ranges[at].Address - address < length)
                || (at > 0 && address - _ranges[at - 1].Address < _ranges[at - 1].Length))
            {
                return false;
            }
            _ranges.Insert(at, new Range(address, length, flags, memory, mapping));
            return true;
        }
    }

    /// <summary>Forgets the range that starts there, if there is one.</summary>
    internal void Remove(ulong address)
    {
        lock (_gate)
        {
            int at = _ranges.FindIndex(range => range.Address == address);
            if (at >= 0)
            {
                _ranges[at].Mapping?.Dispose();
                _ranges.RemoveAt(at);
            }
        }
    }

    /// <summary>Forgets everything.</summary>
    internal void Clear()
    {
        lock (_gate)
        {
            _ranges.ForEach(range => range.Mapping?.Dispose());
            _ranges.Clear();
        }
    }

    /// <summary>Copies from memory; 0, or the errno of the reply. Ranges that touch count as one.</summary>
    internal int Read(ulong address, Span<byte> destination)
    {
        lock (_gate)
        {
            int errno = Check(address, destination.Length, DmaMapFlags.Readable);
            while (errno == 0 && !destination.IsEmpty)
            {
                Span<byte> part = PartAt(address, destination.Length);
                part.CopyTo(destination);
                destination = destination[part.Length..];
                address += (ulong)part.Length;
            }
            return errno;
        }
    }

    /// <summary>Copies to memory, all or nothing; 0, or the errno of the reply.</summary>
    internal int Write(ulong address, ReadOnlySpan<byte> source)
    {
        lock (_gate)
        {
            int errno = Check(address, source.Length, DmaMapFlags.Writable);
            while (errno == 0 && !source.IsEmpty)
            {
                Span<byte> part = PartAt(address, source.Length);
                source[..part.Length].CopyTo(part);
                source = source[part.Length..];
                address += (ulong)part.Length;
            }
            return errno;
        }
    }

    public void Dispose() => Clear();

    private int Check(ulong address, int length, DmaMapFlags needed)
    {
        ulong left = (ulong)length;
        do
        {
            int at = IndexOf(address);
            if (at < 0)
            {
                return Errno.EFAULT;
            }
            if ((_ranges[at].Flags & needed) == 0)
            {
                return Errno.EACCES;
            }
            ulong here = _ranges[at].Length - (address - _ranges[at].Address);
            if (here >= left)
            {
                return 0;
            }
            left -= here;
            address = unchecked(address + here);
        }
        while (address != 0);
        return Errno.EFAULT;
    }

    private Span<byte> PartAt(ulong address, int length)
    {
        Range range = _ranges[IndexOf(address)];
        ulong offset = address - range.Address;
        int here = (int)Math.Min((ulong)length, range.Length - offset);
        return range.Mapping is null ? range.Memory.Span.Slice((int)offset, here) : range.Mapping.GetSpan(offset, here);
    }

    private int IndexOf(ulong address)
    {
        int low = 0;
        int high = _ranges.Count - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            if (address < _ranges[middle].Address)
            {
                high = middle - 1;
            }
            else if (address - _ranges[middle].Address >= _ranges[middle].Length)
            {
                low = middle + 1;
            }
            else
            {
                return middle;
            }
        }
        return -1;
    }

    private readonly record struct Range(ulong Address, ulong Length, DmaMapFlags Flags, Memory<byte> Memory, MappedMemory? Mapping);
}
