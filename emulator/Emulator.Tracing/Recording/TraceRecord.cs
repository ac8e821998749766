using System.Runtime.InteropServices;
using Emulator.Observation;

namespace Emulator.Tracing;

/// <summary>An event as the rings and the file hold it: 32 bytes, little-endian. The layout is trace-format.md, "Record".</summary>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
internal readonly struct TraceRecord
{
    public const int Bytes = 32;

    // Every bit is written, so that no byte of this process's memory ends up in a file unmeant.
    [FieldOffset(0)] private readonly long _time;
    [FieldOffset(8)] private readonly byte _kind;
    [FieldOffset(9)] private readonly byte _region;
    [FieldOffset(10)] private readonly byte _flags;
    [FieldOffset(11)] private readonly byte _reserved;
    [FieldOffset(12)] private readonly int _length;
    [FieldOffset(16)] private readonly ulong _offset;
    [FieldOffset(24)] private readonly ulong _value;

    public TraceRecord(in DeviceEvent e)
    {
        _time = e.Time;
        _kind = (byte)e.Kind;
        _region = e.Region;
        _flags = e.Ok ? (byte)1 : (byte)0;
        _reserved = 0;
        _length = e.Length;
        _offset = e.Offset;
        _value = e.Value;
    }

    public DeviceEvent ToEvent() => new(_time, (DeviceEventKind)_kind, _region, (_flags & 1) != 0, _length, _offset, _value);
}
