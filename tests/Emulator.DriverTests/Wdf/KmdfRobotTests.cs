using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;
using Emulator.Nt.Objects;
using Emulator.Nt.Views;
using DeviceNode = Emulator.DriverBench.Pnp.DeviceNode;

namespace Emulator.DriverTests.Wdf;

/// <summary>KmdfRobot.sys as it is, on the C# model and the bench's framework: what debuggers show, and what the driver is called for.</summary>
[TestFixture(Machine.Amd64, InterruptGrant.Messages)]
[TestFixture(Machine.I386, InterruptGrant.Messages)]
[TestFixture(Machine.Amd64, InterruptGrant.Line)]
[TestFixture(Machine.I386, InterruptGrant.Line)]
[Category("Driver")]
internal sealed class KmdfRobotTests(Machine architecture, InterruptGrant interrupts)
{
    private const uint Success = NtStatus.Success;

    private KmdfBench _bench = null!;

    private DeviceNode Node => _bench.Node;

    /// <summary>One for each interrupt object that has a resource.</summary>
    private string[] Interrupts => interrupts == InterruptGrant.Messages ? ["message 0", "message 1", "message 2", "message 3"] : ["line"];

    private string[] Enabled => [.. Interrupts.Select(i => $"EvtInterruptEnable ({i})")];
    private string[] Disabled => [.. Interrupts.Reverse().Select(i => $"EvtInterruptDisable ({i})")];

    /// <summary>By the default queue, and in its turn.</summary>
    private static string[] Presented => ["EvtIoDeviceControl (IOCTL 0x22e008)", "EvtIoDeviceControl (IOCTL 0x22e008)"];

    private string[] Interrupted => [$"EvtInterruptIsr ({Interrupts[0]})", $"EvtInterruptDpc ({Interrupts[0]})"];

    private string[] PowerUp => ["EvtDeviceD0Entry (from WdfPowerDeviceD3Final)", .. Enabled];
    private string[] PowerDown => [.. Disabled, "EvtDeviceD0Exit (to WdfPowerDeviceD3Final)"];

    private static string[] Started
        => ["EvtDevicePnpStateChangeNotification (enter WdfDevStatePnpStarted)", "EvtDevicePnpStateChangeNotification (processed WdfDevStatePnpStarted)"];

    private const string Left = "EvtDevicePnpStateChangeNotification (leave WdfDevStatePnpStarted)";

    [SetUp]
    public void Plug() => _bench = new KmdfBench(architecture, interrupts);

    [Test]
    public void KmdfRobot_all_dispatch_entries_in_Wdf01000_the_named_events_called_in_order()
    {
        LoadedDriver driver = _bench.Driver;
        for (int i = 0; i < NtLayout.MajorFunctions; i++)
        {
            Assert.That(Name(driver.MajorFunction(i)), Is.EqualTo("Wdf01000!FxDevice::DispatchWithLock"), $"major function {i}");
        }
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtDriverDeviceAdd" }));
        Start();
        Assert.That(_bench.TakeEvents(), Is.EqualTo((string[])["EvtDevicePrepareHardware", .. PowerUp, .. Started]));
        BenchFile file = Node.Open();
        Drive(file, 50);
        Assert.That(file.Read(KmdfBench.StateSize).Status, Is.EqualTo(Success));
        file.Close();
        Assert.That(_bench.TakeEvents(), Is.EqualTo((string[])[.. Presented, .. Interrupted, "EvtIoRead"]));
        Sleep();
        Assert.That(_bench.TakeEvents(), Is.EqualTo((string[])[.. Disabled, "EvtDeviceD0Exit (to WdfPowerDeviceD3)"]));
        Wake();
        Assert.That(_bench.TakeEvents(), Is.EqualTo((string[])["EvtDeviceD0Entry (from WdfPowerDeviceD3)", .. Enabled]));
        Assert.That((Node.QueryStop(), Node.Stop()), Is.EqualTo((Success, Success)));
        Assert.That(_bench.TakeEvents(), Is.EqualTo((string[])[Left, .. PowerDown, "EvtDeviceReleaseHardware"]));
        Start();
        Assert.That(_bench.TakeEvents(), Is.EqualTo((string[])["EvtDevicePrepareHardware", .. PowerUp, .. Started]));
        Assert.That((Node.QueryRemove(), Node.Remove()), Is.EqualTo((Success, Success)));
        Assert.That(_bench.TakeEvents(), Is.EqualTo((string[])[Left, .. PowerDown, "EvtDeviceReleaseHardware"]));
        _bench.Unload();
        Assert.That(_bench.TakeEvents(), Is.Empty, "it has no EvtDriverUnload");
        Assert.That(_bench.Machine.Findings, Is.Empty);
        Assert.That(_bench.Machine.Drivers, Is.Empty);
    }

