using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Pe;

namespace Emulator.DriverTests.GuestDrivers;

/// <summary>The INFs beside the drivers hang together, and the programs are for the machine they lie with.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class SetupFileTests(Machine machine)
{
    [TestCase("ProsewareRobot.inf", @"PCI\VEN_1234&DEV_5057")]
    [TestCase("ContosoRobot.inf", @"PCI\VEN_1234&DEV_434f")]
    [TestCase("parport-card.inf", @"PCI\VEN_9710&DEV_9805&SUBSYS_00101000 PCI\VEN_14DB&DEV_2120")]
    public void Old_and_new_systems_find_the_same_models(string name, string hardware)
    {
        Dictionary<string, List<string>> inf = Read(name);
        Assert.That(inf["Manufacturer"].Single().Split('=')[1].Split(',').Select(s => s.Trim()), Is.EqualTo(new[] { "Models", "NTx86", "NTamd64" }));
        Assert.That(inf["Models"].Select(line => line.Split(',')[1]), Is.EqualTo(hardware.Split(' ')));
        Assert.That(inf["Models.NTx86"], Is.EqualTo(inf["Models"]));
        Assert.That(inf["Models.NTamd64"], Is.EqualTo(inf["Models"]));
        foreach (string install in inf["Models"].Select(line => line.Split('=')[1].Split(',')[0].Trim()))
        {
            Assert.That(inf.Keys, Is.SupersetOf(new[] { $"{install}.NT", $"{install}.NT.HW", $"{install}.NT.Services" }));
        }
    }

    [TestCase("ProsewareRobot.inf", "ProsewareRobot")]
    [TestCase("ContosoRobot.inf", "ContosoRobot")]
    public void The_pair_and_its_filter_are_copied_and_made_services(string name, string service)
    {
        Dictionary<string, List<string>> inf = Read(name);
        string[] files = [$"{service}.sys", "GeneralRobot.sys", "AfterThought.sys"];
        Assert.That(inf["Robot.Files"], Is.EqualTo(files));
        Assert.That(inf["SourceDisksFiles"].Select(line => line.Split('=')[0].Trim()), Is.EqualTo(files));
        foreach (string file in files) Assert.That(GuestDriverFiles.PathOf(machine, file), Does.Exist);
        Assert.That(inf["Robot.NT.Services"],
            Is.EqualTo(new[] { $"AddService = {service},0x00000002,Robot.Service", "AddService = AfterThought,,Filter.Service" }));
        Assert.That(inf["Robot.Service"], Has.Member($@"ServiceBinary = %12%\{service}.sys"));
        Assert.That(inf["Filter.Service"], Has.Member(@"ServiceBinary = %12%\AfterThought.sys"));
        Assert.That(inf["Robot.Hardware"], Has.Member("HKR,,\"UpperFilters\",0x00010000,\"AfterThought\""));
    }

    [Test]
    public void The_framework_driver_names_the_framework_it_wants()
    {
        Dictionary<string, List<string>> inf = Read("KmdfRobot.inf");
        Assert.That(inf["Robot.NT.Wdf"], Is.EqualTo(new[] { "KmdfService = KmdfRobot,Robot.Framework" }));
        Assert.That(inf["Robot.Framework"], Is.EqualTo(new[] { "KmdfLibraryVersion = 1.15" }));
        Assert.That(inf["Robot.Files"], Is.EqualTo(new[] { "KmdfRobot.sys", "AfterThought.sys" }));
        Assert.That(inf["Models"], Is.Empty);
    }

    [TestCase("ProsewareRobot.inf")]
    [TestCase("ContosoRobot.inf")]
    [TestCase("KmdfRobot.inf")]
    [TestCase("parport-card.inf")]
    public void Every_line_ends_as_setup_wants_and_every_string_is_given(string name)
    {
        string text = File.ReadAllText(GuestDriverFiles.PathOf(machine, name));
        Assert.That(text.Count(c => c == '\n'), Is.EqualTo(text.Split("\r\n").Length - 1).And.Positive);
        Dictionary<string, List<string>> inf = Read(name);
        IEnumerable<string> known = inf["Strings"].Select(line => line.Split('=')[0].Trim()).Append("12");
        IEnumerable<string> used = inf.Values.SelectMany(lines => lines).SelectMany(line => line.Split('%').Where((_, i) => i % 2 == 1));
        Assert.That(used.Distinct(), Is.SubsetOf(known));
    }

    [Test]
    public void The_programs_run_in_the_console_of_old_systems_too([Values("robotctl.exe", "stacks.exe")] string name)
    {
        PeImage image = GuestDriverFiles.Open(machine, name);
        Assert.That(image.Machine, Is.EqualTo(machine));
        Assert.That(image.Subsystem, Is.EqualTo(Subsystem.WindowsCui));
        Assert.That(image.Imports.Select(i => i.Module).Distinct(), Is.SubsetOf(new[] { "KERNEL32.dll", "msvcrt.dll", "SETUPAPI.dll" }));
        // NT 6.0's: stacks.exe asks for it when it runs.
        Assert.That(image.Imports.Select(i => i.Name), Has.None.EqualTo("SetupDiGetDevicePropertyW"));
    }

    /// <summary>Lines by section, without comments.</summary>
    private Dictionary<string, List<string>> Read(string name)
    {
        var inf = new Dictionary<string, List<string>>(StringComparer.OrdinalIgnoreCase);
        List<string> section = [];
        foreach (string line in File.ReadAllLines(GuestDriverFiles.PathOf(machine, name)).Select(l => l.Trim()).Where(l => l.Length > 0 && l[0] != ';'))
        {
            if (line[0] == '[') inf.Add(line.Trim('[', ']'), section = []);
            else section.Add(line);
        }
        return inf;
    }
}
