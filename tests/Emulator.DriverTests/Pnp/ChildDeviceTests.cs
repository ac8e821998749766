using System.Reflection.PortableExecutable;
using DeviceModels.Robot.Proseware;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pe;
using Emulator.DriverBench.Pnp;
using Emulator.DriverTests.Native;
using Emulator.Nt.Objects;
using Emulator.Nt.Views;
using Emulator.Tests.Cli;
using DeviceNode = Emulator.DriverBench.Pnp.DeviceNode;

namespace Emulator.DriverTests.Pnp;

/// <summary>A bus driver (Programs/bus.c) reports devices below its own: they get nodes, and share what happens to it.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class ChildDeviceTests(Machine architecture)
{
    private const int PlugSlot2 = 1, PullSlot0 = 2, RefuseRemoval = 3, NameSlot2AsSlot1 = 4, ReportNonsense = 5, ReportTwice = 6, HideName = 7,
        HaveNewsForEver = 8;
    private BenchMachine _machine = null!;
    private LoadedDriver _driver = null!;
    private DeviceNode _node = null!;

    [SetUp]
    public void AddDevice()
    {
        PeImage image = PeImage.Open(Targets.BuildDriver(architecture, "bus"));
        _machine = new BenchMachine(architecture);
        _driver = _machine.Load(image);
        _node = _machine.Plug(slot => new ProsewareRobot(slot));
        _node.AddDevice(_driver);
    }

    [Test]
    public void What_a_bus_reports_is_in_the_tree_below_it_and_started_only_if_it_needs_no_driver()
    {
        Assert.That(_node.Start(), Is.EqualTo(NtStatus.Success));
        IReadOnlyList<ListedNode> nodes = _machine.Viewer.ShowNodes(_machine.RootNode)!.Nodes;
        Assert.That(nodes.Select(n => n.Depth), Is.EqualTo(new[] { 0, 1, 2, 2 }));
        Assert.That(nodes[2].InstancePath, Is.EqualTo(@"TOY\Head\0"), "its ID is unique");
        Assert.That(nodes[3].InstancePath, Does.Match(@"^TOY\\Arm\\4&[0-9a-f]+&0&1$"), "its ID is unique on its bus");
        Assert.That(nodes.Select(n => n.State), Is.EqualTo(new[]
        {
            "DeviceNodeStarted (0x308)", "DeviceNodeStarted (0x308)", "DeviceNodeStarted (0x308)", "DeviceNodeInitialized (0x302)",
        }));
        Assert.That(_node.Children.Select(c => (c.Address, c.Pdo, c.InstancePath, c.IsRaw)), Is.EqualTo(new[]
        {
            (nodes[2].Address.Value, nodes[2].PhysicalDeviceObject.Value, nodes[2].InstancePath!, true),
            (nodes[3].Address.Value, nodes[3].PhysicalDeviceObject.Value, nodes[3].InstancePath!, false),
        }));
        Assert.That(_node.Children[0].HardwareIds, Is.EqualTo(new[] { @"TOY\Left", @"TOY\Any" }));
        Assert.That(_machine.Printed, Is.EqualTo(new[] { "slot 0: 0" }), "START_DEVICE");
        DeviceStackListing stack = _machine.Viewer.ShowStack(_node.Children[0].Pdo)!;
        Assert.That(stack.Levels.Select(l => (l.DriverName, l.Role)), Is.EqualTo(new[] { ($@"\Driver\{_driver.Name}", DeviceRole.Physical) }));
        End();
    }

    [Test]
    public void What_is_below_is_asked_and_removed_before_the_bus()
    {
        Assert.That(_node.Start(), Is.EqualTo(NtStatus.Success));
        _machine.Printed.Clear();
        Assert.That(_node.QueryRemove(), Is.EqualTo(NtStatus.Success));
        Assert.That(_node.Children.Select(c => c.State), Is.All.EqualTo(DeviceNodeState.QueryRemoved));
        Assert.That(_node.CancelRemove(), Is.EqualTo(NtStatus.Success));
        Assert.That(_node.Children.Select(c => c.State), Is.EqualTo(new[] { DeviceNodeState.Started, DeviceNodeState.Initialized }));
        Assert.That(_node.Remove(), Is.EqualTo(NtStatus.Success));
        Assert.That(_machine.Printed, Is.EqualTo(new[]
        {
            "slot 0: 1", "slot 1: 1", "slot 0: 3", "slot 1: 3", "slot 0: 2", "slot 1: 2", "the bus: 2",
        }));
        Assert.That(_node.Children, Is.Empty);
        Assert.That(_machine.Viewer.ShowNodes(_machine.RootNode)!.Nodes, Has.Count.EqualTo(2));
        Unload();
    }

    [Test]
    public void One_that_refuses_to_be_removed_keeps_the_bus()
    {
        Assert.That(_node.Start(), Is.EqualTo(NtStatus.Success));
        Control(RefuseRemoval);
        _machine.Printed.Clear();
        Assert.That(_node.QueryRemove(), Is.EqualTo(0xC000_0001));
        Assert.That(_machine.Printed, Is.EqualTo(new[] { "slot 0: 1", "slot 1: 1", "slot 0: 3", "slot 1: 3" }), "asked, and the question taken back");
        Assert.That(_node.State, Is.EqualTo(DeviceNodeState.Started));
        Assert.That(_node.Children.Select(c => c.State), Is.EqualTo(new[] { DeviceNodeState.Started, DeviceNodeState.Initialized }));
        Control(RefuseRemoval);
        End();
    }

    [Test]
    public void A_surprise_is_told_to_those_that_were_started_before_the_bus()
    {
        Assert.That(_node.Start(), Is.EqualTo(NtStatus.Success));
        _machine.Printed.Clear();
        Assert.That(_node.SurpriseRemove(), Is.EqualTo(NtStatus.Success));
        Assert.That(_node.Remove(), Is.EqualTo(NtStatus.Success));
        Assert.That(_machine.Printed, Is.EqualTo(new[] { "slot 0: 23", "slot 0: 2", "slot 1: 2", "the bus: 2" }));
        Unload();
    }

    [Test]
    public void What_is_below_sleeps_before_the_bus_and_wakes_after_it()
    {
        Assert.That(_node.Start(), Is.EqualTo(NtStatus.Success));
        _machine.Printed.Clear();
        Assert.That(_node.SetSystemPower(4), Is.EqualTo(NtStatus.Success));
        Assert.That(_node.SetSystemPower(1), Is.EqualTo(NtStatus.Success));
        Assert.That(_machine.Printed, Is.EqualTo(new[]
        {
            "slot 0 sleeps or wakes", "the bus sleeps or wakes", "the bus sleeps or wakes", "slot 0 sleeps or wakes",
        }));
        End();
    }

    [Test]
    public void News_of_the_bus_bring_nodes_and_take_them_away()
    {
        Assert.That(_node.Start(), Is.EqualTo(NtStatus.Success));
        Control(PlugSlot2);
        Assert.That(_node.Children.Select(c => c.InstancePath[^1]), Is.EqualTo("012"));
        _machine.Printed.Clear();
        Control(PullSlot0);
        Assert.That(_node.Children.Select(c => c.InstancePath[^1]), Is.EqualTo("12"));
        Assert.That(_machine.Printed, Is.EqualTo(new[] { "slot 0: 23", "slot 0: 2" }), "a surprise, then REMOVE");
        Assert.That(_machine.Viewer.ShowNodes(_machine.RootNode)!.Nodes, Has.Count.EqualTo(4));
        Assert.That(_driver.Devices.Count(), Is.EqualTo(3), "the bus driver deleted the PDO of what is gone");
        End();
    }

    [Test]
    public void A_device_without_a_name_is_there_and_left_alone()
    {
        Control(HideName);
        Assert.That(_node.Start(), Is.EqualTo(NtStatus.Success));
        Assert.That(_node.Children.Select(c => c.InstancePath), Is.EqualTo(new[] { @"TOY\Head\0", "" }));
        End();
    }

    [Test]
    public void A_bus_stopped_and_started_again_keeps_what_is_below()
    {
        Assert.That(_node.Start(), Is.EqualTo(NtStatus.Success));
        ulong[] before = [.. _node.Children.Select(c => c.Address)];
        Assert.That(_node.QueryStop(), Is.EqualTo(NtStatus.Success));
        Assert.That(_node.Stop(), Is.EqualTo(NtStatus.Success));
        Assert.That(_node.Start(), Is.EqualTo(NtStatus.Success));
        Assert.That(_node.Children.Select(c => c.Address), Is.EqualTo(before));
        End();
    }

    [TestCase(NameSlot2AsSlot1, @"two devices are TOY\Arm\4&")]
    [TestCase(ReportNonsense, "is reported, which is no device object")]
    [TestCase(ReportTwice, "is reported twice")]
    public void A_report_that_cannot_be_brings_the_machine_down(int what, string message)
    {
        Assert.That(_node.Start(), Is.EqualTo(NtStatus.Success));
        Assert.That(() => Control(what), Throws.TypeOf<BugCheckException>().With.Message.Contains("PNP_DETECTED_FATAL_ERROR: ").And.Message.Contains(message));
    }

    [Test]
    public void A_bus_that_has_news_whenever_it_is_asked_brings_the_machine_down()
    {
        Assert.That(_node.Start(), Is.EqualTo(NtStatus.Success));
        Assert.That(() => Control(HaveNewsForEver), Throws.TypeOf<BugCheckException>().With.Message.Contains(" changed 1000 times in no time"));
    }

    [Test]
    public void The_bench_command_shows_the_tree_and_takes_the_bus_through_its_life()
    {
        string bus = Targets.BuildDriver(architecture, "bus");
        CommandRun tree = CommandRun.Of("bench", "devnode", bus, "--model", "proseware-robot");
        Assert.That((tree.ExitCode, tree.Error), Is.EqualTo((0, "")));
        Assert.That(tree.Output, Does.Match("\n    DevNode 0x[0-9a-f]+ for PDO 0x[0-9a-f]+\n")
            .And.Contain("\n      InstancePath is \"TOY\\Head\\0\"\n      State = DeviceNodeStarted "));
        CommandRun life = CommandRun.Of("bench", "run", bus, "--model", "proseware-robot");
        Assert.That((life.ExitCode, life.Error), Is.EqualTo((0, "")), life.Output);
    }

    private void Control(int what)
    {
        BenchFile file = _node.Open();
        file.Control(0x0022_2000, BitConverter.GetBytes(what));
        _machine.Advance(0);
        file.Close();
    }

    private void End()
    {
        Assert.That(_node.Remove(), Is.EqualTo(NtStatus.Success));
        Unload();
    }

    private void Unload()
    {
        _node.Unplug();
        _machine.Unload(_driver);
        Assert.That(_machine.Findings, Is.Empty);
    }
}
