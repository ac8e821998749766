using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Memory;
using Emulator.DriverBench.Pe;
using Emulator.DriverTests.Native;

namespace Emulator.DriverTests.Pe;

/// <summary>A driver from the real toolchain, with its linker map.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Unit")]
internal sealed class LinkedDriverTests(Machine machine)
{
    private const ulong DbgPrint = 0x7000_0010;

    private readonly List<string> _printed = [];
    private PeImage _image = null!;
    private string _map = null!;

    [OneTimeSetUp]
    public void Build()
    {
        string path = Targets.BuildDriver(Targets.CompilerFor(machine), machine, "driver.c", $"driver-{machine}", "-O2", "-lntoskrnl");
        _image = PeImage.Open(path);
        _map = File.ReadAllText(Path.ChangeExtension(path, ".map"));
    }

    [Test]
    public void The_file_is_a_driver_with_its_import_and_export()
    {
        Assert.That(() => _image.CheckDriver(machine), Throws.Nothing);
        Assert.That(_image.Imports.Select(import => import.ToString()), Is.EqualTo(new[] { "ntoskrnl.exe!DbgPrint" }));
        Assert.That(_image.FindExport("Offered"), Is.Not.Null);
        Assert.That(_image.RelocationCount, Is.GreaterThan(0));
    }

    [Test]
    public void The_map_names_what_the_exports_do_not()
    {
        LinkerMap map = LinkerMap.Parse(_map, _image);
        // "hidden" is static: only its section has its name.
        Assert.That(map.Symbols.Values, Does.Contain("hidden").And.Contain("Offered").And.Contain("entry").And.Contain("counter"));
        uint offered = _image.FindExport("Offered")!.Rva;
        Assert.That(map.Symbols[offered], Is.EqualTo("Offered"));
    }

    [Test]
    public void The_entry_point_runs_and_calls_what_it_imports()
    {
        _printed.Clear();
        Interpreter cpu = Load(out LoadedImage loaded, out SymbolTable symbols);
        CallOutcome call = cpu.Call(loaded.EntryPoint, 7, 0);
        Assert.That(call.Run.Reason, Is.EqualTo(StopReason.Returned), call.Run.ToString());
        // counter is 6 by then: 7 * 3 + 6 + 1.
        Assert.That(call.Value, Is.EqualTo(28));
        Assert.That(_printed, Is.EqualTo(new[] { $"x is %d 7 from driver-{machine}!hidden" }));
        Assert.That(symbols.Describe(loaded.EntryPoint), Is.EqualTo($"driver-{machine}!entry"));
        Assert.That(symbols.TryGetAddress($"driver-{machine}", "Offered", out ulong offered), Is.True);
        Assert.That(offered, Is.EqualTo(loaded.AddressOf("Offered")));
    }

    [Test]
    public void Code_and_constants_cannot_be_written_and_data_cannot_be_run()
    {
        Interpreter cpu = Load(out LoadedImage loaded, out SymbolTable symbols);
        AddressSpace memory = cpu.Memory;
        Assert.That(memory.TryWrite32(loaded.AddressOf("Offered")!.Value, 0), Is.False);
        Assert.That(memory.LastFault.Kind, Is.EqualTo(MemoryFaultKind.Protection));
        Assert.That(memory.TryWrite32(loaded.Base, 0), Is.False);
        Assert.That(symbols.TryGetAddress($"driver-{machine}", "counter", out ulong counter), Is.True);
        Assert.That(memory.TryWrite32(counter, 0), Is.True);
        CallOutcome call = cpu.Call(counter);
        Assert.That(call.Run.Reason, Is.EqualTo(StopReason.PageFault));
        Assert.That(call.Run.Fault.Access, Is.EqualTo(MemoryAccess.Execute));
        Assert.That(call.Run.Detail, Does.Contain("code fetch").And.Contain("!counter"));
    }

    private Interpreter Load(out LoadedImage loaded, out SymbolTable symbols)
    {
        var memory = new AddressSpace(_image.Is64Bit ? AddressWidth.Bits64 : AddressWidth.Bits32);
        loaded = _image.Load(memory, 0x6000_0000, import => import.Name == "DbgPrint" ? DbgPrint : null);
        memory.MapRam(0x0010_0000, 0x4000, Protection.ReadWrite, "stack");
        symbols = new SymbolTable();
        loaded.AddTo(symbols, LinkerMap.Parse(_map, _image));
        var cpu = new Interpreter(memory, _image.Is64Bit ? CpuMode.X64 : CpuMode.X86, new Printer(_printed), symbols: symbols);
        cpu.AddHostRange(0x7000_0000, 0x1000);
        cpu.State.Rsp = 0x0010_4000;
        return cpu;
    }

    private sealed class Printer(List<string> printed) : IHostCalls
    {
        public void Invoke(ref CallFrame frame)
        {
            string from = frame.Cpu.Symbols.Describe(frame.ReturnAddress);
            printed.Add($"{frame.Cpu.Memory.ReadString8(frame.Arg(0))} {frame.Arg(1)} from {from[..from.IndexOf('+')]}");
            frame.Return();
        }
    }
}
