namespace Emulator.Models;

/// <summary>
/// Something a person can change on a running device that its guest cannot: paper out, cable unplugged. Device thread only.
/// </summary>
/// <param name="Name">A short name, unique in its device, such as "paper".</param>
/// <param name="Summary">One line of help.</param>
/// <param name="Values">The values it takes; empty for free text.</param>
/// <param name="Get">Its present value.</param>
/// <param name="Set">Changes it. Returns null, or why the value cannot be taken.</param>
public sealed record DeviceSwitch(string Name, string Summary, IReadOnlyList<string> Values, Func<string> Get, Func<string, string?> Set)
{
    /// <summary>Sets it by name.</summary>
    /// <returns>Null, or one line saying what is wrong.</returns>
    public string? TrySet(string value)
    {
        if (Values.Count > 0 && !Values.Contains(value, StringComparer.OrdinalIgnoreCase))
            return $"{Name} takes {string.Join(", ", Values)}; not '{value}'";
        return Set(value);
    }
}
