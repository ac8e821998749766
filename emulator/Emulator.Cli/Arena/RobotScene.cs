using DeviceModels.Robot;
using DeviceModels.Robot.Firmware;
using DeviceModels.Robot.World;

namespace Emulator.Cli.Arena;

/// <summary>A robot as it was at a moment, for a thread that is not its own.</summary>
internal sealed class RobotScene
{
    /// <summary>Makes the copy. Device thread.</summary>
    public RobotScene(string name, IToyRobot robot) => (Name, World, Status) = (name, robot.World!.Copy(), robot.Status);

    /// <summary>The device's name in the lab.</summary>
    public string Name { get; }
    public SimulatedBody World { get; }
    public RobotStatus Status { get; private set; }

    /// <summary>Brings the copy up to date. Device thread; allocates nothing.</summary>
    public void Take(IToyRobot robot)
    {
        robot.World!.CopyTo(World);
        Status = robot.Status;
    }
}
