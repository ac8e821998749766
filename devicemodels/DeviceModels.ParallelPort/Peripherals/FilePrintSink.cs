namespace DeviceModels.ParallelPort.Peripherals;

/// <summary>A job that <see cref="FilePrintSink"/> finished.</summary>
/// <param name="Path">The file.</param>
/// <param name="Bytes">Its length.</param>
public sealed record PrintedJob(string Path, long Bytes);

/// <summary>
/// One file a job: "job-0001.ps" and so on in a folder, numbered after what is there already. While a job is printing its
/// file is "job-0001.part"; when it ends it gets its final name, whose extension tells what the first bytes looked like.
/// </summary>
/// <remarks>
/// Bytes gather in a buffer made at construction, so that the device thread writes to the file once in 64 KiB. A file that
/// cannot be written never stops the printer: the rest of the job is counted in <see cref="LostBytes"/>, and the reason is
/// reported once a job.
/// </remarks>
public sealed class FilePrintSink : IPrintSink, IDisposable
{
    private const int BufferSize = 64 * 1024;

    private readonly string _folder;
    private readonly Action<PrintedJob>? _finished;
    private readonly Action<string>? _failed;
    private readonly byte[] _buffer = new byte[BufferSize];
    private readonly byte[] _head = new byte[PrintFormat.HeadLength];
    private FileStream? _file;
    private string _partial = "";
    private int _number, _used;
    private long _bytes;
    private bool _isLost;

    /// <param name="folder">Where the files go; created if missing.</param>
    /// <param name="finished">Told of each job that ended, on the device thread.</param>
    /// <param name="failed">Told in one line why a job could not be written.</param>
    /// <exception cref="IOException">The folder cannot be created.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder cannot be created or read.</exception>
    public FilePrintSink(string folder, Action<PrintedJob>? finished = null, Action<string>? failed = null)
    {
        (_folder, _finished, _failed) = (Path.GetFullPath(folder), finished, failed);
        Directory.CreateDirectory(_folder);
        foreach (string path in Directory.EnumerateFiles(_folder, "job-*"))
        {
            if (int.TryParse(Path.GetFileNameWithoutExtension(path.AsSpan())["job-".Length..], out int number)) _number = Math.Max(_number, number);
        }
    }

    /// <summary>Bytes that could not be written.</summary>
    public long LostBytes { get; private set; }

    /// <inheritdoc/>
    public void Write(byte value)
    {
        if (_bytes < _head.Length) _head[_bytes] = value;
        _bytes++;
        _buffer[_used++] = value;
        if (_used == BufferSize) Flush();
    }

    /// <inheritdoc/>
    public void EndJob()
    {
        if (_bytes == 0) return;
        Flush();
        Finish();
        (_bytes, _isLost) = (0, false);
    }

    /// <summary>Ends the job that is printing.</summary>
    public void Dispose() => EndJob();

    private void Flush()
    {
        if (!_isLost && _used > 0)
        {
            try
            {
                _file ??= Create();
                _file.Write(_buffer, 0, _used);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                Fail(e);
            }
        }
        if (_isLost) LostBytes += _used;
        _used = 0;
    }

    private FileStream Create()
    {
        _partial = Path.Combine(_folder, $"job-{++_number:d4}.part");
        return new FileStream(_partial, FileMode.CreateNew, FileAccess.Write, FileShare.Read, bufferSize: 0);
    }

    private void Finish()
    {
        if (_file is null) return;
        try
        {
            _file.Dispose();
            _file = null;
            if (_isLost) return;
            string extension = PrintFormat.ExtensionOf(_head.AsSpan(0, (int)Math.Min(_bytes, _head.Length)));
            string path = Path.ChangeExtension(_partial, extension);
            File.Move(_partial, path);
            _finished?.Invoke(new PrintedJob(path, _bytes));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Fail(e);
        }
        finally
        {
            _file = null;
        }
    }

    private void Fail(Exception reason)
    {
        _isLost = true;
        _failed?.Invoke($"{(_partial.Length > 0 ? _partial : _folder)}: {reason.Message} The rest of this print job is lost.");
    }
}
