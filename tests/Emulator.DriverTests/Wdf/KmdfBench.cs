using System.Buffers.Binary;
using System.Reflection.PortableExecutable;
using DeviceModels.Robot;
using DeviceModels.Robot.Proseware;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;
using Emulator.DriverTests.GuestDrivers;

namespace Emulator.DriverTests.Wdf;

/// <summary>The Proseware robot in the bench with KmdfRobot.sys and the filter, from the real binaries.</summary>
internal sealed class KmdfBench
{
    public const uint GetInfo = 0x0022_6000, GetState = 0x0022_6004, Execute = 0x0022_E008, Stop = 0x0022_A00C, GetStatistics = 0x0022_6018;
    public const int InfoSize = 76, StateSize = 44, CompletionSize = 20, StatisticsSize = 24, EventSize = 16;
    public const uint Drive = 1, Turn = 2, Velocity = 3, Light = 6, Wait = 7, Unknown = 99;

    /// <summary>ROBOT_RESULT.</summary>
    public const int Ok = 1, Blocked = 2, Aborted = 4, Invalid = 5;

    /// <summary>ROBOT_EVENT_TYPE.</summary>
    public const int BumpEvent = 1, FaultEvent = 3, ProgramEvent = 5;

    /// <param name="failingAllocation">Of those from the plugging in on, which one is to fail; 0 none.</param>
    /// <param name="filter">Loads the filter above; AfterThought unless told otherwise.</param>
    public KmdfBench(Machine architecture, InterruptGrant interrupts, int failingAllocation = 0, Func<BenchMachine, LoadedDriver>? filter = null)
    {
        Machine = new BenchMachine(architecture);
        Driver = Load("KmdfRobot");
        Filter = filter?.Invoke(Machine) ?? Load("AfterThought");
        Machine.Faults.FailAllocation(failingAllocation);
        Node = Plug(interrupts);
    }

    public BenchMachine Machine { get; }
    public LoadedDriver Driver { get; }
    public LoadedDriver Filter { get; }
    public DeviceNode Node { get; private set; }

    /// <summary>Both drivers' AddDevice went well.</summary>
    public bool IsAdded { get; private set; }

    /// <summary>The callbacks since the last look, by name; those with more to say in brackets behind it.</summary>
    public string[] TakeEvents()
    {
        string[] events = [.. Machine.Framework.Events.Select(e => e.Detail.Length > 0 ? $"{e.Name} ({e.Detail})" : e.Name)];
        Machine.Framework.ClearEvents();
        return events;
    }

    public void PlugAgain(InterruptGrant interrupts)
    {
        Node.Unplug();
        Node = Plug(interrupts);
    }

    /// <summary>A ROBOT_COMMAND by itself.</summary>
    public static BenchRequest Command(BenchFile file, uint opcode, int argument0, int argument1, uint tag = 1)
    {
        byte[] command = Program((opcode, argument0, argument1));
        BinaryPrimitives.WriteUInt32LittleEndian(command.AsSpan(12), tag);
        return file.Control(Execute, command, CompletionSize);
    }

    /// <summary>ROBOT_COMMANDs.</summary>
    public static byte[] Program(params (uint Opcode, int Argument0, int Argument1)[] commands)
    {
        var bytes = new byte[16 * commands.Length];
        for (int i = 0; i < commands.Length; i++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(16 * i), commands[i].Opcode);
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan((16 * i) + 4), commands[i].Argument0);
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan((16 * i) + 8), commands[i].Argument1);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan((16 * i) + 12), (uint)i);
        }
        return bytes;
    }

    /// <summary>ROBOT_EVENTs: type, value, number and tag.</summary>
    public static (int Type, int Value, int Number, int Tag)[] Events(BenchRequest read)
        => [.. Enumerable.Range(0, (int)read.Information / EventSize).Select(i => i * 4)
            .Select(i => (Field(read.Output, i), Field(read.Output, i + 1), Field(read.Output, i + 2), Field(read.Output, i + 3)))];

    public static int Field(byte[] structure, int index) => BinaryPrimitives.ReadInt32LittleEndian(structure.AsSpan(4 * index));

    public void Unload()
    {
        Node.Unplug();
        Machine.Unload(Filter);
        Machine.Unload(Driver);
    }

    private LoadedDriver Load(string name)
        => Machine.Load(GuestDriverFiles.Open(Machine.Machine, $"{name}.sys"), GuestDriverFiles.Map(Machine.Machine, $"{name}.sys"));

    private DeviceNode Plug(InterruptGrant interrupts)
    {
        var options = new RobotOptions
        {
            Arena = new ArenaOptions { Width = 3000, Height = 2000, Obstacles = [], Objects = [] },
            Start = new PoseOptions { X = 1000, Y = 1000 },
        };
        DeviceNode node = Machine.Plug(slot => new ProsewareRobot(slot, options), interrupts);
        try
        {
            node.AddDevice(Driver, Filter);
            IsAdded = true;
        }
        catch (DriverStatusException) when (Machine.Faults.Injected.Count > 0)
        {
            IsAdded = false;
        }
        return node;
    }
}
