using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.IO.Pipelines;
using System.Text;

namespace Emulator.Guests;

/// <summary>
/// Runs shell commands in the guest over a byte stream, against qemu-config/guests/linux/tools/emulator-agent.c, whose head describes
/// the frames. Commands may run side by side. A command is over when its shell is; what background processes write later is dropped.
/// </summary>
public sealed class GuestShell : IAsyncDisposable
{
    /// <summary>Longest command in UTF-8 bytes: a whole frame must fit the guest's receive buffer while the agent is busy.</summary>
    public const int LongestCommand = 32 * 1024;

    // The agent's own frames stay far below this; a longer line is noise, and is dropped.
    private const int LongestLine = 64 * 1024;

    private readonly Stream _stream;
    private readonly SemaphoreSlim _sending = new(1);
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, Command> _running = [];
    private readonly Task _reading;
    private TaskCompletionSource _greeted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ulong _nextId;
    private int _greetings;
    private string? _kernelRelease;
    private bool _ended;

    /// <summary>Starts listening to the agent on a duplex stream, which the shell owns from now on.</summary>
    public GuestShell(Stream stream)
    {
        _stream = stream;
        _reading = Task.Run(ReadAsync);
    }

    /// <summary>How often the agent has introduced itself, once each time it starts: more than before means that the guest restarted.</summary>
    public int Greetings
    {
        get
        {
            lock (_lock)
            {
                return _greetings;
            }
        }
    }

    /// <summary>The guest kernel's release (uname -r) as of the last greeting, or null before the first.</summary>
    public string? KernelRelease
    {
        get
        {
            lock (_lock)
            {
                return _kernelRelease;
            }
        }
    }

    /// <summary>Waits until the agent has introduced itself more than <paramref name="after"/> times.</summary>
    /// <exception cref="GuestException">The line ended first.</exception>
    public async Task WaitForGreetingAsync(int after = 0, CancellationToken cancel = default)
    {
        while (true)
        {
            Task greeted;
            lock (_lock)
            {
                if (_greetings > after)
                {
                    return;
                }

                if (_ended)
                {
                    throw new GuestException("the guest's command channel ended before the guest was ready");
                }

                greeted = _greeted.Task;
            }

            await greeted.WaitAsync(cancel);
        }
    }

