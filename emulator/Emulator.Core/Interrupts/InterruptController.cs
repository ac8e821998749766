using Emulator.Observation;
using Emulator.Pci.Capabilities;

namespace Emulator.Interrupts;

/// <summary>
/// A cause of interrupts. A model states its level; the controller makes of it an INTx level, or a message at each
/// rising edge, whichever the driver chose.
/// </summary>
public sealed class InterruptSource
{
    private readonly InterruptController _controller;
    private bool _level;

    internal InterruptSource(InterruptController controller, int vector) => (_controller, Vector) = (controller, vector);

    /// <summary>The message this source sends, before the driver's allocation folds it.</summary>
    public int Vector { get; }

    /// <summary>Whether the device wants attention. Setting the level it already has costs nothing.</summary>
    public bool Level
    {
        get => _level;
        set
        {
            if (_level == value) return;
            _level = value;
            _controller.SourceChanged(this);
        }
    }

    // Without telling anybody: a reset tells it once for all sources.
    internal void Drop() => _level = false;
}

/// <summary>
/// The interrupts of one function: INTx with Interrupt Status and INTx Disable (PCI 3.0, 6.2), MSI and MSI-X with masks
/// and pending bits (6.8). A message that may not leave now (masked, no route, Bus Master Enable 0, not in D0) stays pending.
/// </summary>
public sealed class InterruptController
{
    private readonly List<InterruptSource> _sources = [];
    private readonly IInterruptPins _pins;
    private readonly bool _hasPin;

    // Pending vectors that a pulse asked for: no falling level takes those back.
    private readonly ulong[] _pulsed = new ulong[MsiXCapability.LargestTable / 64];
    private bool _intxAsserted, _intxDisabled, _asleep, _messagesLeave;
    private InterruptKind _mode;

    internal InterruptController(IInterruptPins pins, bool hasPin) => (_pins, _hasPin) = (pins, hasPin);

    /// <summary>The MSI capability, or null.</summary>
    public MsiCapability? Msi { get; internal set; }

    /// <summary>The MSI-X capability, or null.</summary>
    public MsiXCapability? MsiX { get; internal set; }

    internal ObserverSlot? Observer { get; set; }

    /// <summary>Told the value of Interrupt Status (STATUS bit 3) when it may have changed.</summary>
    internal Action<bool>? IntxStatusChanged { get; set; }

    /// <summary>What the driver chose. INTx until it enables messages.</summary>
    public InterruptKind Mode => _mode;

    /// <summary>Vectors of each kind the function offers; 0 where it has no such capability, or no interrupt pin.</summary>
    public int CountOf(InterruptKind kind) => kind switch
    {
        InterruptKind.Msi => Msi?.Vectors ?? 0,
        InterruptKind.MsiX => MsiX?.Vectors ?? 0,
        _ => _hasPin ? 1 : 0,
    };

    /// <summary>A cause that raises <paramref name="vector"/> where messages are in use.</summary>
    public InterruptSource CreateSource(int vector = 0)
    {
        var source = new InterruptSource(this, vector);
        _sources.Add(source);
        return source;
    }

    /// <summary>Sends a message without a level behind it. Without messages in use, nothing happens.</summary>
    public void Pulse(int vector)
    {
        if (_mode != InterruptKind.Intx) Send(vector, isPulse: true);
    }

    /// <summary>The slot's call: a vector got or lost a route, so what is pending can go, or another mode is in use.</summary>
    public void RouteAttached(InterruptKind kind)
    {
        if (kind != InterruptKind.Intx) Refresh();
    }

    /// <summary>Looks at every enable and mask again. Called when any of them may have changed.</summary>
    public void Refresh()
    {
        InterruptKind mode = ChosenMode();
        if (mode != _mode)
        {
            _mode = mode;
            // The line first: a function that uses messages must not assert it (PCI 3.0, 6.8.2).
            UpdateIntx();
            // What is wanted at the moment of the change would be lost with the old mode.
            if (mode != InterruptKind.Intx)
            {
                foreach (InterruptSource source in _sources)
                {
                    if (source.Level) Send(source.Vector);
                }
            }
        }
        SendPending();
        UpdateIntx();
    }

