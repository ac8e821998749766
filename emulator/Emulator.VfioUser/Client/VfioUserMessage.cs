using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Client;

/// <summary>A message as it came, with the descriptors that came with it; disposing closes those still owned.</summary>
public sealed class VfioUserMessage : IDisposable
{
    private readonly byte[] _payload;
    private readonly FileDescriptor[] _descriptors;

    internal VfioUserMessage(MessageHeader header, ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds)
    {
        Header = header;
        _payload = payload.ToArray();
        _descriptors = new FileDescriptor[fds.Length];
        for (int i = 0; i < fds.Length; i++)
        {
            _descriptors[i] = new FileDescriptor(fds[i]);
        }
    }

    /// <summary>The header.</summary>
    public MessageHeader Header { get; }

    /// <summary>The bytes after the header.</summary>
    public ReadOnlySpan<byte> Payload => _payload;

    /// <summary>The descriptors, in the order sent.</summary>
    public IReadOnlyList<FileDescriptor> Descriptors => _descriptors;

    /// <summary>Closes the descriptors.</summary>
    public void Dispose() => Array.ForEach(_descriptors, descriptor => descriptor.Dispose());
}
