using DeviceModels.Robot.Contoso;
using DeviceModels.Robot.Proseware;
using Emulator.Models;

namespace DeviceModels.Robot;

/// <summary>The models of this assembly.</summary>
public static class RobotModels
{
    public static DeviceModel Proseware { get; } = new(
        "proseware-robot", "Toy robot with a pen: a mailbox and a command ring, in millimetres.", slot => new ProsewareRobot(slot));

    public static DeviceModel Contoso { get; } = new(
        "contoso-robot", "Toy robot with a gripper: 16-bit indexed registers and a descriptor list, in encoder ticks.", slot => new ContosoRobot(slot));

    public static IReadOnlyList<DeviceModel> All { get; } = [Proseware, Contoso];
}
