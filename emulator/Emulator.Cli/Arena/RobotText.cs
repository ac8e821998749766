using System.Globalization;
using DeviceModels.Robot.Firmware;
using DeviceModels.Robot.World;

namespace Emulator.Cli.Arena;

/// <summary>What a robot does, in words.</summary>
internal static class RobotText
{
    /// <summary>Such as "x 550, y 250 mm, heading 90.0°".</summary>
    public static string Pose(RobotScene scene)
    {
        (double x, double y) = scene.World.Position;
        return Say($"x {x:0}, y {y:0} mm, heading {scene.World.HeadingMillidegrees / 1000.0:0.0}°");
    }

    /// <summary>The running command with its arguments, or "idle".</summary>
    public static string Command(RobotScene scene) => scene.Status.Command switch
    {
        null when (scene.Status.LeftSpeed, scene.Status.RightSpeed) != (0, 0) => "drives on",
        null => "idle",
        { Verb: Verb.Drive } c => Say($"drive {c.A / 1000} mm at {c.B / 1000} mm/s"),
        { Verb: Verb.Turn } c => Say($"turn {c.A / 1000.0:0.0}° at {c.B / 1000} mm/s"),
        { Verb: Verb.Tool } c => Tool(scene.World.Tool, c.A != 0, "close gripper", "open gripper", "lower pen", "lift pen"),
        { Verb: Verb.Wait } c => Say($"wait {c.A} ms"),
        { } c => c.Verb.ToString(),
    };

    public static string Tool(RobotScene scene)
        => scene.World.IsHolding
            ? "gripper holds an object"
            : Tool(scene.World.Tool, scene.World.IsToolEngaged, "gripper closed", "gripper open", "pen down", "pen up");

    /// <summary>Odometers and speeds.</summary>
    public static string Wheels(RobotScene scene)
    {
        RobotStatus now = scene.Status;
        return Say($"wheels {now.Odometer.Left / 1000}, {now.Odometer.Right / 1000} mm at {now.LeftSpeed / 1000}, {now.RightSpeed / 1000} mm/s");
    }

    /// <summary>The bumpers that are pressed.</summary>
    public static string BumpersOf(RobotScene scene)
    {
        Bumpers pressed = scene.Status.Bumpers;
        string[] names = [.. Names().Where(n => n.Length > 0)];
        return names.Length == 0 ? "bumpers free" : "BUMP " + string.Join(", ", names);

        IEnumerable<string> Names()
        {
            yield return (pressed & Bumpers.Front) switch
            {
                Bumpers.Front => "front",
                Bumpers.FrontLeft => "front left",
                Bumpers.FrontRight => "front right",
                _ => "",
            };
            yield return (pressed & Bumpers.Rear) != 0 ? "rear" : "";
        }
    }

    /// <summary>All of it in one line, for where there is no screen.</summary>
    public static string Line(RobotScene scene)
        => Say($"{scene.Name}: {Pose(scene)}; {Command(scene)}; {Tool(scene)}; {BumpersOf(scene)}; battery {scene.Status.BatteryPercent} %");

    private static string Tool(RobotTool tool, bool engaged, string closed, string open, string down, string up)
        => tool == RobotTool.Pen ? (engaged ? down : up) : engaged ? closed : open;

    private static string Say(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
