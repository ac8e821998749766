using Emulator.VfioUser.Protocol;

namespace Emulator.WireTests.Server;

/// <summary>Messages made by hand.</summary>
internal static class Wire
{
    /// <summary>A payload: its fixed part, and data.</summary>
    public static byte[] Bytes<T>(T value, ReadOnlySpan<byte> data = default)
        where T : struct, IWirePayload<T>
    {
        byte[] bytes = new byte[T.WireSize + data.Length];
        value.Write(bytes);
        data.CopyTo(bytes.AsSpan(T.WireSize));
        return bytes;
    }

    /// <summary>A whole message.</summary>
    public static byte[] Message(ushort id, Command command, ReadOnlySpan<byte> payload = default, MessageFlags flags = MessageFlags.Command)
        => Bytes(new MessageHeader(id, command, (uint)(MessageHeader.HeaderSize + payload.Length), flags, 0), payload);

    public static byte[] Read(ulong offset, int region, int count) => Bytes(new RegionAccess(offset, (uint)region, (uint)count));

    public static byte[] Write(ulong offset, int region, ReadOnlySpan<byte> data) => Bytes(new RegionAccess(offset, (uint)region, (uint)data.Length), data);

    public static byte[] Write32(ulong offset, int region, uint value) => Write(offset, region, BitConverter.GetBytes(value));

    public static byte[] Map(ulong address, ulong length, ulong fileOffset = 0, DmaMapFlags flags = DmaMapFlags.Readable | DmaMapFlags.Writable)
        => Bytes(new DmaMap(DmaMap.Size, flags, fileOffset, address, length));

    public static byte[] Unmap(ulong address, ulong length, DmaUnmapFlags flags = DmaUnmapFlags.None)
        => Bytes(new DmaUnmap(DmaUnmap.Size, flags, address, length));

    public static byte[] Irqs(IrqSetFlags flags, int index, int start, int count, params byte[] data)
        => Bytes(new IrqSet((uint)(IrqSet.Size + data.Length), flags, (uint)index, (uint)start, (uint)count), data);

    /// <summary>The payload of VERSION; the text gets its closing NUL.</summary>
    public static byte[] Version(string? json = null, ushort major = 0, ushort minor = 0)
        => [.. BitConverter.GetBytes(major), .. BitConverter.GetBytes(minor), .. System.Text.Encoding.UTF8.GetBytes((json ?? QemuOffer) + "\0")];

    /// <summary>What QEMU 11.1 offers.</summary>
    public const string QemuOffer = "{\"capabilities\": {\"migration\": {\"max_bitmap_size\": 268435456, \"pgsize\": 4096}, \"max_data_xfer_size\": 1048576, "
        + "\"max_msg_fds\": 16, \"pgsizes\": 4096, \"max_dma_maps\": 65535, \"write_multiple\": true}}";
}
