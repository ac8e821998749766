using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server;

/// <summary>What to serve, and how.</summary>
public sealed record DeviceServerOptions
{
    /// <summary>The device's name, for messages and its thread.</summary>
    public required string Name { get; init; }

    /// <summary>Where to listen. The folder is made private if it does not exist.</summary>
    public required string SocketPath { get; init; }

    /// <summary>Takes lines for a person: clients, guest errors, bugs. Called on the device thread.</summary>
    public Action<string> Report { get; init; } = _ => { };

    /// <summary>
    /// How long to look for the next message before sleeping, in microseconds, while messages follow each other that fast. 0 never
    /// does, and is the default where there is one processor only.
    /// </summary>
    public int SpinMicroseconds { get; init; } = DefaultSpinMicroseconds;

    /// <summary>What <see cref="SpinMicroseconds"/> is when nobody says otherwise.</summary>
    public static int DefaultSpinMicroseconds { get; } = Environment.ProcessorCount > 1 ? 50 : 0;

    /// <summary>Whether a client that proposes a twin socket for DMA messages gets one.</summary>
    public bool OfferTwinSocket { get; init; } = true;

    /// <summary>
    /// Whether to map guest memory that its owner can still cut, such as a plain file: an access after that ends this process. Off,
    /// such memory is reached by DMA messages. QEMU's memory-backend-memfd is sealed, so this does not concern it.
    /// </summary>
    public bool TrustUnsealedMemory { get; init; }

    /// <summary>A client that takes nothing of what is sent to it for this long is gone for all that matters.</summary>
    internal TimeSpan UnreadLimit { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Makes memory that a client can map, of a name and a size in bytes; throws <see cref="TransportException"/>.</summary>
    internal Func<string, ulong, SharedMemory> CreateSharedMemory { get; init; } = SharedMemory.Create;
}
