using System.Reflection.PortableExecutable;
using DeviceModels.Robot.Contoso;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Pnp;

/// <summary>What the pair and the filter owe their stack: they pass on what is not theirs, and look like the device below.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class StackMannersTests(Machine architecture)
{
    private const uint BufferedIo = 0x4, DirectIo = 0x10, PowerPagable = 0x2000, RemovableMedia = 0x1, SecureOpen = 0x100, DeviceUnknown = 0x22;
    private const byte QueryResourceRequirements = 0x0b, QueryInterface = 0x08, DeviceUsageNotification = 0x16, WaitWake = 0, QueryPower = 3;

    [TestCase(Irp.Pnp, QueryResourceRequirements)]
    [TestCase(Irp.Pnp, QueryInterface)]
    [TestCase(Irp.Pnp, DeviceUsageNotification)]
    [TestCase(Irp.Pnp, Irp.QueryDeviceState)]
    [TestCase(Irp.Pnp, (byte)0xfe)]
    [TestCase(Irp.Power, WaitWake)]
    [TestCase(Irp.SystemControl, (byte)0)]
    public void A_request_that_is_not_theirs_goes_down_to_the_bus_and_keeps_its_status(byte major, byte minor)
    {
        RobotBench bench = Started(InterruptGrant.Messages);
        BenchRequest request = bench.Node.Send(major, minor);
        Assert.That(request.Visited, Is.EqualTo(bench.Node.Stack.Select(l => l.Device)));
        Assert.That(request.Status, Is.EqualTo(major == Irp.SystemControl ? NtStatus.InvalidDeviceRequest : NtStatus.NotSupported));
        bench.End();
    }

    [Test]
    public void A_query_of_power_is_granted_and_goes_down()
    {
        RobotBench bench = Started(InterruptGrant.Messages);
        // S3.
        BenchRequest request = bench.Node.Send(Irp.Power, QueryPower, 0, 0, 4);
        Assert.That(request.Visited, Is.EqualTo(bench.Node.Stack.Select(l => l.Device)));
        Assert.That(request.Status, Is.EqualTo(NtStatus.Success));
        bench.End();
    }

    // Parameters: SYSTEM_POWER_STATE or DEVICE_POWER_STATE, and which of the two.
    [TestCase(Irp.SetPower, 0u, 4u)]
    [TestCase(Irp.SetPower, 0u, 1u)]
    [TestCase(Irp.SetPower, 1u, 4u)]
    [TestCase(Irp.SetPower, 1u, 1u)]
    [TestCase(QueryPower, 0u, 4u)]
    [TestCase(QueryPower, 1u, 4u)]
    public void Each_driver_lets_nt_5_2_send_the_next_power_request_once(byte minor, uint type, uint state)
    {
        RobotBench bench = Started(InterruptGrant.Messages);
        for (int i = 0; i < 2; i++)
        {
            BenchRequest request = bench.Node.Send(Irp.Power, minor, 0, type, state);
            Assert.That(request.Wait(), Is.True);
            Assert.That(request.Status, Is.EqualTo(NtStatus.Success));
            Assert.That(request.NextPowerStarted, Is.EqualTo(bench.Node.Stack.Take(2).Select(l => l.Device)));
        }
        bench.End();
    }

    [Test]
    public void A_stop_is_refused_while_a_program_runs_and_the_bus_hears_nothing_of_it()
    {
        RobotBench bench = Started(InterruptGrant.Messages);
        BenchFile file = bench.Node.Open();
        BenchRequest write = file.Write(RobotBench.Program((RobotBench.Drive, 50, 100)));
        BenchRequest query = bench.Node.Send(Irp.Pnp, Irp.QueryStop);
        Assert.That(query.Status, Is.EqualTo(NtStatus.DeviceBusy));
        Assert.That(query.Visited, Does.Not.Contain(bench.Node.Pdo));
        Assert.That(write.Wait(), Is.True);
        Assert.That(write.Status, Is.EqualTo(NtStatus.Success));
        Assert.That(bench.Node.QueryStop(), Is.EqualTo(NtStatus.Success));
        file.Close();
        bench.End();
    }

    [Test]
    public void A_program_that_comes_while_the_robot_is_stopped_runs_when_it_starts_again()
    {
        RobotBench bench = Started(InterruptGrant.Line);
        BenchFile file = bench.Node.Open();
        Assert.That(bench.Node.QueryStop(), Is.EqualTo(NtStatus.Success));
        Assert.That(bench.Node.Stop(), Is.EqualTo(NtStatus.Success));
        int accesses = bench.Node.Accesses;
        BenchRequest write = file.Write(RobotBench.Program((RobotBench.Drive, 50, 100)));
        Assert.That(write.Wait(1_000_000_000), Is.False);
        Assert.That(bench.Node.Accesses, Is.EqualTo(accesses), "its registers are unmapped");
        Assert.That(bench.Node.Start(), Is.EqualTo(NtStatus.Success));
        Assert.That(write.Wait(), Is.True);
        Assert.That(write.Status, Is.EqualTo(NtStatus.Success));
        file.Close();
        bench.End();
    }

    [Test]
    public void The_filter_does_io_and_power_as_the_device_below()
    {
        RobotBench bench = Started(InterruptGrant.Messages);
        foreach (StackLevel level in bench.Node.Stack.Take(2))
        {
            Assert.That(Get(bench, level, bench.Machine.Layout.DeviceFlags) & (BufferedIo | DirectIo | PowerPagable), Is.EqualTo(BufferedIo | PowerPagable));
            Assert.That(Get(bench, level, bench.Machine.Layout.DeviceCharacteristics), Is.EqualTo(SecureOpen));
            Assert.That(Get(bench, level, bench.Machine.Layout.DeviceType), Is.EqualTo(DeviceUnknown));
        }
        bench.End();
    }

    [Test]
    public void The_filter_follows_when_the_device_below_changes()
    {
        var bench = new RobotBench(architecture, "ProsewareRobot", InterruptGrant.Messages);
        (StackLevel filter, StackLevel below) = (bench.Node.Stack[0], bench.Node.Stack[1]);
        int flags = bench.Machine.Layout.DeviceFlags, characteristics = bench.Machine.Layout.DeviceCharacteristics;
        Set(bench, below, characteristics, Get(bench, below, characteristics) | RemovableMedia);
        Assert.That(bench.Node.Start(), Is.EqualTo(NtStatus.Success));
        Assert.That(Get(bench, filter, characteristics), Is.EqualTo(SecureOpen | RemovableMedia));

        Set(bench, below, flags, Get(bench, below, flags) & ~PowerPagable);
        bench.Node.Send(Irp.Pnp, DeviceUsageNotification);
        Assert.That(Get(bench, filter, flags) & PowerPagable, Is.Zero, "a paging file came");
        Set(bench, below, flags, Get(bench, below, flags) | PowerPagable);
        bench.Node.Send(Irp.Pnp, DeviceUsageNotification);
        Assert.That(Get(bench, filter, flags) & PowerPagable, Is.Not.Zero, "it went");
        bench.End();
    }

    [Test]
    public void A_robot_asleep_is_left_alone_when_its_neighbour_on_the_line_interrupts()
    {
        RobotBench bench = Started(InterruptGrant.Line);
        LoadedDriver other = bench.Load("ContosoRobot");
        DeviceNode neighbour = bench.Machine.Plug(slot => new ContosoRobot(slot), InterruptGrant.Line);
        neighbour.ShareLine(bench.Node);
        neighbour.AddDevice(other, bench.Filter);
        Assert.That(neighbour.Start(), Is.EqualTo(NtStatus.Success));
        (BenchFile own, BenchFile others) = (bench.Node.Open(), neighbour.Open());

        Assert.That(bench.Node.SetDevicePower(4), Is.EqualTo(NtStatus.Success));
        int accesses = bench.Node.Accesses;
        Carry(others);
        Assert.That(bench.Node.Accesses, Is.EqualTo(accesses));
        Assert.That(bench.Node.SetDevicePower(1), Is.EqualTo(NtStatus.Success));
        Carry(own);
        Carry(others);
        foreach (BenchFile file in new[] { own, others })
        {
            byte[] statistics = file.Control(RobotBench.GetStatistics, outputLength: 24).Output;
            Assert.That(BitConverter.ToUInt32(statistics, 0), Is.Positive, "its interrupts");
            Assert.That(BitConverter.ToUInt32(statistics, 4), file == own ? Is.Positive : Is.Zero, "foreign ones: the first that is asked sees them all");
            file.Close();
        }
        Assert.That(neighbour.Remove(), Is.EqualTo(NtStatus.Success));
        neighbour.Unplug();
        bench.Machine.Unload(other);
        bench.End();

        static void Carry(BenchFile file)
        {
            BenchRequest write = file.Write(RobotBench.Program((RobotBench.Drive, 50, 100), (RobotBench.Wait, 20, 0)));
            Assert.That(write.Wait(), Is.True);
            Assert.That(write.Status, Is.EqualTo(NtStatus.Success));
        }
    }

    [TestCase("ProsewareRobot")]
    [TestCase("ContosoRobot")]
    public void On_nt_5_2_the_line_is_connected_in_the_old_way(string robot)
    {
        var bench = new RobotBench(architecture, robot);
        bench.Machine.Lack("IoConnectInterruptEx");
        bench.Machine.Lack("IoDisconnectInterruptEx");
        bench.Plug(InterruptGrant.Line);
        Assert.That(bench.Node.Start(), Is.EqualTo(NtStatus.Success));
        BenchFile file = bench.Node.Open();
        for (int i = 0; i < 2; i++)
        {
            BenchRequest write = file.Write(RobotBench.Program((RobotBench.Drive, 50, 100), (RobotBench.Wait, 20, 0)));
            Assert.That(write.Wait(), Is.True);
            Assert.That(write.Status, Is.EqualTo(NtStatus.Success));
            Assert.That(bench.Node.SetSystemPower(4), Is.EqualTo(NtStatus.Success));
            Assert.That(bench.Node.SetSystemPower(1), Is.EqualTo(NtStatus.Success));
        }
        Assert.That(bench.Machine.InterruptsDelivered, Is.Positive);
        file.Close();
        bench.End();
    }

    private static uint Get(RobotBench bench, StackLevel level, int offset)
    {
        Assert.That(bench.Machine.Space.TryRead32(level.Device + (ulong)offset, out uint value), Is.True);
        return value;
    }

    private static void Set(RobotBench bench, StackLevel level, int offset, uint value)
        => Assert.That(bench.Machine.Space.TryWrite32(level.Device + (ulong)offset, value), Is.True);

    private RobotBench Started(InterruptGrant interrupts)
    {
        var bench = new RobotBench(architecture, "ProsewareRobot", interrupts);
        Assert.That(bench.Node.Start(), Is.EqualTo(NtStatus.Success));
        return bench;
    }
}
