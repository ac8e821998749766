using System.Buffers.Binary;
using System.Reflection.PortableExecutable;
using DeviceModels.Robot.Contoso;
using DeviceModels.Robot.Proseware;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pe;
using Emulator.DriverBench.Pnp;
using Emulator.DriverTests.GuestDrivers;
using Emulator.Pci;

namespace Emulator.DriverTests.Pnp;

/// <summary>The robots' driver pairs with their filter, run as they are on the C# models.</summary>
[TestFixture(Machine.Amd64, "ProsewareRobot")]
[TestFixture(Machine.I386, "ProsewareRobot")]
[TestFixture(Machine.Amd64, "ContosoRobot")]
[TestFixture(Machine.I386, "ContosoRobot")]
[Category("Driver")]
internal sealed class RobotPairTests(Machine architecture, string robot)
{
    private const uint Success = NtStatus.Success;

    [Test]
    public void The_driver_object_shows_both_halves_of_the_pair()
    {
        var bench = new RobotBench(architecture, robot, InterruptGrant.Messages);
        var expected = new Dictionary<int, string>
        {
            [Irp.Create] = "RobotDispatchCreate",
            [Irp.Close] = "RobotDispatchClose",
            [Irp.Read] = "RobotDispatchRead",
            [Irp.Write] = "RobotDispatchWrite",
            [Irp.DeviceControl] = "RobotDispatchDeviceControl",
            [Irp.InternalDeviceControl] = "RobotDispatchInternalDeviceControl",
            [Irp.Cleanup] = "RobotDispatchCleanup",
            [Irp.Power] = "RobotDispatchPower",
            [Irp.SystemControl] = "RobotDispatchSystemControl",
            [Irp.Pnp] = "RobotDispatchPnp",
        };
        LoadedDriver driver = bench.Specific;
        Assert.That(bench.FunctionName(driver.DriverInit), Is.EqualTo($"{robot}!GsDriverEntry"));
        Assert.That(bench.FunctionName(driver.AddDevice), Is.EqualTo("GeneralRobot!RobotAddDevice"));
        Assert.That(bench.FunctionName(driver.UnloadRoutine), Is.EqualTo("GeneralRobot!RobotUnload"));
        Assert.That(driver.StartIo, Is.Zero);
        for (int i = 0; i < NtLayout.MajorFunctions; i++)
        {
            string name = expected.TryGetValue(i, out string? routine) ? $"GeneralRobot!{routine}" : "nt!IopInvalidDeviceRequest";
            Assert.That(bench.FunctionName(driver.MajorFunction(i)), Is.EqualTo(name), $"major function {i}");
        }
        Assert.That(bench.General.Object, Is.Zero, "an export driver has no driver object");
    }

    [Test]
    public void The_stack_has_three_levels_and_the_pair_is_one_of_them()
    {
        var bench = new RobotBench(architecture, robot, InterruptGrant.Messages);
        Assert.That(bench.Node.Stack.Select(l => (l.Driver, l.StackSize)), Is.EqualTo(new[] { ("AfterThought", 3), (robot, 2), ("pci", 1) }));
        Assert.That(bench.Specific.Devices, Is.EqualTo(new[] { bench.Node.Stack[1].Device }));
    }

    [Test]
    public void Without_the_general_half_the_specific_one_is_not_loaded()
    {
        var machine = new BenchMachine(architecture);
        Assert.That(() => machine.Load(GuestDriverFiles.Open(architecture, $"{robot}.sys")),
            Throws.TypeOf<PeException>().With.Message.Contains("GeneralRobot.sys!GeneralRobotInit"));
        Assert.That(machine.Drivers, Is.Empty);
    }

    [Test]
    public void Both_companies_robots_share_one_general_driver()
    {
        RobotBench bench = Started(InterruptGrant.Messages);
        bool proseware = robot == "ProsewareRobot";
        LoadedDriver other = bench.Load(proseware ? "ContosoRobot" : "ProsewareRobot");
        DeviceNode node = bench.Machine.Plug(slot => proseware ? new ContosoRobot(slot) : new ProsewareRobot(slot), InterruptGrant.Line);
        node.AddDevice(other, bench.Filter);
        Assert.That(node.Start(), Is.EqualTo(Success));
        Assert.That(node.Stack.Select(l => l.Driver), Is.EqualTo(new[] { "AfterThought", other.Name, "pci" }));
        Assert.That(other.AddDevice, Is.EqualTo(bench.Specific.AddDevice));
        Assert.That(node.Remove(), Is.EqualTo(Success));
        node.Unplug();
        bench.Machine.Unload(other);
        Assert.That(bench.Machine.Drivers, Does.Contain(bench.General), "the first pair still uses it");
        End(bench);
    }

