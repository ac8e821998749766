using System.Text;
using Emulator.Models;
using Emulator.Time;

namespace DeviceModels.ParallelPort.Ieee1284;

/// <summary>
/// The peripheral's half of IEEE 1284-2000: compatibility mode, negotiation, nibble, byte, ECP and EPP transfers, device
/// ID and termination. A concrete peripheral says whether it can take a byte, takes it, and offers bytes for the host.
/// </summary>
/// <remarks>
/// Numbers in comments are the events of the standard's figures (clause 6). Handshakes are answered at once; only the
/// acceptance of a byte takes time, <see cref="Ieee1284Options.AckDelay"/>. A host that leaves a handshake half done for
/// <see cref="Ieee1284Options.HostTimeout"/> finds the peripheral in compatibility mode.
/// </remarks>
public abstract class Ieee1284Peripheral : IParallelPeripheral
{
    private const PeripheralSignals CompatibilityStatus = PeripheralSignals.NFault | PeripheralSignals.Select | PeripheralSignals.PError;

    // Extensibility request values (table 6): the low bits ask for the device ID on top of a mode.
    private const byte RequestNibble = 0x00, RequestByte = 0x01, RequestDeviceId = 0x04, RequestEcp = 0x10, RequestEcpRle = 0x30, RequestEpp = 0x40;

    // A run-length count holds 127 at the most; shorter runs than three gain nothing.
    private const int LongestRun = 128, ShortestRun = 3;

    private readonly Ieee1284Options _options;
    private readonly byte[] _deviceId;
    private readonly DaisyChainFilter _daisyChain = new();
    private IParallelHost _host = null!;
    private IDeviceTimer _acknowledge = null!, _hostTimeout = null!;
    private HostLines _lines = HostLines.Idle;
    private PeripheralSignals _signals = PeripheralSignals.NAck | PeripheralSignals.NFault | PeripheralSignals.Select;
    private State _state;

    protected Ieee1284Peripheral(Ieee1284Options options)
    {
        _options = options;
        _deviceId = EncodeDeviceId(options.DeviceId);
    }

    private enum Phase : byte
    {
        /// <summary>Compatibility mode.</summary>
        Compatibility,
        /// <summary>Event 2 shown; the host owes the strobe of event 3.</summary>
        NegotiationRequested,
        /// <summary>The request is latched; the host owes event 4.</summary>
        NegotiationStrobed,
        /// <summary>The request was refused; only termination leads out.</summary>
        Refused,
        /// <summary>Nibble and byte mode: host busy, with or without data available.</summary>
        ReverseReady,
        /// <summary>Event 9 done; the host owes event 10.</summary>
        ReverseSent,
        /// <summary>No data, and the host waits for some.</summary>
        ReverseIdle,
        /// <summary>Event 19 done; the host owes event 20.</summary>
        ReverseAnnounced,
        /// <summary>ECP agreed; the host owes event 30.</summary>
        EcpSetup,
        EcpForward,
        /// <summary>HostClk is low and the byte not yet taken.</summary>
        EcpForwardStrobed,
        /// <summary>Event 36 done; the host owes event 37.</summary>
        EcpForwardTaken,
        EcpReverse,
        /// <summary>Event 43 done; the host owes event 44.</summary>
        EcpReverseSent,
        /// <summary>Event 45 done; the host owes event 46.</summary>
        EcpReverseTaken,
        Epp,
        /// <summary>nWait is high; the host owes the end of its strobe.</summary>
        EppStrobed,
        /// <summary>Event 24 done; the host owes event 25.</summary>
        Terminating,
        /// <summary>Event 27 done; the host owes event 28.</summary>
        TerminationStrobed,
    }

    private enum Acceptance : byte
    {
        None,
        /// <summary>A byte was taken; nAck falls next.</summary>
        AckDue,
        /// <summary>nAck is low.</summary>
        AckLow,
        /// <summary>An ECP byte is on the lines; PeriphAck rises next.</summary>
        EcpDue,
        /// <summary>An ECP byte waits until the peripheral is ready.</summary>
        EcpStalled,
    }

