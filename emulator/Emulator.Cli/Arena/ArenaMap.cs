using DeviceModels.Robot;
using DeviceModels.Robot.World;

namespace Emulator.Cli.Arena;

/// <summary>
/// Draws a robot's arena in characters: walls as lines, everything else in braille dots, eight to a character, but for the objects and the
/// robot's arrow.
/// </summary>
internal sealed class ArenaMap
{
    private const string Arrows = "→↗↑↖←↙↓↘";
    private const int DotsAcross = 2, DotsDown = 4;

    // Unicode 15, chapter 21.1: the dot patterns from U+2800, a bit a dot.
    private static readonly byte[,] s_dots = { { 0x01, 0x08 }, { 0x02, 0x10 }, { 0x04, 0x20 }, { 0x40, 0x80 } };

    private readonly SimulatedBody _world;
    private readonly double _millimetresPerDot;
    private readonly int _columns, _rows;
    private readonly byte[,] _dots;
    private readonly Layer[,] _layers;

    // What is drawn later, and where several share a character gives it its colour.
    private enum Layer : byte { Nothing, Obstacle, Driven, Work, Robot }

    private ArenaMap(SimulatedBody world, int columns, int rows)
    {
        _world = world;
        _millimetresPerDot = Math.Max(world.Arena.Width / (double)(columns * DotsAcross), world.Arena.Height / (double)(rows * DotsDown));
        _columns = Math.Clamp((int)Math.Ceiling(world.Arena.Width / (_millimetresPerDot * DotsAcross)), 1, columns);
        _rows = Math.Clamp((int)Math.Ceiling(world.Arena.Height / (_millimetresPerDot * DotsDown)), 1, rows);
        _dots = new byte[_rows, _columns];
        _layers = new Layer[_rows, _columns];
    }

    /// <summary>Draws the arena, as large as it fits into a rectangle with its walls.</summary>
    /// <param name="columns">At least 3.</param>
    /// <param name="rows">At least 3.</param>
    /// <returns>Rows used.</returns>
    public static int Draw(TextGrid grid, int left, int top, int columns, int rows, SimulatedBody world)
    {
        var map = new ArenaMap(world, columns - 2, rows - 2);
        map.Mark();
        map.PutOn(grid, left, top);
        return map._rows + 2;
    }

    private void Mark()
    {
        foreach (ObstacleOptions box in _world.Arena.Obstacles)
        {
            for (double y = box.Y + (_millimetresPerDot / 2); y < box.Y + box.Height; y += _millimetresPerDot)
            {
                for (double x = box.X + (_millimetresPerDot / 2); x < box.X + box.Width; x += _millimetresPerDot) Dot(x, y, Layer.Obstacle);
            }
        }
        ReadOnlySpan<PathPoint> points = _world.Path.Points;
        for (int i = 1; i < points.Length; i++) Line(points[i - 1], points[i]);
        (double robotX, double robotY) = _world.Position;
        int around = Math.Max(8, (int)(Math.Tau * RobotBodySize.Radius / _millimetresPerDot));
        for (int i = 0; i < around; i++)
        {
            double angle = Math.Tau * i / around;
            Dot(robotX + (RobotBodySize.Radius * Math.Cos(angle)), robotY + (RobotBodySize.Radius * Math.Sin(angle)), Layer.Robot);
        }
    }

    private void PutOn(TextGrid grid, int left, int top)
    {
        string wall = new('─', _columns);
        grid.Put(left, top, $"┌{wall}┐");
        grid.Put(left, top + _rows + 1, $"└{wall}┘");
        for (int row = 0; row < _rows; row++)
        {
            grid.Put(left, top + 1 + row, '│');
            grid.Put(left + 1 + _columns, top + 1 + row, '│');
            for (int column = 0; column < _columns; column++)
            {
                if (_dots[row, column] != 0) grid.Put(left + 1 + column, top + 1 + row, (char)(0x2800 + _dots[row, column]), ColourOf(_layers[row, column]));
            }
        }
        foreach ((double x, double y) in _world.Objects) Put(x, y, '●', "1;33");
        (double robotX, double robotY) = _world.Position;
        Put(robotX, robotY, Arrows[(_world.HeadingMillidegrees + 22_500) / 45_000 % 8], "1;36");

        void Put(double x, double y, char what, string colour)
        {
            (int column, int row) = Place(x, y);
            grid.Put(left + 1 + (column / DotsAcross), top + 1 + (row / DotsDown), what, colour);
        }
    }

    private string ColourOf(Layer layer) => layer switch
    {
        Layer.Obstacle => "90",
        Layer.Driven => "34",
        Layer.Work => _world.Tool == RobotTool.Pen ? "31" : "33",
        _ => _world.Bumpers == Bumpers.None ? "36" : "1;91",
    };

    private void Line(PathPoint from, PathPoint to)
    {
        double dx = (double)to.X - from.X, dy = (double)to.Y - from.Y;
        int steps = 1 + (int)(Math.Max(Math.Abs(dx), Math.Abs(dy)) / (_millimetresPerDot * 500));
        for (int i = 0; i <= steps; i++)
        {
            // A path that was only driven has a gap at every third dot.
            if (to.AtWork || i % 6 < 4) Dot((from.X + (dx * i / steps)) / 1000, (from.Y + (dy * i / steps)) / 1000, to.AtWork ? Layer.Work : Layer.Driven);
        }
    }

    private void Dot(double x, double y, Layer layer)
    {
        (int column, int row) = Place(x, y);
        _dots[row / DotsDown, column / DotsAcross] |= s_dots[row % DotsDown, column % DotsAcross];
        ref Layer there = ref _layers[row / DotsDown, column / DotsAcross];
        if (layer > there) there = layer;
    }

    // Dots from the upper left corner.
    private (int Column, int Row) Place(double x, double y)
        => (Math.Clamp((int)(x / _millimetresPerDot), 0, (_columns * DotsAcross) - 1),
            Math.Clamp((int)((_world.Arena.Height - y) / _millimetresPerDot), 0, (_rows * DotsDown) - 1));
}
