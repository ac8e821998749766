using System.Text;

namespace Emulator.Cli.Arena;

/// <summary>A rectangle of characters, each with a colour, that turns into lines for a terminal. What is put outside of it is not shown.</summary>
internal sealed class TextGrid
{
    private readonly char[,] _characters;
    private readonly string?[,] _colours;

    public TextGrid(int columns, int rows)
    {
        (Columns, Rows) = (columns, rows);
        _characters = new char[rows, columns];
        _colours = new string?[rows, columns];
        foreach (ref char c in System.Runtime.InteropServices.MemoryMarshal.CreateSpan(ref _characters[0, 0], _characters.Length)) c = ' ';
    }

    public int Columns { get; }
    public int Rows { get; }

    /// <param name="colour">ECMA-48 SGR parameters such as "1;31", or null.</param>
    public void Put(int column, int row, char what, string? colour = null)
    {
        if ((uint)column >= (uint)Columns || (uint)row >= (uint)Rows) return;
        // A guest's or a file's control characters must not reach the terminal.
        _characters[row, column] = char.IsControl(what) ? '?' : what;
        _colours[row, column] = colour;
    }

    /// <returns>The column after the text.</returns>
    public int Put(int column, int row, string text, string? colour = null)
    {
        foreach (char c in text) Put(column++, row, c, colour);
        return column;
    }

    /// <summary>One string a row, without trailing blanks.</summary>
    /// <param name="coloured">Whether to write escape sequences; without, the strings are the characters alone.</param>
    public IReadOnlyList<string> ToLines(bool coloured)
    {
        var lines = new string[Rows];
        var line = new StringBuilder();
        for (int row = 0; row < Rows; row++)
        {
            line.Clear();
            string? colour = null;
            for (int column = 0; column < Length(row); column++)
            {
                if (coloured && _colours[row, column] != colour)
                {
                    colour = _colours[row, column];
                    line.Append("\u001b[0").Append(colour is null ? "" : ";").Append(colour).Append('m');
                }
                line.Append(_characters[row, column]);
            }
            if (colour is not null) line.Append("\u001b[0m");
            lines[row] = line.ToString();
        }
        return lines;
    }

    private int Length(int row)
    {
        int length = Columns;
        while (length > 0 && _characters[row, length - 1] == ' ') length--;
        return length;
    }
}
