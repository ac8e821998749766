using System.Diagnostics.CodeAnalysis;
using Emulator.Memory;
using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Server;

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
            else if (request.Buffer.Length == 0 || !table.Covers(request.Address, request.Buffer.Length, request.IsWrite, shared: false))
            {
                request.End(DmaStatus.Failed);
            }
            else
            {
                (_current, _done) = (request, 0);
                SendNext(send);
            }
        }
    }

    /// <summary>Takes the client's reply to a DMA message.</summary>
    /// <returns>False when it answers nothing that was asked, or not as asked: the stream cannot be trusted any more.</returns>
    public bool OnReply(in MessageHeader header, ReadOnlySpan<byte> payload, IDmaMessageSender send)
    {
        if (_inFlight == 0 || header.Id != _id) return false;
        int length = _inFlight;
        _inFlight = 0;
        // Aborted in the meantime: the reply is taken, and forgotten.
        if (_current is not { } request) return true;
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
        else SendNext(send);
        return true;
    }

    /// <summary>Ends every transfer: the function was reset.</summary>
    public void Abort()
    {
        DmaRequest[] ended = _current is null ? [.. _waiting] : [_current, .. _waiting];
        _waiting.Clear();
        _current = null;
        foreach (DmaRequest request in ended) request.End(DmaStatus.Aborted);
    }

    /// <summary>Forgets the client: no reply will come.</summary>
    public void Disconnect()
    {
        _inFlight = 0;
        Abort();
    }

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
