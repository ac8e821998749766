using System.Reflection.PortableExecutable;
using DeviceModels.Robot.Proseware;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pe;
using Emulator.DriverBench.Pnp;
using Emulator.DriverTests.Native;

namespace Emulator.DriverTests.Pnp;

/// <summary>Each wrong of Programs/faulty*.c is found by the check meant for it, and by no other.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class FaultyDriverTests(Machine architecture)
{
    private const string Memory = "faulty", Requests = "faultyrequests", Resources = "faultyresources";
    private BenchMachine _machine = null!;
    private LoadedDriver _driver = null!;
    private DeviceNode _node = null!;

    [TestCase(Memory)]
    [TestCase(Requests)]
    [TestCase(Resources)]
    public void What_is_right_gives_no_finding(string program)
    {
        Start(program);
        Control(0);
        End();
        Assert.That(_machine.Findings, Is.Empty);
    }

    [TestCase(Memory, 6, Rule.SpinLock, "was not held")]
    [TestCase(Memory, 7, Rule.Irql, "paged pool asked for at IRQL 2")]
    [TestCase(Memory, 8, Rule.Pool, "pool 'Test' at 0x")]
    [TestCase(Memory, 9, Rule.Pool, "written past its 13 bytes")]
    [TestCase(Memory, 13, Rule.RemoveLock, "for which it was not acquired")]
    [TestCase(Memory, 17, Rule.Irql, "a wait at IRQL 2")]
    [TestCase(Memory, 19, Rule.Pool, "an allocation of 0 bytes")]
    [TestCase(Memory, 20, Rule.Pool, "freed, which is no pool")]
    [TestCase(Memory, 21, Rule.Irql, "paged pool freed at IRQL 2")]
    [TestCase(Memory, 22, Rule.Irql, "pageable memory is needed at IRQL 2: pool 'Test', 16 bytes+0x")]
    [TestCase(Memory, 23, Rule.Irql, "pageable memory is needed at IRQL 2: faulty", "Pageable")]
    [TestCase(Memory, 31, Rule.CallingConvention, "did not preserve IF")]
    [TestCase(Memory, 32, Rule.CallingConvention, "did not preserve ", "Clobber")]
    [TestCase(Memory, 33, Rule.CallingConvention, "returned with the stack pointer off by ", "Unbalance")]
    [TestCase(Memory, 41, Rule.Leak, "pool goes while its timer is set")]
    [TestCase(Memory, 43, Rule.Handle, "ZwClose of 0x4444, which is no open handle")]
    [TestCase(Memory, 44, Rule.Mutex, "is released by a thread that does not own it")]
    [TestCase(Memory, 46, Rule.Irql, "a spin lock for DISPATCH_LEVEL is taken at IRQL 0")]
    [TestCase(Memory, 49, Rule.Pool, "an MDL is mapped whose pages are not locked")]
    [TestCase(Requests, 2, Rule.IrpCompletion, "is not completed")]
    [TestCase(Requests, 17, Rule.IrpCompletion, "ends without a completion routine that keeps it")]
    [TestCase(Requests, 3, Rule.IrpCompletion, "returned STATUS_PENDING without IoMarkIrpPending")]
    [TestCase(Requests, 4, Rule.IrpCompletion, "returned 0x00000000 after IoMarkIrpPending")]
    [TestCase(Requests, 5, Rule.IrpCompletion, "returned 0x00000000, and the IRP's status is 0xc0000001")]
    [TestCase(Requests, 6, Rule.IrpCompletion, "completed with STATUS_PENDING")]
    [TestCase(Requests, 7, Rule.IrpCompletion, "completed with its cancel routine set")]
    [TestCase(Requests, 9, Rule.IrpCompletion, "with nothing in the next stack location")]
    [TestCase(Requests, 20, Rule.Irql, "IoCreateDevice called at IRQL 2, which allows at most 1")]
    [TestCase(Requests, 23, Rule.Leak, "deleted while attached to a stack")]
    [TestCase(Requests, 25, Rule.Leak, "the device goes while its DPC is queued")]
    [TestCase(Resources, 1, Rule.Pool, "MmMapIoSpace of 0x1000 bytes at 0x7fff0000, where no device is")]
    [TestCase(Resources, 2, Rule.Pool, "which is not mapped")]
    [TestCase(Resources, 3, Rule.Pool, "MmUnmapIoSpace of 0x1000 bytes, of which 0x4000 were mapped")]
    [TestCase(Resources, 7, Rule.Pool, "which is none")]
    [TestCase(Resources, 8, Rule.Pool, "with another address or length than it was allocated with")]
    [TestCase(Resources, 9, Rule.Pool, "FreeCommonBuffer of 0x")]
    [TestCase(Resources, 13, Rule.Interrupt, "which is no connected interrupt")]
    [TestCase(Resources, 15, Rule.Interrupt, "interrupt storm: 1234:5057 interrupted 1000 times in a row, claimed 1000 times", "Claim")]
    public void A_broken_rule_is_found_where_it_is_broken(string program, int fault, Rule rule, string text, string function = "")
    {
        Start(program);
        Control(fault);
        Assert.That(_machine.Findings.Select(f => f.Rule), Is.EqualTo(new[] { rule }), () => string.Join('\n', _machine.Findings));
        Finding finding = _machine.Findings[0];
        Assert.That(finding.Text, Does.Contain(text));
        if (function.Length > 0) Assert.That(finding.Function, Does.StartWith(InDriver(function)));
        else Assert.That(finding.Function, Does.StartWith(InDriver("Control")).Or.StartWith(InDriver("Serve")));
    }

    [Test]
    public void A_lock_kept_and_the_irql_with_it_are_found_at_the_return()
    {
        Start(Memory);
        Control(4);
        Assert.That(_machine.Findings.Select(f => f.Rule), Is.EquivalentTo(new[] { Rule.Irql, Rule.SpinLock }));
        Assert.That(_machine.Findings.Select(f => f.Function), Is.All.EqualTo(InDriver("Control")));
    }

    [TestCase(Memory, 18, "IRQL lowered from 2 to 3")]
    [TestCase(Requests, 26, "IoDeleteDevice called at IRQL 2, which allows at most 1")]
    [TestCase(Requests, 26, "the device goes while its spin lock is held")]
    public void A_wrong_that_brings_others_along_is_among_them(string program, int fault, string text)
    {
        Start(program);
        Control(fault);
        Assert.That(_machine.Findings.Select(f => f.Text), Has.Some.Contains(text));
    }

    [TestCase(Memory, 5, "is taken twice")]
    [TestCase(Memory, 10, "past the end of pool 'Test', 16 bytes")]
    [TestCase(Memory, 11, "freed pool 'Test'")]
    [TestCase(Memory, 15, "a wait that nothing ends")]
    [TestCase(Memory, 24, "no remove lock at 0x")]
    [TestCase(Memory, 25, "the removal waits for a remove lock that is held 1 times")]
    [TestCase(Memory, 26, "the end of the kernel stack")]
    [TestCase(Memory, 27, "write")]
    [TestCase(Memory, 28, "code fetch at 0x")]
    [TestCase(Memory, 29, "4-byte read at 0x8")]
    [TestCase(Memory, 30, "KeBugCheckEx 0xe2 (0x1, 0x2, 0x3, 0x4)")]
    [TestCase(Memory, 45, "is taken twice by one thread")]
    [TestCase(Memory, 47, "KeReleaseSemaphore beyond its limit")]
    [TestCase(Memory, 51, "4-byte read at 0x401000")]
    [TestCase(Memory, 52, "a comparison of 0x7fffffff bytes")]
    [TestCase(Memory, 53, "no room for: system buffer")]
    [TestCase(Memory, 54, "to itself")]
    [TestCase(Memory, 55, "has no end")]
    [TestCase(Memory, 56, "has no end")]
    [TestCase(Requests, 1, "completed already")]
    [TestCase(Requests, 8, "freed IRP")]
    [TestCase(Requests, 11, "NO_MORE_IRP_STACK_LOCATIONS")]
    [TestCase(Requests, 14, "which is no IRP")]
    [TestCase(Requests, 15, "an IRP with major function 28")]
    [TestCase(Requests, 21, "IoDeleteDevice of 0x")]
    [TestCase(Requests, 22, "which is no device object")]
    [TestCase(Requests, 24, "to which nothing is attached")]
    public void What_would_crash_nt_ends_the_machine_with_the_place(string program, int fault, string text)
    {
        Start(program);
        BugCheckException? crash = Assert.Throws<BugCheckException>(() => Control(fault));
        Assert.That(crash!.Message, Does.Contain(text));
        Assert.That(crash.Finding.Function, Does.StartWith($"{_driver.Name}!"));
        Assert.That(_machine.Findings, Is.EqualTo(new[] { crash.Finding }));
    }

    [TestCase(Memory, 12, Rule.Leak, "leaves pool 'Test', 16 bytes")]
    [TestCase(Memory, 14, Rule.RemoveLock, "the device goes while its remove lock is held 1 times")]
    [TestCase(Memory, 40, Rule.Leak, "is unloaded with a timer set")]
    [TestCase(Memory, 42, Rule.Leak, "is unloaded with its thread running")]
    [TestCase(Memory, 48, Rule.Leak, "leaves the MDL 0x")]
    [TestCase(Memory, 50, Rule.Leak, "the device goes while it has a work item")]
    [TestCase(Requests, 16, Rule.Leak, "which it made")]
    [TestCase(Resources, 18, Rule.Leak, "is unloaded with its thread running")]
    [TestCase(Requests, 12, Rule.Leak, "which it saw, has not ended")]
    [TestCase(Resources, 4, Rule.Leak, "the device is removed with BAR 0 of 1234:5057 mapped at 0x")]
    [TestCase(Resources, 5, Rule.Leak, "the device is removed with its DMA adapter 0x")]
    [TestCase(Resources, 6, Rule.Leak, "the device is removed with the common buffer at 0x")]
    [TestCase(Resources, 10, Rule.Leak, @"leaves the symbolic link \??\Faulty")]
    [TestCase(Resources, 11, Rule.Leak, @"the device is removed with its interface \??\PCI#VEN_1234&DEV_5057#")]
    [TestCase(Resources, 12, Rule.Leak, "the device goes while its interrupt is connected")]
    public void What_is_left_behind_is_found_at_the_end(string program, int fault, Rule rule, string text)
    {
        Start(program);
        Control(fault);
        Assert.That(_machine.Findings, Is.Empty);
        End();
        Assert.That(_machine.Findings.Select(f => f.Rule), Is.EqualTo(new[] { rule }), () => string.Join('\n', _machine.Findings));
        Assert.That(_machine.Findings[0].Text, Does.Contain(text));
    }

    [Test]
    public void A_dpc_queued_at_the_unloading_is_found()
    {
        Start(Resources);
        Control(14);
        End();
        Assert.That(_machine.Findings.Select(f => f.Text), Is.EqualTo(new[] { "did not preserve IF", $"{_driver.Name} is unloaded with a DPC queued" }));
    }

    [Test]
    public void Dma_into_memory_that_was_freed_is_found()
    {
        Start(Resources);
        Control(16);
        _machine.Advance(100_000_000);
        Assert.That(_machine.Findings.Select(f => f.Rule), Is.EqualTo(new[] { Rule.Dma }), () => string.Join('\n', _machine.Findings));
        Assert.That(_machine.Findings[0].Text, Does.StartWith("1234:5057 reaches for "));
    }

    [Test]
    public void A_register_needed_in_d3_is_found()
    {
        Start(Resources);
        Control(17);
        Assert.That(_machine.Findings, Is.Empty, "in D0");
        Assert.That(_node.SetDevicePower(4), Is.EqualTo(NtStatus.Success));
        Control(17);
        Assert.That(_machine.Findings.Select(f => f.Rule), Is.EqualTo(new[] { Rule.Power }));
        Assert.That(_machine.Findings[0].Function, Does.StartWith(InDriver("Control")));
        Assert.That(_machine.Findings[0].Text, Is.EqualTo("the registers of 1234:5057 are needed in D3"));
    }

    [Test]
    public void A_completion_routine_copied_on_is_found()
    {
        // The upper of two devices of the driver does it right, the lower one wrong.
        Start(Requests, levels: 2);
        Control(10);
        Assert.That(_machine.Findings, Has.Count.EqualTo(1));
        Assert.That(_machine.Findings[0].Text, Does.Contain("its own completion routine copied"));
    }

    [Test]
    public void A_cancel_routine_that_keeps_the_irql_is_found()
    {
        Start(Requests);
        BenchRequest request = Control(13);
        Assert.That(request.Cancel(), Is.True);
        Assert.That(request.Status, Is.EqualTo(NtStatus.Cancelled));
        Assert.That(_machine.Findings.Select(f => f.Text),
            Is.EqualTo(new[] { "the cancel lock released to IRQL 2, taken at 0", "returned at IRQL 2, not at 0" }));
    }

    [Test]
    public void A_device_left_behind_is_found()
    {
        Start(Memory);
        _node.Unplug();
        _machine.Unload(_driver);
        Assert.That(_machine.Findings.Select(f => f.Text),
            Has.Some.Contains("leaves its device object in the stack").And.Some.Contains("leaves the device object"));
    }

    private void Start(string program, int levels = 1)
    {
        string path = Targets.BuildDriver(architecture, program);
        PeImage image = PeImage.Open(path);
        _machine = new BenchMachine(architecture);
        _driver = _machine.Load(image, LinkerMap.Parse(File.ReadAllText(Path.ChangeExtension(path, ".map")), image));
        _node = _machine.Plug(slot => new ProsewareRobot(slot), InterruptGrant.Line);
        for (int i = 0; i < levels; i++) _node.AddDevice(_driver);
        Assert.That(_node.Start(), Is.EqualTo(NtStatus.Success));
    }

    private BenchRequest Control(int fault)
    {
        BenchFile file = _node.Open();
        return file.Control(0x0022_2000, BitConverter.GetBytes(fault), 4);
    }

    private string InDriver(string function) => $"{_driver.Name}!{function}";

    private void End()
    {
        Assert.That(_node.Remove(), Is.EqualTo(NtStatus.Success));
        _node.Unplug();
        _machine.Unload(_driver);
    }
}
