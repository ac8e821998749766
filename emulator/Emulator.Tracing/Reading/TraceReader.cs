using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Emulator.Observation;

namespace Emulator.Tracing;

/// <summary>
/// Reads a trace file. Opening walks over the chunk headers and reads the devices' descriptions; the events are then
/// streamed, a block a device in memory at a time. A file cut short by a crash is read as far as it goes.
/// </summary>
/// <remarks>The file format is trace-format.md. The file is taken for hostile.</remarks>
public sealed class TraceReader : IDisposable
{
    private readonly Stream _file;
    private readonly string _name;
    private readonly long _length;
    private readonly List<DeviceIndex> _devices = [];

    private TraceReader(Stream file, string name)
    {
        (_file, _name, _length) = (file, name, file.Length);
        ReadPreamble();
        IsTruncated = !ReadChunks();
        Devices = [.. _devices.Select(d => d.Device)];
    }

    /// <summary>Every device in the file, in the order of <see cref="TracedDevice.Id"/>.</summary>
    public IReadOnlyList<TracedDevice> Devices { get; }

    /// <summary>Whether the recorder never closed the file: it was killed, or is still at work.</summary>
    public bool IsTruncated { get; }

    /// <summary>When the recording began.</summary>
    public DateTimeOffset Started { get; private set; }

    /// <summary>Opens a trace. It may still be growing: what is there now is read.</summary>
    /// <exception cref="IOException">The file cannot be read; the message is one line.</exception>
    /// <exception cref="TraceFormatException">The file is no trace, damaged, or newer than this reader.</exception>
    public static TraceReader Open(string path)
    {
        if (path.Length == 0) throw Refusal(path, "its name is empty; name a file, such as out/session.trace");
        if (Directory.Exists(path)) throw Refusal(path, "it is a folder; name a file in it");
        FileStream file;
        try
        {
            file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException)
        {
            throw Refusal(path, $"{e.Message.ReplaceLineEndings(" ").TrimEnd('.')}; name a trace that was recorded", e);
        }
        return Open(file, path);
    }

