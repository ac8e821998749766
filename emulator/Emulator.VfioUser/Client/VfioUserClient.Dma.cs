using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Client;

/// <content>What memory the device may reach.</content>
public sealed partial class VfioUserClient
{
    /// <summary>
    /// Offers all of <paramref name="memory"/>, with its descriptor, so that the server maps it. It is also served to DMA messages, and must live
    /// until <see cref="UnmapDma"/>.
    /// </summary>
    public void MapDma(ulong address, SharedMemory memory, DmaMapFlags flags = DmaMapFlags.Readable | DmaMapFlags.Writable)
    {
        ArgumentNullException.ThrowIfNull(memory);
        lock (_gate)
        {
            MapDma(address, default, memory.Map(), flags, [memory.Handle.Number]);
            StartService();
        }
        GC.KeepAlive(memory);
    }

    /// <summary>
    /// Offers memory without a descriptor: the server must use DMA messages, which are answered from now on, by default on a thread of their own.
    /// </summary>
    public void MapDma(ulong address, Memory<byte> memory, DmaMapFlags flags = DmaMapFlags.Readable | DmaMapFlags.Writable)
    {
        lock (_gate)
        {
            MapDma(address, memory, null, flags, default);
            StartService();
        }
    }

    /// <summary>
    /// DMA_MAP in full, for tests of a server: nothing is checked, and nothing is served to DMA messages. The descriptor stays the caller's.
    /// </summary>
    public void MapDma(ulong address, ulong length, DmaMapFlags flags, FileDescriptor? file = null, ulong fileOffset = 0)
    {
        lock (_gate)
        {
            SendDmaMap(new DmaMap(DmaMap.Size, flags, fileOffset, address, length), file is null ? default : [file.Number]);
        }
        GC.KeepAlive(file);
    }

    /// <summary>DMA_UNMAP: when it returns, the server has dropped the memory.</summary>
    public void UnmapDma(ulong address, ulong length)
    {
        lock (_gate)
        {
            Unmap(new DmaUnmap(DmaUnmap.Size, DmaUnmapFlags.None, address, length));
            _dma.Remove(address);
        }
    }

    /// <summary>DMA_UNMAP of everything.</summary>
    public void UnmapAllDma()
    {
        lock (_gate)
        {
            Unmap(new DmaUnmap(DmaUnmap.Size, DmaUnmapFlags.All, 0, 0));
            _dma.Clear();
        }
    }

    private void MapDma(ulong address, Memory<byte> memory, MappedMemory? mapping, DmaMapFlags flags, ReadOnlySpan<int> fds)
    {
        ulong length = mapping?.Length ?? (ulong)memory.Length;
        // Before the server knows of it, so that its first DMA message finds it.
        if (!_dma.TryAdd(address, memory, mapping, flags))
        {
            mapping?.Dispose();
            throw new ArgumentException($"There is DMA memory between {address:x} and {address + length:x} already.", nameof(address));
        }
        try
        {
            SendDmaMap(new DmaMap(DmaMap.Size, flags, 0, address, length), fds);
        }
        catch
        {
            _dma.Remove(address);
            throw;
        }
    }

    private void SendDmaMap(DmaMap map, ReadOnlySpan<int> fds)
    {
        Span<byte> head = stackalloc byte[MessageHeader.HeaderSize + DmaMap.Size];
        map.Write(head[MessageHeader.HeaderSize..]);
        Complete(Send(Command.DmaMap, head, default, fds), Command.DmaMap);
    }

    private void Unmap(DmaUnmap unmap)
    {
        Span<byte> head = stackalloc byte[MessageHeader.HeaderSize + DmaUnmap.Size];
        unmap.Write(head[MessageHeader.HeaderSize..]);
        Complete(Send(Command.DmaUnmap, head, default, default), Command.DmaUnmap);
    }
}
