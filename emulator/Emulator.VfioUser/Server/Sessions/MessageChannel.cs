using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server.Sessions;

/// <summary>One socket of a session: what has come and is not carried out, and what has not gone yet. Takes the stream over, unless this throws.</summary>
/// <param name="stream">The socket.</param>
/// <param name="maximumDescriptors">Most descriptors with one message.</param>
internal sealed class MessageChannel(UnixStream stream, int maximumDescriptors) : IDisposable
{
    public UnixStream Stream => stream;
    public MessageReader Reader { get; } = new(stream, SessionLimits.Message, maximumDescriptors);
    public SendQueue Output { get; } = new(stream);

    public void Dispose()
    {
        Reader.Dispose();
        stream.Dispose();
    }
}
