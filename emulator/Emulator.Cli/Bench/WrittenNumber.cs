using System.Globalization;

namespace Emulator.Cli.Bench;

/// <summary>A number as steps and INFs have it: decimal, or hexadecimal with 0x.</summary>
internal static class WrittenNumber
{
    /// <summary>Reads a number; 0 where it is none.</summary>
    public static bool TryParse(string? text, out uint number)
    {
        if (text is not null && text.StartsWith("0x", StringComparison.OrdinalIgnoreCase))
            return uint.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out number);
        return uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }
}
