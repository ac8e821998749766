using System.Reflection.PortableExecutable;
using System.Text.RegularExpressions;
using DeviceModels.Robot.Proseware;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;
using Emulator.DriverTests.GuestDrivers;
using Emulator.Observation;
using Emulator.Testing;
using Emulator.Tests.Cli;

namespace Emulator.DriverTests.Pnp;

/// <summary>Every access of an interpreted driver is in the trace with its function and instruction.</summary>
[Category("Driver")]
internal sealed partial class CodeTraceTests
{
    /// <summary>From START_DEVICE to the first program's end, as a person reviews it. EMULATOR_UPDATE_GOLDEN=1 writes the file anew.</summary>
    [Test]
    public void The_start_of_the_Proseware_pair_reads_as_its_golden_file()
    {
        var bench = new RobotBench(Machine.Amd64, "ProsewareRobot");
        bench.Plug(InterruptGrant.Messages);
        TraceCapture trace = TraceCapture.Attach(bench.Node.Function, "robot");
        Assert.That(bench.Node.Start(), Is.EqualTo(NtStatus.Success));
        BenchFile file = bench.Node.Open();
        Assert.That(file.Write(RobotBench.Program((RobotBench.Drive, 50, 100))).Wait(), Is.True);
        GoldenTrace.Check(WithoutInstructions(trace.Text), "proseware-pair-start");
        file.Close();
    }

    [TestCase(Machine.Amd64, @"  ProsewareRobot!\w+\+0x[0-9a-f]+  mov e[a-z]{2}, \[r")]
    [TestCase(Machine.I386, @"  ProsewareRobot!\w+\+0x[0-9a-f]+  call .* \(nt!READ_REGISTER_ULONG\)")]
    public void A_recorded_run_can_be_shown_by_function(Machine architecture, string identification)
    {
        using var folder = new TemporaryFolder();
        string trace = folder.In("bench.trace");
        CommandRun run = CommandRun.Of("bench", "run", GuestDriverFiles.PathOf(architecture, "ProsewareRobot.sys"), "--trace", trace);
        Assert.That(run.ExitCode, Is.Zero, run.Output + run.Error);
        string all = CommandRun.Of("trace", "show", trace).Output, some = CommandRun.Of("trace", "show", trace, "--function", "ProsewareRobot!P*").Output;
        Assert.That(all.Split('\n'), Has.Some.Match($"R +BAR0 PROSEWARE.ID .*{identification}"));
        Assert.That(all, Does.Contain("proseware-robot-2  R"), "the second card has a name of its own");
        Assert.That(all, Does.StartWith("         0.000  "), "virtual time");
        Assert.That(some.Split('\n', StringSplitOptions.RemoveEmptyEntries), Is.Not.Empty.And.All.Contain("ProsewareRobot!P"));
        Assert.That(CommandRun.Of("trace", "show", trace, "--function", "NoSuch").Error, Does.Contain("choose from ProsewareRobot!"));
    }

    [Test]
    public void An_access_that_was_seen_before_allocates_nothing()
    {
        var bench = new RobotBench(Machine.Amd64, "ProsewareRobot");
        bench.Plug(InterruptGrant.Messages);
        Assert.That(bench.Node.Start(), Is.EqualTo(NtStatus.Success));
        var counter = new Counter();
        bench.Node.Function.Observer = counter;
        Assert.That(Allocations.BytesOf(Run), Is.Zero);
        Assert.That((counter.Places, counter.Codes, counter.Others), Is.EqualTo((1, 1000 * Allocations.Runs, 1000 * Allocations.Runs)));

        void Run()
        {
            for (int i = 0; i < 1000; i++) bench.Node.Slot.ReadRegister(0, 0, 4);
        }
    }

    [Test]
    public void Other_code_at_the_same_address_gets_numbers_of_its_own_and_the_same_code_its_old_ones()
    {
        var machine = new BenchMachine(Machine.Amd64);
        var seen = new Counter();
        DeviceNode node = machine.Plug(slot => new ProsewareRobot(slot));
        node.Function.Observer = seen;
        int places = Live(withNames: true);
        Assert.That(places, Is.Positive);
        Assert.That(Live(withNames: false), Is.EqualTo(2 * places), "the same addresses, but who knows whether the same functions");
        Assert.That(Live(withNames: true), Is.EqualTo(2 * places));
        Assert.That(seen.Numbers, Is.EqualTo(Enumerable.Range(0, 2 * places)));

        int Live(bool withNames)
        {
            foreach (string file in (string[])["GeneralRobot.sys", "ProsewareRobot.sys"])
            {
                machine.Load(GuestDriverFiles.Open(Machine.Amd64, file), withNames ? GuestDriverFiles.Map(Machine.Amd64, file) : null);
            }
            node.AddDevice(machine.Drivers[^1]);
            Assert.That(node.Start(), Is.EqualTo(NtStatus.Success));
            Assert.That(node.Remove(), Is.EqualTo(NtStatus.Success));
            machine.Unload(machine.Drivers[^1]);
            return seen.Places;
        }
    }

    // Offsets and instructions are the compiler's business, and which of a pair's helpers it makes part of their callers is not this test's.
    private static string WithoutInstructions(string text) => Place().Replace(text, "  $1");

    [GeneratedRegex(@"  (\w+!\w+)(\+0x[0-9a-f]+)?  [a-z].*?(?=  x \d+$|$)", RegexOptions.Multiline)]
    private static partial Regex Place();

    private sealed class Counter : IDeviceObserver
    {
        public List<int> Numbers { get; } = [];
        public int Places => Numbers.Count;
        public int Codes { get; private set; }
        public int Others { get; private set; }

        public void OnEvent(in DeviceEvent deviceEvent)
        {
            if (deviceEvent.Kind == DeviceEventKind.Code) Codes++;
            else Others++;
        }

        public void OnRemark(long time, string text)
        {
        }

        public void OnCode(int number, CodePlace place) => Numbers.Add(number);
    }
}
