namespace Emulator.Tracing;

/// <summary>A file is no trace, or a damaged or newer one. The message is one line: what, where, and how to mend it.</summary>
public sealed class TraceFormatException(string message) : Exception(message);
