using System.Reflection.PortableExecutable;
using DeviceModels.Robot.Proseware;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pe;
using Emulator.DriverBench.Pnp;
using Emulator.DriverTests.Native;

namespace Emulator.DriverTests.Pnp;

/// <summary>Each wrong of Programs/faulty.c is found by the check meant for it, and by no other.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class FaultyDriverTests(Machine architecture)
{
    private BenchMachine _machine = null!;
    private LoadedDriver _driver = null!;
    private DeviceNode _node = null!;

    [SetUp]
    public void Start()
    {
        string target = architecture == Machine.Amd64 ? "x86_64-w64-mingw32" : "i686-w64-mingw32";
        string[] flags = architecture == Machine.Amd64 ? ["-D_AMD64_", "-DAMD64"] : ["-D_X86_", "-mno-sse", "-mno-mmx"];
        string path = Targets.BuildDriver(Targets.CompilerFor(architecture), architecture, "faulty.c", $"faulty-{architecture}", "-O2",
            [.. flags, "-D_WIN32_WINNT=0x0601", "-DNTDDI_VERSION=0x06010000", "-Wno-multichar",
             "-isystem", $"/usr/{target}/include/ddk", "-lntoskrnl", "-lhal"]);
        PeImage image = PeImage.Open(path);
        _machine = new BenchMachine(architecture);
        _driver = _machine.Load(image, LinkerMap.Parse(File.ReadAllText(Path.ChangeExtension(path, ".map")), image));
        _node = _machine.Plug(slot => new ProsewareRobot(slot), InterruptGrant.Line);
        _node.AddDevice(_driver);
        Assert.That(_node.Start(), Is.EqualTo(NtStatus.Success));
    }

    [Test]
    public void What_is_right_gives_no_finding()
    {
        Control(0);
        End();
        Assert.That(_machine.Findings, Is.Empty);
    }

    [TestCase(2, Rule.IrpCompletion, "is not completed")]
    [TestCase(3, Rule.IrpCompletion, "without IoMarkIrpPending")]
    [TestCase(6, Rule.SpinLock, "was not held")]
    [TestCase(7, Rule.Irql, "paged pool asked for at IRQL 2")]
    [TestCase(8, Rule.Pool, "pool 'Test' at 0x")]
    [TestCase(9, Rule.Pool, "written past its 13 bytes")]
    [TestCase(13, Rule.RemoveLock, "for which it was not acquired")]
    public void A_broken_rule_is_found_where_it_is_broken(int fault, Rule rule, string text)
    {
        Control(fault);
        Assert.That(_machine.Findings, Has.Count.EqualTo(1));
        Finding finding = _machine.Findings[0];
        Assert.That(finding.Rule, Is.EqualTo(rule));
        Assert.That(finding.Text, Does.Contain(text));
        Assert.That(finding.Function, Does.StartWith($"faulty-{architecture}!Control"));
    }

    [Test]
    public void A_lock_kept_and_the_irql_with_it_are_found_at_the_return()
    {
        Control(4);
        Assert.That(_machine.Findings.Select(f => f.Rule), Is.EquivalentTo(new[] { Rule.Irql, Rule.SpinLock }));
        Assert.That(_machine.Findings.Select(f => f.Function), Is.All.EqualTo($"faulty-{architecture}!Control"));
    }

    [TestCase(1, "completed already")]
    [TestCase(5, "is taken twice")]
    [TestCase(10, "past the end of pool 'Test', 16 bytes")]
    [TestCase(11, "freed pool 'Test'")]
    [TestCase(15, "a wait that nothing ends")]
    [TestCase(16, "freed IRP")]
    public void What_would_crash_nt_ends_the_machine_with_the_place(int fault, string text)
    {
        BugCheckException? crash = Assert.Throws<BugCheckException>(() => Control(fault));
        Assert.That(crash!.Message, Does.Contain(text));
        Assert.That(crash.Finding.Function, Does.StartWith($"faulty-{architecture}!Control"));
        Assert.That(_machine.Findings, Is.EqualTo(new[] { crash.Finding }));
    }

    [Test]
    public void Pool_never_freed_is_found_at_the_unloading()
    {
        Control(12);
        Assert.That(_machine.Findings, Is.Empty);
        End();
        Assert.That(_machine.Findings.Select(f => f.Rule), Is.EqualTo(new[] { Rule.Leak }));
        Assert.That(_machine.Findings[0].Text, Does.Contain("leaves pool 'Test', 16 bytes"));
    }

    [Test]
    public void A_remove_lock_never_released_is_found_when_the_device_goes()
    {
        Control(14);
        Assert.That(_machine.Findings, Is.Empty);
        End();
        Assert.That(_machine.Findings.Select(f => f.Rule), Is.EqualTo(new[] { Rule.RemoveLock }));
    }

    [Test]
    public void A_device_left_behind_is_found()
    {
        _node.Unplug();
        _machine.Unload(_driver);
        Assert.That(_machine.Findings.Select(f => f.Text),
            Has.Some.Contains("leaves its device object in the stack").And.Some.Contains("leaves the device object"));
    }

    private void Control(int fault)
    {
        BenchFile file = _node.Open();
        file.Control(0x0022_2000, BitConverter.GetBytes(fault), 4);
    }

    private void End()
    {
        Assert.That(_node.Remove(), Is.EqualTo(NtStatus.Success));
        _node.Unplug();
        _machine.Unload(_driver);
    }
}
