using System.Buffers.Binary;
using Emulator.Pci;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server;

/// <summary>How a session goes on after a look at its socket.</summary>
internal enum SessionState { Open, Ended }

/// <summary>
/// One client's connection: it cuts the stream into messages, carries them out on the function, and replies. Replies to messages
/// that arrived together leave together, and nobody waits for the client to read them: until it has, it is not listened to. Nothing the
/// peer sends throws past this class.
/// </summary>
internal sealed class ClientSession : IDmaMessageSender, IDisposable
{
    private const int MaximumMessageFds = 16, MaximumDataTransfer = 1024 * 1024;
    private const int MaximumMessage = MessageHeader.HeaderSize + RegionAccess.Size + MaximumDataTransfer;

    // Replies leave when there are no more messages, or this many bytes of them.
    private const int Batch = 48 * 1024;

    private readonly UnixStream _stream;
    private readonly MessageReader _reader;
    private readonly PciFunction _function;
    private readonly ServerSlot _slot;
    private readonly DeviceServerOptions _options;
    private readonly Action<string> _report;
    private readonly EventFd[] _eventFds = new EventFd[MaximumMessageFds];
    private readonly SendQueue _output;
    private SendQueue? _twinOutput;
    private MessageReader? _twinReader;
    private bool _negotiated, _takesDescriptors, _toldUnsealed;
    private int _modelFaults;

    /// <summary>Takes the stream over, unless this throws.</summary>
    public ClientSession(UnixStream stream, PciFunction function, ServerSlot slot, DeviceServerOptions options, Action<string> report)
    {
        (_stream, _function, _slot, _options, _report) = (stream, function, slot, options, report);
        _reader = new MessageReader(stream, MaximumMessage, MaximumMessageFds);
        _output = new SendQueue(stream);
    }

    /// <summary>The twin socket, once negotiated.</summary>
    public UnixStream? Twin { get; private set; }

    /// <summary>Whether the client has closed its end. What it sent before is still to be processed.</summary>
    public bool HasHungUp => _stream.HasHungUp;

    /// <summary>The client has to read before anything else of it is carried out.</summary>
    public bool IsBlocked => _output.IsBlocked || _twinOutput is { IsBlocked: true };

    /// <summary>Bytes the client's sockets have taken so far.</summary>
    public long Sent => _output.Sent + (_twinOutput?.Sent ?? 0);

    /// <summary>What to wait for on the socket.</summary>
    public PollEvents Awaited => Await(_output);

    /// <summary>What to wait for on the twin socket.</summary>
    public PollEvents TwinAwaited => _twinOutput is null ? PollEvents.None : Await(_twinOutput);

    /// <summary>Why the session ended, in words for the log; empty for an orderly end.</summary>
    public string Reason { get; private set; } = "";

    /// <summary>Takes what the socket holds and carries out every whole message.</summary>
    /// <param name="idle">Nothing was there.</param>
    public SessionState Process(out bool idle)
    {
        idle = false;
        try
        {
            if (IsBlocked) return Resume();
            int received = _reader.Fill(wait: false);
            if (received == UnixStream.WouldBlock) { idle = true; return SessionState.Open; }
            if (received == UnixStream.Closed) return End(_reader.BufferedBytes > 0 ? "the client went away in the middle of a message" : "");
            return Drain(_reader, isTwin: false);
        }
        catch (TransportException e)
        {
            return End(e.Message);
        }
    }

    /// <summary>The same for the twin socket, where only replies to our own messages arrive.</summary>
    public SessionState ProcessTwin()
    {
        try
        {
            if (IsBlocked) return Resume();
            int received = _twinReader!.Fill(wait: false);
            if (received == UnixStream.WouldBlock) return SessionState.Open;
            if (received == UnixStream.Closed) return End("the client closed the twin socket");
            return Drain(_twinReader, isTwin: true);
        }
        catch (TransportException e)
        {
            return End(e.Message);
        }
    }

