namespace DeviceModels.Robot.World;

/// <summary>A corner of a path.</summary>
/// <param name="X">Micrometres.</param>
/// <param name="Y">Micrometres.</param>
/// <param name="AtWork">Whether the pen drew, or the gripper carried something, on the way here from the corner before.</param>
public readonly record struct PathPoint(int X, int Y, bool AtWork);

/// <summary>
/// Where a robot went, as a line with corners. Bounded: what is straight costs nothing, arcs get a corner every two
/// degrees, and a full path drops every other corner.
/// </summary>
public sealed class RobotPath
{
    /// <summary>The most corners kept.</summary>
    public const int Capacity = 4096;

    // In quarter millidegrees.
    private const int Bend = 8_000;

    private readonly PathPoint[] _points = new PathPoint[Capacity];
    private int _anchor;
    private bool _forward, _open;

    /// <summary>Corners kept; the first is the start.</summary>
    public int Count { get; private set; }

    /// <summary>The corners, oldest first. Valid until the robot moves.</summary>
    public ReadOnlySpan<PathPoint> Points => _points.AsSpan(0, Count);

    internal void CopyTo(RobotPath copy)
    {
        (copy.Count, copy._anchor, copy._forward, copy._open) = (Count, _anchor, _forward, _open);
        Points.CopyTo(copy._points);
    }

    internal void Begin(int x, int y)
    {
        _points[0] = new PathPoint(x, y, false);
        (Count, _open) = (1, false);
    }

    /// <summary>The robot moved to a place.</summary>
    /// <param name="angle">Which way, quarter millidegrees from 0 below a circle.</param>
    internal void Extend(int x, int y, bool atWork, int angle, bool forward)
    {
        int turned = Math.Abs(angle - _anchor);
        bool straight = Math.Min(turned, Direction.Circle - turned) <= Bend;
        if (!_open || !straight || forward != _forward || _points[Count - 1].AtWork != atWork)
        {
            if (Count == Capacity) Thin();
            Count++;
            (_anchor, _forward, _open) = (angle, forward, true);
        }
        _points[Count - 1] = new PathPoint(x, y, atWork);
    }

    // A corner goes when the lines it joins are of one kind; a path that is all dashes loses its oldest half instead.
    private void Thin()
    {
        int kept = 1;
        for (int i = 1; i < Count; i++)
        {
            bool redundant = i % 2 == 1 && i + 1 < Count && _points[i].AtWork == _points[i + 1].AtWork;
            if (!redundant) _points[kept++] = _points[i];
        }
        if (kept > Capacity * 3 / 4)
        {
            Array.Copy(_points, kept - (Capacity / 2), _points, 0, Capacity / 2);
            kept = Capacity / 2;
        }
        Count = kept;
    }
}
