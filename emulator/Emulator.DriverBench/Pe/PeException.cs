namespace Emulator.DriverBench.Pe;

/// <summary>A driver file that cannot be used: one line, what and where.</summary>
public sealed class PeException : Exception
{
    /// <param name="file">Its name.</param>
    /// <param name="what">Without the file.</param>
    public PeException(string file, string what) : base($"{file}: {what}") => What = what;

    /// <summary>The message without the file, for those who know it better.</summary>
    public string What { get; }
}
