using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Server.Sessions;

/// <summary>What a client may send at most; it is told in the answer to VERSION.</summary>
internal static class SessionLimits
{
    /// <summary>Descriptors with one message.</summary>
    public const int MessageFds = 16;

    /// <summary>Bytes of data in one message.</summary>
    public const int DataTransfer = 1024 * 1024;

    /// <summary>Bytes of one message, its header included.</summary>
    public const int Message = MessageHeader.HeaderSize + RegionAccess.Size + DataTransfer;
}
