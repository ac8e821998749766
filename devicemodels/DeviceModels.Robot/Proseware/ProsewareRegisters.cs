using Emulator.Registers;
using static Emulator.Registers.Access;

namespace DeviceModels.Robot.Proseware;

/// <summary>What a Proseware robot can be told, in the mailbox or in a descriptor. The numbers are the hardware's.</summary>
public enum ProsewareOpcode : byte
{
    /// <summary>Does nothing, successfully.</summary>
    Nop = 0,
    /// <summary>ARG0: distance, mm, negative backwards. ARG1: speed, mm/s.</summary>
    Drive = 1,
    /// <summary>ARG0: angle, tenths of a degree, positive counter-clockwise. ARG1: wheel speed, mm/s.</summary>
    Turn = 2,
    /// <summary>ARG0: left, ARG1: right wheel speed, mm/s; done at once, runs until the next motion or STOP.</summary>
    Velocity = 3,
    /// <summary>Stops the wheels and what is running.</summary>
    Stop = 4,
    /// <summary>ARG0: 1 lowers the pen, 0 lifts it.</summary>
    Pen = 5,
    /// <summary>ARG0: red, green, blue in bits 23:0.</summary>
    Led = 6,
    /// <summary>ARG0: milliseconds.</summary>
    Wait = 7,
    /// <summary>Sets both odometers to zero.</summary>
    ZeroOdometer = 8,
}

/// <summary>How a command of a Proseware robot ended.</summary>
public enum ProsewareResult : byte
{
    /// <summary>No command has ended yet.</summary>
    None = 0,
    Ok = 1,
    /// <summary>A bumper in the direction of travel touched something.</summary>
    Blocked = 2,
    /// <summary>A wheel did not turn though driven.</summary>
    Stalled = 3,
    /// <summary>STOP, ABORT or a reset came first.</summary>
    Aborted = 4,
    /// <summary>Unknown opcode, argument out of range, or reserved bits set.</summary>
    Invalid = 5,
    /// <summary>Another command was running.</summary>
    Busy = 6,
    /// <summary>CONTROL.MOTEN is 0.</summary>
    Disabled = 7,
    /// <summary>The battery is empty.</summary>
    NoPower = 8,
    /// <summary>The watchdog expired.</summary>
    Watchdog = 9,
}

/// <summary>Why the ring of a Proseware robot stopped.</summary>
public enum ProsewareRingError : byte
{
    None = 0,
    /// <summary>Guest memory could not be read or written.</summary>
    Dma = 1,
    /// <summary>RING_TAIL or CQ_HEAD was not below the size.</summary>
    Index = 2,
    /// <summary>A size was not a power of two from 2 to 256, or a base was 0.</summary>
    Setup = 3,
    /// <summary>A descriptor was malformed.</summary>
    Descriptor = 4,
    /// <summary>A command failed and its descriptor did not say CONTINUE.</summary>
    Command = 5,
    /// <summary>ABORT, STOP or the watchdog.</summary>
    Aborted = 6,
}

/// <summary>
/// The registers of a Proseware robot: 32 bits wide, distances in millimetres, status bits cleared by writing one, a
/// command mailbox, and a descriptor ring with a completion queue. See Proseware/proseware.md.
/// </summary>
public sealed class ProsewareRegisters : RegisterBank
{
    /// <summary>What ID reads: the bytes "PWRB".</summary>
    public const uint Magic = 0x42525750;

    /// <summary>What WDT_FEED wants to see.</summary>
    public const uint FeedKey = 0x600d;

    /// <summary>The range finders: front, left, right.</summary>
    public const int RangeCount = 3;

    public readonly Register Control, Status, InterruptStatus, InterruptEnable, Faults, SensorEvents, Bumpers, NearLimit;
    public readonly Register Argument0, Argument1, Command, Result, ResultValue;
    public readonly Register OdometerLeft, OdometerRight, Heading, Speed, Battery, BatteryLimits, Led, WatchdogPeriod, WatchdogFeed;
    public readonly Register[] Range;
    public readonly Register RingBase, RingSize, RingHead, RingTail, CompletionBase, CompletionSize, CompletionHead, RingControl, RingStatus;
    public readonly Register TelemetryBase, TelemetryPeriod, Serial;

