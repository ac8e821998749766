using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Emulator.Guests;

/// <summary>An event that QEMU reported, such as SHUTDOWN or RESET.</summary>
public sealed record QmpEvent(string Name, JsonElement? Data);

/// <summary>A client of QEMU's machine protocol, one JSON message a line (QEMU docs/interop/qmp-spec.rst).</summary>
public sealed class QmpClient : IAsyncDisposable
{
    private readonly Stream _stream;
    private readonly Action<QmpEvent>? _onEvent;
    private readonly SemaphoreSlim _sending = new(1);
    private readonly Lock _lock = new();
    private readonly Dictionary<long, TaskCompletionSource<JsonElement>> _waiting = [];
    private readonly TaskCompletionSource _greeted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _reading = Task.CompletedTask;
    private long _nextId;
    private bool _ended;

    private QmpClient(Stream stream, Action<QmpEvent>? onEvent)
    {
        _stream = stream;
        _onEvent = onEvent;
    }

    /// <summary>Waits for QEMU's greeting on a duplex stream, which the client owns from now on, and enters command mode.</summary>
    /// <param name="stream">Connected to QEMU.</param>
    /// <param name="onEvent">Gets every event, in order, on the reading thread; must not block.</param>
    /// <param name="cancel">Gives up.</param>
    /// <exception cref="GuestException">The line ended first.</exception>
    public static async Task<QmpClient> ConnectAsync(Stream stream, Action<QmpEvent>? onEvent = null, CancellationToken cancel = default)
    {
        var client = new QmpClient(stream, onEvent);
        client._reading = Task.Run(client.ReadAsync, CancellationToken.None);
        try
        {
            await client._greeted.Task.WaitAsync(cancel);
            await client.ExecuteAsync("qmp_capabilities", null, cancel);
            return client;
        }
        catch
        {
            await client.DisposeAsync();
            throw;
        }
    }

    /// <summary>Executes a command and returns its "return" value.</summary>
    /// <exception cref="GuestException">QEMU refused it, saying why, or is gone.</exception>
    public async Task<JsonElement> ExecuteAsync(string command, JsonObject? arguments = null, CancellationToken cancel = default)
    {
        var answer = new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously);
        long id;
        lock (_lock)
        {
            if (_ended)
            {
                throw new GuestException($"QMP {command}: QEMU is gone");
            }

            id = _nextId++;
            _waiting.Add(id, answer);
        }

        try
        {
            var message = new JsonObject { ["execute"] = command, ["id"] = id };
            if (arguments is not null)
            {
                message["arguments"] = arguments.DeepClone();
            }

            await SendAsync(message.ToJsonString() + "\n", cancel);
            JsonElement reply = await answer.Task.WaitAsync(cancel);
            return reply.TryGetProperty("return", out JsonElement value)
                ? value
                : throw new GuestException($"QMP {command}: {reply.GetProperty("error").GetProperty("desc").GetString()}");
        }
        catch (Exception problem) when (problem is IOException or ObjectDisposedException)
        {
            throw new GuestException($"QMP {command}: QEMU is gone", problem);
        }
        finally
        {
            lock (_lock)
            {
                _waiting.Remove(id);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stream.DisposeAsync();
        await _reading;
        _sending.Dispose();
    }

    private async Task SendAsync(string line, CancellationToken cancel)
    {
        await _sending.WaitAsync(cancel);
        try
        {
            await _stream.WriteAsync(Encoding.UTF8.GetBytes(line), CancellationToken.None);
        }
        finally
        {
            _sending.Release();
        }
    }

    private async Task ReadAsync()
    {
        PipeReader reader = PipeReader.Create(_stream, new StreamPipeReaderOptions(leaveOpen: true));
        try
        {
            while (true)
            {
                ReadResult read = await reader.ReadAsync();
                ReadOnlySequence<byte> buffer = read.Buffer;
                while (buffer.PositionOf((byte)'\n') is SequencePosition end)
                {
                    Take(buffer.Slice(0, end));
                    buffer = buffer.Slice(buffer.GetPosition(1, end));
                }

                reader.AdvanceTo(buffer.Start, buffer.End);
                if (read.IsCompleted)
                {
                    break;
                }
            }
        }
        catch (Exception problem) when (problem is IOException or ObjectDisposedException or JsonException)
        {
            // Cut when QEMU dies or we close it; and a line that is no JSON means that nobody speaks QMP there.
        }

        await reader.CompleteAsync();
        TaskCompletionSource<JsonElement>[] lost;
        lock (_lock)
        {
            _ended = true;
            lost = [.. _waiting.Values];
        }

        _greeted.TrySetException(new GuestException("QEMU ended before it answered on its QMP socket"));
        foreach (TaskCompletionSource<JsonElement> waiting in lost)
        {
            waiting.TrySetException(new IOException("QEMU is gone"));
        }
    }

    private void Take(ReadOnlySequence<byte> line)
    {
        if (line.Length <= 1)
        {
            return;
        }

        using var document = JsonDocument.Parse(line);
        JsonElement message = document.RootElement.Clone();
        if (message.TryGetProperty("QMP", out _))
        {
            _greeted.TrySetResult();
        }
        else if (message.TryGetProperty("event", out JsonElement name))
        {
            _onEvent?.Invoke(new QmpEvent(name.GetString()!, message.TryGetProperty("data", out JsonElement data) ? data : null));
        }
        else if (message.TryGetProperty("id", out JsonElement id) && id.TryGetInt64(out long number))
        {
            TaskCompletionSource<JsonElement>? answer;
            lock (_lock)
            {
                _waiting.TryGetValue(number, out answer);
            }

            answer?.TrySetResult(message);
        }
    }
}
