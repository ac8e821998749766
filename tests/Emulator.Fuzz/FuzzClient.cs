using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.Fuzz;

/// <summary>The receiving half of a client: it takes whatever the server sends, on the twin socket too, and looks at its form.</summary>
internal sealed class FuzzClient(UnixStream stream) : IDisposable
{
    private const int LargestMessage = 4 << 20, MostDescriptors = 16;

    private readonly MessageReader _reader = new(stream, LargestMessage, MostDescriptors);
    private UnixStream? _twin;
    private MessageReader? _twinReader;

    public UnixStream Main => stream;

    /// <summary>The server has closed the connection.</summary>
    public bool HasEnded { get; private set; }

    /// <summary>The server's commands that are not answered yet, and where they came from.</summary>
    public Queue<(UnixStream Stream, MessageHeader Header, DmaAccess Access)> Commands { get; } = [];

    /// <returns>Null, or what no server may send.</returns>
    public string? Take() => Take(stream, _reader) ?? (_twin is { } twin ? Take(twin, _twinReader!) : null);

    public void Dispose()
    {
        _reader.Dispose();
        _twinReader?.Dispose();
        _twin?.Dispose();
        stream.Dispose();
    }

    private string? Take(UnixStream from, MessageReader reader)
    {
        while (true)
        {
            switch (reader.TryRead(out MessageHeader header, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds))
            {
                case ReadOutcome.Malformed:
                    return $"the server sent a message of {header.Size} bytes";
                case ReadOutcome.Message:
                    Keep(header, fds);
                    if (header.IsError && (header.Errno == 0 || payload.Length > 0)) return $"the server sent a wrong error reply: {header}";
                    if (header.IsReply) continue;
                    if (!header.IsCommand || header.Command is not (Command.DmaRead or Command.DmaWrite) || !DmaAccess.TryRead(payload, out DmaAccess access))
                        return $"the server sent what no server may: {header}";
                    Commands.Enqueue((from, header, access));
                    continue;
            }
            int received = reader.Fill(wait: false);
            HasEnded |= received == UnixStream.Closed;
            if (received <= 0) return null;
        }
    }

    // The twin socket stays open: closing it ends the session, at a moment that depends on the machine.
    private void Keep(in MessageHeader header, ReadOnlySpan<int> fds)
    {
        if (header.Command != Command.Version || fds.Length != 1 || _twin is not null)
        {
            FileDescriptor.Close(fds);
            return;
        }
        _twin = new UnixStream(new FileDescriptor(fds[0]));
        _twinReader = new MessageReader(_twin, LargestMessage, MostDescriptors);
    }
}