    public readonly Field MotorEnable, BumpStop, SoftReset;
    public readonly Field Ready, Busy, Moving, RingRunning, PenDown, BatteryLow, BatteryCritical, Faulty, Bumped;
    public readonly Field InterruptCauses, EnabledCauses;
    public readonly Field StallLeft, StallRight, WatchdogFault, DmaFault, DescriptorFault, SensorFault, CommandFault, PowerFault;
    public readonly Field BumpEvents, NearEvent, BumperBits, NearMillimetres;
    public readonly Field Argument0Value, Argument1Value, Tag, ResultTag, ResultDetail;
    public readonly Field<ProsewareOpcode> Opcode, ResultOpcode;
    public readonly Field<ProsewareResult> ResultCode;
    public readonly Field OdometerLeftValue, OdometerRightValue, HeadingTenths, SpeedLeft, SpeedRight;
    public readonly Field[] RangeMillimetres, RangeNoEcho, RangeValid;
    public readonly Field BatteryPercent, BatteryMillivolts, LowPercent, CriticalPercent, LedColour;
    public readonly Field WatchdogMilliseconds, FeedValue, SerialNumber;
    public readonly Field RingAddress, RingEntries, Head, Tail, CompletionAddress, CompletionEntries, CompletionConsumer;
    public readonly Field Run, Abort, RingActive, RingFailed, CompletionProducer;
    public readonly Field<ProsewareRingError> RingErrorCode;
    public readonly Field TelemetryAddress, TelemetryMilliseconds;

