using System.Buffers.Binary;
using Emulator.Memory;
using Emulator.Turns;

namespace Emulator.Testing;

/// <summary>
/// Guest RAM of a <see cref="FakePciHost"/>: one range from address 0. Queued transfers complete at the next
/// <see cref="FakePciHost.Settle"/>.
/// </summary>
public sealed class FakeGuestMemory : IGuestMemory
{
    private readonly byte[] _ram;
    private readonly IMailbox _mailbox;
    private readonly Mail _transfer;
    private readonly Queue<DmaRequest> _queued = [];

    internal FakeGuestMemory(int size, IMailbox mailbox)
    {
        (_ram, _mailbox) = (new byte[size], mailbox);
        _transfer = new Mail(Transfer);
    }

    /// <summary>All of it, as the driver sees it.</summary>
    public Span<byte> Ram => _ram;

    /// <summary>Makes every access fail, as if the range were not mapped.</summary>
    public bool IsUnmapped { get; set; }

    public bool TryRead(ulong address, Span<byte> destination)
    {
        if (!TryView(address, destination.Length, writable: false, out Span<byte> view)) return false;
        view.CopyTo(destination);
        return true;
    }

    public bool TryWrite(ulong address, ReadOnlySpan<byte> source)
    {
        if (!TryView(address, source.Length, writable: true, out Span<byte> view)) return false;
        source.CopyTo(view);
        return true;
    }

    public bool TryView(ulong address, int length, bool writable, out Span<byte> view)
    {
        view = default;
        if (IsUnmapped || length < 0 || address > (ulong)_ram.Length || (ulong)length > (ulong)_ram.Length - address) return false;
        view = _ram.AsSpan((int)address, length);
        return true;
    }

    public bool TryPublish(ulong address, uint value)
    {
        if (address % sizeof(uint) != 0 || !TryView(address, sizeof(uint), writable: true, out Span<byte> view)) return false;
        BinaryPrimitives.WriteUInt32LittleEndian(view, value);
        return true;
    }

    public void Queue(DmaRequest request)
    {
        request.Begin();
        _queued.Enqueue(request);
        _mailbox.Post(_transfer);
    }

    private void Transfer()
    {
        for (int count = _queued.Count; count > 0; count--)
        {
            DmaRequest request = _queued.Dequeue();
            if (request.IsCancelled) { request.End(DmaStatus.Aborted); continue; }
            bool done = request.IsWrite ? TryWrite(request.Address, request.Buffer.Span) : TryRead(request.Address, request.Buffer.Span);
            request.End(done ? DmaStatus.Completed : DmaStatus.Failed);
        }
    }
}
