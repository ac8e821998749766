using System.Buffers.Binary;

namespace Emulator.Nt.Objects;

/// <summary>Finds drivers without symbols: by the mark each DRIVER_OBJECT begins with, and by the extension behind it that points back.</summary>
public static class DriverScan
{
    private const int Alignment = 8;

    /// <summary>
    /// The addresses of all drivers in a range of virtual memory, rising. A driver has Type 4 and its own Size, DriverExtension at its end, the
    /// extension's pointer back, and a page-aligned DriverStart or none (drivers inside the kernel have 0); its name, where it can be read, is a path.
    /// Absent pages are passed over at a page's cost each.
    /// </summary>
    /// <param name="start">Where to begin.</param>
    /// <param name="length">In bytes; a driver counts when it begins within.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range does not end within the address space.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static IEnumerable<NtAddress> Find(ObjectReader reader, ulong start, ulong length, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(reader);
        ulong end = reader.Layout.Is64Bit ? ulong.MaxValue : uint.MaxValue;
        if (length > 0 && (start > end || length - 1 > end - start))
        {
            throw new ArgumentOutOfRangeException(nameof(length), $"0x{length:x} bytes from 0x{start:x} on do not end within the address space.");
        }
        return length == 0 ? [] : FindIn(reader, start, start + (length - 1), cancellation);
    }

    private static IEnumerable<NtAddress> FindIn(ObjectReader reader, ulong first, ulong last, CancellationToken cancellation)
    {
        byte[] bytes = new byte[ObjectReader.PageSize];
        for (ulong page = first & ~(ulong)(ObjectReader.PageSize - 1); ; page += ObjectReader.PageSize)
        {
            cancellation.ThrowIfCancellationRequested();
            if (reader.TryRead(page, bytes))
            {
                for (int at = 0; at < bytes.Length; at += Alignment)
                {
                    if (!HasMark(bytes.AsSpan(at), reader.Layout.DriverObject)) continue;
                    ulong address = page + (ulong)at;
                    if (address >= first && address <= last && IsDriver(reader, address)) yield return reader.AddressOf(address);
                }
            }
            if (last - page < ObjectReader.PageSize) yield break;
        }
    }

    private static bool HasMark(ReadOnlySpan<byte> bytes, DriverObjectLayout layout)
        => BinaryPrimitives.ReadUInt16LittleEndian(bytes) == DriverObjectLayout.Type && BinaryPrimitives.ReadUInt16LittleEndian(bytes[2..]) == layout.Size;

    private static bool IsDriver(ObjectReader reader, ulong address)
    {
        DriverObjectLayout layout = reader.Layout.DriverObject;
        Span<byte> driver = stackalloc byte[layout.Size];
        Span<byte> back = stackalloc byte[reader.Layout.PointerSize];
        ulong extension = address + (ulong)layout.Size;
        return reader.TryRead(address, driver) && reader.Pointer(driver, layout.DriverExtension).Value == extension
            && reader.TryRead(extension + (ulong)reader.Layout.DriverExtension.DriverObject, back) && reader.Pointer(back, 0).Value == address
            && IsImageStart(reader.Pointer(driver, layout.DriverStart)) && !HasLostItsName(reader, driver[layout.DriverName..]);
    }

    // A driver that was unloaded stays whole in freed pool for a while, but for its name, over whose beginning the pool keeps its lists.
    private static bool HasLostItsName(ObjectReader reader, ReadOnlySpan<byte> name)
    {
        Span<byte> first = stackalloc byte[sizeof(char)];
        return BinaryPrimitives.ReadUInt16LittleEndian(name) >= sizeof(char)
            && reader.TryRead(reader.Pointer(name, reader.Layout.PointerSize).Value, first) && BinaryPrimitives.ReadUInt16LittleEndian(first) != '\\';
    }

    // x64 addresses are canonical: bits 63 to 47 are all alike.
    private static bool IsImageStart(NtAddress address)
        => address.Value % ObjectReader.PageSize == 0 && (!address.Is64Bit || (ulong)((long)address.Value << 16 >> 16) == address.Value);
}
