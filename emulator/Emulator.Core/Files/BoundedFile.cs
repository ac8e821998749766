namespace Emulator.Files;

/// <summary>Reads files that a person named, whatever they turn out to be: a device has no end, and a wrong file may be larger than the memory.</summary>
public static class BoundedFile
{
    private const int Chunk = 64 << 10;

    /// <summary>Reads a whole file.</summary>
    /// <param name="most">The most bytes it may have: whole MiB.</param>
    /// <exception cref="IOException">It is longer, or cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be read, or is a folder.</exception>
    public static byte[] ReadAllBytes(string path, int most)
    {
        using FileStream file = File.OpenRead(path);
        // What is no plain file says that it has no bytes; others may grow meanwhile.
        if (file.CanSeek && file.Length > most) throw TooLong(path, most);
        using var all = new MemoryStream();
        byte[] chunk = new byte[Chunk];
        for (int read; (read = file.Read(chunk)) > 0; all.Write(chunk, 0, read))
        {
            if (all.Length + read > most) throw TooLong(path, most);
        }
        return all.ToArray();
    }

    /// <summary>Reads a whole file as text: as its mark says, or else as UTF-8.</summary>
    /// <inheritdoc cref="ReadAllBytes"/>
    public static string ReadAllText(string path, int most)
    {
        using var text = new StreamReader(new MemoryStream(ReadAllBytes(path, most)));
        return text.ReadToEnd();
    }

    private static IOException TooLong(string path, int most) => new($"'{path}' is longer than {most >> 20} MiB; name another file");
}
