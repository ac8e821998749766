using System.Buffers.Binary;
using DeviceModels.Robot;
using DeviceModels.Robot.Proseware;
using Emulator.Testing;

namespace DeviceModels.Tests.Robot;

/// <summary>A little driver for the Proseware robot, with the offsets of Proseware/proseware.md.</summary>
internal sealed class ProsewareDriver
{
    public const int Id = 0x00, Version = 0x04, Caps = 0x08, SerialNumber = 0x0c, Control = 0x10, Status = 0x14, IntSts = 0x18, IntEn = 0x1c, Faults = 0x20;
    public const int SensEvt = 0x24, BumpersNow = 0x28, NearLimit = 0x2c, Arg0 = 0x40, Arg1 = 0x44, CommandAt = 0x48, Result = 0x4c, ResultValue = 0x50;
    public const int OdoL = 0x60, OdoR = 0x64, Heading = 0x68, Speed = 0x6c, Range = 0x70, Battery = 0x80, BatLimits = 0x84, Led = 0x88;
    public const int WdtPeriod = 0x90, WdtFeed = 0x94, RingBase = 0x100, RingSize = 0x108, RingHead = 0x10c, RingTail = 0x110, CqBase = 0x118;
    public const int CqSize = 0x120, CqHead = 0x124, RingCtrl = 0x128, RingStatus = 0x12c, TeleBase = 0x130, TelePeriod = 0x138;

    public const uint Busy = 1 << 1, Moving = 1 << 2, Running = 1 << 3, PenDown = 1 << 4, BatLow = 1 << 5, BatCrit = 1 << 6, Fault = 1 << 7, Bumped = 1 << 8;
    public const uint Done = 1, Sensor = 2, FaultCause = 4, BatteryCause = 8;
    public const uint Nop = 0, Drive = 1, Turn = 2, Velocity = 3, Stop = 4, Pen = 5, Light = 6, Wait = 7, Zero = 8;
    public const uint Ok = 1, Blocked = 2, Stalled = 3, Aborted = 4, Invalid = 5, BusyResult = 6, Disabled = 7, NoPower = 8, WatchdogResult = 9;
    public const uint Int = 1 << 8, Continue = 1 << 9;

    public const int Ring = 0x1000, Queue = 0x2000, Telemetry = 0x3000;
    public const long Ms = 1_000_000;

    private int _size, _tail, _head;
    private bool _phase;

    public ProsewareDriver(RobotOptions? options = null)
    {
        Robot = Host.Plug(new ProsewareRobot(Host.Slot, options ?? Open));
        Bar.Write32(Control, 3);
    }

    /// <summary>An empty arena with the robot in the middle, looking along x.</summary>
    public static RobotOptions Open => new()
    {
        Arena = new ArenaOptions { Width = 3000, Height = 2000, Obstacles = [], Objects = [] },
        Start = new PoseOptions { X = 1000, Y = 1000 },
    };

    public FakePciHost Host { get; } = new();
    public ProsewareRobot Robot { get; }
    public TestRegion Bar => Host.Bar(0);
    public uint Code => Bar.Read32(Result) & 0xff;
    public int Value => (int)Bar.Read32(ResultValue);

    public void Advance(long milliseconds) => Host.Clock.Advance(milliseconds * Ms);

    public void Send(uint opcode, int arg0 = 0, int arg1 = 0, uint tag = 0)
    {
        Bar.Write32(Arg0, (uint)arg0);
        Bar.Write32(Arg1, (uint)arg1);
        Bar.Write32(CommandAt, opcode | (tag << 16));
    }

    /// <summary>Sends and lets at most a minute pass until it has ended.</summary>
    /// <returns>The result code.</returns>
    public uint Run(uint opcode, int arg0 = 0, int arg1 = 0)
    {
        Bar.Write32(IntSts, Done);
        Send(opcode, arg0, arg1);
        for (int i = 0; i < 60_000 && (Bar.Read32(IntSts) & Done) == 0; i++) Advance(1);
        return Code;
    }

    public void Switch(string name, string value)
        => Assert.That(Robot.Switches.Single(s => s.Name == name).TrySet(value), Is.Null);

    public void StartRing(int ring = 8, int queue = 8)
    {
        Host.Memory.Ram.Slice(Queue, queue * 16).Clear();
        Bar.Write64(RingBase, Ring);
        Bar.Write32(RingSize, (uint)ring);
        Bar.Write64(CqBase, Queue);
        Bar.Write32(CqSize, (uint)queue);
        Bar.Write32(RingCtrl, 1);
        (_size, _tail, _head, _phase) = (ring, 0, 0, true);
        QueueSize = queue;
    }

    public int QueueSize { get; private set; }

    public void Post(uint command, int arg0 = 0, int arg1 = 0, uint reserved = 0)
    {
        Span<byte> at = Host.Memory.Ram.Slice(Ring + (_tail * 16), 16);
        BinaryPrimitives.WriteUInt32LittleEndian(at, command);
        BinaryPrimitives.WriteInt32LittleEndian(at[4..], arg0);
        BinaryPrimitives.WriteInt32LittleEndian(at[8..], arg1);
        BinaryPrimitives.WriteUInt32LittleEndian(at[12..], reserved);
        _tail = (_tail + 1) % _size;
    }

    public void Ringing() => Bar.Write32(RingTail, (uint)_tail);

    /// <summary>The next completion, if its phase says it is one.</summary>
    public (uint Tag, uint Result, uint Opcode, int Value, uint Time)? Take(bool acknowledge = true)
    {
        ReadOnlySpan<byte> at = Host.Memory.Ram.Slice(Queue + (_head * 16), 16);
        uint last = BinaryPrimitives.ReadUInt32LittleEndian(at[12..]);
        if (last >> 31 == 1 != _phase) return null;
        _head = (_head + 1) % QueueSize;
        if (_head == 0) _phase = !_phase;
        if (acknowledge) Bar.Write32(CqHead, (uint)_head);
        uint time = BinaryPrimitives.ReadUInt32LittleEndian(at[4..]);
        return (last & 0xffff, last >> 16 & 0xff, last >> 24 & 0x7f, BinaryPrimitives.ReadInt32LittleEndian(at), time);
    }

    public uint RingError => Bar.Read32(RingStatus) >> 8 & 0xff;

    public uint Word(int address) => BinaryPrimitives.ReadUInt32LittleEndian(Host.Memory.Ram[address..]);
}
