using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Emulator.Observation;
using Emulator.Pci;

namespace Emulator.Tracing;

/// <summary>
/// Records everything the functions of one process do to a file, losing nothing: a device that is faster than the disk
/// waits. Each device has a ring of its own; one thread writes them all, at least every 50 ms, so that a crash loses little.
/// When the file cannot be written any more, the recording stops and the devices go on.
/// </summary>
/// <remarks>The file format is trace-format.md.</remarks>
public sealed class TraceRecorder : IDisposable
{
    /// <summary>Records a device can be ahead of the disk before it waits: 512 KiB of them.</summary>
    public const int DefaultCapacity = 16 * 1024;

    private static readonly TimeSpan FlushInterval = TimeSpan.FromMilliseconds(50);

    private readonly long _started = Stopwatch.GetTimestamp();
    private readonly Lock _attaching = new();
    private readonly object _sleep = new();
    private readonly Stream _file;
    private readonly string _name;
    private readonly int _capacity;
    private readonly Action<string>? _failed;
    private readonly Thread _writer;
    private RecordedDevice[] _devices = [];
    private bool _hurried;
    private volatile bool _closing, _stopped;

    /// <summary>Records to a file, replacing what is there; makes its folders where there are none.</summary>
    /// <param name="failed">Told once, on the writer's thread and in one line, why the recording stopped early.</param>
    /// <param name="capacity">Records a device can be ahead of the disk, 32 bytes each.</param>
    /// <exception cref="IOException">The file cannot be made; the message is one line: what, where, why.</exception>
    public TraceRecorder(string path, Action<string>? failed = null, int capacity = DefaultCapacity)
        : this(Create(path), path, failed, capacity)
    {
    }

    /// <summary>Records to a stream, which it closes in the end.</summary>
    /// <param name="name">What messages call it.</param>
    public TraceRecorder(Stream stream, string name, Action<string>? failed = null, int capacity = DefaultCapacity)
    {
        (_file, _name, _failed, _capacity) = (stream, name, failed, capacity);
        _writer = new Thread(Run) { Name = "trace writer", IsBackground = true };
        _writer.Start();
    }

    /// <summary>Whether the recording has ended, by <see cref="Dispose"/> or because of an error.</summary>
    public bool IsStopped => _stopped;

    /// <summary>Begins to record a device. Set what it returns as the function's observer before the device thread starts.</summary>
    /// <param name="deviceName">The device's name in its lab, unique in the trace.</param>
    /// <param name="model">The model's name.</param>
    /// <param name="deviceTimeZero">The <see cref="Stopwatch"/> timestamp at which device time was 0; null for now, which
    /// is right for a function just created. It puts the events of different devices in order.</param>
    /// <exception cref="ArgumentException">The name is taken, or there are 256 devices already.</exception>
    public IDeviceObserver Attach(string deviceName, string model, PciFunction function, long? deviceTimeZero = null)
        => AttachAt(deviceName, model, function, TraceClock.Nanoseconds(_started, deviceTimeZero ?? Stopwatch.GetTimestamp()));

    /// <summary>Begins to record a device whose clock is not this machine's: one that a test or the driver bench moves.</summary>
    /// <param name="startNs">Where in the recording its time 0 lies, in nanoseconds.</param>
    /// <inheritdoc cref="Attach"/>
    public IDeviceObserver AttachAt(string deviceName, string model, PciFunction function, long startNs)
    {
        byte[] description = DescriptionJson.Write(DeviceDescription.Of(deviceName, model, function, startNs));
        if (description.Length > TraceFormat.MaxDeviceBytes)
            throw new ArgumentException($"The description of '{deviceName}' exceeds the {TraceFormat.MaxDeviceBytes} bytes a trace holds.", nameof(function));
        lock (_attaching)
        {
            ObjectDisposedException.ThrowIf(_closing, this);
            if (_devices.Length == TraceFormat.MaxDevices)
                throw new ArgumentException($"A trace holds {TraceFormat.MaxDevices} devices.", nameof(deviceName));
            if (Array.Exists(_devices, d => d.Name == deviceName))
                throw new ArgumentException($"The trace has a device '{deviceName}' already.", nameof(deviceName));
            var device = new RecordedDevice(this, _devices.Length, deviceName, description);
            Volatile.Write(ref _devices, [.. _devices, device]);
            return device;
        }
    }