    /// <summary>What COMMAND and the power state allow.</summary>
    internal void SetGates(bool intxDisabled, bool busMaster, bool asleep)
    {
        (_intxDisabled, _asleep) = (intxDisabled, asleep);
        // A message is a memory write (6.8.3), and a function that is not in D0 starts none (PCI PM 1.2, 5.6).
        _messagesLeave = busMaster && !asleep;
        Refresh();
    }

    /// <summary>Every cause down, nothing pending, the line released: a reset must not end in an interrupt of its own.</summary>
    internal void Reset()
    {
        foreach (InterruptSource source in _sources) source.Drop();
        Array.Clear(_pulsed);
        UpdateIntx();
    }

    internal void SourceChanged(InterruptSource source)
    {
        if (!source.Level) Withdraw(source.Vector);
        if (_mode == InterruptKind.Intx) UpdateIntx();
        else if (source.Level) Send(source.Vector);
    }

    private InterruptKind ChosenMode()
    {
        if (MsiX is not null && (MsiX.IsEnabled || _pins.IsArmed(InterruptKind.MsiX))) return InterruptKind.MsiX;
        if (Msi is not null && (Msi.IsEnabled || _pins.IsArmed(InterruptKind.Msi))) return InterruptKind.Msi;
        return InterruptKind.Intx;
    }

    private void Send(int vector, bool isPulse = false)
    {
        bool sent, wasPending;
        if (_mode == InterruptKind.MsiX)
        {
            if ((uint)vector >= (uint)MsiX!.Vectors) return;
            wasPending = MsiX.IsPending(vector);
            sent = _messagesLeave && !MsiX.IsMasked(vector, _pins.FollowsMsiXTable) && _pins.TrySend(InterruptKind.MsiX, vector);
            MsiX.SetPending(vector, !sent);
        }
        else
        {
            vector = Msi!.Fold(vector);
            wasPending = Msi.IsPending(vector);
            sent = _messagesLeave && !Msi.IsMasked(vector) && _pins.TrySend(InterruptKind.Msi, vector);
            Msi.SetPending(vector, !sent);
        }
        ulong bit = 1UL << (vector % 64);
        if (sent) _pulsed[vector / 64] &= ~bit;
        else if (isPulse) _pulsed[vector / 64] |= bit;
        if (!sent && wasPending) return;
        Observer?.Signal(_mode == InterruptKind.MsiX ? DeviceEventKind.MsiX : DeviceEventKind.Msi, (ulong)vector, sent ? 1u : 0);
    }

    private void SendPending()
    {
        if (!_messagesLeave || _mode == InterruptKind.Intx) return;
        int vectors = CountOf(_mode);
        for (int vector = 0; vector < vectors; vector++)
        {
            bool ready = _mode == InterruptKind.MsiX
                ? MsiX!.IsPending(vector) && !MsiX.IsMasked(vector, _pins.FollowsMsiXTable)
                : Msi!.IsPending(vector) && !Msi.IsMasked(vector);
            if (ready) Send(vector);
        }
    }

    // 6.8.3.5: a pending vector whose cause has gone must not interrupt when it is unmasked.
    private void Withdraw(int vector)
    {
        if (MsiX is not null && (uint)vector < (uint)MsiX.Vectors && MsiX.IsPending(vector) && !IsWanted(vector, folded: false))
            MsiX.SetPending(vector, false);
        if (Msi is not null && Msi.IsPending(Msi.Fold(vector)) && !IsWanted(Msi.Fold(vector), folded: true))
            Msi.SetPending(Msi.Fold(vector), false);
    }

    private bool IsWanted(int vector, bool folded)
    {
        if ((_pulsed[vector / 64] >> (vector % 64) & 1) != 0) return true;
        foreach (InterruptSource source in _sources)
        {
            if (source.Level && (folded ? Msi!.Fold(source.Vector) : source.Vector) == vector) return true;
        }
        return false;
    }

    private void UpdateIntx()
    {
        bool wanted = false;
        if (_hasPin && _mode == InterruptKind.Intx && !_asleep)
        {
            foreach (InterruptSource source in _sources) wanted |= source.Level;
        }
        IntxStatusChanged?.Invoke(wanted);
        bool asserted = wanted && !_intxDisabled;
        if (asserted == _intxAsserted) return;
        _intxAsserted = asserted;
        Observer?.Signal(DeviceEventKind.Intx, 0, asserted ? 1u : 0);
        _pins.SetIntx(asserted);
    }
}
