namespace DeviceModels.Robot.World;

/// <summary>What the robot carries.</summary>
public enum RobotTool : byte { Pen, Gripper }

/// <summary>
/// A robot in a rectangular arena: a disc with two wheels that bumps into boxes, measures ranges, and draws or carries.
/// It moves by whole control periods only, so the result does not depend on who looks when; headings are whole
/// numbers, so nothing drifts. Device thread only.
/// </summary>
/// <remarks>
/// One degree is 1000 um a wheel: the heading is the difference of the wheels in half millidegrees, exactly.
/// </remarks>
public sealed class SimulatedBody : IRobotBody
{
    // The heading in quarter millidegrees: a micrometre of wheel difference is half a millidegree.
    private const int AnglePerMicrometre = 2;

    private const double NanometresPerMillimetre = 1e6;
    private const double BumperSkin = 1.0, GripperReach = 100.0, GripperOpening = 40.0;
    private const int CollisionParts = 16;

    private readonly RobotOptions _options;
    private readonly (double X, double Y)[] _objects;
    private long _x, _y, _moves;
    private int _angle;
    private bool _toolEngaged;
    private int _held;

    /// <exception cref="ArgumentException">The options are at fault; the message says where and how to mend it.</exception>
    public SimulatedBody(RobotOptions options, RobotTool tool)
    {
        if (options.FindFault() is { } fault) throw new ArgumentException(fault, nameof(options));
        (_options, Tool) = (options, tool);
        _objects = new (double, double)[options.Arena.Objects.Count];
        PowerOn();
    }


    public ArenaOptions Arena => _options.Arena;
    public RobotTool Tool { get; }

    /// <summary>The centre, millimetres.</summary>
    public (double X, double Y) Position => (_x / NanometresPerMillimetre, _y / NanometresPerMillimetre);
    public int HeadingMillidegrees => _angle / 4;
    public Bumpers Bumpers { get; private set; }
    public bool IsHolding => _held >= 0;

    /// <summary>The pen is down, or the gripper closed.</summary>
    public bool IsToolEngaged => _toolEngaged;

    /// <summary>The light, red 23:16, green 15:8, blue 7:0.</summary>
    public uint Light { get; private set; }

    /// <summary>Where it went since power-on.</summary>
    public RobotPath Path { get; } = new();

    /// <summary>Runs just before power-on puts everything back to its start: the last look at what happened. Device thread.</summary>
    public Action? PoweringOn { get; set; }

    /// <summary>Whether it moved, turned or did anything else since power-on.</summary>
    public bool IsUntouched => _moves == 0 && !_toolEngaged && Light == 0;

    /// <summary>Where it stood at power-on.</summary>
    public PoseOptions Start => _options.Start;

    /// <summary>Where the objects are, millimetres; one that is held is at the gripper.</summary>
    public ReadOnlySpan<(double X, double Y)> Objects => _objects;

    /// <summary>The world as it is now, for another thread to draw.</summary>
    public SimulatedBody Copy()
    {
        var copy = new SimulatedBody(_options, Tool);
        CopyTo(copy);
        return copy;
    }

    /// <summary>Makes a copy of this world that was taken earlier show it as it is now. Allocates nothing.</summary>
    public void CopyTo(SimulatedBody copy)
    {
        (copy._x, copy._y, copy._moves, copy._angle, copy._toolEngaged, copy._held) = (_x, _y, _moves, _angle, _toolEngaged, _held);
        (copy.Bumpers, copy.Light) = (Bumpers, Light);
        _objects.CopyTo(copy._objects, 0);
        Path.CopyTo(copy.Path);
    }

    public void PowerOn()
    {
        PoweringOn?.Invoke();
        _x = (long)_options.Start.X * (long)NanometresPerMillimetre;
        _y = (long)_options.Start.Y * (long)NanometresPerMillimetre;
        _angle = Wrap(_options.Start.Heading * (Direction.Circle / 360));
        (_moves, _held, _toolEngaged, Light) = (0, -1, false, 0);
        for (int i = 0; i < _objects.Length; i++) _objects[i] = (_options.Arena.Objects[i].X, _options.Arena.Objects[i].Y);
        Path.Begin((int)(_x / 1000), (int)(_y / 1000));
        FeelBumpers();
    }

    public WheelTravel Move(WheelTravel wanted)
    {
        _moves++;
        int parts = CollisionParts;
        if (!IsFreeAfter(wanted, parts))
        {
            // The farthest sixteenth that is free; where it stands now always is.
            int blocked = parts;
            parts = 0;
            while (blocked - parts > 1)
            {
                int middle = (parts + blocked) / 2;
                if (IsFreeAfter(wanted, middle)) parts = middle;
                else blocked = middle;
            }
        }
        WheelTravel done = Part(wanted, parts);
        if (done == default) return done;
        (long x, long y, int course) = After(done);
        bool shifted = x != _x || y != _y;
        (_x, _y) = (x, y);
        _angle = Wrap(_angle + (AnglePerMicrometre * (done.Right - done.Left)));
        if (shifted) Path.Extend((int)(x / 1000), (int)(y / 1000), Tool == RobotTool.Pen ? _toolEngaged : IsHolding, course, done.Left + done.Right > 0);
        if (_held >= 0) _objects[_held] = GripperPoint();
        FeelBumpers();
        return done;
    }

