using System.Runtime.InteropServices;
using Emulator.Memory;

namespace Emulator.VfioUser.Server.Dma;

/// <summary>
/// Guest memory through the client's DMA ranges: straight into shared memory, or by messages for what is not shared.
/// Addresses come from the guest: nothing throws for one, and nothing is touched unless all of it may be.
/// </summary>
internal sealed class SharedGuestMemory(DmaTable table, DmaMessages messages) : IGuestMemory
{
    public bool TryRead(ulong address, Span<byte> destination)
    {
        if (!table.Covers(address, destination.Length, write: false, shared: true)) return false;
        while (destination.Length > 0)
        {
            ReadOnlySpan<byte> here = Here(address, destination.Length);
            here.CopyTo(destination);
            destination = destination[here.Length..];
            address += (ulong)here.Length;
        }
        return true;
    }

    public bool TryWrite(ulong address, ReadOnlySpan<byte> source)
    {
        if (!table.Covers(address, source.Length, write: true, shared: true)) return false;
        while (source.Length > 0)
        {
            Span<byte> here = Here(address, source.Length);
            source[..here.Length].CopyTo(here);
            source = source[here.Length..];
            address += (ulong)here.Length;
        }
        return true;
    }

    public bool TryView(ulong address, int length, bool writable, out Span<byte> view)
    {
        view = default;
        if (length < 0 || !table.Covers(address, length, writable, shared: true)) return false;
        Span<byte> here = Here(address, length);
        if (here.Length != length) return false;
        view = here;
        return true;
    }

    public bool TryPublish(ulong address, uint value)
    {
        if (address % sizeof(uint) != 0 || !TryView(address, sizeof(uint), writable: true, out Span<byte> view)) return false;
        if (!BitConverter.IsLittleEndian) value = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(value);
        // A release store: what was written before is visible to a CPU that sees this.
        Volatile.Write(ref MemoryMarshal.AsRef<uint>(view), value);
        return true;
    }

    public void Queue(DmaRequest request)
    {
        request.Begin();
        messages.Enqueue(request);
    }

    /// <summary>The transfer of a queued request, where the memory is shared.</summary>
    public bool TryTransfer(DmaRequest request)
        => request.IsWrite ? TryWrite(request.Address, request.Buffer.Span) : TryRead(request.Address, request.Buffer.Span);

    // As much as the first range holds; the caller has checked that ranges cover it.
    private Span<byte> Here(ulong address, int length)
    {
        if (length == 0) return default;
        DmaRange range = table.Find(address)!;
        ulong offset = address - range.Address;
        return range.Memory!.GetSpan(offset, (int)Math.Min((ulong)length, range.Length - offset));
    }
}
