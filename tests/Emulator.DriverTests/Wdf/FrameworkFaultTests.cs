using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Wdf;

/// <summary>What Programs/framework.c does wrong is found, each by the check meant for it, and said in a clear line.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class FrameworkFaultTests(Machine architecture)
{
    [TestCase(1, "InvalidHandle): WdfRequestCompleteWithInformation for a WDFREQUEST with 0x", "a WDFREQUEST that is completed already")]
    [TestCase(3, "InvalidHandle): WdfRequestCompleteWithInformation for a WDFREQUEST with 0x", "which is a WDFQUEUE")]
    [TestCase(4, "InvalidHandle): WdfRequestCompleteWithInformation for a WDFREQUEST with NULL", "")]
    [TestCase(5, "InvalidHandle): WdfRequestCompleteWithInformation for a WDFREQUEST with 0x12345678, which is no handle", "")]
    [TestCase(7, "past the end of context STATE of the WDFDEVICE", "")]
    [TestCase(8, "freed context LETTER of the WDFOBJECT", "")]
    [TestCase(9, "RecursiveLock): WdfSpinLockAcquire of the WDFSPINLOCK", "which is held")]
    [TestCase(11, "InvalidLockOperation): WdfSpinLockRelease of the WDFSPINLOCK", "which is not held")]
    [TestCase(13, "calls WdfDmaTransactionCreate (index 98), which the bench's framework lacks", "")]
    [TestCase(14, "ObjectError): WdfObjectDelete of the WDFQUEUE", "which only the framework deletes")]
    [TestCase(15, "RequestFatalError): WdfRequestCompleteWithInformation of the WDFREQUEST", "with 4096 bytes, for which it has 4")]
    [TestCase(16, "PageFault", "")]
    [TestCase(17, "WdfObjectDelete with 0x", "which is not the driver's WDF_DRIVER_GLOBALS")]
    [TestCase(20, "RequestFatalError): WdfRequestCompleteWithInformation of the WDFREQUEST", "which the driver has given back to a queue")]
    [TestCase(25, "wants DMA by the system's controller, which the bench's framework lacks", "")]
    [TestCase(21, "InvalidHandle): WdfObjectGetTypedContextWorker for a WDFOBJECT with NULL", "")]
    public void What_is_the_framework_s_bug_check_ends_the_machine_with_the_place(int fault, string text, string more)
    {
        var bench = new FrameworkBench(architecture);
        BenchFile file = Open(bench);
        BugCheckException? crash = Assert.Throws<BugCheckException>(() => FrameworkBench.Fault(file, fault));
        Assert.That(crash!.Message, Does.Contain(text).And.Contain(more).And.Not.Contain("\n"));
        Assert.That(crash.Finding.Function, Does.StartWith($"framework-{architecture}-0!"));
        Assert.That(bench.Machine.Findings, Is.EqualTo(new[] { crash.Finding }));
    }

    [TestCase(6, Rule.Framework, "WdfIoQueueCreate with a WDF_IO_QUEUE_CONFIG of Size 0x4")]
    [TestCase(22, Rule.Framework, "WdfObjectCreate with a WDF_OBJECT_ATTRIBUTES of Size 0x4")]
    [TestCase(23, Rule.Framework, "WdfDmaEnablerCreate with a WDF_DMA_ENABLER_CONFIG of Size 0x4")]
    public void A_structure_of_another_size_gives_its_status_and_is_a_finding(int fault, Rule rule, string text)
    {
        var bench = new FrameworkBench(architecture);
        Assert.That(FrameworkBench.Fault(Open(bench), fault).Status, Is.EqualTo(NtStatus.InfoLengthMismatch));
        Assert.That(bench.Machine.Findings.Select(f => f.Rule), Is.EqualTo(new[] { rule }));
        Assert.That(bench.Machine.Findings[0].Text, Does.StartWith(text));
    }

    [TestCase(10, Rule.SpinLock, "spin locks held")]
    [TestCase(12, Rule.Irql, "imp_WdfDeviceCreateDeviceInterface called at IRQL 2, which allows at most 0")]
    [TestCase(24, Rule.Framework, "WdfDmaEnablerCreate with AddressWidthOverride 40, WdmDmaVersionOverride 0, Flags 0x0 and profile Packet")]
    [TestCase(19, Rule.Framework, "without WdfRequestUnmarkCancelable before it")]
    public void A_broken_rule_is_found_where_it_is_broken(int fault, Rule rule, string text)
    {
        var bench = new FrameworkBench(architecture);
        FrameworkBench.Fault(Open(bench), fault);
        Assert.That(bench.Machine.Findings, Has.Some.Matches<Finding>(f => f!.Rule == rule && f.Text.Contains(text)));
        Assert.That(bench.Machine.Findings[0].Function, Does.StartWith($"framework-{architecture}-0!"));
        Assert.That(bench.Machine.Findings.Select(f => f.Rule).Distinct(), Is.SubsetOf(new[] { rule, Rule.Irql }));
    }

    [Test]
    public void A_request_never_completed_is_found_when_the_device_goes_and_ended_for_the_driver()
    {
        var bench = new FrameworkBench(architecture);
        BenchFile file = Open(bench);
        BenchRequest held = FrameworkBench.Fault(file, 2);
        file.Close();
        bench.End();
        Assert.That(held.Status, Is.EqualTo(NtStatus.Cancelled));
        Assert.That(bench.Machine.Findings.Select(f => f.Rule), Is.EqualTo(new[] { Rule.IrpCompletion }));
        Assert.That(bench.Machine.Findings[0].Text, Does.StartWith("the device powers down while it has the WDFREQUEST 0x")
            .And.EndWith($"(IOCTL 0x222000), which framework-{architecture}-0 neither completes nor acknowledges"));
    }

    [Test]
    public void An_object_with_a_reference_too_many_is_found_at_the_unloading()
    {
        var bench = new FrameworkBench(architecture);
        FrameworkBench.Fault(Open(bench), 18);
        bench.End();
        Assert.That(bench.Machine.Findings.Select(f => f.Rule), Is.EqualTo(new[] { Rule.Leak }));
        Assert.That(bench.Machine.Findings[0].Text, Does.Contain("is unloaded and leaves the WDFOBJECT 0x"));
    }

    [Test]
    public void A_callback_that_returns_pending_is_found()
    {
        var bench = new FrameworkBench(architecture);
        FrameworkBench.Fault(Open(bench), 103);
        bench.End();
        Assert.That(bench.Machine.Findings.Select(f => f.Text), Is.EqualTo(new[] { "EvtDeviceReleaseHardware returned 0x00000103, which it may not" }));
    }

    [TestCase(1, NtStatus.InvalidParameter, "it was built for 1.99, and this is 1.33")]
    [TestCase(2, NtStatus.InvalidParameter, "its WDF_BIND_INFO has 0x")]
    [TestCase(3, NtStatus.InvalidParameter, "no version has 445 functions")]
    [TestCase(4, NtStatus.ObjectNameNotFound, "there is no UmdfLibrary 1, but KmdfLibrary 1")]
    public void A_driver_that_fits_no_framework_is_not_bound_and_the_bench_says_why(int variant, uint status, string why)
    {
        var machine = new BenchMachine(architecture);
        Assert.That(() => FrameworkBench.Load(machine, variant), Throws.TypeOf<DriverStatusException>().With.Property("Status").EqualTo(status));
        Assert.That(machine.Printed, Has.Count.EqualTo(1));
        Assert.That(machine.Printed[0], Does.StartWith($"WDFLDR: framework-{architecture}-{variant} is not bound to its framework: {why}"));
        Assert.That(machine.Findings, Is.Empty);
        Assert.That(machine.Drivers, Is.Empty);
    }

    [Test]
    public void A_driver_whose_configuration_is_not_known_is_not_loaded()
        => Assert.That(() => FrameworkBench.Load(new BenchMachine(architecture), variant: 5),
            Throws.TypeOf<DriverStatusException>().With.Property("Status").EqualTo(NtStatus.InfoLengthMismatch));

    [Test]
    public void A_class_extension_is_none_that_the_bench_has()
        => Assert.That(() => FrameworkBench.Load(new BenchMachine(architecture), variant: 7),
            Throws.TypeOf<DriverStatusException>().With.Property("Status").EqualTo(NtStatus.ObjectNameNotFound));

    [Test]
    public void A_driver_that_does_not_unbind_is_found()
    {
        var bench = new FrameworkBench(architecture, variant: 6);
        bench.End();
        Assert.That(bench.Machine.Findings.Select(f => f.Text), Is.EqualTo(new[] { $"framework-{architecture}-6 is unloaded without WdfVersionUnbind" }));
    }

    private static BenchFile Open(FrameworkBench bench)
    {
        Assert.That(bench.Node.Start(), Is.EqualTo(NtStatus.Success));
        return bench.Node.Open();
    }
}