    [Test]
    public void The_rest_of_the_driver_object_is_the_framework_s_but_entry_and_unload()
    {
        LoadedDriver driver = _bench.Driver;
        Assert.That(Name(driver.DriverInit), Is.EqualTo("KmdfRobot!FxDriverEntry"));
        Assert.That(Name(driver.AddDevice), Is.EqualTo("Wdf01000!FxDriver::AddDevice"));
        Assert.That(Name(driver.UnloadRoutine), Is.EqualTo("KmdfRobot!FxDriverUnload"), "displaced: it unbinds after the framework's own");
        Assert.That(driver.StartIo, Is.Zero);
        Assert.That(_bench.Machine.Viewer.TryFindDriver("KmdfRobot", out DriverObject? found, out string? problem), Is.True, problem);
        string[] listing = _bench.Machine.Viewer.ShowDriver(found!.Address.Value, DriverListingParts.Dispatch)!.ToString().Split('\n');
        Assert.That(listing.Where(line => line.StartsWith('[')), Has.Exactly(NtLayout.MajorFunctions).Contains("Wdf01000!FxDevice::DispatchWithLock"));
    }

    [Test]
    public void The_stack_has_three_levels_and_the_framework_s_device_is_one_of_them()
    {
        Assert.That(Node.Stack.Select(l => (l.Driver, l.StackSize)), Is.EqualTo(new[] { ("AfterThought", 3), ("KmdfRobot", 2), ("pci", 1) }));
        Assert.That(_bench.Driver.Devices, Is.EqualTo(new[] { Node.Stack[1].Device }));
        Assert.That(_bench.Machine.Viewer.ShowStack(Node.Pdo)!.ToFigure(), Is.EqualTo("""
            Filter DO  AfterThought.sys
            FDO        (KmdfRobot.sys, Wdf01000.sys)
            PDO        pci.sys

            """));
    }

    [Test]
    public void A_command_moves_the_robot_through_mailbox_interrupt_and_dpc()
    {
        Start();
        BenchFile file = Node.Open();
        byte[] info = file.Control(KmdfBench.GetInfo, outputLength: KmdfBench.InfoSize).Output;
        Assert.That(KmdfBench.Field(info, 8), Is.EqualTo(interrupts == InterruptGrant.Messages ? 4 : 0), "messages connected");
        BenchRequest drive = KmdfBench.Command(file, KmdfBench.Drive, 120, 200, tag: 77);
        Assert.That(drive.Returned, Is.EqualTo(NtStatus.Pending));
        Assert.That(drive.Visited, Is.EqualTo(Node.Stack.Take(2).Select(l => l.Device)), "through the filter");
        Assert.That(drive.Wait(), Is.True);
        Assert.That((drive.Status, drive.Information), Is.EqualTo((Success, (ulong)KmdfBench.CompletionSize)));
        int[] completion = [.. Enumerable.Range(0, 4).Select(i => KmdfBench.Field(drive.Output, i))];
        Assert.That(completion, Is.EqualTo(new[] { 77, (int)KmdfBench.Drive, 1, 120 }), "tag, opcode, RobotOk, distance");
        byte[] state = file.Read(KmdfBench.StateSize).Output;
        Assert.That((KmdfBench.Field(state, 1), KmdfBench.Field(state, 2)), Is.EqualTo((120, 120)), "odometers");
        byte[] statistics = file.Control(KmdfBench.GetStatistics, outputLength: KmdfBench.StatisticsSize).Output;
        Assert.That(KmdfBench.Field(statistics, 3), Is.EqualTo(1), "commands");
        Assert.That(_bench.Machine.InterruptsDelivered, Is.EqualTo(KmdfBench.Field(statistics, 0) + KmdfBench.Field(statistics, 1)));
        Assert.That(_bench.Machine.DpcsDelivered, Is.EqualTo(KmdfBench.Field(statistics, 2)).And.Positive);
        file.Close();
        End();
    }

