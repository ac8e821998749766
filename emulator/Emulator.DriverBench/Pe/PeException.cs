namespace Emulator.DriverBench.Pe;

/// <summary>A driver file that cannot be used: one line, what and where.</summary>
public sealed class PeException : Exception
{
    public PeException(string file, string what)
        : base($"{file}: {what}")
    {
    }
}
