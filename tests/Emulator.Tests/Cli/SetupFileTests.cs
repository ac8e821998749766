using Emulator.Cli.Bench;

namespace Emulator.Tests.Cli;

/// <summary>What the bench takes from an INF beside a driver.</summary>
[Category("Unit")]
public sealed class SetupFileTests
{
    [TestCase("robot/proseware/ProsewareRobot.inf", 0x5057, "ProsewareRobot.sys", "AfterThought")]
    [TestCase("robot/contoso/ContosoRobot.inf", 0x434f, "ContosoRobot.sys", "AfterThought")]
    [TestCase("robot/kmdf/KmdfRobot.inf", 0x5057, "KmdfRobot.sys", "AfterThought")]
    public void Our_own_name_their_device_their_driver_and_its_filter(string file, int device, string driver, string filter)
    {
        string path = Path.Combine(Repository.Root, "guest-drivers", file);
        SetupFile setup = SetupFile.Parse(File.ReadAllText(path), path);
        Assert.That(setup.Devices, Is.EqualTo(new[] { ((ushort)0x1234, (ushort)device) }));
        Assert.That(setup.FunctionDrivers, Is.EqualTo(new[] { driver }));
        Assert.That(setup.UpperFilters, Is.EqualTo(new[] { filter }));
    }

    [Test]
    public void Spelling_comments_and_quotes_do_not_matter()
    {
        SetupFile setup = SetupFile.Parse(
            """
            ; PCI devices
            [models]
            %a% = x , pci\ven_10Ec&dev_8139&SUBSYS_1 ; the old one
            %b% = x, PCI\VEN_10EC&DEV_8168
            [x.services]
            addservice = Net , 2, svc
            AddService = Other,0x00000000,svc2
            [SVC]
            servicebinary = "%12%\net.sys"
            [svc2]
            ServiceBinary = %12%\other.sys
            [hw]
            HKR,,"UpperFilters",0x00010008,"first","second"

            """, "net.inf");
        Assert.That(setup.Devices, Is.EqualTo(new[] { ((ushort)0x10ec, (ushort)0x8139), ((ushort)0x10ec, (ushort)0x8168) }));
        Assert.That(setup.FunctionDrivers, Is.EqualTo(new[] { "net.sys" }));
        Assert.That(setup.UpperFilters, Is.EqualTo(new[] { "first", "second" }));
    }

    [TestCase("")]
    [TestCase("[")]
    [TestCase("=\n,,,\n[a]\nAddService=\nAddService=,,\nAddService=a,2,none\nServiceBinary\n;")]
    [TestCase("PCI\\VEN_12&DEV_\u0000")]
    public void Nonsense_says_nothing(string text)
    {
        SetupFile setup = SetupFile.Parse(text, "x.inf");
        Assert.That((setup.Devices.Count, setup.FunctionDrivers.Count, setup.UpperFilters.Count), Is.EqualTo((0, 0, 0)));
    }
}
