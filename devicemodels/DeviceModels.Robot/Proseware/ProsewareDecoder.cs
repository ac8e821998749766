using DeviceModels.Robot.Firmware;

namespace DeviceModels.Robot.Proseware;

/// <summary>A Proseware robot's numbers and units, translated to the firmware's.</summary>
internal static class ProsewareDecoder
{
    private const int Longest = 10_000, Fastest = 500, WidestTurn = 36_000, LongestWait = 600_000;
    private const int MicrometresPerMillimetre = 1000, MicrometresPerTenth = 100;

    /// <summary>A command, if opcode and arguments are in range.</summary>
    public static bool TryDecode(ProsewareOpcode opcode, int a, int b, out RobotCommand command)
    {
        RobotCommand? decoded = opcode switch
        {
            ProsewareOpcode.Nop when (a, b) == (0, 0) => new RobotCommand(Verb.Nop),
            ProsewareOpcode.Drive when IsWithin(a, Longest) && b is >= 1 and <= Fastest
                => new RobotCommand(Verb.Drive, a * MicrometresPerMillimetre, b * MicrometresPerMillimetre),
            ProsewareOpcode.Turn when IsWithin(a, WidestTurn) && b is >= 1 and <= Fastest
                => new RobotCommand(Verb.Turn, a * MicrometresPerTenth, b * MicrometresPerMillimetre),
            ProsewareOpcode.Velocity when IsWithin(a, Fastest) && IsWithin(b, Fastest)
                => new RobotCommand(Verb.Velocity, a * MicrometresPerMillimetre, b * MicrometresPerMillimetre),
            ProsewareOpcode.Stop when (a, b) == (0, 0) => new RobotCommand(Verb.Stop),
            ProsewareOpcode.Pen when a is 0 or 1 && b == 0 => new RobotCommand(Verb.Tool, a),
            ProsewareOpcode.Led when a is >= 0 and <= 0xffffff && b == 0 => new RobotCommand(Verb.Light, a),
            ProsewareOpcode.Wait when a is >= 0 and <= LongestWait && b == 0 => new RobotCommand(Verb.Wait, a),
            ProsewareOpcode.ZeroOdometer when (a, b) == (0, 0) => new RobotCommand(Verb.ZeroOdometer),
            _ => null,
        };
        command = decoded.GetValueOrDefault();
        return decoded.HasValue;
    }

    public static ProsewareResult ToResult(Outcome outcome) => outcome switch
    {
        Outcome.Ok => ProsewareResult.Ok,
        Outcome.Blocked => ProsewareResult.Blocked,
        Outcome.Stalled => ProsewareResult.Stalled,
        Outcome.Aborted => ProsewareResult.Aborted,
        Outcome.Invalid => ProsewareResult.Invalid,
        Outcome.Busy => ProsewareResult.Busy,
        Outcome.Disabled => ProsewareResult.Disabled,
        Outcome.NoPower => ProsewareResult.NoPower,
        Outcome.Watchdog => ProsewareResult.Watchdog,
        _ => ProsewareResult.None,
    };

    private static bool IsWithin(int value, int most) => value >= -most && value <= most;
}
