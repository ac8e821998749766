using DeviceModels.Robot.World;

namespace DeviceModels.Robot.Firmware;

/// <summary>Wheels that turn: to a goal, or until told otherwise. The default is wheels at rest.</summary>
internal struct Motion
{
    /// <summary>The control period of the motors, ns.</summary>
    public const long ControlPeriod = 5_000_000;

    // Control periods without movement after which a wheel counts as stalled.
    private const int StallPeriods = 50;

    private WheelTravel _goal, _done;
    private long _remainder, _remainderLeft, _remainderRight;
    private int _stalledLeft, _stalledRight;

    /// <summary>A wheel is driven.</summary>
    public bool IsDriven { get; private init; }

    /// <summary>It ends by itself, and a command waits for that.</summary>
    public bool HasGoal { get; private init; }

    /// <summary>Wheel speeds, um/s.</summary>
    public int Left { get; private init; }
    public int Right { get; private init; }

    /// <summary>The wheels have turned as far as they should.</summary>
    public readonly bool IsThere => HasGoal && _done == _goal;

    /// <summary>The wheels that are driven and have not turned for too long.</summary>
    public readonly RobotFaults Stalled
        => (_stalledLeft >= StallPeriods ? RobotFaults.StallLeft : 0) | (_stalledRight >= StallPeriods ? RobotFaults.StallRight : 0);

    /// <param name="goal">How far each wheel shall turn.</param>
    /// <param name="speed">Of both wheels, um/s; the one with less far to go is slower in proportion.</param>
    public static Motion To(WheelTravel goal, int speed)
        => new() { IsDriven = true, HasGoal = true, _goal = goal, Left = Math.Sign(goal.Left) * speed, Right = Math.Sign(goal.Right) * speed };

    /// <param name="left">um/s.</param>
    /// <param name="right">um/s.</param>
    public static Motion At(int left, int right) => new() { IsDriven = true, Left = left, Right = right };

    /// <summary>What the wheels shall turn in the next period. Speeds that are no whole number of micrometres a period carry the rest over.</summary>
    public WheelTravel NextStep()
    {
        if (!HasGoal) return new WheelTravel(Carry(Left, ref _remainderLeft), Carry(Right, ref _remainderRight));
        long length = Math.Max(Math.Abs(_goal.Left), Math.Abs(_goal.Right));
        long step = Carry(Math.Max(Math.Abs(Left), Math.Abs(Right)), ref _remainder);
        // Progress counts from what the wheels really did, so that an obstacle costs distance nowhere.
        long progress = Math.Min(length, Math.Max(Math.Abs(_done.Left), Math.Abs(_done.Right)) + step);
        return new WheelTravel(
            Math.Clamp((_goal.Left * progress / length) - _done.Left, -step, step),
            Math.Clamp((_goal.Right * progress / length) - _done.Right, -step, step));
    }

    /// <summary>A period is over: what the wheels should have turned, and what they did.</summary>
    public void StepDone(WheelTravel wanted, WheelTravel done)
    {
        _done += done;
        CountStall(ref _stalledLeft, wanted.Left, done.Left);
        CountStall(ref _stalledRight, wanted.Right, done.Right);
    }

    private static long Carry(long speed, ref long remainder)
    {
        const long PeriodsPerSecond = 1_000_000_000 / ControlPeriod;
        remainder += speed;
        long whole = remainder / PeriodsPerSecond;
        remainder %= PeriodsPerSecond;
        return whole;
    }

    private static void CountStall(ref int periods, long wanted, long done)
    {
        if (done != 0) periods = 0;
        else if (wanted != 0) periods++;
    }
}
