using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pe;
using Emulator.DriverBench.Pnp;
using Emulator.Models;
using Emulator.Nt.Objects;
using Emulator.Nt.Views;
using Emulator.Pci;
using DeviceNode = Emulator.DriverBench.Pnp.DeviceNode;

namespace Emulator.Cli.Bench;

/// <summary>What a run in the bench is to do.</summary>
/// <param name="FailAllocation">Which allocation from the beginning on is to fail; 0 none.</param>
/// <param name="DeviceGone">At which access the device is to vanish; 0 never.</param>
/// <param name="Storm">From which interrupt on the device is to storm; 0 never.</param>
internal sealed record BenchChoice(IReadOnlyList<BenchStep> Steps, InterruptGrant Interrupts, int FailAllocation = 0, int DeviceGone = 0, int Storm = 0)
{
    /// <summary>Whether faults are asked for, with which a request may well fail.</summary>
    public bool HasFaults => FailAllocation > 0 || DeviceGone > 0 || Storm > 0;
}

/// <summary>The objects of the machine, as its memory had them when the device had started.</summary>
internal sealed record BenchSnapshot(DeviceStackListing? Stack, IReadOnlyList<DriverListing> Drivers, DriverPairListing? Pair, DeviceNodeListing? Nodes);

/// <summary>Takes drivers and their device through a life in the bench, and keeps what came of each step.</summary>
internal sealed class BenchRun
{
    // How long a request is waited for, in virtual time: what waits for an event is left waiting.
    private const long Patience = 1_000_000_000;

    private readonly BenchFiles _files;
    private readonly DeviceModel _model;
    private readonly BenchChoice _choice;
    private readonly Action<PciFunction, int>? _plugged;
    private readonly List<StepResult> _steps = [];
    private readonly List<ModuleLine> _modules = [];
    private readonly List<LoadedDriver> _loaded = [];
    private readonly List<BenchRequest> _pending = [];
    private LoadedDriver? _function;
    private DeviceNode? _node;
    private DeviceNode? _first;
    private BenchFile? _file;
    private int _plugs;
    private bool _ended;

    /// <param name="plugged">Sees each function before it is reset, with its number from 1 on.</param>
    /// <param name="cancellation">Stops the machine.</param>
    public BenchRun(BenchFiles files, DeviceModel model, BenchChoice choice, Action<PciFunction, int>? plugged, CancellationToken cancellation)
    {
        (_files, _model, _choice, _plugged) = (files, model, choice, plugged);
        Machine = new BenchMachine(files.Machine, cancellation);
    }

    public BenchMachine Machine { get; }
    public IReadOnlyList<StepResult> Steps => _steps;
    public IReadOnlyList<ModuleLine> Modules => _modules;

    /// <summary>Taken when the device started, or else when its drivers were added; null when it came to neither.</summary>
    public BenchSnapshot? Snapshot { get; private set; }

    /// <summary>Sees the device after all steps and before what ends its life by itself, where it is still there; null for nobody.</summary>
    public Action<DeviceNode>? BeforeEnd { get; init; }

    /// <summary>The first device's accesses by its drivers, which <see cref="BenchChoice.DeviceGone"/> counts.</summary>
    public int Accesses => _first?.Accesses ?? 0;

    /// <summary>No rule was broken, and nothing failed that should not.</summary>
    public bool IsClean => Machine.Findings.Count == 0 && !_steps.Any(s => s.IsFailure);

