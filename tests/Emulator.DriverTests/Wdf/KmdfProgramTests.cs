using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Wdf;

/// <summary>Programs of KmdfRobot: through the ring in guest memory, whatever happens to the device meanwhile.</summary>
[TestFixture(Machine.Amd64, InterruptGrant.Messages)]
[TestFixture(Machine.I386, InterruptGrant.Messages)]
[TestFixture(Machine.Amd64, InterruptGrant.Line)]
[TestFixture(Machine.I386, InterruptGrant.Line)]
[Category("Driver")]
internal sealed class KmdfProgramTests(Machine architecture, InterruptGrant interrupts) : KmdfFixture(architecture, interrupts)
{
    // Of the robot's datasheet.
    private const uint Control = 0x10, Status = 0x14, InterruptEnable = 0x1C, RingBase = 0x100, RingHead = 0x10C, RingTail = 0x110, RingControl = 0x128;
    private const uint Run = 1, MotorsOn = 1, Moving = 4;

    [Test]
    public void A_command_moves_the_robot_through_ring_interrupt_and_dpc()
    {
        Start();
        BenchFile file = Node.Open();
        byte[] info = file.Control(KmdfBench.GetInfo, outputLength: KmdfBench.InfoSize).Output;
        Assert.That(KmdfBench.Field(info, 8), Is.EqualTo(Interrupts.Length == 4 ? 4 : 0), "messages connected");
        BenchRequest drive = KmdfBench.Command(file, KmdfBench.Drive, 120, 200, tag: 77);
        Assert.That(drive.Returned, Is.EqualTo(NtStatus.Pending));
        Assert.That(drive.Visited, Is.EqualTo(Node.Stack.Take(2).Select(l => l.Device)), "through the filter");
        Assert.That(drive.Wait(), Is.True);
        Assert.That((drive.Status, drive.Information), Is.EqualTo((Success, (ulong)KmdfBench.CompletionSize)));
        int[] completion = [.. Enumerable.Range(0, 4).Select(i => KmdfBench.Field(drive.Output, i))];
        Assert.That(KmdfBench.Field(drive.Output, 4), Is.Positive, "the robot's time");
        Assert.That(completion, Is.EqualTo(new[] { 77, (int)KmdfBench.Drive, 1, 120 }), "tag, opcode, RobotOk, distance");
        byte[] state = State(file).Output;
        Assert.That((KmdfBench.Field(state, 1), KmdfBench.Field(state, 2)), Is.EqualTo((120, 120)), "odometers");
        byte[] statistics = file.Control(KmdfBench.GetStatistics, outputLength: KmdfBench.StatisticsSize).Output;
        Assert.That(KmdfBench.Field(statistics, 3), Is.EqualTo(1), "commands");
        Assert.That(Bench.Machine.InterruptsDelivered, Is.EqualTo(KmdfBench.Field(statistics, 0) + KmdfBench.Field(statistics, 1)));
        Assert.That(Bench.Machine.DpcsDelivered, Is.EqualTo(KmdfBench.Field(statistics, 2)).And.Positive);
        file.Close();
        End();
    }

    [Test]
    public void A_program_is_in_the_ring_whole_before_its_first_command_ends()
    {
        Start();
        BenchFile file = Node.Open();
        BenchRequest program = file.Write(KmdfBench.Program((KmdfBench.Drive, 40, 100), (KmdfBench.Turn, 100, 100), (KmdfBench.Drive, 30, 100)));
        Assert.That((program.Returned, program.IsCompleted), Is.EqualTo((NtStatus.Pending, false)));
        Assert.That((Register(RingTail), Register(RingControl) & Run), Is.EqualTo((3u, Run)));
        Assert.That(Register(RingBase), Is.Not.Zero.And.Matches<uint>(at => at % 64 == 0), "in guest memory");
        Assert.That(program.Wait(), Is.True);
        Assert.That((program.Status, program.Information, Register(RingHead)), Is.EqualTo((Success, 48ul, 3u)));
        file.Close();
        End();
    }