    /// <summary>Runs `sh -c command` in the guest and returns when it is over.</summary>
    /// <param name="command">At most <see cref="LongestCommand"/> bytes of UTF-8.</param>
    /// <param name="timeout">Then the command's process group is killed.</param>
    /// <param name="onOutput">Gets each piece of output as it comes; null for none.</param>
    /// <param name="cancel">Also kills the command.</param>
    /// <exception cref="GuestException">It took too long, could not be started, or the guest restarted or went away meanwhile.</exception>
    public async Task<GuestCommandResult> RunAsync(
        string command, TimeSpan timeout, Action<ReadOnlyMemory<byte>>? onOutput = null, CancellationToken cancel = default)
    {
        byte[] text = Encoding.UTF8.GetBytes(command);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(text.Length, LongestCommand, nameof(command));
        var run = new Command(onOutput);
        ulong id;
        lock (_lock)
        {
            if (_ended)
            {
                throw Gone(command);
            }

            id = _nextId++;
            _running.Add(id, run);
        }

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(timeout);
        try
        {
            await SendAsync(string.Create(CultureInfo.InvariantCulture, $"@run {id} {Convert.ToBase64String(text)}\n"), command, limit.Token);
            return await run.Result.Task.WaitAsync(limit.Token);
        }
        catch (CommandFailedException failure)
        {
            throw new GuestException($"'{Shorten(command)}' in the guest: {failure.Message}", failure);
        }
        catch (OperationCanceledException)
        {
            await TryKillAsync(id, command);
            cancel.ThrowIfCancellationRequested();
            string output = Encoding.UTF8.GetString(run.Output());
            throw new GuestException(
                $"'{Shorten(command)}' in the guest did not end within {timeout.TotalSeconds:0.#} s and was killed; "
                + (output.Length == 0 ? "it had written nothing" : $"its output so far:\n{output[Math.Max(0, output.Length - 2000)..]}"));
        }
        finally
        {
            lock (_lock)
            {
                _running.Remove(id);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stream.DisposeAsync();
        await _reading;
        _sending.Dispose();
    }

    private static string Shorten(string command) => command.Length <= 80 ? command : command[..77] + "...";

    private static GuestException Gone(string command) => new($"'{Shorten(command)}' cannot run: the guest is gone");

    private async Task SendAsync(string frame, string command, CancellationToken cancel)
    {
        // A frame is sent whole or not at all: half a frame would swallow the next one.
        await _sending.WaitAsync(cancel);
        try
        {
            await _stream.WriteAsync(Encoding.ASCII.GetBytes(frame), CancellationToken.None);
        }
        catch (Exception problem) when (problem is IOException or ObjectDisposedException)
        {
            throw Gone(command);
        }
        finally
        {
            _sending.Release();
        }
    }

    private async Task TryKillAsync(ulong id, string command)
    {
        try
        {
            await SendAsync(string.Create(CultureInfo.InvariantCulture, $"@kill {id}\n"), command, CancellationToken.None);
        }
        catch (GuestException)
        {
            // Gone is as good as killed.
        }
    }

    private async Task ReadAsync()
    {
        PipeReader reader = PipeReader.Create(_stream, new StreamPipeReaderOptions(leaveOpen: true));
        bool noise = false;
        try
        {
            while (true)
            {
                ReadResult read = await reader.ReadAsync();
                ReadOnlySequence<byte> buffer = read.Buffer;
                while (buffer.PositionOf((byte)'\n') is SequencePosition end)
                {
                    if (!noise)
                    {
                        Take(buffer.Slice(0, end).ToArray());
                    }

                    noise = false;
                    buffer = buffer.Slice(buffer.GetPosition(1, end));
                }

                if (buffer.Length > LongestLine)
                {
                    noise = true;
                    buffer = buffer.Slice(buffer.End);
                }

                reader.AdvanceTo(buffer.Start, buffer.End);
                if (read.IsCompleted)
                {
                    break;
                }
            }
        }
        catch (Exception problem) when (problem is IOException or ObjectDisposedException)
        {
            // The line is cut when QEMU dies or we close it: both are the end.
        }

        await reader.CompleteAsync();
        lock (_lock)
        {
            _ended = true;
            _greeted.TrySetResult();
        }

        FailAll("the guest is gone");
    }

    /// <summary>Acts on one line from the guest. The guest may be broken: what is no frame of ours is ignored.</summary>
    private void Take(ReadOnlySpan<byte> line)
    {
        if (TryWord(ref line, "@hello"u8))
        {
            if (TryWord(ref line, "1"u8))
            {
                // Whatever ran before the agent started anew is gone with its predecessor.
                FailAll("the guest restarted meanwhile");
                TaskCompletionSource greeted;
                lock (_lock)
                {
                    _greetings++;
                    _kernelRelease = Encoding.ASCII.GetString(line);
                    greeted = _greeted;
                    _greeted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                }

                greeted.TrySetResult();
            }
        }
        else if (TryWord(ref line, "@out"u8) && TryNumber(ref line, out ulong id) && TryNumber(ref line, out ulong count))
        {
            byte[] bytes = new byte[Base64.GetMaxDecodedFromUtf8Length(line.Length)];
            if (!TryGet(id, out Command? command))
            {
                return;
            }

            if (Base64.DecodeFromUtf8(line, bytes, out _, out int decoded) == OperationStatus.Done && (ulong)decoded == count)
            {
                command.Add(bytes.AsMemory(0, decoded));
            }
            else
            {
                command.Result.TrySetException(new CommandFailedException("its output arrived damaged"));
            }
        }
        else if (TryWord(ref line, "@exit"u8) && TryNumber(ref line, out id) && TryNumber(ref line, out ulong status))
        {
            if (TryGet(id, out Command? command))
            {
                command.Result.TrySetResult(new GuestCommandResult((int)status, command.Output()));
            }
        }
        else if (TryWord(ref line, "@error"u8) && TryNumber(ref line, out id) && TryGet(id, out Command? command))
        {
            command.Result.TrySetException(new CommandFailedException(Encoding.ASCII.GetString(line)));
        }
    }

    private static bool TryWord(ref ReadOnlySpan<byte> line, ReadOnlySpan<byte> word)
    {
        if (!line.StartsWith(word) || (line.Length > word.Length && line[word.Length] != ' '))
        {
            return false;
        }

        line = line[Math.Min(word.Length + 1, line.Length)..];
        return true;
    }

    private static bool TryNumber(ref ReadOnlySpan<byte> line, out ulong number)
    {
        if (!Utf8Parser.TryParse(line, out number, out int length) || (line.Length > length && line[length] != ' '))
        {
            return false;
        }

        line = line[Math.Min(length + 1, line.Length)..];
        return true;
    }

    private bool TryGet(ulong id, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Command? command)
    {
        lock (_lock)
        {
            return _running.TryGetValue(id, out command);
        }
    }

    private void FailAll(string why)
    {
        Command[] lost;
        lock (_lock)
        {
            lost = [.. _running.Values];
        }

        foreach (Command command in lost)
        {
            command.Result.TrySetException(new CommandFailedException(why));
        }
    }

    private sealed class CommandFailedException(string message) : Exception(message);

    private sealed class Command(Action<ReadOnlyMemory<byte>>? onOutput)
    {
        private readonly ArrayBufferWriter<byte> _output = new();

        public TaskCompletionSource<GuestCommandResult> Result { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Add(ReadOnlyMemory<byte> bytes)
        {
            lock (_output)
            {
                _output.Write(bytes.Span);
            }

            onOutput?.Invoke(bytes);
        }

        public byte[] Output()
        {
            lock (_output)
            {
                return _output.WrittenSpan.ToArray();
            }
        }
    }
}
