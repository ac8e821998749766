namespace DeviceModels.ParallelPort.Ieee1284;

// Nibble mode (6.6) and byte mode (6.7).
public abstract partial class Ieee1284Peripheral
{
    private void OnReverse(HostLines before)
    {
        switch (_state.Phase)
        {
            case Phase.ReverseReady when _lines.Fell(HostSignals.NAutoFd, before):
                // Event 7: the host asks for a nibble or a byte. Without data it is now waiting for some.
                if (HasReverse) SendReverse();
                else Enter(Phase.ReverseIdle);
                break;
            case Phase.ReverseSent when _lines.Rose(HostSignals.NAutoFd, before):
                FinishReverse();
                break;
            case Phase.ReverseAnnounced when _lines.Rose(HostSignals.NAutoFd, before):
                // Events 20 and 21.
                Enter(Phase.ReverseReady);
                Show(PeripheralSignals.PError | PeripheralSignals.NAck, PeripheralSignals.NAck);
                break;
            case Phase.ReverseIdle when _lines.Rose(HostSignals.NAutoFd, before):
                Enter(Phase.ReverseReady);
                break;
        }
    }

    private bool IsByteMode => (_state.Request & ~RequestDeviceId) == RequestByte;

    private void SendReverse()
    {
        byte value = Reverse[0];
        if (IsByteMode)
        {
            // Event 15: the byte on the data lines, which the host has released.
            (_state.Data, _state.DrivesData) = (value, true);
            _host.PeripheralChanged();
        }
        else
        {
            // Event 8: bits 0 to 3 on nFault, Select, PError and Busy; the low nibble first (table 4).
            int nibble = _state.SecondNibble ? value >> 4 : value & 0xf;
            Show(CompatibilityStatus | PeripheralSignals.Busy,
                (PeripheralSignals)(((nibble & 7) << 3) | ((nibble & 8) << 4)));
        }
        Enter(Phase.ReverseSent);
        // Event 9.
        Show(PeripheralSignals.NAck, PeripheralSignals.None);
    }

    private void FinishReverse()
    {
        _state.SecondNibble = !IsByteMode && !_state.SecondNibble;
        if (!_state.SecondNibble)
        {
            Consume(1);
            _state.DrivesData = false;
            // Event 13: before the clock edge the status lines mean availability again.
            ShowAvailability();
        }
        Enter(Phase.ReverseReady);
        // Event 11.
        Show(PeripheralSignals.NAck, PeripheralSignals.NAck);
    }

    private void ShowAvailability()
    {
        PeripheralSignals xflag = _state.Request == RequestNibble ? PeripheralSignals.None : PeripheralSignals.Select;
        PeripheralSignals available = HasReverse ? PeripheralSignals.None : PeripheralSignals.NFault | PeripheralSignals.PError;
        Show(CompatibilityStatus | PeripheralSignals.Busy, xflag | available | BusyNow());
    }

    private void Consume(int count)
    {
        if (_state.SendsId) _state.IdSent += count;
        else ConsumeReverse(count);
    }
}
