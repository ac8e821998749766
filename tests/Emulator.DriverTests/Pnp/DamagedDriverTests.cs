using System.Buffers.Binary;
using System.Globalization;
using System.Reflection.PortableExecutable;
using DeviceModels.Robot.Contoso;
using DeviceModels.Robot.Proseware;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pe;
using Emulator.DriverBench.Pnp;
using Emulator.DriverTests.GuestDrivers;

namespace Emulator.DriverTests.Pnp;

/// <summary>
/// Real drivers with bytes of theirs changed: code that does anything. Whatever it does to NT, the bench lives on and says what it was. A life
/// depends on its seed alone, which a failure names; one seed again:
/// dotnet test --filter DamagedDriver -- 'TestRunParameters.Parameter(name="seed", value="1234")'.
/// </summary>
[TestFixture(Machine.Amd64, "ProsewareRobot")]
[TestFixture(Machine.I386, "ProsewareRobot")]
[TestFixture(Machine.Amd64, "ContosoRobot")]
[TestFixture(Machine.I386, "ContosoRobot")]
[TestFixture(Machine.Amd64, "KmdfRobot")]
[TestFixture(Machine.I386, "KmdfRobot")]
[Category("Driver")]
[Parallelizable(ParallelScope.Self)]
internal sealed class DamagedDriverTests(Machine architecture, string robot)
{
    private const int Lives = 200, FirstSeed = 1, Headers = 0x400;

    [Test]
    public void Damage_ends_in_a_refusal_a_finding_or_a_bug_check()
    {
        string? only = TestContext.Parameters["seed"];
        (int first, int count) = only is null ? (FirstSeed, Lives) : (int.Parse(only, CultureInfo.InvariantCulture), 1);
        var ends = new Dictionary<string, int>();
        for (int seed = first; seed < first + count; seed++)
        {
            string end = "";
            Assert.That(() => end = Live(new Random(seed)), Throws.Nothing, $"seed {seed}");
            ends[end] = ends.GetValueOrDefault(end) + 1;
        }
        TestContext.Out.WriteLine(string.Join(", ", ends.Select(e => $"{e.Value} {e.Key}")));
        if (only is null) Assert.That(ends.Keys, Is.SupersetOf(new[] { "bug check", "lived" }), "else the damage is too heavy, or none");
    }

    private string Live(Random random)
    {
        var machine = new BenchMachine(architecture);
        string[] names = robot == "KmdfRobot" ? ["KmdfRobot", "AfterThought"] : ["GeneralRobot", robot, "AfterThought"];
        string victim = names[random.Next(names.Length)];
        try
        {
            var drivers = new List<LoadedDriver>();
            foreach (string name in names)
            {
                byte[] file = File.ReadAllBytes(GuestDriverFiles.PathOf(architecture, $"{name}.sys"));
                if (name == victim) Damage(file, random);
                drivers.Add(machine.Load(PeImage.Parse(file, $"{name}.sys")));
            }
            DeviceNode node = machine.Plug(slot => robot == "ContosoRobot" ? new ContosoRobot(slot) : new ProsewareRobot(slot),
                random.Next(2) == 0 ? InterruptGrant.Messages : InterruptGrant.Line);
            node.AddDevice([.. drivers.Where(d => !d.IsExportDriver)]);
            if (NtStatus.IsSuccess(node.Start())) Use(machine, node);
            if (random.Next(2) == 0) node.SurpriseRemove();
            node.Remove();
            node.Unplug();
            foreach (LoadedDriver driver in drivers.Where(d => !d.IsExportDriver && d.UnloadRoutine != 0).Reverse()) machine.Unload(driver);
            return machine.Findings.Count > 0 ? "with findings" : "lived";
        }
        catch (PeException)
        {
            return "refused";
        }
        catch (DriverStatusException)
        {
            return "failed";
        }
        catch (MissingFunctionException lack)
        {
            return lack.Message.Contains('\n') ? "not one line" : "lacks a function";
        }
        catch (BugCheckException crash)
        {
            return crash.Message.Contains('\n') ? "not one line" : "bug check";
        }
    }

    private static void Use(BenchMachine machine, DeviceNode node)
    {
        BenchFile file = node.Open();
        BenchRequest read = file.Read(64);
        file.Write(RobotBench.Program((RobotBench.Drive, 50, 100), (RobotBench.Wait, 20, 0)));
        file.Control(RobotBench.GetInfo, outputLength: 76);
        machine.Advance(1_000_000_000);
        read.Cancel();
        file.Close();
        node.SetSystemPower(4);
        node.SetSystemPower(1);
        if (NtStatus.IsSuccess(node.QueryStop()))
        {
            node.Stop();
            node.Start();
        }
    }

    /// <summary>Changes some bytes behind the headers, which <see cref="Pe.PeFuzzTests"/> damages, and mends the checksum.</summary>
    private static void Damage(byte[] file, Random random)
    {
        byte[] often = [0x00, 0x90, 0xCC, 0xC3, 0xEB, 0xFF];
        for (int i = 1 << random.Next(6); i > 0; i--)
        {
            file[random.Next(Headers, file.Length)] = random.Next(2) == 0 ? often[random.Next(often.Length)] : (byte)random.Next(256);
        }
        int optional = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(0x3C)) + 24;
        try
        {
            BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(optional + 64), PeImage.Parse(file, "damaged.sys").ComputedChecksum);
        }
        catch (PeException)
        {
            // Whoever loads it says so again.
        }
    }
}
