using System.Reflection.PortableExecutable;
using System.Text.Json;
using Emulator.DriverTests.GuestDrivers;
using Emulator.DriverTests.Native;
using Emulator.Tests.Cli;
using static Emulator.DriverTests.Cli.BenchSession;

namespace Emulator.DriverTests.Cli;

/// <summary>`emulator bench` with drivers of several devices: which is whose, and what comes of it.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class SeveralDevicesTests(Machine architecture)
{
    private const string Drive = "write=01000000c8000000c800000000000000", Statistics = "ioctl=0x226018:24";
    private static readonly string[] s_prosewareStack =
        ["  Filter DO  AfterThought.sys", "  FDO        (ProsewareRobot.sys, GeneralRobot.sys)", "  PDO        pci.sys"];
    private static readonly string[] s_contosoStack =
        ["  Filter DO  AfterThought.sys", "  FDO        (ContosoRobot.sys, GeneralRobot.sys)", "  PDO        pci.sys"];

    private string Proseware => GuestDriverFiles.PathOf(architecture, "ProsewareRobot.sys");
    private string Contoso => GuestDriverFiles.PathOf(architecture, "ContosoRobot.sys");
    private string General => GuestDriverFiles.PathOf(architecture, "GeneralRobot.sys");
    private string Kmdf => GuestDriverFiles.PathOf(architecture, "KmdfRobot.sys");
    private string Filter => GuestDriverFiles.PathOf(architecture, "AfterThought.sys");
    private string Stubborn => Targets.BuildDriver(architecture, "stubborn");

    [Test]
    public void Both_pairs_live_side_by_side_with_one_general_driver()
    {
        CommandRun run = Bench("run", Proseware, Contoso, Filter);
        Assert.That(run.Error, Is.Empty);
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(Roles(run), Is.EqualTo(new[]
        {
            "GeneralRobot.sys export driver", "ProsewareRobot.sys function driver", "AfterThought.sys upper filter", "ContosoRobot.sys function driver",
        }));
        string[] life = Life(run, hasDevices: true);
        Assert.That(life[..11], Is.EqualTo(new[]
        {
            "DllInitialize GeneralRobot STATUS_SUCCESS", "DriverEntry ProsewareRobot STATUS_SUCCESS", "DriverEntry AfterThought STATUS_SUCCESS",
            "DriverEntry ContosoRobot STATUS_SUCCESS", "AddDevice proseware-robot STATUS_SUCCESS", "AddDevice contoso-robot STATUS_SUCCESS",
            "START_DEVICE proseware-robot STATUS_SUCCESS", "START_DEVICE contoso-robot STATUS_SUCCESS", "CREATE proseware-robot STATUS_SUCCESS",
            "CREATE contoso-robot STATUS_SUCCESS", "WRITE 16 proseware-robot STATUS_SUCCESS",
        }));
        Assert.That(Block(run, "life").Where(l => l.Contains("  with GeneralRobot", StringComparison.Ordinal)),
            Has.Exactly(1).StartsWith("  DriverUnload ProsewareRobot "), "the last of those that import from it");
        Assert.That(life[^1], Is.EqualTo("DriverUnload ProsewareRobot STATUS_SUCCESS"));
        Assert.That(Block(run, "devstack of proseware-robot")[^3..], Is.EqualTo(s_prosewareStack));
        Assert.That(Block(run, "devstack of contoso-robot")[^3..], Is.EqualTo(s_contosoStack));
        foreach (string driver in new[] { "ProsewareRobot", "ContosoRobot" })
        {
            string[] listing = [.. Block(run, $"drvobj {driver} 2").Select(WithoutAddresses)];
            Assert.That(listing[1..6], Is.EqualTo(new[]
            {
                $@"  \Driver\{driver}", $"  DriverEntry: {driver}!GsDriverEntry", "  DriverStartIo: 00000000", "  DriverUnload: GeneralRobot!RobotUnload",
                "  AddDevice: GeneralRobot!RobotAddDevice",
            }));
            Assert.That(listing[7..], Is.EqualTo(Pnp.ViewTests.Dispatch.Select(l => $"  {l}")));
            Assert.That(Block(run, $"pair {driver}")[0], Is.EqualTo($"  Driver pair ({driver}.sys, GeneralRobot.sys)"));
        }
        Assert.That(Block(run, "devnode").Where(l => l.Contains("ServiceName", StringComparison.Ordinal)).Select(l => l.Trim()),
            Is.EqualTo(new[] { "ServiceName is \"ProsewareRobot\"", "ServiceName is \"ContosoRobot\"" }));
        Assert.That(Block(run, "findings"), Is.EqualTo(new[] { "  none" }));
    }

    [Test]
    public void All_drivers_of_a_folder_get_a_device_each()
    {
        CommandRun run = Bench(["run", .. Directory.GetFiles(Path.GetDirectoryName(Proseware)!, "*.sys").Order(StringComparer.Ordinal)]);
        Assert.That(run.Error, Is.Empty);
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(run.Output, Does.Match("^x(64|86), contoso-robot 1234:434f, proseware-robot 1234:5057, proseware-robot-2 1234:5057, message interrupts "));
        Assert.That(Roles(run), Has.Length.EqualTo(5).And.One.EqualTo("GeneralRobot.sys export driver"));
        Assert.That(Block(run, "devstack of contoso-robot")[^3..], Is.EqualTo(s_contosoStack));
        Assert.That(Block(run, "devstack of proseware-robot")[^2], Is.EqualTo("  FDO        (KmdfRobot.sys, Wdf01000.sys)"));
        Assert.That(Block(run, "devstack of proseware-robot-2")[^3..], Is.EqualTo(s_prosewareStack));
        Assert.That(Block(run, "findings"), Is.EqualTo(new[] { "  none" }));
    }

    [Test]
    public void When_one_device_is_removed_the_other_goes_on([Values("remove", "surprise")] string leave, [Values("messages", "line")] string interrupts)
    {
        CommandRun run = Bench("run", Proseware, Contoso, Filter, "--interrupts", interrupts, "--steps",
            $"start,open,proseware-robot:{leave},contoso-robot:{Drive},wait=3s,contoso-robot:{Statistics},d3,d0");
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        string[] life = Life(run, hasDevices: true);
        int gone = Array.IndexOf(life, "REMOVE_DEVICE proseware-robot STATUS_SUCCESS");
        Assert.That(gone, Is.Positive);
        Assert.That(life[(gone + 1)..], Is.EqualTo(new[]
        {
            "WRITE 16 contoso-robot STATUS_PENDING", "wait 3000 ms STATUS_SUCCESS", "DEVICE_CONTROL 0x226018 contoso-robot STATUS_SUCCESS",
            "d3 proseware-robot left out", "SET_POWER D3 contoso-robot STATUS_SUCCESS", "d0 proseware-robot left out",
            "SET_POWER D0 contoso-robot STATUS_SUCCESS", "QUERY_REMOVE_DEVICE contoso-robot STATUS_SUCCESS", "CLEANUP, CLOSE contoso-robot STATUS_SUCCESS",
            "REMOVE_DEVICE contoso-robot STATUS_SUCCESS", "DriverUnload ContosoRobot STATUS_SUCCESS", "DriverUnload AfterThought STATUS_SUCCESS",
            "DriverUnload ProsewareRobot STATUS_SUCCESS",
        }));
        Assert.That(run.Output, Does.Match(@"24 bytes: 0[1-9]"), "interrupts that were Contoso's");
    }

    [Test]
    public void One_driver_may_have_several_devices()
    {
        CommandRun run = Bench("run", Proseware, "--model", "proseware-robot", "--model", "proseware-robot", "--steps", "start");
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(Life(run, hasDevices: true)[2..6], Is.EqualTo(new[]
        {
            "AddDevice proseware-robot STATUS_SUCCESS", "AddDevice proseware-robot-2 STATUS_SUCCESS", "START_DEVICE proseware-robot STATUS_SUCCESS",
            "START_DEVICE proseware-robot-2 STATUS_SUCCESS",
        }));
        Assert.That(Block(run, "pair ProsewareRobot")[0], Is.EqualTo("  Driver pair (ProsewareRobot.sys, GeneralRobot.sys)"));
    }

    [Test]
    public void A_model_goes_to_the_driver_it_is_named_with_or_to_the_one_whose_INF_has_it()
    {
        CommandRun byInf = Bench("run", Proseware, Contoso, "--model", "contoso-robot", "--model", "contoso-robot", "--steps", "");
        Assert.That(byInf.Output.Split('\n')[0], Does.Contain(", proseware-robot 1234:5057, contoso-robot 1234:434f, contoso-robot-2 1234:434f, "));
        Assert.That(Block(byInf, "devstack of contoso-robot-2")[^2], Is.EqualTo(s_contosoStack[1]));
        CommandRun byName = Bench("run", Proseware, Stubborn, "--model", $"{Path.GetFileNameWithoutExtension(Stubborn)}=scratch", "--steps", "start");
        Assert.That(byName.ExitCode, Is.Zero, byName.Output);
        Assert.That(Block(byName, "devstack of scratch")[^2], Is.EqualTo($"  FDO        {Path.GetFileName(Stubborn)}"));
    }

    [Test]
    public void A_filter_lies_above_or_below_one_device_or_all()
    {
        CommandRun run = Bench("run", Proseware, Contoso, "--filter", $"ContosoRobot={Filter}", "--lower-filter", Stubborn, "--steps", "start");
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        string stubborn = Path.GetFileName(Stubborn);
        Assert.That(Roles(run), Is.EqualTo(new[]
        {
            $"{stubborn} lower filter", "GeneralRobot.sys export driver", "ProsewareRobot.sys function driver", "ContosoRobot.sys function driver",
            "AfterThought.sys upper filter",
        }));
        Assert.That(Block(run, "devstack of proseware-robot")[^3..],
            Is.EqualTo(new[] { s_prosewareStack[1], $"  Filter DO  {stubborn}", s_prosewareStack[2] }));
        Assert.That(Block(run, "devstack of contoso-robot")[^4..],
            Is.EqualTo(new[] { s_contosoStack[0], s_contosoStack[1], $"  Filter DO  {stubborn}", s_contosoStack[2] }));
    }

    [Test]
    public void A_filter_of_a_filter_lies_above_it()
    {
        CommandRun run = Bench("run", Proseware, "--filter", Filter, "--filter", Stubborn, "--steps", "start");
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(Block(run, "devstack")[^4..], Is.EqualTo((string[])[$"  Filter DO  {Path.GetFileName(Stubborn)}", .. s_prosewareStack]));
    }

    [Test]
    public void Lower_filters_of_an_INF_lie_below()
    {
        using var folder = new TemporaryFolder();
        foreach (string file in new[] { Proseware, General, Filter }) File.Copy(file, folder.In(Path.GetFileName(file)));
        string inf = File.ReadAllText(Path.ChangeExtension(Proseware, ".inf"));
        File.WriteAllText(folder.In("ProsewareRobot.inf"), inf.Replace("\"UpperFilters\"", "\"LowerFilters\"", StringComparison.Ordinal));
        CommandRun run = Bench("run", folder.In("AfterThought.sys"), folder.In("ProsewareRobot.sys"));
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(Block(run, "devstack")[^3..], Is.EqualTo(new[] { s_prosewareStack[1], s_prosewareStack[0], s_prosewareStack[2] }));
        Assert.That(Block(run, "findings"), Is.EqualTo(new[] { "  none" }));
    }

    [Test]
    public void The_report_has_every_device_in_JSON_too()
    {
        using JsonDocument json = JsonDocument.Parse(Bench("run", Proseware, Contoso, Filter, "--format", "json").Output);
        JsonElement[] devices = [.. json.RootElement.GetProperty("devices").EnumerateArray()];
        Assert.That(devices.Select(d => (d.GetProperty("name").GetString(), d.GetProperty("function").GetString())),
            Is.EqualTo(new[] { ("proseware-robot", "ProsewareRobot.sys"), ("contoso-robot", "ContosoRobot.sys") }));
        foreach (JsonElement device in devices) Assert.That(device.GetProperty("stack").GetProperty("levels").GetArrayLength(), Is.EqualTo(3));
        string?[] whose = [.. json.RootElement.GetProperty("steps").EnumerateArray()
            .Select(s => s.TryGetProperty("device", out JsonElement d) ? d.GetString() : null)];
        Assert.That(whose.GroupBy(w => w).Select(w => (w.Key, w.Count())),
            Is.EqualTo(new[] { ((string?)null, 7), ("proseware-robot", 24), ("contoso-robot", 24) }));
    }

    [Test]
    public void A_step_finds_its_device_whatever_the_case_of_its_name()
    {
        const string steps = "start,open,proseware-robot:close,contoso-robot:read=64";
        CommandRun typed = Bench("run", Proseware, Contoso, "--steps", steps.Replace("contoso", "Contoso", StringComparison.Ordinal));
        Assert.That(typed.ExitCode, Is.Zero, typed.Error + typed.Output);
        Assert.That(Life(typed, hasDevices: true), Is.EqualTo(Life(Bench("run", Proseware, Contoso, "--steps", steps), hasDevices: true))
            .And.Contains("READ 64 contoso-robot STATUS_PENDING").And.No.Member("READ 64 proseware-robot STATUS_PENDING"));
    }

    [Test]
    public void A_look_at_stacks_shows_those_of_all_devices_that_are_there()
    {
        string text = Bench("devstack", Proseware, Contoso).Output;
        Assert.That(text.Split("\n\n"), Has.Length.EqualTo(2));
        Assert.That(text, Does.Contain(@"\Driver\ProsewareRobot").And.Contain(@"\Driver\ContosoRobot"));
        using JsonDocument json = JsonDocument.Parse(Bench("devstack", Proseware, Contoso, "--format", "json").Output);
        Assert.That(json.RootElement.EnumerateArray().Select(s => s.GetProperty("levels").GetArrayLength()), Is.EqualTo(new[] { 2, 2 }));
        Assert.That(Bench("devstack", Proseware, Contoso, "--steps", "start,contoso-robot:remove").Output,
            Does.Contain(@"\Driver\ProsewareRobot").And.Not.Contain(@"\Driver\ContosoRobot"));
    }

    [Test]
    public void Each_plugged_function_has_a_name_of_its_own_in_a_trace()
    {
        string[] lines = Bench("run", Proseware, Kmdf, "--live", "--steps", "start,plug,start").Output.Split('\n');
        string[] accesses = [.. lines.Where(l => l.Contains(" BAR0 PROSEWARE.ID ", StringComparison.Ordinal))];
        Assert.That(accesses.Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]).Distinct(),
            Is.EqualTo(new[] { "proseware-robot", "proseware-robot-2", "proseware-robot-3", "proseware-robot-4" }));
    }

    [Test]
    public void Combinations_that_cannot_be_get_one_line_that_says_what_to_do()
    {
        string stubborn = Path.GetFileNameWithoutExtension(Stubborn);
        Refused($"put it above one with --filter ProsewareRobot={Stubborn}, or give it a device with --model {stubborn}=MODEL",
            "run", Proseware, Contoso, Stubborn);
        Refused("AfterThought.sys is a filter, as", "run", Filter);
        Refused("name the function driver, too: ContosoRobot.sys", "run", Filter);
        Refused("--model scratch: no INF says which driver it is for; write --model ProsewareRobot=scratch", "run", Proseware, Contoso, "--model", "scratch");
        Refused("--model proseware-robot: the INFs leave open which driver it is for; write --model ProsewareRobot=proseware-robot",
            "run", Proseware, Kmdf, "--model", "proseware-robot");
        Refused("--model: no driver \"ProswareRobot\" is named; did you mean \"ProsewareRobot\"?", "run", Proseware, "--model", "ProswareRobot=scratch");
        Refused("--filter: no driver \"ContosoRobot\" is named; known: ProsewareRobot", "run", Proseware, "--filter", $"ContosoRobot={Filter}");
        Refused("GeneralRobot.sys is an export driver and has no device of its own", "run", Proseware, General, "--model", "GeneralRobot=scratch");
        Refused("AfterThought.sys is a filter and has no device of its own", "run", Proseware, "--filter", Filter, "--model", "AfterThought=scratch");
        Refused("it takes no place in a stack", "run", Proseware, "--lower-filter", General);
        Refused("is named twice; a driver takes one place in a stack", "run", Proseware, "--filter", Filter, "--filter", $"ProsewareRobot={Filter}");
        Refused("is named twice; a driver takes one place in a stack", "run", Proseware, "--filter", Filter, "--lower-filter", Filter);
        Refused("17 devices are too many: the bench has 16 slots", ["run", Proseware, .. Enumerable.Repeat("--model=proseware-robot", 17)]);
        Refused("--steps: no device \"contosorobot\"; did you mean \"contoso-robot\"?", "run", Proseware, Contoso, "--steps", "start,contosorobot:remove");
        Refused("wait is for the whole machine", "run", Proseware, Contoso, "--steps", "start,contoso-robot:wait=1s");
    }
}
