using System.Globalization;
using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Wdf;

/// <summary>Lives of KmdfRobot: random ones, and ones in which something fails. Each request ends, nothing is left, no rule is broken.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class KmdfLifeTests(Machine architecture)
{
    private const int Lives = 1500, MostSteps = 8;

    [Test]
    public void No_order_of_requests_breaks_a_rule_or_leaves_anything()
    {
        var random = new Random(20262);
        var bench = new KmdfBench(architecture, InterruptGrant.Messages);
        // More of them: dotnet test --filter KmdfLife -- 'TestRunParameters.Parameter(name="lives", value="10000")'.
        int lives = TestContext.Parameters.Get("lives", Lives);
        for (int life = 0; life < lives; life++)
        {
            var steps = new List<string>();
            Assert.That(() => Live(bench, random, steps), Throws.Nothing, () => $"life {life}: {string.Join(", ", steps)}");
            Assert.That(bench.Machine.Findings, Is.Empty, () => $"life {life}: {string.Join(", ", steps)}");
            bench.Machine.Framework.ClearEvents();
            if (life + 1 < lives) bench.PlugAgain(random.Next(2) == 0 ? InterruptGrant.Messages : InterruptGrant.Line);
        }
        End(bench);
    }

    [TestCase(InterruptGrant.Messages)]
    [TestCase(InterruptGrant.Line)]
    public void Each_allocation_of_a_life_may_fail(InterruptGrant interrupts)
    {
        var failures = new List<string>();
        for (int n = 1; ; n++)
        {
            var bench = new KmdfBench(architecture, interrupts, failingAllocation: n);
            Whole(bench);
            End(bench);
            if (bench.Machine.Faults.Injected.Count == 0) break;
            failures.Add(bench.Machine.Faults.Injected[0].Text.Split(' ')[0]);
        }
        Assert.That(failures, Is.SupersetOf(new[] { "imp_WdfDeviceCreate", "imp_WdfInterruptCreate", "imp_WdfIoQueueCreate",
            "imp_WdfDeviceCreateDeviceInterface", "imp_WdfDmaEnablerCreate", "imp_WdfCommonBufferCreateWithConfig", "IoGetDmaAdapter",
            "HalAllocateCommonBuffer", "MmMapIoSpace", "IoConnectInterruptEx" }));
    }

    [TestCase(InterruptGrant.Messages)]
    [TestCase(InterruptGrant.Line)]
    public void The_robot_may_be_gone_at_any_access(InterruptGrant interrupts)
    {
        var bench = new KmdfBench(architecture, interrupts);
        Whole(bench);
        int accesses = bench.Node.Accesses;
        Assert.That(accesses, Is.InRange(20, 1000), "else sample them");
        for (int n = 1; n <= accesses; n++)
        {
            bench.PlugAgain(interrupts);
            bench.Machine.Faults.LoseDevice(bench.Node, n);
            Whole(bench);
            Assert.That(bench.Machine.Findings, Is.Empty, () => bench.Machine.Faults.Injected[^1].ToString());
        }
        End(bench);
    }

    /// <summary>Start, a command, sleep, stop and start again, removal: as far as it goes, and as NT goes on when it fails.</summary>
    private static void Whole(KmdfBench bench)
    {
        DeviceNode node = bench.Node;
        var requests = new List<BenchRequest>();
        BenchFile? file = null;
        if (bench.IsAdded && NtStatus.IsSuccess(node.Start()))
        {
            file = node.Open();
            requests.Add(file.Read(KmdfBench.EventSize));
            requests.Add(KmdfBench.Command(file, KmdfBench.Drive, 20, 100));
            bench.Machine.Advance(2_000_000_000);
            requests.Add(KmdfBench.Command(file, KmdfBench.Drive, 500, 100));
            bench.Machine.Advance(20_000_000);
            Expect(node.SetSystemPower(4));
            requests.Add(file.Control(KmdfBench.GetState, outputLength: KmdfBench.StateSize));
            Expect(node.SetSystemPower(1));
            bench.Machine.Advance(1_000_000);
            // NT asks nothing of a device that has said it failed.
            if (node.PnpState == 0 && NtStatus.IsSuccess(node.QueryStop()))
            {
                Expect(node.Stop());
                if (!NtStatus.IsSuccess(node.Start())) node.SurpriseRemove(pull: false);
            }
            else node.SurpriseRemove(pull: false);
        }
        file?.Close();
        if (node.Stack.Count > 1) Expect(node.Remove());
        Assert.That(requests.Select(r => r.IsCompleted), Is.All.True);
    }

    private static void Live(KmdfBench bench, Random random, List<string> steps)
    {
        DeviceNode node = bench.Node;
        var requests = new List<BenchRequest>();
        BenchFile? file = null;
        bool present = true;
        if (random.Next(8) > 0)
        {
            steps.Add("start");
            Expect(node.Start());
            file = node.Open();
            for (int i = random.Next(MostSteps); i > 0 && present; i--) present = Step(bench, random, steps, file, requests);
        }
        steps.Add("remove");
        if (present && random.Next(2) == 0) Expect(node.QueryRemove());
        // What a program leaves is cancelled before its file closes; else the framework ends it.
        foreach (BenchRequest request in requests.Where(_ => random.Next(2) == 0)) request.Cancel();
        file?.Close();
        Expect(node.Remove());
        if (!requests.TrueForAll(r => r.IsCompleted)) throw new InvalidOperationException("A request has not ended.");
    }

    /// <summary>False when the device is gone.</summary>
    private static bool Step(KmdfBench bench, Random random, List<string> steps, BenchFile file, List<BenchRequest> requests)
    {
        DeviceNode node = bench.Node;
        int step = random.Next(16);
        steps.Add(step.ToString(CultureInfo.InvariantCulture));
        switch (step)
        {
            case 0: requests.Add(file.Control(KmdfBench.GetState, outputLength: KmdfBench.StateSize)); break;
            case 1: requests.Add(KmdfBench.Command(file, KmdfBench.Drive, random.Next(-50, 50), 200)); break;
            case 2: requests.Add(KmdfBench.Command(file, KmdfBench.Wait, random.Next(30), 0)); break;
            case 3: requests.Add(file.Control(KmdfBench.Stop)); break;
            case 4: if (requests.Count > 0) requests[random.Next(requests.Count)].Cancel(); break;
            case 5: bench.Machine.Advance(random.Next(40) * 1_000_000L); break;
            case 6:
                // What comes while it sleeps waits, and what is cancelled then goes; waking up may still be under way in the next step.
                Expect(node.SetSystemPower(4));
                requests.Add(file.Control(KmdfBench.GetInfo, outputLength: KmdfBench.InfoSize));
                if (random.Next(2) == 0) requests[^1].Cancel();
                Expect(node.SetSystemPower(1));
                break;
            case 7:
                if (!NtStatus.IsSuccess(node.QueryStop())) break;
                Expect(node.Stop());
                requests.Add(file.Control(KmdfBench.GetState, outputLength: KmdfBench.StateSize));
                Expect(node.Start());
                break;
            case 8:
                if (NtStatus.IsSuccess(node.QueryStop())) Expect(node.CancelStop());
                break;
            case 9:
                Expect(node.QueryRemove());
                Expect(node.CancelRemove());
                break;
            case 10: requests.Add(file.Write(KmdfBench.Program((KmdfBench.Wait, random.Next(20), 0), (KmdfBench.Drive, random.Next(-50, 50), 200)))); break;
            case 11: requests.Add(file.Read(KmdfBench.EventSize * random.Next(1, 4))); break;
            case 12: requests.Add(KmdfBench.Command(file, KmdfBench.Velocity, random.Next(-50, 50), random.Next(-50, 50))); break;
            case 13: requests.Add(KmdfBench.Command(file, KmdfBench.Unknown, 0, 0)); break;
            case 14:
                // More than the ring has room for.
                requests.Add(file.Write(KmdfBench.Program([.. Enumerable.Range(0, 100).Select(i => (KmdfBench.Light, i, 0))])));
                break;
            default:
                Expect(node.SurpriseRemove(pull: random.Next(2) == 0));
                return false;
        }
        return true;
    }

    private static void Expect(uint status)
    {
        if (!NtStatus.IsSuccess(status)) throw new DriverStatusException($"A request failed with status 0x{status:x8}.", status);
    }

    private static void End(KmdfBench bench)
    {
        bench.Unload();
        Assert.That(bench.Machine.Findings, Is.Empty, () => string.Join('\n', bench.Machine.Faults.Injected));
        Assert.That(bench.Machine.Drivers, Is.Empty);
    }
}
