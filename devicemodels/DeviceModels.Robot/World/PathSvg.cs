using System.Globalization;
using System.Text;

namespace DeviceModels.Robot.World;

/// <summary>
/// Draws an arena with what happened in it as SVG: the robot with its heading, light and bumpers, its path, what it drew or carried, a scale and
/// a legend. The same world gives the same text.
/// </summary>
public static class PathSvg
{
    private const string Ink = "#c2261b", Carried = "#e8a33d", Travel = "#8fa3c0", Thing = "#e0a21b", Box = "#98a1ad", Text = "#3c4350", Faint = "#6b7280";

    /// <summary>One SVG document, a unit a millimetre.</summary>
    public static string Render(SimulatedBody world) => new Drawing(world).Render();

    private sealed class Drawing(SimulatedBody world)
    {
        private readonly StringBuilder _svg = new();
        private readonly ArenaOptions _arena = world.Arena;

        // What explains the arena is as large as the arena asks for: the default one, 2000 mm long, has unit 1.
        private readonly double _unit = Math.Max(world.Arena.Width, world.Arena.Height) / 2000.0;

        private double _legendEnd;

        private string WorkName => world.Tool == RobotTool.Pen ? "drawn" : "carried";

        public string Render()
        {
            double left = -50 * _unit, top = -100 * _unit, width = _arena.Width + (100 * _unit), height = _arena.Height + (200 * _unit);
            double pixels = 1000 / Math.Max(width, height);
            Line($"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{N(left)} {N(top)} {N(width)} {N(height)}\" "
                + $"width=\"{N(width * pixels)}\" height=\"{N(height * pixels)}\" font-family=\"sans-serif\">");
            Line($"  <rect x=\"{N(left)}\" y=\"{N(top)}\" width=\"{N(width)}\" height=\"{N(height)}\" fill=\"#f3f4f6\"/>");
            AppendTitle();
            AppendArena();
            AppendPath(atWork: false, $"stroke=\"{Travel}\" stroke-width=\"{N(5 * _unit)}\" stroke-dasharray=\"{N(18 * _unit)} {N(12 * _unit)}\"");
            AppendPath(atWork: true, WorkStyle());
            AppendStart();
            AppendObjects();
            AppendRobot();
            AppendScale();
            AppendLegend();
            _svg.Append("</svg>\n");
            return _svg.ToString();
        }

        private void AppendTitle()
        {
            string name = world.Tool == RobotTool.Pen ? "Proseware robot" : "Contoso robot";
            (double travelled, double worked) = PathLengths();
            Line($"  <title>{name}</title>");
            Line($"  <text x=\"0\" y=\"{N(-34 * _unit)}\" font-size=\"{N(46 * _unit)}\" font-weight=\"bold\" fill=\"{Text}\">{name}</text>");
            Line($"  <text x=\"{_arena.Width}\" y=\"{N(-34 * _unit)}\" font-size=\"{N(32 * _unit)}\" text-anchor=\"end\" fill=\"{Faint}\">"
                + $"{Metres(travelled + worked)} driven, {Metres(worked)} {WorkName}</text>");
        }

        private void AppendArena()
        {
            Line($"  <rect x=\"0\" y=\"0\" width=\"{_arena.Width}\" height=\"{_arena.Height}\" fill=\"#fffef9\"/>");
            int step = RoundLength(_arena.Width / 8.0);
            _svg.Append(CultureInfo.InvariantCulture, $"  <path stroke=\"#e9e6da\" stroke-width=\"{N(2 * _unit)}\" d=\"");
            for (int x = step; x < _arena.Width; x += step) _svg.Append(CultureInfo.InvariantCulture, $"M {x} 0 V {_arena.Height} ");
            for (int y = step; y < _arena.Height; y += step) _svg.Append(CultureInfo.InvariantCulture, $"M 0 {_arena.Height - y} H {_arena.Width} ");
            _svg.Append("\"/>\n");
            foreach (ObstacleOptions box in _arena.Obstacles)
            {
                Line($"  <rect x=\"{box.X}\" y=\"{_arena.Height - box.Y - box.Height}\" width=\"{box.Width}\" height=\"{box.Height}\" fill=\"{Box}\" "
                    + $"stroke=\"#6f7885\" stroke-width=\"{N(4 * _unit)}\"/>");
            }
            Line($"  <rect x=\"0\" y=\"0\" width=\"{_arena.Width}\" height=\"{_arena.Height}\" fill=\"none\" "
                + $"stroke=\"{Text}\" stroke-width=\"{N(10 * _unit)}\"/>");
        }

