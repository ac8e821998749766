using System.Text;

namespace Emulator.Cli.Arena;

/// <summary>
/// Shows screens on a terminal, changing only the lines that differ. It uses the terminal's alternate screen, so that what was there before comes
/// back when it is disposed of.
/// </summary>
internal sealed class ScreenWriter : IDisposable
{
    // xterm's control sequences: the alternate screen, no cursor, no wrapping at the right edge, which would scroll on the last line.
    private const string Enter = "\u001b[?1049h\u001b[?25l\u001b[?7l", Leave = "\u001b[0m\u001b[?7h\u001b[?25h\u001b[?1049l", Clear = "\u001b[2J";

    private readonly TextWriter _output;
    private readonly StringBuilder _change = new();
    private readonly Lock _lock = new();
    private IReadOnlyList<string> _shown = [];
    private int _columns;
    private bool _hasLeft;
    private volatile bool _anew;

    public ScreenWriter(TextWriter output)
    {
        _output = output;
        _output.Write(Enter);
        _output.Flush();
    }

    /// <summary>Shows lines, the first at the top. A screen of another size is drawn anew.</summary>
    public void Show(IReadOnlyList<string> lines, int columns)
    {
        lock (_lock)
        {
            if (!_hasLeft) Change(lines, columns);
        }
    }

    /// <summary>Draws everything with the next screen: somebody else may have written on the terminal. Any thread.</summary>
    public void DrawAnew() => _anew = true;

    /// <summary>Brings back what was there before, and shows no more. Any thread, any number of times.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            if (_hasLeft) return;
            _hasLeft = true;
            _output.Write(Leave);
            _output.Flush();
        }
    }

    private void Change(IReadOnlyList<string> lines, int columns)
    {
        bool anew = _anew || lines.Count != _shown.Count || columns != _columns;
        _anew = false;
        if (anew) _change.Append(Clear);
        for (int row = 0; row < lines.Count; row++)
        {
            if (!anew && lines[row] == _shown[row]) continue;
            // Erased first: after a full line the cursor still stands on its last character.
            _change.Append("\u001b[").Append(row + 1).Append(";1H\u001b[K").Append(lines[row]);
        }
        (_shown, _columns) = (lines, columns);
        if (_change.Length == 0) return;
        _output.Write(_change);
        _output.Flush();
        _change.Clear();
    }
}