    [Test]
    public void A_request_passes_the_filter_and_ends_in_the_pair()
    {
        RobotBench bench = Started(InterruptGrant.Messages);
        BenchFile file = bench.Node.Open();
        BenchRequest info = file.Control(RobotBench.GetInfo, outputLength: 76);
        Assert.That(info.Status, Is.EqualTo(Success));
        Assert.That(info.Visited, Is.EqualTo(bench.Node.Stack.Take(2).Select(l => l.Device)));
        Assert.That(System.Text.Encoding.ASCII.GetString(info.Output, 36, 16).TrimEnd('\0'), Is.EqualTo(robot[..^"Robot".Length]));
        file.Close();
        End(bench);
    }

    [TestCase(InterruptGrant.Messages)]
    [TestCase(InterruptGrant.Line)]
    public void A_program_runs_by_interrupts_and_dpcs(InterruptGrant interrupts)
    {
        RobotBench bench = Started(interrupts);
        BenchFile file = bench.Node.Open();
        byte[] program = RobotBench.Program((RobotBench.Drive, 200, 200), (RobotBench.Turn, 900, 100), (RobotBench.Wait, 50, 0));
        BenchRequest write = file.Write(program);
        Assert.That(write.Returned, Is.EqualTo(NtStatus.Pending));
        Assert.That(write.Wait(), Is.True, "the program ends");
        Assert.That((write.Status, write.Information), Is.EqualTo((Success, (ulong)program.Length)));
        byte[] statistics = file.Control(RobotBench.GetStatistics, outputLength: 24).Output;
        Assert.That(BinaryPrimitives.ReadUInt32LittleEndian(statistics.AsSpan(12)), Is.EqualTo(3), "commands");
        Assert.That(BinaryPrimitives.ReadUInt32LittleEndian(statistics.AsSpan(0)), Is.Positive, "interrupts that were ours");
        Assert.That(bench.Machine.InterruptsDelivered, Is.Positive);
        Assert.That(bench.Machine.DpcsDelivered, Is.EqualTo((int)BinaryPrimitives.ReadUInt32LittleEndian(statistics.AsSpan(8))));
        file.Close();
        End(bench);
    }

    [Test]
    public void A_read_that_waits_can_be_cancelled()
    {
        RobotBench bench = Started(InterruptGrant.Messages);
        BenchFile file = bench.Node.Open();
        BenchRequest read = file.Read(64);
        Assert.That(read.IsCompleted, Is.False);
        Assert.That(read.Cancel(), Is.True);
        Assert.That(read.Status, Is.EqualTo(NtStatus.Cancelled));
        file.Close();
        End(bench);
    }

    [Test]
    public void Cleanup_ends_what_the_file_still_waits_for()
    {
        RobotBench bench = Started(InterruptGrant.Messages);
        BenchFile file = bench.Node.Open();
        BenchRequest read = file.Read(64), write = file.Write(RobotBench.Program((RobotBench.Wait, 10_000, 0)));
        file.Close();
        Assert.That((read.Status, write.Status), Is.EqualTo((NtStatus.Cancelled, NtStatus.Cancelled)));
        End(bench);
    }

    [Test]
    public void Power_goes_down_and_comes_back()
    {
        RobotBench bench = Started(InterruptGrant.Messages);
        // S3, then S0; then the device alone.
        Assert.That(bench.Node.SetSystemPower(4), Is.EqualTo(Success));
        Assert.That(bench.Node.SetSystemPower(1), Is.EqualTo(Success));
        Assert.That(bench.Node.SetDevicePower(4), Is.EqualTo(Success));
        Assert.That(bench.Node.SetDevicePower(1), Is.EqualTo(Success));
        BenchFile file = bench.Node.Open();
        BenchRequest write = file.Write(RobotBench.Program((RobotBench.Drive, 50, 100)));
        Assert.That(write.Wait(), Is.True);
        Assert.That(write.Status, Is.EqualTo(Success));
        file.Close();
        End(bench);
    }

