using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pe;
using Emulator.Models;
using Emulator.Pci;

namespace Emulator.Cli.Bench;

/// <summary>What a driver is in the device's stack.</summary>
internal enum DriverRole
{
    /// <summary>Others import from it; it has no device.</summary>
    ExportDriver,
    FunctionDriver,
    UpperFilter,
}

/// <summary>A driver file, read and checked.</summary>
/// <param name="Map">The names of its functions, from the linker map beside it; null when there is none.</param>
internal sealed record DriverFile(string Path, PeImage Image, LinkerMap? Map)
{
    public DriverRole Role { get; set; } = Image.IsExportDriver ? DriverRole.ExportDriver : DriverRole.UpperFilter;

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
            return new DriverFile(path, image, File.Exists(map) ? LinkerMap.Parse(File.ReadAllText(map), image) : null);
        }
        catch (Exception problem) when (problem is PeException or IOException or UnauthorizedAccessException)
        {
            throw new UserError(problem.Message.TrimEnd('.'), cause: problem);
        }
    }
}

/// <summary>The drivers of one device: in the order of their loading, each with its role, and what the INFs beside them say.</summary>
internal sealed class BenchFiles
{
    private readonly IReadOnlyList<SetupFile> _setups;

    /// <param name="paths">As typed: one function driver, what it imports from, and filters.</param>
    /// <param name="filters">Files that are upper filters, bottom up, whatever else is said.</param>
    /// <exception cref="UserError">They do not make a stack; the message says what to do.</exception>
    public BenchFiles(IReadOnlyList<string> paths, IReadOnlyList<string> filters)
    {
        var files = paths.Concat(filters).Select(DriverFile.Open).ToList();
        AddImported(files);
        CheckMachine(files);
        _setups = [.. files.Select(f => FolderOf(f.Path)).Distinct().SelectMany(SetupFile.In)];
        DriverFile[] candidates = [.. files.Where(f => f.Role != DriverRole.ExportDriver && !filters.Contains(f.Path))];
        Function = FindFunction(candidates, files);
        Function.Role = DriverRole.FunctionDriver;
        string[] above = [.. SetupsOf(Function).SelectMany(s => s.UpperFilters)];
        // The INF's order where it has one; as typed otherwise.
        Filters = [.. files.Where(f => f.Role == DriverRole.UpperFilter)
            .OrderBy(f => (uint)Array.FindIndex(above, a => a.Equals(NameOf(f), StringComparison.OrdinalIgnoreCase)))];
        try
        {
            // As the PnP manager loads a device's services: the function driver, then its upper filters.
            IEnumerable<DriverFile> exporting = files.Where(f => f.Role == DriverRole.ExportDriver);
            IReadOnlyList<PeImage> order = LoadOrder.Of([Function.Image, .. Filters.Concat(exporting).Select(f => f.Image)]);
            Order = [.. order.Select(image => files.Single(f => f.Image == image))];
        }
        catch (PeException problem)
        {
            throw new UserError(problem.Message, cause: problem);
        }
    }

    public Machine Machine => Function.Image.Machine;
    public IReadOnlyList<DriverFile> Order { get; }
    public DriverFile Function { get; }

    /// <summary>Bottom up.</summary>
    public IReadOnlyList<DriverFile> Filters { get; }

    /// <summary>The model that the function driver's INF is for.</summary>
    /// <param name="name">The one to take instead, or null.</param>
    /// <exception cref="UserError">There is none; the message lists the models.</exception>
    public DeviceModel FindModel(string? name)
    {
        if (name is not null) return ModelCatalog.Find(name);
        string models = string.Join(", ", ModelCatalog.All.Select(m => m.Name));
        SetupFile[] setups = [.. SetupsOf(Function)];
        if (setups.Length == 0) throw new UserError($"no INF beside {Function.Path} says which device it drives; choose with --model: {models}");
        var devices = setups.SelectMany(s => s.Devices).ToHashSet();
        foreach (DeviceModel model in ModelCatalog.All)
        {
            PciIdentity identity = model.Create(new DetachedSlot()).Identity;
            if (devices.Contains((identity.Vendor, identity.Device))) return model;
        }
        string known = devices.Count == 0 ? "no PCI device" : string.Join(", ", devices.Select(d => $"{d.Vendor:x4}:{d.Device:x4}"));
        throw new UserError($"{setups[0].Path} is for {known}, of which there is no model; choose with --model: {models}");
    }

    private static string FolderOf(string path) => System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;

    private static string NameOf(DriverFile file) => System.IO.Path.GetFileNameWithoutExtension(file.Image.Name);

    private IEnumerable<SetupFile> SetupsOf(DriverFile file)
        => _setups.Where(s => s.FunctionDrivers.Contains(file.Image.Name, StringComparer.OrdinalIgnoreCase));

    // As NT does: what a driver imports from is found where the driver is, whatever the case of its name. What the bench itself is stays where it is.
    private static void AddImported(List<DriverFile> files)
    {
        for (int i = 0; i < files.Count; i++)
        {
            string folder = FolderOf(files[i].Path);
            foreach (string module in files[i].Image.ImportedModules)
            {
                if (BenchMachine.Provides(module) || files.Exists(f => f.Image.Name.Equals(module, StringComparison.OrdinalIgnoreCase))) continue;
                string? beside = Directory.EnumerateFiles(folder).Select(System.IO.Path.GetFileName)
                    .Where(f => module.Equals(f, StringComparison.OrdinalIgnoreCase)).MaxBy(f => f == module);
                if (beside is not null) files.Add(DriverFile.Open(System.IO.Path.Combine(System.IO.Path.GetDirectoryName(files[i].Path)!, beside)));
            }
        }
    }

    private static void CheckMachine(List<DriverFile> files)
    {
        DriverFile first = files[0];
        if (files.Find(f => f.Image.Machine != first.Image.Machine) is not { } other) return;
        throw new UserError($"{first.Path} is for {Name(first)} and {other.Path} for {Name(other)}; name files for one machine");

        static string Name(DriverFile file) => file.Image.Is64Bit ? "x64" : "x86";
    }

    private DriverFile FindFunction(DriverFile[] candidates, List<DriverFile> files)
    {
        if (candidates.Length == 0)
        {
            throw new UserError(files.Exists(f => f.Role == DriverRole.UpperFilter)
                ? "every driver is a filter; name the function driver, too"
                : $"{files[0].Path} is an export driver: others import from it; name the driver of a device, too");
        }
        DriverFile[] known = [.. candidates.Where(f => SetupsOf(f).Any())];
        if (known.Length > 1)
        {
            string all = string.Join(" and ", known.Select(f => f.Path));
            throw new UserError($"{all} are function drivers, as their INFs say; name one of them, or those above it with --filter");
        }
        return known.Length == 1 ? known[0] : candidates[0];
    }
}
