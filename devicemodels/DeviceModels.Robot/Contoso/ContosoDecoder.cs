using DeviceModels.Robot.Firmware;

namespace DeviceModels.Robot.Contoso;

/// <summary>A Contoso robot's numbers and units, translated to the firmware's.</summary>
internal static class ContosoDecoder
{
    /// <summary>Micrometres of wheel travel in an encoder tick.</summary>
    public const int TickLength = 250;

    private const int Fastest = 2000, AnglesPerCircle = 65536, TravelPerCircle = 360_000, MillisecondsPerUnit = 10;

    /// <summary>A command, if opcode and parameters are in range.</summary>
    public static bool TryDecode(ContosoOpcode opcode, ushort p0, ushort p1, out RobotCommand command)
    {
        int a = (short)p0, b = (short)p1;
        RobotCommand? decoded = opcode switch
        {
            ContosoOpcode.Nop when (a, b) == (0, 0) => new RobotCommand(Verb.Nop),
            ContosoOpcode.Move when b is >= 1 and <= Fastest => new RobotCommand(Verb.Drive, a * TickLength, b * TickLength),
            ContosoOpcode.Turn when b is >= 1 and <= Fastest
                => new RobotCommand(Verb.Turn, (int)Units.Round((long)a * TravelPerCircle, AnglesPerCircle), b * TickLength),
            ContosoOpcode.Spin when IsWithin(a) && IsWithin(b) => new RobotCommand(Verb.Velocity, a * TickLength, b * TickLength),
            ContosoOpcode.Halt when (a, b) == (0, 0) => new RobotCommand(Verb.Stop),
            ContosoOpcode.Grip when a is 0 or 1 && b == 0 => new RobotCommand(Verb.Tool, a),
            ContosoOpcode.Light when b == 0 => new RobotCommand(Verb.Light, (int)ToRgb(p0)),
            ContosoOpcode.Wait when b == 0 => new RobotCommand(Verb.Wait, p0 * MillisecondsPerUnit),
            ContosoOpcode.ZeroEncoders when (a, b) == (0, 0) => new RobotCommand(Verb.ZeroOdometer),
            _ => null,
        };
        command = decoded.GetValueOrDefault();
        return decoded.HasValue;
    }

    public static ContosoResult ToResult(Outcome outcome) => outcome switch
    {
        Outcome.Ok => ContosoResult.Ok,
        Outcome.Blocked => ContosoResult.Bumped,
        Outcome.Stalled => ContosoResult.Stalled,
        Outcome.Aborted => ContosoResult.Halted,
        Outcome.Invalid => ContosoResult.Rejected,
        Outcome.Busy => ContosoResult.Busy,
        Outcome.Disabled => ContosoResult.Locked,
        Outcome.NoPower => ContosoResult.NoPower,
        Outcome.Watchdog => ContosoResult.Watchdog,
        _ => ContosoResult.None,
    };

    /// <summary>RGB565 as 24 bits, full scale to full scale.</summary>
    public static uint ToRgb(uint rgb565)
    {
        uint red = rgb565 >> 11 & 0x1f, green = rgb565 >> 5 & 0x3f, blue = rgb565 & 0x1f;
        return ((red << 3 | red >> 2) << 16) | ((green << 2 | green >> 4) << 8) | (blue << 3 | blue >> 2);
    }

    private static bool IsWithin(int value) => value is >= -Fastest and <= Fastest;
}