    /// <summary>Starts queued DMA. Between turns only, and not while the session is blocked: replies go first.</summary>
    public SessionState RunDma()
    {
        try
        {
            _slot.DmaMessages.Run(this);
            return SessionState.Open;
        }
        catch (TransportException e)
        {
            return End(e.Message);
        }
    }

    public void SendDma(ushort id, Command command, in DmaAccess access, ReadOnlySpan<byte> data)
    {
        const int Head = MessageHeader.HeaderSize + DmaAccess.Size;
        Span<byte> message = (_twinOutput ?? _output).Reserve(Head + data.Length);
        MessageHeader.ForCommand(id, command, DmaAccess.Size + data.Length).Write(message);
        access.Write(message[MessageHeader.HeaderSize..]);
        data.CopyTo(message[Head..]);
        _output.TryFlush();
        _twinOutput?.TryFlush();
    }

    public void Dispose()
    {
        _reader.Dispose();
        _twinReader?.Dispose();
        Twin?.Dispose();
        _stream.Dispose();
    }

    private SessionState End(string reason)
    {
        Reason = reason;
        return SessionState.Ended;
    }

    private PollEvents Await(SendQueue output) => output.IsBlocked ? PollEvents.Writable : IsBlocked ? PollEvents.None : PollEvents.Readable;

    // Goes on sending, and once all has gone, with the messages that were received before.
    private SessionState Resume()
    {
        bool sent = _output.TryFlush() & (_twinOutput is null || _twinOutput.TryFlush());
        if (!sent && _stream.HasHungUp)
        {
            _output.Discard();
            _twinOutput?.Discard();
        }
        else if (!sent)
        {
            return Twin is { HasHungUp: true } ? End("the client closed the twin socket") : SessionState.Open;
        }
        SessionState state = Drain(_reader, isTwin: false);
        return state == SessionState.Open && _twinReader is not null ? Drain(_twinReader, isTwin: true) : state;
    }

    private SessionState Drain(MessageReader reader, bool isTwin)
    {
        while (true)
        {
            if (_output.Unsent >= Batch) _output.TryFlush();
            if (IsBlocked) return SessionState.Open;
            switch (reader.TryRead(out MessageHeader header, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds))
            {
                case ReadOutcome.Incomplete:
                    _output.TryFlush();
                    return SessionState.Open;
                case ReadOutcome.Malformed:
                    if (header.IsCommand && !isTwin) ReplyError(header, Errno.EINVAL);
                    _output.TryFlush();
                    return End($"message {header.Id} claims {header.Size} bytes: the stream cannot be followed further");
                default:
                    if (!Handle(header, payload, fds, isTwin))
                    {
                        _output.TryFlush();
                        return SessionState.Ended;
                    }
                    break;
            }
        }
    }

    /// <returns>False when the connection has to end; <see cref="Reason"/> says why.</returns>
    private bool Handle(in MessageHeader header, ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds, bool isTwin)
    {
        if (header.IsReply)
        {
            FileDescriptor.Close(fds);
            if (_slot.DmaMessages.OnReply(header, payload, this)) return true;
            End($"a reply with message ID {header.Id} that answers nothing");
            return false;
        }
        if (isTwin)
        {
            FileDescriptor.Close(fds);
            End("a command on the twin socket, where only replies go");
            return false;
        }
        if (!header.IsCommand)
        {
            FileDescriptor.Close(fds);
            ReplyError(header, Errno.EINVAL);
            return true;
        }
        if (!_negotiated && header.Command != Command.Version)
        {
            FileDescriptor.Close(fds);
            ReplyError(header, Errno.EINVAL);
            End("the first message was not VERSION");
            return false;
        }
        int unsent = _output.Unsent;
        try
        {
            bool goesOn = Dispatch(header, payload, fds);
            // Carried out all the same; a read then has had its side effects only.
            if (header.NoReply) _output.TakeBack(unsent);
            return goesOn;
        }
        catch (Exception e) when (e is not (TransportException or OutOfMemoryException))
        {
            // A bug in a model. Its guest gets an I/O error; the other devices, and this one's next access, go on.
            _output.TakeBack(unsent);
            ReplyError(header, Errno.EIO);
            if (_modelFaults++ < 3) _report($"bug in the model: {header.Command} failed: {e}");
            return true;
        }
    }

