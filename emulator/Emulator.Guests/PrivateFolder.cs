using System.Security.Cryptography;
using System.Text;

namespace Emulator.Guests;

/// <summary>
/// A folder for sockets and files of one guest that only we may enter, removed when disposed. What a killed process left behind is
/// removed by the next one: each folder holds a file that its owner keeps locked.
/// </summary>
internal sealed class PrivateFolder : IDisposable
{
    private const string Prefix = "emulator-guest-";
    private const string LockName = "lock";

    private readonly FileStream _lock;

    public PrivateFolder()
    {
        string root = System.IO.Path.GetTempPath();
        // Room for this folder's name (30) and a socket's.
        if (Encoding.UTF8.GetByteCount(root) > QemuCommandLine.LongestSocketPath - 40)
        {
            root = "/tmp";
        }

        RemoveAbandoned(root);
        // Nobody can have made a folder of this name before us.
        Path = System.IO.Path.Combine(root, Prefix + RandomNumberGenerator.GetHexString(16, lowercase: true));
        Directory.CreateDirectory(Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        _lock = new FileStream(In(LockName), FileMode.CreateNew, FileAccess.Write, FileShare.None);
    }

    public string Path { get; }

    public string In(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose()
    {
        TryRemove(Path);
        _lock.Dispose();
    }

    private static void RemoveAbandoned(string root)
    {
        foreach (string folder in Directory.EnumerateDirectories(root, Prefix + "*"))
        {
            try
            {
                // Fails while the owner lives (locked), before it has made its lock (not found), and when it is another user's (denied).
                using (new FileStream(System.IO.Path.Combine(folder, LockName), FileMode.Open, FileAccess.Write, FileShare.None))
                {
                    TryRemove(folder);
                }
            }
            catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
            {
            }
        }
    }

    private static void TryRemove(string folder)
    {
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            // Only litter in the temporary folder; nothing that could be told a person in time.
        }
    }
}
