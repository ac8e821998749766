using System.Reflection.PortableExecutable;
using System.Text;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Wdf;

/// <summary>What the framework does for drivers beyond what KmdfRobot asks of it: Programs/framework.c, which breaks no rule here.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class FrameworkTests(Machine architecture)
{
    private const uint Success = NtStatus.Success;

    private FrameworkBench _bench = null!;

    private DeviceNode Node => _bench.Node;

    [SetUp]
    public void Plug() => _bench = new FrameworkBench(architecture);

    [Test]
    public void The_device_goes_through_the_framework_s_PnP_states()
    {
        Assert.That(_bench.TakeStates(), Is.EqualTo(new[] { "Init" }));
        Start();
        Assert.That(_bench.TakeStates(), Is.EqualTo(new[] { "InitStarting", "HardwareAvailable", "EnableInterfaces", "Started" }));
        Assert.That((Node.QueryStop(), Node.CancelStop()), Is.EqualTo((Success, Success)));
        Assert.That(_bench.TakeStates(),
            Is.EqualTo(new[] { "QueryStopStaticCheck", "QueryStopAskDriver", "QueryStopEnsureDeviceAwake", "QueryStopPending", "QueryCanceled", "Started" }));
        Assert.That((Node.QueryStop(), Node.Stop()), Is.EqualTo((Success, Success)));
        Start();
        Assert.That(_bench.TakeStates(), Is.EqualTo(new[]
        {
            "QueryStopStaticCheck", "QueryStopAskDriver", "QueryStopEnsureDeviceAwake", "QueryStopPending", "StartedStopping", "Stopped",
            "StoppedWaitForStartCompletion", "StartingFromStopped", "Restarting", "Started",
        }));
        Assert.That((Node.QueryRemove(), Node.Remove()), Is.EqualTo((Success, Success)));
        Assert.That(_bench.TakeStates(), Is.EqualTo(new[]
        {
            "QueryRemoveStaticCheck", "QueryRemoveAskDriver", "QueryRemoveEnsureDeviceAwake", "QueryRemovePending", "QueriedRemoving",
            "RemovingDisableInterfaces", "Removed", "RemovedChildrenRemoved", "FdoRemoved", "Final",
        }));
    }

    [Test]
    public void A_surprise_removal_goes_through_the_failed_states()
    {
        Start();
        _bench.TakeStates();
        Assert.That(Node.SurpriseRemove(), Is.EqualTo(Success));
        Assert.That(_bench.TakeStates(), Is.EqualTo(new[]
        {
            "SurpriseRemoveIoStarted", "FailedIoStarting", "FailedOwnHardware", "Failed", "FailedPowerPolicyRemoved", "FailedWaitForRemove",
        }));
        Assert.That(Node.Remove(), Is.EqualTo(Success));
        Assert.That(_bench.TakeStates(), Is.EqualTo(new[] { "Removed", "RemovedChildrenRemoved", "FdoRemoved", "Final" }));
    }

    [Test]
    public void All_PnP_and_power_callbacks_come_in_the_documented_order()
    {
        _bench.TakeEvents();
        Start();
        Assert.That(_bench.TakeEvents(),
            Is.EqualTo(new[] { "EvtDevicePrepareHardware", "EvtDeviceD0Entry", "EvtDeviceD0EntryPostInterruptsEnabled", "EvtDeviceSelfManagedIoInit" }));
        Assert.That(Node.SetSystemPower(4), Is.EqualTo(Success));
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtDeviceSelfManagedIoSuspend", "EvtDeviceD0ExitPreInterruptsDisabled", "EvtDeviceD0Exit" }));
        Assert.That(Node.SetSystemPower(1), Is.EqualTo(Success));
        _bench.Machine.Advance(1);
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtDeviceD0Entry", "EvtDeviceD0EntryPostInterruptsEnabled", "EvtDeviceSelfManagedIoRestart" }));
        Assert.That((Node.QueryStop(), Node.CancelStop(), Node.QueryRemove(), Node.CancelRemove()), Is.EqualTo((Success, Success, Success, Success)));
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtDeviceQueryStop", "EvtDeviceQueryRemove" }));
        Assert.That(Node.SurpriseRemove(), Is.EqualTo(Success));
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[]
        {
            "EvtDeviceSurpriseRemoval", "EvtDeviceSelfManagedIoSuspend", "EvtDeviceD0ExitPreInterruptsDisabled", "EvtDeviceD0Exit",
            "EvtDeviceReleaseHardware", "EvtDeviceSelfManagedIoFlush",
        }));
        End("EvtDeviceSelfManagedIoCleanup", "EvtDriverUnload");
    }

    [Test]
    public void Cleanup_goes_from_the_leaves_to_the_root_and_then_destruction_does()
    {
        BenchFile file = Open();
        BenchRequest log = FrameworkBench.Control(file, 3, outputLength: 32);
        Assert.That(Encoding.ASCII.GetString(log.Output), Is.EqualTo("bdcaBDCA"));
        Close(file);
    }

    [Test]
    public void A_sequential_queue_gives_the_driver_one_request_at_a_time()
    {
        BenchFile file = Open();
        BenchRequest first = file.Write([1]), second = file.Write([2]);
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtIoWrite" }));
        Assert.That(FrameworkBench.Control(file, 2).Status, Is.EqualTo(Success));
        Assert.That((first.Status, first.Information, second.IsCompleted), Is.EqualTo((Success, 1ul, false)));
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtIoDeviceControl", "EvtIoWrite" }));
        Assert.That(FrameworkBench.Control(file, 2).Status, Is.EqualTo(Success));
        Assert.That(second.Status, Is.EqualTo(Success));
        Close(file);
    }

    [Test]
    public void A_manual_queue_keeps_requests_until_the_driver_asks()
    {
        BenchFile file = Open();
        BenchRequest first = file.Read(4), cancelled = file.Read(4), last = file.Read(4);
        Assert.That(_bench.TakeEvents(), Is.Empty);
        Assert.That(cancelled.Cancel(), Is.True);
        Assert.That(cancelled.Status, Is.EqualTo(NtStatus.Cancelled));
        Assert.That(FrameworkBench.Control(file, 1).Status, Is.EqualTo(Success));
        Assert.That((first.Status, first.Output, last.IsCompleted), Is.EqualTo((Success, new byte[] { 42 }, false)));
        Assert.That(FrameworkBench.Control(file, 1).Status, Is.EqualTo(Success));
        Assert.That(FrameworkBench.Control(file, 1).Status, Is.EqualTo(0x8000_001A), "STATUS_NO_MORE_ENTRIES");
        Close(file);
    }

    [Test]
    public void A_request_the_driver_marked_can_be_cancelled_while_it_has_it()
    {
        BenchFile file = Open();
        BenchRequest kept = file.Write([1]), next = file.Write([2]);
        _bench.TakeEvents();
        Assert.That(kept.Cancel(), Is.True);
        Assert.That(kept.Status, Is.EqualTo(NtStatus.Cancelled));
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtRequestCancel", "EvtIoWrite" }));
        Assert.That(FrameworkBench.Control(file, 2).Status, Is.EqualTo(Success));
        Assert.That(next.Status, Is.EqualTo(Success));
        Close(file);
    }

    [Test]
    public void A_request_the_driver_acknowledges_survives_sleep_and_ends_at_the_removal()
    {
        BenchFile file = Open();
        BenchRequest kept = file.Write([1]);
        _bench.TakeEvents();
        Assert.That(Node.SetSystemPower(4), Is.EqualTo(Success));
        Assert.That(_bench.TakeEvents()[..2], Is.EqualTo(new[] { "EvtDeviceSelfManagedIoSuspend", "EvtIoStop" }));
        Assert.That(Node.SetSystemPower(1), Is.EqualTo(Success));
        _bench.Machine.Advance(1);
        Assert.That(_bench.TakeEvents(),
            Is.EqualTo(new[] { "EvtDeviceD0Entry", "EvtDeviceD0EntryPostInterruptsEnabled", "EvtIoResume", "EvtDeviceSelfManagedIoRestart" }));
        Assert.That(kept.IsCompleted, Is.False);
        file.Close();
        Assert.That(kept.IsCompleted, Is.False, "a driver's own requests are not the queue's to end");
        Assert.That(Node.SurpriseRemove(), Is.EqualTo(Success));
        Assert.That(kept.Status, Is.EqualTo(NtStatus.Cancelled));
        _bench.TakeEvents();
        End("EvtDeviceSelfManagedIoCleanup", "EvtDriverUnload");
    }

    [Test]
    public void A_queue_that_is_not_power_managed_goes_on_while_the_device_sleeps()
    {
        BenchFile file = Open();
        BenchRequest read = file.Read(4);
        Assert.That(Node.SetSystemPower(4), Is.EqualTo(Success));
        BenchRequest take = FrameworkBench.Control(file, 1);
        Assert.That((take.IsCompleted, read.IsCompleted), Is.EqualTo((false, false)), "the one that asks waits in the default queue");
        Assert.That(read.Cancel(), Is.True, "but what waits in the manual queue can go");
        Assert.That(Node.SetSystemPower(1), Is.EqualTo(Success));
        Assert.That(take.Wait(), Is.True);
        Close(file);
    }

    [Test]
    public void Interrupts_and_spin_locks_guard_at_their_IRQL()
    {
        BenchFile file = Open();
        BenchRequest levels = FrameworkBench.Control(file, 4, outputLength: 2);
        Assert.That((levels.Status, levels.Output), Is.EqualTo((Success, new byte[] { 8, 2 })));
        Close(file);
    }

    [Test]
    public void What_can_be_asked_of_objects_is_answered()
    {
        BenchFile file = Open();
        file.Read(4);
        BenchRequest check = FrameworkBench.Control(file, 6, outputLength: 4);
        Assert.That(BitConverter.ToInt32(check.Output), Is.Zero, "the line of framework-functions.c that does not hold");
        Close(file);
    }

    [Test]
    public void A_stopped_queue_takes_requests_and_keeps_them()
    {
        BenchFile file = Open();
        BenchRequest first = file.Write([1]);
        FrameworkBench.Control(file, 10);
        BenchRequest second = file.Write([2]);
        _bench.TakeEvents();
        FrameworkBench.Control(file, 2);
        Assert.That((first.Status, second.IsCompleted), Is.EqualTo((Success, false)));
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtIoDeviceControl", "EvtIoQueueState" }), "stopped when the driver had none any more");
        FrameworkBench.Control(file, 11);
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtIoDeviceControl", "EvtIoWrite" }));
        FrameworkBench.Control(file, 2);
        Assert.That(second.Status, Is.EqualTo(Success));
        Close(file);
    }

    [Test]
    public void A_drained_queue_takes_no_more_and_gives_out_what_it_has()
    {
        BenchFile file = Open();
        BenchRequest first = file.Write([1]), second = file.Write([2]);
        FrameworkBench.Control(file, 12);
        Assert.That(file.Write([3]).Status, Is.EqualTo(NtStatus.InvalidDeviceState));
        _bench.TakeEvents();
        FrameworkBench.Control(file, 2);
        FrameworkBench.Control(file, 2);
        Assert.That((first.Status, second.Status), Is.EqualTo((Success, Success)));
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtIoDeviceControl", "EvtIoWrite", "EvtIoDeviceControl", "EvtIoQueueState" }));
        Close(file);
    }

    [Test]
    public void A_purged_queue_cancels_what_it_has_and_what_the_driver_marked()
    {
        BenchFile file = Open();
        BenchRequest first = file.Write([1]), second = file.Write([2]);
        _bench.TakeEvents();
        FrameworkBench.Control(file, 13);
        Assert.That((first.Status, second.Status), Is.EqualTo((NtStatus.Cancelled, NtStatus.Cancelled)));
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtIoDeviceControl", "EvtRequestCancel", "EvtIoQueueState" }));
        FrameworkBench.Control(file, 11);
        Assert.That(file.Write([3]).IsCompleted, Is.False, "started again");
        FrameworkBench.Control(file, 2);
        Close(file);
    }

    [Test]
    public void A_manual_queue_tells_when_it_is_no_longer_empty()
    {
        BenchFile file = Open();
        FrameworkBench.Control(file, 14);
        _bench.TakeEvents();
        file.Read(4);
        file.Read(4);
        _bench.Machine.Advance(0);
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtIoQueueState" }), "for the first");
        Close(file);
    }

    [Test]
    public void A_device_that_cannot_be_stopped_refuses_without_asking_the_driver()
    {
        BenchFile file = Open();
        FrameworkBench.Control(file, 15);
        _bench.TakeStates();
        Assert.That(Node.QueryStop(), Is.EqualTo(NtStatus.InvalidDeviceState));
        Assert.That(_bench.TakeStates(), Is.EqualTo(new[] { "QueryStopStaticCheck", "Started" }));
        FrameworkBench.Control(file, 16);
        Assert.That((Node.QueryStop(), Node.CancelStop()), Is.EqualTo((Success, Success)));
        Close(file);
    }

    [Test]
    public void A_driver_may_refuse_to_stop()
    {
        BenchFile file = Open();
        FrameworkBench.Fault(file, 100);
        _bench.TakeStates();
        Assert.That(Node.QueryStop(), Is.EqualTo(NtStatus.DeviceBusy));
        Assert.That(_bench.TakeStates(), Is.EqualTo(new[] { "QueryStopStaticCheck", "QueryStopAskDriver", "Started" }));
        Close(file);
    }

    [Test]
    public void When_the_device_does_not_power_down_for_sleep_it_fails_and_the_system_sleeps_on()
    {
        BenchFile file = Open();
        FrameworkBench.Fault(file, 102);
        _bench.TakeStates();
        Assert.That(Node.SetSystemPower(4), Is.EqualTo(Success));
        _bench.Machine.Advance(1);
        Assert.That(_bench.TakeStates(),
            Is.EqualTo(new[] { "FailedPowerDown", "FailedOwnHardware", "Failed", "FailedPowerPolicyRemoved", "FailedWaitForRemove" }));
        Assert.That(Node.PnpState, Is.EqualTo(4), "PNP_DEVICE_FAILED");
        Close(file);
    }

    [Test]
    public void When_the_device_does_not_power_up_after_a_stop_the_start_fails()
    {
        BenchFile file = Open();
        FrameworkBench.Fault(file, 101);
        Assert.That((Node.QueryStop(), Node.Stop()), Is.EqualTo((Success, Success)));
        _bench.TakeStates();
        Assert.That(Node.Start(), Is.EqualTo(NtStatus.DevicePowerFailure));
        Assert.That(_bench.TakeStates(), Is.EqualTo(new[]
        {
            "StoppedWaitForStartCompletion", "StartingFromStopped", "Restarting", "HardwareAvailablePowerPolicyFailed", "FailedOwnHardware", "Failed",
            "FailedPowerPolicyRemoved", "FailedWaitForRemove",
        }));
        Close(file);
    }

    [Test]
    public void A_driver_built_for_an_older_framework_gets_a_copy_of_the_table_and_runs()
    {
        _bench = new FrameworkBench(architecture, variant: 8);
        BenchFile file = Open();
        Assert.That(FrameworkBench.Control(file, 4, outputLength: 2).Output, Is.EqualTo(new byte[] { 8, 2 }));
        Close(file);
    }

    [TestCase(0, 2, 0)]
    [TestCase(10, 1, 2)]
    [TestCase(11, 1, 0)]
    public void Callbacks_come_inside_each_other_unless_the_driver_wants_them_one_by_one(int variant, int depth, int irql)
    {
        _bench = new FrameworkBench(architecture, variant);
        BenchFile file = Open();
        BenchRequest[] writes = [file.Write([1]), file.Write([2])];
        // What ends the first write lets the second come, in the middle of a callback.
        FrameworkBench.Control(file, 2);
        _bench.Machine.Advance(0);
        Assert.That(FrameworkBench.Control(file, 5, outputLength: 2).Output, Is.EqualTo(new[] { (byte)depth, (byte)irql }));
        FrameworkBench.Control(file, 2);
        Assert.That(writes.Select(w => w.Status), Is.All.EqualTo(Success));
        Close(file);
    }

    [Test]
    public void A_filter_passes_everything_on_and_goes_along_with_power()
    {
        var bench = new KmdfBench(architecture, InterruptGrant.Messages, filter: machine => FrameworkBench.Load(machine, variant: 9));
        Assert.That(bench.Node.Stack.Select(l => (l.Driver, l.StackSize)),
            Is.EqualTo(new[] { ($"framework-{architecture}-9", 3), ("KmdfRobot", 2), ("pci", 1) }));
        Assert.That(bench.Node.Start(), Is.EqualTo(Success));
        BenchFile file = bench.Node.Open();
        BenchRequest read = file.Control(KmdfBench.GetState, outputLength: KmdfBench.StateSize);
        Assert.That((read.Status, read.Information), Is.EqualTo((Success, (ulong)KmdfBench.StateSize)));
        Assert.That(read.Visited, Is.EqualTo(bench.Node.Stack.Take(2).Select(l => l.Device)));
        bench.TakeEvents();
        Assert.That(bench.Node.SetSystemPower(4), Is.EqualTo(Success));
        string filter = bench.Filter.Name;
        Assert.That(bench.Machine.Framework.Events.Where(e => e.Name == "EvtDeviceD0Exit").Select(e => e.Driver), Is.EqualTo(new[] { filter, "KmdfRobot" }));
        bench.TakeEvents();
        Assert.That(bench.Node.SetSystemPower(1), Is.EqualTo(Success));
        bench.Machine.Advance(1);
        Assert.That(bench.Machine.Framework.Events.Where(e => e.Name == "EvtDeviceD0Entry").Select(e => e.Driver), Is.EqualTo(new[] { "KmdfRobot", filter }));
        file.Close();
        Assert.That((bench.Node.QueryRemove(), bench.Node.Remove()), Is.EqualTo((Success, Success)));
        bench.Unload();
        Assert.That(bench.Machine.Findings, Is.Empty);
        Assert.That(bench.Machine.Drivers, Is.Empty);
    }

    private void Start() => Assert.That(Node.Start(), Is.EqualTo(Success));

    private BenchFile Open()
    {
        Start();
        BenchFile file = Node.Open();
        _bench.TakeEvents();
        return file;
    }

    private void Close(BenchFile file)
    {
        file.Close();
        _bench.End();
        Assert.That(_bench.Machine.Findings, Is.Empty);
    }

    private void End(params string[] events)
    {
        _bench.End();
        Assert.That(_bench.TakeEvents(), Is.EqualTo(events));
        Assert.That(_bench.Machine.Findings, Is.Empty);
    }
}
