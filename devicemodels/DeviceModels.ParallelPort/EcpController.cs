using DeviceModels.ParallelPort.Registers;
using Emulator.Observation;
using Emulator.Registers;
using Emulator.Time;

namespace DeviceModels.ParallelPort;

/// <summary>What the ECP controller needs of its port.</summary>
internal interface IEcpPort
{
    PeripheralLines Peripheral { get; }

    /// <summary>CONTROL.DIR: the guest set the reverse direction.</summary>
    bool IsDirectionReverse { get; }

    /// <summary>What this controller drives has changed.</summary>
    void UpdateLines();

    /// <summary>The mode has changed.</summary>
    void ModeChanged();

    void PulseInterrupt();
}

/// <summary>
/// The extended capabilities port: modes, FIFO, thresholds and the two hardware handshakes (Microsoft, Extended
/// Capabilities Port Protocol and ISA Interface Standard 1.14; "[ECP]" below, by register name).
/// </summary>
internal sealed class EcpController
{
    /// <summary>Free places at which the transmit FIFO, and bytes at which the receive FIFO asks for service.</summary>
    public const int WriteThreshold = 8, ReadThreshold = 8;

    // Compatibility timing: data setup, strobe width and data hold are 500 ns at the least (IEEE 1284-2000, 6.4).
    private const long StrobeTiming = 500;

    // How long the synchronisers take to notice a line of the peripheral.
    private const long Reaction = 100;

    private const byte NothingAnswers = 0xff;
    private const byte CommandRunMask = 0x80;

    private readonly EcpRegisters _registers;
    private readonly IEcpPort _port;
    private readonly GuestErrorLog _log;
    private readonly IDeviceTimer _step;
    private readonly EcpFifo _fifo = new();
    private State _state = State.PowerOn;

    public EcpController(EcpRegisters registers, IEcpPort port, IDeviceClock clock, GuestErrorLog log)
    {
        (_registers, _port, _log) = (registers, port, log);
        _step = clock.CreateTimer(Step);
        registers.Fifo.OnRead(ReadFifo);
        registers.Fifo.OnWrite(WriteFifo);
        registers.ConfigurationB.OnRead(ReadConfigurationB, pure: true);
        registers.Control.OnRead(ReadControl, pure: true);
        registers.Control.OnWrite(WriteControl);
    }

    private enum Handshake : byte
    {
        Idle,
        /// <summary>The byte is on the lines and settles.</summary>
        Setup,
        /// <summary>Compatibility: nStrobe is low.</summary>
        Strobe,
        /// <summary>Compatibility: nStrobe is high again, the byte is held.</summary>
        Hold,
        /// <summary>ECP forward: HostClk is low until PeriphAck rises.</summary>
        ForwardClock,
        /// <summary>ECP forward: HostClk is high until PeriphAck falls.</summary>
        ForwardEnd,
        /// <summary>ECP reverse: HostAck is low until PeriphClk falls and there is room.</summary>
        Reverse,
        /// <summary>ECP reverse: HostAck is high until PeriphClk rises.</summary>
        ReverseEnd,
    }

    public EcpMode Mode => _registers.Mode.Value;

    /// <summary>0 to 16.</summary>
    public int Count => _fifo.Count;

    /// <summary>Whether the data lines show <see cref="Data"/> instead of the DATA register.</summary>
    public bool OwnsData => Mode is EcpMode.ParallelPortFifo or EcpMode.Ecp && !IsReverse;

    /// <summary>What the transmitter puts on the data lines.</summary>
    public byte Data => _state.Data;

    /// <summary>The control lines the handshake pulls low; high elsewhere.</summary>
    public HostSignals Drive => HostSignals.All & ~_state.Low;

    /// <summary>[ECP] dcr: in modes 000 and 010 the direction is always out.</summary>
    public bool IsReverse => Mode is not (EcpMode.Standard or EcpMode.ParallelPortFifo) && _port.IsDirectionReverse;

    /// <summary>[ECP] dcr: the direction is fixed while the FIFO is at work.</summary>
    public bool HoldsDirection => Mode is EcpMode.ParallelPortFifo or EcpMode.Ecp or EcpMode.Test;

    public void Reset()
    {
        _step.Cancel();
        _fifo.Clear();
        _state = State.PowerOn;
    }

    /// <summary>[ECP] ecpAFifo: in ECP mode the DATA register takes a channel address or a run-length count.</summary>
    public void PushCommand(byte value)
    {
        if (IsReverse) { _log.GuestError("ecpAFifo written in the reverse direction", value); return; }
        Push(value, isCommand: true);
    }

