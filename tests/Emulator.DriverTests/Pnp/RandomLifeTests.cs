using System.Globalization;
using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Pnp;

/// <summary>
/// Random lives of robots, with requests and time between their steps, some of them with faults: each request ends, nothing is left, no
/// rule is broken. A life depends on its seed alone, which a failure names; one seed again:
/// dotnet test --filter RandomLife -- 'TestRunParameters.Parameter(name="seed", value="1234")'.
/// </summary>
[TestFixture(Machine.Amd64, "ProsewareRobot")]
[TestFixture(Machine.I386, "ProsewareRobot")]
[TestFixture(Machine.Amd64, "ContosoRobot")]
[TestFixture(Machine.I386, "ContosoRobot")]
[Category("Driver")]
[Parallelizable(ParallelScope.Self)]
internal sealed class RandomLifeTests(Machine architecture, string robot)
{
    private const int Lives = 10_000, FirstSeed = 20_261, FewSteps = 8, ManySteps = 40;

    private enum Fault
    {
        None,
        Allocation,
        LostDevice,
        Storm,
    }

    [Test]
    public void No_order_of_requests_breaks_a_rule_or_leaves_anything()
    {
        string? only = TestContext.Parameters["seed"];
        (int first, int count) = only is null ? (FirstSeed, Lives) : (int.Parse(only, CultureInfo.InvariantCulture), 1);
        var bench = new RobotBench(architecture, robot);
        int storms = 0;
        for (int seed = first; seed < first + count; seed++)
        {
            var life = new Life(bench, new Random(seed));
            try
            {
                life.Live();
            }
            catch (Exception e) when (e is BugCheckException or DriverStatusException or InvalidOperationException)
            {
                Assert.Fail($"seed {seed}: {life}: {e.Message}");
            }
            Finding[] found = [.. bench.Machine.Findings.Skip(storms)];
            if (life.Fault == Fault.Storm && found is [{ Rule: Rule.Interrupt }]) storms++;
            else if (found.Length > 0) Assert.Fail($"seed {seed}: {life}: {string.Join("; ", (object[])found)}");
        }
        bench.Machine.Unload(bench.Filter);
        bench.Machine.Unload(bench.Specific);
        Assert.That(bench.Machine.Findings, Has.Count.EqualTo(storms));
        Assert.That(bench.Machine.Drivers, Is.Empty);
        if (only is not null) return;
        Assert.That(storms, Is.GreaterThan(Lives / 200), "else there are no storms to survive");
        Assert.That(bench.Machine.Faults.Injected, Has.Count.GreaterThan(Lives / 25));
    }

    private sealed class Life(RobotBench bench, Random random)
    {
        private readonly List<string> _steps = [];
        private readonly List<BenchRequest> _requests = [];
        private readonly int _faults = bench.Machine.Faults.Injected.Count;

        /// <summary>What goes wrong in it, if it comes so far.</summary>
        public Fault Fault { get; } = random.Next(4) > 0 ? Fault.None : (Fault)random.Next(1, 4);

        public override string ToString()
            => $"{string.Join(", ", _steps)} ({Fault}{string.Concat(bench.Machine.Faults.Injected.Skip(_faults).Select(f => $", {f}"))})";

        public void Live()
        {
            InterruptGrant interrupts = random.Next(2) == 0 ? InterruptGrant.Messages : InterruptGrant.Line;
            bench.Machine.Faults.FailAllocation(Fault == Fault.Allocation ? random.Next(1, 30) : 0);
            BenchFile? file = null;
            bool known = true;
            _steps.Add($"plug with {interrupts}");
            try
            {
                bench.Plug(interrupts);
                if (Fault == Fault.LostDevice) bench.Machine.Faults.LoseDevice(bench.Node, random.Next(1, 200));
                if (Fault == Fault.Storm) bench.Machine.Faults.Storm(bench.Node, random.Next(1, 4));
                if (random.Next(8) > 0 && Start())
                {
                    file = bench.Node.Open();
                    for (int i = random.Next(random.Next(4) == 0 ? ManySteps : FewSteps); i > 0 && known; i--) known = Step(file);
                }
            }
            catch (DriverStatusException) when (Faulted)
            {
                // AddDevice or CREATE: what there is of the stack is removed.
            }
            if (known && !bench.Node.IsPresent && file is not null) TakeBySurprise();
            _steps.Add("remove");
            if (known && bench.Node.IsPresent && random.Next(2) == 0) Expect(bench.Node.QueryRemove());
            // NT sends REMOVE only when the last file is closed.
            file?.Close();
            Expect(bench.Node.Remove());
            if (!_requests.TrueForAll(r => r.IsCompleted)) throw new InvalidOperationException("a request has not ended");
            bench.Node.Unplug();
        }

        private bool Faulted => bench.Machine.Faults.Injected.Count > _faults;

        /// <summary>False when the device's stack was told that it is gone.</summary>
        private bool Step(BenchFile file)
        {
            DeviceNode node = bench.Node;
            int step = random.Next(12);
            _steps.Add(step.ToString(CultureInfo.InvariantCulture));
            switch (step)
            {
                case 0: _requests.Add(file.Read(64)); break;
                case 1:
                    (uint, int, int) wait = (RobotBench.Wait, random.Next(20), 0), drive = (RobotBench.Drive, random.Next(-50, 50), 200);
                    _requests.Add(file.Write(RobotBench.Program(wait, drive)));
                    break;
                case 2: _requests.Add(file.Control(RobotBench.GetInfo, outputLength: 76)); break;
                case 3: if (_requests.Count > 0) _requests[random.Next(_requests.Count)].Cancel(); break;
                case 4: bench.Machine.Advance(random.Next(40) * 1_000_000L); break;
                case 5:
                    Expect(node.SetDevicePower(4));
                    Expect(node.SetDevicePower(1));
                    break;
                case 6:
                    Expect(node.SetSystemPower(4));
                    Expect(node.SetSystemPower(1));
                    break;
                case 7:
                    if (!NtStatus.IsSuccess(node.QueryStop())) break;
                    Expect(node.Stop());
                    if (Start()) break;
                    node.SurpriseRemove(pull: false);
                    return false;
                case 8:
                    if (NtStatus.IsSuccess(node.QueryStop())) Expect(node.CancelStop());
                    break;
                case 9:
                    Expect(node.QueryRemove());
                    Expect(node.CancelRemove());
                    break;
                case 10:
                    BenchFile second = bench.Node.Open();
                    _requests.Add(second.Read(64));
                    second.Close();
                    break;
                default:
                    TakeBySurprise();
                    return false;
            }
            return true;
        }

        private bool Start()
        {
            uint status = bench.Node.Start();
            Expect(status);
            return NtStatus.IsSuccess(status);
        }

        private void TakeBySurprise()
        {
            _steps.Add("surprise removal");
            Expect(bench.Node.SurpriseRemove());
        }

        /// <summary>Without a fault nothing fails.</summary>
        private void Expect(uint status)
        {
            if (!NtStatus.IsSuccess(status) && !Faulted) throw new InvalidOperationException($"a request failed with status 0x{status:x8}");
        }
    }
}
