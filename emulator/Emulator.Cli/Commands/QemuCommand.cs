using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;
using Emulator.Cli.Booting;
using Emulator.Cli.Lab;
using Emulator.Guests;

namespace Emulator.Cli.Commands;

/// <summary>`emulator qemu`: the command line for a QEMU of one's own.</summary>
internal static class QemuCommand
{
    public static Command Create()
    {
        Argument<string> lab = CommonOptions.Lab();
        Option<OutputFormat> format = CommonOptions.Format();
        var command = new Command("qemu", "Print the QEMU command line of a lab's guest, to start by hand while `emulator run` serves the lab.")
        {
            lab, format,
        };
        command.SetAction((parsed, cancel) => PrintAsync(parsed.InvocationConfiguration, parsed.GetRequiredValue(lab), parsed.GetValue(format), cancel));
        return command.WithExamples(
            ("emulator qemu parallel-port", "one option a line, quoted for a shell"),
            ("eval \"$(emulator qemu parallel-port)\"", "start it, while `emulator run parallel-port` runs in another terminal"));
    }

    private static async Task<int> PrintAsync(InvocationConfiguration console, string lab, OutputFormat format, CancellationToken cancel)
    {
        LabSource source = LabSource.Load(lab);
        GuestOptions options = LabGuestSetup.Options(source, LabFolder.Of(source)) with { Interactive = true };
        try
        {
            QemuInstallation? qemu = await FoundAsync(() => QemuInstallation.LocateAsync(cancel), console.Error);
            LinuxGuestImage? image = await FoundAsync(() => LinuxGuestImage.LocateAsync(cancel), console.Error);
            Accelerator accelerator = options.Accelerator;
            // "KVM, else TCG" would take a KVM that is there and does not work: a trial knows better.
            if (accelerator == Accelerator.Auto && qemu is not null && image is not null)
                accelerator = await KvmProbe.WorksAsync(qemu, image, cancel) ? Accelerator.Kvm : Accelerator.Tcg;
            var line = new QemuCommandLine
            {
                Executable = qemu?.Executable ?? "qemu-system-x86_64",
                Machine = options.Machine,
                Iommu = options.Iommu,
                Accelerator = accelerator,
                MemoryMegabytes = options.MemoryMegabytes,
                Kernel = image?.Kernel ?? "vmlinuz",
                Initramfs = image?.Initramfs ?? "initramfs.cpio.gz",
                Append = GuestSession.KernelCommandLine(options),
                // ttyS1 is the command channel of `emulator boot`; nobody listens there now.
                SerialPorts = [new SerialPort.Terminal(), new SerialPort.OutputFile("/dev/null")],
                Devices = options.Devices,
                ExtraArguments = options.QemuArguments,
            };
            console.Output.WriteLine(format == OutputFormat.Json
                ? JsonSerializer.Serialize([line.Executable, .. line.ToArguments()], QemuJson.Default.IReadOnlyListString)
                : line.ToShellLine(multiline: true));
        }
        catch (GuestException problem)
        {
            throw UserError.Failed(problem.Message, problem);
        }
        return CommandLine.Done;
    }

    // The line is worth reading without QEMU and the image, too: then it has their usual names.
    private static async Task<T?> FoundAsync<T>(Func<Task<T>> locate, TextWriter error) where T : class
    {
        try
        {
            return await locate();
        }
        catch (GuestException problem)
        {
            error.WriteLine($"emulator: {problem.Message}");
            return null;
        }
    }
}

[JsonSerializable(typeof(IReadOnlyList<string>))]
internal sealed partial class QemuJson : JsonSerializerContext;
