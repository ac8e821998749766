using System.Buffers.Binary;
using Emulator.Turns;

namespace Emulator.Memory;

/// <summary>Guest memory that lies in this process: whatever can be reached can be viewed, and a queued transfer is a copy.</summary>
public abstract class LocalGuestMemory : IGuestMemory
{
    private readonly Queue<DmaRequest> _queued = [];
    private readonly IMailbox _mailbox;
    private readonly Mail _transfer;

    /// <param name="mailbox">Where the later turn of a queued transfer comes from.</param>
    protected LocalGuestMemory(IMailbox mailbox)
    {
        _mailbox = mailbox;
        _transfer = new Mail(Transfer);
    }

    public abstract bool TryView(ulong address, int length, bool writable, out Span<byte> view);

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
