using System.ComponentModel;
using System.Text.Json.Serialization;
using DeviceModels.Scratch;
using Emulator.Files;
using Emulator.Pci;

namespace Emulator.Cli.Lab;

/// <summary>A scratch function in a lab; see <see cref="ScratchOptions"/>.</summary>
[Description("A PCI function described by its options: to prototype a device, and to try clients against the server.")]
internal sealed record ScratchLabDevice : LabDevice
{
    private const int LongestFile = 256 << 20;

    [JsonIgnore]
    public override string Model => "scratch";

    [Description("Vendor ID, 16 bits. Default: \"0x1af4\", whose devices 0x10f0 to 0x10ff are free for experiments.")]
    public string? Vendor { get; set; }

    [Description("Device ID, 16 bits. Default: \"0x10f0\".")]
    public string? Device { get; set; }

    [Description("Subsystem Vendor ID, 16 bits. Default: the vendor.")]
    public string? SubsystemVendor { get; set; }

    [Description("Subsystem ID, 16 bits. Default: the device.")]
    public string? Subsystem { get; set; }

    [Description("Base class, subclass and programming interface, \"0xBBSSPP\". Default: \"0xff0000\", of no class.")]
    public string? ClassCode { get; set; }

    [Description("Revision ID, 8 bits. Default: \"0x01\".")]
    public string? Revision { get; set; }

    [Description("The base address registers. Default: BAR0, 32-bit memory, 4K of registers.")]
    public IReadOnlyList<ScratchBarOptions>? Bars { get; set; }

    [Description("How it interrupts. Default: INTA and no messages.")]
    public ScratchInterruptOptions? Interrupts { get; set; }

    [Description("What else its configuration space offers. Default: nothing.")]
    public ScratchCapabilityOptions? Capabilities { get; set; }

    [Description("A register block that moves guest memory and raises interrupts when told. Default: none; {} puts it at the start of BAR0.")]
    public ScratchEngineOptions? Engine { get; set; }

    public override PciFunction Create(PciSlot slot, DeviceHost host)
    {
        var options = new ScratchOptions
        {
            Vendor = Vendor,
            Device = Device,
            SubsystemVendor = SubsystemVendor,
            Subsystem = Subsystem,
            ClassCode = ClassCode,
            Revision = Revision,
            Bars = Bars,
            Interrupts = Interrupts,
            Capabilities = Capabilities,
            Engine = Engine,
        };
        try
        {
            return new ScratchFunction(options, slot, path => BoundedFile.ReadAllBytes(path, LongestFile));
        }
        catch (ScratchOptionsException problem)
        {
            throw new DeviceOptionsException(problem.Message, problem);
        }
    }
}
