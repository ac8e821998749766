using DeviceModels.ParallelPort;

namespace Emulator.GuestTests.ParallelPort;

/// <summary>The devices outlive what happens to their guest.</summary>
[TestFixture, Category("Guest")]
public sealed class EmulatorStaysTests
{
    private PrinterGuest _guest = null!;

    [SetUp]
    public async Task BootAsync() => _guest = await PrinterGuest.BootAsync(("lp", new ParallelPortOptions()));

    [TearDown]
    public async Task EndAsync()
    {
        if (_guest is not null) await _guest.DisposeAsync();
    }

    [Test]
    public async Task A_guest_that_reboots_prints_again()
    {
        await _guest.PrintAsync("first");
        await _guest.Guest.Session.RebootAsync();
        await _guest.PrintAsync("second");
        Assert.That(_guest.Printed("lp"), Is.EqualTo("firstsecond"));
    }

    [Test]
    public async Task QEMU_killed_in_mid_print_leaves_the_card_ready_for_the_next()
    {
        await _guest.RunAsync("(while :; do printf x; done > /dev/lp0) > /dev/null 2>&1 &");
        await _guest.RunAsync("sleep 0.5");
        await _guest.Guest.KillQemuAsync();
        Assert.That(_guest.Printed("lp"), Does.StartWith("xxx"), "it was printing");

        await _guest.Guest.StartAsync();
        await _guest.PrintAsync("again");

        Assert.That(_guest.Printed("lp"), Does.EndWith("xagain"));
        Assert.That(_guest.Guest.Reports.Count(r => r.Contains("client connected", StringComparison.Ordinal)), Is.EqualTo(2));
    }
}
