using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pe;
using Emulator.Models;
using Emulator.Pci;

namespace Emulator.Cli.Bench;

/// <summary>What a person typed of drivers and devices. Behind "DRIVER=" it is for the device of that driver alone.</summary>
/// <param name="Models">Names of models.</param>
/// <param name="UpperFilters">Files, bottom up.</param>
/// <param name="LowerFilters">Files, bottom up.</param>
internal sealed record BenchWords(
    IReadOnlyList<string> Files, IReadOnlyList<string> Models, IReadOnlyList<string> UpperFilters, IReadOnlyList<string> LowerFilters);

/// <summary>The drivers of a run in the order of their loading, and its devices: as typed, and as the INFs beside the drivers say.</summary>
internal sealed class BenchFiles
{
    private readonly List<DriverFile> _files = [];
    private readonly List<DriverFile> _imported = [];
    private readonly List<(DriverFile? Driver, DeviceModel Model)> _models = [];
    private readonly List<Placed> _placed = [];
    private readonly IReadOnlyList<SetupFile> _setups;
    private readonly Dictionary<DeviceModel, PciIdentity> _identities = [];

    /// <summary>A filter that was typed as one.</summary>
    /// <param name="Above">The function driver whose device it is for; null for all.</param>
    private sealed record Placed(DriverFile File, DriverFile? Above, DriverRole Role);

    /// <exception cref="UserError">They do not make stacks; the message says what to do.</exception>
    public BenchFiles(BenchWords words)
    {
        foreach (string path in words.Files) Open(path);
        foreach (string typed in words.LowerFilters) Place(typed, "--lower-filter", DriverRole.LowerFilter);
        foreach (string typed in words.UpperFilters) Place(typed, "--filter", DriverRole.UpperFilter);
        foreach (string typed in words.Models)
        {
            (DriverFile? driver, string model) = Split(typed, "--model");
            _models.Add((driver, ModelCatalog.Find(model)));
        }
        AddImported();
        CheckMachine();
        _setups = [.. _files.Select(f => f.Folder).Distinct().SelectMany(folder => SetupFile.In(folder, _files[0].Image.Is64Bit))];
        DriverFile[] functions = FindFunctions();
        GiveModels(functions);
        Devices = MakeDevices(functions);
        Order = FindOrder();
    }

    public Machine Machine => _files[0].Image.Machine;
    public IReadOnlyList<DriverFile> Order { get; }

    /// <summary>At least one.</summary>
    public IReadOnlyList<BenchDevice> Devices { get; }

    private static string ModelNames => string.Join(", ", ModelCatalog.All.Select(m => m.Name));

    private DriverFile Open(string path)
    {
        if (path.Length == 0) throw new UserError("the name of a driver's file is empty; name a driver (.sys)");
        string full = Path.GetFullPath(path);
        if (_files.Find(f => f.FullPath == full) is { } known) return known;
        DriverFile file = DriverFile.Open(path);
        _files.Add(file);
        return file;
    }

    private void Place(string typed, string option, DriverRole role)
    {
        (DriverFile? above, string path) = Split(typed, option);
        DriverFile file = Open(path);
        if (file.Image.IsExportDriver) throw new UserError($"{option}: {file.Path} is an export driver: others import from it; it takes no place in a stack");
        if (_placed.Exists(p => p.File == file && (p.Role != role || p.Above is null || above is null || p.Above == above)))
        {
            throw new UserError($"{option}: {file.Path} is named twice; a driver takes one place in a stack");
        }
        _placed.Add(new Placed(file, above, role));
    }

    // "DRIVER=WHAT"; a path may have a '=' of its own.
    private (DriverFile? Driver, string What) Split(string typed, string option)
    {
        int equals = typed.IndexOf('=', StringComparison.Ordinal);
        if (equals < 0) return (null, typed);
        string name = typed[..equals];
        if (_files.Find(f => f.IsCalled(name)) is { } driver) return (driver, typed[(equals + 1)..]);
        if (File.Exists(typed)) return (null, typed);
        throw new UserError($"{option}: no driver \"{name}\" is named; {Spelling.Suggest(name, [.. _files.Select(f => f.Name)])}");
    }

    // As NT does: what a driver imports from is found where the driver is, whatever the case of its name. What the bench itself is stays where it is.
    private void AddImported()
    {
        for (int i = 0; i < _files.Count; i++)
        {
            foreach (string module in _files[i].Image.ImportedModules)
            {
                if (BenchMachine.Provides(module) || _files.Exists(f => f.Image.Name.Equals(module, StringComparison.OrdinalIgnoreCase))) continue;
                string? beside = Directory.EnumerateFiles(_files[i].Folder).Select(Path.GetFileName)
                    .Where(f => module.Equals(f, StringComparison.OrdinalIgnoreCase)).MaxBy(f => f == module);
                if (beside is not null) _imported.Add(Open(Path.Combine(Path.GetDirectoryName(_files[i].Path)!, beside)));
            }
        }
    }

