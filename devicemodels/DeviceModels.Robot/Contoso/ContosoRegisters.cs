using Emulator.Registers;
using static Emulator.Registers.Access;

namespace DeviceModels.Robot.Contoso;

/// <summary>What a Contoso robot can be told, through EXEC or in a descriptor. The numbers are the hardware's.</summary>
public enum ContosoOpcode : byte
{
    /// <summary>Does nothing, successfully.</summary>
    Nop = 0x00,
    /// <summary>P0: encoder ticks, signed, negative backwards. P1: ticks per second.</summary>
    Move = 0x10,
    /// <summary>P0: binary angle, signed, 65536 a circle, positive counter-clockwise. P1: wheel speed, ticks per second.</summary>
    Turn = 0x11,
    /// <summary>P0: left, P1: right wheel speed, ticks per second, signed; done at once, runs until the next motion or HALT.</summary>
    Spin = 0x12,
    /// <summary>Stops the wheels and what is running.</summary>
    Halt = 0x1f,
    /// <summary>P0: 1 closes the gripper, 0 opens it.</summary>
    Grip = 0x20,
    /// <summary>P0: the light, RGB565.</summary>
    Light = 0x28,
    /// <summary>P0: units of 10 ms.</summary>
    Wait = 0x30,
    /// <summary>Sets both encoders to zero.</summary>
    ZeroEncoders = 0x31,
}

/// <summary>How a command of a Contoso robot ended: bit 0 ended, bit 1 failed, bits 7:4 why.</summary>
public enum ContosoResult : byte
{
    /// <summary>No command has ended yet.</summary>
    None = 0x00,
    Ok = 0x01,
    /// <summary>A bumper in the direction of travel touched something.</summary>
    Bumped = 0x13,
    /// <summary>A wheel did not turn though driven.</summary>
    Stalled = 0x23,
    /// <summary>HALT, a doorbell's STOP or a reset came first.</summary>
    Halted = 0x33,
    /// <summary>Unknown opcode, parameter out of range, or reserved bits set.</summary>
    Rejected = 0x43,
    /// <summary>MODE.MOTEN is 0.</summary>
    Locked = 0x53,
    /// <summary>The battery is empty.</summary>
    NoPower = 0x63,
    /// <summary>The watchdog expired.</summary>
    Watchdog = 0x73,
    /// <summary>Another command was running.</summary>
    Busy = 0x83,
}

/// <summary>Why the list engine of a Contoso robot halted.</summary>
public enum ContosoListError : byte
{
    None = 0,
    /// <summary>Guest memory could not be read or written.</summary>
    Bus = 1,
    /// <summary>An address was 0 or not a multiple of 32.</summary>
    Address = 2,
    /// <summary>A descriptor was malformed.</summary>
    Descriptor = 3,
    /// <summary>A command failed.</summary>
    Command = 4,
    /// <summary>STOP, HALT or the watchdog.</summary>
    Stopped = 5,
}

/// <summary>
/// The direct registers of a Contoso robot: 16 bits wide, causes cleared by reading, everything else behind INDEX and
/// WINDOW (<see cref="ContosoIndexedRegisters"/>). See Contoso/contoso.md.
/// </summary>
public sealed class ContosoRegisters : RegisterBank
{
    /// <summary>What CHIPID reads: the bytes "CO".</summary>
    public const ushort ChipId = 0x4f43;

    /// <summary>What KICK wants to see.</summary>
    public const ushort KickKey = 0xa5c3;

    public readonly Register Cause, Mask, State, Error, Mode, Kick, Index, Window, Execute, Result, ListLow, ListHigh, Doorbell, ListStatus, Latch;
    public readonly Field FaultCause, BatteryCause, SensorCause, CommandCause, MaskBits;
    public readonly Field Ready, Busy, Moving, ListRunning, GripClosed, Holding, BatteryLow, BatteryCritical, Faulty, Bumped;
    public readonly Field MotorLeft, MotorRight, WatchdogError, BusError, ListErrorBit, SensorError, CommandError, PowerError;
    public readonly Field MotorEnable, BumpStop, SoftReset, KickValue;
    public readonly Field IndexNumber, AutoIncrement, WindowData;
    public readonly Field<ContosoOpcode> Opcode, ResultOpcode;
    public readonly Field<ContosoResult> ResultCode;
    public readonly Field ListLowBits, ListHighBits, Go, Stop, ListActive, ListHalted;
    public readonly Field<ContosoListError> ListError;
    public readonly Field LatchStrobe;

