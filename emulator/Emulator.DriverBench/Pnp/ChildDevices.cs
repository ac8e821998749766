using System.Globalization;
using Emulator.DriverBench.Kernel;
using Emulator.Nt.Objects;

namespace Emulator.DriverBench.Pnp;

/// <summary>The devices that the stack of a device reports below it. What concerns the parent concerns them before.</summary>
/// <param name="parent">Sends to the parent's stack.</param>
/// <param name="node">The parent's DEVICE_NODE.</param>
/// <param name="path">The parent's instance path.</param>
internal sealed class ChildDevices(BenchMachine machine, NodeRequests parent, ulong node, string path)
{
    private const ulong BusRelations = 0, DeviceId = 0, HardwareIds = 1, InstanceId = 3;

    // DEVICE_CAPABILITIES.UniqueID, RawDeviceOK.
    private const uint UniqueId = 1 << 6, RawDeviceOk = 1 << 8;

    // DO_BUS_ENUMERATED_DEVICE.
    private const uint BusEnumerated = 0x1000;

    // MAX_DEVICE_ID_LEN (cfgmgr32.h); a list of IDs may be longer, REGSTR_VAL_MAX_HCID_LEN.
    private const int LongestId = 200, LongestList = 1024;

    // A bus has news for ever only where its driver gives some whenever it is asked.
    private const int MostNews = 1000;

    private readonly List<ChildNode> _nodes = [];
    private bool _isBusy, _hasNews, _isGone;
    private int _news;
    private long _lastNews = -1;

    public IReadOnlyList<ChildNode> Nodes => _nodes;

    /// <summary>Asks for them: new ones get a node, those that are reported no more are removed.</summary>
    public void Enumerate() => Alone(EnumerateAlone);

    /// <summary>What is below may have changed: asks again, after what the PnP manager is doing now.</summary>
    public void Refresh()
    {
        if (_isBusy) _hasNews = true;
        else if (!_isGone && parent.State == DeviceNodeState.Started)
        {
            _news = _lastNews == machine.Clock.Now ? _news + 1 : 1;
            _lastNews = machine.Clock.Now;
            if (_news > MostNews) throw machine.Crash($"the devices below {path} changed {MostNews} times in no time");
            Enumerate();
        }
    }

    // One thing after the other, as in NT: a driver that waits lets other work go on.
    private void Alone(Action work)
    {
        _isBusy = true;
        work();
        _isBusy = false;
        if (!_hasNews) return;
        _hasNews = false;
        machine.Queue(Refresh);
    }

    private void EnumerateAlone()
    {
        BenchRequest relations = parent.Ask(Irp.Pnp, Irp.QueryDeviceRelations, BusRelations);
        if (!NtStatus.IsSuccess(relations.Status) || relations.Information == 0) return;
        // DEVICE_RELATIONS in the pool, which is the caller's: how many, and their PDOs.
        ulong list = relations.Information, pointer = (ulong)machine.Layout.Pointer;
        var reported = new HashSet<ulong>();
        uint count = machine.Guest.U32(list);
        for (uint i = 0; i < count; i++)
        {
            ulong pdo = machine.Guest.Pointer(list + ((i + 1) * pointer));
            if (!machine.Io.IsDevice(pdo)) throw Fatal($"0x{pdo:x} is reported, which is no device object");
            if (!reported.Add(pdo)) throw Fatal($"0x{pdo:x} is reported twice");
        }
        machine.Memory.Free(list);
        foreach (ChildNode gone in _nodes.Where(n => !reported.Contains(n.Pdo)).ToList())
        {
            Surprise(gone);
            gone.Requests.Pnp(Irp.Remove, DeviceNodeState.Removed);
            Forget(gone);
        }
        foreach (ulong pdo in reported.Where(p => !_nodes.Exists(n => n.Pdo == p))) Add(pdo);
    }

    /// <summary>Asks whether all may be removed; takes the question back when one says no. The status of that one.</summary>
    public uint QueryRemove()
    {
        uint status = NtStatus.Success;
        Alone(() => status = QueryRemoveAlone());
        return status;
    }

    private uint QueryRemoveAlone()
    {
        foreach (ChildNode child in _nodes)
        {
            uint status = child.Requests.Query(Irp.QueryRemove, DeviceNodeState.QueryRemoved);
            if (NtStatus.IsSuccess(status)) continue;
            foreach (ChildNode asked in _nodes.TakeWhile(n => n != child).Append(child)) asked.Requests.Cancel(Irp.CancelRemove, DeviceNodeState.QueryRemoved);
            return status;
        }
        return NtStatus.Success;
    }

    public void CancelRemove() => ForEach(child => child.Requests.Cancel(Irp.CancelRemove, DeviceNodeState.QueryRemoved));

    public void Surprise() => ForEach(Surprise);

