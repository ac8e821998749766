using Emulator.Interrupts;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server.Interrupts;

/// <summary>
/// The client's side of interrupts: an eventfd a vector, masks, and for INTx the automask and resample of VFIO (linux/vfio.h,
/// VFIO_IRQ_INFO_AUTOMASKED): a raised line masks itself until the client unmasks it, and is raised again if its level is still high.
/// </summary>
internal sealed class InterruptPins : IInterruptPins, IDisposable
{
    private readonly Vector[][] _vectors = [[], [], [], [], []];
    private readonly int[] _attached = new int[IrqIndex.Count];
    private bool _level;

    /// <summary>Told when vectors of a kind got or lost routes: what is pending can go, or INTx is in use again.</summary>
    public Action<InterruptKind>? RouteAttached { get; set; }

    /// <summary>The client's resample descriptor: readable means unmask INTx. Null without one.</summary>
    public EventFd? Resample { get; private set; }

    public bool FollowsMsiXTable => false;

    /// <summary>Says how many vectors each index has.</summary>
    public void Size(int intx, int msi, int msiX)
    {
        int[] counts = [intx, msi, msiX, 1, 1];
        for (int i = 0; i < counts.Length; i++) _vectors[i] = new Vector[counts[i]];
    }

    public int CountOf(int index) => _vectors[index].Length;

    public bool IsArmed(InterruptKind kind) => _attached[(int)kind] > 0;

    public void SetIntx(bool asserted)
    {
        _level = asserted;
        RaiseIntx();
    }

    public bool TrySend(InterruptKind kind, int vector)
    {
        ref Vector at = ref _vectors[(int)kind][vector];
        if (at.Masked || at.EventFd is not { } eventFd) return false;
        eventFd.Signal();
        return true;
    }

    /// <summary>Carries out a SET_IRQS request.</summary>
    /// <param name="request">The fixed part.</param>
    /// <param name="flags">One byte an interrupt, with DATA_BOOL.</param>
    /// <param name="eventFds">What came along, with DATA_EVENTFD; taken over, whatever the outcome.</param>
    /// <returns>0, or the errno to reply. After an error nothing has changed.</returns>
    public int Set(in IrqSet request, ReadOnlySpan<byte> flags, ReadOnlySpan<EventFd> eventFds)
    {
        int errno = Apply(request, flags, eventFds);
        if (errno != 0)
        {
            foreach (EventFd eventFd in eventFds) eventFd.Dispose();
        }
        return errno;
    }

    /// <summary>The resample descriptor became readable.</summary>
    public void OnResample()
    {
        if (Resample is { } resample && resample.TryDrain()) Unmask(IrqIndex.Intx, 0);
    }

    /// <summary>Drops everything the client set up.</summary>
    public void Clear()
    {
        for (int i = 0; i < _vectors.Length; i++) Detach(i, 0, _vectors[i].Length);
    }

    public void Dispose() => Clear();

