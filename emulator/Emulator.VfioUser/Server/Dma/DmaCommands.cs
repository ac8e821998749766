using Emulator.Pci;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Server.Sessions;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server.Dma;

/// <summary>What memory of its guest a client lets the device reach: DMA_MAP and DMA_UNMAP.</summary>
internal sealed class DmaCommands(PciFunction function, DmaTable table, bool trustUnsealedMemory, SendQueue output, Action<string> report)
{
    // Newer clients say how a descriptor may be used, and then must send one. Either way ours is to map it, or to use messages.
    private const DmaMapFlags DescriptorFlags = DmaMapFlags.Mappable | DmaMapFlags.FileInputOutput;
    private const DmaMapFlags KnownFlags = DmaMapFlags.Readable | DmaMapFlags.Writable | DescriptorFlags;

    private bool _toldUnsealed;

    /// <param name="header">The command's.</param>
    /// <param name="payload">What follows it.</param>
    /// <param name="fds">What came along; taken over.</param>
    public void Map(in MessageHeader header, ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds) => output.ReplyStatus(header, Map(payload, fds));

    public void Unmap(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!DmaUnmap.TryRead(payload, out DmaUnmap request) || request.ArgSize < DmaUnmap.Size || (request.Flags & ~DmaUnmapFlags.All) != 0)
        {
            output.ReplyError(header, Errno.EINVAL);
            return;
        }
        bool all = (request.Flags & DmaUnmapFlags.All) != 0;
        if (all && (request.Address != 0 || request.Length != 0)) { output.ReplyError(header, Errno.EINVAL); return; }
        ulong removed = 0;
        if (all)
        {
            table.Clear();
        }
        else if (table.Remove(request.Address, request.Length, out removed) is not 0 and int errno)
        {
            output.ReplyError(header, errno);
            return;
        }
        if (all || removed > 0) function.NoteMapping(mapped: false, request.Address, request.Length);
        (request with { Length = removed }).Write(output.Reply(header, DmaUnmap.Size));
    }

    /// <returns>0, or the errno to reply.</returns>
    private int Map(ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds)
    {
        if (!DmaMap.TryRead(payload, out DmaMap request) || request.ArgSize < DmaMap.Size || fds.Length > 1 || request.Length == 0
            || request.Address > ulong.MaxValue - (request.Length - 1) || (request.Flags & ~KnownFlags) != 0
            || ((request.Flags & DescriptorFlags) != 0 && fds.IsEmpty))
        {
            FileDescriptor.Close(fds);
            return Errno.EINVAL;
        }
        bool readable = (request.Flags & DmaMapFlags.Readable) != 0, writable = (request.Flags & DmaMapFlags.Writable) != 0;
        MappedMemory? memory = null;
        if (fds.Length == 1)
        {
            using var file = new FileDescriptor(fds[0]);
            MappingAccess access = writable ? MappingAccess.ReadWrite : MappingAccess.Read;
            if (!table.HasRoomFor(request.Length)) return Errno.ENOMEM;
            if (!MappedMemory.TryMap(file, request.FileOffset, request.Length, access, out memory, out int errno)) return errno;
            if (!memory.CannotShrink && !trustUnsealedMemory)
            {
                // Its owner could cut it, and the next access would end this process, with all its devices: reach it by messages.
                memory.Dispose();
                memory = null;
                if (!_toldUnsealed) report("the guest's memory is a file that can shrink: DMA goes by messages, which is slow, and not every model "
                    + "can use that; start QEMU with memory-backend-memfd,share=on, whose seal is on by default, or have the device trust the file");
                _toldUnsealed = true;
            }
        }
        int refused = table.Add(new DmaRange(request.Address, request.Length, readable, writable, memory));
        if (refused != 0) memory?.Dispose();
        else function.NoteMapping(mapped: true, request.Address, request.Length);
        return refused;
    }
}