    /// <summary>Lives the whole life. What was begun is ended, whether the steps say so or not.</summary>
    /// <returns>False when it was stopped.</returns>
    /// <exception cref="UserError">An import is missing.</exception>
    public bool TryLive()
    {
        try
        {
            Machine.Faults.FailAllocation(_choice.FailAllocation);
            if (LoadAll()) LiveDevice();
            UnloadAll();
        }
        catch (BugCheckException)
        {
            // It is among the findings, and nothing more can be done with this machine.
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
            string module = Path.GetFileNameWithoutExtension(file.Image.Name);
            LoadedDriver? driver = null;
            bool done = Do(file.Image.IsExportDriver ? $"DllInitialize {module}" : $"DriverEntry {module}", () =>
            {
                driver = Load(file);
                return NtStatus.Success;
            });
            if (!done || driver is null) return false;
            _loaded.Add(driver);
            if (file == _files.Function) _function = driver;
            _modules.Add(new ModuleLine(
                file.Image.Name, new Nt.NtAddress(driver.Image.Base, Machine.Is64Bit), driver.Image.Size, file.Role, ImportsOf(driver), file.Map is not null));
        }
        return true;
    }

    private LoadedDriver Load(DriverFile file)
    {
        try
        {
            return Machine.Load(file.Image, file.Map);
        }
        catch (PeException problem)
        {
            string[] absent = [.. file.Image.ImportedModules.Where(m => problem.Message.Contains($"{m}!", StringComparison.Ordinal) && !BenchMachine.Provides(m))];
            string remedy = absent.Length > 0 ? $"name {string.Join(" and ", absent)}, too, or put it beside {file.Path}" : "the bench lacks these functions";
            throw new UserError($"{problem.Message}; {remedy}", cause: problem);
        }
    }

    // What the loader wrote into the import table says who was found.
    private List<ModuleImports> ImportsOf(LoadedDriver driver)
        => [.. driver.Image.Image.Imports
            .Select(i => Machine.Space.TryReadPointer(driver.Image.Base + i.SlotRva, out ulong target) ? Machine.Symbols.FindModule(target) : null)
            .GroupBy(m => m ?? "?").Select(g => new ModuleImports(g.Key, g.Count()))];

    private void LiveDevice()
    {
        Plug();
        foreach (BenchStep step in _choice.Steps)
        {
            if (step.Action == BenchAction.Unload) break;
            if (step.Action == BenchAction.Plug)
            {
                Remove();
                Plug();
            }
            else if (!_ended) Take(step);
            else if (step.Action != BenchAction.Remove)
            {
                _steps.Add(StepResult.Skipped(BenchStep.WordOf(step.Action), "the device is removed; plug brings another"));
            }
            FollowLoss();
        }
        if (!_ended) BeforeEnd?.Invoke(_node!);
        Remove();
    }

    private void Plug()
    {
        _plugs++;
        _node = Machine.Plug(
            slot =>
            {
                PciFunction function = _model.Create(slot);
                _plugged?.Invoke(function, _plugs);
                return function;
            },
            _choice.Interrupts);
        _first ??= _node;
        _ended = false;
        if (_plugs == 1 && _choice.DeviceGone > 0) Machine.Faults.LoseDevice(_node, _choice.DeviceGone);
        if (_plugs == 1 && _choice.Storm > 0) Machine.Faults.Storm(_node, _choice.Storm);
        LoadedDriver[] drivers = [_function!, .. _files.Filters.Select(f => _loaded.Single(d => d.Image.Image == f.Image))];
        bool added = Do("AddDevice", () =>
        {
            _node.AddDevice(drivers);
            return NtStatus.Success;
        });
        Snapshot ??= Take();
        if (!added) Remove();
    }

