using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pe;
using Emulator.DriverBench.Pnp;
using Emulator.Models;
using Emulator.Nt.Views;
using Emulator.Pci;
using DeviceNode = Emulator.DriverBench.Pnp.DeviceNode;

namespace Emulator.Cli.Bench;

/// <summary>What a run in the bench is to do.</summary>
/// <param name="FailAllocation">Which allocation from the beginning on is to fail; 0 none.</param>
/// <param name="DeviceGone">At which access the first device is to vanish; 0 never.</param>
/// <param name="Storm">From which interrupt on the first device is to storm; 0 never.</param>
internal sealed record BenchChoice(IReadOnlyList<BenchStep> Steps, InterruptGrant Interrupts, int FailAllocation = 0, int DeviceGone = 0, int Storm = 0)
{
    /// <summary>Whether faults are asked for, with which a request may well fail.</summary>
    public bool HasFaults => FailAllocation > 0 || DeviceGone > 0 || Storm > 0;
}

/// <summary>The objects of the machine as its memory had them when the last of the devices had started, or else had its drivers.</summary>
internal sealed record BenchSnapshot(IReadOnlyList<DriverListing> Drivers, DeviceNodeListing? Nodes);

/// <summary>A device's objects as the machine's memory had them when it had started, or else when its drivers were added.</summary>
internal sealed record DeviceSnapshot(DeviceStackListing? Stack, DriverPairListing? Pair);

/// <summary>Takes drivers and their devices through a life in the bench, and keeps what came of each step.</summary>
internal sealed class BenchRun
{
    private readonly BenchFiles _files;
    private readonly BenchChoice _choice;
    private readonly Action<PciFunction, BenchDevice, string>? _plugged;
    private readonly StepLog _log;
    private readonly List<ModuleLine> _modules = [];
    private readonly List<LoadedDriver> _loaded = [];
    private readonly Dictionary<DriverFile, LoadedDriver> _drivers = [];
    private readonly Dictionary<BenchDevice, DeviceSnapshot> _snapshots = [];
    private readonly HashSet<string> _names = [];
    private readonly DeviceLife[] _lives;

    /// <param name="plugged">Sees each function before it is reset, with the device it is and a name that no other function has.</param>
    /// <param name="cancellation">Stops the machine.</param>
    /// <exception cref="UserError">A step is for a device that there is not.</exception>
    public BenchRun(BenchFiles files, BenchChoice choice, Action<PciFunction, BenchDevice, string>? plugged, CancellationToken cancellation)
    {
        (_files, _choice, _plugged) = (files, choice, plugged);
        if (choice.Steps.Select(s => s.Device).OfType<string>().FirstOrDefault(name => !files.Devices.Any(d => d.IsCalled(name))) is { } other)
        {
            throw new UserError($"--steps: no device \"{other}\"; {Spelling.Suggest(other, [.. files.Devices.Select(d => d.Name)])}");
        }
        Machine = new BenchMachine(files.Machine, cancellation);
        _log = new StepLog(Machine, choice.HasFaults);
        _lives = [.. files.Devices.Select(d => new DeviceLife(Machine, _log, d, _drivers, slot => Create(d, slot))
        {
            PluggedFirst = d == files.Devices[0] ? MakeFaults : null,
            Changed = TakeSnapshots,
        })];
    }

    public BenchMachine Machine { get; }
    public IReadOnlyList<StepResult> Steps => _log.Steps;
    public IReadOnlyList<ModuleLine> Modules => _modules;

    /// <summary>Null when no device came so far as to have its drivers.</summary>
    public BenchSnapshot? Snapshot { get; private set; }

    /// <summary>
    /// Sees the devices that are there after all steps, before what ends their lives by itself: where there are any, or a driver takes none. Null for nobody.
    /// </summary>
    public Action<IReadOnlyList<DeviceNode>>? BeforeEnd { get; init; }

    /// <summary>No rule was broken, and nothing failed that should not.</summary>
    public bool IsClean => Machine.Findings.Count == 0 && !Steps.Any(s => s.IsFailure);

