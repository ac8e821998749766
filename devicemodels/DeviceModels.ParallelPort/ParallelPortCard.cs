using DeviceModels.ParallelPort.Registers;
using Emulator.Pci;
using Emulator.Registers;
using Emulator.Time;

namespace DeviceModels.ParallelPort;

/// <summary>
/// A single-port PCI parallel card: SPP and EPP registers in I/O BAR0 and, on the ECP card, FIFO and ECR in I/O BAR1.
/// </summary>
/// <remarks>
/// <para>The plain card identifies as a NetMos 9805, the ECP card as an AFAVLAB TK9902; like these it has no capabilities,
/// and MSI neither. Both have a driver in every general-purpose operating system.</para>
/// <para>Interrupts are pulses on INTx, at the rising edge of nACK and at the ECP service and error events, as an ISA port
/// makes them: system drivers acknowledge nothing, so a level that waits for them would interrupt for ever. The pulse ends
/// early when STATUS is read. STATUS.nIRQ remembers the nACK edge until then, for drivers that share the line.</para>
/// </remarks>
public sealed class ParallelPortCard : PciFunction, IParallelHost, IEcpPort
{
    /// <summary>Nanoseconds an interrupt stays asserted.</summary>
    public const long InterruptPulse = 1_000;

    private const byte ControlPins = 0x0f, StatusPins = 0xf8, Floating = 0xff;

    private readonly SppRegisters _registers;
    private readonly EcpController? _ecp;
    private readonly IParallelPeripheral _peripheral;
    private readonly Emulator.Interrupts.InterruptSource _interrupt;
    private readonly IDeviceTimer _interruptEnd;
    private PeripheralSignals _seen;
    private HostSignals _eppLow;
    private byte _eppData;
    private bool _inEppCycle, _isEppWrite;
    private HostLines _lines = HostLines.Idle;

    /// <param name="slot">Where it is plugged in.</param>
    /// <param name="options">Which card.</param>
    /// <param name="peripheral">What is at the end of the cable; it belongs to this card from now on.</param>
    public ParallelPortCard(PciSlot slot, ParallelPortOptions options, IParallelPeripheral peripheral)
        : base(IdentityOf(options), slot)
    {
        _registers = new SppRegisters(hasEcr: options.Ecp);
        _registers.Data.OnRead(ReadData, pure: true);
        _registers.Data.OnWrite(WriteData);
        _registers.Status.OnRead(ReadStatus);
        _registers.Status.OnWrite(WriteStatus);
        _registers.Control.OnWrite(WriteControl);
        _registers.EppAddress.OnRead(ReadEppAddress);
        _registers.EppAddress.OnWrite(WriteEppAddress);
        foreach (Register port in _registers.EppData)
        {
            port.OnRead(ReadEppData);
            port.OnWrite(WriteEppData);
        }
        MapBar(0, BarKind.Io, _registers);
        if (options.Ecp)
        {
            var ecp = new EcpRegisters();
            _ecp = new EcpController(ecp, this, slot.Clock, Log);
            MapBar(1, BarKind.Io, ecp);
        }
        _interrupt = Interrupts.CreateSource();
        _interruptEnd = slot.Clock.CreateTimer(EndInterrupt);
        _peripheral = peripheral;
        _peripheral.Connect(this);
        _seen = _peripheral.Lines.Signals;
        foreach (var deviceSwitch in peripheral.Switches) AddSwitch(deviceSwitch);
    }

    /// <inheritdoc/>
    IDeviceClock IParallelHost.Clock => Clock;

    /// <inheritdoc/>
    PeripheralLines IEcpPort.Peripheral => _peripheral.Lines;

    /// <inheritdoc/>
    bool IEcpPort.IsDirectionReverse => _registers.Direction.IsSet;

    /// <summary>Bytes in the ECP FIFO, 0 to 16; 0 without one.</summary>
    internal int FifoCount => _ecp?.Count ?? 0;

    private static PciIdentity IdentityOf(ParallelPortOptions options)
    {
        PciIdentity identity = options.Ecp
            ? new PciIdentity(0x14db, 0x2120, 0x070101) { Revision = 1, SubsystemVendor = 0x14db, Subsystem = 0x2120 }
            : new PciIdentity(0x9710, 0x9805, 0x070101) { Revision = 1, SubsystemVendor = 0x1000, Subsystem = 0x0010 };
        return options.Interrupt ? identity : identity with { InterruptPin = 0 };
    }

    private bool IsReverse => _ecp?.IsReverse ?? _registers.Direction.IsSet;

    // A port without ECR answers EPP accesses at any time; one with ECR in mode 100 only.
    private bool HasEpp => _ecp is null || _ecp.Mode == EcpMode.Epp;

    /// <inheritdoc/>
    void IParallelHost.PeripheralChanged()
    {
        PeripheralSignals signals = _peripheral.Lines.Signals, rose = signals & ~_seen, fell = _seen & ~signals;
        _seen = signals;
        RefreshStatus();
        if ((rose & PeripheralSignals.NAck) != 0 && _registers.InterruptEnable.IsSet)
        {
            _registers.NoInterrupt.IsSet = false;
            PulseInterrupt();
        }
        _ecp?.PeripheralChanged(faulted: (fell & PeripheralSignals.NFault) != 0);
    }

    /// <inheritdoc/>
    void IEcpPort.UpdateLines() => UpdateLines();

