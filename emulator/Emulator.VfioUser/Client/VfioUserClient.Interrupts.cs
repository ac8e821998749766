using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Client;

/// <content>Where interrupts go.</content>
public sealed partial class VfioUserClient
{
    /// <summary>DEVICE_GET_IRQ_INFO.</summary>
    /// <param name="index">See <see cref="IrqIndex"/>.</param>
    public IrqInfo GetIrqInfo(int index)
    {
        lock (_gate)
        {
            return Exchange<IrqInfo>(Command.DeviceGetIrqInfo, new IrqInfo(IrqInfo.Size, IrqInfoFlags.None, (uint)index, 0));
        }
    }

    /// <summary>Makes an interrupt signal a new eventfd. The caller disposes it, after <see cref="DetachInterrupts"/>.</summary>
    /// <param name="index">See <see cref="IrqIndex"/>.</param>
    /// <param name="vector">Which interrupt of the index.</param>
    public EventFd AttachInterrupt(int index, int vector = 0)
    {
        EventFd signal = EventFd.Create();
        try
        {
            AttachInterrupts(index, vector, [signal]);
            return signal;
        }
        catch
        {
            signal.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Makes interrupts signal the eventfds given, which stay the caller's, in one message; as many as the server's max_msg_fds at most.
    /// </summary>
    public void AttachInterrupts(int index, int start, ReadOnlySpan<EventFd> signals) =>
        SetEventFds(IrqSetFlags.ActionTrigger, index, start, signals);

    /// <summary>Makes a signal of <paramref name="signal"/>, which stays the caller's, unmask an interrupt ("resample").</summary>
    public void AttachUnmask(int index, int vector, EventFd signal) => SetEventFds(IrqSetFlags.ActionUnmask, index, vector, [signal]);

    /// <summary>Lets interrupts signal nothing.</summary>
    public void DetachInterrupts(int index, int start = 0, int count = 1) =>
        SetIrqs(IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger, index, start, count, default, default);

    /// <summary>Masks interrupts.</summary>
    public void MaskInterrupts(int index, int start = 0, int count = 1) =>
        SetIrqs(IrqSetFlags.DataNone | IrqSetFlags.ActionMask, index, start, count, default, default);

    /// <summary>Unmasks interrupts.</summary>
    public void UnmaskInterrupts(int index, int start = 0, int count = 1) =>
        SetIrqs(IrqSetFlags.DataNone | IrqSetFlags.ActionUnmask, index, start, count, default, default);

    /// <summary>Makes the server signal interrupts as if the device had.</summary>
    public void TriggerInterrupts(int index, int start = 0, int count = 1) =>
        SetIrqs(IrqSetFlags.DataNone | IrqSetFlags.ActionTrigger, index, start, count, default, default);

    /// <summary>Disables all interrupts of an index.</summary>
    public void DisableInterrupts(int index) => SetIrqs(IrqSetFlags.DataNone | IrqSetFlags.ActionTrigger, index, 0, 0, default, default);

    /// <summary>DEVICE_SET_IRQS in full. Descriptors stay the caller's.</summary>
    public void SetIrqs(IrqSetFlags flags, int index, int start, int count, ReadOnlySpan<byte> data, ReadOnlySpan<int> fds)
    {
        lock (_gate)
        {
            Span<byte> head = stackalloc byte[MessageHeader.HeaderSize + IrqSet.Size];
            new IrqSet((uint)(IrqSet.Size + data.Length), flags, (uint)index, (uint)start, (uint)count).Write(head[MessageHeader.HeaderSize..]);
            Complete(Send(Command.DeviceSetIrqs, head, data, fds), Command.DeviceSetIrqs);
        }
    }

    private void SetEventFds(IrqSetFlags action, int index, int start, ReadOnlySpan<EventFd> signals)
    {
        int[] fds = new int[signals.Length];
        for (int i = 0; i < fds.Length; i++)
        {
            fds[i] = signals[i].Handle.Number;
        }
        SetIrqs(IrqSetFlags.DataEventFd | action, index, start, fds.Length, default, fds);
    }
}
