namespace DeviceModels.ParallelPort.Ieee1284;

// Negotiation (6.5.2) and termination (6.5.3).
public abstract partial class Ieee1284Peripheral
{
    private void OnNegotiationRequested(HostLines before, bool active)
    {
        if (!active) { ReturnToCompatibility(); return; }
        if (_lines.Fell(HostSignals.NStrobe, before))
        {
            // Event 3: the strobe latches the extensibility request.
            _state.Request = _lines.Data;
            Enter(Phase.NegotiationStrobed);
        }
        else if (_lines.Rose(HostSignals.NAutoFd, before))
        {
            ReturnToCompatibility();
        }
    }

    private void OnNegotiationStrobed(bool active)
    {
        if (!active) { ReturnToCompatibility(); return; }
        // Event 4: nStrobe and nAutoFd high again, together or one after the other.
        if (_lines.AreHigh(HostSignals.NStrobe | HostSignals.NAutoFd)) Answer();
    }

    // Events 5 and 6: XFlag says yes (in nibble mode, no), nFault and PError whether data waits, then nAck goes high.
    private void Answer()
    {
        bool wantsId = (_state.Request & RequestDeviceId) != 0;
        byte mode = (byte)(_state.Request & ~RequestDeviceId);
        Ieee1284Modes needed = mode switch
        {
            RequestNibble => Ieee1284Modes.Nibble,
            RequestByte => Ieee1284Modes.Byte,
            RequestEcp => Ieee1284Modes.Ecp,
            RequestEcpRle => Ieee1284Modes.EcpRle,
            RequestEpp when !wantsId => Ieee1284Modes.Epp,
            _ => Ieee1284Modes.None,
        };
        bool agreed = needed != Ieee1284Modes.None && (_options.Modes & needed) != 0 && (!wantsId || _deviceId.Length > 0);
        _state.SendsId = agreed && wantsId;
        _state.IdSent = 0;
        if (!agreed)
        {
            // The XFlag of a nibble request is inverted: high refuses it.
            PeripheralSignals refusal = _state.Request == RequestNibble ? PeripheralSignals.Select : PeripheralSignals.None;
            Show(PeripheralSignals.All, refusal | PeripheralSignals.NFault | PeripheralSignals.PError | BusyNow());
            Enter(Phase.Refused);
            Show(PeripheralSignals.NAck, PeripheralSignals.NAck);
            return;
        }
        PeripheralSignals xflag = _state.Request == RequestNibble ? PeripheralSignals.None : PeripheralSignals.Select;
        PeripheralSignals available = HasReverse ? PeripheralSignals.None : PeripheralSignals.NFault | PeripheralSignals.PError;
        switch (needed)
        {
            case Ieee1284Modes.Nibble or Ieee1284Modes.Byte:
                Show(PeripheralSignals.All, xflag | available | BusyNow());
                Enter(Phase.ReverseReady);
                break;
            case Ieee1284Modes.Epp:
                // 6.10: Busy is nWait and rests low; the others are the peripheral's own.
                Show(PeripheralSignals.All, xflag | PeripheralSignals.NFault);
                Enter(Phase.Epp);
                break;
            default:
                // 6.8: nAckReverse stays low until the host's event 30.
                Show(PeripheralSignals.All, xflag | (available & PeripheralSignals.NFault));
                Enter(Phase.EcpSetup);
                break;
        }
        Show(PeripheralSignals.NAck, PeripheralSignals.NAck);
    }

    // Termination (6.5.3), events 22 to 29.
    private void Terminate()
    {
        _acknowledge.Cancel();
        _state.Acceptance = Acceptance.None;
        _state.DrivesData = false;
        PeripheralSignals xflag = ~_signals & PeripheralSignals.Select;
        Enter(Phase.Terminating);
        // Event 23: Busy and nFault high; event 24: XFlag inverted, PtrClk low.
        Show(PeripheralSignals.Busy | PeripheralSignals.NFault, PeripheralSignals.Busy | PeripheralSignals.NFault);
        Show(PeripheralSignals.Select | PeripheralSignals.NAck, xflag);
    }

    private void OnTermination(HostLines before, bool active)
    {
        if (active)
        {
            ReturnToCompatibility();
            OnCompatibility(before);
        }
        else if (_state.Phase == Phase.Terminating && _lines.Fell(HostSignals.NAutoFd, before))
        {
            // Event 25; 26 and 27: the status lines mean compatibility mode again, PtrClk high.
            Enter(Phase.TerminationStrobed);
            Show(CompatibilityStatus | PeripheralSignals.NAck, Status | PeripheralSignals.NAck);
        }
        else if (_state.Phase == Phase.TerminationStrobed && _lines.Rose(HostSignals.NAutoFd, before))
        {
            // Event 28, 29.
            ReturnToCompatibility();
        }
    }
}
