namespace Emulator.Benchmarks;

/// <summary>One line of the report.</summary>
/// <param name="Name">What was measured.</param>
/// <param name="Ours">The median, in <paramref name="Unit"/>.</param>
/// <param name="Rival">The rival's median in the same run, or null where there is none.</param>
/// <param name="Ratio">The median of the ratios ours/rival, pair by pair, or null.</param>
/// <param name="Unit">Of <paramref name="Ours"/> and <paramref name="Rival"/>.</param>
/// <param name="Limit">What is to be reached: the largest ratio where there is a rival, otherwise the largest value.</param>
/// <param name="Note">What the rival is, or how it was measured.</param>
internal sealed record Figure(string Name, double Ours, double? Rival, double? Ratio, string Unit, double Limit, string Note)
{
    public bool IsReached => (Ratio ?? Ours) <= Limit;
}

internal static class Statistics
{
    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
