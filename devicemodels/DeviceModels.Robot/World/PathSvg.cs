using System.Globalization;
using System.Text;

namespace DeviceModels.Robot.World;

/// <summary>Draws an arena with what happened in it as SVG: the same world gives the same text.</summary>
public static class PathSvg
{
    private const int Margin = 40;

    /// <summary>One SVG document, a unit a millimetre.</summary>
    public static string Render(SimulatedBody world)
    {
        ArenaOptions arena = world.Arena;
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture,
            $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{-Margin} {-Margin} {arena.Width + (2 * Margin)} {arena.Height + (2 * Margin)}\"");
        svg.Append(CultureInfo.InvariantCulture, $" width=\"{arena.Width / 2}\" height=\"{arena.Height / 2}\">\n");
        svg.Append(CultureInfo.InvariantCulture,
            $"  <title>{(world.Tool == RobotTool.Pen ? "Proseware" : "Contoso")} robot</title>\n");
        svg.Append(CultureInfo.InvariantCulture,
            $"  <rect x=\"0\" y=\"0\" width=\"{arena.Width}\" height=\"{arena.Height}\" fill=\"#fdfdf8\" stroke=\"#333\" stroke-width=\"12\"/>\n");
        foreach (ObstacleOptions box in arena.Obstacles)
        {
            svg.Append(CultureInfo.InvariantCulture,
                $"  <rect x=\"{box.X}\" y=\"{arena.Height - box.Y - box.Height}\" width=\"{box.Width}\" height=\"{box.Height}\" fill=\"#8a8f98\"/>\n");
        }
        AppendPath(svg, world, drawn: false, "fill=\"none\" stroke=\"#b8c4d6\" stroke-width=\"5\" stroke-dasharray=\"18 14\"");
        AppendPath(svg, world, drawn: true, "fill=\"none\" stroke=\"#c2261b\" stroke-width=\"8\" stroke-linejoin=\"round\" stroke-linecap=\"round\"");
        foreach ((double x, double y) in world.Objects)
        {
            svg.Append(CultureInfo.InvariantCulture, $"  <circle cx=\"{Number(x)}\" cy=\"{Number(arena.Height - y)}\" r=\"18\" fill=\"#e0a21b\"/>\n");
        }
        AppendRobot(svg, world);
        svg.Append("</svg>\n");
        return svg.ToString();
    }

    // One path element of a kind of line, a new subpath wherever the other kind came between.
    private static void AppendPath(StringBuilder svg, SimulatedBody world, bool drawn, string style)
    {
        ReadOnlySpan<PathPoint> points = world.Path.Points;
        bool open = false, any = false;
        for (int i = 1; i < points.Length; i++)
        {
            if (points[i].Drawn != drawn) { open = false; continue; }
            svg.Append(any ? "" : $"  <path {style} d=\"");
            if (!open) svg.Append(any ? " M " : "M ").Append(Place(world, points[i - 1]));
            svg.Append(" L ").Append(Place(world, points[i]));
            (open, any) = (true, true);
        }
        if (any) svg.Append("\"/>\n");
    }

    private static void AppendRobot(StringBuilder svg, SimulatedBody world)
    {
        (double x, double y) = world.Position;
        int radius = RobotBodySize.Radius;
        double degrees = -world.HeadingMillidegrees / 1000.0;
        string light = world.Light == 0 ? "#ffffff" : $"#{world.Light:x6}";
        svg.Append(CultureInfo.InvariantCulture, $"  <g transform=\"translate({Number(x)} {Number(world.Arena.Height - y)}) rotate({Number(degrees)})\">\n");
        svg.Append(CultureInfo.InvariantCulture, $"    <circle r=\"{radius}\" fill=\"#3b6ea5\" fill-opacity=\"0.8\" stroke=\"#1d3a5c\" stroke-width=\"5\"/>\n");
        svg.Append("    <rect x=\"-30\" y=\"-69\" width=\"60\" height=\"18\" fill=\"#1d1d1d\"/>\n");
        svg.Append("    <rect x=\"-30\" y=\"51\" width=\"60\" height=\"18\" fill=\"#1d1d1d\"/>\n");
        if (world.Tool == RobotTool.Gripper)
        {
            int opening = world.IsToolEngaged ? 16 : 30;
            svg.Append(CultureInfo.InvariantCulture,
                $"    <path d=\"M 72 {-opening} H 118 M 72 {opening} H 118\" stroke=\"#1d3a5c\" stroke-width=\"8\"/>\n");
        }
        svg.Append(CultureInfo.InvariantCulture,
            $"    <path d=\"M 66 0 L 34 -20 L 34 20 Z\" fill=\"{light}\" stroke=\"#1d3a5c\" stroke-width=\"3\"/>\n  </g>\n");
    }

    private static string Place(SimulatedBody world, PathPoint point)
        => $"{Number(point.X / 1000.0)} {Number(world.Arena.Height - (point.Y / 1000.0))}";

    private static string Number(double value) => (Math.Round(value, 1) + 0.0).ToString("0.#", CultureInfo.InvariantCulture);
}
