using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;
using Emulator.Nt.Objects;
using Emulator.Pci;
using DeviceNode = Emulator.DriverBench.Pnp.DeviceNode;

namespace Emulator.Cli.Bench;

/// <summary>One device of a run, through its life.</summary>
/// <param name="drivers">Those in memory.</param>
/// <param name="create">Constructs its model on a slot.</param>
internal sealed class DeviceLife(
    BenchMachine machine, StepLog log, BenchDevice device, IReadOnlyDictionary<DriverFile, LoadedDriver> drivers, Func<PciSlot, PciFunction> create)
{
    // How long a request is waited for, in virtual time: what waits for an event is left waiting.
    private const long Patience = 1_000_000_000;

    private readonly List<BenchRequest> _pending = [];
    private DeviceNode? _node;
    private BenchFile? _file;
    private int _plugs;

    public BenchDevice Device => device;
    public LoadedDriver Function => drivers[device.Function];

    /// <summary>As it is now; null when it is removed.</summary>
    public DeviceNode? Node => IsEnded ? null : _node;

    /// <summary>As it was plugged in first; null before.</summary>
    public DeviceNode? First { get; private set; }

    /// <summary>Its driver has no AddDevice: it takes no device, and devices of its own are opened.</summary>
    public bool IsLegacy => drivers.TryGetValue(device.Function, out LoadedDriver? function) && function.AddDevice == 0;

    /// <summary>It is removed; plug brings another.</summary>
    public bool IsEnded { get; private set; } = true;

    /// <summary>Comes with the first device, before its drivers do.</summary>
    public Action<DeviceNode>? PluggedFirst { get; init; }

    /// <summary>Comes when the first device has its drivers, and when it has started.</summary>
    public Action<DeviceLife>? Changed { get; init; }

    /// <summary>
    /// False with a driver of the framework, which is the power policy owner of its stack and stops the machine on a device power request of another's.
    /// </summary>
    public bool TakesDevicePower => !device.Function.Image.ImportedModules.Contains("WDFLDR.SYS", StringComparer.OrdinalIgnoreCase);

    public void Plug(InterruptGrant interrupts)
    {
        _plugs++;
        IsEnded = false;
        if (IsLegacy)
        {
            if (_plugs == 1) TellLegacy();
            return;
        }
        _node = machine.Plug(create, interrupts);
        if (_plugs == 1)
        {
            First = _node;
            PluggedFirst?.Invoke(_node);
        }
        bool added = Do("AddDevice", () =>
        {
            _node.AddDevice(Function, [.. device.UpperFilters.Select(f => drivers[f])], [.. device.LowerFilters.Select(f => drivers[f])]);
            return NtStatus.Success;
        });
        if (_plugs == 1) Changed?.Invoke(this);
        if (!added) Remove();
    }

    public void Skip(BenchAction action) => log.Add(StepResult.Skipped(device.Name, BenchStep.WordOf(action), "the device is removed; plug brings another"));

    /// <summary>A step of a device that is there.</summary>
    public void Take(BenchStep step)
    {
        switch (step.Action)
        {
            case BenchAction.Open: Open(); break;
            case BenchAction.Close: Close(); break;
            case BenchAction.Read: Request($"READ {step.Number}", f => f.Read((int)step.Number)); break;
            case BenchAction.Write: Request($"WRITE {step.Data!.Length}", f => f.Write(step.Data)); break;
            case BenchAction.Ioctl: Request($"DEVICE_CONTROL 0x{step.Code:x}", f => f.Control(step.Code, step.Data, (int)step.Number)); break;
            case BenchAction.Cancel: CancelPending(); break;
            default:
                if (_node is { } node) Take(step, node);
                break;
        }
    }

    private void Take(BenchStep step, DeviceNode node)
    {
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
            case BenchAction.Sleep: SetSystem(node, 4); break;
            case BenchAction.Wake: SetSystem(node, 1); break;
            case BenchAction.D3: SetDevice(node, 4); break;
            case BenchAction.D0: SetDevice(node, 1); break;
            default: throw new ArgumentException($"{BenchStep.WordOf(step.Action)} is no step of a device.", nameof(step));
        }
    }

    /// <summary>A device that vanished, or that says it failed, is taken for removed by surprise.</summary>
    public void FollowLoss()
    {
        const uint Failed = 4;
        if (!IsEnded && _node is { } node && (!node.IsPresent || (node.PnpState & Failed) != 0)) Surprise(pull: false);
    }

    public void Remove()
    {
        if (IsEnded) return;
        IsEnded = true;
        if (_node is { } node) Remove(node);
        else Close();
        int left = _pending.Count(r => !r.IsCompleted);
        if (left > 0) log.Add(new StepResult(device.Name, "requests", $"{left} did not end", IsFailure: true, machine.Clock.Now, 0, null));
        _pending.Clear();
        _node?.Unplug();
        _node = null;
    }

    private void Remove(DeviceNode node)
    {
        if (node.State == DeviceNodeState.Started && !Do("QUERY_REMOVE_DEVICE", node.QueryRemove, mayFail: true))
        {
            // NT lets a device stay whose stack says no; what ends its life then is somebody who pulls it out.
            Do("CANCEL_REMOVE_DEVICE", node.CancelRemove);
            Do("SURPRISE_REMOVAL", () => node.SurpriseRemove());
        }
        // NT waits with REMOVE until the last file is closed.
        Close();
        Do("REMOVE_DEVICE", node.Remove);
    }

    private void TellLegacy()
    {
        string opened = Function.DeviceNames is [var first, ..] ? $"requests go to {first}" : "it has no device to open";
        log.Add(StepResult.Skipped(device.Name, "AddDevice", $"it has none: no Plug and Play driver, so nothing is started or removed; {opened}"));
        Changed?.Invoke(this);
    }

    private void Start(DeviceNode node)
    {
        if (node.State == DeviceNodeState.Started)
        {
            log.Add(StepResult.Skipped(device.Name, "START_DEVICE", "it has started; stop comes before"));
            return;
        }
        bool again = node.State == DeviceNodeState.Stopped;
        if (Do("START_DEVICE", node.Start))
        {
            if (_plugs == 1 && !again) Changed?.Invoke(this);
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

    private void Open()
    {
        Close();
        Do("CREATE", () =>
        {
            _file = _node is { } node ? node.Open() : Function.DeviceNames is [var first, ..] ? machine.Open(first) : null;
            return _file is null ? NtStatus.ObjectNameNotFound : NtStatus.Success;
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
            log.Add(StepResult.Skipped(device.Name, name, "the device is not open; open comes before"));
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

    private void Surprise(bool pull)
    {
        Do("SURPRISE_REMOVAL", () => _node!.SurpriseRemove(pull));
        Remove();
    }

    private void SetSystem(DeviceNode node, uint state) => Do($"SET_POWER S{state - 1}", () => node.SetSystemPower(state));

    private void SetDevice(DeviceNode node, uint state) => Do($"SET_POWER D{state - 1}", () => node.SetDevicePower(state));

    private bool Do(string name, Func<uint> step, bool mayFail = false, Func<string?>? detail = null) => log.Do(device.Name, name, step, mayFail, detail);

    private static string Hex(byte[] bytes)
    {
        const int Shown = 32;
        string text = Convert.ToHexStringLower(bytes.AsSpan(0, Math.Min(Shown, bytes.Length)));
        return bytes.Length > Shown ? text + "…" : text;
    }
}
