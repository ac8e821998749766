using System.Buffers.Binary;
using DeviceModels.Robot.Firmware;
using DeviceModels.Robot.World;
using Emulator.Interrupts;
using Emulator.Observation;
using Emulator.Registers;
using Emulator.Time;

namespace DeviceModels.Robot.Contoso;

/// <summary>The Contoso robot's registers, bound to its firmware: index and window, commands, interrupts and telemetry.</summary>
internal sealed class ContosoPanel : RobotPanel<ContosoOpcode>
{
    private const int AdcFull = 1023, MicrosecondsPerMillimetre = 6, NoEcho = 0xfffe, DeadSensor = 0xffff, SlotLength = 24, SequenceOffset = 0x3c;
    private const int SlotStride = 0x20, MillisecondsPerUnit = 10, AnglesPerCircle = 65536, MillidegreesPerCircle = 360_000;
    private const long TelemetryUnit = 10_000_000;

    private static readonly int[] RangeBearings = [0, 90, 180, -90];

    private readonly ContosoRegisters _registers;
    private readonly ContosoIndexedRegisters _indexed;
    private readonly ContosoList _list;
    private uint _telemetrySequence;

    public ContosoPanel(
        ContosoRegisters registers, ContosoIndexedRegisters indexed, RobotMemory memory, InterruptController interrupts, GuestErrorLog log,
        IDeviceClock clock, IRobotBody body, RobotOptions options)
        : base(new PanelRegisters(registers.Cause, registers.Mask, registers.Error),
            new PanelCauses(registers.CommandCause.Mask, registers.SensorCause.Mask, registers.FaultCause.Mask, registers.BatteryCause.Mask),
            memory, interrupts, clock, body, options)
    {
        (_registers, _indexed) = (registers, indexed);
        _list = new ContosoList(registers, this, memory, log);

        registers.Cause.OnRead(ReadCause);
        registers.State.OnRead(ReadState, pure: true);
        registers.Mode.OnWrite(WriteMode);
        registers.Kick.OnWrite(WriteKick);
        registers.Window.OnRead(ReadWindow);
        registers.Window.OnWrite(WriteWindow);
        registers.Execute.OnWrite(WriteExecute);
        registers.Latch.OnWrite(WriteLatch);

        foreach (Register range in indexed.Range) range.OnRead((index, _) => ReadRange(index), pure: true);
        indexed.Bumper.OnRead((_, _) => (ulong)Firmware.Bumpers, pure: true);
        indexed.NearLimit.OnWrite((int _, in RegisterWrite write) => Firmware.NearLimit = (int)write.After / MicrosecondsPerMillimetre);
        indexed.BatteryLevel.OnRead((_, _) => (ulong)Firmware.ReadBattery(AdcFull), pure: true);
        indexed.BatteryLow.OnWrite(WriteBatteryThreshold);
        indexed.BatteryCritical.OnWrite(WriteBatteryThreshold);
        indexed.Light.OnWrite((int _, in RegisterWrite write) => Firmware.SetLight(ContosoDecoder.ToRgb((uint)write.After)));
        indexed.Watchdog.OnWrite((int _, in RegisterWrite write) => Firmware.SetWatchdog((int)write.After * MillisecondsPerUnit));
        string serial = $"CO-{options.Serial:D13}";
        foreach (Register characters in indexed.Serial)
            characters.OnRead((index, _) => serial[2 * index] | ((ulong)serial[(2 * index) + 1] << 8), pure: true);
        foreach (Register address in indexed.Telemetry) address.OnWrite((int _, in RegisterWrite _) => UpdateTelemetry());
        indexed.TelemetryPeriod.OnWrite((int _, in RegisterWrite _) => UpdateTelemetry());
    }

    /// <summary>Ticks.</summary>
    public (int Left, int Right) Encoders
        => ((int)Units.Round(Firmware.Odometer.Left, ContosoDecoder.TickLength), (int)Units.Round(Firmware.Odometer.Right, ContosoDecoder.TickLength));

    protected override IRobotProgram Program => _list;

    private ushort Heading => (ushort)Units.Round((long)Firmware.HeadingMillidegrees * AnglesPerCircle, MillidegreesPerCircle);

    private ulong TelemetryAddress => (_indexed.Telemetry[0].Value | (_indexed.Telemetry[1].Value << 16)) & ~63UL;

    /// <summary>The registers are at their reset values and the sources down: the rest.</summary>
    public void Reset(bool powerOn)
    {
        ForgetCommand();
        if (powerOn) _telemetrySequence = 0;
        _list.Reset();
        Firmware.Reset(powerOn, releaseTool: false, (int)_indexed.LowAdc.ResetValue, (int)_indexed.CriticalAdc.ResetValue, AdcFull);
    }

    public override void BumpersPressed(Bumpers bumpers) => RaiseSensor(_indexed.BumpEvents, (ulong)bumpers);

    public override void CameNear() => RaiseSensor(_indexed.NearEvent, 1);

    public override void WatchdogExpired() => _list.Stop();

