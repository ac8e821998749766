using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Emulator.VfioUser.Transport;

namespace Emulator.Cli.Control;

/// <summary>JSON objects over a socket, one a line.</summary>
internal sealed class LineStream : IDisposable
{
    /// <summary>Bytes of the longest line either side takes.</summary>
    public const int LongestLine = 64 * 1024;

    private readonly UnixStream _stream;
    private readonly byte[] _buffer = new byte[LongestLine];
    private int _filled;

    /// <summary>Takes ownership of a connected socket.</summary>
    /// <param name="patience">How long the peer may take for the next bytes.</param>
    public LineStream(UnixStream stream, TimeSpan patience)
    {
        _stream = stream;
        _stream.SetReceiveTimeout(patience);
        _stream.SetSendTimeout(patience);
    }

    /// <summary>Receives the next object. False when the peer is gone, too slow, sent too long a line, or sent no such object.</summary>
    public bool TryRead<T>(JsonTypeInfo<T> type, [NotNullWhen(true)] out T? message) where T : class
    {
        message = null;
        while (true)
        {
            int end = _buffer.AsSpan(0, _filled).IndexOf((byte)'\n');
            if (end >= 0)
            {
                try
                {
                    message = JsonSerializer.Deserialize(_buffer.AsSpan(0, end), type);
                }
                catch (JsonException)
                {
                    return false;
                }
                _filled -= end + 1;
                _buffer.AsSpan(end + 1, _filled).CopyTo(_buffer);
                return message is not null;
            }
            if (_filled == _buffer.Length) return false;
            int received = _stream.Receive(_buffer.AsSpan(_filled), [], out _);
            if (received <= 0) return false;
            _filled += received;
        }
    }

    /// <summary>Sends an object. False when the peer is gone.</summary>
    public bool Write<T>(T message, JsonTypeInfo<T> type) => _stream.Send([.. JsonSerializer.SerializeToUtf8Bytes(message, type), (byte)'\n']);

    public void Dispose() => _stream.Dispose();
}
