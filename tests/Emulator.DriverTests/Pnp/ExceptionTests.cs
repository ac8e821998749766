using System.Reflection.PortableExecutable;
using DeviceModels.Robot.Proseware;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pe;
using Emulator.DriverBench.Pnp;
using Emulator.DriverTests.Native;

namespace Emulator.DriverTests.Pnp;

/// <summary>__try, __except and __finally of drivers: Programs/handlers.c says at which of its lines an answer was wrong.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class ExceptionTests(Machine architecture)
{
    private BenchMachine _machine = null!;
    private LoadedDriver _driver = null!;
    private DeviceNode _node = null!;
    private BenchFile _file = null!;

    [TestCase(1, TestName = "Access_violations_are_handled_and_told_of")]
    [TestCase(2, TestName = "Unwinding_runs_termination_handlers_and_brings_registers_back")]
    [TestCase(3, TestName = "Filters_may_refuse_and_may_go_on")]
    [TestCase(4, TestName = "Faults_of_arithmetic_and_of_instructions_are_handled")]
    [TestCase(5, TestName = "What_a_driver_raises_is_handled")]
    [TestCase(6, TestName = "Probes_raise_for_addresses_that_are_no_programs")]
    [TestCase(7, TestName = "Memory_that_nt_cannot_access_for_a_driver_is_an_exception_in_the_driver")]
    [TestCase(8, TestName = "Leaving_a_try_early_runs_its_termination_handler")]
    [TestCase(9, TestName = "Exceptions_in_filters_and_handlers_are_handled_in_turn")]
    public void Structured_exceptions_work(int family)
    {
        Start();
        BenchRequest request = Control(family);
        Assert.That(request.Status, Is.EqualTo(NtStatus.Success));
        Assert.That(BitConverter.ToInt32(request.Output), Is.Zero, "the line of handlers.c");
        _file.Close();
        Assert.That(_node.Remove(), Is.EqualTo(NtStatus.Success));
        _node.Unplug();
        _machine.Unload(_driver);
        Assert.That(_machine.Findings, Is.Empty);
    }

    [TestCase(20, "4-byte write at 0x1230: nothing is mapped there", "poke", TestName = "An_exception_that_every_filter_refuses_crashes_where_it_was")]
    [TestCase(21, "4-byte write at 0x", "poke", TestName = "A_bad_address_of_the_systems_own_crashes_whatever_handles_it")]
    [TestCase(22, "ExRaiseStatus 0xc0000022, and nothing handles it", "fatal", TestName = "A_raised_status_that_nothing_handles_crashes")]
    [TestCase(23, "4-byte write at 0x1230: nothing is mapped there", "poke", TestName = "A_page_fault_at_dispatch_level_crashes_whatever_handles_it")]
    public void What_is_not_handled_ends_the_machine(int family, string text, string function)
    {
        Start();
        BugCheckException crash = Assert.Throws<BugCheckException>(() => Control(family))!;
        Assert.That(crash.Finding.Text, Does.Contain(text));
        Assert.That(crash.Finding.Function, Does.StartWith($"exceptions-{architecture}!{function}"));
        Assert.That(_machine.Findings, Is.EqualTo(new[] { crash.Finding }));
    }

    private void Start()
    {
        string[] more = [Targets.CompileAsVisualC(architecture, "handlers")];
        // mingw's x86 library lacks this function, and its linker has no place for the list of safe handlers unless it strips symbols.
        if (architecture == Machine.I386)
        {
            more = [.. more, Compiler.ImportLibrary("i686-w64-mingw32-dlltool", "ntoskrnl.exe", "raise.a", ["RtlRaiseException@4"], "-k"), "-Wl,-s"];
        }
        string path = Targets.BuildDriver(architecture, "exceptions", more);
        PeImage image = PeImage.Open(path);
        _machine = new BenchMachine(architecture);
        _driver = _machine.Load(image, LinkerMap.Parse(File.ReadAllText(Path.ChangeExtension(path, ".map")), image));
        _node = _machine.Plug(slot => new ProsewareRobot(slot), InterruptGrant.Line);
        _node.AddDevice(_driver);
        Assert.That(_node.Start(), Is.EqualTo(NtStatus.Success));
        _file = _node.Open();
        Assert.That(_file.Control(0x0022_2000, BitConverter.GetBytes(0), 4).Status, Is.EqualTo(NtStatus.Success));
    }

    private BenchRequest Control(int family) => _file.Control(0x0022_2003, BitConverter.GetBytes(family), 0x1000);
}
