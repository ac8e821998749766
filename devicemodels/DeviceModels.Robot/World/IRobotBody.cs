namespace DeviceModels.Robot.World;

/// <summary>How far each wheel turned or shall turn, micrometres, negative backwards.</summary>
public readonly record struct WheelTravel(long Left, long Right)
{
    public static WheelTravel operator +(WheelTravel a, WheelTravel b) => new(a.Left + b.Left, a.Right + b.Right);
    public static WheelTravel operator -(WheelTravel a, WheelTravel b) => new(a.Left - b.Left, a.Right - b.Right);
}

/// <summary>Bumpers, as both robots number them.</summary>
[Flags]
public enum Bumpers : byte
{
    None = 0,
    FrontLeft = 1,
    FrontRight = 2,
    Rear = 4,
    Front = FrontLeft | FrontRight,
}

/// <summary>
/// The mechanics of a robot behind its electronics: the simulation, or a real toy. Called on the device thread only, and only
/// in device time; it must not block.
/// </summary>
public interface IRobotBody
{
    /// <summary>The bumpers pressed now.</summary>
    Bumpers Bumpers { get; }

    /// <summary>The gyroscope: thousandths of a degree, 0 to 359999, counter-clockwise.</summary>
    int HeadingMillidegrees { get; }

    /// <summary>Whether the gripper holds something; false for a pen.</summary>
    bool IsHolding { get; }

    /// <summary>Power came. A simulation puts everything back to its start; a toy stays where it is.</summary>
    void PowerOn();

    /// <summary>Turns the wheels for one control period of 5 ms.</summary>
    /// <param name="wanted">At most 2500 um a wheel.</param>
    /// <returns>How far they turned: less where something is in the way.</returns>
    WheelTravel Move(WheelTravel wanted);

    /// <summary>Measures from the rim.</summary>
    /// <param name="bearing">Degrees counter-clockwise from straight ahead.</param>
    /// <returns>Millimetres, or -1 without an echo.</returns>
    int MeasureRange(int bearing);

    /// <summary>Lowers the pen or closes the gripper, or the reverse.</summary>
    void SetTool(bool engaged);

    /// <summary>The light, red 23:16, green 15:8, blue 7:0.</summary>
    void SetLight(uint rgb);
}