        // One path element of a kind of line, a new subpath wherever the other kind came between.
        private void AppendPath(bool atWork, string style)
        {
            ReadOnlySpan<PathPoint> points = world.Path.Points;
            bool open = false, any = false;
            for (int i = 1; i < points.Length; i++)
            {
                if (points[i].AtWork != atWork) { open = false; continue; }
                _svg.Append(any ? "" : $"  <path fill=\"none\" {style} d=\"");
                if (!open) _svg.Append(any ? " M " : "M ").Append(Place(points[i - 1]));
                _svg.Append(" L ").Append(Place(points[i]));
                (open, any) = (true, true);
            }
            if (any) _svg.Append("\"/>\n");
        }

        private string WorkStyle()
            => (world.Tool == RobotTool.Pen
                ? $"stroke=\"{Ink}\" stroke-width=\"{N(9 * _unit)}\""
                : $"stroke=\"{Carried}\" stroke-width=\"{N(14 * _unit)}\" stroke-opacity=\"0.55\"")
                + " stroke-linejoin=\"round\" stroke-linecap=\"round\"";

        private void AppendStart()
        {
            double radians = -world.Start.Heading * Math.PI / 180, x = world.Start.X, y = _arena.Height - world.Start.Y;
            Line($"  <circle cx=\"{N(x)}\" cy=\"{N(y)}\" r=\"{N(14 * _unit)}\" {StartStyle()}/>");
            Line($"  <path d=\"M {N(x + (14 * _unit * Math.Cos(radians)))} {N(y + (14 * _unit * Math.Sin(radians)))} "
                + $"L {N(x + (34 * _unit * Math.Cos(radians)))} {N(y + (34 * _unit * Math.Sin(radians)))}\" {StartStyle()}/>");
        }

        private string StartStyle() => $"fill=\"#ffffff\" stroke=\"#2f7d4f\" stroke-width=\"{N(5 * _unit)}\"";

        // Where an object was first is shown only when it is somewhere else now.
        private void AppendObjects()
        {
            for (int i = 0; i < world.Objects.Length; i++)
            {
                (double x, double y) = world.Objects[i];
                ObjectOptions first = _arena.Objects[i];
                if (Math.Abs(x - first.X) + Math.Abs(y - first.Y) < 1) continue;
                Line($"  <circle cx=\"{first.X}\" cy=\"{_arena.Height - first.Y}\" r=\"18\" fill=\"none\" stroke=\"{Thing}\" stroke-width=\"{N(4 * _unit)}\" "
                    + $"stroke-dasharray=\"{N(8 * _unit)} {N(6 * _unit)}\"/>");
            }
            foreach ((double x, double y) in world.Objects) Line($"  <circle cx=\"{N(x)}\" cy=\"{N(_arena.Height - y)}\" r=\"18\" {ThingStyle()}/>");
        }

        private string ThingStyle() => $"fill=\"{Thing}\" stroke=\"#8a5f06\" stroke-width=\"{N(3 * _unit)}\"";

