using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Client;

/// <content>Requests and their replies on the socket, whatever the command.</content>
public sealed partial class VfioUserClient
{
    private enum SlotState : byte
    {
        Free,
        Waiting,
        Answered,
        Abandoned,
    }

    // Sends a command whose header, to be filled in here, opens `head`; the rest of head and `data` are its payload.
    private PendingReply Send(Command command, Span<byte> head, ReadOnlySpan<byte> data, ReadOnlySpan<int> fds, uint count = 0)
    {
        ThrowIfUnusable();
        ArgumentOutOfRangeException.ThrowIfGreaterThan(fds.Length, ProtocolLimits.KernelMaxMessageFds, nameof(fds));
        if (_freeCount == 0)
        {
            throw new InvalidOperationException($"{MaximumPending} requests wait for their replies already.");
        }
        int index = _freeSlots[--_freeCount];
        ref Slot slot = ref _slots[index];
        slot.Id = (ushort)((++slot.Uses << SlotBits) | index);
        slot.Command = command;
        slot.State = SlotState.Waiting;
        MessageHeader.ForCommand(slot.Id, command, head.Length - MessageHeader.HeaderSize + data.Length).Write(head);
        SendAll(command, head, data, fds);
        return new PendingReply(slot.Id, count);
    }

    private void Post(Command command, Span<byte> head, ReadOnlySpan<byte> data)
    {
        ThrowIfUnusable();
        MessageHeader.ForCommand(0, command, head.Length - MessageHeader.HeaderSize + data.Length, noReply: true).Write(head);
        SendAll(command, head, data, default);
    }

    private void SendAll(Command command, ReadOnlySpan<byte> head, ReadOnlySpan<byte> data, ReadOnlySpan<int> fds)
    {
        ThrowIfUnusable();
        int sent = TrySend(command, head, data, fds);
        if (sent != head.Length + data.Length)
        {
            SendRest(command, head, data, sent > 0 ? default : fds, sent);
        }
    }

    // The socket is full. If the server waits for us to read, as we wait for it, only reading gets both on.
    private void SendRest(Command command, ReadOnlySpan<byte> head, ReadOnlySpan<byte> data, ReadOnlySpan<int> fds, int sent)
    {
        using var poller = new Poller(1);
        poller.Add(_stream.Handle, PollEvents.Writable);
        long started = Environment.TickCount64;
        while (true)
        {
            if (sent > 0)
            {
                int ofHead = Math.Min(sent, head.Length);
                head = head[ofHead..];
                data = data[(sent - ofHead)..];
                fds = default;
                if (head.IsEmpty && data.IsEmpty)
                {
                    WakeService();
                    return;
                }
            }
            TimeSpan left = _timeout - TimeSpan.FromMilliseconds(Environment.TickCount64 - started);
            poller.Watch(0, _reader.HasRoom ? PollEvents.Writable | PollEvents.Readable : PollEvents.Writable);
            if (poller.Wait(Math.Max(0, (long)left.TotalNanoseconds)) == 0)
            {
                // Part of a message may be out: nothing sensible can follow it.
                throw Break(new VfioUserException(
                    command, VfioUserFailure.Timeout, Errno.ETIMEDOUT, $"The server took no more bytes of {command} for {_timeout.TotalSeconds:0.###} s."));
            }
            if ((poller.Events(0) & PollEvents.Readable) != 0 && _reader.HasRoom)
            {
                Fill(wait: false, command);
            }
            sent = TrySend(command, head, data, fds);
        }
    }

    private int TrySend(Command command, ReadOnlySpan<byte> head, ReadOnlySpan<byte> data, ReadOnlySpan<int> fds)
    {
        int sent;
        try
        {
            sent = _stream.TrySend(head, data, fds);
        }
        catch (TransportException e)
        {
            throw Break(new VfioUserException(command, VfioUserFailure.Disconnected, e.Errno, $"{command} could not be sent. {e.Message}", e));
        }
        return sent != UnixStream.Closed ? sent : throw Disconnected(command);
    }