    private bool Dispatch(in MessageHeader header, ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds)
    {
        // The two of the hot path first.
        if (header.Command == Command.RegionRead && fds.IsEmpty) { RegionRead(header, payload); return true; }
        if (header.Command == Command.RegionWrite && fds.IsEmpty) { ReplyStatus(header, RegionWrite(header, payload)); return true; }
        switch (header.Command)
        {
            case Command.DmaMap: ReplyStatus(header, DmaMap(payload, fds)); return true;
            case Command.DeviceSetIrqs: ReplyStatus(header, SetIrqs(payload, fds)); return true;
        }
        FileDescriptor.Close(fds);
        if (!fds.IsEmpty) { ReplyError(header, Errno.EINVAL); return true; }
        switch (header.Command)
        {
            case Command.Version: return Version(header, payload);
            case Command.DmaUnmap: DmaUnmap(header, payload); break;
            case Command.DeviceGetInfo: DeviceGetInfo(header, payload); break;
            case Command.DeviceGetRegionInfo: DeviceGetRegionInfo(header, payload); break;
            case Command.DeviceGetRegionIoFds: DeviceGetRegionIoFds(header, payload); break;
            case Command.DeviceGetIrqInfo: DeviceGetIrqInfo(header, payload); break;
            case Command.DeviceReset: DeviceReset(header); break;
            case Command.RegionWriteMulti: RegionWriteMulti(header, payload); break;
            // No feature is offered; the kernel's VFIO answers an unknown one so, and clients look for it.
            case Command.DeviceFeature: ReplyError(header, DeviceFeature.TryRead(payload, out _) ? Errno.ENOTTY : Errno.EINVAL); break;
            // Without the migration feature there is no data to move.
            case Command.MigDataRead or Command.MigDataWrite:
                ReplyError(header, MigrationData.TryRead(payload, out _) ? Errno.EOPNOTSUPP : Errno.EINVAL);
                break;
            default: ReplyError(header, Errno.EINVAL); break;
        }
        return true;
    }

    private bool Version(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (_negotiated || !VersionPayload.TryRead(payload, out VersionPayload request))
        {
            ReplyError(header, Errno.EINVAL);
            return _negotiated || Refuse("VERSION cannot be understood");
        }
        if (request.Major != ProtocolLimits.MajorVersion)
        {
            ReplyError(header, Errno.EINVAL);
            return Refuse($"the client speaks version {request.Major}.{request.Minor}, not {ProtocolLimits.MajorVersion}.x");
        }
        _takesDescriptors = request.Capabilities.MaxMessageFds > 0;
        bool twin = _options.OfferTwinSocket && request.Capabilities.TwinSocket && _takesDescriptors && !header.NoReply;
        var capabilities = new Capabilities
        {
            MaxMessageFds = MaximumMessageFds,
            MaxDataTransferSize = MaximumDataTransfer,
            MaxDmaMaps = DmaTable.MaximumRanges,
            TwinSocket = twin,
            TwinSocketFdIndex = twin ? 0 : -1,
        };
        _slot.DmaMessages.MaximumTransfer = Math.Clamp(request.Capabilities.MaxDataTransferSize, 1, MaximumDataTransfer);
        Span<byte> answer = stackalloc byte[VersionPayload.MaximumSize];
        ushort minor = Math.Min(request.Minor, ProtocolLimits.MinorVersion);
        int size = new VersionPayload(ProtocolLimits.MajorVersion, minor, capabilities).Write(answer);
        answer[..size].CopyTo(Reply(header, size));
        _negotiated = true;
        if (!twin) return true;
        (Twin, FileDescriptor remote) = UnixStream.CreatePair();
        using FileDescriptor sent = remote;
        _twinReader = new MessageReader(Twin, MaximumMessage, maximumDescriptors: 1);
        _twinOutput = new SendQueue(Twin);
        _output.Attach(remote, MessageHeader.HeaderSize + size);
        return _output.TryFlush() || Refuse("the client's socket is full before the first reply");
    }

