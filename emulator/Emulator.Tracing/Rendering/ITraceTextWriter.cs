using System.Buffers;
using System.Globalization;
using System.Text;

namespace Emulator.Tracing;

/// <summary>What a piece of a text line is, so that a terminal can colour it.</summary>
public enum TraceStyle : byte
{
    /// <summary>Spaces and punctuation.</summary>
    Plain,
    Time,
    Device,
    /// <summary>The kind of an event that reads.</summary>
    Read,
    /// <summary>The kind of an event that writes.</summary>
    Write,
    Dma,
    Interrupt,
    /// <summary>Resets, clients, mappings.</summary>
    Lifecycle,
    /// <summary>A register, a place in RAM, a guest address, a vector.</summary>
    Target,
    Value,
    Field,
    /// <summary>The driver's function and instruction behind an access.</summary>
    Code,
    /// <summary>Text about the guest's mistakes, refused accesses, events not shown.</summary>
    Warning,
    /// <summary>How often a line repeated.</summary>
    Repeat,
}

/// <summary>Takes text lines in pieces, each with its style.</summary>
public interface ITraceTextWriter
{
    /// <summary>A piece of the line. It holds no control characters, whatever the trace holds.</summary>
    void Write(TraceStyle style, ReadOnlySpan<char> text);

    void EndLine();

    /// <summary>What was written should be seen now.</summary>
    void Flush();
}

/// <summary>Plain text, without colours.</summary>
public sealed class PlainTraceTextWriter(TextWriter writer) : ITraceTextWriter
{
    public void Write(TraceStyle style, ReadOnlySpan<char> text) => writer.Write(text);

    // Not WriteLine: a trace has the same bytes everywhere.
    public void EndLine() => writer.Write('\n');
    public void Flush() => writer.Flush();
}

/// <summary>Helpers on rendered text.</summary>
public static class TraceText
{
    /// <summary>Width of the time column: microseconds with three decimals, right-aligned.</summary>
    public const int TimeWidth = 14;

    /// <summary>
    /// Text that two runs of the same session share: without the time column, line ends as \n. What a golden file holds.
    /// </summary>
    public static string Normalise(string text)
    {
        var normal = new StringBuilder(text.Length);
        foreach (string line in text.ReplaceLineEndings("\n").TrimEnd('\n').Split('\n'))
            normal.Append(line.AsSpan(TimeColumn(line))).Append('\n');
        return normal.Length == 1 ? "" : normal.ToString();
    }

    // Characters of a leading time and the space after it; 0 where there is none.
    private static int TimeColumn(string line)
    {
        ReadOnlySpan<char> trimmed = line.AsSpan().TrimStart(' ');
        int end = trimmed.IndexOf("  ");
        bool isTime = end > 4 && trimmed[end - 4] == '.'
            && decimal.TryParse(trimmed[..end], NumberStyles.AllowLeadingSign | NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out _);
        return isTime ? line.Length - trimmed.Length + end + 2 : 0;
    }

    // A trace may come from anywhere: nothing in it may move the cursor of whoever reads it.
    internal static string WithoutControls(string text)
    {
        if (!text.AsSpan().ContainsAny(Controls)) return text;
        var safe = new StringBuilder(text.Length + 16);
        foreach (char c in text)
        {
            if (Controls.Contains(c)) safe.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
            else safe.Append(c);
        }
        return safe.ToString();
    }

    // C0, DEL, C1, the line separators and what turns the direction of writing.
    private static readonly SearchValues<char> Controls = SearchValues.Create(
        [.. Enumerable.Range(0, 0x20).Concat(Enumerable.Range(0x7f, 0x21)).Concat([0x200e, 0x200f, 0x2028, 0x2029])
            .Concat(Enumerable.Range(0x202a, 5)).Concat(Enumerable.Range(0x2066, 4)).Select(c => (char)c)]);
}
