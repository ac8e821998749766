using Emulator.Guests;

namespace Emulator.GuestTests;

/// <summary>
/// The tools in the guest image, against devices that QEMU itself brings: so a test of ours that uses them and fails is about our device.
/// </summary>
[TestFixture]
[Category("Guest")]
public sealed class GuestToolsTests
{
    private readonly string _paper = Path.GetTempFileName();
    private GuestSession _guest = null!;

    [OneTimeSetUp]
    public async Task StartAsync()
    {
        _guest = await GuestSession.StartAsync(new GuestOptions
        {
            Qemu = await QemuInstallation.EnsureAsync(TestContext.Progress.WriteLine),
            Image = await LinuxGuestImage.EnsureAsync(TestContext.Progress.WriteLine),
            Modules = ["parport_pc", "ppdev"],
            QemuArguments =
            [
                "-device", "edu,addr=10.0",
                "-device", "pci-ohci,addr=12.0", "-device", "pci-ohci,addr=13.0",
                "-chardev", "null,id=nothing", "-device", "pci-serial,addr=11.0,chardev=nothing",
                "-chardev", $"file,id=paper,path={_paper}", "-device", "isa-parallel,chardev=paper",
            ],
        });
        // The kernel's serial driver has the card's ports otherwise.
        await RunAsync("echo 0000:00:11.0 >/sys/bus/pci/drivers/serial/unbind");
        await RunAsync("for slot in 10 11; do echo 1 >/sys/bus/pci/devices/0000:00:$slot.0/enable; done");
    }

    [OneTimeTearDown]
    public async Task StopAsync()
    {
        if (_guest is not null)
        {
            await _guest.DisposeAsync();
        }

        File.Delete(_paper);
    }

    private async Task<string> RunAsync(string command)
    {
        GuestCommandResult result = await _guest.RunAsync(command);
        Assert.That(result.ExitCode, Is.Zero, result.Output);
        return result.Output;
    }

    [Test]
    public async Task A_memory_BAR_is_read_and_written()
    {
        // QEMU docs/specs/edu.rst: identification at 0, card liveness check at 4 gives the complement of what was written.
        Assert.That(await RunAsync("pciio 0000:00:10.0 0 0 4"), Is.EqualTo("0x010000ed\n"));
        Assert.That(await RunAsync("pciio 0000:00:10.0 0 4 4 0x12345678; pciio 0000:00:10.0 0 4 4"), Is.EqualTo("0xedcba987\n"));
    }

    [Test]
    public async Task A_BAR_that_begins_inside_a_page_is_read_and_written()
    {
        // The firmware gives each BAR a page. Linux, which finds none given when it looks again, puts small ones side by side.
        await RunAsync("""
            cd /sys/bus/pci/devices
            for slot in 12 13; do dd if=/dev/zero of=0000:00:$slot.0/config bs=4 seek=4 count=1 conv=notrunc 2>/dev/null; echo 1 >0000:00:$slot.0/remove; done
            echo 1 >/sys/bus/pci/rescan
            for slot in 12 13; do echo 1 >0000:00:$slot.0/enable; done
            """.ReplaceLineEndings("; ").Replace("do;", "do", StringComparison.Ordinal));
        string starts = await RunAsync("head -qn 1 /sys/bus/pci/devices/0000:00:1[23].0/resource");
        Assert.That(starts.Split('\n', StringSplitOptions.RemoveEmptyEntries), Has.Some.Match("^0x[0-9a-f]*([1-9a-f]00|[1-9a-f]0) "), "no BAR inside a page");
        // OpenHCI 1.0a, 7.2.3: HcControlHeadED keeps an address.
        await RunAsync("pciio 0000:00:12.0 0 0x20 4 0x12340; pciio 0000:00:13.0 0 0x20 4 0x56780");
        Assert.That(await RunAsync("pciio 0000:00:12.0 0 0x20 4; pciio 0000:00:13.0 0 0x20 4"), Is.EqualTo("0x00012340\n0x00056780\n"));
    }

    [Test]
    public async Task An_IO_BAR_is_read_and_written()
    {
        // The scratch register of a 16550.
        Assert.That(await RunAsync("pciio 0000:00:11.0 0 7 1 0xa5; pciio 0000:00:11.0 0 7 1"), Is.EqualTo("0xa5\n"));
    }

    [TestCase("pciio 0000:00:10.0 1 0 4", "has no BAR1")]
    [TestCase("pciio 0000:00:10.0 0 0x100000 4", "has no BAR0 at 0x100000")]
    [TestCase("pciio 0000:00:1f.7 0 0 4", "No such file")]
    [TestCase("pciio 0000:00:10.0 0 1 4", "a multiple of WIDTH")]
    [TestCase("ppctl /dev/parport7 data?", "No such file")]
    [TestCase("ppctl /dev/parport0 data?! ", "no such step")]
    public async Task A_wrong_call_says_what_is_wrong(string command, string expected)
    {
        GuestCommandResult result = await _guest.RunAsync(command);
        Assert.That(result.ExitCode, Is.Not.Zero);
        Assert.That(result.Output, Does.Contain(expected));
    }

    [Test]
    public async Task A_parallel_ports_registers_are_set_and_read()
    {
        Assert.That(await RunAsync("ppctl /dev/parport0 data=0x5a data? control=0x0c control? frob=0x02,0x02 control?"),
            Is.EqualTo("data 0x5a\ncontrol 0x0c\ncontrol 0x0e\n"));
    }

    [Test]
    public async Task Text_written_to_a_parallel_port_reaches_the_paper()
    {
        Assert.That(await RunAsync(@"ppctl /dev/parport0 exclusive 'write=one\r\n\x41\e'"), Is.EqualTo("wrote 7\n"));
        Assert.That(await File.ReadAllTextAsync(_paper), Does.EndWith("one\r\nA\u001b"));
    }
}
