using System.Reflection.PortableExecutable;
using DeviceModels.Robot.Contoso;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Pnp;

/// <summary>Both companies' pairs in one machine, with the filter above both: they share what is shared, and nothing else.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class BothPairsTests(Machine architecture)
{
    private RobotBench _bench = null!;
    private LoadedDriver _contoso = null!;
    private DeviceNode _other = null!;

    [SetUp]
    public void Start()
    {
        _bench = new RobotBench(architecture, "ProsewareRobot", InterruptGrant.Messages);
        _contoso = _bench.Load("ContosoRobot");
        _other = _bench.Machine.Plug(slot => new ContosoRobot(slot), InterruptGrant.Messages);
        _other.AddDevice(_contoso, _bench.Filter);
        Assert.That(_bench.Node.Start(), Is.EqualTo(NtStatus.Success));
        Assert.That(_other.Start(), Is.EqualTo(NtStatus.Success));
    }

    [Test]
    public void They_share_one_image_of_the_general_half_and_have_a_stack_each()
    {
        Assert.That(_bench.Machine.Drivers, Is.EqualTo(new[] { _bench.General, _bench.Specific, _bench.Filter, _contoso }));
        Assert.That(new[] { _bench.Specific, _contoso }.Select(d => d.Uses.Single()), Is.All.SameAs(_bench.General));
        Assert.That(_bench.Node.Stack.Select(l => (l.Driver, l.StackSize)), Is.EqualTo(new[] { ("AfterThought", 3), ("ProsewareRobot", 2), ("pci", 1) }));
        Assert.That(_other.Stack.Select(l => (l.Driver, l.StackSize)), Is.EqualTo(new[] { ("AfterThought", 3), ("ContosoRobot", 2), ("pci", 1) }));
        Assert.That(_bench.Node.Stack.Concat(_other.Stack).Select(l => l.Device), Is.Unique);
        IEnumerable<int> functions = Enumerable.Range(0, NtLayout.MajorFunctions);
        Assert.That(functions.Select(_contoso.MajorFunction), Is.EqualTo(functions.Select(_bench.Specific.MajorFunction)));
    }

    [TestCase(false)]
    [TestCase(true)]
    public void When_one_robot_goes_the_other_works_on(bool bySurprise)
    {
        BenchFile file = _other.Open();
        BenchRequest write = file.Write(RobotBench.Program((RobotBench.Drive, 100, 100), (RobotBench.Wait, 20, 0)));
        Assert.That(write.IsCompleted, Is.False, "its program runs");
        Leave(_bench.Node, bySurprise);
        Assert.That(write.Wait(), Is.True);
        Assert.That(write.Status, Is.EqualTo(NtStatus.Success));
        file.Close();
        Leave(_other, bySurprise);
        Unload();
    }

    [TestCase(false)]
    [TestCase(true)]
    public void The_general_half_stays_until_both_pairs_are_gone(bool contosoFirst)
    {
        DeviceNode[] nodes = contosoFirst ? [_other, _bench.Node] : [_bench.Node, _other];
        LoadedDriver[] pairs = contosoFirst ? [_contoso, _bench.Specific] : [_bench.Specific, _contoso];
        ulong routine = _bench.Specific.AddDevice;
        Leave(nodes[0], bySurprise: false);
        _bench.Machine.Unload(pairs[0]);
        Assert.That(_bench.Machine.Drivers, Does.Contain(_bench.General));
        Assert.That(() => _bench.Machine.Unload(_bench.General), Throws.InvalidOperationException.With.Message.Contains("is still imported from"));
        Assert.That(nodes[1].QueryStop(), Is.EqualTo(NtStatus.Success));
        Assert.That(nodes[1].Stop(), Is.EqualTo(NtStatus.Success));
        Assert.That(nodes[1].Start(), Is.EqualTo(NtStatus.Success));
        Leave(nodes[1], bySurprise: false);
        _bench.Machine.Unload(pairs[1]);
        Assert.That(_bench.Machine.Drivers, Is.EqualTo(new[] { _bench.Filter }));
        Assert.That(_bench.Machine.Space.TryRead32(routine, out _), Is.False, "its image is gone");
        _bench.Machine.Unload(_bench.Filter);
        Assert.That(_bench.Machine.Findings, Is.Empty);
    }

    private static void Leave(DeviceNode node, bool bySurprise)
    {
        Assert.That(bySurprise ? node.SurpriseRemove() : node.QueryRemove(), Is.EqualTo(NtStatus.Success));
        Assert.That(node.Remove(), Is.EqualTo(NtStatus.Success));
        node.Unplug();
    }

    private void Unload()
    {
        foreach (LoadedDriver driver in new[] { _contoso, _bench.Filter, _bench.Specific }) _bench.Machine.Unload(driver);
        Assert.That(_bench.Machine.Findings, Is.Empty);
        Assert.That(_bench.Machine.Drivers, Is.Empty);
    }
}
