namespace DeviceModels.Robot.World;

/// <summary>The robots' shape: a disc.</summary>
public static class RobotBodySize
{
    /// <summary>Millimetres.</summary>
    public const int Radius = 80;

    /// <summary>How far the range finders see from the rim, mm.</summary>
    public const int FarthestEcho = 2000;
}

/// <summary>What touches and what is seen in an arena. Lengths are millimetres.</summary>
internal static class ArenaGeometry
{
    /// <summary>Whether a robot's centre may be here.</summary>
    public static bool IsFree(ArenaOptions arena, double x, double y)
    {
        const double Radius = RobotBodySize.Radius;
        if (x < Radius || y < Radius || x > arena.Width - Radius || y > arena.Height - Radius) return false;
        for (int i = 0; i < arena.Obstacles.Count; i++)
        {
            (double dx, double dy) = ToNearest(arena.Obstacles[i], x, y);
            if ((dx * dx) + (dy * dy) < Radius * Radius) return false;
        }
        return true;
    }

    /// <summary>From a point to the nearest point of a box.</summary>
    public static (double Dx, double Dy) ToNearest(ObstacleOptions box, double x, double y)
        => (Math.Clamp(x, box.X, box.X + box.Width) - x, Math.Clamp(y, box.Y, box.Y + box.Height) - y);

    /// <summary>How far a ray from inside the arena goes before it meets a wall or a box.</summary>
    /// <param name="dx">The ray's direction, a unit vector.</param>
    /// <param name="dy">The ray's direction, a unit vector.</param>
    public static double CastRay(ArenaOptions arena, double x, double y, double dx, double dy)
    {
        double nearest = Math.Min(ToWall(x, dx, arena.Width), ToWall(y, dy, arena.Height));
        for (int i = 0; i < arena.Obstacles.Count; i++) nearest = Math.Min(nearest, ToBox(arena.Obstacles[i], x, y, dx, dy));
        return nearest;
    }

    private static double ToWall(double at, double direction, double length)
        => direction > 0 ? (length - at) / direction : direction < 0 ? -at / direction : double.PositiveInfinity;

    // The slab method: the ray is inside the box where it is between both pairs of sides.
    private static double ToBox(ObstacleOptions box, double x, double y, double dx, double dy)
    {
        double enter = 0, leave = double.PositiveInfinity;
        if (!Narrow(x, dx, box.X, box.X + box.Width, ref enter, ref leave) || !Narrow(y, dy, box.Y, box.Y + box.Height, ref enter, ref leave))
            return double.PositiveInfinity;
        return enter;
    }

    private static bool Narrow(double at, double direction, double low, double high, ref double enter, ref double leave)
    {
        if (direction == 0) return at >= low && at <= high;
        double first = (low - at) / direction, second = (high - at) / direction;
        enter = Math.Max(enter, Math.Min(first, second));
        leave = Math.Min(leave, Math.Max(first, second));
        return enter <= leave;
    }
}

/// <summary>
/// Sine and cosine from whole quarters and a polynomial: the same bits on every machine, which a C library does not promise,
/// and exact for right angles.
/// </summary>
internal static class Direction
{
    /// <summary>Angles are counted in quarters of a millidegree.</summary>
    public const int Circle = 1_440_000;

    private const int Quarter = Circle / 4;

    /// <summary>The unit vector of an angle.</summary>
    /// <param name="angle">Any number of quarter millidegrees.</param>
    public static (double Cosine, double Sine) Of(long angle)
    {
        int reduced = (int)(((angle % Circle) + Circle) % Circle), quarter = reduced / Quarter, rest = reduced % Quarter;
        double cosine, sine;
        // Up to 45 degrees the polynomial is good to the last bit; beyond, the complement is.
        if (rest <= Quarter / 2) (cosine, sine) = (Cosine(rest), Sine(rest));
        else (cosine, sine) = (Sine(Quarter - rest), Cosine(Quarter - rest));
        return quarter switch
        {
            0 => (cosine, sine),
            1 => (-sine, cosine),
            2 => (-cosine, -sine),
            _ => (sine, -cosine),
        };
    }

    private static double Sine(int angle)
    {
        double x = angle * (Math.Tau / Circle), s = x * x;
        return x * (1 + (s * ((-1.0 / 6) + (s * ((1.0 / 120) + (s * ((-1.0 / 5040) + (s * ((1.0 / 362880) + (s * ((-1.0 / 39916800)
            + (s * (1.0 / 6227020800)))))))))))));
    }

    private static double Cosine(int angle)
    {
        double x = angle * (Math.Tau / Circle), s = x * x;
        return 1 + (s * (-0.5 + (s * ((1.0 / 24) + (s * ((-1.0 / 720) + (s * ((1.0 / 40320) + (s * ((-1.0 / 3628800)
            + (s * (1.0 / 479001600))))))))))));
    }
}
