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
/// <see cref="Ieee1284Options.HostTimeout"/> finds the peripheral in compatibility mode. Each mode has a file of its own.
/// </remarks>
public abstract partial class Ieee1284Peripheral : IParallelPeripheral
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