    /// <summary>The peripheral's lines changed.</summary>
    /// <param name="faulted">nFault fell.</param>
    public void PeripheralChanged(bool faulted)
    {
        if (faulted && Mode == EcpMode.Ecp && !_registers.NoErrorInterrupt.IsSet) _port.PulseInterrupt();
        // Only a note: the handshake goes on in a turn of its own.
        if (!_step.IsArmed && Mode is EcpMode.ParallelPortFifo or EcpMode.Ecp) _step.Arm(Reaction);
    }

    private ulong ReadControl(int _, ulong stored)
        => (stored & ~(_registers.Full.Mask | _registers.Empty.Mask))
            | (_fifo.IsFull ? _registers.Full.Mask : 0) | (_fifo.IsEmpty ? _registers.Empty.Mask : 0);

    private ulong ReadConfigurationB(int _, ulong stored) => Mode == EcpMode.Configuration ? stored : NothingAnswers;

    private ulong ReadFifo(int _, ulong stored)
    {
        switch (Mode)
        {
            case EcpMode.Configuration:
                return _state.TransmitterHeld ? EcpRegisters.ConfigurationA & ~(ulong)EcpRegisters.TransmitterEmpty : EcpRegisters.ConfigurationA;
            case EcpMode.Test:
            case EcpMode.Ecp when IsReverse:
                if (!_fifo.TryPop(out byte value, out bool _) && Mode == EcpMode.Ecp) _log.GuestError("ecpDFifo read while it was empty", 0);
                Refill();
                Serve();
                return value;
            default:
                _log.GuestError("FIFO read in a mode that has nothing to read", (ulong)Mode);
                return NothingAnswers;
        }
    }

    private void WriteFifo(int _, in RegisterWrite write)
    {
        byte value = (byte)write.After;
        switch (Mode)
        {
            case EcpMode.ParallelPortFifo or EcpMode.Test:
            case EcpMode.Ecp when !IsReverse:
                Push(value, isCommand: false);
                break;
            default:
                _log.GuestError("FIFO written in a mode that takes no data", (ulong)Mode);
                break;
        }
    }

    private void Push(byte value, bool isCommand)
    {
        if (!_fifo.TryPush(value, isCommand))
        {
            // [ECP] tFifo: filling the test FIFO to the brim is how its depth is measured; there a lost byte is no mistake.
            if (Mode != EcpMode.Test) _log.GuestError("FIFO written while it was full", value);
            return;
        }
        if (Mode != EcpMode.Test && !_step.IsArmed) _step.Arm(Reaction);
        Serve();
    }

    private void WriteControl(int _, in RegisterWrite write)
    {
        EcpMode before = _registers.Mode.Extract(write.Before), after = _registers.Mode.Extract(write.After);
        if (before != after) ChangeMode(before, after);
        // [ECP] ecr, nErrIntrEn: a fault already there when the interrupt is enabled interrupts too.
        bool fault = (_port.Peripheral.Signals & PeripheralSignals.NFault) == 0;
        if (write.Fell(_registers.NoErrorInterrupt) && fault && after == EcpMode.Ecp) _port.PulseInterrupt();
        Serve();
    }

    // [ECP] ecr, mode: software goes from one FIFO mode to another through 000 or 001, which empty the FIFO. Going straight
    // stops the handshake and keeps the bytes, which is how a driver counts what a stuck peripheral did not take.
    private void ChangeMode(EcpMode before, EcpMode after)
    {
        _step.Cancel();
        bool held = _state.TransmitterHeld
            || _state.Handshake is Handshake.Setup or Handshake.Strobe or Handshake.ForwardClock;
        byte data = _state.Data;
        _state = State.PowerOn;
        (_state.Data, _state.TransmitterHeld) = (data, held);
        if (after is EcpMode.Standard or EcpMode.Byte) _fifo.Clear();
        if (after is EcpMode.ParallelPortFifo or EcpMode.Ecp)
        {
            _state.TransmitterHeld = false;
            _step.Arm(Reaction);
        }
        if (after == EcpMode.Vendor) _log.GuestError("ECR set to the vendor mode, which this card has no use for", (ulong)before);
        _port.ModeChanged();
    }

    // [ECP] ecr, serviceIntr: zero arms one interrupt, at the threshold for the direction. With dmaEn the interrupt is the
    // DMA controller's terminal count instead; no channel is wired, so it never comes.
    private void Serve()
    {
        if (_registers.Service.IsSet || _registers.DmaEnable.IsSet) return;
        if (Mode is not (EcpMode.ParallelPortFifo or EcpMode.Ecp or EcpMode.Test)) return;
        if (IsReverse ? _fifo.Count < ReadThreshold : _fifo.Free < WriteThreshold) return;
        _registers.Service.IsSet = true;
        _port.PulseInterrupt();
    }

    private bool IsHigh(PeripheralSignals signal) => (_port.Peripheral.Signals & signal) != 0;

