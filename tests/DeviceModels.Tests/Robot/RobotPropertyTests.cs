using System.Buffers.Binary;
using DeviceModels.Robot;
using Emulator.Models;
using Emulator.Pci;
using Emulator.Testing;
using FsCheck;
using FsCheck.Fluent;
using static DeviceModels.Tests.Robot.ProsewareDriver;

namespace DeviceModels.Tests.Robot;

[TestFixture, Category("Unit")]
public sealed class RobotPropertyTests
{
    // Values that rings, lists and sizes take, so that random traffic gets far into the machine.
    private static readonly ulong[] Likely = [0, 1, 2, 3, 8, 0x20, 0x40, 0x100, 0x1000, 0x8000, 0xa5c3, 0x600d, 0xffff, 0xffff_ffff];

    private static IEnumerable<TestCaseData> Models => RobotModels.All.Select(m => new TestCaseData(m).SetArgDisplayNames(m.Name));

    [TestCaseSource(nameof(Models))]
    public void Random_traffic_over_random_memory_with_time_passing_never_throws(DeviceModel model)
    {
        Arbitrary<int> seeds = Arb.From(Gen.Choose(0, int.MaxValue));
        Property holds = Prop.ForAll(seeds, seed =>
        {
            Storm(model, new Random(seed), steps: 400);
            return true;
        });
        Assert.That(() => Check.One(FixedSeed.Config.WithMaxTest(60), holds), Throws.Nothing);
    }

    [Test]
    public void A_program_costs_no_allocation()
    {
        var driver = new ProsewareDriver();
        driver.Bar.Write64(TeleBase, Telemetry);
        driver.Bar.Write32(TelePeriod, 5);
        driver.Bar.Write32(IntEn, 0xf);
        Assert.That(Allocations.BytesOf(() => RunProgram(driver)), Is.Zero);
    }

    [Test]
    public void A_list_costs_no_allocation()
    {
        var driver = new ContosoDriver();
        driver.Put(ContosoDriver.Tele, 0x3000);
        driver.Put(ContosoDriver.TelePer, 1);
        driver.Bar.Write16(ContosoDriver.Mask, 0xf);
        Assert.That(Allocations.BytesOf(() => RunList(driver)), Is.Zero);
        Assert.That(driver.ListError, Is.Zero);
    }

    private static void RunProgram(ProsewareDriver driver)
    {
        driver.StartRing(ring: 4, queue: 4);
        driver.Post(ProsewareDriver.Drive | Int, 100, 500);
        driver.Post(Turn, 1800, 500);
        driver.Ringing();
        driver.Advance(2000);
        if (driver.Bar.Read32(RingHead) != 2 || driver.RingError != 0) Assert.Fail("the program did not run");
        driver.Bar.Write32(RingCtrl, 0);
        driver.Bar.Write32(IntSts, 0xf);
    }

    private static void RunList(ContosoDriver driver)
    {
        driver.Describe(0x1000, ContosoDriver.Own | ContosoDriver.Int | ContosoDriver.Move, 0x1020, 400, 2000);
        driver.Describe(0x1020, ContosoDriver.Own | ContosoDriver.Turn, 0, 32767, 2000);
        driver.Go(0x1000);
        driver.Advance(2000);
        driver.Bar.Read16(ContosoDriver.Cause);
    }

    private static void Storm(DeviceModel model, Random random, int steps)
    {
        var host = new FakePciHost();
        PciFunction robot = host.Plug(model.Create(host.Slot));
        random.NextBytes(host.Memory.Ram);
        // Random bytes are rarely a descriptor that the robot accepts: sow some that are.
        for (int at = 0; at < host.Memory.Ram.Length; at += 32)
        {
            if (random.Next(2) == 0) continue;
            Span<byte> slot = host.Memory.Ram.Slice(at, 32);
            slot.Clear();
            BinaryPrimitives.WriteUInt32LittleEndian(slot, (uint)random.Next(0, 0x40) | (random.Next(2) == 0 ? ContosoDriver.Own : 0x300));
            BinaryPrimitives.WriteUInt32LittleEndian(slot[4..], (uint)random.Next(0, 64) * 32);
            BinaryPrimitives.WriteUInt32LittleEndian(slot[8..], (uint)random.Next(0, 600));
        }
        for (int i = 0; i < steps; i++)
        {
            int region = random.Next(8) == 0 ? PciRegion.Configuration : random.Next(8) == 0 ? 1 : 0;
            ulong offset = (ulong)random.Next(0, random.Next(4) == 0 ? 0x4000 : 0x140);
            int size = 1 << random.Next(4);
            ulong value = random.Next(3) == 0 ? (ulong)random.NextInt64() : Likely[random.Next(Likely.Length)];
            switch (random.Next(12))
            {
                case 0: host.Clock.Advance(random.NextInt64(1, 3_000_000_000)); break;
                case 1: robot.Switches[random.Next(robot.Switches.Count)].TrySet(random.Next(2) == 0 ? "dead" : "stall-both"); break;
                case 2: host.Config.Write16(4, 7); break;
                case 3 or 4: robot.Read(region, offset, size); break;
                case 5: robot.Reset((ResetKind)random.Next(1, 5)); break;
                default: robot.Write(region, offset & ~3UL, Math.Max(size, 2), value); break;
            }
        }
    }
}
