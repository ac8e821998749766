using System.Text;

namespace DeviceModels.Robot.World;

/// <summary>
/// Draws an arena in characters, for a terminal: '#' boxes and walls, '*' what the pen drew, '.' where the robot drove, 'o'
/// objects, and the robot as an arrow.
/// </summary>
public static class ArenaText
{
    private const string Arrows = "→↗↑↖←↙↓↘";

    /// <summary>Lines of <paramref name="columns"/> characters, walls included; a character is twice as high as wide.</summary>
    public static string Render(SimulatedBody world, int columns = 64)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(columns, 8);
        ArenaOptions arena = world.Arena;
        double cell = arena.Width / (double)(columns - 2);
        int rows = Math.Max(1, (int)Math.Round(arena.Height / (2 * cell)));
        var cells = new char[rows, columns - 2];
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns - 2; column++) cells[row, column] = ' ';
        }
        foreach (ObstacleOptions box in arena.Obstacles) Fill(box);
        ReadOnlySpan<PathPoint> points = world.Path.Points;
        for (int i = 1; i < points.Length; i++) Trace(points[i - 1], points[i]);
        foreach ((double x, double y) in world.Objects) Put(x, y, 'o');
        (double robotX, double robotY) = world.Position;
        Put(robotX, robotY, Arrows[(world.HeadingMillidegrees + 22_500) / 45_000 % 8]);

        var text = new StringBuilder();
        text.Append('#', columns).Append('\n');
        for (int row = rows - 1; row >= 0; row--)
        {
            text.Append('#');
            for (int column = 0; column < columns - 2; column++) text.Append(cells[row, column]);
            text.Append("#\n");
        }
        return text.Append('#', columns).Append('\n').ToString();

        int Column(double x) => Math.Clamp((int)(x / cell), 0, columns - 3);
        int Row(double y) => Math.Clamp((int)(y * rows / arena.Height), 0, rows - 1);

        void Put(double x, double y, char what) => cells[Row(y), Column(x)] = what;

        void Fill(ObstacleOptions box)
        {
            for (int row = Row(box.Y); row <= Row(box.Y + box.Height - 1); row++)
            {
                for (int column = Column(box.X); column <= Column(box.X + box.Width - 1); column++) cells[row, column] = '#';
            }
        }

        void Trace(PathPoint from, PathPoint to)
        {
            int steps = 1 + (int)(Math.Max(Math.Abs((double)to.X - from.X), Math.Abs((double)to.Y - from.Y)) / (cell * 500));
            for (int i = 0; i <= steps; i++)
            {
                double x = (from.X + ((double)(to.X - from.X) * i / steps)) / 1000, y = (from.Y + ((double)(to.Y - from.Y) * i / steps)) / 1000;
                if (to.Drawn) Put(x, y, '*');
                else if (cells[Row(y), Column(x)] == ' ') Put(x, y, '.');
            }
        }
    }
}