    public int MeasureRange(int bearing)
    {
        (double cosine, double sine) = Direction.Of(_angle + ((long)bearing * (Direction.Circle / 360)));
        (double x, double y) = Position;
        double range = ArenaGeometry.CastRay(_options.Arena, x, y, cosine, sine) - RobotBodySize.Radius;
        int measured = (int)Math.Clamp(Math.Round(range), 0, RobotBodySize.FarthestEcho + 1) + Noise(bearing);
        return measured > RobotBodySize.FarthestEcho ? -1 : Math.Max(0, measured);
    }

    public void SetTool(bool engaged)
    {
        if (_toolEngaged == engaged) return;
        _toolEngaged = engaged;
        if (Tool == RobotTool.Gripper) _held = engaged ? NearestInReach() : -1;
    }

    public void SetLight(uint rgb) => Light = rgb & 0xffffff;

    private static int Wrap(long angle) => (int)(((angle % Direction.Circle) + Direction.Circle) % Direction.Circle);

    private static WheelTravel Part(WheelTravel travel, int parts) => new(travel.Left * parts / CollisionParts, travel.Right * parts / CollisionParts);

    private bool IsFreeAfter(WheelTravel wanted, int parts)
    {
        (long x, long y, _) = After(Part(wanted, parts));
        // Turning on the spot moves no rim of a disc.
        return (x == _x && y == _y) || ArenaGeometry.IsFree(_options.Arena, x / NanometresPerMillimetre, y / NanometresPerMillimetre);
    }

    // Along the mean heading of the step: for 2.5 mm the chord and the arc differ by less than a nanometre a degree.
    private (long X, long Y, int Course) After(WheelTravel travel)
    {
        int course = Wrap(_angle + (AnglePerMicrometre * (travel.Right - travel.Left) / 2));
        (double cosine, double sine) = Direction.Of(course);
        double forward = (travel.Left + travel.Right) * 500.0;
        return (_x + (long)Math.Round(forward * cosine), _y + (long)Math.Round(forward * sine), course);
    }

    private void FeelBumpers()
    {
        (double x, double y) = Position;
        (double cosine, double sine) = Direction.Of(_angle);
        Bumpers felt = Feel(-x, 0) | Feel(_options.Arena.Width - x, 0) | Feel(0, -y) | Feel(0, _options.Arena.Height - y);
        for (int i = 0; i < _options.Arena.Obstacles.Count; i++)
        {
            (double dx, double dy) = ArenaGeometry.ToNearest(_options.Arena.Obstacles[i], x, y);
            felt |= Feel(dx, dy);
        }
        Bumpers = felt;

        // The front bumpers cover 80 degrees either side of straight ahead and overlap by 20; the rear one as much behind.
        Bumpers Feel(double dx, double dy)
        {
            const double Touch = RobotBodySize.Radius + BumperSkin, Edge = 0.17, Overlap = 0.34;
            double distance = Math.Sqrt((dx * dx) + (dy * dy));
            if (distance > Touch) return Bumpers.None;
            double ahead = (dx * cosine) + (dy * sine), left = (dy * cosine) - (dx * sine);
            if (ahead < -Edge * distance) return Bumpers.Rear;
            if (ahead <= Edge * distance) return Bumpers.None;
            return (left > -Overlap * distance ? Bumpers.FrontLeft : 0) | (left < Overlap * distance ? Bumpers.FrontRight : 0);
        }
    }

    private (double X, double Y) GripperPoint()
    {
        (double cosine, double sine) = Direction.Of(_angle);
        (double x, double y) = Position;
        return (x + (GripperReach * cosine), y + (GripperReach * sine));
    }

    private int NearestInReach()
    {
        (double x, double y) = GripperPoint();
        int nearest = -1;
        double least = GripperOpening * GripperOpening;
        for (int i = 0; i < _objects.Length; i++)
        {
            double dx = _objects[i].X - x, dy = _objects[i].Y - y, square = (dx * dx) + (dy * dy);
            if (square <= least) (nearest, least) = (i, square);
        }
        return nearest;
    }

    // A function of where the simulation is, never of how often somebody measured (SplitMix64, public domain).
    private int Noise(int bearing)
    {
        if (_options.RangeNoise == 0) return 0;
        ulong z = (ulong)_options.Seed + ((ulong)_moves * 0x9e3779b97f4a7c15) + ((ulong)(uint)bearing << 32);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        z ^= z >> 31;
        return (int)(z % (ulong)((2 * _options.RangeNoise) + 1)) - _options.RangeNoise;
    }
}
