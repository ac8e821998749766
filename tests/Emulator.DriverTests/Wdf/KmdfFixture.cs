using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Wdf;

/// <summary>KmdfRobot.sys as it is, on the C# model and the bench's framework, with each kind of interrupt.</summary>
internal abstract class KmdfFixture(Machine architecture, InterruptGrant interrupts)
{
    protected const uint Success = NtStatus.Success;

    protected KmdfBench Bench { get; private set; } = null!;

    protected DeviceNode Node => Bench.Node;

    /// <summary>One for each interrupt object that has a resource.</summary>
    protected string[] Interrupts => interrupts == InterruptGrant.Messages ? ["message 0", "message 1", "message 2", "message 3"] : ["line"];

    protected string[] Enabled => [.. Interrupts.Select(i => $"EvtInterruptEnable ({i})")];
    protected string[] Disabled => [.. Interrupts.Reverse().Select(i => $"EvtInterruptDisable ({i})")];

    /// <summary>By the default queue, and in its turn.</summary>
    protected static string[] Presented => ["EvtIoDeviceControl (IOCTL 0x22e008)", "EvtIoDeviceControl (IOCTL 0x22e008)"];

    protected string[] Interrupted => [$"EvtInterruptIsr ({Interrupts[0]})", $"EvtInterruptDpc ({Interrupts[0]})"];

    protected string[] PowerUp => ["EvtDeviceD0Entry (from WdfPowerDeviceD3Final)", .. Enabled];
    protected string[] PowerDown => [.. Disabled, "EvtDeviceD0Exit (to WdfPowerDeviceD3Final)"];

    protected static string[] Started
        => ["EvtDevicePnpStateChangeNotification (enter WdfDevStatePnpStarted)", "EvtDevicePnpStateChangeNotification (processed WdfDevStatePnpStarted)"];

    protected const string Left = "EvtDevicePnpStateChangeNotification (leave WdfDevStatePnpStarted)";

    [SetUp]
    public void Plug() => Bench = new KmdfBench(architecture, interrupts);

    protected void Start() => Assert.That(Node.Start(), Is.EqualTo(Success), () => string.Join('\n', Bench.Machine.Printed));

    protected void Sleep() => Assert.That(Node.SetSystemPower(4), Is.EqualTo(Success));

    /// <summary>NT does not wait for the device.</summary>
    protected void Wake()
    {
        Assert.That(Node.SetSystemPower(1), Is.EqualTo(Success));
        Bench.Machine.Advance(1);
    }

    protected static void Drive(BenchFile file, int distance)
    {
        BenchRequest drive = KmdfBench.Command(file, KmdfBench.Drive, distance, 100);
        Assert.That(drive.Wait(), Is.True, "the command ends");
        Assert.That((drive.Status, KmdfBench.Field(drive.Output, 3)), Is.EqualTo((Success, distance)));
    }

    protected static BenchRequest State(BenchFile file) => file.Control(KmdfBench.GetState, outputLength: KmdfBench.StateSize);

    protected string Name(ulong address) => Bench.Machine.Symbols.Describe(address);

    protected void End()
    {
        Assert.That((Node.QueryRemove(), Node.Remove()), Is.EqualTo((Success, Success)));
        Unload();
    }

    protected void Unload()
    {
        Bench.Unload();
        Assert.That(Bench.Machine.Findings, Is.Empty);
        Assert.That(Bench.Machine.Drivers, Is.Empty);
    }
}
