using System.ComponentModel;
using System.Text.Json.Serialization;
using DeviceModels.Robot;
using DeviceModels.Robot.Contoso;
using DeviceModels.Robot.Proseware;
using DeviceModels.Robot.World;
using Emulator.Models;
using Emulator.Pci;

namespace Emulator.Cli.Lab;

/// <summary>A toy robot in a lab, in a simulated arena; see <see cref="RobotOptions"/>, whose defaults are used for what is left out.</summary>
internal abstract record RobotLabDevice : LabDevice
{
    [Description("The arena the robot drives in. Default: 2000 x 1500 mm with two boxes and three objects.")]
    public LabArena? Arena { get; set; }

    [Description("Where the robot stands at power-on. Default: at 400, 750, heading along the x axis.")]
    public LabPose? Start { get; set; }

    [Description("Capacity of the battery in milliwatt hours, 1 to 100000; driving takes 3.5 W. Default: 2000.")]
    public int? BatteryMilliwattHours { get; set; }

    [Description("Charge at power-on, percent. Default: 100.")]
    public int? BatteryPercent { get; set; }

    [Description("The range finders' error, mm either way, 0 to 1000. Default: 0, exact.")]
    public int? RangeNoise { get; set; }

    [Description("What the noise is drawn from: the same seed gives the same noise. Default: 1.")]
    public long? Seed { get; set; }

    [Description("The serial number the robot shows. Default: 1.")]
    public uint? Serial { get; set; }

    [Description("A file for a picture of the arena and of the robot's path in it (SVG), from the current directory; written at most twice a second while "
        + "the lab runs, and when it ends. Default: none.")]
    public string? PathSvg { get; set; }

    public override PciFunction Create(PciSlot slot, DeviceHost host)
    {
        RobotOptions options = Options();
        if (options.FindFault() is { } fault) throw new DeviceOptionsException(fault);
        (PciFunction robot, SimulatedBody world) = Create(slot, options);
        if (PathSvg is not null) host.Own(new RobotPicture(PathSvg, world, slot.Clock, host.Report));
        robot.AddSwitch(PictureSwitch(world));
        return robot;
    }

    // A person waits for the file, so it is written at once, on the device's thread: a millisecond.
    private static DeviceSwitch PictureSwitch(SimulatedBody world)
    {
        string last = "none";
        return new DeviceSwitch("picture", "Writes a picture of the arena as it is now (SVG) to the file named.", [], () => last, path =>
        {
            try
            {
                RobotPicture.Write(path, DeviceModels.Robot.World.PathSvg.Render(world));
                last = Path.GetFullPath(path);
                return null;
            }
            catch (Exception problem) when (problem is IOException or UnauthorizedAccessException or ArgumentException)
            {
                return $"cannot write the picture: {problem.Message}";
            }
        });
    }

    protected abstract (PciFunction Robot, SimulatedBody World) Create(PciSlot slot, RobotOptions options);

    private RobotOptions Options()
    {
        var defaults = new RobotOptions();
        return defaults with
        {
            Arena = new ArenaOptions
            {
                Width = Arena?.Width ?? defaults.Arena.Width,
                Height = Arena?.Height ?? defaults.Arena.Height,
                Obstacles = Arena?.Obstacles is { } boxes ? [.. boxes.Select(b => new ObstacleOptions(b.X, b.Y, b.Width, b.Height))] : defaults.Arena.Obstacles,
                Objects = Arena?.Objects is { } things ? [.. things.Select(t => new ObjectOptions(t.X, t.Y))] : defaults.Arena.Objects,
            },
            Start = new PoseOptions
            {
                X = Start?.X ?? defaults.Start.X,
                Y = Start?.Y ?? defaults.Start.Y,
                Heading = Start?.Heading ?? defaults.Start.Heading,
            },
            BatteryMilliwattHours = BatteryMilliwattHours ?? defaults.BatteryMilliwattHours,
            BatteryPercent = BatteryPercent ?? defaults.BatteryPercent,
            RangeNoise = RangeNoise ?? defaults.RangeNoise,
            Seed = Seed ?? defaults.Seed,
            Serial = Serial ?? defaults.Serial,
        };
    }
}

[Description("A toy robot with a pen: a mailbox and a command ring, in millimetres.")]
internal sealed record ProsewareLabDevice : RobotLabDevice
{
    [JsonIgnore]
    public override string Model => RobotModels.Proseware.Name;

    protected override (PciFunction Robot, SimulatedBody World) Create(PciSlot slot, RobotOptions options)
    {
        var world = new SimulatedBody(options, RobotTool.Pen);
        return (new ProsewareRobot(slot, options, world), world);
    }
}

[Description("A toy robot with a gripper: 16-bit indexed registers and a descriptor list, in encoder ticks.")]
internal sealed record ContosoLabDevice : RobotLabDevice
{
    [JsonIgnore]
    public override string Model => RobotModels.Contoso.Name;

    protected override (PciFunction Robot, SimulatedBody World) Create(PciSlot slot, RobotOptions options)
    {
        var world = new SimulatedBody(options, RobotTool.Gripper);
        return (new ContosoRobot(slot, options, world), world);
    }
}

/// <summary>See <see cref="ArenaOptions"/>.</summary>
internal sealed record LabArena
{
    [Description("Millimetres, 320 to 100000. Default: 2000.")]
    public int? Width { get; set; }

    [Description("Millimetres, 320 to 100000. Default: 1500.")]
    public int? Height { get; set; }

    [Description("Boxes the robot bumps into, at most 64. Default: two.")]
    public IReadOnlyList<LabObstacle>? Obstacles { get; set; }

    [Description("Small things a gripper can pick up, at most 64. Default: at 700, 750; 1300, 500; 500, 1200.")]
    public IReadOnlyList<LabThing>? Objects { get; set; }
}

internal sealed record LabObstacle
{
    [Description("The left edge, mm from the arena's left wall.")]
    public required int X { get; init; }

    [Description("The lower edge, mm from the arena's lower wall.")]
    public required int Y { get; init; }

    [Description("Millimetres.")]
    public required int Width { get; init; }

    [Description("Millimetres.")]
    public required int Height { get; init; }
}

internal sealed record LabThing
{
    [Description("The centre, mm from the arena's left wall.")]
    public required int X { get; init; }

    [Description("The centre, mm from the arena's lower wall.")]
    public required int Y { get; init; }
}

internal sealed record LabPose
{
    [Description("The centre, mm from the arena's left wall. Default: 400.")]
    public int? X { get; set; }

    [Description("The centre, mm from the arena's lower wall. Default: 750.")]
    public int? Y { get; set; }

    [Description("Degrees counter-clockwise from the x axis, -360 to 360. Default: 0.")]
    public int? Heading { get; set; }
}
