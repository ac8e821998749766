using System.ComponentModel;
using System.Text.Json.Serialization;
using Emulator.Pci;

namespace Emulator.Cli.Lab;

/// <summary>A lab: devices, the sockets they are served on, what is recorded, and the guest they are for. As written in a *.jsonc file.</summary>
/// <remarks>What has a default has a setter: the source-generated reader loses the defaults of init-only properties.</remarks>
[Description("A lab of the device emulator: devices, the sockets they are served on, what is recorded, and the guest they are for.")]
internal sealed record LabFile
{
    [JsonPropertyName("$schema")]
    [Description("Where an editor finds this schema.")]
    public string? Schema { get; set; }

    [Description("The lab's name: lower-case letters, digits and hyphens. Default: the name of the file.")]
    public string? Name { get; set; }

    [Description("The folder of the sockets, from the current directory. Default: a folder of this lab in $XDG_RUNTIME_DIR/emulator, or in /tmp/emulator-UID.")]
    public string? Sockets { get; set; }

    [Description("The devices, each served on a socket of its own: NAME.sock.")]
    public required IReadOnlyList<LabDevice> Devices { get; init; }

    [Description("What is recorded of every access.")]
    public LabTrace Trace { get; set; } = new();

    [Description("The guest that `emulator boot` starts.")]
    public LabGuest? Guest { get; set; }
}

/// <summary>What is common to all devices; the model decides the rest.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "model")]
[JsonDerivedType(typeof(ParallelPortLabDevice), "parallel-port")]
[JsonDerivedType(typeof(ProsewareLabDevice), "proseware-robot")]
[JsonDerivedType(typeof(ContosoLabDevice), "contoso-robot")]
[JsonDerivedType(typeof(ScratchLabDevice), "scratch")]
internal abstract record LabDevice
{
    [Description("The device's name in this lab: lower-case letters, digits and hyphens.")]
    public required string Name { get; init; }

    [Description("Whether BARs answer as COMMAND says (honour), or always, for clients that never set its enable bits.")]
    public LabDecode Decode { get; set; }

    [Description("Microseconds the device's thread looks for the next message before it sleeps, while messages follow each other that fast; "
        + "0 for never. Default: 50.")]
    public int? SpinMicroseconds { get; set; }

    [Description("Offers clients a second socket for the device's own requests (the protocol's twin_socket). Default: true.")]
    public bool TwinSocket { get; set; } = true;

    [Description("Maps guest memory even where its file can shrink (a memory-backend-file), which ends all devices if it does. Default: false, "
        + "such memory is reached by messages, which is slow.")]
    public bool TrustUnsealedMemory { get; set; }

    /// <summary>The model's name in the catalogue.</summary>
    [JsonIgnore]
    public abstract string Model { get; }

    /// <summary>Constructs the device.</summary>
    /// <exception cref="DeviceOptionsException">An option is wrong.</exception>
    /// <exception cref="IOException">A file or folder it needs cannot be had.</exception>
    public abstract PciFunction Create(PciSlot slot, DeviceHost host);
}

internal enum LabDecode { Honour, Always }

internal sealed record LabTrace
{
    [Description("The file every access is recorded to, from the current directory; `emulator trace show` reads it. Default: none.")]
    public string? File { get; set; }

    [Description("Prints every access as it happens, as `--live` does.")]
    public bool Live { get; set; }
}

internal sealed record LabGuest
{
    [Description("The guest's operating system.")]
    public LabImage Image { get; set; }

    [Description("The guest's memory, in bytes or as \"256M\". Default: 256M.")]
    public Quantity Memory { get; set; } = new(256UL << 20);

    [Description("QEMU's machine type. Default: q35.")]
    public LabMachine Machine { get; set; }

    [Description("An IOMMU between the devices and the guest's memory, on q35. vfio-pci in the guest needs one. Default: false.")]
    public bool Iommu { get; set; }

    [Description("How the guest's instructions run. Default: auto.")]
    public LabAccelerator Accelerator { get; set; }

    [Description("Kernel modules the guest loads when it is up, in this order.")]
    public IReadOnlyList<string> Modules { get; set; } = [];

    [Description("What to show when there is no terminal to talk to.")]
    public LabDemonstration? Demo { get; set; }

    [Description("Further arguments for QEMU.")]
    public IReadOnlyList<string> QemuArguments { get; set; } = [];
}

internal enum LabImage { Linux }

internal enum LabMachine { Q35, Pc }

internal enum LabAccelerator { Auto, Kvm, Tcg }

/// <summary>A scripted session: wait for the drivers, print, run commands, compare.</summary>
internal sealed record LabDemonstration
{
    [Description("Texts the guest's kernel must log before anything else happens; each is waited for and printed.")]
    public IReadOnlyList<string> Expect { get; set; } = [];

    [Description("A document sent to a printer in the guest and compared with what the printer received.")]
    public LabPrint? Print { get; set; }

    [Description("Shell commands run in the guest, in this order; one that fails ends the demonstration.")]
    public IReadOnlyList<string> Run { get; set; } = [];

    [Description("Seconds the demonstration may take once the guest is up. Default: 300.")]
    public int TimeoutSeconds { get; set; } = 300;
}

internal sealed record LabPrint
{
    [Description("The document, from the current directory; `--print FILE` overrides it.")]
    public required string Document { get; init; }

    [Description("The guest's device node it is written to, such as /dev/lp0.")]
    public required string To { get; init; }

    [Description("The device of this lab whose printer receives it.")]
    public required string Device { get; init; }
}