    [Test]
    public void A_program_longer_than_the_ring_goes_round_it()
    {
        Start();
        BenchFile file = Node.Open();
        byte[] program = KmdfBench.Program([.. Enumerable.Range(0, 200).Select(i => (i % 50 == 7 ? KmdfBench.Wait : KmdfBench.Light, i, 0))]);
        BenchRequest write = file.Write(program);
        Assert.That(write.Wait(), Is.True);
        Assert.That((write.Status, write.Information, Register(RingTail)), Is.EqualTo((Success, (ulong)program.Length, 200u % 64)));
        file.Close();
        End();
    }

    [Test]
    public void The_ring_stays_where_it_is_across_stop_and_start_and_begins_anew()
    {
        Start();
        BenchFile file = Node.Open();
        Drive(file, 10);
        uint at = Register(RingBase);
        Assert.That((Node.QueryStop(), Node.Stop()), Is.EqualTo((Success, Success)));
        Start();
        Assert.That((Register(RingBase), Register(RingTail), Register(RingControl) & Run), Is.EqualTo((at, 0u, Run)));
        Drive(file, 10);
        file.Close();
        End();
    }

    [Test]
    public void Programs_of_several_writers_run_one_after_the_other()
    {
        Start();
        BenchFile file = Node.Open(), other = Node.Open();
        byte[] program = KmdfBench.Program((KmdfBench.Drive, 40, 100), (KmdfBench.Wait, 20, 0), (KmdfBench.Drive, 30, 100));
        BenchRequest first = file.Write(program), second = other.Write(program), command = KmdfBench.Command(file, KmdfBench.Drive, 5, 100);
        Assert.That(first.Wait(), Is.True);
        Assert.That((first.Status, first.Information, second.IsCompleted), Is.EqualTo((Success, (ulong)program.Length, false)));
        Assert.That(second.Wait() && command.Wait(), Is.True);
        Assert.That((second.Status, second.Information, command.Status), Is.EqualTo((Success, (ulong)program.Length, Success)));
        byte[] state = State(file).Output;
        Assert.That(KmdfBench.Field(state, 1), Is.EqualTo(40 + 30 + 40 + 30 + 5), "odometer");
        Assert.That(KmdfBench.Field(file.Control(KmdfBench.GetStatistics, outputLength: KmdfBench.StatisticsSize).Output, 3), Is.EqualTo(7), "commands");
        other.Close();
        file.Close();
        End();
    }

    [Test]
    public void A_program_that_stops_early_says_how_far_it_came()
    {
        Start();
        BenchFile file = Node.Open();
        // Only shorter drives are allowed.
        BenchRequest partly = file.Write(KmdfBench.Program((KmdfBench.Drive, 10, 100), (KmdfBench.Drive, 1_000_000, 100), (KmdfBench.Drive, 10, 100)));
        Assert.That(partly.Wait(), Is.True);
        Assert.That((partly.Status, partly.Information), Is.EqualTo((Success, 16ul)));
        BenchRequest not = file.Write(KmdfBench.Program((KmdfBench.Drive, 1_000_000, 100)));
        Assert.That(not.Wait(), Is.True);
        Assert.That(not.Status, Is.EqualTo(0xC000_0185), "STATUS_IO_DEVICE_ERROR");
        BenchRequest stopped = file.Write(KmdfBench.Program((KmdfBench.Drive, 10, 100), (KmdfBench.Drive, 500, 100)));
        Bench.Machine.Advance(1_000_000_000);
        Assert.That((file.Control(KmdfBench.Stop).Status, stopped.Status, stopped.Information), Is.EqualTo((Success, Success, 16ul)));
        file.Close();
        End();
    }

    [Test]
    public void What_runs_and_what_waits_for_its_turn_can_be_cancelled()
    {
        Start();
        BenchFile file = Node.Open();
        BenchRequest running = file.Write(KmdfBench.Program((KmdfBench.Drive, 500, 100))), waiting = KmdfBench.Command(file, KmdfBench.Drive, 500, 100),
            last = KmdfBench.Command(file, KmdfBench.Drive, 25, 100);
        Bench.Machine.Advance(100_000_000);
        Bench.TakeEvents();
        Assert.That(waiting.Cancel(), Is.True);
        Assert.That((waiting.Status, running.IsCompleted), Is.EqualTo((NtStatus.Cancelled, false)));
        Assert.That(Bench.TakeEvents(), Is.Empty, "the queue's own affair");
        Assert.That(running.Cancel(), Is.True);
        Assert.That(running.Status, Is.EqualTo(NtStatus.Cancelled));
        Assert.That(Bench.TakeEvents()[0], Is.EqualTo("EvtRequestCancel (write)"));
        Assert.That(last.Wait(), Is.True);
        Assert.That((last.Status, KmdfBench.Field(last.Output, 3)), Is.EqualTo((Success, 25)));
        byte[] statistics = file.Control(KmdfBench.GetStatistics, outputLength: KmdfBench.StatisticsSize).Output;
        Assert.That(KmdfBench.Field(statistics, 5), Is.EqualTo(1), "cancelled by the driver");
        file.Close();
        End();
    }

