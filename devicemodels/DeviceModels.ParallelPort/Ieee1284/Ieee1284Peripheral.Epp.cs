namespace DeviceModels.ParallelPort.Ieee1284;

// EPP mode (6.10). nSelectIn is the address strobe, nAutoFd the data strobe, nStrobe is nWrite and Busy is nWait.
public abstract partial class Ieee1284Peripheral
{
    private void OnEpp(HostLines before)
    {
        if (_lines.Fell(HostSignals.NInit, before))
        {
            // Event 68: nInit low ends EPP mode, whatever the strobes say.
            ReturnToCompatibility();
            return;
        }
        const HostSignals strobes = HostSignals.NAutoFd | HostSignals.NSelectIn;
        if (_state.Phase == Phase.EppStrobed)
        {
            if (!_lines.AreHigh(strobes)) return;
            _state.DrivesData = false;
            Enter(Phase.Epp);
            Show(PeripheralSignals.Busy, PeripheralSignals.None);
            return;
        }
        bool address = _lines.Fell(HostSignals.NSelectIn, before);
        if (!address && !_lines.Fell(HostSignals.NAutoFd, before)) return;
        if (TransferEpp(address, isWrite: !_lines.AreHigh(HostSignals.NStrobe)))
        {
            Enter(Phase.EppStrobed);
            Show(PeripheralSignals.Busy, PeripheralSignals.Busy);
        }
    }

    // False leaves nWait low, and the host runs into its time-out.
    private bool TransferEpp(bool address, bool isWrite)
    {
        if (address && isWrite)
        {
            ReceiveAddress(_lines.Data);
        }
        else if (address)
        {
            (_state.Data, _state.DrivesData) = (ReadAddress(), true);
        }
        else if (isWrite)
        {
            if (!IsReady || Clock.Now < _state.NextByte) return false;
            _state.NextByte = Clock.Now + ByteTime;
            Receive(_lines.Data);
        }
        else
        {
            if (!HasReverse) return false;
            (_state.Data, _state.DrivesData) = (Reverse[0], true);
            Consume(1);
        }
        return true;
    }
}