    /// <summary>What the report says of the devices.</summary>
    public IEnumerable<DeviceLine> Describe()
        => _lives.Select(life =>
        {
            DeviceSnapshot? seen = _snapshots.GetValueOrDefault(life.Device);
            DeviceModel? model = life.Device.Model;
            return new DeviceLine(life.Device.Name, model?.Name ?? "", model is null ? "" : _files.IdentityOf(model).ToString(),
                life.Device.Function.Image.Name, life.First?.Accesses ?? 0, seen?.Stack, seen?.Pair);
        });

    /// <summary>Lives the whole life. What was begun is ended, whether the steps say so or not.</summary>
    /// <returns>False when it was stopped.</returns>
    /// <exception cref="UserError">An import is missing.</exception>
    public bool TryLive()
    {
        try
        {
            Machine.Faults.FailAllocation(_choice.FailAllocation);
            if (LoadAll()) LiveDevices();
            UnloadAll();
        }
        catch (BugCheckException)
        {
            // It is among the findings, and nothing more can be done with this machine.
        }
        catch (MissingFunctionException lack)
        {
            throw new UserError(lack.Message, cause: lack);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
        return true;
    }

    private bool LoadAll()
    {
        foreach (DriverFile file in _files.Order)
        {
            LoadedDriver? driver = null;
            string routine = file.Role != DriverRole.ExportDriver ? "DriverEntry" : file.Image.IsExportDriver ? "DllInitialize" : "load";
            bool done = _log.Do(null, $"{routine} {file.Name}", () =>
            {
                driver = Load(file);
                return NtStatus.Success;
            });
            if (!done || driver is null) return false;
            _loaded.Add(driver);
            _drivers.Add(file, driver);
        }
        return true;
    }

    private LoadedDriver Load(DriverFile file)
    {
        try
        {
            // Before any of its code runs: when that crashes, one wants to know where it lies.
            return Machine.Load(file.Image, file.Map, file.Role == DriverRole.ExportDriver, driver => _modules.Add(new ModuleLine(
                file.Image.Name, new Nt.NtAddress(driver.Image.Base, Machine.Is64Bit), driver.Image.Size, file.Role, ImportsOf(driver),
                [.. driver.Missing.Select(i => i.ToString())], file.Map is not null)));
        }
        catch (PeException problem)
        {
            string[] absent = [.. file.Image.ImportedModules
                .Where(m => !BenchMachine.Provides(m) && problem.What.Contains($"{m}!", StringComparison.Ordinal))];
            string remedy = absent.Length > 0 ? $"name {string.Join(" and ", absent)}, too, or put it beside {file.Path}" : "the bench lacks these functions";
            throw new UserError($"{file.Path}: {problem.What}; {remedy}", cause: problem);
        }
    }

    // What the loader wrote into the import table says who was found.
    private List<ModuleImports> ImportsOf(LoadedDriver driver)
        => [.. driver.Image.Image.Imports
            .Select(i => Machine.Space.TryReadPointer(driver.Image.Base + i.SlotRva, out ulong target) ? Machine.Symbols.FindModule(target) : null)
            .GroupBy(m => m ?? "?").Select(g => new ModuleImports(g.Key, g.Count()))];

    private PciFunction Create(BenchDevice device, PciSlot slot)
    {
        DeviceModel model = device.Model ?? throw BenchFiles.NoModel(device.Function);
        PciFunction function = model.Create(slot);
        string name = device.Name;
        // A second device of a name would be taken for the first one in a trace.
        for (int i = 2; !_names.Add(name); i++) name = $"{model.Name}-{i}";
        _plugged?.Invoke(function, device, name);
        return function;
    }

    private void MakeFaults(DeviceNode first)
    {
        if (_choice.DeviceGone > 0) Machine.Faults.LoseDevice(first, _choice.DeviceGone);
        if (_choice.Storm > 0) Machine.Faults.Storm(first, _choice.Storm);
    }

    // A step is taken by every device before the next step's turn comes: all of them live at the same time.
    private void LiveDevices()
    {
        foreach (DeviceLife life in _lives) life.Plug(_choice.Interrupts);
        foreach (BenchStep step in _choice.Steps)
        {
            if (step.Action == BenchAction.Unload) break;
            DeviceLife[] lives = [.. _lives.Where(l => step.Device is null || l.Device.IsCalled(step.Device))];
            if (step.Action == BenchAction.Wait) Wait(step.Number);
            else if (step.Action == BenchAction.Requests) Ask(lives);
            else if (step.Action == BenchAction.Power) Power(lives);
            else if (step.Action == BenchAction.Plug) Replug(lives);
            else Take(step, lives);
            foreach (DeviceLife life in _lives) life.FollowLoss();
        }
        DeviceNode[] there = [.. _lives.Select(l => l.Node).OfType<DeviceNode>()];
        if (there.Length > 0 || _lives.Any(l => l.IsLegacy)) BeforeEnd?.Invoke(there);
        foreach (DeviceLife life in _lives) life.Remove();
    }

    private static void Take(BenchStep step, IReadOnlyList<DeviceLife> lives)
    {
        foreach (DeviceLife life in lives)
        {
            if (!life.IsEnded) life.Take(step);
            else if (step.Action != BenchAction.Remove) life.Skip(step.Action);
        }
    }

    private void Ask(DeviceLife[] lives)
    {
        foreach (DeviceLife life in lives)
        {
            foreach (BenchStep request in life.Device.Function.Requests)
            {
                if (request.Action == BenchAction.Wait) Wait(request.Number);
                else Take(request, [life]);
            }
        }
    }

    private void Replug(DeviceLife[] lives)
    {
        foreach (DeviceLife life in lives) life.Remove();
        foreach (DeviceLife life in lives) life.Plug(_choice.Interrupts);
    }

    private static void Power(DeviceLife[] lives)
    {
        foreach (DeviceLife life in lives.Where(l => l.IsEnded)) life.Skip(BenchAction.Power);
        DeviceLife[] awake = [.. lives.Where(l => !l.IsEnded)], own = [.. awake.Where(l => l.TakesDevicePower)];
        Take(new BenchStep(BenchAction.Sleep), awake);
        Take(new BenchStep(BenchAction.Wake), awake);
        Take(new BenchStep(BenchAction.D3), own);
        Take(new BenchStep(BenchAction.D0), own);
    }

    private void Wait(long nanoseconds)
    {
        if (_lives.All(l => l.IsEnded)) _lives[0].Skip(BenchAction.Wait);
        else _log.Do(null, $"wait {nanoseconds / 1e6:0.###} ms", () =>
        {
            Machine.Advance(nanoseconds);
            return NtStatus.Success;
        });
    }

    private void UnloadAll()
    {
        foreach (LoadedDriver driver in _loaded.Reverse<LoadedDriver>())
        {
            if (driver.IsExportDriver) continue;
            string step = $"DriverUnload {driver.Name}";
            if (!driver.HasUnload) _log.Add(StepResult.Skipped(null, step, "it has none and stays loaded"));
            else if (Machine.Drivers.Any(other => other.Uses.Contains(driver)))
            {
                _log.Add(StepResult.Skipped(null, step, "what imports from it stays loaded, and so does it"));
            }
            else
            {
                LoadedDriver[] before = [.. Machine.Drivers];
                _log.Do(null, step, () =>
                {
                    Machine.Unload(driver);
                    return NtStatus.Success;
                }, detail: () => WithIt([.. before.Except(Machine.Drivers).Where(d => d != driver)]));
            }
        }
    }

    // What it imported from goes when nobody else does.
    private static string? WithIt(LoadedDriver[] gone) => gone.Length == 0 ? null : $"with {string.Join(", ", gone.Select(d => d.Name))}";

    private void TakeSnapshots(DeviceLife life)
    {
        NtViewer viewer = Machine.Viewer;
        _snapshots[life.Device] = new DeviceSnapshot(life.Node is { } node ? viewer.ShowStack(node.Pdo) : null, viewer.ShowPair(life.Function.Object));
        Snapshot = new BenchSnapshot(
            [.. _loaded.Where(d => d.Object != 0).Select(d => viewer.ShowDriver(d.Object, DriverListingParts.Dispatch)).OfType<DriverListing>()],
            viewer.ShowNodes(Machine.RootNode));
    }
}