    /// <inheritdoc/>
    public PeripheralLines Lines => new(_signals, _state.DrivesData ? _state.Data : (byte)0xff, _state.DrivesData);

    /// <inheritdoc/>
    public virtual IReadOnlyList<DeviceSwitch> Switches => [];

    /// <summary>The transfer mode in force, for people: "compatibility", "nibble", "byte", "ecp", "ecp-rle" or "epp".</summary>
    public string ModeName => _state.Phase is Phase.Compatibility or Phase.NegotiationRequested or Phase.NegotiationStrobed or Phase.Refused
        or Phase.Terminating or Phase.TerminationStrobed
        ? "compatibility"
        : (_state.Request & ~RequestDeviceId) switch
        {
            RequestNibble => "nibble",
            RequestByte => "byte",
            RequestEcp => "ecp",
            RequestEcpRle => "ecp-rle",
            _ => "epp",
        };

    /// <summary>Device time.</summary>
    protected IDeviceClock Clock => _host.Clock;

    /// <summary>PError, Select and nFault as compatibility mode shows them.</summary>
    protected abstract PeripheralSignals Status { get; }

    /// <summary>Whether a byte can be taken now.</summary>
    protected abstract bool IsReady { get; }

    /// <summary>Nanoseconds a byte takes at the least; 0 for no limit beyond the acknowledge timing.</summary>
    protected virtual long ByteTime => 0;

    /// <summary>Bytes for the host, the next one first.</summary>
    protected virtual ReadOnlySpan<byte> ReverseData => default;

    /// <summary>A byte of data arrived.</summary>
    protected abstract void Receive(byte value);

    /// <summary>An ECP channel address (0 to 127) or an EPP address arrived.</summary>
    protected virtual void ReceiveAddress(byte address)
    {
    }

    /// <summary>What an EPP address read returns.</summary>
    protected virtual byte ReadAddress() => 0;

    /// <summary>The host took the first bytes of <see cref="ReverseData"/>.</summary>
    protected virtual void ConsumeReverse(int count)
    {
    }

    /// <summary>nInit went low in compatibility mode.</summary>
    protected virtual void Initialize()
    {
    }

    /// <inheritdoc/>
    public virtual void Connect(IParallelHost host)
    {
        _host = host;
        _acknowledge = host.Clock.CreateTimer(StepAcceptance);
        _hostTimeout = host.Clock.CreateTimer(ReturnToCompatibility);
        ReturnToCompatibility();
    }

    /// <inheritdoc/>
    public virtual void PowerOn() => ReturnToCompatibility();

    /// <inheritdoc/>
    public void HostChanged(HostLines lines)
    {
        HostLines before = _lines;
        _lines = lines;
        bool active = lines.AreHigh(HostSignals.NSelectIn);
        switch (_state.Phase)
        {
            case Phase.Compatibility: OnCompatibility(before); break;
            case Phase.NegotiationRequested: OnNegotiationRequested(before, active); break;
            case Phase.NegotiationStrobed: OnNegotiationStrobed(active); break;
            // Every other phase but EPP, where nSelectIn is the address strobe, ends when 1284 Active falls (event 22).
            case Phase.Epp or Phase.EppStrobed: OnEpp(before); break;
            case Phase.Terminating or Phase.TerminationStrobed: OnTermination(before, active); break;
            case var _ when !active: Terminate(); break;
            case Phase.ReverseReady or Phase.ReverseSent or Phase.ReverseIdle or Phase.ReverseAnnounced: OnReverse(before); break;
            case Phase.Refused: break;
            default: OnEcp(before); break;
        }
    }