    private bool Refuse(string reason)
    {
        End(reason);
        return false;
    }

    // Newer clients say how a descriptor may be used, and then must send one. Either way ours is to map it, or to use messages.
    private const DmaMapFlags DescriptorMapFlags = DmaMapFlags.Mappable | DmaMapFlags.FileInputOutput;
    private const DmaMapFlags KnownMapFlags = DmaMapFlags.Readable | DmaMapFlags.Writable | DescriptorMapFlags;

    private int DmaMap(ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds)
    {
        if (!Protocol.DmaMap.TryRead(payload, out DmaMap request) || request.ArgSize < Protocol.DmaMap.Size || fds.Length > 1 || request.Length == 0
            || request.Address > ulong.MaxValue - (request.Length - 1) || (request.Flags & ~KnownMapFlags) != 0
            || ((request.Flags & DescriptorMapFlags) != 0 && fds.IsEmpty))
        {
            FileDescriptor.Close(fds);
            return Errno.EINVAL;
        }
        bool readable = (request.Flags & DmaMapFlags.Readable) != 0, writable = (request.Flags & DmaMapFlags.Writable) != 0;
        MappedMemory? memory = null;
        if (fds.Length == 1)
        {
            using var file = new FileDescriptor(fds[0]);
            MappingAccess access = writable ? MappingAccess.ReadWrite : MappingAccess.Read;
            if (!_slot.DmaTable.HasRoomFor(request.Length)) return Errno.ENOMEM;
            if (!MappedMemory.TryMap(file, request.FileOffset, request.Length, access, out memory, out int errno)) return errno;
            if (!memory.CannotShrink && !_options.TrustUnsealedMemory)
            {
                // Its owner could cut it, and the next access would end this process, with all its devices: reach it by messages.
                memory.Dispose();
                memory = null;
                if (!_toldUnsealed) _report("the guest's memory is a file that can shrink: DMA goes by messages, which is slow, and not every model "
                    + "can use that; start QEMU with memory-backend-memfd,share=on, whose seal is on by default, or have the device trust the file");
                _toldUnsealed = true;
            }
        }
        int refused = _slot.DmaTable.Add(new DmaRange(request.Address, request.Length, readable, writable, memory));
        if (refused != 0) memory?.Dispose();
        else _function.NoteMapping(mapped: true, request.Address, request.Length);
        return refused;
    }