    private int Apply(in IrqSet request, ReadOnlySpan<byte> flags, ReadOnlySpan<EventFd> eventFds)
    {
        if (request.Index >= IrqIndex.Count || request.ArgSize < IrqSet.Size) return Errno.EINVAL;
        if ((request.Flags & ~(IrqSetFlags.DataTypeMask | IrqSetFlags.ActionTypeMask)) != 0) return Errno.EINVAL;
        int index = (int)request.Index;
        Vector[] vectors = _vectors[index];
        if (request.Start >= (uint)vectors.Length || request.Count > (uint)vectors.Length - request.Start) return Errno.EINVAL;
        // No vectors means all of them, for one purpose only: to disable the index.
        bool disables = (request.Data, request.Action) == (IrqSetFlags.DataNone, IrqSetFlags.ActionTrigger) && request.Start == 0;
        if (request.Count == 0 && !disables) return Errno.EINVAL;
        if (index is IrqIndex.Err or IrqIndex.Req && request.Action != IrqSetFlags.ActionTrigger) return Errno.EINVAL;
        int start = (int)request.Start, count = (int)request.Count;
        switch (request.Data, request.Action)
        {
            case (IrqSetFlags.DataNone, IrqSetFlags.ActionTrigger) when count == 0 && eventFds.Length == 0:
                Detach(index, 0, vectors.Length);
                return 0;
            case (IrqSetFlags.DataEventFd, IrqSetFlags.ActionTrigger):
                return Attach(index, start, count, eventFds);
            case (IrqSetFlags.DataEventFd, IrqSetFlags.ActionUnmask) when index == IrqIndex.Intx && count == 1 && eventFds.Length <= 1:
                Resample?.Dispose();
                Resample = eventFds.Length > 0 ? eventFds[0] : null;
                return 0;
            case (_, _) when eventFds.Length > 0:
                return Errno.EINVAL;
            case (IrqSetFlags.DataNone, IrqSetFlags.ActionMask or IrqSetFlags.ActionUnmask or IrqSetFlags.ActionTrigger):
                for (int i = start; i < start + count; i++) Act(index, i, request.Action);
                return 0;
            case (IrqSetFlags.DataBool, IrqSetFlags.ActionMask or IrqSetFlags.ActionUnmask or IrqSetFlags.ActionTrigger):
                if (flags.Length != count) return Errno.EINVAL;
                for (int i = 0; i < count; i++)
                {
                    if (flags[i] != 0) Act(index, start + i, request.Action);
                }
                return 0;
            default:
                return Errno.EINVAL;
        }
    }

    private int Attach(int index, int start, int count, ReadOnlySpan<EventFd> eventFds)
    {
        if (eventFds.Length == 0)
        {
            for (int i = start; i < start + count; i++) Drop(index, i);
        }
        else
        {
            if (eventFds.Length != count) return Errno.EINVAL;
            for (int i = start; i < start + count; i++)
            {
                Drop(index, i);
                _vectors[index][i].EventFd = eventFds[i - start];
                _attached[index]++;
            }
        }
        if (index == IrqIndex.Intx) RaiseIntx();
        else RoutesChanged(index);
        return 0;
    }

    private void Detach(int index, int start, int count)
    {
        for (int i = start; i < start + count; i++)
        {
            Drop(index, i);
            _vectors[index][i].Masked = false;
        }
        // Without vectors in use the function goes back to INTx.
        RoutesChanged(index);
        if (index != IrqIndex.Intx) return;
        Resample?.Dispose();
        Resample = null;
    }

    private void Drop(int index, int vector)
    {
        ref Vector at = ref _vectors[index][vector];
        if (at.EventFd is null) return;
        at.EventFd.Dispose();
        at.EventFd = null;
        _attached[index]--;
        // A new descriptor on the line starts unmasked, with whatever level there is.
        if (index == IrqIndex.Intx) at.Masked = false;
    }

    private void Act(int index, int vector, IrqSetFlags action)
    {
        switch (action)
        {
            case IrqSetFlags.ActionMask: _vectors[index][vector].Masked = true; break;
            case IrqSetFlags.ActionUnmask: Unmask(index, vector); break;
            // A trigger by the client is a loopback test of its own descriptor (linux/vfio.h, VFIO_DEVICE_SET_IRQS).
            default: _vectors[index][vector].EventFd?.Signal(); break;
        }
    }

    private void Unmask(int index, int vector)
    {
        _vectors[index][vector].Masked = false;
        if (index == IrqIndex.Intx) RaiseIntx();
        else RoutesChanged(index);
    }

    private void RoutesChanged(int index)
    {
        if (index is IrqIndex.Msi or IrqIndex.MsiX) RouteAttached?.Invoke((InterruptKind)index);
    }

    private void RaiseIntx()
    {
        if (!_level || _vectors[IrqIndex.Intx].Length == 0) return;
        ref Vector line = ref _vectors[IrqIndex.Intx][0];
        if (line.Masked || line.EventFd is not { } eventFd) return;
        line.Masked = true;
        eventFd.Signal();
    }

    private struct Vector
    {
        public EventFd? EventFd;
        public bool Masked;
    }
}
