using Emulator.Observation;

namespace Emulator.Memory;

/// <summary>
/// A function's way to guest memory: what the slot offers, gated by Bus Master Enable and the power state, and seen by
/// the observer.
/// </summary>
public sealed class BusMaster : IGuestMemory
{
    private readonly IGuestMemory _memory;
    private readonly GuestErrorLog _log;
    private readonly Queue<DmaRequest> _refused = [];
    private readonly Turns.Mail _failRefused;
    private readonly Turns.IMailbox _mailbox;

    internal BusMaster(IGuestMemory memory, Turns.IMailbox mailbox, GuestErrorLog log)
    {
        (_memory, _mailbox, _log) = (memory, mailbox, log);
        _failRefused = new Turns.Mail(FailRefused);
    }

    /// <summary>Bus Master Enable is 1 and the function is in D0.</summary>
    public bool IsEnabled { get; internal set; }

    internal ObserverSlot? Observer { get; set; }

    /// <summary>Counts resets: a request queued in an earlier epoch is aborted.</summary>
    internal int Epoch { get; private set; }

    public bool TryRead(ulong address, Span<byte> destination)
        => Traced(DeviceEventKind.DmaRead, address, destination, Allowed(address) && _memory.TryRead(address, destination));

    public bool TryWrite(ulong address, ReadOnlySpan<byte> source)
        => Traced(DeviceEventKind.DmaWrite, address, source, Allowed(address) && _memory.TryWrite(address, source));

    public bool TryView(ulong address, int length, bool writable, out Span<byte> view)
    {
        view = default;
        bool done = Allowed(address) && _memory.TryView(address, length, writable, out view);
        return Traced(writable ? DeviceEventKind.DmaWriteView : DeviceEventKind.DmaReadView, address, view, done);
    }

    public bool TryPublish(ulong address, uint value)
    {
        bool done = Allowed(address) && _memory.TryPublish(address, value);
        Observer?.Dma(DeviceEventKind.DmaWrite, address, sizeof(uint), value, done);
        return done;
    }

    public void Queue(DmaRequest request)
    {
        request.BelongTo(this);
        if (Allowed(request.Address)) { _memory.Queue(request); return; }
        // A refusal, too, completes in a later turn, so that a model has one path.
        request.Begin();
        _refused.Enqueue(request);
        _mailbox.Post(_failRefused);
    }

    /// <summary>A reset: what is queued must not reach guest memory any more.</summary>
    internal void AbortQueued() => Epoch++;

    internal void Trace(DmaRequest request)
        => Observer?.Dma(request.IsWrite ? DeviceEventKind.DmaWrite : DeviceEventKind.DmaRead, request.Address, request.Buffer.Span,
            request.Status == DmaStatus.Completed);

    private void FailRefused()
    {
        // What a completion queues again belongs to the next turn.
        for (int count = _refused.Count; count > 0; count--) _refused.Dequeue().End(DmaStatus.Failed);
    }

    private bool Allowed(ulong address)
    {
        if (!IsEnabled) _log.GuestError("DMA while Bus Master Enable is 0", address);
        return IsEnabled;
    }

    private bool Traced(DeviceEventKind kind, ulong address, ReadOnlySpan<byte> bytes, bool done)
    {
        Observer?.Dma(kind, address, bytes, done);
        return done;
    }
}
