using Emulator.Cli.Bench;

namespace Emulator.Tests.Cli;

/// <summary>What the bench takes from an INF beside a driver.</summary>
[Category("Unit")]
public sealed class SetupFileTests
{
    [TestCase("robot/proseware/ProsewareRobot.inf", 0x5057, "ProsewareRobot.sys")]
    [TestCase("robot/contoso/ContosoRobot.inf", 0x434f, "ContosoRobot.sys")]
    [TestCase("robot/kmdf/KmdfRobot.inf", 0x5057, "KmdfRobot.sys")]
    public void Our_own_name_their_device_their_driver_and_its_filter(string file, int device, string driver)
    {
        string path = Path.Combine(Repository.Root, "guest-drivers", file);
        foreach (bool is64Bit in new[] { false, true })
        {
            SetupDevice found = SetupFile.Parse(File.ReadAllText(path), path, is64Bit).Devices.Single();
            Assert.That((found.Vendor, found.Device, found.FunctionDriver), Is.EqualTo(((ushort)0x1234, (ushort)device, driver)));
            Assert.That(found.UpperFilters, Is.EqualTo(new[] { "AfterThought.sys" }));
            Assert.That(found.LowerFilters, Is.Empty);
        }
    }

    [Test]
    public void An_INF_that_leaves_the_driver_to_the_system_names_its_devices_alone()
    {
        string path = Path.Combine(Repository.Root, "guest-drivers", "parport", "parport-card.inf");
        SetupFile setup = SetupFile.Parse(File.ReadAllText(path), path, is64Bit: true);
        Assert.That(setup.Devices.Select(d => (d.Vendor, d.Device, d.FunctionDriver)),
            Is.EqualTo(new[] { ((ushort)0x9710, (ushort)0x9805, (string?)null), ((ushort)0x14db, (ushort)0x2120, null) }));
    }

    [Test]
    public void Spelling_comments_and_quotes_do_not_matter()
    {
        SetupDevice[] devices = Parse(
            """
            ; PCI devices
            [manufacturer]
            %a% = models
            [models]
            %a% = x , pci\ven_10Ec&dev_8139&SUBSYS_1 ; the old one
            %b% = x, PCI\VEN_10EC&DEV_8168, PCI\VEN_10EC&DEV_8169
            [x.services]
            addservice = Net , 2, svc
            AddService = First,0x00000000,svc2
            [SVC]
            servicebinary = "%12%\net.sys"
            [svc2]
            ServiceBinary = %12%\filter1.sys
            [x.hw]
            addreg = other, hw
            [hw]
            HKR,,"UpperFilters",0x00010008,"first","second"
            HKR,,lowerfilters,0x00010000,Below

            """);
        Assert.That(devices.Select(d => (d.Vendor << 16) + d.Device), Is.EqualTo(new[] { 0x10ec_8139, 0x10ec_8168, 0x10ec_8169 }));
        foreach (SetupDevice device in devices)
        {
            Assert.That(device.FunctionDriver, Is.EqualTo("net.sys"));
            Assert.That(device.UpperFilters, Is.EqualTo(new[] { "filter1.sys", "second.sys" }));
            Assert.That(device.LowerFilters, Is.EqualTo(new[] { "Below.sys" }));
        }
    }

    [TestCase(false, "old.sys")]
    [TestCase(true, "new.sys")]
    public void Each_device_has_its_own_driver_and_each_processor_its_sections(bool is64Bit, string expected)
    {
        SetupDevice[] devices = Parse(
            """
            [Manufacturer]
            %m% = Cards, NTx86, NTamd64.6.1
            [Cards.NTx86]
            %a% = A, PCI\VEN_0001&DEV_0001
            %b% = B, PCI\VEN_0001&DEV_0002
            [Cards.NTamd64.6.1]
            %a% = A, PCI\VEN_0001&DEV_0001
            %b% = B, PCI\VEN_0001&DEV_0002
            [Cards]
            %c% = B, PCI\VEN_0001&DEV_0003
            [A.NT.Services]
            AddService = old, 2, Old
            [A.NTamd64.Services]
            AddService = new, 2, New
            [B.Services]
            AddService = b, 2, B
            [Old]
            ServiceBinary = %12%\old.sys
            [New]
            ServiceBinary = %12%\new.sys
            [B]
            ServiceBinary = %12%\b.sys
            """, is64Bit);
        Assert.That(devices.Select(d => ((int)d.Device, d.FunctionDriver)), Is.EqualTo(new[] { (1, expected), (2, "b.sys") }));
    }

    [TestCase("")]
    [TestCase("[")]
    [TestCase("=\n,,,\n[a]\nAddService=\nAddService=,,\nAddService=a,2,none\nServiceBinary\n;")]
    [TestCase("[Manufacturer]\na=b\n[b]\nx=y,PCI\\VEN_12&DEV_\u0000\n")]
    [TestCase("[Manufacturer]\n=\n,\na=,,\n[]\n=,\n,,,\nx=y\n")]
    public void Nonsense_says_nothing(string text) => Assert.That(Parse(text), Is.Empty);

    [Test]
    public void A_device_whose_sections_are_not_there_has_no_drivers()
    {
        SetupDevice device = Parse(
            """
            [Manufacturer]
            a=b
            [b]
            x=y,PCI\VEN_1234&DEV_0001
            [y.Services]
            AddService=a,2,none
            AddService=
            [y.HW]
            AddReg=
            """).Single();
        Assert.That((device.FunctionDriver, device.LowerFilters.Count, device.UpperFilters.Count), Is.EqualTo(((string?)null, 0, 0)));
    }

    private static SetupDevice[] Parse(string text, bool is64Bit = false) => [.. SetupFile.Parse(text, "x.inf", is64Bit).Devices];
}