    private void CheckMachine()
    {
        DriverFile first = _files[0];
        if (_files.Find(f => f.Image.Machine != first.Image.Machine) is not { } other) return;
        throw new UserError($"{first.Path} is for {Name(first)} and {other.Path} for {Name(other)}; name files for one machine");

        static string Name(DriverFile file) => file.Image.Is64Bit ? "x64" : "x86";
    }

    private IEnumerable<SetupDevice> InfsOf(DriverFile file)
        => _setups.SelectMany(s => s.Devices).Where(d => d.FunctionDriver is { } driver && driver.Equals(file.Image.Name, StringComparison.OrdinalIgnoreCase));

    private static bool IsFilter(DriverFile file, IReadOnlyList<string> filters) => filters.Contains(file.Image.Name, StringComparer.OrdinalIgnoreCase);

    private bool IsPlaced(DriverFile file) => _placed.Exists(p => p.File == file);

    private bool IsToldFunction(DriverFile file)
        => _models.Exists(m => m.Driver == file) || _placed.Exists(p => p.Above == file) || (!_imported.Contains(file) && InfsOf(file).Any());

    private bool IsLibrary(DriverFile file)
        => file.Image.IsExportDriver || _imported.Contains(file)
            || (!IsPlaced(file) && !IsToldFunction(file) && _files.Exists(f => f != file && Imports(f, file)));

    private static bool Imports(DriverFile file, DriverFile from) => file.Image.ImportedModules.Contains(from.Image.Name, StringComparer.OrdinalIgnoreCase);

    /// <summary>Settles what each driver is, and gives those that have devices.</summary>
    private DriverFile[] FindFunctions()
    {
        foreach (DriverFile file in _files.Where(IsLibrary)) file.Role = DriverRole.ExportDriver;
        foreach (Placed placed in _placed) placed.File.Role = placed.Role;
        DriverFile[] candidates = [.. _files.Where(f => f.Role != DriverRole.ExportDriver && !IsPlaced(f))];
        if (candidates.Length == 0)
        {
            throw new UserError(_placed.Count > 0 ? "every driver is a filter; name the function driver, too"
                : $"{_files[0].Path} is an export driver: others import from it; name the driver of a device, too");
        }
        if (_models.Select(m => m.Driver).Concat(_placed.Select(p => p.Above)).FirstOrDefault(d => d is not null && !candidates.Contains(d)) is { } none)
        {
            throw new UserError($"{none.Path} is {(none.Role == DriverRole.ExportDriver ? "an export driver" : "a filter")} and has no device of its own");
        }
        DriverFile[] functions = [.. candidates.Where(IsToldFunction)];
        if (functions.Length == 0) functions = [FirstUnknown(candidates)];
        foreach (DriverFile function in functions) function.Role = DriverRole.FunctionDriver;
        foreach (DriverFile rest in candidates.Except(functions)) SettleFilter(rest, functions);
        return functions;
    }

    // Where no INF and nobody says which it is: the first as typed that no INF calls a filter.
    private DriverFile FirstUnknown(DriverFile[] candidates)
    {
        DriverFile first = candidates[0];
        SetupFile? filtered = null;
        foreach (DriverFile candidate in candidates)
        {
            SetupFile? says = _setups.FirstOrDefault(s => s.Devices.Any(d => IsFilter(candidate, d.UpperFilters) || IsFilter(candidate, d.LowerFilters)));
            if (says is null) return candidate;
            filtered ??= says;
        }
        if (_models.Count > 0) return first;
        string drivers = string.Join(" or ", filtered!.Devices.Select(d => d.FunctionDriver).OfType<string>().Distinct());
        throw new UserError($"{first.Path} is a filter, as {filtered.Path} says; name the function driver, too{(drivers.Length > 0 ? $": {drivers}" : "")}");
    }

    private void SettleFilter(DriverFile file, DriverFile[] functions)
    {
        SetupDevice[] infs = [.. functions.SelectMany(InfsOf)];
        if (infs.Any(d => IsFilter(file, d.LowerFilters))) file.Role = DriverRole.LowerFilter;
        else if (functions.Length > 1 && !infs.Any(d => IsFilter(file, d.UpperFilters)))
        {
            throw new UserError($"{file.Path}: no INF beside the drivers says which device it is for; put it above one with "
                + $"--filter {functions[0].Name}={file.Path}, or give it a device with --model {file.Name}=MODEL");
        }
    }