    /// <summary>Reads a trace from a stream that can seek, which it closes in the end.</summary>
    /// <param name="name">What messages call it.</param>
    /// <exception cref="TraceFormatException">It is no trace, damaged, or newer than this reader.</exception>
    public static TraceReader Open(Stream stream, string name)
    {
        try
        {
            if (!stream.CanSeek) throw new TraceFormatException($"'{name}' cannot be read out of order, as a trace must be; copy it to a file first.");
            return new TraceReader(stream, name);
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    /// <summary>
    /// All events and remarks, merged by time over the devices; those of one device stay in the order they happened. Every
    /// enumeration starts from the beginning; for one thread.
    /// </summary>
    public IEnumerable<TraceEntry> Read()
    {
        Cursor[] cursors = [.. _devices.Select(d => new Cursor(this, d))];
        while (true)
        {
            Cursor? earliest = null;
            foreach (Cursor cursor in cursors)
            {
                if (cursor.HasCurrent && (earliest is null || cursor.Current.Time < earliest.Current.Time)) earliest = cursor;
            }
            if (earliest is null) yield break;
            yield return earliest.Current;
            earliest.MoveNext();
        }
    }

    public void Dispose() => _file.Dispose();

    private static IOException Refusal(string path, string why, Exception? cause = null) => new($"cannot read the trace '{path}': {why}", cause);

    private void ReadPreamble()
    {
        Span<byte> preamble = stackalloc byte[TraceFormat.PreambleBytes];
        preamble = preamble[..ReadAt(0, preamble)];
        ReadOnlySpan<byte> magic = TraceFormat.Magic;
        if (!preamble.StartsWith(magic[..Math.Min(magic.Length, preamble.Length)]))
            throw new TraceFormatException($"'{_name}' is not a trace: it does not begin as one. Name a file that 'emulator run' recorded.");
        if (preamble.Length < TraceFormat.PreambleBytes)
            throw new TraceFormatException($"'{_name}' holds no trace: it ends after {preamble.Length} bytes. Record it again.");
        ushort major = BinaryPrimitives.ReadUInt16LittleEndian(preamble[8..]), minor = BinaryPrimitives.ReadUInt16LittleEndian(preamble[10..]);
        if (major != TraceFormat.Major)
        {
            throw new TraceFormatException(
                $"'{_name}' is a trace of format {major}.{minor}; this emulator reads {TraceFormat.Major}.x. Read it with the emulator that recorded it.");
        }
        long startedNs = BinaryPrimitives.ReadInt64LittleEndian(preamble[16..]);
        if (startedNs < 0) throw Damaged(16, "the start of the recording is before 1970");
        Started = DateTimeOffset.UnixEpoch.AddTicks(startedNs / 100);
    }

    // Finds every chunk. False when the file ends before its end chunk.
    private bool ReadChunks()
    {
        Span<byte> header = stackalloc byte[TraceFormat.ChunkHeaderBytes];
        for (long at = TraceFormat.PreambleBytes; ;)
        {
            if (ReadAt(at, header) < header.Length) return false;
            uint type = BinaryPrimitives.ReadUInt32LittleEndian(header), bytes = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
            int device = BinaryPrimitives.ReadUInt16LittleEndian(header[8..]);
            long payload = at + header.Length;
            // A crash of the machine leaves zeros where a file had grown but its data was not yet on the disk.
            if (type == 0 && bytes == 0) return false;
            CheckHeader(at, type, bytes);
            bool whole = bytes <= _length - payload;
            int present = (int)Math.Min(bytes, _length - payload);
            switch (type)
            {
                case TraceFormat.End:
                    return true;
                case TraceFormat.Device when whole:
                    AddDevice(at, device, payload, present);
                    break;
                case TraceFormat.Code when whole:
                    AddCode(at, Find(at, device).Device, payload, present);
                    break;
                case TraceFormat.Records when present >= TraceRecord.Bytes:
                    Find(at, device).Records.Add(new Block(payload, present / TraceRecord.Bytes));
                    break;
                case TraceFormat.Remark when whole:
                    Find(at, device).Remarks.Add(new Block(payload, present));
                    break;
            }
            if (!whole) return false;
            at = payload + bytes;
        }
    }

    private void CheckHeader(long at, uint type, uint bytes)
    {
        (uint least, uint most) = type switch
        {
            TraceFormat.Device => (2u, (uint)TraceFormat.MaxDeviceBytes),
            TraceFormat.Records => ((uint)TraceRecord.Bytes, (uint)TraceFormat.MaxRecordsBytes),
            TraceFormat.Code => ((uint)TraceFormat.CodeHeaderBytes, (uint)TraceFormat.MaxCodeBytes),
            TraceFormat.Remark => ((uint)TraceFormat.RemarkHeaderBytes, (uint)TraceFormat.MaxRemarkBytes),
            TraceFormat.End => (0u, 0u),
            _ => (0u, (uint)int.MaxValue),
        };
        for (int i = 0; i < 32; i += 8)
        {
            if ((type >> i & 0xff) is not (' ' or (>= 'A' and <= 'Z') or (>= 'a' and <= 'z') or (>= '0' and <= '9')))
                throw Damaged(at, $"0x{type:x8} is no type of chunk");
        }
        if (bytes < least || bytes > most) throw Damaged(at, $"a chunk of this type has {least} to {most} bytes, not {bytes}");
        if (type == TraceFormat.Records && bytes % TraceRecord.Bytes != 0)
            throw Damaged(at, $"{bytes} bytes of records are not a multiple of {TraceRecord.Bytes}");
    }

    private void AddDevice(long at, int id, long payload, int length)
    {
        if (id != _devices.Count || id >= TraceFormat.MaxDevices) throw Damaged(at, $"device {id} is out of order");
        var json = new byte[length];
        if (ReadAt(payload, json) < length) throw Damaged(at, "the file shrank while it was read");
        if (DescriptionJson.TryRead(json, out DeviceDescription description) is { } problem)
            throw Damaged(at, $"the description of device {id} {problem.ReplaceLineEndings(" ")}");
        _devices.Add(new DeviceIndex(new TracedDevice(id, description)));
    }

    private void AddCode(long at, TracedDevice device, long payload, int length)
    {
        Span<byte> bytes = stackalloc byte[length];
        if (ReadAt(payload, bytes) < length) throw Damaged(at, "the file shrank while it was read");
        int number = BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]);
        int function = BinaryPrimitives.ReadUInt16LittleEndian(bytes[12..]), instruction = BinaryPrimitives.ReadUInt16LittleEndian(bytes[14..]);
        if (number != device.CodeCount || number >= TraceFormat.MaxCodePlaces) throw Damaged(at, $"instruction {number} of device {device.Id} is out of order");
        if (TraceFormat.CodeHeaderBytes + function + instruction != length)
            throw Damaged(at, $"instruction {number} of device {device.Id} has names of another length");
        Span<byte> text = bytes[TraceFormat.CodeHeaderBytes..];
        device.AddCode(number, new CodePlace(
            BinaryPrimitives.ReadUInt64LittleEndian(bytes), Encoding.UTF8.GetString(text[..function]), Encoding.UTF8.GetString(text[function..])));
    }

