using System.Globalization;

namespace Emulator.Cli.Arena;

/// <summary>A whole screen: the robots side by side, or one of them, with the latest messages below.</summary>
internal static class ArenaScreen
{
    private const int NarrowestPanel = 36, LowestScreen = 14, TextRows = 4, MostMessages = 6, BatteryCells = 10;

    /// <summary>How many robots a screen has room for beside each other, at least 1.</summary>
    public static int RoomFor(int columns) => Math.Max(1, columns / NarrowestPanel);

    /// <summary>Draws a screen.</summary>
    /// <param name="scenes">The robots, at least one.</param>
    /// <param name="first">The robot at the left; those that fit beside it follow.</param>
    /// <param name="beside">How many to show beside each other, if there is room.</param>
    /// <param name="messages">Lines for a person, oldest first; the last ones are shown.</param>
    public static TextGrid Draw(IReadOnlyList<RobotScene> scenes, int first, int beside, IReadOnlyList<string> messages, int columns, int rows)
    {
        var grid = new TextGrid(Math.Max(1, columns), Math.Max(1, rows));
        if (columns < NarrowestPanel || rows < LowestScreen)
        {
            grid.Put(0, 0, $"The arena needs {NarrowestPanel} columns and {LowestScreen} rows.");
            return grid;
        }
        int shown = Math.Min(Math.Min(beside, RoomFor(columns)), scenes.Count), width = (columns + 1) / shown;
        int log = Math.Min(messages.Count, Math.Min(MostMessages, (rows - LowestScreen) / 3)), mapRows = rows - log - TextRows - 2, used = 0;
        for (int i = 0; i < shown; i++)
        {
            RobotScene scene = Scene(i);
            grid.Put(Column(i), 0, scene.Name, "1");
            grid.Put(Column(i) + scene.Name.Length + 2, 0, RobotText.Command(scene), "32");
            used = Math.Max(used, ArenaMap.Draw(grid, Column(i), 1, width - 1, mapRows, scene.World));
        }
        for (int i = 0; i < shown; i++) DescribeRobot(grid, Column(i), 1 + used, Scene(i));
        for (int i = 0; i < log; i++) grid.Put(0, rows - 1 - log + i, messages[messages.Count - log + i]);
        grid.Put(0, rows - 1, scenes.Count == 1 ? "Ctrl-C ends it" : "Tab: the next robot, or all   Ctrl-C ends it", "2");
        return grid;

        int Column(int i) => i * width;
        RobotScene Scene(int i) => scenes[(first + i) % scenes.Count];
    }

    private static void DescribeRobot(TextGrid grid, int left, int row, RobotScene scene)
    {
        grid.Put(left, row++, RobotText.Pose(scene));
        grid.Put(left, row++, RobotText.Wheels(scene));
        int filled = (scene.Status.BatteryPercent * BatteryCells + 99) / 100;
        int column = grid.Put(left, row, "battery ");
        string charge = scene.Status.BatteryPercent > 20 ? "32" : "31";
        column = grid.Put(column, row, new string('█', filled), charge);
        column = grid.Put(column, row, new string('░', BatteryCells - filled), charge);
        column = grid.Put(column, row, string.Create(CultureInfo.InvariantCulture, $" {scene.Status.BatteryPercent} %  "));
        uint light = scene.World.Light;
        column = grid.Put(column, row, light == 0 ? "○" : "●", light == 0 ? null : $"38;2;{light >> 16};{light >> 8 & 0xff};{light & 0xff}");
        grid.Put(column, row++, light == 0 ? " light off" : $" #{light:x6}");
        column = grid.Put(left, row, RobotText.Tool(scene) + "  ");
        grid.Put(column, row, RobotText.BumpersOf(scene), scene.Status.Bumpers == DeviceModels.Robot.World.Bumpers.None ? null : "1;91");
    }
}
