using System.Runtime.Versioning;

namespace Emulator.WireTests.Transport;

/// <summary>A private folder under the system's temporary one, removed when disposed.</summary>
[SupportedOSPlatform("linux")]
internal sealed class TemporaryFolder : IDisposable
{
    public TemporaryFolder() => Path = Directory.CreateTempSubdirectory("vu-").FullName;

    public string Path { get; }

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
