using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Client;

/// <summary>How a <see cref="VfioUserClient"/> behaves.</summary>
public sealed record VfioUserClientOptions
{
    /// <summary>How long a wait may last before it fails: for the connection, for a reply, for room to send. Default: 10 s.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>What VERSION offers. Default: 16 descriptors a message, 1 MiB a transfer, several writes a message, no twin socket.</summary>
    public Capabilities Offer { get; init; } = new() { MaxMessageFds = 16, WriteMultiple = true };

    /// <summary>The minor version that VERSION proposes.</summary>
    public ushort MinorVersion { get; init; } = ProtocolLimits.MinorVersion;

    /// <summary>Send VERSION at once. Off, the caller does it, with <see cref="VfioUserClient.Negotiate"/> or by hand. Default: on.</summary>
    public bool NegotiateOnConnect { get; init; } = true;

    /// <summary>
    /// Answer DMA_READ and DMA_WRITE on a thread of its own while no call waits. It starts when the first memory is mapped, or with a twin
    /// socket. Off, without a twin socket, they are answered while a call waits and in <see cref="VfioUserClient.ServeDma"/>. Default: on.
    /// </summary>
    public bool ServeDmaInBackground { get; init; } = true;
}
