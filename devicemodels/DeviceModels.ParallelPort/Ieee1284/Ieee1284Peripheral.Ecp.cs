namespace DeviceModels.ParallelPort.Ieee1284;

// ECP mode (6.8, 6.9).
public abstract partial class Ieee1284Peripheral
{
    private void OnEcp(HostLines before)
    {
        switch (_state.Phase)
        {
            case Phase.EcpSetup when _lines.Fell(HostSignals.NAutoFd, before):
                // Event 30, 31: nAckReverse high, the forward channel is idle.
                Enter(Phase.EcpForward);
                Show(PeripheralSignals.PError, PeripheralSignals.PError);
                break;
            case Phase.EcpForward or Phase.EcpForwardStrobed or Phase.EcpForwardTaken when _lines.Fell(HostSignals.NInit, before):
                // Event 39, 40. With a byte stalled on the lines this is host transfer recovery: the byte is given up.
                _acknowledge.Cancel();
                (_state.Acceptance, _state.RunLength) = (Acceptance.None, 0);
                Enter(Phase.EcpReverse);
                Show(PeripheralSignals.PError | PeripheralSignals.Busy, PeripheralSignals.None);
                SendEcp();
                break;
            case Phase.EcpForward when _lines.Fell(HostSignals.NStrobe, before):
                // Event 35. HostAck low marks a command.
                _state.IsCommand = !_lines.AreHigh(HostSignals.NAutoFd);
                _state.Acceptance = Acceptance.EcpDue;
                Enter(Phase.EcpForwardStrobed);
                _acknowledge.Arm(Math.Max(_options.AckDelay, ByteTime));
                break;
            case Phase.EcpForwardStrobed when _lines.Rose(HostSignals.NStrobe, before):
                _acknowledge.Cancel();
                _state.Acceptance = Acceptance.None;
                Enter(Phase.EcpForward);
                break;
            case Phase.EcpForwardTaken when _lines.Rose(HostSignals.NStrobe, before):
                // Event 37, 32.
                Enter(Phase.EcpForward);
                Show(PeripheralSignals.Busy, PeripheralSignals.None);
                break;
            case Phase.EcpReverse or Phase.EcpReverseSent or Phase.EcpReverseTaken when _lines.Rose(HostSignals.NInit, before):
                // Event 47 to 49: the data lines are released, nAckReverse high. A byte not yet taken stays first in line.
                (_state.DrivesData, _state.RunLength) = (false, 0);
                Enter(Phase.EcpForward);
                Show(PeripheralSignals.PError | PeripheralSignals.NAck | PeripheralSignals.Busy | PeripheralSignals.NFault,
                    PeripheralSignals.PError | PeripheralSignals.NAck | (HasReverse ? PeripheralSignals.None : PeripheralSignals.NFault));
                break;
            case Phase.EcpReverse:
                SendEcp();
                break;
            case Phase.EcpReverseSent when _lines.Rose(HostSignals.NAutoFd, before):
                // Event 44, 45.
                EndEcpSend();
                break;
            case Phase.EcpReverseTaken when _lines.Fell(HostSignals.NAutoFd, before):
                // Event 46.
                Enter(Phase.EcpReverse);
                SendEcp();
                break;
        }
    }

    private void TakeEcpByte()
    {
        byte value = _lines.Data;
        _state.Acceptance = Acceptance.None;
        Enter(Phase.EcpForwardTaken);
        if (!_state.IsCommand)
        {
            int copies = _state.RunLength + 1;
            _state.RunLength = 0;
            for (int i = 0; i < copies; i++) Receive(value);
        }
        else if (value < LongestRun)
        {
            _state.RunLength = value;
        }
        else
        {
            ReceiveAddress((byte)(value & 0x7f));
        }
        // Event 36.
        Show(PeripheralSignals.Busy, PeripheralSignals.Busy);
    }

    // Events 42 and 43: PeriphAck high marks data, low a command; PeriphClk low offers the byte. HostAck low asks for it.
    private void SendEcp()
    {
        ReadOnlySpan<byte> pending = Reverse;
        Show(PeripheralSignals.NFault, pending.Length > 0 ? PeripheralSignals.None : PeripheralSignals.NFault);
        if (pending.Length == 0 || _lines.AreHigh(HostSignals.NAutoFd) || _lines.DrivesData) return;
        int run = _state.RunLength == 0 && (_state.Request & ~RequestDeviceId) == RequestEcpRle ? RunOf(pending) : 1;
        bool isCount = run >= ShortestRun;
        _state.Sending = isCount ? 0 : Math.Max(1, _state.RunLength);
        _state.RunLength = isCount ? run : 0;
        (_state.Data, _state.DrivesData) = (isCount ? (byte)(run - 1) : pending[0], true);
        _host.PeripheralChanged();
        Show(PeripheralSignals.Busy, isCount ? PeripheralSignals.None : PeripheralSignals.Busy);
        Enter(Phase.EcpReverseSent);
        Show(PeripheralSignals.NAck, PeripheralSignals.None);
    }

    private void EndEcpSend()
    {
        if (_state.Sending > 0) Consume(_state.Sending);
        Enter(Phase.EcpReverseTaken);
        Show(PeripheralSignals.NAck, PeripheralSignals.NAck);
    }

    private static int RunOf(ReadOnlySpan<byte> bytes)
    {
        int most = Math.Min(bytes.Length, LongestRun), different = bytes[..most].IndexOfAnyExcept(bytes[0]);
        return different < 0 ? most : different;
    }
}
