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
internal sealed class KmdfRobotTests(Machine architecture, InterruptGrant interrupts) : KmdfFixture(architecture, interrupts)
{
    [Test]
    public void KmdfRobot_all_dispatch_entries_in_Wdf01000_the_named_events_called_in_order()
    {
        LoadedDriver driver = Bench.Driver;
        for (int i = 0; i < NtLayout.MajorFunctions; i++)
        {
            Assert.That(Name(driver.MajorFunction(i)), Is.EqualTo("Wdf01000!FxDevice::DispatchWithLock"), $"major function {i}");
        }
        Assert.That(Bench.TakeEvents(), Is.EqualTo(new[] { "EvtDriverDeviceAdd" }));
        Start();
        Assert.That(Bench.TakeEvents(), Is.EqualTo((string[])["EvtDevicePrepareHardware", .. PowerUp, .. Started]));
        BenchFile file = Node.Open();
        BenchRequest read = file.Read(KmdfBench.EventSize);
        Drive(file, 50);
        Assert.That(State(file).Status, Is.EqualTo(Success));
        Assert.That(Bench.TakeEvents(), Is.EqualTo((string[])["EvtIoRead", .. Presented, .. Interrupted, "EvtIoDeviceControl (IOCTL 0x226004)"]));
        Assert.That(KmdfBench.Field(KmdfBench.Command(file, KmdfBench.Unknown, 0, 0).Output, 2), Is.EqualTo(KmdfBench.Invalid));
        Assert.That((read.Returned, read.Status), Is.EqualTo((NtStatus.Pending, Success)), "it waited for the event that the robot stopped");
        file.Close();
        // Mailbox and ring are stopped, which is one interrupt or two.
        Assert.That(Bench.TakeEvents().Distinct(), Is.EqualTo((string[])[Presented[0], .. Interrupted]));
        Sleep();
        Assert.That(Bench.TakeEvents(), Is.EqualTo((string[])[.. Disabled, "EvtDeviceD0Exit (to WdfPowerDeviceD3)"]));
        Wake();
        Assert.That(Bench.TakeEvents(), Is.EqualTo((string[])["EvtDeviceD0Entry (from WdfPowerDeviceD3)", .. Enabled]));
        Assert.That((Node.QueryStop(), Node.Stop()), Is.EqualTo((Success, Success)));
        Assert.That(Bench.TakeEvents(), Is.EqualTo((string[])[Left, .. PowerDown, "EvtDeviceReleaseHardware"]));
        Start();
        Assert.That(Bench.TakeEvents(), Is.EqualTo((string[])["EvtDevicePrepareHardware", .. PowerUp, .. Started]));
        Assert.That((Node.QueryRemove(), Node.Remove()), Is.EqualTo((Success, Success)));
        Assert.That(Bench.TakeEvents(), Is.EqualTo((string[])[Left, .. PowerDown, "EvtDeviceReleaseHardware"]));
        Bench.Unload();
        Assert.That(Bench.TakeEvents(), Is.Empty, "it has no EvtDriverUnload");
        Assert.That(Bench.Machine.Findings, Is.Empty);
        Assert.That(Bench.Machine.Drivers, Is.Empty);
    }

    [Test]
    public void The_rest_of_the_driver_object_is_the_framework_s_but_entry_and_unload()
    {
        LoadedDriver driver = Bench.Driver;
        Assert.That(Name(driver.DriverInit), Is.EqualTo("KmdfRobot!FxDriverEntry"));
        Assert.That(Name(driver.AddDevice), Is.EqualTo("Wdf01000!FxDriver::AddDevice"));
        Assert.That(Name(driver.UnloadRoutine), Is.EqualTo("KmdfRobot!FxDriverUnload"), "displaced: it unbinds after the framework's own");
        Assert.That(driver.StartIo, Is.Zero);
        Assert.That(Bench.Machine.Viewer.TryFindDriver("KmdfRobot", out DriverObject? found, out string? problem), Is.True, problem);
        string[] listing = Bench.Machine.Viewer.ShowDriver(found!.Address.Value, DriverListingParts.Dispatch)!.ToString().Split('\n');
        Assert.That(listing.Where(line => line.StartsWith('[')), Has.Exactly(NtLayout.MajorFunctions).Contains("Wdf01000!FxDevice::DispatchWithLock"));
    }

