using Emulator.Cli.Lab;
using Emulator.Guests;

namespace Emulator.Cli.Booting;

/// <summary>What a lab says about its guest, in the words of Emulator.Guests.</summary>
internal static class LabGuestSetup
{
    /// <summary>The lab's guest.</summary>
    /// <exception cref="UserError">It has none.</exception>
    public static LabGuest GuestOf(LabSource source)
        => source.Lab.Guest ?? throw new UserError($"{source.Path}: the lab has no guest; add \"guest\": {{}} to boot Linux");

    public static GuestOptions Options(LabSource source, LabFolder folder)
    {
        LabGuest guest = GuestOf(source);
        return new GuestOptions
        {
            Machine = guest.Machine == LabMachine.Pc ? "pc" : "q35",
            Iommu = guest.Iommu,
            MemoryMegabytes = (int)(guest.Memory.Value >> 20),
            Accelerator = guest.Accelerator switch
            {
                LabAccelerator.Kvm => Accelerator.Kvm,
                LabAccelerator.Tcg => Accelerator.Tcg,
                _ => Accelerator.Auto,
            },
            Modules = guest.Modules,
            QemuArguments = guest.QemuArguments,
            Devices = [.. source.Lab.Devices.Select(d => new VfioUserDevice(folder.Socket(d.Name), Id: d.Name))],
        };
    }
}