        private void AppendRobot()
        {
            const int Radius = RobotBodySize.Radius;
            (double x, double y) = world.Position;
            Line($"  <g transform=\"translate({N(x)} {N(_arena.Height - y)}) rotate({N(-world.HeadingMillidegrees / 1000.0)})\">");
            Line($"    <circle r=\"{Radius}\" fill=\"#3b6ea5\" fill-opacity=\"0.88\" stroke=\"#1d3a5c\" stroke-width=\"5\"/>");
            Line($"    <path d=\"M -30 -60 H 30 M -30 60 H 30\" stroke=\"#1d1d1d\" stroke-width=\"18\" stroke-linecap=\"round\"/>");
            AppendBumper(Bumpers.FrontLeft, "M 77 0 A 77 77 0 0 0 13 -76");
            AppendBumper(Bumpers.FrontRight, "M 77 0 A 77 77 0 0 1 13 76");
            AppendBumper(Bumpers.Rear, "M -50 -59 A 77 77 0 0 0 -50 59");
            if (world.Tool == RobotTool.Gripper)
            {
                int opening = world.IsToolEngaged ? 20 : 34;
                Line($"    <path d=\"M 70 {-opening} H 116 M 70 {opening} H 116\" stroke=\"#1d3a5c\" stroke-width=\"9\" stroke-linecap=\"round\"/>");
            }
            else
            {
                Line($"    <circle r=\"9\" fill=\"{(world.IsToolEngaged ? Ink : "#ffffff")}\" stroke=\"#1d3a5c\" stroke-width=\"3\"/>");
            }
            Line($"    <path d=\"M 62 0 L 26 -24 L 26 24 Z\" fill=\"#ffffff\"/>");
            string light = world.Light == 0 ? "#26323f" : $"#{world.Light:x6}";
            Line($"    <circle cx=\"-40\" r=\"13\" fill=\"{light}\" stroke=\"#ffffff\" stroke-width=\"3\"/>");
            _svg.Append("  </g>\n");
        }

        private void AppendBumper(Bumpers bumper, string arc)
        {
            if ((world.Bumpers & bumper) != 0) Line($"    <path d=\"{arc}\" fill=\"none\" stroke=\"#ff4d3d\" stroke-width=\"12\" stroke-linecap=\"round\"/>");
        }

        private void AppendScale()
        {
            int length = RoundLength(_arena.Width / 4.0);
            double y = _arena.Height + (46 * _unit), tick = 10 * _unit;
            Line($"  <path d=\"M 0 {N(y - tick)} V {N(y + tick)} M 0 {N(y)} H {length} M {length} {N(y - tick)} V {N(y + tick)}\" "
                + $"stroke=\"{Text}\" stroke-width=\"{N(5 * _unit)}\"/>");
            Label(length + (16 * _unit), y, length >= 1000 ? string.Create(CultureInfo.InvariantCulture, $"{length / 1000.0} m") : $"{length} mm");
            _legendEnd += 60 * _unit;
        }

        private void AppendLegend()
        {
            Line($"  <g stroke-width=\"{N(5 * _unit)}\">");
            LegendLine($"stroke=\"{Travel}\" stroke-width=\"{N(5 * _unit)}\" stroke-dasharray=\"{N(18 * _unit)} {N(12 * _unit)}\"", "driven");
            LegendLine(WorkStyle(), WorkName);
            double r = 14 * _unit, y = LegendY;
            Line($"    <circle cx=\"{N(_legendEnd + r)}\" cy=\"{N(y)}\" r=\"{N(r)}\" {StartStyle()}/>");
            LegendText(2 * r, "start");
            if (_arena.Objects.Count > 0)
            {
                Line($"    <circle cx=\"{N(_legendEnd + r)}\" cy=\"{N(y)}\" r=\"{N(r)}\" {ThingStyle()}/>");
                LegendText(2 * r, "object");
            }
            if (_arena.Obstacles.Count > 0)
            {
                Line($"    <rect x=\"{N(_legendEnd)}\" y=\"{N(y - r)}\" width=\"{N(2 * r)}\" height=\"{N(2 * r)}\" fill=\"{Box}\" stroke=\"#6f7885\"/>");
                LegendText(2 * r, "obstacle");
            }
            _svg.Append("  </g>\n");
        }

        private double LegendY => _arena.Height + (46 * _unit);

        private void LegendLine(string style, string text)
        {
            double length = 70 * _unit;
            Line($"    <path d=\"M {N(_legendEnd)} {N(LegendY)} h {N(length)}\" {style}/>");
            LegendText(length, text);
        }

        private void LegendText(double symbol, string text)
        {
            Label(_legendEnd + symbol + (14 * _unit), LegendY, text);
            _legendEnd += 40 * _unit;
        }

        // Text has no width here; a sans-serif letter of that size is about 16 units wide, which is enough to keep labels apart.
        private void Label(double x, double y, string text)
        {
            Line($"  <text x=\"{N(x)}\" y=\"{N(y + (10 * _unit))}\" font-size=\"{N(30 * _unit)}\" fill=\"{Text}\">{text}</text>");
            _legendEnd = x + (16 * _unit * text.Length);
        }

        private (double Travelled, double Worked) PathLengths()
        {
            ReadOnlySpan<PathPoint> points = world.Path.Points;
            double travelled = 0, worked = 0;
            for (int i = 1; i < points.Length; i++)
            {
                double x = (double)points[i].X - points[i - 1].X, y = (double)points[i].Y - points[i - 1].Y, length = Math.Sqrt((x * x) + (y * y));
                if (points[i].AtWork) worked += length;
                else travelled += length;
            }
            return (travelled, worked);
        }

        private string Place(PathPoint point) => $"{N(point.X / 1000.0)} {N(_arena.Height - (point.Y / 1000.0))}";

        private void Line(string text) => _svg.Append(text).Append('\n');

        private static string Metres(double micrometres) => string.Create(CultureInfo.InvariantCulture, $"{micrometres / 1e6:0.0} m");

        private static string N(double value) => (Math.Round(value, 1) + 0.0).ToString("0.#", CultureInfo.InvariantCulture);

        // The longest of 1, 2 and 5 times a power of ten that is not above a length.
        private static int RoundLength(double most)
        {
            int length = 1;
            while (length * 10 <= most) length *= 10;
            return length * (most >= 5 * length ? 5 : most >= 2 * length ? 2 : 1);
        }
    }
}
