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

    [TestCase("robotdrive", "interrupts (INTA, uio_pci_generic)", "q35")]
    [TestCase("robotdrive --poll", "polled", "pc")]
    public async Task A_program_draws_a_house_with_one_robot_and_builds_a_pyramid_with_the_other(string command, string how, string machine)
    {
        await using DeviceGuest guest = await DeviceGuest.BootAsync(
            [new GuestDevice("pen", slot => new ProsewareRobot(slot)), new GuestDevice("gripper", slot => new ContosoRobot(slot))],
            new GuestOptions { Modules = ["uio_pci_generic"], Machine = machine });

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
            Assert.That((world.HeadingMillidegrees, world.IsToolEngaged, world.Light), Is.EqualTo((270_000, false, 0xf5c211u)));
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
        Assert.That(guest.TraceOf("pen"), how == "polled" ? Does.Not.Contain("INTx") : Does.Contain("INTx"));
        Assert.That((await guest.RunAsync("dmesg")).Output, Does.Not.Contain("nobody cared"), "no interrupt storm");
    }

    private static (double X, double Y) InMillimetres(PathPoint point) => (point.X / 1000.0, point.Y / 1000.0);

    private static double Square(double value) => value * value;

    private static bool AreNear((double X, double Y) a, (double X, double Y) b) => Math.Abs(a.X - b.X) <= Tolerance && Math.Abs(a.Y - b.Y) <= Tolerance;
}
