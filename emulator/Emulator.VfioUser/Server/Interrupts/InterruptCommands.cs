using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Server.Sessions;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server.Interrupts;

/// <summary>What interrupts there are and where they go: DEVICE_GET_IRQ_INFO and DEVICE_SET_IRQS.</summary>
internal sealed class InterruptCommands(InterruptPins pins, SendQueue output)
{
    private readonly EventFd[] _eventFds = new EventFd[SessionLimits.MessageFds];

    public void GetInfo(in MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (!IrqInfo.TryRead(payload, out IrqInfo request) || request.ArgSize < IrqInfo.Size || request.Index >= IrqIndex.Count)
        {
            output.ReplyError(header, Errno.EINVAL);
            return;
        }
        IrqInfoFlags flags = request.Index switch
        {
            IrqIndex.Intx => IrqInfoFlags.EventFd | IrqInfoFlags.Maskable | IrqInfoFlags.AutoMasked,
            IrqIndex.Msi => IrqInfoFlags.EventFd | IrqInfoFlags.NoResize,
            _ => IrqInfoFlags.EventFd,
        };
        new IrqInfo(IrqInfo.Size, flags, request.Index, (uint)pins.CountOf((int)request.Index)).Write(output.Reply(header, IrqInfo.Size));
    }

    /// <param name="header">The command's.</param>
    /// <param name="payload">What follows it.</param>
    /// <param name="fds">What came along; taken over.</param>
    public void Set(in MessageHeader header, ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds) => output.ReplyStatus(header, Set(payload, fds));

    /// <returns>0, or the errno to reply.</returns>
    private int Set(ReadOnlySpan<byte> payload, ReadOnlySpan<int> fds)
    {
        if (!IrqSet.TryRead(payload, out IrqSet request) || fds.Length > _eventFds.Length)
        {
            FileDescriptor.Close(fds);
            return Errno.EINVAL;
        }
        for (int i = 0; i < fds.Length; i++)
        {
            if (EventFd.TryAdopt(new FileDescriptor(fds[i])) is { } eventFd) { _eventFds[i] = eventFd; continue; }
            for (int j = 0; j < i; j++) _eventFds[j].Dispose();
            FileDescriptor.Close(fds[(i + 1)..]);
            return Errno.EINVAL;
        }
        return pins.Set(request, payload[IrqSet.Size..], _eventFds.AsSpan(0, fds.Length));
    }
}