    public override void WriteTelemetry()
    {
        uint number = _telemetrySequence + 1;
        Span<byte> slot = stackalloc byte[SlotLength];
        (int left, int right) = Encoders;
        BinaryPrimitives.WriteInt32LittleEndian(slot, left);
        BinaryPrimitives.WriteInt32LittleEndian(slot[4..], right);
        BinaryPrimitives.WriteUInt32LittleEndian(slot[8..], Firmware.Milliseconds);
        BinaryPrimitives.WriteUInt16LittleEndian(slot[12..], Heading);
        BinaryPrimitives.WriteUInt16LittleEndian(slot[14..], (ushort)Firmware.ReadBattery(AdcFull));
        for (int i = 0; i < RangeBearings.Length; i++) BinaryPrimitives.WriteUInt16LittleEndian(slot[(16 + (2 * i))..], (ushort)ReadRange(i));
        ulong at = TelemetryAddress;
        if (Memory.TryWrite(at + ((number & 1) * SlotStride), slot) && Memory.TryPublish(at + SequenceOffset, number))
        {
            _telemetrySequence = number;
            return;
        }
        _indexed.TelemetryTicks.Value = 0;
        Firmware.SetTelemetry(0);
        FaultsRose(RobotFaults.Dma);
    }

    protected override void Report(ContosoOpcode command, Outcome outcome)
    {
        _registers.ResultCode.Value = ContosoDecoder.ToResult(outcome);
        _registers.ResultOpcode.Value = command;
    }

    // The bits clear in the read itself, so that the line falls before the driver can look again.
    private ulong ReadCause(int _, ulong stored)
    {
        _registers.Cause.Value = 0;
        UpdateInterrupts();
        return stored;
    }

    private void WriteMode(int _, in RegisterWrite write)
    {
        if (write.WroteOne(_registers.SoftReset))
        {
            _registers.Reset(keepSticky: true);
            _indexed.Reset(keepSticky: true);
            Reset(powerOn: false);
            UpdateInterrupts();
            return;
        }
        Firmware.BumpStop = _registers.BumpStop.IsSet;
        Firmware.MotorEnable = _registers.MotorEnable.IsSet;
    }

    private void WriteKick(int _, in RegisterWrite write)
    {
        if (_registers.KickValue.Extract(write.Written) == ContosoRegisters.KickKey) Firmware.FeedWatchdog();
    }

    private ulong ReadWindow(int _, ulong stored) => _indexed.Read(NextIndex(), 2);

    private void WriteWindow(int _, in RegisterWrite write)
    {
        // The window itself stores nothing.
        _registers.Window.Value = 0;
        _indexed.Write(NextIndex(), 2, write.Written);
    }

    private int NextIndex()
    {
        int number = (int)_registers.IndexNumber.Value;
        if (_registers.AutoIncrement.IsSet) _registers.IndexNumber.Value = (uint)(number + 1) & 0xff;
        return 2 * number;
    }

    private void WriteExecute(int _, in RegisterWrite write)
    {
        ContosoOpcode opcode = _registers.Opcode.Extract(write.After);
        bool known = ContosoDecoder.TryDecode(opcode, (ushort)_indexed.Parameters[0].Value, (ushort)_indexed.Parameters[1].Value, out RobotCommand command);
        Execute(opcode, known ? command : null);
    }

    private ulong ReadState(int _, ulong stored)
        => stored
            | Flag(_registers.Busy, Firmware.IsBusy && !_list.HasCurrent)
            | Flag(_registers.Moving, Firmware.IsMoving)
            | Flag(_registers.ListRunning, _list.IsActive)
            | Flag(_registers.GripClosed, Firmware.IsToolEngaged)
            | Flag(_registers.Holding, Firmware.IsHolding)
            | Flag(_registers.BatteryLow, Firmware.BatteryLevel >= BatteryLevel.Low)
            | Flag(_registers.BatteryCritical, Firmware.BatteryLevel >= BatteryLevel.Critical)
            | Flag(_registers.Faulty, _registers.Error.Value != 0)
            | Flag(_registers.Bumped, Firmware.Bumpers != Bumpers.None);

    private ulong ReadRange(int index)
    {
        if (Firmware.IsRangeDead) return DeadSensor;
        int range = Firmware.MeasureRange(RangeBearings[index]);
        return range < 0 ? NoEcho : (ulong)(range * MicrosecondsPerMillimetre);
    }

    private void WriteLatch(int _, in RegisterWrite write)
    {
        if (!write.WroteOne(_registers.LatchStrobe)) return;
        (int left, int right) = Encoders;
        _indexed.EncoderBits[0].Value = (uint)left & 0xffff;
        _indexed.EncoderBits[1].Value = (uint)left >> 16;
        _indexed.EncoderBits[2].Value = (uint)right & 0xffff;
        _indexed.EncoderBits[3].Value = (uint)right >> 16;
        _indexed.HeadingAngle.Value = Heading;
    }

    private void WriteBatteryThreshold(int _, in RegisterWrite write)
        => Firmware.SetBatteryThresholds((int)_indexed.LowAdc.Value, (int)_indexed.CriticalAdc.Value, AdcFull);

    private void UpdateTelemetry()
        => Firmware.SetTelemetry(TelemetryAddress == 0 ? 0 : (long)_indexed.TelemetryTicks.Value * TelemetryUnit);
}
