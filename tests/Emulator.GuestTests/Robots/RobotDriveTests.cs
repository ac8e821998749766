using DeviceModels.Robot.Contoso;
using DeviceModels.Robot.Proseware;
using DeviceModels.Robot.World;
using Emulator.Guests;
using Emulator.Testing;

namespace Emulator.GuestTests.Robots;

/// <summary>A program in a real guest drives both robots at once: registers, DMA programs and interrupts, judged by what the world looks like then.</summary>
[TestFixture]
[Category("Guest")]
public sealed class RobotDriveTests
{
    private static readonly TimeSpan Generous = TimeSpan.FromMinutes(3);

    // Exact steps, then a last one that is not a whole number of encoder counts.
    private const double Tolerance = 1;

    [TestCase("robotdrive", "interrupts (INTA, uio_pci_generic)", "q35", "uio_pci_generic")]
    [TestCase("robotdrive --poll", "polled", "pc", "uio_pci_generic")]
    public async Task A_program_draws_a_house_with_one_robot_and_builds_a_pyramid_with_the_other(string command, string how, string machine, string module)
    {
        await using DeviceGuest guest = await BootAsync(new GuestOptions { Modules = [module], Machine = machine });

        await DriveAsync(guest, command, how);

        Assert.That(guest.TraceOf("pen"), how == "polled" ? Does.Not.Contain("INTx") : Does.Contain("INTx"));
        Assert.That((await guest.RunAsync("dmesg")).Output, Does.Not.Contain("nobody cared"), "no interrupt storm");
    }

    [Test]
    public async Task Behind_an_IOMMU_robots_send_messages_and_reach_the_one_page_they_are_given()
    {
        await using DeviceGuest guest = await BootAsync(new GuestOptions { Modules = ["vfio_iommu_type1", "vfio_pci", "uio_pci_generic"], Iommu = true });

        GuestCommandResult result = await DriveAsync(guest, "robotdrive", "interrupts (4 MSI-X messages, vfio-pci)");

        Assert.That(result.Output, Does.Match("Proseware .*: 28 commands done, messages [1-9][0-9]* 0 0 0\n"), "message 0: a command is done");
        Assert.That(result.Output, Does.Match("Contoso .*: 26 commands done, messages 0 0 0 [1-9][0-9]*\n"), "message 3: a command is done");
        Assert.That(guest.TraceOf("pen"), Does.Contain("MSI-X").And.Not.Contain("INTx"));
        GuestCommandResult line = await guest.RunAsync("robotdrive --line", Generous);
        Assert.That(line.Output, Does.Contain("interrupts (INTA, uio_pci_generic)").And.Contain("FAILED"), "a physical address means nothing behind an IOMMU");
        Assert.That(line.ExitCode, Is.EqualTo(1));
        string[] given = [.. guest.TraceOf("pen").Split('\n').Where(l => l.Contains("map  ", StringComparison.Ordinal))];
        Assert.That(given, Has.Some.Match(@" map +0x0000000010000000 +0x1000 bytes"));
        Assert.That(given[^1], Does.Contain(" unmap "), "the first program had ended, and the IOMMU took its page away");
    }

    private static Task<DeviceGuest> BootAsync(GuestOptions options)
        => DeviceGuest.BootAsync(
            [new GuestDevice("pen", slot => new ProsewareRobot(slot)), new GuestDevice("gripper", slot => new ContosoRobot(slot))], options);

    private static async Task<GuestCommandResult> DriveAsync(DeviceGuest guest, string command, string how)
    {
        GuestCommandResult result = await guest.RunAsync(command, Generous);

        Assert.That(result.ExitCode, Is.Zero, $"{result.Output}\n{guest.Session.Console.LastLines()}");
        Assert.That(result.Output, Does.Contain($"Proseware {guest.PciAddress("pen")}: firmware 3.1.57, {how}\n"));
        Assert.That(result.Output, Does.Contain($"Contoso {guest.PciAddress("gripper")}: firmware 2.07, {how}\n"));
        guest.On("pen", robot =>
        {
            SimulatedBody world = ((ProsewareRobot)robot).World!;
            PathPoint[] drawn = [.. world.Path.Points.ToArray().Where(c => c.AtWork)];
            (int X, int Y)[] house = [(680, 750), (680, 1030), (400, 1030), (540, 1170), (680, 1030), (400, 750), (400, 1030), (680, 750)];
            Assert.That(drawn.Take(house.Length).Select(InMillimetres),
                Is.EqualTo(house.Select(c => ((double)c.X, (double)c.Y))).Using<(double X, double Y)>(AreNear));
            // One circle, 500 mm up the diagonal: its radius is the track's half times the wheels' sum over their difference.
            double left = 680 + (500 * Math.Sqrt(0.5)), radius = 180 / Math.PI * 640 / 360, centre = radius * Math.Sqrt(0.5);
            IEnumerable<(double X, double Y)> sun = drawn.Skip(house.Length).Select(InMillimetres);
            Assert.That(sun.Select(p => Math.Sqrt(Square(p.X - left + centre) + Square(p.Y - left - 70 - centre))), Has.All.EqualTo(radius).Within(Tolerance));
            Assert.That(sun.Count(), Is.GreaterThan(100), "all the way round");
            Assert.That((world.Position.X, world.Position.Y), Is.EqualTo((left, left + 70 - 300)).Using<(double X, double Y)>(AreNear));
            // vfio-pci resets a function that a program has let go of: the mechanics stay as they are, the light goes out.
            uint light = how.Contains("vfio", StringComparison.Ordinal) ? 0 : 0xf5c211u;
            Assert.That((world.HeadingMillidegrees, world.IsToolEngaged, world.Light), Is.EqualTo((270_000, false, light)));
            Assert.That(PathSvg.Render(world), Does.Match("d=\"M 400 750( L [0-9.]+ [0-9.]+){8} M [0-9. ]+ L"), "the house in one stroke, and the sun");
        });
        guest.On("gripper", robot =>
        {
            SimulatedBody world = ((ContosoRobot)robot).World!;
            (double, double)[] pyramid = [(1300, 750), (1200, 750), (1250, 850)];
            Assert.That(world.Objects.ToArray(), Is.EqualTo(pyramid).Using<(double X, double Y)>(AreNear));
            Assert.That((world.Position.X, world.Position.Y), Is.EqualTo((1250.0, 1150.0)).Using<(double X, double Y)>(AreNear));
            Assert.That((world.HeadingMillidegrees, world.IsHolding, world.IsToolEngaged), Is.EqualTo((270_000, false, false)));
            Assert.That(PathSvg.Render(world), Does.Contain("<circle cx=\"1250\" cy=\"650\" r=\"18\""));
        });
        return result;
    }

    private static (double X, double Y) InMillimetres(PathPoint point) => (point.X / 1000.0, point.Y / 1000.0);

    private static double Square(double value) => value * value;

    private static bool AreNear((double X, double Y) a, (double X, double Y) b) => Math.Abs(a.X - b.X) <= Tolerance && Math.Abs(a.Y - b.Y) <= Tolerance;
}
