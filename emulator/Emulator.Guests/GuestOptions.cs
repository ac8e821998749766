namespace Emulator.Guests;

/// <summary>A file to put into the guest below /payload before it starts.</summary>
/// <param name="Name">Path below /payload.</param>
/// <param name="HostPath">The file to take; its execute permission comes along.</param>
public sealed record PayloadFile(string Name, string HostPath);

/// <summary>What guest to start, with which devices.</summary>
public sealed record GuestOptions
{
    /// <summary>Null: <see cref="QemuInstallation.LocateAsync"/>.</summary>
    public QemuInstallation? Qemu { get; init; }

    /// <summary>Null: <see cref="LinuxGuestImage.LocateAsync"/>.</summary>
    public LinuxGuestImage? Image { get; init; }

    /// <summary>Devices on vfio-user sockets; their servers must listen already.</summary>
    public IReadOnlyList<VfioUserDevice> Devices { get; init; } = [];

    /// <summary>Kernel modules to load, in this order, before the guest counts as started.</summary>
    public IReadOnlyList<string> Modules { get; init; } = [];

    public IReadOnlyList<PayloadFile> Payload { get; init; } = [];

    /// <summary>As <see cref="QemuCommandLine.Machine"/>.</summary>
    public string Machine { get; init; } = "q35";

    /// <summary>As <see cref="QemuCommandLine.Iommu"/>; the guest's kernel is told to use it.</summary>
    public bool Iommu { get; init; }

    public Accelerator Accelerator { get; init; } = Accelerator.Auto;

    public int MemoryMegabytes { get; init; } = 512;

    public int Processors { get; init; } = 1;

    /// <summary>More words for the kernel command line, such as "parport_pc.verbose_probing=1".</summary>
    public IReadOnlyList<string> KernelArguments { get; init; } = [];

    /// <summary>More arguments for QEMU.</summary>
    public IReadOnlyList<string> QemuArguments { get; init; } = [];

    /// <summary>How long the guest may take from start, or restart, until it answers on its command channel.</summary>
    public TimeSpan BootTimeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>How long a command may take for which no other limit is given.</summary>
    public TimeSpan CommandTimeout { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>
    /// The guest's console is our own terminal, with a shell on it, and QEMU's monitor behind Ctrl-A (Ctrl-A X quits). Then
    /// <see cref="GuestSession.Console"/> stays empty, but <see cref="GuestSession.RunAsync"/> works beside the person.
    /// </summary>
    public bool Interactive { get; init; }

    /// <summary>Gets the console's text as it comes; null for none.</summary>
    public Action<string>? OnConsoleText { get; init; }
}