    [Test]
    public void In_d3_the_robot_says_so_in_its_configuration_and_leaves_the_bus_alone()
    {
        RobotBench bench = Started(InterruptGrant.Messages);
        BenchFile file = bench.Node.Open();
        BenchRequest write = file.Write(RobotBench.Program((RobotBench.Drive, 1000, 100)));
        bench.Machine.Advance(50_000_000);
        Assert.That((PowerState(), bench.Node.Function.Memory.IsEnabled), Is.EqualTo((0u, true)), "D0");
        Assert.That(bench.Node.SetDevicePower(4), Is.EqualTo(Success));
        Assert.That((PowerState(), bench.Node.Function.Memory.IsEnabled), Is.EqualTo((3u, false)), "D3hot");
        Assert.That(bench.Node.Function.Read(0, 0, 4), Is.EqualTo(uint.MaxValue), "no register answers");
        int interrupts = bench.Machine.InterruptsDelivered;
        bench.Machine.Advance(5_000_000_000);
        Assert.That(bench.Machine.InterruptsDelivered, Is.EqualTo(interrupts));
        Assert.That(write.IsCompleted, Is.True, "the program ended when the power went");
        Assert.That(bench.Node.SetDevicePower(1), Is.EqualTo(Success));
        Assert.That((PowerState(), bench.Node.Function.Memory.IsEnabled), Is.EqualTo((0u, true)), "D0 again");
        file.Close();
        End(bench);

        // PMCSR.PowerState; PCI Power Management 1.2, 3.2.4.
        uint PowerState()
        {
            ulong at = bench.Node.Function.Read(PciRegion.Configuration, 0x34, 1);
            while (bench.Node.Function.Read(PciRegion.Configuration, at, 1) != 1)
            {
                at = bench.Node.Function.Read(PciRegion.Configuration, at + 1, 1);
                Assert.That(at, Is.Not.Zero, "no power management capability");
            }
            return (uint)bench.Node.Function.Read(PciRegion.Configuration, at + 4, 2) & 3;
        }
    }

    [Test]
    public void A_stop_and_a_removal_can_be_asked_for_cancelled_and_done()
    {
        RobotBench bench = Started(InterruptGrant.Line);
        Assert.That(bench.Node.QueryStop(), Is.EqualTo(Success));
        Assert.That(bench.Node.CancelStop(), Is.EqualTo(Success));
        Assert.That(bench.Node.QueryRemove(), Is.EqualTo(Success));
        Assert.That(bench.Node.CancelRemove(), Is.EqualTo(Success));
        Assert.That(bench.Node.QueryStop(), Is.EqualTo(Success));
        Assert.That(bench.Node.Stop(), Is.EqualTo(Success));
        Assert.That(bench.Node.Start(), Is.EqualTo(Success));
        End(bench);
    }

    [TestCase(InterruptGrant.Messages)]
    [TestCase(InterruptGrant.Line)]
    public void A_surprise_removal_under_load_ends_every_request(InterruptGrant interrupts)
    {
        RobotBench bench = Started(interrupts);
        BenchFile file = bench.Node.Open();
        BenchRequest read = file.Read(64);
        BenchRequest write = file.Write(RobotBench.Program((RobotBench.Drive, 500, 100)));
        BenchRequest next = file.Write(RobotBench.Program((RobotBench.Wait, 50, 0)));
        bench.Machine.Advance(20_000_000);
        Assert.That(bench.Node.SurpriseRemove(), Is.EqualTo(Success));
        Assert.That(new[] { read.Status, write.Status, next.Status }, Is.All.EqualTo(NtStatus.NoSuchDevice));
        file.Close();
        Assert.That(bench.Node.Remove(), Is.EqualTo(Success));
        bench.Unload();
        Assert.That(bench.Machine.Findings, Is.Empty);
        Assert.That(bench.Machine.Drivers, Is.Empty);
    }

    private RobotBench Started(InterruptGrant interrupts)
    {
        var bench = new RobotBench(architecture, robot, interrupts);
        Assert.That(bench.Node.Start(), Is.EqualTo(Success), () => string.Join('\n', bench.Machine.Printed));
        return bench;
    }

    /// <summary>An orderly end, after which nothing is left and no rule was broken.</summary>
    private static void End(RobotBench bench)
    {
        Assert.That(bench.Node.QueryRemove(), Is.EqualTo(Success));
        Assert.That(bench.Node.Remove(), Is.EqualTo(Success));
        bench.Unload();
        Assert.That(bench.Machine.Findings, Is.Empty);
        Assert.That(bench.Machine.Drivers, Is.Empty);
    }
}
