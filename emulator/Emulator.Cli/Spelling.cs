namespace Emulator.Cli;

/// <summary>Finds the word a person meant.</summary>
internal static class Spelling
{
    /// <summary>"did you mean "x"?" or a list of what there is, to end an error message with.</summary>
    public static string Suggest(string typed, IReadOnlyCollection<string> known)
        => Nearest(typed, known) is { } nearest ? $"did you mean \"{nearest}\"?" : $"known: {string.Join(", ", known)}";

    /// <summary>The known word within a third of its letters of what was typed, or null.</summary>
    public static string? Nearest(string typed, IEnumerable<string> known)
        => known.Select(word => (Word: word, Distance: Distance(typed.ToLowerInvariant(), word.ToLowerInvariant())))
            .Where(c => c.Distance <= Math.Max(1, c.Word.Length / 3) && c.Distance < c.Word.Length)
            .OrderBy(c => c.Distance)
            .Select(c => c.Word)
            .FirstOrDefault();

    // Levenshtein with transpositions of neighbours (optimal string alignment): the slips of a keyboard.
    private static int Distance(string a, string b)
    {
        var d = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++) d[i, 0] = i;
        for (int j = 0; j <= b.Length; j++) d[0, j] = j;
        for (int i = 1; i <= a.Length; i++)
        {
            for (int j = 1; j <= b.Length; j++)
            {
                int substitute = d[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                d[i, j] = Math.Min(substitute, Math.Min(d[i - 1, j], d[i, j - 1]) + 1);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i, j] = Math.Min(d[i, j], d[i - 2, j - 2] + 1);
            }
        }
        return d[a.Length, b.Length];
    }
}
