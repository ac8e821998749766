using System.Text;

namespace Emulator.Testing;

/// <summary>A property that does not hold: says of what, why, after which steps, and the seed that finds them again.</summary>
public sealed class PropertyFailedException : Exception
{
    public PropertyFailedException() { }
    public PropertyFailedException(string message) : base(message) { }
    public PropertyFailedException(string message, Exception innerException) : base(message, innerException) { }

    internal static PropertyFailedException Create<T>(string subject, string property, string why, int seed, IReadOnlyList<T> steps)
    {
        var text = new StringBuilder($"{subject}: not so that {property}: {why}\nseed {seed}; the shortest sequence found:");
        foreach (T step in steps) text.Append("\n  ").Append(step);
        if (steps.Count == 0) text.Append(" none is needed");
        return new PropertyFailedException(text.ToString());
    }
}

/// <summary>Makes a failing sequence shorter as long as it still fails.</summary>
internal static class Shrinker
{
    // Enough for sequences of hundreds of steps; a bound, because each attempt runs the property again.
    private const int Attempts = 2_000;

    /// <param name="failing">A sequence for which <paramref name="check"/> gives a reason.</param>
    /// <param name="check">Null where the property holds, otherwise why not.</param>
    public static (IReadOnlyList<T> Steps, string Why) Shrink<T>(IReadOnlyList<T> failing, string why, Func<IReadOnlyList<T>, string?> check)
    {
        List<T> best = [.. failing];
        int attempts = 0;
        for (int chunk = Math.Max(1, best.Count / 2); chunk > 0; chunk /= 2)
        {
            for (int at = 0; at < best.Count && attempts < Attempts;)
            {
                List<T> shorter = [.. best];
                shorter.RemoveRange(at, Math.Min(chunk, best.Count - at));
                attempts++;
                if (check(shorter) is { } still) (best, why) = (shorter, still);
                else at += chunk;
            }
        }
        return (best, why);
    }
}
