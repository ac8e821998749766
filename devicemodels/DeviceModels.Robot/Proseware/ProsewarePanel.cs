using System.Buffers.Binary;
using DeviceModels.Robot.Firmware;
using DeviceModels.Robot.World;
using Emulator.Interrupts;
using Emulator.Observation;
using Emulator.Registers;
using Emulator.Time;

namespace DeviceModels.Robot.Proseware;

/// <summary>The Proseware robot's registers, bound to its firmware: mailbox, sensors, interrupts and telemetry.</summary>
internal sealed class ProsewarePanel : RobotPanel<(ProsewareOpcode Opcode, uint Tag)>
{
    private const int Percent = 100, Micrometres = 1000, MicrometresPerTenth = 100, ShortestTelemetry = 5, TelemetryLength = 64;
    private const long Millisecond = 1_000_000;

    private static readonly int[] RangeBearings = [0, 90, -90];

    private readonly ProsewareRegisters _registers;
    private readonly ProsewareRing _ring;
    private uint _telemetrySequence;

    public ProsewarePanel(
        ProsewareRegisters registers, RobotMemory memory, InterruptController interrupts, GuestErrorLog log, IDeviceClock clock, IRobotBody body,
        RobotOptions options)
        : base(new PanelRegisters(registers.InterruptStatus, registers.InterruptEnable, registers.Faults),
            new PanelCauses(Command: 1 << 0, Sensor: 1 << 1, Fault: 1 << 2, Battery: 1 << 3), memory, interrupts, clock, body, options)
    {
        _registers = registers;
        _ring = new ProsewareRing(registers, this, memory, log);

        registers.Serial.OnRead((_, _) => options.Serial, pure: true);
        registers.Control.OnWrite(WriteControl);
        registers.Status.OnRead(ReadStatus, pure: true);
        registers.InterruptStatus.OnWrite((int _, in RegisterWrite _) => UpdateInterrupts());
        registers.Bumpers.OnRead((_, _) => (ulong)Firmware.Bumpers, pure: true);
        registers.NearLimit.OnWrite((int _, in RegisterWrite _) => Firmware.NearLimit = (int)registers.NearMillimetres.Value);
        registers.Command.OnWrite(WriteCommand);
        registers.OdometerLeft.OnRead((_, _) => (uint)Units.Round(Firmware.Odometer.Left, Micrometres), pure: true);
        registers.OdometerRight.OnRead((_, _) => (uint)Units.Round(Firmware.Odometer.Right, Micrometres), pure: true);
        registers.Heading.OnRead((_, _) => Heading, pure: true);
        registers.Speed.OnRead((_, _) => Speed, pure: true);
        foreach (Register range in registers.Range) range.OnRead((index, _) => ReadRange(index), pure: true);
        registers.Battery.OnRead((_, _) => ReadBattery(), pure: true);
        registers.BatteryLimits.OnWrite(WriteBatteryLimits);
        registers.Led.OnWrite((int _, in RegisterWrite write) => Firmware.SetLight((uint)write.After));
        registers.WatchdogPeriod.OnWrite((int _, in RegisterWrite write) => Firmware.SetWatchdog((int)write.After));
        registers.WatchdogFeed.OnWrite(WriteWatchdogFeed);
        registers.TelemetryBase.OnWrite((int _, in RegisterWrite _) => UpdateTelemetry());
        registers.TelemetryPeriod.OnWrite((int _, in RegisterWrite _) => UpdateTelemetry());
    }

    /// <summary>Tenths of a degree.</summary>
    public uint Heading => (uint)(Units.Round(Firmware.HeadingMillidegrees, 100) % 3600);

    /// <summary>How far the last motion went: mm, or tenths of a degree.</summary>
    public int LastValue
    {
        get
        {
            WheelTravel travel = Firmware.LastTravel;
            return Firmware.LastVerb switch
            {
                Verb.Drive => (int)Units.Round(travel.Left + travel.Right, 2 * Micrometres),
                Verb.Turn => (int)Units.Round(travel.Right - travel.Left, 2 * MicrometresPerTenth),
                _ => 0,
            };
        }
    }

    protected override IRobotProgram Program => _ring;

    private uint Speed
        => ((uint)(Firmware.Speed.Left / Micrometres) & 0xffff) | ((uint)(Firmware.Speed.Right / Micrometres) << 16);

    /// <summary>The registers are at their reset values and the sources down: the rest.</summary>
    public void Reset(bool powerOn)
    {
        ForgetCommand();
        if (powerOn) _telemetrySequence = 0;
        _ring.Reset();
        Firmware.Reset(powerOn, releaseTool: true, (int)_registers.LowPercent.ResetValue, (int)_registers.CriticalPercent.ResetValue, Percent);
    }

    public override void BumpersPressed(Bumpers bumpers) => RaiseSensor(_registers.BumpEvents, (ulong)bumpers);

    public override void CameNear() => RaiseSensor(_registers.NearEvent, 1);

