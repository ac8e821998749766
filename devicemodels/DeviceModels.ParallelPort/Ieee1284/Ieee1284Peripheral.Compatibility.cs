namespace DeviceModels.ParallelPort.Ieee1284;

// Compatibility mode (6.4), up to the request to negotiate (6.5).
public abstract partial class Ieee1284Peripheral
{
    private void OnCompatibility(HostLines before)
    {
        if (_lines.Fell(HostSignals.NInit, before)) Initialize();
        if (_lines.DrivesData && (!before.DrivesData || _lines.Data != before.Data)) _daisyChain.OnData(_lines.Data);
        const HostSignals requesting = HostSignals.NStrobe | HostSignals.NInit | HostSignals.NSelectIn;
        bool edge = _lines.Rose(HostSignals.NSelectIn, before) || _lines.Fell(HostSignals.NAutoFd, before);
        if (edge && _lines.Signals == requesting && _options.Modes != Ieee1284Modes.None)
        {
            // Event 1 seen, event 2: PError, nFault and Select high, nAck low.
            _acknowledge.Cancel();
            _state.Acceptance = Acceptance.None;
            Show(CompatibilityStatus | PeripheralSignals.NAck, CompatibilityStatus);
            Enter(Phase.NegotiationRequested);
        }
        else if (_lines.Fell(HostSignals.NStrobe, before))
        {
            // A strobe while Busy is high is lost, as on the cable.
            if (_daisyChain.OnStrobe() || !IsReady || _state.Acceptance != Acceptance.None) return;
            _state.Acceptance = Acceptance.AckDue;
            _acknowledge.Arm(Math.Max(_options.AckDelay, ByteTime - _options.AckWidth));
            Show(PeripheralSignals.Busy, PeripheralSignals.Busy);
            Receive(_lines.Data);
        }
    }

    private void StepAcceptance()
    {
        switch (_state.Acceptance)
        {
            case Acceptance.AckDue:
                _state.Acceptance = Acceptance.AckLow;
                _acknowledge.Arm(_options.AckWidth);
                Show(PeripheralSignals.NAck, PeripheralSignals.None);
                break;
            case Acceptance.AckLow:
                _state.Acceptance = Acceptance.None;
                Show(PeripheralSignals.NAck | PeripheralSignals.Busy, PeripheralSignals.NAck | BusyNow());
                break;
            case Acceptance.EcpDue when IsReady:
                TakeEcpByte();
                break;
            case Acceptance.EcpDue:
                _state.Acceptance = Acceptance.EcpStalled;
                break;
        }
    }
}