    public ContosoRegisters() : base("CONTOSO", length: 0x40, "Direct registers of a Contoso robot.")
    {
        AccessSizes = AccessSizes.Word;

        Add("CHIPID", 0x00, 2, "Identification.").Bits(15, 0, "ID", ReadOnly, ChipId, "The bytes \"CO\".");
        Add("FWREV", 0x02, 2, "Firmware version.")
            .Bits(7, 0, "MINOR", ReadOnly, 0x07, "Binary coded decimal.")
            .Bits(15, 8, "MAJOR", ReadOnly, 0x02, "Binary coded decimal.");
        Cause = Add("CAUSE", 0x04, 2, "Interrupt causes; reading clears them all. Bits 15:4 read 0: all ones means that the device is gone.")
            .Bit(0, "FAULT", ReadToClear, out FaultCause, summary: "A bit of ERROR rose. Message 0.")
            .Bit(1, "BATTERY", ReadToClear, out BatteryCause, summary: "Charge fell to a threshold. Message 1.")
            .Bit(2, "SENSOR", ReadToClear, out SensorCause, summary: "A bit of EVENTS rose. Message 2.")
            .Bit(3, "COMMAND", ReadToClear, out CommandCause, summary: "A command ended, or a descriptor with INT. Message 3.");
        Mask = Add("MASK", 0x06, 2, "Interrupt enables, bits as in CAUSE.").Bits(3, 0, "ENABLE", ReadWrite, out MaskBits, summary: "1 lets it interrupt.");
        State = Add("STATE", 0x08, 2, "State now; reading changes nothing. Bits 15:12 read 0.")
            .Bit(0, "READY", ReadOnly, out Ready, 1, "The firmware runs.")
            .Bit(1, "BUSY", ReadOnly, out Busy, summary: "A command of EXEC is running.")
            .Bit(2, "MOVING", ReadOnly, out Moving, summary: "A wheel is driven.")
            .Bit(3, "LIST", ReadOnly, out ListRunning, summary: "The list engine is active.")
            .Bit(4, "GRIP", ReadOnly, out GripClosed, summary: "The gripper is closed.")
            .Bit(5, "HOLD", ReadOnly, out Holding, summary: "The gripper holds an object.")
            .Bit(6, "BATLOW", ReadOnly, out BatteryLow, summary: "Charge at or below BATLOW.")
            .Bit(7, "BATCRIT", ReadOnly, out BatteryCritical, summary: "Charge at or below BATCRIT.")
            .Bit(8, "ERR", ReadOnly, out Faulty, summary: "Some bit of ERROR is set.")
            .Bit(9, "BUMP", ReadOnly, out Bumped, summary: "Some bit of BUMPER is set.");
        Error = Add("ERROR", 0x0a, 2, "Errors; reading clears them all. Bits 15:8 read 0.")
            .Bit(0, "MOTORL", ReadToClear, out MotorLeft, summary: "The left wheel did not turn though driven for 250 ms.")
            .Bit(1, "MOTORR", ReadToClear, out MotorRight, summary: "The right wheel did not turn though driven for 250 ms.")
            .Bit(2, "WDOG", ReadToClear, out WatchdogError, summary: "The watchdog expired; the wheels were stopped.")
            .Bit(3, "BUS", ReadToClear, out BusError, summary: "Guest memory could not be reached.")
            .Bit(4, "LIST", ReadToClear, out ListErrorBit, summary: "The list was malformed: see LISTST.ERROR.")
            .Bit(5, "SENSOR", ReadToClear, out SensorError, summary: "A range finder died.")
            .Bit(6, "COMMAND", ReadToClear, out CommandError, summary: "EXEC was refused: see RESULT.")
            .Bit(7, "POWER", ReadToClear, out PowerError, summary: "The battery ran empty; the wheels were stopped.");
        Mode = Add("MODE", 0x0c, 2, "Mode.")
            .Bit(0, "MOTEN", ReadWrite, out MotorEnable, summary: "Motor enable. Clearing it stops the wheels and halts a motion.")
            .Bit(1, "BUMPSTOP", ReadWrite, out BumpStop, 1, "A bumper in the direction of travel ends a motion.")
            .Bit(15, "SRST", WriteOnly, out SoftReset, summary: "Writing 1 resets the robot's electronics, not PCI configuration.");
        Kick = Add("KICK", 0x0e, 2, "Feeds the watchdog.").Bits(15, 0, "KEY", WriteOnly, out KickValue, summary: "0xa5c3; anything else is ignored.");
        Index = Add("INDEX", 0x10, 2, "Chooses an indexed register.")
            .Bits(7, 0, "NUMBER", ReadWrite, out IndexNumber, summary: "Offset in CONTOSO_INDEXED divided by 2.")
            .Bit(15, "AUTOINC", ReadWrite, out AutoIncrement, summary: "Each access of WINDOW adds 1 to NUMBER.");
        Window = Add("WINDOW", 0x12, 2, "The indexed register that INDEX chose.").Bits(15, 0, "DATA", ReadWrite, out WindowData);
        Execute = Add("EXEC", 0x14, 2, "Writing starts a command with the parameters P0 and P1.")
            .Bits(7, 0, "OPCODE", WriteOnly, out Opcode, summary: "What to do.");
        Result = Add("RESULT", 0x16, 2, "How the last command of EXEC ended.")
            .Bits(7, 0, "CODE", ReadOnly, out ResultCode, summary: "How it ended.")
            .Bits(15, 8, "OPCODE", ReadOnly, out ResultOpcode, summary: "Which it was.");
        ListLow = Add("LISTLO", 0x18, 2, "Guest address of the first descriptor, bits 15:0; writable while the list is not active.")
            .Bits(15, 5, "ADDRESS", ReadWrite, out ListLowBits, summary: "Multiple of 32.");
        ListHigh = Add("LISTHI", 0x1a, 2, "Guest address of the first descriptor, bits 31:16. Writing it makes the next GO start there.")
            .Bits(15, 0, "ADDRESS", ReadWrite, out ListHighBits);
        Doorbell = Add("DOORBELL", 0x1c, 2, "Doorbell.")
            .Bit(0, "GO", WriteOnly, out Go, summary: "Fetches the list, or looks again at the descriptor where it parked.")
            .Bit(1, "STOP", WriteOnly, out Stop, summary: "Halts the list; wins over GO.");
        ListStatus = Add("LISTST", 0x1e, 2, "List status.")
            .Bit(0, "ACTIVE", ReadOnly, out ListActive, summary: "A descriptor is in progress or being fetched.")
            .Bit(1, "HALTED", ReadOnly, out ListHalted, summary: "Stopped by an error; write LISTLO and LISTHI again, then GO.")
            .Bits(7, 4, "ERROR", ReadOnly, out ListError, summary: "Why it stopped.");
        Latch = Add("LATCH", 0x20, 2, "Takes a picture of encoders and heading into ENC and HEADING.")
            .Bit(0, "STROBE", WriteOnly, out LatchStrobe, summary: "Write 1.");
    }
}

