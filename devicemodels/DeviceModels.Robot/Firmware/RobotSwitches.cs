using System.Globalization;
using DeviceModels.Robot.World;
using Emulator.Interrupts;
using Emulator.Models;

namespace DeviceModels.Robot.Firmware;

/// <summary>What a person can break in a running robot.</summary>
internal static class RobotSwitches
{
    /// <param name="spurious">An interrupt source that no status bit tells of.</param>
    public static IEnumerable<DeviceSwitch> For(RobotFirmware firmware, RobotMemory memory, InterruptSource spurious)
    {
        yield return Choice("motor", "Blocks wheels, so that motions stall.", firmware.StalledWheels, w => firmware.StalledWheels = w,
            ("ok", RobotFaults.None), ("stall-left", RobotFaults.StallLeft), ("stall-right", RobotFaults.StallRight),
            ("stall-both", RobotFaults.StallLeft | RobotFaults.StallRight));
        yield return Choice("range", "Kills the range finders.", false, dead => firmware.IsRangeDead = dead, ("ok", false), ("dead", true));
        yield return Choice("bumper", "Holds bumpers down.", Bumpers.None, b => firmware.HeldBumpers = b,
            ("free", Bumpers.None), ("front", Bumpers.Front), ("rear", Bumpers.Rear));
        yield return Choice("dma", "Makes every DMA transfer fail.", false, broken => memory.IsBroken = broken, ("ok", false), ("error", true));
        yield return new DeviceSwitch("battery", "The charge in percent, 0 to 100.", [],
            () => firmware.ReadBattery(100).ToString(CultureInfo.InvariantCulture), value =>
            {
                if (!int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int percent) || percent > 100)
                    return $"battery takes a whole number from 0 to 100; not '{value}'";
                firmware.SetBattery(percent);
                return null;
            });
        yield return new DeviceSwitch("interrupt", "Raises an interrupt without a cause, once.", ["quiet", "spurious"], () => "quiet", value =>
        {
            if (string.Equals(value, "spurious", StringComparison.OrdinalIgnoreCase)) (spurious.Level, spurious.Level) = (true, false);
            return null;
        });
    }

    private static DeviceSwitch Choice<T>(string name, string summary, T initial, Action<T> set, params (string Name, T Value)[] choices)
    {
        string present = choices.First(c => Equals(c.Value, initial)).Name;
        return new DeviceSwitch(name, summary, [.. choices.Select(c => c.Name)], () => present, value =>
        {
            (string chosen, T meant) = choices.First(c => string.Equals(c.Name, value, StringComparison.OrdinalIgnoreCase));
            present = chosen;
            set(meant);
            return null;
        });
    }
}
