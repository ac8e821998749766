using System.Runtime.InteropServices;
using Emulator.VfioUser.Protocol;

namespace Emulator.VfioUser.Transport;

/// <summary>A call to the operating system failed. The message says what was tried, on what, and names the errno.</summary>
public sealed class TransportException : Exception
{
    /// <summary>An error that the operating system reported.</summary>
    /// <param name="operation">What was tried, on what: "connect to '/run/x.sock'".</param>
    /// <param name="errno">See <see cref="Protocol.Errno"/>.</param>
    /// <param name="remedy">What the person can do about it, if anything.</param>
    public TransportException(string operation, int errno, string? remedy = null)
        : base(Describe(operation, errno, remedy))
    {
        Errno = errno;
    }

    /// <summary>The Linux errno.</summary>
    public int Errno { get; }

    /// <summary>The error the last native call of this thread left.</summary>
    internal static TransportException FromLastError(string operation, string? remedy = null) =>
        new(operation, Marshal.GetLastPInvokeError(), remedy);

    private static string Describe(string operation, int errno, string? remedy)
    {
        string reason = $"Cannot {operation}: {Marshal.GetPInvokeErrorMessage(errno)} ({Protocol.Errno.Name(errno)})";
        return remedy is null ? reason + "." : $"{reason}; {remedy}.";
    }
}