    private void Take(BenchStep step)
    {
        DeviceNode node = _node!;
        switch (step.Action)
        {
            case BenchAction.Start: Start(node); break;
            case BenchAction.QueryStop: Do("QUERY_STOP_DEVICE", node.QueryStop, mayFail: true); break;
            case BenchAction.CancelStop: Do("CANCEL_STOP_DEVICE", node.CancelStop); break;
            case BenchAction.Stop: Stop(node); break;
            case BenchAction.QueryRemove: Do("QUERY_REMOVE_DEVICE", node.QueryRemove, mayFail: true); break;
            case BenchAction.CancelRemove: Do("CANCEL_REMOVE_DEVICE", node.CancelRemove); break;
            case BenchAction.Remove: Remove(); break;
            case BenchAction.Surprise: Surprise(pull: true); break;
            case BenchAction.Open: Open(node); break;
            case BenchAction.Close: Close(); break;
            case BenchAction.Read: Request($"READ {step.Number}", f => f.Read((int)step.Number)); break;
            case BenchAction.Write: Request($"WRITE {step.Data!.Length}", f => f.Write(step.Data)); break;
            case BenchAction.Ioctl: Request($"DEVICE_CONTROL 0x{step.Code:x}", f => f.Control(step.Code, step.Data, (int)step.Number)); break;
            case BenchAction.Cancel: CancelPending(); break;
            case BenchAction.Power: Power(node); break;
            case BenchAction.Sleep: SetSystem(node, 4); break;
            case BenchAction.Wake: SetSystem(node, 1); break;
            case BenchAction.D3: SetDevice(node, 4); break;
            case BenchAction.D0: SetDevice(node, 1); break;
            default: Do($"wait {step.Number / 1e6:0.###} ms", () => Waited(step.Number)); break;
        }
    }

    private void Start(DeviceNode node)
    {
        bool again = node.State == DeviceNodeState.Stopped;
        if (Do("START_DEVICE", node.Start))
        {
            if (_plugs == 1 && !again) Snapshot = Take();
            return;
        }
        // NT surprises a device that does not come back after a stop, and removes one that never started.
        if (again) Surprise(pull: false);
        else Remove();
    }

    // NT asks, and takes the question back when somebody in the stack says no.
    private void Stop(DeviceNode node)
    {
        if (Do("QUERY_STOP_DEVICE", node.QueryStop, mayFail: true)) Do("STOP_DEVICE", node.Stop);
        else Do("CANCEL_STOP_DEVICE", node.CancelStop);
    }

    private void Open(DeviceNode node)
    {
        Close();
        Do("CREATE", () =>
        {
            _file = node.Open();
            return NtStatus.Success;
        }, mayFail: true);
    }

    private void Close()
    {
        if (_file is not { } file) return;
        _file = null;
        Do("CLEANUP, CLOSE", () =>
        {
            file.Close();
            return NtStatus.Success;
        });
    }

    private void Request(string name, Func<BenchFile, BenchRequest> send)
    {
        if (_file is not { } file)
        {
            _steps.Add(StepResult.Skipped(name, "the device is not open; open comes before"));
            return;
        }
        BenchRequest request = null!;
        Do(name, () =>
        {
            request = send(file);
            return request.Wait(Patience) ? request.Status : NtStatus.Pending;
        }, mayFail: true, () =>
        {
            string data = request.Output.Length == 0 ? "" : $": {Hex(request.Output)}";
            return request.IsCompleted ? $"{request.Information} bytes{data}" : "it waits";
        });
        if (!request.IsCompleted) _pending.Add(request);
    }

    private void CancelPending()
    {
        foreach (BenchRequest request in _pending.Where(r => !r.IsCompleted))
        {
            Do("cancel", () => request.Cancel() ? request.Status : NtStatus.Pending, mayFail: true);
        }
    }

    // A device that vanished, or that says it failed, is taken for removed by surprise.
    private void FollowLoss()
    {
        const uint Failed = 4;
        if (!_ended && _node is { } node && (!node.IsPresent || (node.PnpState & Failed) != 0)) Surprise(pull: false);
    }

    private void Surprise(bool pull)
    {
        if (_ended) return;
        Do("SURPRISE_REMOVAL", () => _node!.SurpriseRemove(pull));
        Remove();
    }

