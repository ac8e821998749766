namespace Emulator.Guests;

/// <summary>
/// The kernel and initramfs of a Linux guest. The initramfs must bring our command channel on ttyS1
/// (qemu-config/guests/linux/tools/emulator-agent.c), as the image of build-image.sh does.
/// </summary>
/// <param name="Kernel">A bzImage or, faster to start, an ELF kernel with a PVH entry.</param>
/// <param name="Initramfs">A cpio archive, compressed or not.</param>
public sealed record LinuxGuestImage(string Kernel, string Initramfs)
{
    private const string Script = "guests/linux/build-image.sh";

    /// <summary>The image that build-image.sh built for this checkout.</summary>
    /// <exception cref="GuestException">It is not built, or not any more what its inputs say; the message names the remedy.</exception>
    public static async Task<LinuxGuestImage> LocateAsync(CancellationToken cancel = default) => In(await RunScriptAsync(["--print"], null, cancel));

    /// <summary>As <see cref="LocateAsync"/>, but has build-image.sh build it when need be. Progress comes as short lines.</summary>
    /// <exception cref="GuestException">It could not be built.</exception>
    public static async Task<LinuxGuestImage> EnsureAsync(Action<string>? progress = null, CancellationToken cancel = default) =>
        In(await RunScriptAsync([], progress, cancel));

    private static LinuxGuestImage In(string folder)
    {
        string unpacked = Path.Combine(folder, "vmlinux");
        return new LinuxGuestImage(File.Exists(unpacked) ? unpacked : Path.Combine(folder, "vmlinuz"), Path.Combine(folder, "initramfs.cpio.gz"));
    }

    private static Task<string> RunScriptAsync(string[] arguments, Action<string>? progress, CancellationToken cancel) =>
        QemuConfigScripts.RunAsync(
            QemuConfigScripts.Find(Script)
                ?? throw new GuestException($"qemu-config/{Script} is not here; work in a checkout, or name a kernel and an initramfs"),
            arguments,
            progress,
            cancel);
}
