using Emulator.DriverBench.Pe;
using Emulator.Files;

namespace Emulator.Cli.Bench;

/// <summary>What a driver is in the devices' stacks.</summary>
internal enum DriverRole
{
    /// <summary>Others import from it; it has no device.</summary>
    ExportDriver,
    FunctionDriver,
    LowerFilter,
    UpperFilter,
}

/// <summary>A driver file, read and checked.</summary>
internal sealed class DriverFile
{
    private const int LongestMap = 64 << 20;

    private DriverFile(string path, PeImage image, LinkerMap? map, IReadOnlyList<BenchStep> requests)
        => (Path, Image, Map, Requests) = (path, image, map, requests);

    /// <summary>As typed.</summary>
    public string Path { get; }
    public PeImage Image { get; }

    /// <summary>The names of its functions, from the linker map beside it; null when there is none.</summary>
    public LinkerMap? Map { get; }

    /// <summary>What it is asked while its device is open, from the file of requests beside it.</summary>
    public IReadOnlyList<BenchStep> Requests { get; }

    public DriverRole Role { get; set; } = DriverRole.UpperFilter;

    /// <summary>As its service is called: "ProsewareRobot".</summary>
    public string Name => System.IO.Path.GetFileNameWithoutExtension(Image.Name);

    /// <summary>Where it lies, whichever way it was typed.</summary>
    public string FullPath => System.IO.Path.GetFullPath(Path);
    public string Folder => System.IO.Path.GetDirectoryName(FullPath)!;

    /// <summary>Whether it is meant by "ProsewareRobot" or "ProsewareRobot.sys".</summary>
    public bool IsCalled(string name) => name.Equals(Name, StringComparison.OrdinalIgnoreCase) || name.Equals(Image.Name, StringComparison.OrdinalIgnoreCase);

    /// <summary>Reads a driver.</summary>
    /// <exception cref="UserError">There is no such file, or it is no driver.</exception>
    public static DriverFile Open(string path)
    {
        if (Directory.Exists(path)) throw new UserError($"{path} is a folder; name the driver files in it (.sys)");
        if (!File.Exists(path)) throw new UserError($"{path}: there is no such file; name a driver (.sys), `make drivers` builds the robots' into out/drivers");
        try
        {
            PeImage image = PeImage.Open(path);
            image.CheckDriver(image.Machine);
            string map = System.IO.Path.ChangeExtension(path, ".map");
            LinkerMap? names = File.Exists(map) ? LinkerMap.Parse(BoundedFile.ReadAllText(map, LongestMap), image) : null;
            return new DriverFile(path, image, names, RequestFile.Of(path));
        }
        catch (PeException problem)
        {
            // As typed: files for x64 and for x86 have one name.
            throw new UserError($"{path}: {problem.What.TrimEnd('.')}", cause: problem);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new UserError(problem.Message.TrimEnd('.'), cause: problem);
        }
    }
}
