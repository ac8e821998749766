using DeviceModels.ParallelPort;

namespace Emulator.GuestTests.ParallelPort;

/// <summary>Linux's own parport_pc and lp drivers on one card of each kind: two cards at once, in one guest.</summary>
[TestFixture, Category("Guest")]
public sealed class PrinterTests
{
    private PrinterGuest _guest = null!;

    [OneTimeSetUp]
    public async Task BootAsync() => _guest = await PrinterGuest.BootAsync(("spp", new()), ("ecp", new(Ecp: true)));

    [OneTimeTearDown]
    public async Task EndAsync()
    {
        if (_guest is not null) await _guest.DisposeAsync();
    }

    [Test]
    public async Task The_drivers_bind_to_both_cards()
    {
        string log = await _guest.RunAsync("dmesg");
        Assert.That(log, Does.Match("parport0: PC-style at 0x[0-9a-f]+").And.Match("lp0: using parport0"));
        Assert.That(log, Does.Match(@"parport1: PC-style at 0x[0-9a-f]+ \(0x[0-9a-f]+\)").And.Match("lp1: using parport1"), "with the ECP block's base");
    }

    [Test]
    public async Task The_kernel_finds_the_modes_of_the_port([Values(0, 1)] int port)
        => Assert.That(await _guest.RunAsync($"cat /proc/sys/dev/parport/parport{port}/modes"), Does.Contain("PCSPP,TRISTATE,EPP"));

    [Test]
    public async Task The_kernel_reads_the_device_id_of_the_printer([Values(0, 1)] int port)
        => Assert.That(await _guest.RunAsync($"cat /proc/sys/dev/parport/parport{port}/autoprobe"),
            Does.Contain("CLASS:PRINTER;").And.Contain("MODEL:Line Printer;").And.Contain("MANUFACTURER:Emulator;"));

    [TestCase("spp", "/dev/lp0")]
    [TestCase("ecp", "/dev/lp1")]
    public async Task Lp_prints_every_byte_value_unchanged(string card, string device)
    {
        string before = _guest.Printed(card);
        await _guest.RunAsync(
            $"i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %03o $i)\"; i=$((i+1)); done > /tmp/all; wc -c < /tmp/all; cat /tmp/all > {device}");
        Assert.That(_guest.Printed(card)[before.Length..], Is.EqualTo(string.Concat(Enumerable.Range(0, 256).Select(i => (char)i))));
    }

    [Test]
    public async Task Both_printers_print_at_once()
    {
        (string spp, string ecp) = (_guest.Printed("spp"), _guest.Printed("ecp"));
        await _guest.RunAsync("(seq 1 150 > /dev/lp0) & seq 201 350 > /dev/lp1 && wait");
        Assert.That(_guest.Printed("spp")[spp.Length..], Is.EqualTo(Lines(1, 150)));
        Assert.That(_guest.Printed("ecp")[ecp.Length..], Is.EqualTo(Lines(201, 150)));
    }

    [TestCase("paper", "out", "present", "out of paper")]
    [TestCase("line", "off", "on", "off-line")]
    [TestCase("fault", "jam", "none", "on fire")]
    public async Task The_guest_sees_the_printer_stop_and_finishes_when_it_goes_on(string name, string bad, string good, string message)
    {
        string before = _guest.Printed("spp");
        await _guest.RunAsync("dmesg -c > /dev/null");
        _guest.Switch("spp", name, bad);
        try
        {
            await _guest.RunAsync("(printf 'patience' > /dev/lp0; echo done > /tmp/done) > /dev/null 2>&1 &");
            await _guest.RunAsync($"until dmesg | grep -q 'lp0 {message}'; do sleep 0.2; done");
            Assert.That(await _guest.RunAsync("ls /tmp"), Does.Not.Contain("done"));
            Assert.That(_guest.Printed("spp"), Is.EqualTo(before));
        }
        finally
        {
            _guest.Switch("spp", name, good);
        }
        await _guest.RunAsync("until [ -e /tmp/done ]; do sleep 0.2; done; rm /tmp/done");
        Assert.That(_guest.Printed("spp")[before.Length..], Is.EqualTo("patience"));
    }

    [TestCase("nibble")]
    [TestCase("byte")]
    [TestCase("ecp")]
    public async Task A_program_reads_the_device_id_in_each_mode(string mode)
        => Assert.That(await _guest.RunAsync($"ppctl /dev/parport1 id={mode}"), Does.Contain("id MFG:Emulator;MDL:Line Printer;"));

    [TestCase("epp")]
    [TestCase("ecp")]
    public async Task A_program_prints_in_a_negotiated_mode(string mode)
    {
        string before = _guest.Printed("ecp");
        await _guest.RunAsync($"ppctl /dev/parport1 mode={mode} write='by {mode}' mode=compat");
        Assert.That(_guest.Printed("ecp")[before.Length..], Is.EqualTo($"by {mode}"));
    }

    [Test]
    public async Task The_drivers_can_be_unloaded_and_loaded_again()
    {
        await _guest.RunAsync("rmmod lp ppdev parport_pc && [ ! -e /dev/lp0 ] && modprobe parport_pc && modprobe lp && modprobe ppdev");
        string before = _guest.Printed("spp");
        await _guest.PrintAsync("after reload");
        Assert.That(_guest.Printed("spp")[before.Length..], Is.EqualTo("after reload"));
    }

    [Test]
    public async Task The_trace_names_the_registers_of_a_printed_byte()
    {
        await _guest.PrintAsync("T");
        Assert.That(_guest.Guest.TraceOf("spp"), Does.Match(@"W +BAR0 SPP\.DATA +0x54").And.Match(@"W +BAR0 SPP\.CONTROL .*STROBE=1"));
    }

    private static string Lines(int first, int count) => string.Concat(Enumerable.Range(first, count).Select(i => $"{i}\n"));
}