    [Test]
    public void What_the_driver_holds_ends_when_the_device_sleeps_and_what_comes_then_waits()
    {
        Start();
        BenchFile file = Node.Open();
        BenchRequest held = KmdfBench.Command(file, KmdfBench.Drive, 500, 100), next = KmdfBench.Command(file, KmdfBench.Drive, 20, 100);
        Bench.Machine.Advance(10_000_000);
        Bench.TakeEvents();
        Sleep();
        // The robot's stop ends with an interrupt.
        Assert.That(Bench.TakeEvents(),
            Is.EqualTo((string[])["EvtIoStop (IOCTL 0x22e008)", .. Interrupted, .. Disabled, "EvtDeviceD0Exit (to WdfPowerDeviceD3)"]));
        Assert.That((held.Status, KmdfBench.Field(held.Output, 2), next.IsCompleted), Is.EqualTo((Success, KmdfBench.Aborted, false)));
        BenchRequest waiting = State(file), cancelled = State(file);
        Assert.That((waiting.Returned, waiting.IsCompleted), Is.EqualTo((NtStatus.Pending, false)));
        Assert.That(cancelled.Cancel(), Is.True, "the queue lets it go");
        Assert.That(cancelled.Status, Is.EqualTo(NtStatus.Cancelled));
        Assert.That(Bench.TakeEvents(), Is.Empty);
        Wake();
        Assert.That(waiting.Wait(), Is.True);
        Assert.That((waiting.Status, waiting.Information), Is.EqualTo((Success, (ulong)KmdfBench.StateSize)));
        Assert.That(Bench.TakeEvents(),
            Is.EqualTo((string[])["EvtDeviceD0Entry (from WdfPowerDeviceD3)", .. Enabled, "EvtIoDeviceControl (IOCTL 0x226004)", Presented[0]]));
        Assert.That(next.Wait(), Is.True);
        Assert.That((next.Status, KmdfBench.Field(next.Output, 3)), Is.EqualTo((Success, 20)), "its turn came after the sleep");
        file.Close();
        End();
    }

    [TestCase(false)]
    [TestCase(true)]
    public void Sleep_or_stop_in_mid_program_aborts_it_and_the_next_runs_whole_after_it(bool stop)
    {
        Start();
        BenchFile file = Node.Open();
        byte[] five = KmdfBench.Program([.. Enumerable.Repeat((KmdfBench.Drive, 40, 100), 5)]);
        BenchRequest first = file.Write(five), second = file.Write(five);
        // Two of them take 0.8 s, and the ramps.
        Bench.Machine.Advance(1_100_000_000);
        if (stop) Assert.That((Node.QueryStop(), Node.Stop()), Is.EqualTo((Success, Success)));
        else Sleep();
        Assert.That((first.Status, first.Information, second.IsCompleted), Is.EqualTo((Success, 32ul, false)));
        BenchRequest read = file.Read(1024);
        if (stop) Start();
        else Wake();
        Assert.That(second.Wait(), Is.True);
        Assert.That((second.Status, second.Information), Is.EqualTo((Success, (ulong)five.Length)));
        Assert.That(KmdfBench.Events(read), Is.EqualTo(new[] { (KmdfBench.ProgramEvent, KmdfBench.Aborted, 1, 2) }), "the third command's tag");
        file.Close();
        End();
    }

    [Test]
    public void A_stop_holds_requests_for_the_next_start()
    {
        Start();
        BenchFile file = Node.Open();
        Assert.That((Node.QueryStop(), Node.Stop()), Is.EqualTo((Success, Success)));
        BenchRequest waiting = State(file);
        Assert.That(waiting.IsCompleted, Is.False);
        Start();
        Assert.That(waiting.Status, Is.EqualTo(Success));
        file.Close();
        End();
    }

