using System.Reflection.PortableExecutable;
using System.Text;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Wdf;

/// <summary>The framework's DMA enablers and common buffers, as Programs/framework-dma.c uses them.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class FrameworkDmaTests(Machine architecture)
{
    private const uint Success = NtStatus.Success;
    private const int Dma = 12;

    private static readonly string[] Up = ["EvtDmaEnablerFill", "EvtDmaEnablerEnable", "EvtDmaEnablerSelfManagedIoStart"];
    private static readonly string[] Down = ["EvtDmaEnablerSelfManagedIoStop", "EvtDmaEnablerDisable", "EvtDmaEnablerFlush"];

    [TestCase(0)]
    [TestCase(8)]
    public void Enablers_and_buffers_answer_and_go_the_buffer_before_its_enabler(int variant)
    {
        var bench = new FrameworkBench(architecture, variant);
        Assert.That(bench.Node.Start(), Is.EqualTo(Success));
        BenchFile file = bench.Node.Open();
        byte[] said = FrameworkBench.Control(file, 7, outputLength: 32).Output;
        Assert.That(BitConverter.ToInt32(said), Is.Zero, "the line of framework-dma.c that does not hold");
        Assert.That(Encoding.ASCII.GetString(said.AsSpan(4)), Is.EqualTo("beBE"), "cleaned up and destroyed");
        file.Close();
        bench.End();
        Assert.That(bench.Machine.Findings, Is.Empty);
    }

    [Test]
    public void Its_callbacks_come_while_interrupts_are_connected()
    {
        var bench = new FrameworkBench(architecture, Dma);
        bench.TakeEvents();
        Assert.That(bench.Node.Start(), Is.EqualTo(Success));
        Assert.That(bench.TakeEvents(), Is.EqualTo((string[])
            ["EvtDevicePrepareHardware", "EvtDeviceD0Entry", "EvtDeviceD0EntryPostInterruptsEnabled", .. Up, "EvtDeviceSelfManagedIoInit"]));
        Assert.That(bench.Node.SetSystemPower(4), Is.EqualTo(Success));
        Assert.That(bench.TakeEvents(),
            Is.EqualTo((string[])["EvtDeviceSelfManagedIoSuspend", .. Down, "EvtDeviceD0ExitPreInterruptsDisabled", "EvtDeviceD0Exit"]));
        Assert.That(bench.Node.SetSystemPower(1), Is.EqualTo(Success));
        bench.Machine.Advance(1);
        Assert.That(bench.TakeEvents(),
            Is.EqualTo((string[])["EvtDeviceD0Entry", "EvtDeviceD0EntryPostInterruptsEnabled", .. Up, "EvtDeviceSelfManagedIoRestart"]));
        bench.End();
        Assert.That(bench.Machine.Findings, Is.Empty);
    }

    // One of them fails: what was done is undone, what was not is not.
    [TestCase(104, 1, 1)]
    [TestCase(105, 2, 2)]
    public void When_one_fails_the_device_does_not_come_up(int fault, int called, int undone)
    {
        var bench = new FrameworkBench(architecture, Dma);
        Assert.That(bench.Node.Start(), Is.EqualTo(Success));
        BenchFile file = bench.Node.Open();
        FrameworkBench.Fault(file, fault);
        Assert.That((bench.Node.QueryStop(), bench.Node.Stop()), Is.EqualTo((Success, Success)));
        bench.TakeEvents();
        Assert.That(bench.Node.Start(), Is.EqualTo(NtStatus.DevicePowerFailure));
        Assert.That(bench.TakeEvents()[..(7 + called + undone - 1)], Is.EqualTo((string[])
        [
            "EvtDevicePrepareHardware", "EvtDeviceD0Entry", "EvtDeviceD0EntryPostInterruptsEnabled", .. Up[..called], .. Down[..undone],
            "EvtDeviceD0ExitPreInterruptsDisabled", "EvtDeviceD0Exit", "EvtDeviceReleaseHardware",
        ]));
        file.Close();
        bench.End();
        Assert.That(bench.Machine.Findings, Is.Empty);
    }
}
