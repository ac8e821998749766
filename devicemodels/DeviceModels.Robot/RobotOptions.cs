namespace DeviceModels.Robot;

/// <summary>A robot and the arena it drives in, as a lab file describes them. Lengths are millimetres, y points up.</summary>
public sealed record RobotOptions
{
    /// <summary>The rectangle the robot cannot leave, and what stands in it.</summary>
    public ArenaOptions Arena { get; init; } = new();

    /// <summary>Where the robot stands at power-on.</summary>
    public PoseOptions Start { get; init; } = new();

    /// <summary>Capacity of the battery, milliwatt hours, 1 to 100000. Standing still takes 500 mW, driving 3.5 W.</summary>
    public int BatteryMilliwattHours { get; init; } = 2000;

    /// <summary>Charge at power-on, percent.</summary>
    public int BatteryPercent { get; init; } = 100;

    /// <summary>The range finders' error, millimetres either way; 0 is exact.</summary>
    public int RangeNoise { get; init; }

    /// <summary>What the noise is drawn from: the same seed gives the same noise.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>The serial number the robot shows.</summary>
    public uint Serial { get; init; } = 1;

    /// <summary>What is wrong with these options, in one line with the remedy; null if nothing is.</summary>
    public string? FindFault()
    {
        const int Radius = World.RobotBodySize.Radius;
        if (Arena.Width is < 4 * Radius or > 100_000 || Arena.Height is < 4 * Radius or > 100_000)
            return $"arena: {Arena.Width} x {Arena.Height} mm; give a width and height from {4 * Radius} to 100000";
        if (Arena.Obstacles.Count > ArenaOptions.MostThings || Arena.Objects.Count > ArenaOptions.MostThings)
            return $"arena: at most {ArenaOptions.MostThings} obstacles and as many objects";
        foreach (ObstacleOptions o in Arena.Obstacles)
        {
            if (o.X < 0 || o.Y < 0 || o.Width < 1 || o.Height < 1 || (long)o.X + o.Width > Arena.Width || (long)o.Y + o.Height > Arena.Height)
                return $"arena: the obstacle at {o.X}, {o.Y} of {o.Width} x {o.Height} mm is not inside; move it or make the arena larger";
        }
        foreach (ObjectOptions o in Arena.Objects)
        {
            if (o.X < 0 || o.Y < 0 || o.X > Arena.Width || o.Y > Arena.Height)
                return $"arena: the object at {o.X}, {o.Y} is not inside; move it or make the arena larger";
        }
        if (Start.Heading is < -360 or > 360) return $"start: heading {Start.Heading}; give degrees from -360 to 360";
        if (!World.ArenaGeometry.IsFree(Arena, Start.X, Start.Y))
            return $"start: a robot of radius {Radius} mm does not fit at {Start.X}, {Start.Y}; move the start or the obstacle there";
        if (BatteryMilliwattHours is < 1 or > 100_000) return $"batteryMilliwattHours: {BatteryMilliwattHours}; give 1 to 100000";
        if (BatteryPercent is < 0 or > 100) return $"batteryPercent: {BatteryPercent}; give 0 to 100";
        if (RangeNoise is < 0 or > 1000) return $"rangeNoise: {RangeNoise} mm; give 0 to 1000";
        return null;
    }
}

/// <summary>The arena: its lower left corner is 0, 0.</summary>
public sealed record ArenaOptions
{
    /// <summary>The most obstacles, and the most objects, an arena holds.</summary>
    public const int MostThings = 64;

    public int Width { get; init; } = 2000;
    public int Height { get; init; } = 1500;

    /// <summary>Boxes the robot bumps into and its range finders see.</summary>
    public IReadOnlyList<ObstacleOptions> Obstacles { get; init; } = [new(1500, 1000, 250, 200), new(900, 100, 120, 300)];

    /// <summary>Small things a gripper can pick up; they stop nobody.</summary>
    public IReadOnlyList<ObjectOptions> Objects { get; init; } = [new(700, 750), new(1300, 500), new(500, 1200)];
}

/// <summary>A box: its lower left corner and its size, mm.</summary>
public sealed record ObstacleOptions(int X, int Y, int Width, int Height);

/// <summary>A small thing: its centre, mm.</summary>
public sealed record ObjectOptions(int X, int Y);

/// <summary>A place, mm, and a heading, degrees counter-clockwise from the x axis.</summary>
public sealed record PoseOptions
{
    public int X { get; init; } = 400;
    public int Y { get; init; } = 750;
    public int Heading { get; init; }
}
