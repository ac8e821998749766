using DeviceModels.Robot.Firmware;
using DeviceModels.Robot.World;
using Emulator.Pci;

namespace DeviceModels.Robot.Proseware;

/// <summary>
/// The Proseware robot: a PCI Express endpoint with a pen. A mailbox or a descriptor ring commands it in millimetres; status
/// bits are cleared by writing one. Programming guide: Proseware/proseware.md.
/// </summary>
public sealed class ProsewareRobot : PciFunction, IToyRobot
{
    private readonly ProsewarePanel _panel;

    /// <param name="options">The robot and its arena; null for the defaults.</param>
    /// <param name="body">The mechanics; null for the simulation.</param>
    /// <exception cref="ArgumentException">The options are at fault; the message says where and how to mend it.</exception>
    public ProsewareRobot(PciSlot slot, RobotOptions? options = null, IRobotBody? body = null)
        : base(new PciIdentity(0x1234, 0x5057, 0xff0000) { Revision = 3, SubsystemVendor = 0x1234, Subsystem = 0x0001 }, slot)
    {
        options ??= new RobotOptions();
        Body = body ?? new SimulatedBody(options, RobotTool.Pen);
        var registers = new ProsewareRegisters();
        Bar bar = MapBar(0, BarKind.Memory64, 0x4000).Add(0, registers);
        AddPowerManagement();
        AddMsi(ProsewarePanel.Vectors);
        AddMsiX(ProsewarePanel.Vectors, bar, tableOffset: 0x2000, pendingOffset: 0x3000);
        AddPciExpress();
        var memory = new RobotMemory(Memory);
        _panel = new ProsewarePanel(registers, memory, Interrupts, Log, Clock, Body, options);
        foreach (Emulator.Models.DeviceSwitch s in RobotSwitches.For(_panel.Firmware, memory, Interrupts.CreateSource(0))) AddSwitch(s);
    }

    /// <summary>The mechanics.</summary>
    public IRobotBody Body { get; }

    public SimulatedBody? World => Body as SimulatedBody;

    public RobotStatus Status => _panel.Firmware.Status;

    protected override void OnReset(ResetKind kind) => _panel.Reset(powerOn: kind == ResetKind.PowerOn);
}