    /// <inheritdoc/>
    void IEcpPort.ModeChanged()
    {
        // Drivers tell EPP from other modes by this bit: it can be cleared in EPP mode only.
        _registers.Timeout.IsSet = !HasEpp;
        UpdateLines();
    }

    /// <inheritdoc/>
    void IEcpPort.PulseInterrupt() => PulseInterrupt();

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind)
    {
        EndInterrupt();
        _ecp?.Reset();
        (_eppLow, _inEppCycle) = (HostSignals.None, false);
        UpdateLines();
        // The peripheral has a power switch of its own: a bus reset reaches it through the control lines only.
        if (kind == ResetKind.PowerOn) _peripheral.PowerOn();
        RefreshStatus();
    }

    private void PulseInterrupt()
    {
        if (Identity.InterruptPin == 0) return;
        _interrupt.Level = true;
        _interruptEnd.Arm(InterruptPulse);
    }

    private void EndInterrupt()
    {
        _interruptEnd.Cancel();
        _interrupt.Level = false;
    }

    private void RefreshStatus()
    {
        ulong pins = ((ulong)_seen ^ SppRegisters.StatusInversion) & StatusPins;
        _registers.Status.Value = (_registers.Status.Value & ~(ulong)StatusPins) | pins;
    }

    private void UpdateLines()
    {
        var control = (HostSignals)((_registers.Control.Value ^ SppRegisters.ControlInversion) & ControlPins);
        control &= ~_eppLow;
        bool drives = _inEppCycle ? _isEppWrite : !IsReverse;
        byte data = _inEppCycle ? _eppData : (byte)_registers.Data.Value;
        if (_ecp is not null)
        {
            control &= _ecp.Drive;
            if (_ecp.OwnsData) data = _ecp.Data;
        }
        var lines = new HostLines(drives ? data : Floating, drives, control);
        if (lines == _lines) return;
        _lines = lines;
        _peripheral.HostChanged(lines);
    }

    private byte PeripheralData() => _peripheral.Lines is { DrivesData: true, Data: var data } ? data : Floating;

    private ulong ReadData(int _, ulong latched) => IsReverse ? PeripheralData() : latched;

    private void WriteData(int _, in RegisterWrite write)
    {
        if (_ecp is { Mode: EcpMode.Ecp })
        {
            // In ECP mode this is ecpAFifo, and the latch behind DATA keeps its value.
            _registers.Data.Value = write.Before;
            _ecp.PushCommand((byte)write.Written);
            return;
        }
        UpdateLines();
    }

    private ulong ReadStatus(int _, ulong stored)
    {
        _registers.NoInterrupt.IsSet = true;
        EndInterrupt();
        return stored;
    }

    private void WriteStatus(int _, in RegisterWrite write)
    {
        if (!HasEpp) _registers.Timeout.IsSet = true;
    }

    private void WriteControl(int _, in RegisterWrite write)
    {
        if (write.Changed(_registers.Direction) && _ecp is { HoldsDirection: true })
        {
            _registers.Direction.Value = _registers.Direction.Extract(write.Before);
            Log.GuestError("CONTROL.DIR changed while the FIFO is at work", (ulong)_ecp.Mode);
        }
        if (write.Fell(_registers.InterruptEnable))
        {
            _registers.NoInterrupt.IsSet = true;
            EndInterrupt();
        }
        UpdateLines();
    }

    private ulong ReadEppAddress(int _, ulong stored) => EppCycle(HostSignals.NSelectIn, isWrite: false, Floating);

    private void WriteEppAddress(int _, in RegisterWrite write) => EppCycle(HostSignals.NSelectIn, isWrite: true, (byte)write.After);

    private ulong ReadEppData(int _, ulong stored) => EppCycle(HostSignals.NAutoFd, isWrite: false, Floating);

    private void WriteEppData(int _, in RegisterWrite write) => EppCycle(HostSignals.NAutoFd, isWrite: true, (byte)write.After);

    // One EPP 1.9 cycle (IEEE 1284-2000, 6.10): nWait low, strobe low, nWait high, strobe high, nWait low. The guest's access
    // is held meanwhile; the hardware gives up after 10 us, which is here a peripheral that does not answer at once.
    private byte EppCycle(HostSignals strobe, bool isWrite, byte value)
    {
        if (!HasEpp)
        {
            Log.GuestError("EPP register accessed while the port is not in EPP mode", (ulong)_ecp!.Mode);
            return Floating;
        }
        if (IsBusy)
        {
            _registers.Timeout.IsSet = true;
            return Floating;
        }
        // With DIR set the drivers stay off, and a write appears as a read on the cable (SMSC FDC37C665, "EPP 1.9 operation").
        (_inEppCycle, _isEppWrite, _eppData) = (true, isWrite && !_registers.Direction.IsSet, value);
        // Data and nWrite are there before the strobe (events 62, 56).
        _eppLow = _isEppWrite ? HostSignals.NStrobe : HostSignals.None;
        UpdateLines();
        _eppLow |= strobe;
        UpdateLines();
        bool answered = IsBusy;
        byte read = PeripheralData();
        _eppLow &= ~strobe;
        UpdateLines();
        (_inEppCycle, _eppLow) = (false, HostSignals.None);
        UpdateLines();
        if (!answered || IsBusy) _registers.Timeout.IsSet = true;
        return isWrite ? value : read;
    }

    private bool IsBusy => (_peripheral.Lines.Signals & PeripheralSignals.Busy) != 0;
}