    [Test]
    public void What_the_driver_holds_ends_when_the_device_sleeps_and_what_comes_then_waits()
    {
        Start();
        BenchFile file = Node.Open();
        BenchRequest held = KmdfBench.Command(file, KmdfBench.Drive, 500, 100), next = KmdfBench.Command(file, KmdfBench.Drive, 20, 100);
        _bench.Machine.Advance(10_000_000);
        _bench.TakeEvents();
        Sleep();
        // The robot's stop ends with an interrupt.
        Assert.That(_bench.TakeEvents(),
            Is.EqualTo((string[])["EvtIoStop (IOCTL 0x22e008)", .. Interrupted, .. Disabled, "EvtDeviceD0Exit (to WdfPowerDeviceD3)"]));
        Assert.That((held.Status, next.IsCompleted), Is.EqualTo((NtStatus.Cancelled, false)));
        BenchRequest waiting = file.Read(KmdfBench.StateSize), cancelled = file.Read(KmdfBench.StateSize);
        Assert.That((waiting.Returned, waiting.IsCompleted), Is.EqualTo((NtStatus.Pending, false)));
        Assert.That(cancelled.Cancel(), Is.True, "the queue lets it go");
        Assert.That(cancelled.Status, Is.EqualTo(NtStatus.Cancelled));
        Assert.That(_bench.TakeEvents(), Is.Empty);
        Wake();
        Assert.That(waiting.Wait(), Is.True);
        Assert.That((waiting.Status, waiting.Information), Is.EqualTo((Success, (ulong)KmdfBench.StateSize)));
        Assert.That(_bench.TakeEvents(),
            Is.EqualTo((string[])["EvtDeviceD0Entry (from WdfPowerDeviceD3)", .. Enabled, "EvtIoRead", "EvtIoDeviceControl (IOCTL 0x22e008)"]));
        Assert.That(next.Wait(), Is.True);
        Assert.That((next.Status, KmdfBench.Field(next.Output, 3)), Is.EqualTo((Success, 20)), "its turn came after the sleep");
        file.Close();
        End();
    }

    [Test]
    public void A_program_runs_command_by_command_and_those_of_several_writers_one_after_the_other()
    {
        Start();
        BenchFile file = Node.Open(), other = Node.Open();
        byte[] program = KmdfBench.Program((KmdfBench.Drive, 40, 100), (KmdfBench.Wait, 20, 0), (KmdfBench.Drive, 30, 100));
        BenchRequest first = file.Write(program), second = other.Write(program), command = KmdfBench.Command(file, KmdfBench.Drive, 5, 100);
        Assert.That(first.Wait(), Is.True);
        Assert.That((first.Status, first.Information, second.IsCompleted), Is.EqualTo((Success, (ulong)program.Length, false)));
        Assert.That(second.Wait() && command.Wait(), Is.True);
        Assert.That((second.Status, second.Information, command.Status), Is.EqualTo((Success, (ulong)program.Length, Success)));
        byte[] state = file.Read(KmdfBench.StateSize).Output;
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
        _bench.Machine.Advance(1_000_000_000);
        Assert.That((file.Control(KmdfBench.Stop).Status, stopped.Status, stopped.Information), Is.EqualTo((Success, Success, 16ul)));
        Assert.That(file.Write(KmdfBench.Program((99, 0, 0))).Status, Is.EqualTo(NtStatus.InvalidParameter), "no such command");
        Assert.That(file.Write([1, 2, 3]).Status, Is.EqualTo(NtStatus.InvalidParameter), "no whole command");
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
        _bench.Machine.Advance(100_000_000);
        _bench.TakeEvents();
        Assert.That(waiting.Cancel(), Is.True);
        Assert.That((waiting.Status, running.IsCompleted), Is.EqualTo((NtStatus.Cancelled, false)));
        Assert.That(_bench.TakeEvents(), Is.Empty, "the queue's own affair");
        Assert.That(running.Cancel(), Is.True);
        Assert.That(running.Status, Is.EqualTo(NtStatus.Cancelled));
        Assert.That(_bench.TakeEvents()[0], Is.EqualTo("EvtRequestCancel (write)"));
        Assert.That(last.Wait(), Is.True);
        Assert.That((last.Status, KmdfBench.Field(last.Output, 3)), Is.EqualTo((Success, 25)));
        byte[] statistics = file.Control(KmdfBench.GetStatistics, outputLength: KmdfBench.StatisticsSize).Output;
        Assert.That(KmdfBench.Field(statistics, 5), Is.EqualTo(1), "cancelled by the driver");
        file.Close();
        End();
    }

