using DeviceModels.Robot.Firmware;
using DeviceModels.Robot.World;
using Emulator.Pci;

namespace DeviceModels.Robot.Contoso;

/// <summary>
/// The Contoso robot: a conventional PCI function with a gripper. 16-bit registers, most of them behind an index, and a linked
/// list of descriptors command it in encoder ticks; causes are cleared by reading. Programming guide: Contoso/contoso.md.
/// </summary>
public sealed class ContosoRobot : PciFunction, IToyRobot
{
    private readonly ContosoPanel _panel;

    /// <param name="options">The robot and its arena; null for the defaults.</param>
    /// <param name="body">The mechanics; null for the simulation.</param>
    /// <exception cref="ArgumentException">The options are at fault; the message says where and how to mend it.</exception>
    public ContosoRobot(PciSlot slot, RobotOptions? options = null, IRobotBody? body = null)
        : base(new PciIdentity(0x1234, 0x434f, 0xff0000) { Revision = 2, SubsystemVendor = 0x1234, Subsystem = 0x0002 }, slot)
    {
        options ??= new RobotOptions();
        Body = body ?? new SimulatedBody(options, RobotTool.Gripper);
        var registers = new ContosoRegisters();
        var indexed = new ContosoIndexedRegisters();
        MapBar(0, BarKind.Memory32, registers);
        Bar service = MapBar(1, BarKind.Memory32, 0x1000).Add(0x400, indexed);
        AddPowerManagement();
        AddAdvancedFeatures();
        AddMsi(ContosoPanel.Vectors, wide: false);
        AddMsiX(ContosoPanel.Vectors, service, tableOffset: 0, pendingOffset: 0x800);
        var memory = new RobotMemory(Memory);
        _panel = new ContosoPanel(registers, indexed, memory, Interrupts, Log, Clock, Body, options);
        foreach (Emulator.Models.DeviceSwitch s in RobotSwitches.For(_panel.Firmware, memory, Interrupts.CreateSource(0))) AddSwitch(s);
    }

    /// <summary>The mechanics.</summary>
    public IRobotBody Body { get; }

    public SimulatedBody? World => Body as SimulatedBody;

    public RobotStatus Status => _panel.Firmware.Status;

    protected override void OnReset(ResetKind kind) => _panel.Reset(powerOn: kind == ResetKind.PowerOn);
}