    public ProsewareRegisters() : base("PROSEWARE", length: 0x200, "Registers of a Proseware robot.")
    {
        AccessSizes = AccessSizes.Dword;

        Add("ID", 0x00, 4, "Identification.").Bits(31, 0, "MAGIC", ReadOnly, Magic, "The bytes \"PWRB\".");
        Add("VERSION", 0x04, 4, "Firmware version.")
            .Bits(15, 0, "BUILD", ReadOnly, 57)
            .Bits(23, 16, "MINOR", ReadOnly, 1)
            .Bits(31, 24, "MAJOR", ReadOnly, 3);
        Add("CAPS", 0x08, 4, "What this robot has.")
            .Bit(0, "PEN", ReadOnly, 1, "A pen.")
            .Bit(1, "GRIPPER", ReadOnly, 0, "A gripper.")
            .Bits(7, 4, "RANGES", ReadOnly, RangeCount, "Range finders.")
            .Bits(11, 8, "VECTORS", ReadOnly, 4, "Message interrupts.")
            .Bit(16, "RING", ReadOnly, 1, "A command ring.")
            .Bits(31, 24, "MAXRING", ReadOnly, 8, "Largest ring and queue, log2 of the entries.");
        Serial = Add("SERIAL", 0x0c, 4, "Serial number.").Bits(31, 0, "NUMBER", ReadOnly, out SerialNumber);

        Control = Add("CONTROL", 0x10, 4, "Control.")
            .Bit(0, "MOTEN", ReadWrite, out MotorEnable, summary: "Motor enable. Clearing it stops the wheels and aborts a motion.")
            .Bit(1, "BUMPSTOP", ReadWrite, out BumpStop, 1, "A bumper in the direction of travel ends a motion.")
            .Bit(8, "RESET", WriteOnly, out SoftReset, summary: "Writing 1 resets the robot's electronics, not PCI configuration.");
        Status = Add("STATUS", 0x14, 4, "State now. Bits 31:16 read 0: all ones means that the device is gone.")
            .Bit(0, "READY", ReadOnly, out Ready, 1, "The firmware runs.")
            .Bit(1, "BUSY", ReadOnly, out Busy, summary: "A mailbox command is running.")
            .Bit(2, "MOVING", ReadOnly, out Moving, summary: "A wheel is driven.")
            .Bit(3, "RUNNING", ReadOnly, out RingRunning, summary: "The ring is running.")
            .Bit(4, "PENDOWN", ReadOnly, out PenDown, summary: "The pen touches the floor.")
            .Bit(5, "BATLOW", ReadOnly, out BatteryLow, summary: "Charge at or below BAT_LIMITS.LOW.")
            .Bit(6, "BATCRIT", ReadOnly, out BatteryCritical, summary: "Charge at or below BAT_LIMITS.CRITICAL.")
            .Bit(7, "FAULT", ReadOnly, out Faulty, summary: "Some bit of FAULTS is set.")
            .Bit(8, "BUMPED", ReadOnly, out Bumped, summary: "Some bit of BUMPERS is set.")
            .Bits(31, 16, "ZERO", ReadOnly, summary: "Always 0.");
        InterruptStatus = Add("INTSTS", 0x18, 4, "Interrupt causes; bit n raises message n while INTEN allows it. Bits 31:4 read 0.")
            .Bits(3, 0, "CAUSE", WriteOneToClear, out InterruptCauses, summary: "0: command done, 1: sensor, 2: fault, 3: battery.");
        InterruptEnable = Add("INTEN", 0x1c, 4, "Interrupt enables, bits as in INTSTS.")
            .Bits(3, 0, "ENABLE", ReadWrite, out EnabledCauses);
        Faults = Add("FAULTS", 0x20, 4, "Faults since they were last cleared. A bit that rises sets INTSTS bit 2.")
            .Bit(0, "STALLL", WriteOneToClear, out StallLeft, summary: "The left wheel did not turn though driven for 250 ms.")
            .Bit(1, "STALLR", WriteOneToClear, out StallRight, summary: "The right wheel did not turn though driven for 250 ms.")
            .Bit(2, "WDT", WriteOneToClear, out WatchdogFault, summary: "The watchdog expired; the wheels were stopped.")
            .Bit(3, "DMA", WriteOneToClear, out DmaFault, summary: "Guest memory could not be reached.")
            .Bit(4, "DESC", WriteOneToClear, out DescriptorFault, summary: "The ring was malformed: see RING_STATUS.ERROR.")
            .Bit(5, "SENSOR", WriteOneToClear, out SensorFault, summary: "A range finder died.")
            .Bit(6, "COMMAND", WriteOneToClear, out CommandFault, summary: "A mailbox command was refused: see RESULT.")
            .Bit(7, "POWER", WriteOneToClear, out PowerFault, summary: "The battery ran empty; the wheels were stopped.");
        SensorEvents = Add("SENSEVT", 0x24, 4, "Sensor events since they were last cleared. A bit that rises sets INTSTS bit 1.")
            .Bits(2, 0, "BUMP", WriteOneToClear, out BumpEvents, summary: "0: front left, 1: front right, 2: rear bumper was pressed.")
            .Bit(4, "NEAR", WriteOneToClear, out NearEvent, summary: "The front range fell below NEAR_LIMIT.");
        Bumpers = Add("BUMPERS", 0x28, 4, "Bumpers now.")
            .Bits(2, 0, "PRESSED", ReadOnly, out BumperBits, summary: "0: front left, 1: front right, 2: rear.");
        NearLimit = Add("NEAR_LIMIT", 0x2c, 4, "Front range that counts as near.")
            .Bits(15, 0, "MM", ReadWrite, out NearMillimetres, summary: "Millimetres; 0 is off.");

        Argument0 = Add("ARG0", 0x40, 4, "First argument of the next mailbox command.").Bits(31, 0, "VALUE", ReadWrite, out Argument0Value);
        Argument1 = Add("ARG1", 0x44, 4, "Second argument of the next mailbox command.").Bits(31, 0, "VALUE", ReadWrite, out Argument1Value);
        Command = Add("COMMAND", 0x48, 4, "Writing starts a mailbox command.")
            .Bits(7, 0, "OPCODE", WriteOnly, out Opcode, summary: "What to do.")
            .Bits(31, 16, "TAG", WriteOnly, out Tag, summary: "Comes back in RESULT.");
        Result = Add("RESULT", 0x4c, 4, "How the last mailbox command ended. Valid when INTSTS bit 0 is set or STATUS.BUSY is 0.")
            .Bits(7, 0, "CODE", ReadOnly, out ResultCode, summary: "How it ended.")
            .Bits(15, 8, "OPCODE", ReadOnly, out ResultOpcode, summary: "Which it was.")
            .Bits(31, 16, "TAG", ReadOnly, out ResultTag, summary: "The tag of COMMAND.");
        ResultValue = Add("RESULT_VALUE", 0x50, 4, "How far the last mailbox motion went.")
            .Bits(31, 0, "VALUE", ReadOnly, out ResultDetail, summary: "DRIVE: mm, signed. TURN: tenths of a degree, signed. Otherwise 0.");

        OdometerLeft = Add("ODO_L", 0x60, 4, "Left wheel odometer.")
            .Bits(31, 0, "MM", ReadOnly, out OdometerLeftValue, summary: "mm, signed.");
        OdometerRight = Add("ODO_R", 0x64, 4, "Right wheel odometer.")
            .Bits(31, 0, "MM", ReadOnly, out OdometerRightValue, summary: "mm, signed.");
        Heading = Add("HEADING", 0x68, 4, "Gyroscope.")
            .Bits(15, 0, "TENTHS", ReadOnly, out HeadingTenths, summary: "Tenths of a degree, 0 to 3599, counter-clockwise from the arena's x axis.");
        Speed = Add("SPEED", 0x6c, 4, "Wheel speeds now.")
            .Bits(15, 0, "LEFT", ReadOnly, out SpeedLeft, summary: "mm/s, signed.")
            .Bits(31, 16, "RIGHT", ReadOnly, out SpeedRight, summary: "mm/s, signed.");
        (RangeMillimetres, RangeNoEcho, RangeValid) = (new Field[RangeCount], new Field[RangeCount], new Field[RangeCount]);
        Range = AddArray("RANGE", 0x70, 4, RangeCount, 4, r => r
            .Bits(15, 0, "MM", ReadOnly, out RangeMillimetres[r.Index], summary: "Millimetres from the robot's rim.")
            .Bit(30, "NOECHO", ReadOnly, out RangeNoEcho[r.Index], summary: "Nothing within 2000 mm; MM reads 2000.")
            .Bit(31, "VALID", ReadOnly, out RangeValid[r.Index], summary: "The sensor works."),
            "Range finders: 0 front, 1 left, 2 right.");
        Battery = Add("BATTERY", 0x80, 4, "Battery.")
            .Bits(7, 0, "PERCENT", ReadOnly, out BatteryPercent, 100, "Charge, rounded up.")
            .Bits(31, 16, "MV", ReadOnly, out BatteryMillivolts, 8400, "Terminal voltage, millivolts.");
        BatteryLimits = Add("BAT_LIMITS", 0x84, 4, "Battery thresholds; crossing one downwards sets INTSTS bit 3.")
            .Bits(7, 0, "LOW", ReadWrite, out LowPercent, 20, "Percent.")
            .Bits(15, 8, "CRITICAL", ReadWrite, out CriticalPercent, 5, "Percent.");
        Led = Add("LED", 0x88, 4, "Light.").Bits(23, 0, "RGB", ReadWrite, out LedColour, summary: "Red 23:16, green 15:8, blue 7:0.");
        WatchdogPeriod = Add("WDT_PERIOD", 0x90, 4, "Watchdog period. A write starts the watchdog anew.")
            .Bits(15, 0, "MS", ReadWrite, out WatchdogMilliseconds, summary: "Milliseconds; 0 is off.");
        WatchdogFeed = Add("WDT_FEED", 0x94, 4, "Feeds the watchdog.")
            .Bits(15, 0, "KEY", WriteOnly, out FeedValue, summary: "0x600d; anything else is ignored.");

        RingBase = Add("RING_BASE", 0x100, 8, "Guest address of the ring; writable while RING_CTRL.RUN is 0.")
            .Bits(63, 6, "ADDRESS", ReadWrite, out RingAddress, summary: "Multiple of 64.");
        RingSize = Add("RING_SIZE", 0x108, 4, "Entries of the ring; writable while RING_CTRL.RUN is 0.")
            .Bits(15, 0, "ENTRIES", ReadWrite, out RingEntries, summary: "A power of two, 2 to 256.");
        RingHead = Add("RING_HEAD", 0x10c, 4, "The entry fetched next.").Bits(15, 0, "INDEX", ReadOnly, out Head);
        RingTail = Add("RING_TAIL", 0x110, 4, "Doorbell: the entry the driver fills next.").Bits(15, 0, "INDEX", ReadWrite, out Tail);
        CompletionBase = Add("CQ_BASE", 0x118, 8, "Guest address of the completion queue; writable while RING_CTRL.RUN is 0.")
            .Bits(63, 6, "ADDRESS", ReadWrite, out CompletionAddress, summary: "Multiple of 64.");
        CompletionSize = Add("CQ_SIZE", 0x120, 4, "Entries of the completion queue; writable while RING_CTRL.RUN is 0.")
            .Bits(15, 0, "ENTRIES", ReadWrite, out CompletionEntries, summary: "A power of two, 2 to 256.");
        CompletionHead = Add("CQ_HEAD", 0x124, 4, "The completion the driver reads next; one entry stays free.")
            .Bits(15, 0, "INDEX", ReadWrite, out CompletionConsumer);
        RingControl = Add("RING_CTRL", 0x128, 4, "Ring control.")
            .Bit(0, "RUN", ReadWrite, out Run, summary: "0 to 1 starts at index 0 with phase 1; the robot clears it on an error; 1 to 0 aborts.")
            .Bit(1, "ABORT", WriteOnly, out Abort, summary: "Aborts the running program.");
        RingStatus = Add("RING_STATUS", 0x12c, 4, "Ring status.")
            .Bit(0, "ACTIVE", ReadOnly, out RingActive, summary: "RUN is set and a descriptor is in progress or waiting.")
            .Bit(1, "FAILED", ReadOnly, out RingFailed, summary: "Stopped by an error; cleared by the next start.")
            .Bits(15, 8, "ERROR", ReadOnly, out RingErrorCode, summary: "Why it stopped.")
            .Bits(31, 16, "CQTAIL", ReadOnly, out CompletionProducer, summary: "The completion written next.");
        TelemetryBase = Add("TELE_BASE", 0x130, 8, "Guest address of the telemetry block, 64 bytes.")
            .Bits(63, 6, "ADDRESS", ReadWrite, out TelemetryAddress, summary: "Multiple of 64; 0 is off.");
        TelemetryPeriod = Add("TELE_PERIOD", 0x138, 4, "Telemetry period while moving or running.")
            .Bits(15, 0, "MS", ReadWrite, out TelemetryMilliseconds, summary: "Milliseconds, at least 5; 0 is off.");
    }
}
