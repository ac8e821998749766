using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server.Sessions;

/// <summary>A client that came while another has the device: it is told EBUSY in answer to its first message, and dropped.</summary>
internal sealed class RefusedClient(UnixStream stream) : IDisposable
{
    private const int MostDescriptors = 16;

    private readonly byte[] _header = new byte[MessageHeader.HeaderSize];
    private int _received;

    /// <summary>Takes what is there of its first header, and answers once that is whole.</summary>
    /// <returns>Whether it is done with.</returns>
    public bool Answer()
    {
        Span<int> fds = stackalloc int[MostDescriptors];
        try
        {
            int received = stream.TryReceive(_header.AsSpan(_received), fds, out int fdCount);
            FileDescriptor.Close(fds[..fdCount]);
            if (received == UnixStream.WouldBlock) return false;
            if (received == UnixStream.Closed) return true;
            _received += received;
            if (!MessageHeader.TryRead(_header.AsSpan(0, _received), out MessageHeader header)) return false;
            if (header.IsCommand && !header.NoReply)
            {
                header.ToErrorReply(Errno.EBUSY).Write(_header);
                stream.TrySend(_header, default, default);
            }
        }
        catch (TransportException)
        {
            // It sent too many descriptors, or did not wait for the answer.
        }
        return true;
    }

    public void Dispose() => stream.Dispose();
}
