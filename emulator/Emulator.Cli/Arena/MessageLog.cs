using System.Text;

namespace Emulator.Cli.Arena;

/// <summary>Keeps the lines that would otherwise fall into the picture: the latest are shown in it, all are said when it is gone. Any thread.</summary>
internal sealed class MessageLog : TextWriter
{
    private const int Capacity = 1000;

    private readonly Lock _lock = new();
    private readonly Queue<string> _lines = [];
    private readonly StringBuilder _begun = new();
    private TextWriter? _destination;

    public override Encoding Encoding => Encoding.UTF8;

    public override void Write(char value)
    {
        lock (_lock)
        {
            if (value != '\n')
            {
                _begun.Append(value);
                return;
            }
            if (_destination is null)
            {
                if (_lines.Count == Capacity) _lines.Dequeue();
                _lines.Enqueue(_begun.ToString());
            }
            else
            {
                _destination.WriteLine(_begun);
            }
            _begun.Clear();
        }
    }

    // A line stays whole, whoever else writes.
    public override void WriteLine(string? value)
    {
        lock (_lock) base.WriteLine(value);
    }

    /// <summary>Says what was kept, and from now on everything at once.</summary>
    public void PassTo(TextWriter destination)
    {
        lock (_lock)
        {
            foreach (string line in _lines) destination.WriteLine(line);
            _lines.Clear();
            _destination = destination;
        }
    }

    /// <summary>What is kept, oldest first.</summary>
    public IReadOnlyList<string> Lines()
    {
        lock (_lock) return [.. _lines];
    }
}
