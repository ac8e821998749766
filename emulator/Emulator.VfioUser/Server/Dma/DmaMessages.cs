using System.Diagnostics.CodeAnalysis;
using Emulator.Memory;
using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Server.Dma;

/// <summary>
/// Queued transfers. They start between turns, after the replies of the turn have gone: the client's CPU may hold the very lock
/// its DMA service needs until it has its reply. Shared memory is copied; the rest becomes DMA_READ and DMA_WRITE messages, one at
/// a time, so that transfers end in the order they were queued.
/// </summary>
internal sealed class DmaMessages(DmaTable table)
{
    // Transfers completed in one call at the most: a model that queues from its completion must not starve the socket.
    private const int TurnLimit = 64;

    private readonly Queue<DmaRequest> _waiting = [];
    private DmaRequest? _current;
    private int _done, _inFlight;
    private ushort _id;

    /// <summary>Copies a request whose memory is shared. Set once, before anything is queued.</summary>
    [DisallowNull]
    public Func<DmaRequest, bool>? TryTransfer { get; set; }

    /// <summary>Most bytes of data in one message, as negotiated.</summary>
    public int MaximumTransfer { get; set; } = ProtocolLimits.DefaultMaxDataTransferSize;

    /// <summary>Something can be done without waiting for the client.</summary>
    public bool IsReady => _current is null && _waiting.Count > 0;

    public void Enqueue(DmaRequest request) => _waiting.Enqueue(request);

    /// <summary>Does what can be done now. Between turns only.</summary>
    /// <param name="send">Sends a command; the payload goes out whole before it returns.</param>
    public void Run(IDmaMessageSender send)
    {
        for (int i = 0; i < TurnLimit && IsReady; i++)
        {
            DmaRequest request = _waiting.Dequeue();
            if (request.IsCancelled)
            {
                request.End(DmaStatus.Aborted);
            }
            else if (TryTransfer!(request))
            {
                request.End(DmaStatus.Completed);
            }
            else
            {
                (_current, _done) = (request, 0);
                if (request.Buffer.Length > 0 && IsReachable(request)) SendNext(send);
                else End(DmaStatus.Failed);
            }
        }
    }

    /// <summary>Takes the client's reply to a DMA message.</summary>
    /// <returns>False when it answers nothing that was asked, or not as asked: the stream cannot be trusted any more.</returns>
    public bool OnReply(in MessageHeader header, ReadOnlySpan<byte> payload, IDmaMessageSender send)
    {
        if (_inFlight == 0 || header.Id != _id) return false;
        int length = _inFlight;
        DmaRequest request = _current!;
        _inFlight = 0;
        if (header.Command != (request.IsWrite ? Command.DmaWrite : Command.DmaRead)) return false;
        if (header.IsError)
        {
            End(DmaStatus.Failed);
            return true;
        }
        bool understood = request.IsWrite ? TakeWriteReply(payload, length) : TakeReadReply(request, payload, length);
        if (!understood) return false;
        _done += length;
        if (_done == request.Buffer.Length) End(DmaStatus.Completed);
        else if (request.IsCancelled) End(DmaStatus.Aborted);
        // The client may have unmapped the rest since.
        else if (!IsReachable(request)) End(DmaStatus.Failed);
        else SendNext(send);
        return true;
    }

    /// <summary>Forgets the client: no reply will come. Every transfer ends, even when the completion of one throws.</summary>
    /// <exception cref="AggregateException">Completions threw.</exception>
    public void Disconnect()
    {
        DmaRequest[] ended = _current is null ? [.. _waiting] : [_current, .. _waiting];
        _waiting.Clear();
        (_current, _inFlight) = (null, 0);
        List<Exception>? failures = null;
        foreach (DmaRequest request in ended)
        {
            try
            {
                request.End(DmaStatus.Aborted);
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                (failures ??= []).Add(e);
            }
        }
        if (failures is not null) throw new AggregateException(failures);
    }

    private bool IsReachable(DmaRequest request)
        => table.Covers(request.Address + (ulong)_done, request.Buffer.Length - _done, request.IsWrite, shared: false);

    private bool TakeReadReply(DmaRequest request, ReadOnlySpan<byte> payload, int length)
    {
        if (!DmaAccess.TryRead(payload, out DmaAccess access) || access.Count != (ulong)length || payload.Length != DmaAccess.Size + length) return false;
        payload[DmaAccess.Size..].CopyTo(request.Buffer.Span[_done..]);
        return true;
    }

    private static bool TakeWriteReply(ReadOnlySpan<byte> payload, int length)
        => DmaAccess.TryReadWriteReply(payload, out DmaAccess access) && access.Count == (ulong)length;

    private void SendNext(IDmaMessageSender send)
    {
        DmaRequest request = _current!;
        _inFlight = Math.Min(request.Buffer.Length - _done, MaximumTransfer);
        _id++;
        var access = new DmaAccess(request.Address + (ulong)_done, (ulong)_inFlight);
        ReadOnlySpan<byte> data = request.IsWrite ? request.Buffer.Span.Slice(_done, _inFlight) : default;
        send.SendDma(_id, request.IsWrite ? Command.DmaWrite : Command.DmaRead, access, data);
    }

    private void End(DmaStatus status)
    {
        DmaRequest request = _current!;
        _current = null;
        request.End(status);
    }
}

/// <summary>Where DMA messages go: the client's socket, or its twin.</summary>
internal interface IDmaMessageSender
{
    void SendDma(ushort id, Command command, in DmaAccess access, ReadOnlySpan<byte> data);
}
