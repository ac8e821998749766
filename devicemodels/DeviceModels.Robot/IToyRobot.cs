using DeviceModels.Robot.Firmware;
using DeviceModels.Robot.World;

namespace DeviceModels.Robot;

/// <summary>What can be seen of a toy robot from outside, whatever its registers look like. Device thread only.</summary>
public interface IToyRobot
{
    /// <summary>The mechanics where they are simulated: what <see cref="PathSvg"/> draws.</summary>
    SimulatedBody? World { get; }

    /// <summary>What its electronics do now.</summary>
    RobotStatus Status { get; }
}
