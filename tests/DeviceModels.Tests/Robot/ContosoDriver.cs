using System.Buffers.Binary;
using DeviceModels.Robot;
using DeviceModels.Robot.Contoso;
using Emulator.Testing;

namespace DeviceModels.Tests.Robot;

/// <summary>A little driver for the Contoso robot, with the offsets of Contoso/contoso.md.</summary>
internal sealed class ContosoDriver
{
    public const int ChipId = 0x00, FwRev = 0x02, Cause = 0x04, Mask = 0x06, State = 0x08, Error = 0x0a, Mode = 0x0c, Kick = 0x0e;
    public const int IndexAt = 0x10, Window = 0x12, Exec = 0x14, Result = 0x16, ListLo = 0x18, ListHi = 0x1a, Doorbell = 0x1c, ListSt = 0x1e, Latch = 0x20;
    public const int P0 = 0x00, P1 = 0x01, Enc = 0x10, Heading = 0x14, Range = 0x20, BumperNow = 0x24, Events = 0x25, NearLim = 0x26, BatAdc = 0x28;
    public const int BatLow = 0x29, BatCrit = 0x2a, LightAt = 0x30, Wdog = 0x38, Serial = 0x40, Tele = 0x50, TelePer = 0x52;

    public const ushort Fault = 1, Battery = 2, Sensor = 4, Command = 8;
    public const ushort Busy = 1 << 1, Moving = 1 << 2, List = 1 << 3, Grip = 1 << 4, Hold = 1 << 5, Low = 1 << 6, Critical = 1 << 7;
    public const byte Nop = 0, Move = 0x10, Turn = 0x11, Spin = 0x12, Halt = 0x1f, GripTo = 0x20, Light = 0x28, Wait = 0x30, Zero = 0x31;
    public const byte Ok = 0x01, Bumped = 0x13, Stalled = 0x23, Halted = 0x33, Rejected = 0x43, Locked = 0x53, NoPower = 0x63;
    public const byte WatchdogResult = 0x73, BusyResult = 0x83;
    public const uint Own = 1u << 31, Int = 1u << 29;
    public const long Ms = 1_000_000;

    public ContosoDriver(RobotOptions? options = null)
    {
        Robot = Host.Plug(new ContosoRobot(Host.Slot, options ?? ProsewareDriver.Open));
        Bar.Write16(Mode, 3);
    }

    public FakePciHost Host { get; } = new();
    public ContosoRobot Robot { get; }
    public TestRegion Bar => Host.Bar(0);
    public int Code => Bar.Read16(Result) & 0xff;
    public int ListError => Bar.Read16(ListSt) >> 4 & 0xf;

    /// <summary>Encoders as of now.</summary>
    public (int Left, int Right) Encoders
    {
        get
        {
            Bar.Write16(Latch, 1);
            Bar.Write16(IndexAt, 0x8000 | Enc);
            int left = Bar.Read16(Window) | Bar.Read16(Window) << 16, right = Bar.Read16(Window) | Bar.Read16(Window) << 16;
            return (left, right);
        }
    }

    public void Advance(long milliseconds) => Host.Clock.Advance(milliseconds * Ms);

    public ushort Get(int number)
    {
        Bar.Write16(IndexAt, (ushort)number);
        return Bar.Read16(Window);
    }

    public void Put(int number, int value)
    {
        Bar.Write16(IndexAt, (ushort)number);
        Bar.Write16(Window, (ushort)value);
    }

    public void Send(byte opcode, int p0 = 0, int p1 = 0)
    {
        Put(P0, p0);
        Put(P1, p1);
        Bar.Write16(Exec, opcode);
    }

    /// <summary>Sends and lets at most a minute pass until it has ended.</summary>
    /// <returns>The result code.</returns>
    public int Run(byte opcode, int p0 = 0, int p1 = 0)
    {
        Send(opcode, p0, p1);
        for (int i = 0; i < 60_000 && (Bar.Read16(State) & Busy) != 0; i++) Advance(1);
        return Code;
    }

    public void Switch(string name, string value)
        => Assert.That(Robot.Switches.Single(s => s.Name == name).TrySet(value), Is.Null);

    /// <summary>Writes a descriptor; the robot owns it unless the control says otherwise.</summary>
    public void Describe(int at, uint control, int next, int p0 = 0, int p1 = 0, uint reserved = 0)
    {
        Span<byte> bytes = Host.Memory.Ram.Slice(at, 32);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], (uint)next);
        BinaryPrimitives.WriteInt16LittleEndian(bytes[8..], (short)p0);
        BinaryPrimitives.WriteInt16LittleEndian(bytes[10..], (short)p1);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[12..], reserved);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[28..], 0xc00c1e);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, control);
    }

    public void Go(int list)
    {
        Bar.Write16(ListLo, (ushort)list);
        Bar.Write16(ListHi, (ushort)(list >> 16));
        Bar.Write16(Doorbell, 1);
    }

    public uint Word(int address) => BinaryPrimitives.ReadUInt32LittleEndian(Host.Memory.Ram[address..]);
}
