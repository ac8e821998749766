using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Pnp;

/// <summary>A pair that has to let go of its robot leaves it still, quiet and without a way to memory; nobody waits for one that is lost.</summary>
[TestFixture(Machine.Amd64, "ProsewareRobot")]
[TestFixture(Machine.I386, "ProsewareRobot")]
[TestFixture(Machine.Amd64, "ContosoRobot")]
[TestFixture(Machine.I386, "ContosoRobot")]
[Category("Driver")]
internal sealed class RobotLeavingTests(Machine architecture, string robot)
{
    private const uint PnpDeviceFailed = 4;

    [TestCase(InterruptGrant.Messages)]
    [TestCase(InterruptGrant.Line)]
    public void A_start_that_fails_at_the_interrupt_leaves_the_robot_down(InterruptGrant interrupts)
    {
        var bench = new RobotBench(architecture, robot, interrupts);
        int allocation = 0;
        do
        {
            bench.Machine.Faults.FailAllocation(++allocation);
            Assert.That(bench.Node.Start(), Is.EqualTo(NtStatus.InsufficientResources));
        }
        while (!bench.Machine.Faults.Injected[^1].Text.StartsWith("IoConnectInterruptEx", StringComparison.Ordinal));
        AssertDown(bench.Node);
        bench.End();
    }

    [TestCase(InterruptGrant.Messages)]
    [TestCase(InterruptGrant.Line)]
    public void A_robot_that_stays_in_its_slot_is_stopped_when_it_is_taken_by_surprise(InterruptGrant interrupts)
    {
        var bench = new RobotBench(architecture, robot, interrupts);
        Assert.That(bench.Node.Start(), Is.EqualTo(NtStatus.Success));
        BenchFile file = bench.Node.Open();
        BenchRequest write = file.Write(RobotBench.Program((RobotBench.Drive, 500, 100)));
        bench.Machine.Advance(100_000_000);
        Assert.That(IsMoving(bench.Node), Is.True);
        Assert.That(bench.Node.SurpriseRemove(pull: false), Is.EqualTo(NtStatus.Success));
        AssertDown(bench.Node);
        Assert.That(write.Status, Is.EqualTo(NtStatus.NoSuchDevice));
        file.Close();
        bench.End();
    }

    [Test]
    public void A_robot_that_does_not_come_back_ends_what_waits_and_nt_learns_of_it()
    {
        (RobotBench bench, BenchFile file, BenchRequest[] waiting) = Asleep();
        bench.Machine.Faults.LoseDevice(bench.Node, 1);
        Assert.That(bench.Node.SetSystemPower(1), Is.EqualTo(NtStatus.Success));
        AssertGivenUp(bench, file, waiting);
        bench.End();
    }

    [Test]
    public void A_robot_that_nt_cannot_wake_ends_what_waits_and_nt_learns_of_it()
    {
        (RobotBench bench, BenchFile file, BenchRequest[] waiting) = Asleep();
        bench.Machine.Faults.FailAllocation(1);
        Assert.That(bench.Node.SetSystemPower(1), Is.EqualTo(NtStatus.InsufficientResources));
        // It could come now; nobody was told that it would.
        Assert.That(bench.Node.SetSystemPower(1), Is.EqualTo(NtStatus.Success));
        AssertDown(bench.Node);
        AssertGivenUp(bench, file, waiting);
        bench.End();
    }

    /// <summary>In S3, with a reader from before and a program that came since.</summary>
    private (RobotBench Bench, BenchFile File, BenchRequest[] Waiting) Asleep()
    {
        var bench = new RobotBench(architecture, robot, InterruptGrant.Messages);
        Assert.That(bench.Node.Start(), Is.EqualTo(NtStatus.Success));
        BenchFile file = bench.Node.Open();
        BenchRequest read = file.Read(64);
        Assert.That(bench.Node.SetSystemPower(4), Is.EqualTo(NtStatus.Success));
        BenchRequest write = file.Write(RobotBench.Program((RobotBench.Drive, 50, 100)));
        Assert.That(new[] { read.IsCompleted, write.IsCompleted }, Is.All.False);
        return (bench, file, [read, write]);
    }

    private static void AssertGivenUp(RobotBench bench, BenchFile file, BenchRequest[] waiting)
    {
        Assert.That(waiting.Select(r => r.Status), Is.All.EqualTo(NtStatus.DeviceNotReady));
        Assert.That(file.Read(64).Status, Is.EqualTo(NtStatus.DeviceNotReady));
        bench.Machine.Advance(0);
        Assert.That(bench.Node.PnpState, Is.EqualTo(PnpDeviceFailed));
        Assert.That(bench.Node.SurpriseRemove(), Is.EqualTo(NtStatus.Success));
        file.Close();
    }

    private void AssertDown(DeviceNode node)
    {
        Assert.That(IsMoving(node), Is.False);
        if (robot == "ProsewareRobot")
        {
            Assert.That(node.Function.Read(0, 0x01c, 4), Is.Zero, "INTEN");
            Assert.That(node.Function.Read(0, 0x128, 4), Is.Zero, "RING_CTRL");
            Assert.That(node.Function.Read(0, 0x010, 4) & 1, Is.Zero, "CONTROL.MOTEN");
        }
        else
        {
            Assert.That(node.Function.Read(0, 0x06, 2), Is.Zero, "MASK");
            Assert.That(node.Function.Read(0, 0x1e, 2) & 1, Is.Zero, "LISTST.ACTIVE");
            Assert.That(node.Function.Read(0, 0x0c, 2) & 1, Is.Zero, "MODE.MOTEN");
        }
    }

    private bool IsMoving(DeviceNode node) => (node.Function.Read(0, robot == "ProsewareRobot" ? 0x14u : 0x08u, robot == "ProsewareRobot" ? 4 : 2) & 4) != 0;
}
