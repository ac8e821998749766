using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Pnp;

/// <summary>The pairs under faults made on purpose: whatever fails, they break no rule, leave nothing, and end every request.</summary>
[TestFixture(Machine.Amd64, "ProsewareRobot")]
[TestFixture(Machine.I386, "ProsewareRobot")]
[TestFixture(Machine.Amd64, "ContosoRobot")]
[TestFixture(Machine.I386, "ContosoRobot")]
[Category("Driver")]
internal sealed class InjectedFaultTests(Machine architecture, string robot)
{
    private const long Second = 1_000_000_000;

    [TestCase(InterruptGrant.Messages)]
    [TestCase(InterruptGrant.Line)]
    public void Each_allocation_of_a_life_may_fail(InterruptGrant interrupts)
    {
        var bench = new RobotBench(architecture, robot);
        int failed = 0;
        for (bool again = true; again; failed = bench.Machine.Faults.Injected.Count)
        {
            bench.Machine.Faults.FailAllocation(failed + 1);
            Live(bench, interrupts);
            again = bench.Machine.Faults.Injected.Count > failed;
            Assert.That(bench.Machine.Findings, Is.Empty, () => bench.Machine.Faults.Injected[^1].ToString());
            if (again) bench.Node.Unplug();
        }
        string[] functions = [.. bench.Machine.Faults.Injected.Select(f => f.Text.Split(' ')[0]).Distinct()];
        Assert.That(functions, Is.SupersetOf(new[] { "IoCreateDevice", "IoCreateSymbolicLink", "IoRegisterDeviceInterface", "MmMapIoSpace", "IoGetDmaAdapter",
            "HalAllocateCommonBuffer", "IoConnectInterruptEx", "IoSetDeviceInterfaceState", "PoRequestPowerIrp" }));
        bench.Unload();
        Assert.That(bench.Machine.Findings, Is.Empty);
        Assert.That(bench.Machine.Drivers, Is.Empty);
    }

    [TestCase(InterruptGrant.Messages)]
    [TestCase(InterruptGrant.Line)]
    public void The_robot_may_be_gone_at_any_access(InterruptGrant interrupts)
    {
        var bench = new RobotBench(architecture, robot);
        Live(bench, interrupts);
        int accesses = bench.Node.Accesses;
        Assert.That(accesses, Is.InRange(100, 1000), "else sample them");
        for (int n = 1; n <= accesses; n++)
        {
            bench.Node.Unplug();
            Live(bench, interrupts, lostAtAccess: n);
            Assert.That(bench.Machine.Findings, Is.Empty, () => bench.Machine.Faults.Injected[^1].ToString());
            Assert.That(bench.Machine.Faults.Injected, Has.Count.EqualTo(n));
        }
        bench.Unload();
        Assert.That(bench.Machine.Findings, Is.Empty);
        Assert.That(bench.Machine.Drivers, Is.Empty);
    }

    [TestCase(RobotBench.GetInfo, 72)]
    [TestCase(RobotBench.GetState, 44)]
    public void What_a_lost_robot_reads_as_is_told_to_nobody(uint code, int length)
    {
        var bench = new RobotBench(architecture, robot, InterruptGrant.Line);
        Assert.That(bench.Node.Start(), Is.EqualTo(NtStatus.Success));
        BenchFile file = bench.Node.Open();
        BenchRequest before = file.Control(code, outputLength: length);
        Assert.That((before.Status, before.Output.Length), Is.EqualTo((NtStatus.Success, length)));
        bench.Machine.Faults.LoseDevice(bench.Node, 1);
        BenchRequest after = file.Control(code, outputLength: length);
        Assert.That((after.Status, after.Information), Is.EqualTo((NtStatus.DeviceNotConnected, 0ul)));
        Assert.That(bench.Node.SurpriseRemove(), Is.EqualTo(NtStatus.Success));
        file.Close();
        Assert.That(bench.Node.Remove(), Is.EqualTo(NtStatus.Success));
        bench.Unload();
        Assert.That(bench.Machine.Findings, Is.Empty);
    }

