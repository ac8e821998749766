namespace Emulator.DriverBench.Kernel;

/// <summary>A function of NT raises an exception in the driver that called it (EXCEPTION_RECORD, ntdef.h).</summary>
/// <param name="code">An NTSTATUS.</param>
/// <param name="text">What to say when nothing handles it.</param>
/// <param name="parameters">ExceptionInformation.</param>
internal sealed class RaisedException(uint code, string text, params ulong[] parameters) : Exception(text)
{
    public uint Code { get; } = code;

    /// <summary>ExceptionFlags: noncontinuable, as all that NT itself raises.</summary>
    public uint Flags { get; init; } = 1;
    public ulong[] Parameters { get; } = parameters;

    /// <summary>The driver has asked for memory that is not there, or not for this.</summary>
    /// <param name="access">0 to read, 1 to write, 8 to execute.</param>
    public static RaisedException AccessViolation(ulong access, ulong address, string text) => new(NtStatus.AccessViolation, text, access, address);
}
