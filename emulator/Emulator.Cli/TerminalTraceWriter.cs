using System.Text;
using Emulator.Tracing;

namespace Emulator.Cli;

/// <summary>Writes trace lines whole, so that other output falls between them, in colour where a person watches.</summary>
internal sealed class TerminalTraceWriter(TextWriter output, bool colour) : ITraceTextWriter
{
    private readonly StringBuilder _line = new();

    /// <summary>Whether standard output wants colour: a terminal, and NO_COLOR (no-color.org) not set.</summary>
    public static bool WantsColour => !Console.IsOutputRedirected && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));

    public void Write(TraceStyle style, ReadOnlySpan<char> text)
    {
        string code = colour ? Code(style) : "";
        if (code.Length == 0) _line.Append(text);
        else _line.Append("\u001b[").Append(code).Append('m').Append(text).Append("\u001b[0m");
    }

    public void EndLine()
    {
        output.Write(_line.Append('\n'));
        _line.Clear();
    }

    public void Flush() => output.Flush();

    // ECMA-48 SGR.
    private static string Code(TraceStyle style) => style switch
    {
        TraceStyle.Time or TraceStyle.Field or TraceStyle.Code or TraceStyle.Repeat => "2",
        TraceStyle.Device => "36",
        TraceStyle.Read => "32",
        TraceStyle.Write => "33",
        TraceStyle.Dma => "34",
        TraceStyle.Interrupt => "35",
        TraceStyle.Target => "1",
        TraceStyle.Warning => "31",
        _ => "",
    };
}
