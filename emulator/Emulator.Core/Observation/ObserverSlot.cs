using System.Buffers.Binary;
using Emulator.Time;

namespace Emulator.Observation;

/// <summary>
/// An observer with the clock that stamps its events. The function holds null where nobody watches, so that a trace
/// that is off costs one comparison.
/// </summary>
internal sealed class ObserverSlot(IDeviceObserver observer, IDeviceClock clock)
{
    public IDeviceObserver Observer => observer;

    public void Access(DeviceEventKind kind, int region, ulong offset, int length, ulong value, bool ok)
        => observer.OnEvent(new DeviceEvent(clock.Now, kind, (byte)region, ok, length, offset, value));

    public void Dma(DeviceEventKind kind, ulong address, ReadOnlySpan<byte> bytes, bool ok)
        => Dma(kind, address, bytes.Length, ok ? FirstBytes(bytes) : 0, ok);

    public void Dma(DeviceEventKind kind, ulong address, int length, ulong value, bool ok)
        => observer.OnEvent(new DeviceEvent(clock.Now, kind, 0, ok, length, address, value));

    public void Signal(DeviceEventKind kind, ulong offset, ulong value)
        => observer.OnEvent(new DeviceEvent(clock.Now, kind, 0, true, 0, offset, value));

    public void Remark(string text) => observer.OnRemark(clock.Now, text);

    public static ulong FirstBytes(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length >= sizeof(ulong)) return BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        ulong value = 0;
        for (int i = bytes.Length - 1; i >= 0; i--) value = (value << 8) | bytes[i];
        return value;
    }
}