    /// <summary>A concrete peripheral's call when its status, its readiness or its reverse data changed.</summary>
    protected void StatusChanged()
    {
        switch (_state.Phase)
        {
            case Phase.Compatibility:
                Show(CompatibilityStatus | PeripheralSignals.Busy, Status | BusyNow());
                break;
            case Phase.ReverseReady when !_state.SecondNibble:
                ShowAvailability();
                break;
            case Phase.ReverseIdle when HasReverse:
                // Events 18 and 19: data is available, and PtrClk low tells the host by interrupt.
                Show(PeripheralSignals.NFault | PeripheralSignals.NAck, PeripheralSignals.None);
                Enter(Phase.ReverseAnnounced);
                break;
            case Phase.EcpForwardStrobed when _state.Acceptance == Acceptance.EcpStalled && IsReady:
                TakeEcpByte();
                break;
            case Phase.EcpForward or Phase.EcpForwardStrobed or Phase.EcpForwardTaken:
                Show(PeripheralSignals.NFault, HasReverse ? PeripheralSignals.None : PeripheralSignals.NFault);
                break;
            case Phase.EcpReverse:
                SendEcp();
                break;
        }
    }

    // The reverse channel carries the device ID after a request for it, the peripheral's own data otherwise.
    private ReadOnlySpan<byte> Reverse => _state.SendsId ? _deviceId.AsSpan(_state.IdSent) : ReverseData;

    private bool HasReverse => Reverse.Length > 0;

    private static byte[] EncodeDeviceId(string deviceId)
    {
        if (deviceId.Length == 0) return [];
        int length = deviceId.Length + 2;
        if (length > ushort.MaxValue || !Ascii.IsValid(deviceId))
            throw new ArgumentException($"The device ID must be at most {ushort.MaxValue - 2} ASCII characters.", nameof(deviceId));
        // 7.6: two bytes of length, most significant first, that count themselves.
        return [(byte)(length >> 8), (byte)length, .. Encoding.ASCII.GetBytes(deviceId)];
    }

    private PeripheralSignals BusyNow()
        => IsReady && _state.Acceptance == Acceptance.None ? PeripheralSignals.None : PeripheralSignals.Busy;

    // Changes the lines in mask together and tells the host once.
    private void Show(PeripheralSignals mask, PeripheralSignals levels)
    {
        PeripheralSignals signals = (_signals & ~mask) | (levels & mask);
        if (signals == _signals) return;
        _signals = signals;
        _host.PeripheralChanged();
    }

    private void Enter(Phase phase)
    {
        _state.Phase = phase;
        switch (phase)
        {
            // Between bytes a host may take for ever; within a handshake it may not.
            case Phase.Compatibility or Phase.Refused or Phase.ReverseReady or Phase.ReverseIdle or Phase.EcpForward or Phase.EcpForwardStrobed
                or Phase.EcpReverse or Phase.Epp:
                _hostTimeout.Cancel();
                break;
            default:
                _hostTimeout.Arm(_options.HostTimeout);
                break;
        }
    }

    private void ReturnToCompatibility()
    {
        _acknowledge.Cancel();
        _state = State.PowerOn;
        Enter(Phase.Compatibility);
        _daisyChain.Reset();
        Show(PeripheralSignals.All, Status | PeripheralSignals.NAck | BusyNow());
    }

    // Compatibility mode (6.4) and the start of negotiation (6.5).
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

    // Nibble mode (6.6) and byte mode (6.7).
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

    // ECP mode (6.8, 6.9).
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

    // EPP mode (6.10). nSelectIn is the address strobe, nAutoFd the data strobe, nStrobe is nWrite and Busy is nWait.
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

    private struct State
    {
        public Phase Phase;
        public Acceptance Acceptance;
        public byte Request;
        public bool SendsId, SecondNibble, DrivesData, IsCommand;
        public byte Data;
        public int IdSent;

        /// <summary>Forward: copies beyond the first that the next byte stands for. Reverse: the length of the run announced.</summary>
        public int RunLength;

        /// <summary>Reverse: bytes the offered byte stands for; 0 for a count.</summary>
        public int Sending;

        /// <summary>EPP: when the next byte can be taken.</summary>
        public long NextByte;

        public static State PowerOn => default;
    }
}