    /// <summary>Writes what is left, ends the file and closes it. What happens later is not recorded.</summary>
    public void Dispose()
    {
        lock (_attaching) _closing = true;
        Hurry();
        _writer.Join();
    }

    private static FileStream Create(string path)
    {
        if (path.Length == 0) throw Refusal(path, "its name is empty; name a file, such as out/session.trace");
        if (Path.EndsInDirectorySeparator(path) || Directory.Exists(path)) throw Refusal(path, "it is a folder; name a file in it");
        try
        {
            if (Path.GetDirectoryName(path) is { Length: > 0 } folder) Directory.CreateDirectory(folder);
            // The buffer gathers headers and small blocks; large blocks go past it.
            return new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 32 * 1024);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw Refusal(path, $"{OneLine(e).TrimEnd('.')}; name a file where you may write", e);
        }
    }

    private static IOException Refusal(string path, string why, Exception? cause = null) => new($"cannot write the trace '{path}': {why}", cause);

    private static string OneLine(Exception e) => e.Message.ReplaceLineEndings(" ");

    // Wakes the writer before its time. Not on the common path: a device calls it once in half a ring. It never waits for
    // the lock: a writer that holds it is awake, or about to sleep for one interval; a device whose ring is full asks again.
    private void Hurry()
    {
        if (_stopped || !Monitor.TryEnter(_sleep)) return;
        _hurried = true;
        Monitor.Pulse(_sleep);
        Monitor.Exit(_sleep);
    }

    private void Sleep()
    {
        lock (_sleep)
        {
            if (!_hurried) Monitor.Wait(_sleep, FlushInterval);
            _hurried = false;
        }
    }

    private void Run()
    {
        try
        {
            WritePreamble();
            for (bool closing = false; !closing; Sleep())
            {
                // Looked at before the rings: what was appended before Dispose was called is in them.
                closing = _closing;
                foreach (RecordedDevice device in Volatile.Read(ref _devices)) Write(device);
                if (closing) WriteChunkHeader(TraceFormat.End, 0, 0);
                _file.Flush();
                if (closing) break;
            }
            _file.Dispose();
        }
#pragma warning disable CA1031 // Whatever a stream throws: an escape would end the process, and the devices with it.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _stopped = true;
            Abandon();
            _failed?.Invoke($"cannot write the trace '{_name}': {OneLine(e)} Recording has stopped and the devices go on; make room and start again.");
        }
        finally
        {
            _stopped = true;
        }
    }

    private void Abandon()
    {
        try
        {
            _file.Dispose();
        }
        catch (IOException)
        {
            // The buffered rest cannot be written either, which is already being reported.
        }
    }

    private void Write(RecordedDevice device)
    {
        if (device.TakeDescription() is { } description)
        {
            WriteChunkHeader(TraceFormat.Device, description.Length, device.Id);
            _file.Write(description);
        }
        while (device.Codes.TryDequeue(out CodeName code)) Write(device, code);
        while (device.Remarks.TryDequeue(out Remark remark)) Write(device, remark);
        // What arrives meanwhile waits for its next round, so that one busy device does not keep the others from the file.
        for (long left = device.Ring.Head - device.Ring.Tail; left > 0;)
        {
            ReadOnlySpan<TraceRecord> records = device.Ring.Peek((int)Math.Min(left, TraceFormat.MaxRecordsPerChunk));
            WriteChunkHeader(TraceFormat.Records, records.Length * TraceRecord.Bytes, device.Id);
            // In memory as in the file: every platform the emulator runs on is little-endian.
            _file.Write(MemoryMarshal.AsBytes(records));
            device.Ring.Take(records.Length);
            left -= records.Length;
        }
    }

    private void Write(RecordedDevice device, in Remark remark)
    {
        Span<byte> header = stackalloc byte[TraceFormat.RemarkHeaderBytes];
        BinaryPrimitives.WriteInt64LittleEndian(header, remark.Time);
        BinaryPrimitives.WriteInt64LittleEndian(header[8..], remark.Before);
        byte[] text = Encoding.UTF8.GetBytes(remark.Text);
        int length = Math.Min(text.Length, TraceFormat.MaxRemarkText);
        WriteChunkHeader(TraceFormat.Remark, header.Length + length, device.Id);
        _file.Write(header);
        _file.Write(text, 0, length);
    }

    private void Write(RecordedDevice device, in CodeName code)
    {
        byte[] function = TraceFormat.CodeText(code.Place.Function), instruction = TraceFormat.CodeText(code.Place.Instruction);
        Span<byte> header = stackalloc byte[TraceFormat.CodeHeaderBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(header, code.Place.Address);
        BinaryPrimitives.WriteInt32LittleEndian(header[8..], code.Number);
        BinaryPrimitives.WriteUInt16LittleEndian(header[12..], (ushort)function.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(header[14..], (ushort)instruction.Length);
        WriteChunkHeader(TraceFormat.Code, header.Length + function.Length + instruction.Length, device.Id);
        _file.Write(header);
        _file.Write(function);
        _file.Write(instruction);
    }

    private void WritePreamble()
    {
        Span<byte> preamble = stackalloc byte[TraceFormat.PreambleBytes];
        TraceFormat.WritePreamble(preamble, (DateTime.UtcNow - DateTime.UnixEpoch).Ticks * 100);
        _file.Write(preamble);
    }

    private void WriteChunkHeader(uint type, int payloadBytes, int device)
    {
        Span<byte> header = stackalloc byte[TraceFormat.ChunkHeaderBytes];
        TraceFormat.WriteChunkHeader(header, type, payloadBytes, device);
        _file.Write(header);
    }

    /// <param name="Before">Records of the device that came before it: its place among them.</param>
    private readonly record struct Remark(long Time, long Before, string Text);

    private readonly record struct CodeName(int Number, CodePlace Place);

    private sealed class RecordedDevice : IDeviceObserver
    {
        private readonly TraceRecorder _recorder;
        private byte[]? _description;

        public RecordedDevice(TraceRecorder recorder, int id, string name, byte[] description)
        {
            (_recorder, Id, Name, _description) = (recorder, id, name, description);
            Ring = new EventRing(recorder._capacity, recorder.Hurry);
        }

        public int Id { get; }
        public string Name { get; }
        public EventRing Ring { get; }
        public ConcurrentQueue<Remark> Remarks { get; } = new();
        public ConcurrentQueue<CodeName> Codes { get; } = new();

        public void OnEvent(in DeviceEvent deviceEvent)
        {
            if (!Ring.TryAppend(deviceEvent)) WaitAndAppend(deviceEvent);
        }

        public void OnRemark(long time, string text)
        {
            if (!_recorder._stopped) Remarks.Enqueue(new Remark(time, Ring.Head, text));
        }

        public void OnCode(int number, CodePlace place)
        {
            if (!_recorder._stopped) Codes.Enqueue(new CodeName(number, place));
        }

        // The description, once: the writer has no more use for it then.
        public byte[]? TakeDescription()
        {
            byte[]? description = _description;
            _description = null;
            return description;
        }

        // Every failed look hurries the writer; the spinner soon sleeps a millisecond at a time.
        private void WaitAndAppend(in DeviceEvent deviceEvent)
        {
            var spinner = new SpinWait();
            while (!_recorder._stopped)
            {
                spinner.SpinOnce();
                if (Ring.TryAppend(deviceEvent)) return;
            }
        }
    }
}
