using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.Nt.Objects;
using Emulator.Nt.Views;
using DeviceNode = Emulator.DriverBench.Pnp.DeviceNode;

namespace Emulator.DriverTests.Pnp;

/// <summary>What a debugger shows of the bench: the listings of Emulator.Nt over the objects of real drivers.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class ViewTests(Machine architecture)
{
    internal static readonly string[] Dispatch =
    [
        "[00] IRP_MJ_CREATE GeneralRobot!RobotDispatchCreate",
        "[01] IRP_MJ_CREATE_NAMED_PIPE nt!IopInvalidDeviceRequest",
        "[02] IRP_MJ_CLOSE GeneralRobot!RobotDispatchClose",
        "[03] IRP_MJ_READ GeneralRobot!RobotDispatchRead",
        "[04] IRP_MJ_WRITE GeneralRobot!RobotDispatchWrite",
        "[05] IRP_MJ_QUERY_INFORMATION nt!IopInvalidDeviceRequest",
        "[06] IRP_MJ_SET_INFORMATION nt!IopInvalidDeviceRequest",
        "[07] IRP_MJ_QUERY_EA nt!IopInvalidDeviceRequest",
        "[08] IRP_MJ_SET_EA nt!IopInvalidDeviceRequest",
        "[09] IRP_MJ_FLUSH_BUFFERS nt!IopInvalidDeviceRequest",
        "[0a] IRP_MJ_QUERY_VOLUME_INFORMATION nt!IopInvalidDeviceRequest",
        "[0b] IRP_MJ_SET_VOLUME_INFORMATION nt!IopInvalidDeviceRequest",
        "[0c] IRP_MJ_DIRECTORY_CONTROL nt!IopInvalidDeviceRequest",
        "[0d] IRP_MJ_FILE_SYSTEM_CONTROL nt!IopInvalidDeviceRequest",
        "[0e] IRP_MJ_DEVICE_CONTROL GeneralRobot!RobotDispatchDeviceControl",
        "[0f] IRP_MJ_INTERNAL_DEVICE_CONTROL GeneralRobot!RobotDispatchInternalDeviceControl",
        "[10] IRP_MJ_SHUTDOWN nt!IopInvalidDeviceRequest",
        "[11] IRP_MJ_LOCK_CONTROL nt!IopInvalidDeviceRequest",
        "[12] IRP_MJ_CLEANUP GeneralRobot!RobotDispatchCleanup",
        "[13] IRP_MJ_CREATE_MAILSLOT nt!IopInvalidDeviceRequest",
        "[14] IRP_MJ_QUERY_SECURITY nt!IopInvalidDeviceRequest",
        "[15] IRP_MJ_SET_SECURITY nt!IopInvalidDeviceRequest",
        "[16] IRP_MJ_POWER GeneralRobot!RobotDispatchPower",
        "[17] IRP_MJ_SYSTEM_CONTROL GeneralRobot!RobotDispatchSystemControl",
        "[18] IRP_MJ_DEVICE_CHANGE nt!IopInvalidDeviceRequest",
        "[19] IRP_MJ_QUERY_QUOTA nt!IopInvalidDeviceRequest",
        "[1a] IRP_MJ_SET_QUOTA nt!IopInvalidDeviceRequest",
        "[1b] IRP_MJ_PNP GeneralRobot!RobotDispatchPnp",
    ];

    private RobotBench _bench = null!;

    private NtViewer Viewer => _bench.Machine.Viewer;

    [SetUp]
    public void Start()
    {
        _bench = new RobotBench(architecture, "ProsewareRobot");
        _bench.Plug(Emulator.DriverBench.Pnp.InterruptGrant.Messages);
        Assert.That(_bench.Node.Start(), Is.EqualTo(NtStatus.Success));
    }

    [Test]
    public void The_driver_object_is_listed_as_by_WinDbg()
    {
        Assert.That(Viewer.TryFindDriver("ProsewareRobot", out DriverObject? driver, out string? problem), Is.True, problem);
        DriverListing listing = Viewer.ShowDriver(driver!.Address.Value, DriverListingParts.Dispatch)!;
        string[] expected =
        [
            "Driver object () is for:", @"\Driver\ProsewareRobot", "DriverEntry: ProsewareRobot!GsDriverEntry", "DriverStartIo: 00000000",
            "DriverUnload: GeneralRobot!RobotUnload", "AddDevice: GeneralRobot!RobotAddDevice", "Dispatch routines:", .. Dispatch, "",
        ];
        Assert.That(Cli.BenchSession.WithoutAddresses(listing.ToString()).Split('\n'), Is.EqualTo(expected));
    }

    [Test]
    public void The_stack_is_the_one_of_the_text_with_names_and_node()
    {
        DeviceStackListing stack = Viewer.ShowStack(_bench.Node.Pdo)!;
        Assert.That(stack.ToFigure(), Is.EqualTo("""
            Filter DO  AfterThought.sys
            FDO        (ProsewareRobot.sys, GeneralRobot.sys)
            PDO        pci.sys

            """));
        Assert.That(stack.FunctionBasis, Is.EqualTo("the device node's service name"));
        Assert.That(stack.Levels.Select(l => l.ObjectName), Is.EqualTo(new[] { null, null, "NTPNP_PCI0001" }));
        Assert.That(stack.Node!.InstancePath, Is.EqualTo(@"PCI\VEN_1234&DEV_5057&SUBSYS_00011234&REV_03\3&11583659&0&08"));
        Assert.That(stack.Node.ServiceName, Is.EqualTo("ProsewareRobot"));
        Assert.That(stack.Findings, Is.Empty);
    }

    [Test]
    public void The_devices_carry_what_they_carry_in_an_NT_5_2_kernel()
    {
        var findings = new List<Emulator.Nt.NtFinding>();
        IReadOnlyList<DeviceObject> stack = Viewer.Reader.ReadStackOf(_bench.Node.Pdo, findings);
        Assert.That(stack.Select(d => d.StackSize), Is.EqualTo(new[] { 3, 2, 1 }));
        // DO_POWER_PAGABLE and DO_BUFFERED_IO; FILE_DEVICE_SECURE_OPEN; FILE_DEVICE_UNKNOWN.
        Assert.That(stack.Take(2).Select(d => (d.Flags, d.Characteristics, d.DeviceType)), Is.All.EqualTo((0x2004u, 0x100u, 0x22u)));
        // DO_BUS_ENUMERATED_DEVICE and DO_DEVICE_HAS_NAME.
        Assert.That(stack[2].Flags, Is.EqualTo(0x1040u));
        DriverObject filter = Viewer.Drivers.Single(d => d.Name == @"\Driver\AfterThought");
        DeviceObject control = Viewer.Reader.ReadDevicesOf(filter, findings).Single(d => d.Name == "AfterThought");
        Assert.That((control.Flags, control.Characteristics, control.DeviceType, control.StackSize), Is.EqualTo((0x44u, 0x100u, 0x22u, 1)));
        Assert.That(findings, Is.Empty);
    }

    [Test]
    public void The_pair_takes_one_level()
    {
        DriverPairListing pair = Viewer.ShowPair(_bench.Specific.Object)!;
        Assert.That(pair.Files, Is.EqualTo("(ProsewareRobot.sys, GeneralRobot.sys)"));
        Assert.That(pair.IsOneLevel, Is.True);
        Assert.That(pair.General.Single().DispatchRoutines, Has.Count.EqualTo(10));
        Assert.That(pair.DefaultEntry!.Count, Is.EqualTo(18));
        Assert.That(pair.Findings, Is.Empty);
        Assert.That(Viewer.ShowPair(_bench.Filter.Object)!.IsPair, Is.False);
    }

    [Test]
    public void Every_driver_is_known_by_name_and_none_has_a_finding()
    {
        Assert.That(Viewer.Drivers.Select(d => d.Name),
            Is.EqualTo(new[] { @"\Driver\PnpManager", @"\Driver\pci", @"\Driver\ProsewareRobot", @"\Driver\AfterThought" }));
        foreach (DriverObject driver in Viewer.Drivers)
        {
            const DriverListingParts all = DriverListingParts.Devices | DriverListingParts.Dispatch | DriverListingParts.Stacks;
            DriverListing listing = Viewer.ShowDriver(driver.Address.Value, all)!;
            Assert.That(listing.Findings, Is.Empty);
            Assert.That(listing.Devices, Is.Not.Empty, driver.Name);
            Assert.That(listing.Stacks!.SelectMany(s => s.Findings), Is.Empty);
        }
    }

    [Test]
    public void The_list_of_modules_leads_to_the_drivers_without_an_object_too()
    {
        var findings = new List<Emulator.Nt.NtFinding>();
        Assert.That(Viewer.TryFindDriver("AfterThought", out DriverObject? driver, out _), Is.True);
        IReadOnlyList<LoadedModule> modules = Viewer.Reader.ReadModules(driver!.DriverSection.Value, findings);
        Assert.That(modules.Select(m => m.Name), Is.EqualTo(new[]
        {
            "AfterThought.sys", "ntoskrnl.exe", "pci.sys", "WDFLDR.sys", "Wdf01000.sys", "GeneralRobot.sys", "ProsewareRobot.sys",
        }));
        Assert.That(modules[0].Path, Is.EqualTo(@"\SystemRoot\System32\drivers\AfterThought.sys"));
        Assert.That((modules[5].Base.Value, modules[5].Size), Is.EqualTo((_bench.General.Image.Base, _bench.General.Image.Size)));
        Assert.That(findings, Is.Empty);
    }

    [Test]
    public void The_node_keeps_step_with_the_devices_life()
    {
        DeviceNode node = _bench.Node;
        Expect(DeviceNodeState.Started, DeviceNodeState.EnumerateCompletion);
        node.QueryStop();
        Expect(DeviceNodeState.QueryStopped, DeviceNodeState.Started);
        node.CancelStop();
        Expect(DeviceNodeState.Started, DeviceNodeState.QueryStopped);
        node.QueryStop();
        node.Stop();
        Expect(DeviceNodeState.Stopped, DeviceNodeState.QueryStopped);
        node.Start();
        Expect(DeviceNodeState.Started, DeviceNodeState.RestartCompletion);
        node.QueryRemove();
        Expect(DeviceNodeState.QueryRemoved, DeviceNodeState.Started);
        node.CancelRemove();
        Expect(DeviceNodeState.Started, DeviceNodeState.QueryRemoved);
        node.SurpriseRemove();
        Expect(DeviceNodeState.RemovePendingCloses, DeviceNodeState.AwaitingQueuedRemoval);
        node.Remove();
        Expect(DeviceNodeState.Removed, DeviceNodeState.RemovePendingCloses);
        _bench.Unload();
        Assert.That(Nodes(), Is.EqualTo(new[] { @"HTREE\ROOT\0" }));
        Assert.That(Viewer.Drivers.Select(d => d.Name), Is.EqualTo(new[] { @"\Driver\PnpManager", @"\Driver\pci" }));
    }

    [Test]
    public void Nodes_come_and_go_in_any_order()
    {
        DeviceNode second = _bench.Machine.Plug(slot => new DeviceModels.Robot.Contoso.ContosoRobot(slot));
        DeviceNode third = _bench.Machine.Plug(slot => new DeviceModels.Robot.Contoso.ContosoRobot(slot));
        string[] paths = Nodes();
        Assert.That(paths, Has.Length.EqualTo(4).And.Unique);
        Assert.That(Viewer.ShowNodes(second.Address)!.Nodes[0].State, Is.EqualTo("DeviceNodeInitialized (0x302)"));
        second.Unplug();
        Assert.That(Nodes(), Is.EqualTo(new[] { paths[0], paths[1], paths[3] }));
        third.Unplug();
        Assert.That(Nodes(), Is.EqualTo(new[] { paths[0], paths[1] }));
    }

    [Test]
    public void A_view_never_touches_a_device()
    {
        var registers = _bench.Machine.Space.Regions.First(r => r.Kind == Emulator.DriverBench.Memory.RegionKind.Mmio);
        var findings = new List<Emulator.Nt.NtFinding>();
        var trace = new CountingObserver();
        _bench.Node.Function.Observer = trace;
        Assert.That(Viewer.Reader.ReadDriver(registers.Address, findings), Is.Null);
        Assert.That(Viewer.Reader.ReadModule(registers.Address, findings), Is.Null);
        Assert.That(findings.Select(f => f.Problem), Is.All.EqualTo("cannot be read"));
        Assert.That(trace.Events, Is.Zero);
    }

    private string[] Nodes() => [.. Viewer.ShowNodes(_bench.Machine.RootNode)!.Nodes.Select(n => n.InstancePath!)];

    private void Expect(DeviceNodeState state, DeviceNodeState previous)
    {
        ListedNode node = Viewer.ShowNodes(_bench.Node.Address)!.Nodes[0];
        Assert.That((node.State, node.PreviousState), Is.EqualTo((DeviceNodeStates.Describe((uint)state), DeviceNodeStates.Describe((uint)previous))));
    }

    private sealed class CountingObserver : Emulator.Observation.IDeviceObserver
    {
        public int Events { get; private set; }
        public void OnEvent(in Emulator.Observation.DeviceEvent deviceEvent) => Events++;
        public void OnRemark(long time, string text) => Events++;
    }
}
