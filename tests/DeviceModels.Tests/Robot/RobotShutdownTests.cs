using static DeviceModels.Tests.Robot.PciMessages;

namespace DeviceModels.Tests.Robot;

/// <summary>The order of events that the programming guides give for shutting down, and why it is that one.</summary>
[TestFixture, Category("Unit")]
public sealed class RobotShutdownTests
{
    [TestCase(true, 0)]
    [TestCase(false, 1)]
    public void A_proseware_robot_shut_down_by_the_guide_is_still_and_interrupts_only_when_it_was_not_told_first(bool guide, int messages)
    {
        var driver = new ProsewareDriver();
        EnableMsiX(driver.Host, 0, 0x2000, 4);
        driver.Bar.Write32(ProsewareDriver.IntEn, 0xf);
        driver.Bar.Write64(ProsewareDriver.TeleBase, ProsewareDriver.Telemetry);
        driver.Bar.Write32(ProsewareDriver.TelePeriod, 5);
        driver.Bar.Write32(ProsewareDriver.WdtPeriod, 1000);
        driver.StartRing();
        driver.Post(ProsewareDriver.Drive, 800, 100);
        driver.Post(ProsewareDriver.Drive | ProsewareDriver.Int, 800, 100);
        driver.Ringing();
        driver.Advance(100);
        Assert.That(driver.Bar.Read32(ProsewareDriver.Status) & ProsewareDriver.Moving, Is.Not.Zero);

        int before = driver.Host.Messages.Count;
        if (guide) driver.Bar.Write32(ProsewareDriver.IntEn, 0);
        driver.Send(ProsewareDriver.Stop);
        driver.Bar.Write32(ProsewareDriver.RingCtrl, 0);
        driver.Bar.Write32(ProsewareDriver.TelePeriod, 0);
        driver.Bar.Write32(ProsewareDriver.WdtPeriod, 0);
        driver.Bar.Write32(ProsewareDriver.Control, 2);
        Assert.That(driver.Bar.Read32(ProsewareDriver.Status) & ProsewareDriver.Moving, Is.Zero);
        AssertStill(driver.Host, driver.Advance);
        Assert.That(driver.Host.Messages, Has.Count.EqualTo(before + messages));
    }

    [TestCase(true, 0)]
    [TestCase(false, 1)]
    public void A_contoso_robot_shut_down_by_the_guide_is_still_and_interrupts_only_when_it_was_not_told_first(bool guide, int messages)
    {
        var driver = new ContosoDriver();
        EnableMsiX(driver.Host, 1, 0, 4);
        driver.Bar.Write16(ContosoDriver.Mask, 0xf);
        driver.Put(ContosoDriver.Tele, 0x3000);
        driver.Put(ContosoDriver.TelePer, 1);
        driver.Put(ContosoDriver.Wdog, 100);
        driver.Describe(0x1000, ContosoDriver.Move | ContosoDriver.Own, 0x1020, 3200, 400);
        driver.Describe(0x1020, ContosoDriver.Move | ContosoDriver.Own | ContosoDriver.Int, 0, 3200, 400);
        driver.Go(0x1000);
        driver.Advance(100);
        Assert.That(driver.Bar.Read16(ContosoDriver.State) & ContosoDriver.Moving, Is.Not.Zero);

        int before = driver.Host.Messages.Count;
        if (guide) driver.Bar.Write16(ContosoDriver.Mask, 0);
        driver.Send(ContosoDriver.Halt);
        driver.Bar.Write16(ContosoDriver.Doorbell, 2);
        driver.Put(ContosoDriver.TelePer, 0);
        driver.Put(ContosoDriver.Wdog, 0);
        driver.Bar.Write16(ContosoDriver.Mode, 2);
        Assert.That(driver.Bar.Read16(ContosoDriver.State) & ContosoDriver.Moving, Is.Zero);
        AssertStill(driver.Host, driver.Advance);
        Assert.That(driver.Host.Messages, Has.Count.EqualTo(before + messages));
    }

    // What it knows of memory may be freed now: nothing there changes any more, whatever time passes.
    private static void AssertStill(Emulator.Testing.FakePciHost host, Action<long> advance)
    {
        byte[] memory = host.Memory.Ram.ToArray();
        advance(10_000);
        Assert.That(host.Memory.Ram.SequenceEqual(memory), Is.True);
    }
}