    private DeviceIndex Find(long at, int id)
        => id < _devices.Count ? _devices[id] : throw Damaged(at, $"device {id} has events but no description");

    private TraceFormatException Damaged(long at, string what)
        => new(string.Create(CultureInfo.InvariantCulture, $"'{_name}' is damaged at byte {at}: {what}. Copy the file again, or record it again."));

    private int ReadAt(long at, Span<byte> destination)
    {
        if (_file.Position != at) _file.Position = at;
        return _file.ReadAtLeast(destination, destination.Length, throwOnEndOfStream: false);
    }

    /// <param name="Position">Of the payload.</param>
    /// <param name="Count">Records, or bytes of a remark.</param>
    private readonly record struct Block(long Position, int Count);

    private sealed record DeviceIndex(TracedDevice Device)
    {
        public List<Block> Records { get; } = [];
        public List<Block> Remarks { get; } = [];
    }

    /// <summary>Walks over one device's records and remarks.</summary>
    private sealed class Cursor
    {
        private readonly TraceReader _reader;
        private readonly DeviceIndex _index;
        private byte[] _block = [];
        private int _blocks, _at, _count, _remarks;
        private long _taken, _remarkBefore = long.MaxValue, _remarkTime;
        private string _remarkText = "";
        private TraceEntryMaker _maker;

        public Cursor(TraceReader reader, DeviceIndex index)
        {
            (_reader, _index) = (reader, index);
            _maker = new TraceEntryMaker(index.Device);
            NextRemark();
            MoveNext();
        }

        public bool HasCurrent { get; private set; }
        public TraceEntry Current { get; private set; }

        public void MoveNext()
        {
            while (true)
            {
                bool hasRecord = _at < _count || NextBlock(), hasRemark = _remarks <= _index.Remarks.Count;
                HasCurrent = hasRecord || hasRemark;
                if (!HasCurrent) return;
                if (hasRemark && (!hasRecord || _remarkBefore <= _taken))
                {
                    long time = _index.Device.ToTraceTime(_remarkTime);
                    Current = new TraceEntry(_index.Device, time, new DeviceEvent(_remarkTime, 0, 0, Ok: true, 0, 0, 0), _remarkText);
                    NextRemark();
                    return;
                }
                _taken++;
                if (!_maker.TryMake(MemoryMarshal.Read<TraceRecord>(_block.AsSpan(_at++ * TraceRecord.Bytes)).ToEvent(), out TraceEntry entry)) continue;
                Current = entry;
                return;
            }
        }

        private bool NextBlock()
        {
            if (_blocks == _index.Records.Count) return false;
            Block block = _index.Records[_blocks++];
            int bytes = block.Count * TraceRecord.Bytes;
            if (_block.Length < bytes) _block = new byte[bytes];
            // A file that shrinks meanwhile ends here.
            (_at, _count) = (0, _reader.ReadAt(block.Position, _block.AsSpan(0, bytes)) / TraceRecord.Bytes);
            return _count > 0;
        }

        private void NextRemark()
        {
            while (_remarks++ < _index.Remarks.Count)
            {
                Block block = _index.Remarks[_remarks - 1];
                Span<byte> bytes = new byte[block.Count];
                bytes = bytes[.._reader.ReadAt(block.Position, bytes)];
                if (bytes.Length < TraceFormat.RemarkHeaderBytes) continue;
                _remarkTime = BinaryPrimitives.ReadInt64LittleEndian(bytes);
                _remarkBefore = BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]);
                _remarkText = Encoding.UTF8.GetString(bytes[TraceFormat.RemarkHeaderBytes..]);
                return;
            }
        }
    }
}
