using System.Buffers.Binary;
using Emulator.Pci;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Server.Sessions;

namespace Emulator.VfioUser.Server.Regions;

/// <summary>Accesses to regions: REGION_READ, REGION_WRITE and REGION_WRITE_MULTI.</summary>
internal sealed class RegionCommands(PciFunction function, SendQueue output)
{
    public void Read(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!RegionAccess.TryRead(payload, out RegionAccess access) || !IsInside(access.Region, access.Offset, access.Count))
        {
            output.ReplyError(header, Errno.EINVAL);
            return;
        }
        int count = (int)access.Count;
        Span<byte> reply = output.Reply(header, RegionAccess.Size + count);
        access.Write(reply);
        function.Read((int)access.Region, access.Offset, reply[RegionAccess.Size..]);
    }

    public void Write(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!RegionAccess.TryRead(payload, out RegionAccess access) || !IsInside(access.Region, access.Offset, access.Count)
            || payload.Length != RegionAccess.Size + (int)access.Count)
        {
            output.ReplyError(header, Errno.EINVAL);
            return;
        }
        function.Write((int)access.Region, access.Offset, payload[RegionAccess.Size..]);
        access.Write(output.Reply(header, RegionAccess.Size));
    }

    public void WriteMulti(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!RegionWriteMulti.TryRead(payload, out RegionWriteMulti writes)) { output.ReplyError(header, Errno.EINVAL); return; }
        Span<byte> data = stackalloc byte[8];
        ulong done = 0;
        for (int i = 0; i < writes.Count; i++)
        {
            RegionWrite write = writes[i];
            // Lost, as a posted write to nowhere is.
            if (!IsInside(write.Region, write.Offset, write.Count)) continue;
            BinaryPrimitives.WriteUInt64LittleEndian(data, write.Data);
            function.Write((int)write.Region, write.Offset, data[..(int)write.Count]);
            done++;
        }
        BinaryPrimitives.WriteUInt64LittleEndian(output.Reply(header, RegionWriteMulti.HeaderSize), done);
    }

    private bool IsInside(uint region, ulong offset, uint count)
    {
        if (region >= RegionIndex.Count || count > SessionLimits.DataTransfer) return false;
        ulong size = function.RegionSize((int)region);
        return size != 0 && offset <= size && count <= size - offset;
    }
}
