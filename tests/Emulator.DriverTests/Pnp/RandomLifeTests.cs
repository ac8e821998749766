using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Pnp;

/// <summary>Random lives of robots, with requests and time between their steps: each request ends, nothing is left, no rule is broken.</summary>
[TestFixture(Machine.Amd64, "ProsewareRobot")]
[TestFixture(Machine.I386, "ProsewareRobot")]
[TestFixture(Machine.Amd64, "ContosoRobot")]
[TestFixture(Machine.I386, "ContosoRobot")]
[Category("Driver")]
internal sealed class RandomLifeTests(Machine architecture, string robot)
{
    private const int Lives = 2500, MostSteps = 8;

    [Test]
    public void No_order_of_requests_breaks_a_rule_or_leaves_anything()
    {
        var random = new Random(20261);
        var bench = new RobotBench(architecture, robot, InterruptGrant.Messages);
        for (int life = 0; life < Lives; life++)
        {
            var steps = new List<string>();
            Assert.That(() => Live(bench, random, steps), Throws.Nothing, () => $"life {life}: {string.Join(", ", steps)}");
            Assert.That(bench.Machine.Findings, Is.Empty, () => $"life {life}: {string.Join(", ", steps)}");
            if (life + 1 < Lives) bench.PlugAgain(random.Next(2) == 0 ? InterruptGrant.Messages : InterruptGrant.Line);
        }
        bench.Unload();
        Assert.That(bench.Machine.Findings, Is.Empty);
        Assert.That(bench.Machine.Drivers, Is.Empty);
    }

    private static void Live(RobotBench bench, Random random, List<string> steps)
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
        // NT sends REMOVE only when the last file is closed.
        file?.Close();
        Expect(node.Remove());
        if (!requests.TrueForAll(r => r.IsCompleted)) throw new InvalidOperationException("A request has not ended.");
    }

    /// <summary>False when the device is gone.</summary>
    private static bool Step(RobotBench bench, Random random, List<string> steps, BenchFile file, List<BenchRequest> requests)
    {
        DeviceNode node = bench.Node;
        int step = random.Next(11);
        steps.Add(step.ToString(System.Globalization.CultureInfo.InvariantCulture));
        switch (step)
        {
            case 0: requests.Add(file.Read(64)); break;
            case 1: requests.Add(file.Write(RobotBench.Program((RobotBench.Wait, random.Next(20), 0), (RobotBench.Drive, random.Next(-50, 50), 200)))); break;
            case 2: requests.Add(file.Control(RobotBench.GetInfo, outputLength: 76)); break;
            case 3: if (requests.Count > 0) requests[random.Next(requests.Count)].Cancel(); break;
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
                Expect(node.Start());
                break;
            case 8:
                if (NtStatus.IsSuccess(node.QueryStop())) Expect(node.CancelStop());
                break;
            case 9:
                Expect(node.QueryRemove());
                Expect(node.CancelRemove());
                break;
            default:
                Expect(node.SurpriseRemove());
                return false;
        }
        return true;
    }

    private static void Expect(uint status)
    {
        if (!NtStatus.IsSuccess(status)) throw new DriverStatusException($"A request failed with status 0x{status:x8}.", status);
    }
}
