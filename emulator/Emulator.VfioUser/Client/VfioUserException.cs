using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Client;

/// <summary>How a request failed.</summary>
public enum VfioUserFailure
{
    /// <summary>The server answered with an error; the connection goes on.</summary>
    ErrorReply,
    /// <summary>
    /// The server did not answer in time: the connection goes on, and a late answer is ignored. Or it took no bytes in time: then the connection
    /// cannot be used further.
    /// </summary>
    Timeout,
    /// <summary>The server closed the connection.</summary>
    Disconnected,
    /// <summary>The server sent what the protocol does not allow; the connection cannot be used further.</summary>
    ProtocolViolation,
}

/// <summary>A vfio-user request failed.</summary>
public sealed class VfioUserException : Exception
{
    /// <summary>A failed request.</summary>
    public VfioUserException(Command command, VfioUserFailure failure, int errno, string message, Exception? cause = null)
        : base(message, cause)
    {
        (Command, Failure, Errno) = (command, failure, errno);
    }

    /// <summary>The request; <see cref="Command.None"/> outside of one.</summary>
    public Command Command { get; }

    /// <summary>How it failed.</summary>
    public VfioUserFailure Failure { get; }

    /// <summary>The errno of an error reply; otherwise ETIMEDOUT, ECONNRESET or EPROTO. See <see cref="Protocol.Errno"/>.</summary>
    public int Errno { get; }
}
