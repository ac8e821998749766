namespace Emulator.VfioUser.Client;

/// <summary>A request that was sent and whose reply was not taken yet: each must be taken once.</summary>
public readonly record struct PendingReply
{
    internal PendingReply(ushort id, uint count) => (Id, Count) = (id, count);

    /// <summary>The id in the message's header.</summary>
    public ushort Id { get; }

    /// <summary>Bytes of data the reply is to have, or to acknowledge.</summary>
    internal uint Count { get; }
}