    private void DmaUnmap(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!Protocol.DmaUnmap.TryRead(payload, out DmaUnmap request) || request.ArgSize < Protocol.DmaUnmap.Size || (request.Flags & ~DmaUnmapFlags.All) != 0)
        {
            ReplyError(header, Errno.EINVAL);
            return;
        }
        bool all = (request.Flags & DmaUnmapFlags.All) != 0;
        if (all && (request.Address != 0 || request.Length != 0)) { ReplyError(header, Errno.EINVAL); return; }
        int errno = 0;
        if (all) _slot.DmaTable.Clear();
        else errno = _slot.DmaTable.Remove(request.Address, request.Length);
        if (errno != 0) { ReplyError(header, errno); return; }
        _function.NoteMapping(mapped: false, request.Address, request.Length);
        request.Write(Reply(header, Protocol.DmaUnmap.Size));
    }

    private void DeviceGetInfo(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!DeviceInfo.TryRead(payload, out DeviceInfo request) || request.ArgSize < DeviceInfo.Size) { ReplyError(header, Errno.EINVAL); return; }
        new DeviceInfo(DeviceInfo.Size, DeviceInfoFlags.Reset | DeviceInfoFlags.Pci, RegionIndex.Count, IrqIndex.Count).Write(Reply(header, DeviceInfo.Size));
    }

    private void DeviceGetRegionInfo(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!RegionInfo.TryRead(payload, out RegionInfo request) || request.ArgSize < RegionInfo.Size || request.Index >= RegionIndex.Count)
        {
            ReplyError(header, Errno.EINVAL);
            return;
        }
        int index = (int)request.Index;
        ulong length = _function.RegionSize(index);
        RegionInfoFlags flags = length == 0 ? RegionInfoFlags.None : RegionInfoFlags.Read | RegionInfoFlags.Write;
        SharedBarMemory? memory = _takesDescriptors && index < PciRegion.BarCount ? _function.Bars[index]?.Memory as SharedBarMemory : null;
        SparseArea[] areas = memory is null ? [] : Mappable(_function.Bars[index]!);
        if (areas.Length == 0)
        {
            new RegionInfo(RegionInfo.Size, flags, request.Index, 0, length, 0).Write(Reply(header, RegionInfo.Size));
            return;
        }
        flags |= RegionInfoFlags.MemoryMap;
        bool whole = areas.Length == 1 && areas[0].Offset == 0 && areas[0].Length == length;
        int capability = whole ? 0 : SparseMapCapability.ByteCount(areas.Length), full = RegionInfo.Size + capability;
        if (request.ArgSize < (uint)full)
        {
            // Too little room: only how much is needed, and no descriptor yet.
            new RegionInfo((uint)full, flags, request.Index, 0, length, 0).Write(Reply(header, RegionInfo.Size));
            return;
        }
        Span<byte> reply = Reply(header, full);
        if (!whole)
        {
            flags |= RegionInfoFlags.Capabilities;
            SparseMapCapability.Write(reply[RegionInfo.Size..], areas);
        }
        new RegionInfo((uint)full, flags, request.Index, whole ? 0u : RegionInfo.Size, length, 0).Write(reply);
        if (header.NoReply) return;
        _output.Attach(memory!.GiveAway(), MessageHeader.HeaderSize + full);
        _output.TryFlush();
    }

    private void DeviceGetRegionIoFds(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!RegionIoFds.TryRead(payload, out RegionIoFds request) || request.ArgSize is < RegionIoFds.Size or > MaximumDataTransfer
            || request.Flags != 0 || request.Count != 0 || request.Index >= RegionIndex.Count || _function.RegionSize((int)request.Index) == 0)
        {
            ReplyError(header, Errno.EINVAL);
            return;
        }
        new RegionIoFds(RegionIoFds.Size, 0, request.Index, 0).Write(Reply(header, RegionIoFds.Size));
    }

    private void DeviceGetIrqInfo(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!IrqInfo.TryRead(payload, out IrqInfo request) || request.ArgSize < IrqInfo.Size || request.Index >= IrqIndex.Count)
        {
            ReplyError(header, Errno.EINVAL);
            return;
        }
        IrqInfoFlags flags = request.Index switch
        {
            IrqIndex.Intx => IrqInfoFlags.EventFd | IrqInfoFlags.Maskable | IrqInfoFlags.AutoMasked,
            IrqIndex.Msi => IrqInfoFlags.EventFd | IrqInfoFlags.NoResize,
            _ => IrqInfoFlags.EventFd,
        };
        new IrqInfo(IrqInfo.Size, flags, request.Index, (uint)_slot.InterruptPins.CountOf((int)request.Index)).Write(Reply(header, IrqInfo.Size));
    }

    private int SetIrqs(ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds)
    {
        if (!IrqSet.TryRead(payload, out IrqSet request) || fds.Length > _eventFds.Length)
        {
            FileDescriptor.Close(fds);
            return Errno.EINVAL;
        }
        for (int i = 0; i < fds.Length; i++)
        {
            if (EventFd.TryAdopt(new FileDescriptor(fds[i])) is { } eventFd) { _eventFds[i] = eventFd; continue; }
            for (int j = 0; j < i; j++) _eventFds[j].Dispose();
            FileDescriptor.Close(fds[(i + 1)..]);
            return Errno.EINVAL;
        }
        return _slot.InterruptPins.Set(request, payload[IrqSet.Size..], _eventFds.AsSpan(0, fds.Length));
    }

    private void RegionRead(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!RegionAccess.TryRead(payload, out RegionAccess access) || !IsInside(access.Region, access.Offset, access.Count))
        {
            ReplyError(header, Errno.EINVAL);
            return;
        }
        int count = (int)access.Count;
        Span<byte> reply = Reply(header, RegionAccess.Size + count);
        access.Write(reply);
        _function.Read((int)access.Region, access.Offset, reply[RegionAccess.Size..]);
    }

    /// <returns>0, or the errno to reply. A success is replied to here, with its payload.</returns>
    private int RegionWrite(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!RegionAccess.TryRead(payload, out RegionAccess access) || !IsInside(access.Region, access.Offset, access.Count)
            || payload.Length != RegionAccess.Size + (int)access.Count)
        {
            return Errno.EINVAL;
        }
        _function.Write((int)access.Region, access.Offset, payload[RegionAccess.Size..]);
        access.Write(Reply(header, RegionAccess.Size));
        return Replied;
    }

    private void RegionWriteMulti(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!Protocol.RegionWriteMulti.TryRead(payload, out RegionWriteMulti writes)) { ReplyError(header, Errno.EINVAL); return; }
        Span<byte> data = stackalloc byte[8];
        ulong done = 0;
        for (int i = 0; i < writes.Count; i++)
        {
            RegionWrite write = writes[i];
            // Lost, as a posted write to nowhere is.
            if (!IsInside(write.Region, write.Offset, write.Count)) continue;
            BinaryPrimitives.WriteUInt64LittleEndian(data, write.Data);
            _function.Write((int)write.Region, write.Offset, data[..(int)write.Count]);
            done++;
        }
        BinaryPrimitives.WriteUInt64LittleEndian(Reply(header, Protocol.RegionWriteMulti.HeaderSize), done);
    }

    private void DeviceReset(in MessageHeader header)
    {
        // Cancels queued transfers, too; the one whose message is under way ends, aborted, when its reply comes.
        _function.Reset(ResetKind.Bus);
        ReplyStatus(header, 0);
    }

    private bool IsInside(uint region, ulong offset, uint count)
    {
        if (region >= RegionIndex.Count || count > MaximumDataTransfer) return false;
        ulong size = _function.RegionSize((int)region);
        return size != 0 && offset <= size && count <= size - offset;
    }

    private static SparseArea[] Mappable(Bar bar)
        => [.. bar.Windows.Where(w => w.IsMappable).Select(w => new SparseArea(w.Offset, w.Length))];

    // What a handler returns that has replied itself.
    private const int Replied = -1;

    private void ReplyStatus(in MessageHeader header, int errno)
    {
        if (errno > 0) ReplyError(header, errno);
        else if (errno == 0) Reply(header, 0);
    }

    private void ReplyError(in MessageHeader header, int errno)
    {
        if (!header.NoReply) header.ToErrorReply(errno).Write(_output.Reserve(MessageHeader.HeaderSize));
    }

    /// <summary>Starts a reply and gives room for its payload, to be filled before the next call.</summary>
    private Span<byte> Reply(in MessageHeader header, int payloadSize)
    {
        Span<byte> message = _output.Reserve(MessageHeader.HeaderSize + payloadSize);
        header.ToReply(payloadSize).Write(message);
        return message[MessageHeader.HeaderSize..];
    }
}