    [Test]
    public void At_a_shutdown_the_device_goes_down_for_good()
    {
        Start();
        _bench.TakeEvents();
        // S5.
        Assert.That(Node.SetSystemPower(6), Is.EqualTo(Success));
        Assert.That(_bench.TakeEvents(), Is.EqualTo(PowerDown));
    }

    [Test]
    public void A_device_left_behind_is_found()
    {
        Start();
        _bench.Unload();
        Assert.That(_bench.Machine.Findings.Select(f => f.Text), Has.Some.Contains("KmdfRobot leaves its device object in the stack")
            .And.Some.Contains("KmdfRobot is unloaded and leaves the device object"));
    }

    [Test]
    public void A_file_that_closes_takes_along_what_still_waits_in_the_queue()
    {
        Start();
        BenchFile file = Node.Open();
        Sleep();
        BenchRequest waiting = file.Read(KmdfBench.StateSize);
        file.Close();
        Assert.That(waiting.Status, Is.EqualTo(NtStatus.Cancelled));
        Wake();
        End();
    }

    [Test]
    public void A_stop_holds_requests_for_the_next_start()
    {
        Start();
        BenchFile file = Node.Open();
        Assert.That((Node.QueryStop(), Node.Stop()), Is.EqualTo((Success, Success)));
        BenchRequest waiting = file.Read(KmdfBench.StateSize);
        Assert.That(waiting.IsCompleted, Is.False);
        Start();
        Assert.That(waiting.Status, Is.EqualTo(Success));
        file.Close();
        End();
    }

    [Test]
    public void Stop_and_removal_can_be_asked_for_and_cancelled()
    {
        Start();
        _bench.TakeEvents();
        Assert.That((Node.QueryStop(), Node.CancelStop()), Is.EqualTo((Success, Success)));
        Assert.That((Node.QueryRemove(), Node.CancelRemove()), Is.EqualTo((Success, Success)));
        Assert.That(_bench.TakeEvents(), Is.EqualTo((string[])[Left, .. Started, Left, .. Started]));
        End();
    }

    [Test]
    public void A_surprise_removal_ends_all_and_the_framework_still_takes_the_driver_down()
    {
        Start();
        BenchFile file = Node.Open();
        BenchRequest held = KmdfBench.Command(file, KmdfBench.Drive, 500, 100);
        _bench.Machine.Advance(10_000_000);
        _bench.TakeEvents();
        Assert.That(Node.SurpriseRemove(), Is.EqualTo(Success));
        Assert.That(_bench.TakeEvents(), Is.EqualTo((string[])[Left, "EvtIoStop (IOCTL 0x22e008)", .. PowerDown, "EvtDeviceReleaseHardware"]));
        Assert.That(held.Status, Is.EqualTo(NtStatus.Cancelled));
        Assert.That(file.Read(KmdfBench.StateSize).Status, Is.EqualTo(NtStatus.InvalidDeviceState), "the queue is shut");
        file.Close();
        Assert.That(Node.Remove(), Is.EqualTo(Success));
        Assert.That(_bench.TakeEvents(), Is.Empty);
        Unload();
    }

    [Test]
    public void What_a_lost_robot_reads_as_is_told_to_nobody()
    {
        Start();
        BenchFile file = Node.Open();
        _bench.Machine.Faults.LoseDevice(Node, 1);
        BenchRequest[] asked =
        [
            file.Read(KmdfBench.StateSize), file.Control(KmdfBench.GetState, outputLength: KmdfBench.StateSize),
            file.Control(KmdfBench.GetInfo, outputLength: 72),
        ];
        Assert.That(asked.Select(r => (r.Status, r.Information)), Is.All.EqualTo((NtStatus.DeviceNotConnected, 0ul)));
        Assert.That(Node.SurpriseRemove(), Is.EqualTo(Success));
        file.Close();
        Assert.That(Node.Remove(), Is.EqualTo(Success));
        Unload();
    }

    [Test]
    public void A_device_that_never_started_can_go()
    {
        Assert.That((Node.QueryRemove(), Node.Remove()), Is.EqualTo((Success, Success)));
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtDriverDeviceAdd" }));
        Unload();
    }

