namespace DeviceModels.Robot.Firmware;

/// <summary>What both robots can do, in the firmware's own units.</summary>
public enum Verb : byte
{
    Nop,
    /// <summary>A: um, signed. B: um/s.</summary>
    Drive,
    /// <summary>A: um of each wheel, positive counter-clockwise. B: um/s.</summary>
    Turn,
    /// <summary>A: left, B: right um/s, signed.</summary>
    Velocity,
    Stop,
    /// <summary>A: 1 lowers the pen or closes the gripper, 0 the reverse.</summary>
    Tool,
    /// <summary>A: red, green, blue in bits 23:0.</summary>
    Light,
    /// <summary>A: milliseconds.</summary>
    Wait,
    ZeroOdometer,
}

/// <summary>A command that passed the checks of the registers it came through.</summary>
public readonly record struct RobotCommand(Verb Verb, int A = 0, int B = 0)
{
    public bool IsMotion => Verb is Verb.Drive or Verb.Turn or Verb.Velocity;
}

/// <summary>How a command ended. Each robot has numbers of its own for these.</summary>
internal enum Outcome : byte
{
    /// <summary>It runs still.</summary>
    Running,
    Ok,
    Blocked,
    Stalled,
    Aborted,
    Invalid,
    Busy,
    Disabled,
    NoPower,
    Watchdog,
}

/// <summary>What went wrong, as both robots number it in FAULTS and ERROR.</summary>
[Flags]
internal enum RobotFaults : byte
{
    None = 0,
    StallLeft = 1,
    StallRight = 2,
    Watchdog = 4,
    Dma = 8,
    Program = 16,
    Sensor = 32,
    Command = 64,
    Power = 128,
}

/// <summary>The charge against the thresholds.</summary>
internal enum BatteryLevel : byte { Normal, Low, Critical, Empty }

/// <summary>The registers' side of the firmware: what it tells them.</summary>
internal interface IRobotPanel
{
    /// <summary>A command that <see cref="RobotFirmware.Start"/> left running has ended.</summary>
    void CommandEnded(Outcome outcome);

    /// <summary>The time that <see cref="RobotFirmware.ScheduleFetch"/> asked for has come.</summary>
    void Fetch();

    void FaultsRose(RobotFaults faults);
    void BumpersPressed(World.Bumpers bumpers);

    /// <summary>The front range fell below the limit.</summary>
    void CameNear();

    /// <summary>The charge fell to a lower level.</summary>
    void BatteryFell();

    /// <summary>Time for a telemetry record.</summary>
    void WriteTelemetry();

    /// <summary>After the wheels stopped and the running command ended.</summary>
    void WatchdogExpired();
}

/// <summary>Arithmetic both register maps need.</summary>
internal static class Units
{
    /// <summary>Divides to the nearest whole number, halves away from zero.</summary>
    public static long Round(long value, long divisor) => (value + ((value < 0 ? -divisor : divisor) / 2)) / divisor;
}
