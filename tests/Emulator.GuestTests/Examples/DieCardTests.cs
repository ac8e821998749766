using Emulator.Guests;
using Emulator.Testing;

namespace Examples;

public sealed class DieCardTests
{
    [Test, Category("Unit")]
    public void A_driver_throws_the_die_and_is_interrupted_when_it_lies_still()
    {
        var host = new FakePciHost();
        host.Plug(new DieCard(host.Slot));
        host.Bar(0).Write32(0x0, 0b11);
        Assert.That(host.Bar(0).Read32(0x4), Is.EqualTo(0b01), "rolling");

        host.Clock.Advance(1_000_000);

        Assert.That(host.IntxAsserted, Is.True);
        Assert.That(host.Bar(0).Read32(0x8), Is.InRange(1, 6));
        host.Bar(0).Write32(0x4, 0b10);
        Assert.That(host.IntxAsserted, Is.False, "acknowledged");
    }

    [Test, Category("Guest")]
    public async Task A_guest_throws_the_die()
    {
        await using DeviceGuest guest = await DeviceGuest.BootAsync([new GuestDevice("die", slot => new DieCard(slot))]);
        string die = guest.PciAddress("die");

        GuestCommandResult face = await guest.RunAsync(
            $"echo 1 > /sys/bus/pci/devices/{die}/enable && pciio {die} 0 0 4 1 && sleep 0.1 && pciio {die} 0 8 4");

        Assert.That(face.Output.Trim(), Does.Match("^0x0000000[1-6]$"));
        Assert.That(guest.TraceOf("die"), Does.Contain("CONTROL").And.Contain("FACE"));
    }
}
