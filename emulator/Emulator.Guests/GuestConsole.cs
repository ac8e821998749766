using System.Text;
using System.Text.RegularExpressions;

namespace Emulator.Guests;

/// <summary>
/// What a guest writes to its console: read continuously, so that the guest never waits for us, and kept. Carriage returns are dropped.
/// Positions count characters since the start and stay valid when the oldest text, beyond <see cref="Capacity"/>, is forgotten.
/// </summary>
public sealed class GuestConsole : IAsyncDisposable
{
    /// <summary>How many characters are kept at least.</summary>
    public const int Capacity = 8 * 1024 * 1024;

    private readonly Stream _stream;
    private readonly Action<string>? _onText;
    private readonly Lock _lock = new();
    private readonly StringBuilder _text = new();
    private readonly CancellationTokenSource _closing = new();
    private readonly Task _reading;
    private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _forgotten;
    private bool _ended;

    /// <summary>Starts reading. <paramref name="onText"/> gets each piece as it comes, in order, from one thread at a time.</summary>
    public GuestConsole(Stream stream, Action<string>? onText = null)
    {
        _stream = stream;
        _onText = onText;
        _reading = Task.Run(ReadAsync);
    }

    /// <summary>All that is kept.</summary>
    public string Text
    {
        get
        {
            lock (_lock)
            {
                return _text.ToString();
            }
        }
    }

    /// <summary>Where the next character will be; pass it to a wait to look only at what comes from now on.</summary>
    public long Position
    {
        get
        {
            lock (_lock)
            {
                return _forgotten + _text.Length;
            }
        }
    }

    /// <summary>The last lines, for messages; at most <paramref name="count"/>, each with two spaces before it.</summary>
    public string LastLines(int count = 15)
    {
        string text = Text;
        IEnumerable<string> lines = text[Math.Max(0, text.Length - 20_000)..].Split('\n').Where(line => line.Length > 0).TakeLast(count);
        return string.Join('\n', lines.Select(line => "  " + line));
    }

    /// <summary>Waits until <paramref name="text"/> stands anywhere at or after <paramref name="from"/>; returns the position behind it.</summary>
    /// <exception cref="GuestException">It did not come in time, or the console ended; the message shows the last lines.</exception>
    public async Task<long> WaitForAsync(string text, TimeSpan timeout, long from = 0, CancellationToken cancel = default)
    {
        (_, long end) = await WaitForAsync(new Regex(Regex.Escape(text)), $"'{text}'", timeout, from, cancel);
        return end;
    }

    /// <summary>Waits until <paramref name="pattern"/> matches anywhere at or after <paramref name="from"/>; returns the first match.</summary>
    /// <exception cref="GuestException">It did not come in time, or the console ended; the message shows the last lines.</exception>
    public async Task<Match> WaitForAsync(Regex pattern, TimeSpan timeout, long from = 0, CancellationToken cancel = default)
    {
        (Match match, _) = await WaitForAsync(pattern, $"/{pattern}/", timeout, from, cancel);
        return match;
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _reading;
        await _stream.DisposeAsync();
        _closing.Dispose();
    }

    private async Task<(Match Match, long End)> WaitForAsync(Regex pattern, string what, TimeSpan timeout, long from, CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(timeout);
        while (true)
        {
            Task changed;
            string text;
            long start;
            bool ended;
            lock (_lock)
            {
                changed = _changed.Task;
                int skip = (int)Math.Clamp(from - _forgotten, 0, _text.Length);
                start = _forgotten + skip;
                text = _text.ToString(skip, _text.Length - skip);
                ended = _ended;
            }

            Match match = pattern.Match(text);
            if (match.Success)
            {
                return (match, start + match.Index + match.Length);
            }

            if (ended)
            {
                throw new GuestException($"the guest's console ended before it showed {what}; its last lines:\n{LastLines()}");
            }

            try
            {
                await changed.WaitAsync(limit.Token);
            }
            catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
            {
                throw new GuestException($"the guest's console did not show {what} within {timeout.TotalSeconds:0.#} s; its last lines:\n{LastLines()}");
            }
        }
    }

    private async Task ReadAsync()
    {
        byte[] bytes = new byte[16 * 1024];
        char[] characters = new char[Encoding.UTF8.GetMaxCharCount(bytes.Length)];
        Decoder decoder = Encoding.UTF8.GetDecoder();
        try
        {
            while (true)
            {
                int count = await _stream.ReadAsync(bytes, _closing.Token);
                if (count == 0)
                {
                    break;
                }

                Append(new string(characters, 0, decoder.GetChars(bytes, 0, count, characters, 0, flush: false)).Replace("\r", "", StringComparison.Ordinal));
            }
        }
        catch (Exception problem) when (problem is IOException or OperationCanceledException)
        {
            // The line is cut when QEMU dies or we close it: for the console both are its end.
        }

        lock (_lock)
        {
            _ended = true;
            _changed.TrySetResult();
        }
    }

    private void Append(string piece)
    {
        TaskCompletionSource changed;
        lock (_lock)
        {
            _text.Append(piece);
            if (_text.Length > 2 * Capacity)
            {
                _forgotten += _text.Length - Capacity;
                _text.Remove(0, _text.Length - Capacity);
            }

            changed = _changed;
            _changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        changed.TrySetResult();
        _onText?.Invoke(piece);
    }
}