    // The payload and descriptors are valid until the next message is read; the descriptors are the caller's.
    private MessageHeader WaitFor(PendingReply pending, Command command, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds)
    {
        int index = pending.Id & (MaximumPending - 1);
        ref Slot slot = ref _slots[index];
        if (slot.Id != pending.Id || slot.Command != command || slot.State is not (SlotState.Waiting or SlotState.Answered))
        {
            throw new InvalidOperationException("That reply was taken already, or is of another request.");
        }
        MessageHeader header;
        if (slot.State == SlotState.Answered)
        {
            header = slot.Header;
            payload = slot.Payload.AsSpan(0, header.PayloadSize);
            fds = default;
        }
        else
        {
            long started = 0;
            while (!Dispatch(index, out header, out payload, out fds))
            {
                ThrowIfUnusable();
                long now = Environment.TickCount64;
                started = started == 0 ? now : started;
                // The socket's own timeout bounds one wait; this bounds the sum, when bytes or commands trickle in.
                if (now - started > _timeout.TotalMilliseconds || Fill(wait: true, command) == UnixStream.WouldBlock)
                {
                    slot.State = SlotState.Abandoned;
                    throw TimedOut(command);
                }
            }
        }
        Release(index);
        WakeService();
        if (header.IsError)
        {
            FileDescriptor.Close(fds);
            throw Refused(command, (int)header.Errno);
        }
        return header;
    }

    // Reads messages that are buffered: serves commands, puts replies away; true at the awaited one, false when there are no more.
    private bool Dispatch(int awaited, out MessageHeader header, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds)
    {
        while (true)
        {
            switch (_reader.TryRead(out header, out payload, out fds))
            {
                case ReadOutcome.Incomplete:
                    return false;
                case ReadOutcome.Malformed:
                    throw Violation(header.Command, $"a message of {header.Size} bytes");
                default:
                    if (header.IsCommand)
                    {
                        FileDescriptor.Close(fds);
                        Serve(header, payload);
                        break;
                    }
                    int index = header.Id & (MaximumPending - 1);
                    ref Slot slot = ref _slots[index];
                    if (!header.IsReply
                        || slot.State is not (SlotState.Waiting or SlotState.Abandoned)
                        || slot.Id != header.Id
                        || slot.Command != header.Command)
                    {
                        FileDescriptor.Close(fds);
                        throw Violation(header.Command, $"an answer, with id {header.Id} for {header.Command}, to nothing that was asked");
                    }
                    if (index == awaited)
                    {
                        return true;
                    }
                    FileDescriptor.Close(fds);
                    if (slot.State == SlotState.Abandoned)
                    {
                        Release(index);
                    }
                    else
                    {
                        slot.PutAway(header, payload);
                    }
                    break;
            }
        }
    }

    private void Serve(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        Span<byte> head = stackalloc byte[DmaResponder.HeadSize];
        if (_responder.TryAnswer(header, payload, head, out int headLength, out ReadOnlySpan<byte> data))
        {
            SendAll(header.Command, head[..headLength], data, default);
        }
    }

    private int Fill(bool wait, Command command)
    {
        int received;
        try
        {
            received = _reader.Fill(wait);
        }
        catch (TransportException e)
        {
            throw Break(new VfioUserException(
                command, VfioUserFailure.ProtocolViolation, e.Errno, $"The server's answer to {command} could not be received. {e.Message}", e));
        }
        return received != UnixStream.Closed ? received : throw Disconnected(command);
    }

    private void Release(int index)
    {
        _slots[index].State = SlotState.Free;
        _freeSlots[_freeCount++] = index;
    }

    /// <summary>One request under way.</summary>
    private struct Slot
    {
        public SlotState State;
        public ushort Id;
        public Command Command;
        public int Uses;
        public MessageHeader Header;
        public byte[]? Payload;

        public void PutAway(MessageHeader header, ReadOnlySpan<byte> payload)
        {
            Header = header;
            if (Payload is null || Payload.Length < payload.Length)
            {
                Payload = new byte[payload.Length];
            }
            payload.CopyTo(Payload);
            State = SlotState.Answered;
        }
    }

    private TPayload Exchange<TPayload>(Command command, TPayload request)
        where TPayload : struct, IWirePayload<TPayload>
    {
        Span<byte> head = stackalloc byte[MessageHeader.HeaderSize + TPayload.WireSize];
        request.Write(head[MessageHeader.HeaderSize..]);
        WaitFor(Send(command, head, default, default), command, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds);
        FileDescriptor.Close(fds);
        return payload.Length == TPayload.WireSize && TPayload.TryRead(payload, out TPayload reply)
            ? reply
            : throw WrongLength(command, payload.Length);
    }

    private void Complete(PendingReply pending, Command command)
    {
        WaitFor(pending, command, out _, out ReadOnlySpan<int> fds);
        FileDescriptor.Close(fds);
    }

    private VfioUserException WrongLength(Command command, int length) => Violation(command, $"a reply to {command} with {length} bytes");
}
