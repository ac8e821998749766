using Emulator.Pci;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Server.Dma;
using Emulator.VfioUser.Server.Interrupts;
using Emulator.VfioUser.Server.Regions;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server.Sessions;

/// <summary>Has each command carried out where it belongs, and answers those about the device as a whole itself.</summary>
internal sealed class CommandDispatcher(
    PciFunction function, ServerSlot slot, DeviceServerOptions options, Negotiation negotiation, SendQueue output, Action<string> report)
{
    private readonly RegionCommands _regions = new(function, output);
    private readonly RegionDescriptions _descriptions = new(function, negotiation, output);
    private readonly DmaCommands _dma = new(function, slot.DmaTable, options.TrustUnsealedMemory, output, report);
    private readonly InterruptCommands _interrupts = new(slot.InterruptPins, output);

    /// <param name="header">A command's header.</param>
    /// <param name="payload">What follows it.</param>
    /// <param name="fds">What came along; taken over.</param>
    /// <returns>False when the session has to end: see <see cref="Negotiation.Refusal"/>.</returns>
    public bool Dispatch(in MessageHeader header, ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds)
    {
        // The two of the hot path first.
        if (header.Command == Command.RegionRead && fds.IsEmpty) { _regions.Read(header, payload); return true; }
        if (header.Command == Command.RegionWrite && fds.IsEmpty) { _regions.Write(header, payload); return true; }
        switch (header.Command)
        {
            case Command.DmaMap: _dma.Map(header, payload, fds); return true;
            case Command.DeviceSetIrqs: _interrupts.Set(header, payload, fds); return true;
        }
        FileDescriptor.Close(fds);
        if (!fds.IsEmpty) { output.ReplyError(header, Errno.EINVAL); return true; }
        switch (header.Command)
        {
            case Command.Version: return negotiation.Version(header, payload);
            case Command.DmaUnmap: _dma.Unmap(header, payload); break;
            case Command.DeviceGetInfo: GetInfo(header, payload); break;
            case Command.DeviceGetRegionInfo: _descriptions.GetInfo(header, payload); break;
            case Command.DeviceGetRegionIoFds: _descriptions.GetIoFds(header, payload); break;
            case Command.DeviceGetIrqInfo: _interrupts.GetInfo(header, payload); break;
            case Command.DeviceReset: Reset(header); break;
            case Command.RegionWriteMulti: _regions.WriteMulti(header, payload); break;
            // No feature is offered; the kernel's VFIO answers an unknown one so, and clients look for it.
            case Command.DeviceFeature: output.ReplyError(header, DeviceFeature.TryRead(payload, out _) ? Errno.ENOTTY : Errno.EINVAL); break;
            // Without the migration feature there is no data to move.
            case Command.MigDataRead or Command.MigDataWrite:
                output.ReplyError(header, MigrationData.TryRead(payload, out _) ? Errno.EOPNOTSUPP : Errno.EINVAL);
                break;
            default: output.ReplyError(header, Errno.EINVAL); break;
        }
        return true;
    }

    private void GetInfo(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!DeviceInfo.TryRead(payload, out DeviceInfo request) || request.ArgSize < DeviceInfo.Size) { output.ReplyError(header, Errno.EINVAL); return; }
        new DeviceInfo(DeviceInfo.Size, DeviceInfoFlags.Reset | DeviceInfoFlags.Pci, RegionIndex.Count, IrqIndex.Count)
            .Write(output.Reply(header, DeviceInfo.Size));
    }

    private void Reset(in MessageHeader header)
    {
        // Cancels queued transfers, too; the one whose message is under way ends, aborted, when its reply comes.
        function.Reset(ResetKind.Bus);
        output.ReplyStatus(header, 0);
    }
}