    public override void WatchdogExpired()
    {
        if (_registers.Run.IsSet) _ring.Abort();
    }

    public override void WriteTelemetry()
    {
        Span<byte> block = stackalloc byte[TelemetryLength];
        block.Clear();
        ReadOnlySpan<uint> words =
        [
            _telemetrySequence + 1, Firmware.Milliseconds,
            (uint)Units.Round(Firmware.Odometer.Left, Micrometres), (uint)Units.Round(Firmware.Odometer.Right, Micrometres),
            Heading, Speed, (uint)ReadBattery(), (uint)ReadStatus(0, _registers.Status.ResetValue),
            (uint)ReadRange(0), (uint)ReadRange(1), (uint)ReadRange(2), (uint)Firmware.Bumpers, (uint)_registers.Faults.Value,
        ];
        for (int i = 0; i < words.Length; i++) BinaryPrimitives.WriteUInt32LittleEndian(block[(i * 4)..], words[i]);
        ulong at = _registers.TelemetryBase.Value;
        // Odd while it changes, even when it is whole.
        if (Memory.TryPublish(at, _telemetrySequence + 1) && Memory.TryWrite(at + 4, block[4..]) && Memory.TryPublish(at, _telemetrySequence + 2))
        {
            _telemetrySequence += 2;
            return;
        }
        _registers.TelemetryMilliseconds.Value = 0;
        Firmware.SetTelemetry(0);
        FaultsRose(RobotFaults.Dma);
    }

    protected override void Report((ProsewareOpcode Opcode, uint Tag) command, Outcome outcome)
    {
        _registers.ResultCode.Value = ProsewareDecoder.ToResult(outcome);
        _registers.ResultOpcode.Value = command.Opcode;
        _registers.ResultTag.Value = command.Tag;
        _registers.ResultDetail.Value = outcome is Outcome.Invalid or Outcome.Busy ? 0 : (uint)LastValue;
    }

    private void WriteControl(int _, in RegisterWrite write)
    {
        if (write.WroteOne(_registers.SoftReset))
        {
            _registers.SoftReset.Register.Bank.Reset(keepSticky: true);
            Reset(powerOn: false);
            UpdateInterrupts();
            return;
        }
        Firmware.BumpStop = _registers.BumpStop.IsSet;
        Firmware.MotorEnable = _registers.MotorEnable.IsSet;
    }

    private void WriteCommand(int _, in RegisterWrite write)
    {
        ProsewareOpcode opcode = _registers.Opcode.Extract(write.After);
        int a = (int)_registers.Argument0Value.Value, b = (int)_registers.Argument1Value.Value;
        bool known = ProsewareDecoder.TryDecode(opcode, a, b, out RobotCommand command);
        Execute((opcode, (uint)_registers.Tag.Extract(write.After)), known ? command : null);
    }

    private ulong ReadStatus(int _, ulong stored)
        => stored
            | Flag(_registers.Busy, Firmware.IsBusy && !_ring.HasCurrent)
            | Flag(_registers.Moving, Firmware.IsMoving)
            | Flag(_registers.RingRunning, _ring.IsActive)
            | Flag(_registers.PenDown, Firmware.IsToolEngaged)
            | Flag(_registers.BatteryLow, Firmware.BatteryLevel >= BatteryLevel.Low)
            | Flag(_registers.BatteryCritical, Firmware.BatteryLevel >= BatteryLevel.Critical)
            | Flag(_registers.Faulty, _registers.Faults.Value != 0)
            | Flag(_registers.Bumped, Firmware.Bumpers != Bumpers.None);

    private ulong ReadRange(int index)
    {
        if (Firmware.IsRangeDead) return 0;
        int range = Firmware.MeasureRange(RangeBearings[index]);
        ulong valid = _registers.RangeValid[index].Mask;
        return range < 0 ? valid | _registers.RangeNoEcho[index].Mask | RobotBodySize.FarthestEcho : valid | (uint)range;
    }

    // Two lithium cells: 6.0 V empty, 8.4 V full, and straight between, as toys are.
    private ulong ReadBattery()
    {
        ulong percent = (uint)Firmware.ReadBattery(Percent);
        return percent | ((6000 + (24 * percent)) << 16);
    }

    private void WriteBatteryLimits(int _, in RegisterWrite write)
        => Firmware.SetBatteryThresholds((int)_registers.LowPercent.Value, (int)_registers.CriticalPercent.Value, Percent);

    private void WriteWatchdogFeed(int _, in RegisterWrite write)
    {
        if (_registers.FeedValue.Extract(write.Written) == ProsewareRegisters.FeedKey) Firmware.FeedWatchdog();
    }

    private void UpdateTelemetry()
    {
        long period = (long)_registers.TelemetryMilliseconds.Value;
        if (_registers.TelemetryBase.Value == 0) period = 0;
        Firmware.SetTelemetry(period == 0 ? 0 : Math.Max(period, ShortestTelemetry) * Millisecond);
    }
}
