using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Emulator.Observation;

namespace Emulator.Tracing;

/// <summary>
/// Records on their way from one device thread to one writer thread. Appending is a comparison and a store; the writer's
/// position is looked at only when the ring was half full or full at the last look.
/// </summary>
/// <param name="capacity">Records, rounded up to a power of two.</param>
/// <param name="halfFull">Told, on the device thread, when the reader should hurry; or null.</param>
internal sealed class EventRing(int capacity, Action? halfFull)
{
    private readonly TraceRecord[] _records = new TraceRecord[(int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, capacity))];
    private Positions _at = new() { Look = (int)BitOperations.RoundUpToPowerOf2((uint)Math.Max(2, capacity)) / 2 };

    public int Capacity => _records.Length;

    /// <summary>Records ever appended. Exact on the device thread; elsewhere, everything below it is visible.</summary>
    public long Head => Volatile.Read(ref _at.Head);

    /// <summary>Records ever taken.</summary>
    public long Tail => Volatile.Read(ref _at.Tail);

    /// <summary>Whether so many records would fit. Device thread.</summary>
    public bool HasRoom(int records) => Capacity - (_at.Head - Tail) >= records;

    /// <summary>Appends a record. Device thread.</summary>
    /// <returns>False when the ring is full; nothing was stored.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryAppend(in DeviceEvent deviceEvent)
    {
        long head = _at.Head;
        if (head == _at.Look && !LookForRoom(head)) return false;
        _records[(int)head & (_records.Length - 1)] = new TraceRecord(deviceEvent);
        Volatile.Write(ref _at.Head, head + 1);
        return true;
    }

    /// <summary>The oldest records in one piece: at most <paramref name="limit"/>, fewer at the ring's end. Reader thread.</summary>
    public ReadOnlySpan<TraceRecord> Peek(int limit)
    {
        long tail = _at.Tail;
        int first = (int)tail & (_records.Length - 1), count = (int)Math.Min(Head - tail, Math.Min(limit, _records.Length - first));
        return _records.AsSpan(first, count);
    }

    /// <summary>Gives back the room of the oldest records. Reader thread.</summary>
    public void Take(int count) => Volatile.Write(ref _at.Tail, _at.Tail + count);

    private bool LookForRoom(long head)
    {
        long tail = Tail;
        int half = Capacity / 2;
        if (head - tail < half)
        {
            _at.Look = tail + half;
            return true;
        }
        halfFull?.Invoke();
        if (head - tail == Capacity) return false;
        _at.Look = tail + Capacity;
        return true;
    }

    // Each thread's positions on cache lines of their own (two lines apart: processors fetch them in pairs).
    [StructLayout(LayoutKind.Explicit, Size = 384)]
    private struct Positions
    {
        [FieldOffset(128)] public long Head;
        [FieldOffset(136)] public long Look;
        [FieldOffset(256)] public long Tail;
    }
}