    private void Remove()
    {
        if (_ended || _node is not { } node) return;
        _ended = true;
        if (node.State == DeviceNodeState.Started && !Do("QUERY_REMOVE_DEVICE", node.QueryRemove, mayFail: true))
        {
            // NT lets a device stay whose stack says no; what ends its life then is somebody who pulls it out.
            Do("CANCEL_REMOVE_DEVICE", node.CancelRemove);
            Do("SURPRISE_REMOVAL", () => node.SurpriseRemove());
        }
        // NT waits with REMOVE until the last file is closed.
        Close();
        Do("REMOVE_DEVICE", node.Remove);
        int left = _pending.Count(r => !r.IsCompleted);
        if (left > 0) _steps.Add(new StepResult("requests", $"{left} did not end", IsFailure: true, Machine.Clock.Now, 0, null));
        _pending.Clear();
        node.Unplug();
        _node = null;
    }

    private void UnloadAll()
    {
        foreach (LoadedDriver driver in _loaded.Reverse<LoadedDriver>())
        {
            if (driver.IsExportDriver) continue;
            if (!driver.HasUnload) _steps.Add(StepResult.Skipped($"DriverUnload {driver.Name}", "it has none and stays loaded"));
            else if (Machine.Drivers.Any(other => other.Uses.Contains(driver)))
            {
                _steps.Add(StepResult.Skipped($"DriverUnload {driver.Name}", "what imports from it stays loaded, and so does it"));
            }
            else Do($"DriverUnload {driver.Name}", () =>
            {
                Machine.Unload(driver);
                return NtStatus.Success;
            });
        }
    }

    private void Power(DeviceNode node)
    {
        SetSystem(node, 4);
        SetSystem(node, 1);
        // The framework is the power policy owner of its stack, and stops the machine on a device power request of another's.
        if (_files.Function.Image.ImportedModules.Contains("WDFLDR.SYS", StringComparer.OrdinalIgnoreCase)) return;
        SetDevice(node, 4);
        SetDevice(node, 1);
    }

    private void SetSystem(DeviceNode node, uint state) => Do($"SET_POWER S{state - 1}", () => node.SetSystemPower(state));

    private void SetDevice(DeviceNode node, uint state) => Do($"SET_POWER D{state - 1}", () => node.SetDevicePower(state));

    private uint Waited(long nanoseconds)
    {
        Machine.Advance(nanoseconds);
        return NtStatus.Success;
    }

    /// <summary>Takes a step, and lets what it leaves to be done be done. True when it went well.</summary>
    private bool Do(string name, Func<uint> step, bool mayFail = false, Func<string>? detail = null)
    {
        ulong before = Machine.Cpu.InstructionsExecuted;
        bool took = false;
        string status = "";
        try
        {
            uint code = step();
            Machine.Advance(0);
            (took, status) = (NtStatus.IsSuccess(code), NtStatusText.Of(code));
        }
        catch (DriverStatusException problem)
        {
            status = NtStatusText.Of(problem.Status);
        }
        catch (BugCheckException)
        {
            (status, mayFail) = ("crashed", false);
            throw;
        }
        finally
        {
            bool failed = !took && !mayFail && (!_choice.HasFaults || status == "crashed");
            if (status.Length == 0) status = "stopped";
            _steps.Add(new StepResult(name, status, failed, Machine.Clock.Now, Machine.Cpu.InstructionsExecuted - before, took ? detail?.Invoke() : null));
        }
        return took;
    }

    private BenchSnapshot Take()
    {
        NtViewer viewer = Machine.Viewer;
        return new BenchSnapshot(
            viewer.ShowStack(_node!.Pdo),
            [.. _loaded.Where(d => d.Object != 0).Select(d => viewer.ShowDriver(d.Object, DriverListingParts.Dispatch)).OfType<DriverListing>()],
            viewer.ShowPair(_function!.Object), viewer.ShowNodes(Machine.RootNode));
    }

    private static string Hex(byte[] bytes)
    {
        const int Shown = 32;
        string text = Convert.ToHexStringLower(bytes.AsSpan(0, Math.Min(Shown, bytes.Length)));
        return bytes.Length > Shown ? text + "…" : text;
    }
}
