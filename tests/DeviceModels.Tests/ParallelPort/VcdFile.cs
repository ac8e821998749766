using System.Globalization;

namespace DeviceModels.Tests.ParallelPort;

/// <summary>A reader of Value Change Dumps, strict about what IEEE 1364-2005 clause 18 says of the parts we write.</summary>
internal sealed class VcdFile
{
    private readonly Dictionary<string, (string Name, int Width)> _variables = [];

    public VcdFile(string text)
    {
        var tokens = new Queue<string>(text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        ReadDeclarations(tokens);
        ReadChanges(tokens);
    }

    public string Timescale { get; private set; } = "";

    public IReadOnlyCollection<(string Name, int Width)> Variables => _variables.Values;

    /// <summary>Every change, in order: time in timescale units, variable, value as bits.</summary>
    public List<(long Time, string Name, string Value)> Changes { get; } = [];

    /// <summary>The last time stamp.</summary>
    public long End { get; private set; } = -1;

    /// <summary>The changes after the initial dump, one line a time stamp, without the times.</summary>
    public IEnumerable<string> Steps(long from = 1)
        => Changes.Where(c => c.Time >= from).GroupBy(c => c.Time).Select(g => string.Join(' ', g.Select(c => $"{c.Name}={c.Value}")));

    private void ReadDeclarations(Queue<string> tokens)
    {
        while (true)
        {
            string keyword = tokens.Dequeue();
            var words = new List<string>();
            while (tokens.Peek() != "$end") words.Add(tokens.Dequeue());
            tokens.Dequeue();
            switch (keyword)
            {
                case "$enddefinitions": return;
                case "$timescale": Timescale = string.Concat(words); break;
                case "$var":
                    Assert.That(words[0], Is.EqualTo("wire"));
                    Assert.That(_variables.TryAdd(words[2], (words[3], int.Parse(words[1], CultureInfo.InvariantCulture))), Is.True, "identifiers are unique");
                    break;
                case "$comment" or "$scope" or "$upscope" or "$date" or "$version": break;
                default: throw new FormatException($"'{keyword}' is no declaration.");
            }
        }
    }

    private void ReadChanges(Queue<string> tokens)
    {
        bool inDump = false;
        while (tokens.TryDequeue(out string? token))
        {
            if (token[0] == '#')
            {
                long time = long.Parse(token.AsSpan(1), CultureInfo.InvariantCulture);
                Assert.That(time, Is.GreaterThan(End), "time goes forward");
                End = time;
            }
            else if (token == "$dumpvars")
            {
                inDump = true;
            }
            else if (token == "$end" && inDump)
            {
                inDump = false;
                Assert.That(Changes, Has.Count.EqualTo(_variables.Count), "the dump gives every variable a value");
            }
            else
            {
                Add(token, tokens);
            }
        }
    }

    private void Add(string token, Queue<string> tokens)
    {
        Assert.That(End, Is.GreaterThanOrEqualTo(0), "a change has a time");
        bool isVector = token[0] == 'b';
        string value = isVector ? token[1..] : token[..1], identifier = isVector ? tokens.Dequeue() : token[1..];
        (string name, int width) = _variables[identifier];
        Assert.That(value, Has.Length.EqualTo(width).And.All.AnyOf('0', '1', 'z'));
        Changes.Add((End, name, value));
    }
}