    [Test]
    public void The_stack_has_three_levels_and_the_framework_s_device_is_one_of_them()
    {
        Assert.That(Node.Stack.Select(l => (l.Driver, l.StackSize)), Is.EqualTo(new[] { ("AfterThought", 3), ("KmdfRobot", 2), ("pci", 1) }));
        Assert.That(Bench.Driver.Devices, Is.EqualTo(new[] { Node.Stack[1].Device }));
        Assert.That(Bench.Machine.Viewer.ShowStack(Node.Pdo)!.ToFigure(), Is.EqualTo("""
            Filter DO  AfterThought.sys
            FDO        (KmdfRobot.sys, Wdf01000.sys)
            PDO        pci.sys

            """));
    }

    [Test]
    public void At_a_shutdown_the_device_goes_down_for_good()
    {
        Start();
        Bench.TakeEvents();
        // S5.
        Assert.That(Node.SetSystemPower(6), Is.EqualTo(Success));
        Assert.That(Bench.TakeEvents(), Is.EqualTo(PowerDown));
    }

    [Test]
    public void A_device_left_behind_is_found()
    {
        Start();
        Bench.Unload();
        Assert.That(Bench.Machine.Findings.Select(f => f.Text), Has.Some.Contains("KmdfRobot leaves its device object in the stack")
            .And.Some.Contains("KmdfRobot is unloaded and leaves the device object"));
    }

    [Test]
    public void Stop_and_removal_can_be_asked_for_and_cancelled()
    {
        Start();
        Bench.TakeEvents();
        Assert.That((Node.QueryStop(), Node.CancelStop()), Is.EqualTo((Success, Success)));
        Assert.That((Node.QueryRemove(), Node.CancelRemove()), Is.EqualTo((Success, Success)));
        Assert.That(Bench.TakeEvents(), Is.EqualTo((string[])[Left, .. Started, Left, .. Started]));
        End();
    }

    [Test]
    public void A_device_that_never_started_can_go()
    {
        Assert.That((Node.QueryRemove(), Node.Remove()), Is.EqualTo((Success, Success)));
        Assert.That(Bench.TakeEvents(), Is.EqualTo(new[] { "EvtDriverDeviceAdd" }));
        Unload();
    }

    [Test]
    public void When_the_robot_does_not_power_up_its_hardware_is_released_and_the_start_fails()
    {
        // EvtDevicePrepareHardware reads one register, EvtDeviceD0Entry writes one and reads it back.
        Bench.Machine.Faults.LoseDevice(Node, 2);
        Bench.TakeEvents();
        Assert.That(Node.Start(), Is.EqualTo(NtStatus.DevicePowerFailure));
        Assert.That(Bench.Machine.Framework.Events.Select(e => (e.Name, e.Status)), Is.EqualTo(new (string, uint?)[]
        {
            ("EvtDevicePrepareHardware", Success), ("EvtDeviceD0Entry", NtStatus.DeviceNotReady), ("EvtDeviceReleaseHardware", Success),
        }));
        Assert.That(Node.Remove(), Is.EqualTo(Success));
        Unload();
    }

    [Test]
    public void When_the_hardware_is_not_the_robot_s_the_start_fails_with_the_driver_s_status()
    {
        Bench.Machine.Faults.LoseDevice(Node, 1);
        Bench.TakeEvents();
        Assert.That(Node.Start(), Is.EqualTo(NtStatus.NoSuchDevice));
        Assert.That(Bench.TakeEvents(), Is.EqualTo(new[] { "EvtDevicePrepareHardware", "EvtDeviceReleaseHardware" }));
        Assert.That(Node.Remove(), Is.EqualTo(Success));
        Unload();
    }

    [Test]
    public void When_it_does_not_wake_the_framework_takes_it_down_and_tells_NT()
    {
        Start();
        Sleep();
        Bench.TakeEvents();
        Bench.Machine.Faults.LoseDevice(Node, 1);
        Wake();
        Bench.Machine.Advance(1_000_000);
        Assert.That(Bench.TakeEvents(), Is.EqualTo(new[] { "EvtDeviceD0Entry (from WdfPowerDeviceD3)", Left, "EvtDeviceReleaseHardware" }));
        Assert.That(Node.PnpState, Is.EqualTo(4), "PNP_DEVICE_FAILED");
        Assert.That((Node.SurpriseRemove(), Node.Remove()), Is.EqualTo((Success, Success)));
        Assert.That(Bench.TakeEvents(), Is.EqualTo(new[] { "EvtDeviceSurpriseRemoval" }));
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
}