    private void Step()
    {
        if (Mode == EcpMode.ParallelPortFifo) StepCompatibility();
        else if (Mode == EcpMode.Ecp && IsReverse) StepReverse();
        else if (Mode == EcpMode.Ecp) StepForward();
    }

    // The next byte to the transmitter, from where the FIFO no longer counts it.
    private bool TryLoad()
    {
        if (!_fifo.TryPop(out byte value, out _state.IsCommand)) return false;
        (_state.Data, _state.Handshake) = (value, Handshake.Setup);
        _step.Arm(StrobeTiming);
        Serve();
        return true;
    }

    private void Pull(HostSignals low, Handshake next)
    {
        (_state.Low, _state.Handshake) = (low, next);
        _port.UpdateLines();
    }

    // IEEE 1284-2000, 6.4: data, nStrobe, hold; the next byte when Busy is low.
    private void StepCompatibility()
    {
        switch (_state.Handshake)
        {
            case Handshake.Idle when !IsHigh(PeripheralSignals.Busy):
                if (TryLoad()) _port.UpdateLines();
                break;
            case Handshake.Setup:
                _step.Arm(StrobeTiming);
                Pull(HostSignals.NStrobe, Handshake.Strobe);
                break;
            case Handshake.Strobe:
                _step.Arm(StrobeTiming);
                Pull(HostSignals.None, Handshake.Hold);
                break;
            case Handshake.Hold:
                _state.Handshake = Handshake.Idle;
                _step.Arm(Reaction);
                break;
        }
    }

    // IEEE 1284-2000, 6.8: HostAck low marks a command; HostClk low (35), PeriphAck high (36), HostClk high (37), PeriphAck low (32).
    private void StepForward()
    {
        HostSignals mark = _state.IsCommand ? HostSignals.NAutoFd : HostSignals.None;
        switch (_state.Handshake)
        {
            case Handshake.Idle when !IsHigh(PeripheralSignals.Busy):
                if (TryLoad()) Pull(_state.IsCommand ? HostSignals.NAutoFd : HostSignals.None, Handshake.Setup);
                break;
            case Handshake.Setup:
                Pull(mark | HostSignals.NStrobe, Handshake.ForwardClock);
                break;
            case Handshake.ForwardClock when IsHigh(PeripheralSignals.Busy):
                Pull(mark, Handshake.ForwardEnd);
                break;
            case Handshake.ForwardEnd when !IsHigh(PeripheralSignals.Busy):
                Pull(HostSignals.None, Handshake.Idle);
                _step.Arm(Reaction);
                break;
        }
    }

    // IEEE 1284-2000, 6.9: PeriphClk low (43), HostAck high (44), PeriphClk high (45), HostAck low (46).
    private void StepReverse()
    {
        switch (_state.Handshake)
        {
            case Handshake.Idle:
                Pull(HostSignals.NAutoFd, Handshake.Reverse);
                break;
            // The run of the last count must be out of the way: its bytes take FIFO places as these fall free.
            case Handshake.Reverse when !IsHigh(PeripheralSignals.NAck) && _state.RunLeft == 0 && !_fifo.IsFull:
                Take(_port.Peripheral);
                Pull(HostSignals.None, Handshake.ReverseEnd);
                break;
            case Handshake.ReverseEnd when IsHigh(PeripheralSignals.NAck):
                Pull(HostSignals.NAutoFd, Handshake.Reverse);
                break;
        }
    }

    // PeriphAck high is data, low a command: a run-length count, which hardware must expand, or a channel address, which the
    // reverse channel of this port has no use for ([ECP] ecpDFifo).
    private void Take(PeripheralLines lines)
    {
        byte value = lines.Data;
        if ((lines.Signals & PeripheralSignals.Busy) != 0)
        {
            (_state.RunByte, _state.RunLeft) = (value, _state.RunCount + 1);
            _state.RunCount = 0;
            Refill();
            Serve();
        }
        else if ((value & CommandRunMask) == 0)
        {
            _state.RunCount = value;
        }
    }

    private void Refill()
    {
        while (_state.RunLeft > 0 && _fifo.TryPush(_state.RunByte)) _state.RunLeft--;
        if (Mode == EcpMode.Ecp && !_step.IsArmed) _step.Arm(Reaction);
    }

    private struct State
    {
        public Handshake Handshake;
        public HostSignals Low;
        public byte Data;
        public bool IsCommand;

        /// <summary>A byte left the FIFO and was not delivered before the mode changed.</summary>
        public bool TransmitterHeld;

        /// <summary>Reverse: further copies of the next data byte.</summary>
        public int RunCount;

        /// <summary>Reverse: the byte being expanded, and how many of it have not reached the FIFO.</summary>
        public byte RunByte;
        public int RunLeft;

        public static State PowerOn => default;
    }
}
