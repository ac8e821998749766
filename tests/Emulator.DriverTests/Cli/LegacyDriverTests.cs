using System.Reflection.PortableExecutable;
using Emulator.DriverTests.Native;
using Emulator.Tests.Cli;

namespace Emulator.DriverTests.Cli;

/// <summary>`emulator bench` on a driver without AddDevice, which takes no device: neither a model nor an INF is asked for.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class LegacyDriverTests(Machine architecture)
{
    private string Legacy => Targets.BuildDriver(architecture, "legacy");

    [Test]
    public void A_driver_without_AddDevice_has_its_own_device_opened_and_is_told_so()
    {
        CommandRun run = BenchSession.Bench("run", Legacy, "--steps", "start,open,ioctl=0x222000:4:01020304,ioctl=0x222004:4,close,power,stop,remove");
        Assert.That(run.Error, Is.Empty);
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(BenchSession.Life(run), Is.EqualTo(new[]
        {
            $"DriverEntry legacy-{architecture} STATUS_SUCCESS", "AddDevice left out", "CREATE STATUS_SUCCESS", "DEVICE_CONTROL 0x222000 STATUS_SUCCESS",
            "DEVICE_CONTROL 0x222004 STATUS_INVALID_DEVICE_REQUEST", "CLEANUP, CLOSE STATUS_SUCCESS", $"DriverUnload legacy-{architecture} STATUS_SUCCESS",
        }));
        Assert.That(run.Output, Does.Contain(
            @"it has none: no Plug and Play driver, so nothing is started or removed; requests go to \Device\Legacy").And.Contain("4 bytes: 01020304"));
        Assert.That(BenchSession.Block(run, $"drvobj legacy-{architecture} 2"), Has.Some.Contain("AddDevice: 00000000"));
    }

    [Test]
    public void The_whole_life_of_such_a_driver_is_what_concerns_it()
    {
        CommandRun run = BenchSession.Bench("run", Legacy);
        Assert.That(run.ExitCode, Is.Zero, run.Output + run.Error);
        Assert.That(BenchSession.Life(run), Has.None.Contain("_DEVICE").And.None.Contain("SET_POWER").And.Some.StartWith("READ 64 "));
    }

    [Test]
    public void Its_object_can_be_looked_at_though_there_is_no_stack()
    {
        CommandRun run = BenchSession.Bench("drvobj", $"legacy-{architecture}", "7", Legacy);
        Assert.That(run.Error, Is.Empty);
        Assert.That(run.ExitCode, Is.Zero);
        Assert.That(run.Output, Does.Contain("IRP_MJ_DEVICE_CONTROL").And.Contain("Device Object list:"));
    }

    [Test]
    public void What_it_leaves_behind_is_a_finding()
    {
        CommandRun run = BenchSession.Bench("run", Targets.BuildDriver(architecture, "forgetful"), "--steps", "open,close");
        Assert.That(run.ExitCode, Is.EqualTo(1));
        Assert.That(BenchSession.Block(run, "findings"), Has.Length.EqualTo(1).And.Some.Contain(@"leaves the symbolic link \??\Legacy"));
    }

    [Test]
    public void A_driver_that_takes_a_device_still_needs_a_model()
        => BenchSession.Refused("says which device it drives; choose with --model: ", "run", Targets.BuildDriver(architecture, "services"));
}