    /// <summary>Finds the driver of each model that was typed without one.</summary>
    private void GiveModels(DriverFile[] functions)
    {
        for (int i = 0; i < _models.Count; i++)
        {
            if (_models[i].Driver is not null) continue;
            DeviceModel model = _models[i].Model;
            DriverFile[] drivers = functions.Length == 1 ? functions : [.. functions.Where(f => InfsOf(f).Any(d => IsFor(d, model)))];
            if (drivers.Length != 1)
            {
                throw new UserError($"--model {model.Name}: {(drivers.Length == 0 ? "no INF says" : "the INFs leave open")} which driver it is for; "
                    + $"write --model {(drivers.Length == 0 ? functions : drivers)[0].Name}={model.Name}");
            }
            _models[i] = (drivers[0], model);
        }
    }

    /// <summary>What a model's device says it is.</summary>
    public PciIdentity IdentityOf(DeviceModel model)
    {
        if (!_identities.TryGetValue(model, out PciIdentity? identity)) _identities.Add(model, identity = model.Create(new DetachedSlot()).Identity);
        return identity;
    }

    private bool IsFor(SetupDevice device, DeviceModel model)
        => IdentityOf(model) is var identity && (device.Vendor, device.Device) == (identity.Vendor, identity.Device);

    private BenchDevice[] MakeDevices(DriverFile[] functions)
    {
        var devices = new List<BenchDevice>();
        foreach (DriverFile function in functions)
        {
            DeviceModel?[] typed = [.. _models.Where(m => m.Driver == function).Select(m => m.Model)];
            foreach (DeviceModel? model in typed.Length > 0 ? typed : [FindModel(function)])
            {
                int number = devices.Count(d => d.Model == model) + 1;
                string name = model?.Name ?? function.Name;
                devices.Add(new BenchDevice(number == 1 ? name : $"{name}-{number}", model, function,
                    FiltersOf(function, model, DriverRole.LowerFilter), FiltersOf(function, model, DriverRole.UpperFilter)));
            }
        }
        const int Most = BenchMachine.MostDevices;
        return devices.Count <= Most ? [.. devices] : throw new UserError($"{devices.Count} devices are too many: the bench has {Most} slots");
    }

    private DriverFile[] FiltersOf(DriverFile function, DeviceModel? model, DriverRole role)
    {
        // Of a device that no INF has, those of the driver's others serve.
        SetupDevice[] all = [.. InfsOf(function)], own = model is null ? [] : [.. all.Where(d => IsFor(d, model))];
        string[] listed = [.. (own.Length > 0 ? own : all).SelectMany(d => role == DriverRole.LowerFilter ? d.LowerFilters : d.UpperFilters)];
        bool isOnly = _files.Count(f => f.Role == DriverRole.FunctionDriver) == 1;
        // The INF's order where it has one; as typed otherwise.
        return [.. _files.Where(f => f.Role == role && IsWanted(f)).OrderBy(f => (uint)Array.FindIndex(listed, f.IsCalled))];

        bool IsWanted(DriverFile file)
            => IsPlaced(file) ? _placed.Exists(p => p.File == file && (p.Above is null || p.Above == function)) : isOnly || IsFilter(file, listed);
    }

    /// <summary>What to say of a driver that takes a device and has none.</summary>
    public static UserError NoModel(DriverFile function)
        => new($"no INF beside {function.Path} says which device it drives; choose with --model: {ModelNames}");

    /// <summary>The model that a function driver's INF is for; null without an INF.</summary>
    private DeviceModel? FindModel(DriverFile function)
    {
        SetupDevice[] infs = [.. InfsOf(function)];
        if (infs.Length == 0) return null;
        if (ModelCatalog.All.FirstOrDefault(model => infs.Any(d => IsFor(d, model))) is { } found) return found;
        string known = string.Join(", ", infs.Select(d => $"{d.Vendor:x4}:{d.Device:x4}").Distinct());
        string path = _setups.First(s => s.Devices.Contains(infs[0])).Path;
        throw new UserError($"{path} is for {known}, of which there is no model; choose with --model: {ModelNames}");
    }

    // As the PnP manager loads a device's services, from the bottom of its stack to the top.
    private DriverFile[] FindOrder()
    {
        try
        {
            IEnumerable<DriverFile> wanted = Devices.SelectMany(d => d.Drivers).Concat(_files.Where(f => f.Role == DriverRole.ExportDriver)).Distinct();
            return [.. LoadOrder.Of([.. wanted.Select(f => f.Image)]).Select(image => _files.First(f => f.Image == image))];
        }
        catch (PeException problem)
        {
            throw new UserError(problem.Message, cause: problem);
        }
    }
}
