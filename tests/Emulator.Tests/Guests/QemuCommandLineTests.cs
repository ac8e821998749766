using System.Diagnostics;
using System.Text.Json.Nodes;
using Emulator.Guests;

namespace Emulator.Tests.Guests;

[TestFixture]
[Category("Unit")]
public sealed class QemuCommandLineTests
{
    private static readonly QemuCommandLine Full = new()
    {
        Executable = "/opt/my qemu/qemu-system-x86_64",
        Kernel = "/boot/it's a kernel",
        Initramfs = "/boot/initramfs",
        Append = "console=ttyS0 a=\"$HOME\"",
        SerialPorts = [new SerialPort.Terminal(), new SerialPort.UnixSocket("/tmp/a,b/shell")],
        QmpSocket = "/tmp/qmp",
        Devices =
        [
            new VfioUserDevice("/run/o'ne.sock", "05.0", "card", new JsonObject { ["x-msg-timeout"] = 60000 }),
            new VfioUserDevice("/run/two.sock"),
        ],
        ExtraArguments = ["-d", "", "guest_errors"],
    };

    [Test]
    public void A_device_is_written_in_QEMUs_JSON_form()
    {
        IReadOnlyList<string> arguments = Full.ToArguments();
        List<string> devices = [.. arguments.Zip(arguments.Skip(1)).Where(pair => pair.First == "-device").Select(pair => pair.Second)];
        Assert.That(devices, Is.EqualTo(
        [
            """{"driver":"vfio-user-pci","id":"card","socket":{"type":"unix","path":"/run/o'ne.sock"},"addr":"05.0","x-msg-timeout":60000}""",
            """{"driver":"vfio-user-pci","socket":{"type":"unix","path":"/run/two.sock"}}""",
        ]));
    }

    [Test]
    public void An_IOMMU_comes_before_the_devices_behind_it()
    {
        IReadOnlyList<string> arguments = (Full with { Iommu = true }).ToArguments();
        IEnumerable<string> devices = arguments.Zip(arguments.Skip(1)).Where(pair => pair.First == "-device").Select(pair => pair.Second);
        Assert.That(devices.First(), Is.EqualTo("intel-iommu,caching-mode=on"));
        Assert.That(GuestSession.KernelCommandLine(new GuestOptions { Iommu = true }), Does.Contain(" intel_iommu=on"));
        Assert.That(GuestSession.KernelCommandLine(new GuestOptions()), Does.Not.Contain("iommu"));
    }

    [Test]
    public void The_guests_memory_is_shared_so_that_devices_can_reach_it()
    {
        Assert.That(Full.ToArguments(), Does.Contain("memory-backend-memfd,id=ram,size=512M,share=on").And.Contain("q35,memory-backend=ram"));
    }

    [Test]
    public void The_control_socket_is_asked_for_in_words_that_every_QEMU_takes_without_a_warning()
    {
        IReadOnlyList<string> arguments = Full.ToArguments();
        Assert.That(arguments.Zip(arguments.Skip(1)), Does.Contain(("-chardev", "socket,id=qmp,path=/tmp/qmp")).And.Contain(("-qmp", "chardev:qmp")));
        Assert.That(arguments, Does.Not.Contain("-mon"), "deprecated in QEMU 11.1");
    }

    [Test]
    public void A_guest_may_reboot()
    {
        Assert.That(Full.ToArguments(), Does.Not.Contain("-no-reboot"));
    }

    [Test]
    public void Serial_ports_come_in_order_and_commas_are_doubled()
    {
        IReadOnlyList<string> arguments = Full.ToArguments();
        IEnumerable<string> ports = arguments.Zip(arguments.Skip(1)).Where(pair => pair.First == "-serial").Select(pair => pair.Second);
        Assert.That(ports, Is.EqualTo(["mon:stdio", "chardev:serial1"]));
        Assert.That(arguments, Does.Contain("socket,id=serial1,path=/tmp/a,,b/shell"));
    }

    [TestCase(false)]
    [TestCase(true)]
    public async Task A_shell_reads_the_line_as_the_same_words(bool multiline)
    {
        // The shell itself is the judge: with printf in QEMU's place it gives back each word, ended by a NUL.
        string line = (Full with { Executable = "printf" }).ToShellLine(multiline).Insert("printf".Length, " '%s\\0'");
        using Process shell = Process.Start(new ProcessStartInfo("sh", ["-c", line]) { RedirectStandardOutput = true })!;
        string words = await shell.StandardOutput.ReadToEndAsync();
        await shell.WaitForExitAsync();
        Assert.That(words.Split('\0')[..^1], Is.EqualTo(Full.ToArguments()));
    }

    [Test]
    public void The_shell_line_starts_with_the_program_quoted()
    {
        Assert.That(Full.ToShellLine(), Does.StartWith("'/opt/my qemu/qemu-system-x86_64' -nodefaults "));
    }

    [TestCase(Accelerator.Tcg, "-accel tcg")]
    [TestCase(Accelerator.Kvm, "-accel kvm -cpu host")]
    [TestCase(Accelerator.Auto, "-accel kvm -accel tcg")]
    public void The_accelerator_is_named(Accelerator accelerator, string expected)
    {
        Assert.That(new QemuCommandLine { Accelerator = accelerator }.ToShellLine(), Does.Contain(expected));
    }

    [Test]
    public void A_socket_path_of_107_bytes_passes_and_a_longer_one_is_refused_in_one_line()
    {
        var device = new VfioUserDevice("/" + new string('x', 106));
        Assert.That(() => new QemuCommandLine { Devices = [device] }.ToArguments(), Throws.Nothing);
        var longer = device with { SocketPath = device.SocketPath + "x" };
        Assert.That(() => new QemuCommandLine { Devices = [longer] }.ToArguments(), Throws.TypeOf<GuestException>().With.Message.Contains("shorter folder"));
    }
}
