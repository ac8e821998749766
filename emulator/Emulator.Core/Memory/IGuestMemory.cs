namespace Emulator.Memory;

/// <summary>
/// Guest RAM as a device's DMA engine sees it. Every address comes from the guest: no call throws for one. Synchronous
/// calls reach memory the client shares by file descriptor; <see cref="Queue"/> reaches all of it.
/// </summary>
/// <remarks>
/// There is on purpose no synchronous call that could send a message: the client's CPU may be waiting for the reply to
/// the very access a handler is running for, and would never answer.
/// </remarks>
public interface IGuestMemory
{
    /// <summary>Copies from the guest. False, and nothing read, unless the whole range is mapped, shared and readable.</summary>
    bool TryRead(ulong address, Span<byte> destination);

    /// <summary>Copies to the guest. False, and nothing written, unless the whole range is mapped, shared and writable.</summary>
    bool TryWrite(ulong address, ReadOnlySpan<byte> source);

    /// <summary>
    /// The guest's own bytes, for bulk data, when the range lies in one mapping. Valid until the current turn ends: the
    /// client may unmap it in the next. The guest may change them at any time: copy what must be checked.
    /// </summary>
    bool TryView(ulong address, int length, bool writable, out Span<byte> view);

    /// <summary>
    /// Writes one naturally aligned 32-bit value in one piece, after every earlier write is visible: the dword that hands
    /// a descriptor over.
    /// </summary>
    bool TryPublish(ulong address, uint value);

    /// <summary>
    /// Starts a transfer that completes in a later turn, whether the memory is shared or only reachable by messages.
    /// The request is in use until its completion runs.
    /// </summary>
    /// <exception cref="InvalidOperationException">The request is already in use: a bug in the model.</exception>
    void Queue(DmaRequest request);
}

/// <summary>How a queued transfer ended.</summary>
public enum DmaStatus : byte
{
    /// <summary>Not finished yet, or never queued.</summary>
    Pending,
    Completed,
    /// <summary>The range is not mapped, the guest forbids the access, or Bus Master Enable is 0.</summary>
    Failed,
    /// <summary>The function was reset, lost Bus Master Enable, or its client went away first.</summary>
    Aborted,
}

/// <summary>A queued transfer, allocated once by the model and used again and again.</summary>
/// <param name="completed">Runs on the device thread, in a later turn, once per queueing.</param>
public sealed class DmaRequest(Action<DmaRequest> completed)
{
    private BusMaster? _owner;
    private int _epoch;

    /// <summary>The guest address of the first byte.</summary>
    public ulong Address { get; set; }

    /// <summary>Where read data goes to, or written data comes from.</summary>
    public Memory<byte> Buffer { get; set; }

    /// <summary>From the device into guest memory.</summary>
    public bool IsWrite { get; set; }
    public DmaStatus Status { get; private set; }
    public bool IsQueued { get; private set; }

    /// <summary>
    /// For an implementation of <see cref="IGuestMemory.Queue"/>: the function was reset or lost Bus Master Enable since the
    /// request was queued, so it must not touch guest memory any more (PCIe 6.6.2). End it with <see cref="DmaStatus.Aborted"/>.
    /// </summary>
    public bool IsCancelled => IsQueued && _owner is { } owner && (owner.Epoch != _epoch || !owner.IsEnabled);

    /// <summary>For an implementation of <see cref="IGuestMemory.Queue"/>: marks the request as in use.</summary>
    public void Begin()
    {
        CheckFree();
        (IsQueued, Status) = (true, DmaStatus.Pending);
    }

    /// <summary>For an implementation of <see cref="IGuestMemory.Queue"/>: ends the transfer. After a reset it counts as aborted.</summary>
    public void End(DmaStatus status)
    {
        if (!IsQueued) return;
        if (_owner is { } owner && owner.Epoch != _epoch) status = DmaStatus.Aborted;
        (IsQueued, Status) = (false, status);
        _owner?.Trace(this);
        completed(this);
    }

    internal void BelongTo(BusMaster owner)
    {
        CheckFree();
        (_owner, _epoch) = (owner, owner.Epoch);
    }

    private void CheckFree()
    {
        if (IsQueued) throw new InvalidOperationException("The DMA request is still in use; wait for its completion.");
    }
}