    /// <summary>Their PDOs stay: the bus driver deletes them when its own device is removed.</summary>
    public void Remove() => ForEach(child => child.Requests.Pnp(Irp.Remove, DeviceNodeState.Removed));

    /// <summary>The parent is removed, and their nodes go with it.</summary>
    public void Forget()
    {
        _isGone = true;
        foreach (ChildNode child in _nodes.ToList()) Forget(child);
    }

    /// <summary>A system power request to all that are started.</summary>
    public void SetSystemPower(uint state) => ForEach(child =>
    {
        if (child.State == DeviceNodeState.Started) child.Requests.Ask(Irp.Power, Irp.SetPower, 0, 0, state);
    });

    private void ForEach(Action<ChildNode> work) => Alone(() => _nodes.ForEach(work));

    private void Add(ulong pdo)
    {
        ulong known = machine.Guest.Pointer(machine.Io.DoeOf(pdo) + (ulong)machine.Layout.DeviceExtensionNode);
        if (known != 0) throw Fatal($"0x{pdo:x} is reported, which another bus has");
        ulong flags = pdo + (ulong)machine.Layout.DeviceFlags;
        machine.Guest.SetU32(flags, machine.Guest.U32(flags) | BusEnumerated);
        // Before there is a node, there is nothing whose state a request could change.
        var requests = new NodeRequests(machine, pdo, 0);
        string device = QueryId(requests, DeviceId).FirstOrDefault("");
        uint capabilities = requests.Capabilities();
        string instance = QueryId(requests, InstanceId).FirstOrDefault("");
        string own = device.Length == 0 ? "" : $@"{device}\{((capabilities & UniqueId) != 0 ? "" : Prefix())}{instance}";
        if (own.Length > 0 && machine.Nodes.Has(own)) throw Fatal($"two devices are {own}");
        bool isRaw = own.Length > 0 && (capabilities & RawDeviceOk) != 0;
        var child = new ChildNode(machine, pdo, machine.Nodes.Add(pdo, own, node), own, QueryId(requests, HardwareIds), isRaw);
        _nodes.Add(child);
        if (isRaw) Start(child.Requests);
    }

    // With the resources it has: none.
    private static void Start(NodeRequests child)
    {
        child.Enter(DeviceNodeState.DriversAdded, DeviceNodeState.ResourcesAssigned, DeviceNodeState.StartPending);
        bool started = NtStatus.IsSuccess(child.Pnp(Irp.StartDevice, 0, 0));
        child.Enter(DeviceNodeState.StartCompletion);
        if (!started) child.Enter(DeviceNodeState.AwaitingQueuedRemoval);
        else child.Enter(DeviceNodeState.StartPostWork, DeviceNodeState.Started);
    }

    private static void Surprise(ChildNode child)
    {
        bool wasStarted = child.State == DeviceNodeState.Started;
        child.Requests.Enter(DeviceNodeState.AwaitingQueuedRemoval);
        if (wasStarted) child.Requests.Pnp(Irp.SurpriseRemoval, DeviceNodeState.RemovePendingCloses);
    }

    private void Forget(ChildNode child)
    {
        _nodes.Remove(child);
        // A bus driver that keeps its PDO may report it again.
        if (machine.Io.IsDevice(child.Pdo)) machine.Guest.SetPointer(machine.Io.DoeOf(child.Pdo) + (ulong)machine.Layout.DeviceExtensionNode, 0);
        machine.Nodes.Remove(child.Address);
    }

    /// <summary>QUERY_ID: strings that end with 0, the last one of a list empty. None when the bus driver has none; cut where they are too long.</summary>
    private List<string> QueryId(NodeRequests requests, ulong type)
    {
        BenchRequest request = requests.Ask(Irp.Pnp, Irp.QueryId, type);
        var texts = new List<string>();
        if (!NtStatus.IsSuccess(request.Status) || request.Information == 0) return texts;
        int left = type == HardwareIds ? LongestList : LongestId;
        for (ulong at = request.Information; left > 0 && machine.Space.ReadString16(at, left) is { Length: > 0 } text;)
        {
            texts.Add(text);
            if (type != HardwareIds) break;
            at += (ulong)((text.Length + 1) * sizeof(char));
            left -= text.Length + 1;
        }
        machine.Memory.Free(request.Information);
        return texts;
    }

    // What tells devices of several buses apart that are alike on theirs: NT, too, makes it of the parent's path.
    private string Prefix()
    {
        // FNV-1a.
        uint hash = 2166136261;
        foreach (char c in path) hash = (hash ^ c) * 16777619;
        return string.Create(CultureInfo.InvariantCulture, $"4&{hash:x}&0&");
    }

    private BugCheckException Fatal(string text) => machine.Crash($"PNP_DETECTED_FATAL_ERROR: {text}");
}
