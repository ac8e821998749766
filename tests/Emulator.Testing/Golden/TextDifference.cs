using System.Globalization;
using System.Text;

namespace Emulator.Testing;

/// <summary>The difference of two texts, line by line, for people.</summary>
internal static class TextDifference
{
    private const int Context = 2, MaxLines = 60, MaxCompared = 1000;

    /// <summary>Lines that left with "-", lines that came with "+", and a few around them; line numbers are the expected text's.</summary>
    public static string Of(string expected, string actual)
    {
        string[] before = expected.Split('\n'), after = actual.Split('\n');
        int head = 0, tail = 0, shorter = Math.Min(before.Length, after.Length);
        while (head < shorter && before[head] == after[head]) head++;
        while (tail < shorter - head && before[^(tail + 1)] == after[^(tail + 1)]) tail++;
        var output = new StringBuilder();
        int start = Math.Max(0, head - Context);
        output.Append(CultureInfo.InvariantCulture, $"@@ line {start + 1} @@\n");
        List<string> lines = [.. before[start..head].Select(l => $"  {l}")];
        lines.AddRange(Middle(before[head..^tail], after[head..^tail]));
        lines.AddRange(before[^tail..].Take(Context).Select(l => $"  {l}"));
        foreach (string line in lines.Take(MaxLines)) output.Append(line.TrimEnd()).Append('\n');
        if (lines.Count > MaxLines) output.Append(CultureInfo.InvariantCulture, $"  ... and {lines.Count - MaxLines} lines more\n");
        return output.ToString();
    }

    // The longest common subsequence; of very long texts, simply the old lines and then the new.
    private static IEnumerable<string> Middle(string[] before, string[] after)
    {
        if (before.Length > MaxCompared || after.Length > MaxCompared) return before.Select(l => $"- {l}").Concat(after.Select(l => $"+ {l}"));
        var common = new int[before.Length + 1, after.Length + 1];
        for (int i = before.Length - 1; i >= 0; i--)
        {
            for (int j = after.Length - 1; j >= 0; j--)
                common[i, j] = before[i] == after[j] ? common[i + 1, j + 1] + 1 : Math.Max(common[i + 1, j], common[i, j + 1]);
        }
        var lines = new List<string>();
        for (int i = 0, j = 0; i < before.Length || j < after.Length;)
        {
            if (i < before.Length && j < after.Length && before[i] == after[j])
            {
                lines.Add($"  {before[i++]}");
                j++;
            }
            else if (i < before.Length && (j == after.Length || common[i + 1, j] >= common[i, j + 1])) lines.Add($"- {before[i++]}");
            else lines.Add($"+ {after[j++]}");
        }
        return lines;
    }
}
