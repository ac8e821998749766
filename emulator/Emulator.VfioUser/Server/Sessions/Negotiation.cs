using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Server.Dma;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server.Sessions;

/// <summary>What the two sides agree on by VERSION, which must be the client's first message.</summary>
internal sealed class Negotiation(SendQueue output, DmaMessages dmaMessages, bool offersTwin) : IDisposable
{
    /// <summary>VERSION has come and was answered.</summary>
    public bool IsDone { get; private set; }

    /// <summary>The client takes descriptors with replies.</summary>
    public bool TakesDescriptors { get; private set; }

    /// <summary>A second socket, for DMA messages, where the client asked for one.</summary>
    public MessageChannel? Twin { get; private set; }

    /// <summary>Why the session has to end, when <see cref="Version"/> says so.</summary>
    public string Refusal { get; private set; } = "";

    /// <returns>False when the session has to end.</returns>
    public bool Version(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (IsDone || !VersionPayload.TryRead(payload, out VersionPayload request))
        {
            output.ReplyError(header, Errno.EINVAL);
            return IsDone || Refuse("VERSION cannot be understood");
        }
        if (request.Major != ProtocolLimits.MajorVersion)
        {
            output.ReplyError(header, Errno.EINVAL);
            return Refuse($"the client speaks version {request.Major}.{request.Minor}, not {ProtocolLimits.MajorVersion}.x");
        }
        TakesDescriptors = request.Capabilities.MaxMessageFds > 0;
        bool twin = offersTwin && request.Capabilities.TwinSocket && TakesDescriptors && !header.NoReply;
        var capabilities = new Capabilities
        {
            MaxMessageFds = SessionLimits.MessageFds,
            MaxDataTransferSize = SessionLimits.DataTransfer,
            MaxDmaMaps = DmaTable.MaximumRanges,
            TwinSocket = twin,
            TwinSocketFdIndex = twin ? 0 : -1,
        };
        dmaMessages.MaximumTransfer = Math.Clamp(request.Capabilities.MaxDataTransferSize, 1, SessionLimits.DataTransfer);
        Span<byte> answer = stackalloc byte[VersionPayload.MaximumSize];
        ushort minor = Math.Min(request.Minor, ProtocolLimits.MinorVersion);
        int size = new VersionPayload(ProtocolLimits.MajorVersion, minor, capabilities).Write(answer);
        answer[..size].CopyTo(output.Reply(header, size));
        IsDone = true;
        return !twin || SendTwin(size);
    }

    public void Dispose() => Twin?.Dispose();

    private bool SendTwin(int answerSize)
    {
        (UnixStream local, FileDescriptor remote) = UnixStream.CreatePair();
        using FileDescriptor sent = remote;
        Twin = new MessageChannel(local, maximumDescriptors: 1);
        output.Attach(remote, MessageHeader.HeaderSize + answerSize);
        return output.TryFlush() || Refuse("the client's socket is full before the first reply");
    }

    private bool Refuse(string reason)
    {
        Refusal = reason;
        return false;
    }
}
