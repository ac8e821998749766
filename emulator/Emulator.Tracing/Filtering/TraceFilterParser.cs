using System.Globalization;
using Emulator.Observation;

namespace Emulator.Tracing;

/// <summary>Makes the parts of a <see cref="TraceFilter"/> of what a person typed. Every error is one line that names the valid choices.</summary>
public static class TraceFilterParser
{
    private const int ChoicesShown = 12;

    private static readonly (string Name, TraceKinds Kind)[] KindNames =
    [
        ("read", TraceKinds.Read), ("write", TraceKinds.Write), ("config", TraceKinds.Config), ("dma", TraceKinds.Dma),
        ("interrupt", TraceKinds.Interrupt), ("reset", TraceKinds.Reset), ("map", TraceKinds.Map), ("client", TraceKinds.Client),
        ("remark", TraceKinds.Remark), ("all", TraceKinds.All),
    ];

    /// <summary>The names <see cref="TryParseKinds"/> takes, for help and completion.</summary>
    public static IReadOnlyList<string> KindChoices { get; } = [.. KindNames.Select(k => k.Name)];

    /// <summary>Kinds, separated by commas: "read,write".</summary>
    /// <returns>Null, or what is wrong.</returns>
    public static string? TryParseKinds(string text, out TraceKinds kinds)
    {
        kinds = TraceKinds.None;
        foreach (string word in Words(text))
        {
            int at = Array.FindIndex(KindNames, k => k.Name.Equals(word, StringComparison.OrdinalIgnoreCase));
            if (at < 0) return $"'{word}' is no kind of event; choose from {string.Join(", ", KindChoices)}";
            kinds |= KindNames[at].Kind;
        }
        return kinds == TraceKinds.None ? $"no kind of event; choose from {string.Join(", ", KindChoices)}" : null;
    }

    /// <summary>Device names, separated by commas.</summary>
    /// <returns>Null, or what is wrong.</returns>
    public static string? TryParseDevices(string text, IReadOnlyList<TracedDevice> devices, out IReadOnlySet<string> names)
    {
        var found = new HashSet<string>(StringComparer.Ordinal);
        names = found;
        string choices = devices.Count == 0 ? "it has none" : $"choose from {Choices(devices.Select(d => d.Name))}";
        foreach (string word in Words(text))
        {
            if (!devices.Any(d => d.Name == word)) return $"the trace has no device '{TraceText.WithoutControls(word)}'; {choices}";
            found.Add(word);
        }
        return found.Count == 0 ? $"no device; {choices}" : null;
    }

    /// <summary>Patterns of register names, separated by commas; each must match some register or region of some device.</summary>
    /// <returns>Null, or what is wrong.</returns>
    public static string? TryParseRegisters(string text, IReadOnlyList<TracedDevice> devices, out IReadOnlyList<string> patterns)
    {
        string[] words = Words(text);
        patterns = words;
        foreach (string word in words)
        {
            if (!devices.Any(d => Matches(d, word))) return $"no register is called '{TraceText.WithoutControls(word)}'; {RegisterChoices(devices, word)}";
        }
        return words.Length == 0 ? $"no register; {RegisterChoices(devices, "")}" : null;
    }

    /// <summary>Patterns of functions, separated by commas; each must match a function that accesses some device.</summary>
    /// <returns>Null, or what is wrong.</returns>
    public static string? TryParseFunctions(string text, IReadOnlyList<TracedDevice> devices, out IReadOnlyList<string> patterns)
    {
        string[] words = Words(text);
        patterns = words;
        CodePlace[] places = [.. devices.SelectMany(d => d.CodePlaces)];
        if (places.Length == 0) return "the trace does not say which functions made its accesses; only those of `emulator bench run` do";
        string choices = $"choose from {Choices(places.Select(TraceFilter.FunctionOf).Distinct().Order())}; * and ? stand for any letters";
        foreach (string word in words)
        {
            if (!places.Any(p => TraceFilter.Names(word, p))) return $"no function '{TraceText.WithoutControls(word)}' made an access; {choices}";
        }
        return words.Length == 0 ? $"no function; {choices}" : null;
    }

    /// <summary>A time since the recording began: "250us", "3ms", "1.5s", "800ns"; microseconds without a unit, as the text shows them.</summary>
    /// <param name="nanoseconds">The time.</param>
    /// <returns>Null, or what is wrong.</returns>
    public static string? TryParseTime(string text, out long nanoseconds)
    {
        nanoseconds = 0;
        ReadOnlySpan<char> number = text.AsSpan().Trim();
        (string Unit, decimal Factor)[] units = [("ns", 1), ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000)];
        decimal factor = 1_000;
        foreach ((string unit, decimal unitFactor) in units)
        {
            if (!number.EndsWith(unit, StringComparison.OrdinalIgnoreCase)) continue;
            number = number[..^unit.Length].TrimEnd();
            factor = unitFactor;
            break;
        }
        const NumberStyles Style = NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint;
        if (!decimal.TryParse(number, Style, CultureInfo.InvariantCulture, out decimal value) || Math.Abs(value) > long.MaxValue / factor)
            return $"'{TraceText.WithoutControls(text)}' is no time; write it as 800ns, 250us, 3ms or 1.5s since the start";
        nanoseconds = (long)(value * factor);
        return null;
    }

    private static string[] Words(string text) => text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static bool Matches(TracedDevice device, string pattern)
        => TraceFilter.Glob(pattern, "CONFIG")
            || device.Description.Bars.Any(b => TraceFilter.Glob(pattern, TracedDevice.RegionName(b.Index)))
            || device.Description.Banks.Any(b => b.Registers.Any(r => TraceFilter.Names(pattern, b, r)));

    // Names that share the beginning first: a typing error is most often near the end. Elements of an array count once.
    private static string RegisterChoices(IReadOnlyList<TracedDevice> devices, string word)
    {
        string[] names =
        [
            .. devices.SelectMany(d => d.Description.Banks.SelectMany(b => b.Registers.Select(r => $"{b.Name}.{WithoutIndex(r.Name)}")))
                .Distinct()
                .OrderByDescending(n => Math.Max(Shared(n, word), Shared(n[(n.IndexOf('.', StringComparison.Ordinal) + 1)..], word))),
        ];
        return names.Length == 0 ? "the trace has none" : $"choose from {Choices(names)}; * and ? stand for any letters";
    }

    private static string WithoutIndex(string name)
    {
        int bracket = name.IndexOf('[', StringComparison.Ordinal);
        return bracket < 0 ? name : $"{name[..bracket]}*";
    }

    private static int Shared(string name, string word)
    {
        int shared = 0;
        while (shared < name.Length && shared < word.Length && char.ToUpperInvariant(name[shared]) == char.ToUpperInvariant(word[shared])) shared++;
        return shared;
    }

    private static string Choices(IEnumerable<string> names)
    {
        string[] all = [.. names.Select(TraceText.WithoutControls)];
        string shown = string.Join(", ", all.Take(ChoicesShown));
        return all.Length > ChoicesShown ? $"{shown} and {all.Length - ChoicesShown} more" : shown;
    }
}
