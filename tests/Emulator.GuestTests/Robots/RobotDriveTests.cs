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
    public async Task A_program_draws_a_star_with_one_robot_and_fetches_an_object_with_the_other(string command, string how, string machine)
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
            PathPoint[] corners = [.. world.Path.Points];
            Assert.That(corners.Count(c => c.Drawn), Is.EqualTo(5), "the sides of the star");
            for (int side = 1; side <= 5; side++)
            {
                double x = corners[side].X - corners[side - 1].X, y = corners[side].Y - corners[side - 1].Y;
                Assert.That(Math.Sqrt((x * x) + (y * y)) / 1000, Is.EqualTo(400).Within(Tolerance));
            }
            Assert.That((world.Position.X, world.Position.Y), Is.EqualTo((400.0, 750.0)).Using<(double X, double Y)>(AreNear), "back where it began");
            Assert.That((world.HeadingMillidegrees, world.IsToolEngaged, world.Light), Is.EqualTo((0, false, 0xc2261bu)));
            string svg = PathSvg.Render(world);
            Assert.That(svg, Does.Match("stroke=\"#c2261b\"[^>]* d=\"M 400 750( L [0-9.]+ [0-9.]+){5}\""), "the star is drawn in one line");
        });
        guest.On("gripper", robot =>
        {
            SimulatedBody world = ((ContosoRobot)robot).World!;
            Assert.That(world.Objects[0], Is.EqualTo((300.0, 750.0)).Using<(double X, double Y)>(AreNear), "the object was carried");
            Assert.That(world.Objects[1], Is.EqualTo((1300.0, 500.0)), "and no other");
            Assert.That((world.Position.X, world.Position.Y), Is.EqualTo((450.0, 750.0)).Using<(double X, double Y)>(AreNear));
            Assert.That((world.HeadingMillidegrees, world.IsHolding, world.IsToolEngaged), Is.EqualTo((180_000, false, false)));
            Assert.That(PathSvg.Render(world), Does.Contain("<circle cx=\"300\" cy=\"750\" r=\"18\""));
        });
        Assert.That(guest.TraceOf("pen"), how == "polled" ? Does.Not.Contain("INTx") : Does.Contain("INTx"));
        Assert.That((await guest.RunAsync("dmesg")).Output, Does.Not.Contain("nobody cared"), "no interrupt storm");
    }

    private static bool AreNear((double X, double Y) a, (double X, double Y) b) => Math.Abs(a.X - b.X) <= Tolerance && Math.Abs(a.Y - b.Y) <= Tolerance;
}
