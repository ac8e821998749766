using System.Reflection.PortableExecutable;
using System.Runtime.InteropServices;
using DeviceModels.Robot;
using DeviceModels.Robot.Contoso;
using DeviceModels.Robot.Proseware;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;
using Emulator.DriverTests.GuestDrivers;

namespace Emulator.DriverTests.Pnp;

/// <summary>A robot in the bench with its pair, or KmdfRobot, and the filter, from the real binaries.</summary>
internal sealed class RobotBench
{
    public const uint GetInfo = 0x0022_6000, GetState = 0x0022_6004, GetStatistics = 0x0022_6018;
    public const uint Drive = 1, Turn = 2, Wait = 7;

    private readonly string _robot;
    private readonly LoadedDriver? _general;

    public RobotBench(Machine architecture, string robot, InterruptGrant interrupts)
        : this(architecture, robot) => Plug(interrupts);

    /// <summary>The drivers alone; the robot comes with <see cref="Plug"/>.</summary>
    public RobotBench(Machine architecture, string robot)
    {
        Machine = new BenchMachine(architecture);
        if (robot != "KmdfRobot") _general = Load("GeneralRobot");
        Specific = Load(robot);
        Filter = Load("AfterThought");
        _robot = robot;
    }

    public BenchMachine Machine { get; }

    /// <summary>The general half of a pair.</summary>
    public LoadedDriver General => _general ?? throw new InvalidOperationException("KmdfRobot has the framework for its other half.");

    public LoadedDriver Specific { get; }
    public LoadedDriver Filter { get; }
    public DeviceNode Node { get; private set; } = null!;

    public LoadedDriver Load(string name)
        => Machine.Load(GuestDriverFiles.Open(Machine.Machine, $"{name}.sys"), GuestDriverFiles.Map(Machine.Machine, $"{name}.sys"));

    /// <summary>Forgets the device, which was removed, and plugs another in.</summary>
    public void PlugAgain(InterruptGrant interrupts)
    {
        Node.Unplug();
        Plug(interrupts);
    }

    /// <summary>Plugs the robot in and adds its drivers; when one fails, <see cref="Node"/> is what there is of its stack.</summary>
    public void Plug(InterruptGrant interrupts)
    {
        var options = new RobotOptions
        {
            Arena = new ArenaOptions { Width = 3000, Height = 2000, Obstacles = [], Objects = [] },
            Start = new PoseOptions { X = 1000, Y = 1000 },
        };
        Node = Machine.Plug(slot => _robot == "ContosoRobot" ? new ContosoRobot(slot, options) : new ProsewareRobot(slot, options), interrupts);
        Node.AddDevice(Specific, Filter);
    }

    /// <summary>ROBOT_COMMANDs.</summary>
    public static byte[] Program(params (uint Opcode, int Argument0, int Argument1)[] commands)
        => MemoryMarshal.AsBytes(commands.SelectMany((c, i) => new[] { c.Opcode, (uint)c.Argument0, (uint)c.Argument1, (uint)i }).ToArray().AsSpan()).ToArray();

    public string FunctionName(ulong address) => Machine.Symbols.Describe(address);

    /// <summary>Removes the robot and unloads everything: nothing is left, and no rule was broken.</summary>
    public void End()
    {
        Assert.That(Node.Remove(), Is.EqualTo(NtStatus.Success));
        Unload();
        Assert.That(Machine.Findings, Is.Empty);
        Assert.That(Machine.Drivers, Is.Empty);
    }

    /// <summary>Unplugs and unloads everything.</summary>
    public void Unload()
    {
        Node.Unplug();
        Machine.Unload(Filter);
        Machine.Unload(Specific);
    }
}