    [TestCase(InterruptGrant.Messages)]
    [TestCase(InterruptGrant.Line)]
    public void An_interrupt_storm_is_reported_and_the_robot_goes_on(InterruptGrant interrupts)
    {
        for (int n = 1; n <= 3; n++)
        {
            var bench = new RobotBench(architecture, robot, interrupts);
            Assert.That(bench.Node.Start(), Is.EqualTo(NtStatus.Success));
            BenchFile file = bench.Node.Open();
            bench.Machine.Faults.Storm(bench.Node, n);
            for (int i = 0; i < n; i++)
            {
                BenchRequest write = file.Write(RobotBench.Program((RobotBench.Drive, 50, 100)));
                Assert.That(write.Wait(), Is.True, "the program ends");
                Assert.That(write.Status, Is.EqualTo(NtStatus.Success));
            }
            Assert.That(bench.Machine.Findings.Select(f => f.Rule), Is.EqualTo(new[] { Rule.Interrupt }));
            Assert.That(bench.Machine.Findings[0].Text, Does.StartWith("interrupt storm: ").And.Contain("1000 times in a row"));
            file.Close();
            Assert.That(bench.Node.Remove(), Is.EqualTo(NtStatus.Success));
            bench.Unload();
            Assert.That(bench.Machine.Findings, Has.Count.EqualTo(1));
        }
    }

    [Test]
    public void A_fault_can_be_repeated_and_says_whom_it_met()
    {
        string[] met = [.. Enumerable.Range(0, 2).Select(_ =>
        {
            var bench = new RobotBench(architecture, robot);
            bench.Machine.Faults.FailAllocation(1);
            Assert.That(() => bench.Plug(InterruptGrant.Line), Throws.TypeOf<DriverStatusException>());
            return bench.Machine.Faults.Injected.Single().ToString();
        })];
        Assert.That(met[0], Does.StartWith("IoCreateDevice failed, allocation 1; GeneralRobot!RobotAddDevice+0x"));
        Assert.That(met[1], Is.EqualTo(met[0]));
    }

    /// <summary>From the plugging to the removal, with programs, sleep and a stop, as NT goes on when a step fails.</summary>
    private static void Live(RobotBench bench, InterruptGrant interrupts, int lostAtAccess = 0)
    {
        var requests = new List<BenchRequest>();
        int faults = bench.Machine.Faults.Injected.Count;
        bool started = false;
        try
        {
            bench.Plug(interrupts);
            if (lostAtAccess > 0) bench.Machine.Faults.LoseDevice(bench.Node, lostAtAccess);
            started = NtStatus.IsSuccess(bench.Node.Start());
        }
        catch (DriverStatusException)
        {
            // AddDevice failed: what there is of the stack is removed.
        }
        if (started) Work(bench, requests, faults);
        Assert.That(requests, Has.All.Property(nameof(BenchRequest.IsCompleted)).True);
        Assert.That(bench.Node.Remove(), Is.EqualTo(NtStatus.Success));
    }

    private static void Work(RobotBench bench, List<BenchRequest> requests, int faults)
    {
        DeviceNode node = bench.Node;
        BenchFile file = node.Open();
        requests.Add(file.Read(64));
        Drive();
        // S3 and back; the device alone.
        node.SetSystemPower(4);
        node.SetSystemPower(1);
        node.SetDevicePower(4);
        node.SetDevicePower(1);
        Drive();
        requests.Add(file.Control(RobotBench.GetInfo, outputLength: 76));
        bool stopped = NtStatus.IsSuccess(node.QueryStop()) && NtStatus.IsSuccess(node.Stop());
        bool goesOn = stopped ? NtStatus.IsSuccess(node.Start()) : node.IsPresent;
        if (goesOn) Drive();
        if (!node.IsPresent || !goesOn) Assert.That(node.SurpriseRemove(pull: false), Is.EqualTo(NtStatus.Success));
        file.Close();

        void Drive()
        {
            BenchRequest write = file.Write(RobotBench.Program((RobotBench.Drive, 30, 100), (RobotBench.Wait, 5, 0)));
            requests.Add(write);
            write.Wait(5 * Second);
            if (node.IsPresent && bench.Machine.Faults.Injected.Count == faults) Assert.That(write.Status, Is.EqualTo(NtStatus.Success));
        }
    }
}
