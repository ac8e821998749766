using DeviceModels.ParallelPort;
using DeviceModels.ParallelPort.Peripherals;
using Emulator.Guests;
using Emulator.Testing;

namespace Emulator.GuestTests.ParallelPort;

/// <summary>A loopback plug, looked at by a program of the guest through ppdev.</summary>
[TestFixture, Category("Guest")]
public sealed class LoopbackTests
{
    private DeviceGuest _guest = null!;

    [OneTimeSetUp]
    public async Task BootAsync() => _guest = await DeviceGuest.BootAsync(
        [new GuestDevice("port", slot => new ParallelPortCard(slot, new ParallelPortOptions(Interrupt: false), new LoopbackPlug()))],
        new GuestOptions { Modules = ["parport_pc", "ppdev"] });

    [OneTimeTearDown]
    public async Task EndAsync()
    {
        if (_guest is not null) await _guest.DisposeAsync();
    }

    // D0-nFault, D1-Select, D2-PError, D3-nAck, D4-Busy; the register shows Busy inverted (bit 7).
    [TestCase(0x00, 0x80)]
    [TestCase(0x01, 0x88)]
    [TestCase(0x02, 0x90)]
    [TestCase(0x04, 0xa0)]
    [TestCase(0x08, 0xc0)]
    [TestCase(0x10, 0x00)]
    [TestCase(0x1f, 0x78)]
    public async Task Each_data_line_comes_back_on_its_status_line(int data, int status)
    {
        GuestCommandResult result = await _guest.RunAsync($"ppctl /dev/parport0 exclusive data=0x{data:x2} status?");
        Assert.That(result.ExitCode, Is.Zero, result.Output);
        string shown = result.Output.Split('\n').Single(l => l.Contains("status", StringComparison.Ordinal));
        int value = Convert.ToInt32(shown[(shown.LastIndexOf("0x", StringComparison.Ordinal) + 2)..], 16);
        Assert.That(value & 0xf8, Is.EqualTo(status), shown);
    }
}