    [Test]
    public void When_the_robot_does_not_power_up_its_hardware_is_released_and_the_start_fails()
    {
        // EvtDevicePrepareHardware reads one register, EvtDeviceD0Entry writes one and reads it back.
        _bench.Machine.Faults.LoseDevice(Node, 2);
        _bench.TakeEvents();
        Assert.That(Node.Start(), Is.EqualTo(NtStatus.DevicePowerFailure));
        Assert.That(_bench.Machine.Framework.Events.Select(e => (e.Name, e.Status)), Is.EqualTo(new (string, uint?)[]
        {
            ("EvtDevicePrepareHardware", Success), ("EvtDeviceD0Entry", NtStatus.DeviceNotReady), ("EvtDeviceReleaseHardware", Success),
        }));
        Assert.That(Node.Remove(), Is.EqualTo(Success));
        Unload();
    }

    [Test]
    public void When_the_hardware_is_not_the_robot_s_the_start_fails_with_the_driver_s_status()
    {
        _bench.Machine.Faults.LoseDevice(Node, 1);
        _bench.TakeEvents();
        Assert.That(Node.Start(), Is.EqualTo(NtStatus.NoSuchDevice));
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtDevicePrepareHardware", "EvtDeviceReleaseHardware" }));
        Assert.That(Node.Remove(), Is.EqualTo(Success));
        Unload();
    }

    [Test]
    public void When_it_does_not_wake_the_framework_takes_it_down_and_tells_NT()
    {
        Start();
        Sleep();
        _bench.TakeEvents();
        _bench.Machine.Faults.LoseDevice(Node, 1);
        Wake();
        _bench.Machine.Advance(1_000_000);
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtDeviceD0Entry (from WdfPowerDeviceD3)", Left, "EvtDeviceReleaseHardware" }));
        Assert.That(Node.PnpState, Is.EqualTo(4), "PNP_DEVICE_FAILED");
        Assert.That((Node.SurpriseRemove(), Node.Remove()), Is.EqualTo((Success, Success)));
        Unload();
    }

    // Parameters: which of the two, and SYSTEM_POWER_STATE or DEVICE_POWER_STATE.
    [TestCase(Irp.SetPower, 0u, 4u)]
    [TestCase(Irp.SetPower, 0u, 1u)]
    [TestCase(Irp.QueryPower, 0u, 4u)]
    [TestCase(Irp.QueryPower, 1u, 4u)]
    public void The_framework_lets_the_next_power_request_come_once(byte minor, uint type, uint state)
    {
        Start();
        BenchRequest request = Node.Send(Irp.Power, minor, 0, type, state);
        Assert.That(request.Wait(), Is.True);
        Assert.That(request.Status, Is.EqualTo(Success));
        Assert.That(request.Visited, Is.EqualTo(Node.Stack.Select(l => l.Device)));
        Assert.That(request.NextPowerStarted.Count(d => d == Node.Stack[1].Device), Is.EqualTo(1));
        Wake();
        End();
    }

    [Test]
    public void A_device_power_request_that_the_framework_did_not_send_is_its_bug_check()
    {
        Start();
        Assert.That(() => Node.SetDevicePower(4), Throws.TypeOf<BugCheckException>().With.Message.Contains("WDF_VIOLATION 0x10d (13, PowerMultiplePpo)"));
    }

    private void Start() => Assert.That(Node.Start(), Is.EqualTo(Success), () => string.Join('\n', _bench.Machine.Printed));

    private void Sleep() => Assert.That(Node.SetSystemPower(4), Is.EqualTo(Success));

    /// <summary>NT does not wait for the device.</summary>
    private void Wake()
    {
        Assert.That(Node.SetSystemPower(1), Is.EqualTo(Success));
        _bench.Machine.Advance(1);
    }

    private static void Drive(BenchFile file, int distance)
    {
        BenchRequest drive = KmdfBench.Command(file, KmdfBench.Drive, distance, 100);
        Assert.That(drive.Wait(), Is.True, "the command ends");
        Assert.That((drive.Status, KmdfBench.Field(drive.Output, 3)), Is.EqualTo((Success, distance)));
    }

    private string Name(ulong address) => _bench.Machine.Symbols.Describe(address);

    private void End()
    {
        Assert.That((Node.QueryRemove(), Node.Remove()), Is.EqualTo((Success, Success)));
        Unload();
    }

    private void Unload()
    {
        _bench.Unload();
        Assert.That(_bench.Machine.Findings, Is.Empty);
        Assert.That(_bench.Machine.Drivers, Is.Empty);
    }
}