/// <summary>The registers behind INDEX and WINDOW: number n is the word at offset 2n of this bank.</summary>
public sealed class ContosoIndexedRegisters : RegisterBank
{
    /// <summary>The range finders: front, left, rear, right.</summary>
    public const int RangeCount = 4;

    public readonly Register[] Parameters, Encoder, Range, Serial, Telemetry;
    public readonly Register Heading, Bumper, Events, NearLimit, BatteryLevel, BatteryLow, BatteryCritical, Light, Watchdog, TelemetryPeriod;
    public readonly Field[] EncoderBits, RangeMicroseconds;
    public readonly Field HeadingAngle, BumperBits, BumpEvents, NearEvent, NearMicroseconds, BatteryAdc, LowAdc, CriticalAdc;
    public readonly Field LightColour, WatchdogTicks, TelemetryTicks;

    public ContosoIndexedRegisters() : base("CONTOSO_INDEXED", length: 0xc0, "Registers of a Contoso robot behind INDEX and WINDOW: number n is at offset 2n.")
    {
        AccessSizes = AccessSizes.Word;

        Parameters = AddArray("P", 0x00, 2, 2, 2, r => r.Bits(15, 0, "VALUE", ReadWrite), "Parameters of the next command.");
        (EncoderBits, RangeMicroseconds) = (new Field[4], new Field[RangeCount]);
        Encoder = AddArray("ENC", 0x20, 2, 4, 2, r => r.Bits(15, 0, "VALUE", ReadOnly, out EncoderBits[r.Index]),
            "Encoders as of the last LATCH, signed 32-bit: left low, left high, right low, right high.");
        Heading = Add("HEADING", 0x28, 2, "Gyroscope as of the last LATCH.")
            .Bits(15, 0, "ANGLE", ReadOnly, out HeadingAngle, summary: "65536 a circle, counter-clockwise from the arena's x axis.");
        Range = AddArray("RANGE", 0x40, 2, RangeCount, 2, r => r.Bits(15, 0, "US", ReadOnly, out RangeMicroseconds[r.Index],
            summary: "Echo time, microseconds, 6 a millimetre; 0xfffe: no echo within 2000 mm, 0xffff: the sensor is dead."),
            "Range finders: 0 front, 1 left, 2 rear, 3 right.");
        Bumper = Add("BUMPER", 0x48, 2, "Bumpers now.").Bits(2, 0, "PRESSED", ReadOnly, out BumperBits, summary: "0: front left, 1: front right, 2: rear.");
        Events = Add("EVENTS", 0x4a, 2, "Sensor events; reading clears them all. A bit that rises sets CAUSE.SENSOR.")
            .Bits(2, 0, "BUMP", ReadToClear, out BumpEvents, summary: "0: front left, 1: front right, 2: rear bumper was pressed.")
            .Bit(3, "NEAR", ReadToClear, out NearEvent, summary: "The front echo time fell below NEARLIM.");
        NearLimit = Add("NEARLIM", 0x4c, 2, "Front echo time that counts as near.")
            .Bits(15, 0, "US", ReadWrite, out NearMicroseconds, summary: "Microseconds; 0 is off.");
        BatteryLevel = Add("BATADC", 0x50, 2, "Battery converter.").Bits(9, 0, "LEVEL", ReadOnly, out BatteryAdc, 1023, "1023 is full.");
        BatteryLow = Add("BATLOW", 0x52, 2, "Low threshold; falling to it sets CAUSE.BATTERY.")
            .Bits(9, 0, "LEVEL", ReadWrite, out LowAdc, 205);
        BatteryCritical = Add("BATCRIT", 0x54, 2, "Critical threshold; falling to it sets CAUSE.BATTERY.")
            .Bits(9, 0, "LEVEL", ReadWrite, out CriticalAdc, 51);
        Light = Add("LIGHT", 0x60, 2, "Light.").Bits(15, 0, "RGB565", ReadWrite, out LightColour, summary: "Red 15:11, green 10:5, blue 4:0.");
        Watchdog = Add("WDOG", 0x70, 2, "Watchdog period. A write starts the watchdog anew.")
            .Bits(15, 0, "CS", ReadWrite, out WatchdogTicks, summary: "Units of 10 ms; 0 is off.");
        Serial = AddArray("SERIAL", 0x80, 2, 8, 2, r => r.Bits(15, 0, "CHARS", ReadOnly),
            "Serial number: 16 ASCII characters, two a word, the first in bits 7:0.");
        Telemetry = AddArray("TELE", 0xa0, 2, 2, 2, r => r.Bits(15, 0, "ADDRESS", ReadWrite),
            "Guest address of the telemetry block: low, high half. Multiple of 64; 0 is off.");
        TelemetryPeriod = Add("TELEPER", 0xa4, 2, "Telemetry period while moving or running.")
            .Bits(15, 0, "CS", ReadWrite, out TelemetryTicks, summary: "Units of 10 ms; 0 is off.");
    }
}
