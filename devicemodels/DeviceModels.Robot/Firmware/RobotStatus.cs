using DeviceModels.Robot.World;

namespace DeviceModels.Robot.Firmware;

/// <summary>What a robot's electronics do at a moment.</summary>
/// <param name="Command">The command that runs, or null.</param>
/// <param name="Odometer">How far the wheels turned since the odometers were zeroed.</param>
/// <param name="LeftSpeed">The left wheel, um/s, 0 where it is not driven.</param>
/// <param name="RightSpeed">The right wheel.</param>
/// <param name="Bumpers">The bumpers pressed, by the arena or by a person.</param>
/// <param name="BatteryPercent">The charge, 0 to 100.</param>
public readonly record struct RobotStatus(
    RobotCommand? Command, WheelTravel Odometer, int LeftSpeed, int RightSpeed, Bumpers Bumpers, int BatteryPercent);