    [Test]
    public void A_surprise_removal_ends_all_and_the_framework_still_takes_the_driver_down()
    {
        Start();
        BenchFile file = Node.Open();
        BenchRequest held = KmdfBench.Command(file, KmdfBench.Drive, 500, 100);
        Bench.Machine.Advance(10_000_000);
        Bench.TakeEvents();
        Assert.That(Node.SurpriseRemove(), Is.EqualTo(Success));
        Assert.That(Bench.TakeEvents(), Is.EqualTo((string[])[Left, "EvtDeviceSurpriseRemoval", .. PowerDown, "EvtDeviceReleaseHardware"]));
        Assert.That(held.Status, Is.EqualTo(NtStatus.NoSuchDevice));
        Assert.That(State(file).Status, Is.EqualTo(NtStatus.InvalidDeviceState), "the queue is shut");
        file.Close();
        Assert.That(Node.Remove(), Is.EqualTo(Success));
        Assert.That(Bench.TakeEvents(), Is.Empty);
        Unload();
    }

    [Test]
    public void A_robot_taken_by_surprise_under_load_is_left_still_and_nobody_waits()
    {
        Start();
        BenchFile file = Node.Open();
        BenchRequest read = file.Read(KmdfBench.EventSize);
        byte[] program = KmdfBench.Program([.. Enumerable.Repeat((KmdfBench.Drive, 40, 100), 100)]);
        BenchRequest[] writes = [file.Write(program), file.Write(program), KmdfBench.Command(file, KmdfBench.Turn, 900, 100)];
        Bench.Machine.Advance(1_000_000_000);
        Assert.That(Register(Status) & Moving, Is.EqualTo(Moving));
        Assert.That(Node.SurpriseRemove(pull: false), Is.EqualTo(Success));
        Assert.That(writes.Select(w => w.Status), Is.All.EqualTo(NtStatus.NoSuchDevice));
        // The event that told of the end was the reader's.
        Assert.That((read.Status, KmdfBench.Events(read)), Is.EqualTo((Success, new[] { (KmdfBench.ProgramEvent, KmdfBench.Aborted, 1, 2) })));
        Assert.That((Register(Status) & Moving, Register(Control) & MotorsOn, Register(InterruptEnable), Register(RingControl)),
            Is.EqualTo((0u, 0u, 0u, 0u)));
        Assert.That(file.Read(KmdfBench.EventSize).Status, Is.EqualTo(NtStatus.InvalidDeviceState));
        file.Close();
        Assert.That(Node.Remove(), Is.EqualTo(Success));
        Unload();
    }

    [TestCase(false)]
    [TestCase(true)]
    public void One_that_goes_while_it_sleeps_or_is_stopped_ends_its_readers(bool stopped)
    {
        Start();
        BenchFile file = Node.Open();
        BenchRequest read = file.Read(KmdfBench.EventSize);
        if (stopped) Assert.That((Node.QueryStop(), Node.Stop()), Is.EqualTo((Success, Success)));
        else Sleep();
        Assert.That(read.IsCompleted, Is.False);
        Assert.That(Node.SurpriseRemove(), Is.EqualTo(Success));
        Assert.That(read.Status, Is.EqualTo(NtStatus.Cancelled));
        file.Close();
        Assert.That(Node.Remove(), Is.EqualTo(Success));
        Unload();
    }

    [Test]
    public void What_a_lost_robot_reads_as_is_told_to_nobody()
    {
        Start();
        BenchFile file = Node.Open();
        Bench.Machine.Faults.LoseDevice(Node, 1);
        BenchRequest[] asked =
        [State(file), file.Control(KmdfBench.GetInfo, outputLength: KmdfBench.InfoSize)];
        Assert.That(asked.Select(r => (r.Status, r.Information)), Is.All.EqualTo((NtStatus.DeviceNotConnected, 0ul)));
        Assert.That(Node.SurpriseRemove(), Is.EqualTo(Success));
        file.Close();
        Assert.That(Node.Remove(), Is.EqualTo(Success));
        Unload();
    }

    private uint Register(uint offset) => (uint)Node.Function.Read(0, offset, 4);
}
