using Emulator.Pci;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Server.Sessions;

namespace Emulator.VfioUser.Server.Regions;

/// <summary>What regions there are and how they can be reached: DEVICE_GET_REGION_INFO and DEVICE_GET_REGION_IO_FDS.</summary>
internal sealed class RegionDescriptions(PciFunction function, Negotiation negotiation, SendQueue output)
{
    public void GetInfo(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!RegionInfo.TryRead(payload, out RegionInfo request) || request.ArgSize < RegionInfo.Size || request.Index >= RegionIndex.Count)
        {
            output.ReplyError(header, Errno.EINVAL);
            return;
        }
        int index = (int)request.Index;
        ulong length = function.RegionSize(index);
        RegionInfoFlags flags = length == 0 ? RegionInfoFlags.None : RegionInfoFlags.Read | RegionInfoFlags.Write;
        SharedBarMemory? memory = negotiation.TakesDescriptors && index < PciRegion.BarCount ? function.Bars[index]?.Memory as SharedBarMemory : null;
        SparseArea[] areas = memory is null ? [] : Mappable(function.Bars[index]!);
        if (areas.Length == 0)
        {
            new RegionInfo(RegionInfo.Size, flags, request.Index, 0, length, 0).Write(output.Reply(header, RegionInfo.Size));
            return;
        }
        flags |= RegionInfoFlags.MemoryMap;
        bool whole = areas.Length == 1 && areas[0].Offset == 0 && areas[0].Length == length;
        int capability = whole ? 0 : SparseMapCapability.ByteCount(areas.Length), full = RegionInfo.Size + capability;
        if (request.ArgSize < (uint)full)
        {
            // Too little room: only how much is needed, and no descriptor yet.
            new RegionInfo((uint)full, flags, request.Index, 0, length, 0).Write(output.Reply(header, RegionInfo.Size));
            return;
        }
        Span<byte> reply = output.Reply(header, full);
        if (!whole)
        {
            flags |= RegionInfoFlags.Capabilities;
            SparseMapCapability.Write(reply[RegionInfo.Size..], areas);
        }
        new RegionInfo((uint)full, flags, request.Index, whole ? 0u : RegionInfo.Size, length, 0).Write(reply);
        if (header.NoReply) return;
        output.Attach(memory!.GiveAway(), MessageHeader.HeaderSize + full);
        output.TryFlush();
    }

    public void GetIoFds(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!RegionIoFds.TryRead(payload, out RegionIoFds request) || request.ArgSize is < RegionIoFds.Size or > SessionLimits.DataTransfer
            || request.Flags != 0 || request.Count != 0 || request.Index >= RegionIndex.Count || function.RegionSize((int)request.Index) == 0)
        {
            output.ReplyError(header, Errno.EINVAL);
            return;
        }
        new RegionIoFds(RegionIoFds.Size, 0, request.Index, 0).Write(output.Reply(header, RegionIoFds.Size));
    }

    private static SparseArea[] Mappable(Bar bar)
        => [.. bar.Windows.Where(w => w.IsMappable).Select(w => new SparseArea(w.Offset, w.Length))];
}
