using System.Buffers.Binary;
using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Pnp;

/// <summary>AfterThought's log, read as a program reads it: through its control device, found by name.</summary>
[TestFixture(Machine.Amd64, "ProsewareRobot")]
[TestFixture(Machine.I386, "ContosoRobot")]
[Category("Driver")]
internal sealed class FilterLogTests(Machine architecture, string robot)
{
    // IOCTL_AFTERTHOUGHT_READ_LOG and AFTERTHOUGHT_ENTRY of guest-drivers/include/afterthought.h.
    private const uint ReadLog = 0x0022_6400;
    private const int EntrySize = 20;

    private sealed record Entry(uint Number, uint Device, byte Major, byte Minor, byte SenderIrql, uint Detail, uint Status);

    [TestCase(@"\\.\AfterThought")]
    [TestCase(@"\Device\AfterThought")]
    public void The_log_lists_what_the_filter_saw_in_its_order(string name)
    {
        RobotBench bench = Started();
        BenchFile control = bench.Machine.Open(name);
        Entry[] start = Log(control);
        // As the same drivers log it in an NT 5.2 kernel, down to the statuses.
        Assert.That(start.Select(e => (e.Number, e.Minor, e.Status)), Is.EqualTo(new (uint, byte, uint)[]
        {
            (1, Irp.FilterResourceRequirements, NtStatus.NotSupported),
            (2, Irp.StartDevice, NtStatus.Success),
            (3, Irp.QueryInterface, NtStatus.Success),
            (4, Irp.QueryCapabilities, NtStatus.Success),
            (5, Irp.QueryDeviceState, NtStatus.NotSupported),
            (6, Irp.QueryDeviceRelations, NtStatus.NotSupported),
        }));
        Assert.That(start.Select(e => (e.Major, e.Device, e.SenderIrql)), Is.All.EqualTo((Irp.Pnp, 1u, Irql.Passive)));

        BenchFile file = bench.Node.Open();
        file.Control(RobotBench.GetInfo, outputLength: 76);
        BenchRequest write = file.Write(RobotBench.Program((RobotBench.Wait, 5, 0)));
        Assert.That(write.Wait(), Is.True);
        BenchRequest read = file.Read(64);
        read.Cancel();
        bench.Node.SetDevicePower(4);
        bench.Node.SetDevicePower(1);
        file.Close();
        // A type of 1 is of the device, 4 is D3; the status is what came back at once.
        Assert.That(Log(control).Select(e => (e.Major, e.Minor, e.Detail, e.Status)), Is.EqualTo(new (byte, byte, uint, uint)[]
        {
            (Irp.Create, 0, 0, NtStatus.Success),
            (Irp.DeviceControl, 0, RobotBench.GetInfo, NtStatus.Success),
            (Irp.Write, 0, 16, NtStatus.Pending),
            (Irp.Read, 0, 64, NtStatus.Pending),
            (Irp.Power, Irp.SetPower, 0x1_0004, NtStatus.Success),
            (Irp.Power, Irp.SetPower, 0x1_0001, NtStatus.Pending),
            (Irp.Cleanup, 0, 0, NtStatus.Success),
            (Irp.Close, 0, 0, NtStatus.Success),
        }));
        Assert.That(Log(control), Is.Empty, "what was read has left the log");
        control.Close();
        bench.End();
    }

    [Test]
    public void The_oldest_entries_go_when_the_log_is_full_and_the_numbers_tell()
    {
        RobotBench bench = Started();
        BenchFile file = bench.Node.Open();
        for (int i = 0; i < 300; i++) file.Control(RobotBench.GetStatistics, outputLength: 24);
        BenchFile control = bench.Machine.Open(@"\\.\AfterThought");
        Entry[] log = Log(control);
        // Six of the start and one of CREATE came before.
        Assert.That(log.Select(e => e.Number), Is.EqualTo(Enumerable.Range(307 - 256 + 1, 256)));
        file.Close();
        control.Close();
        bench.End();
    }

    [Test]
    public void The_control_device_stays_while_it_is_open_and_goes_with_the_last_filter_device()
    {
        RobotBench bench = Started();
        BenchFile control = bench.Machine.Open(@"\\.\AfterThought");
        Assert.That(bench.Node.Remove(), Is.EqualTo(NtStatus.Success));
        Assert.That(() => bench.Machine.Open(@"\\.\AfterThought"), Throws.TypeOf<DriverStatusException>().With.Message.Contains("nothing has that name"));
        Assert.That(Log(control).Last().Minor, Is.EqualTo(Irp.Remove), "who has it open still reads the log");
        control.Close();
        bench.Unload();
        Assert.That(bench.Machine.Findings, Is.Empty);
    }

    [Test]
    public void A_robot_is_opened_by_its_interface_while_it_is_started()
    {
        RobotBench bench = Started();
        string vendor = robot == "ProsewareRobot" ? "5057" : "434F";
        string name = $@"\\?\PCI#VEN_1234&DEV_{vendor}#0#{{5a1e6f0c-3b7d-4c52-9d1e-0f7a52b0b075}}";
        BenchFile file = bench.Machine.Open(name);
        Assert.That(file.Control(RobotBench.GetInfo, outputLength: 76).Status, Is.EqualTo(NtStatus.Success));
        file.Close();
        Assert.That(bench.Node.Remove(), Is.EqualTo(NtStatus.Success));
        Assert.That(() => bench.Machine.Open(name), Throws.TypeOf<DriverStatusException>());
        bench.Unload();
        Assert.That(bench.Machine.Findings, Is.Empty);
    }

    private RobotBench Started()
    {
        var bench = new RobotBench(architecture, robot, InterruptGrant.Messages);
        Assert.That(bench.Node.Start(), Is.EqualTo(NtStatus.Success));
        return bench;
    }

    private static Entry[] Log(BenchFile control)
    {
        BenchRequest request = control.Control(ReadLog, outputLength: 512 * EntrySize);
        Assert.That(request.Status, Is.EqualTo(NtStatus.Success));
        return [.. request.Output.Chunk(EntrySize).Select(e => new Entry(U32(e, 0), U32(e, 4), e[8], e[9], e[10], U32(e, 12), U32(e, 16)))];

        static uint U32(byte[] bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(offset));
    }
}
