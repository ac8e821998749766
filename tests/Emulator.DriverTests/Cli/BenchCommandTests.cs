using System.Reflection.PortableExecutable;
using System.Text.Json;
using Emulator.DriverTests.GuestDrivers;
using Emulator.DriverTests.Native;
using Emulator.Tests.Cli;
using static Emulator.DriverTests.Cli.BenchSession;

namespace Emulator.DriverTests.Cli;

/// <summary>`emulator bench` on the drivers of guest-drivers, as a person types it.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class BenchCommandTests(Machine architecture)
{
    private const string Drive = "write=01000000c8000000c800000000000000";

    private string Proseware => GuestDriverFiles.PathOf(architecture, "ProsewareRobot.sys");
    private string Contoso => GuestDriverFiles.PathOf(architecture, "ContosoRobot.sys");
    private string General => GuestDriverFiles.PathOf(architecture, "GeneralRobot.sys");
    private string Filter => GuestDriverFiles.PathOf(architecture, "AfterThought.sys");

    [Test]
    public void Whatever_the_order_of_files_the_pair_lives_its_whole_life([Values] bool reversed)
    {
        CommandRun run = Bench(reversed ? ["run", Filter, General, Proseware] : ["run", Proseware, General, Filter]);
        Assert.That(run.Error, Is.Empty);
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(Roles(run), Is.EqualTo(new[] { "GeneralRobot.sys export driver", "ProsewareRobot.sys function driver", "AfterThought.sys upper filter" }));
        Assert.That(Block(run, "load order")[1], Does.Contain("GeneralRobot 1").And.Contain("nt "));
        Assert.That(Life(run), Is.EqualTo(new[]
        {
            "DllInitialize GeneralRobot STATUS_SUCCESS", "DriverEntry ProsewareRobot STATUS_SUCCESS", "DriverEntry AfterThought STATUS_SUCCESS",
            "AddDevice STATUS_SUCCESS", "START_DEVICE STATUS_SUCCESS", "CREATE STATUS_SUCCESS", "WRITE 16 STATUS_SUCCESS",
            "DEVICE_CONTROL 0x226018 STATUS_SUCCESS", "READ 64 STATUS_PENDING", "cancel STATUS_CANCELLED",
            "CLEANUP, CLOSE STATUS_SUCCESS", "SET_POWER S3 STATUS_SUCCESS", "SET_POWER S0 STATUS_SUCCESS", "SET_POWER D3 STATUS_SUCCESS",
            "SET_POWER D0 STATUS_SUCCESS", "QUERY_STOP_DEVICE STATUS_SUCCESS", "STOP_DEVICE STATUS_SUCCESS", "START_DEVICE STATUS_SUCCESS",
            "QUERY_REMOVE_DEVICE STATUS_SUCCESS", "REMOVE_DEVICE STATUS_SUCCESS", "AddDevice STATUS_SUCCESS", "START_DEVICE STATUS_SUCCESS",
            "CREATE STATUS_SUCCESS", "READ 64 STATUS_PENDING", "SURPRISE_REMOVAL STATUS_SUCCESS", "CLEANUP, CLOSE STATUS_SUCCESS",
            "REMOVE_DEVICE STATUS_SUCCESS", "DriverUnload AfterThought STATUS_SUCCESS", "DriverUnload ProsewareRobot STATUS_SUCCESS",
        }));
        Assert.That(Block(run, "devstack")[^3..], Is.EqualTo(new[]
        {
            "  Filter DO  AfterThought.sys", "  FDO        (ProsewareRobot.sys, GeneralRobot.sys)", "  PDO        pci.sys",
        }));
        Assert.That(Block(run, "drvobj ProsewareRobot 2").Select(WithoutAddresses), Is.EqualTo(ProsewareListing.Select(l => $"  {l}")));
        Assert.That(Block(run, "drvobj AfterThought 2"), Has.Length.EqualTo(35));
        Assert.That(Block(run, "pair")[0], Is.EqualTo("  Driver pair (ProsewareRobot.sys, GeneralRobot.sys)"));
        Assert.That(Block(run, "pair")[^1], Does.Match(@"^  The pair takes one level of the 3 in the stack of [0-9a-f]+, its FDO\.$"));
        Assert.That(Block(run, "devnode"), Has.Some.EqualTo("      State = DeviceNodeStarted (0x308)"));
        Assert.That(Block(run, "findings"), Is.EqualTo(new[] { "  none" }));
        Assert.That(run.Output.TrimEnd().Split('\n')[^1],
            Does.Match(@"^clean: 3 modules, 29 steps, \d+ instructions, 25\d\d(\.\d+)? ms of virtual time, 1 interrupt, 1 DPC$"));
    }

    [Test]
    public void A_device_that_has_started_is_not_started_again()
    {
        CommandRun run = Bench("run", Proseware, "--steps", "start,start");
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(run.Output, Does.Match(@"START_DEVICE +left out .+it has started; stop comes before"));
    }

    [Test]
    public void What_a_driver_is_asked_in_every_life_stands_beside_it()
    {
        CommandRun run = Asked("ioctl=0x222000:4:00000001,wait=1ms # one\n\n# two\nioctl=0x222000:4:00000002\n");
        Assert.That(run.ExitCode, Is.Zero, run.Error + run.Output);
        Assert.That(Life(run).Count(step => step.StartsWith("DEVICE_CONTROL 0x222000", StringComparison.Ordinal)), Is.EqualTo(2));
        Assert.That(Life(run), Has.One.EqualTo("wait 1 ms STATUS_SUCCESS"));
    }

    [TestCase("start", "start is no request; write read, write, ioctl, cancel, wait, for no device by name")]
    [TestCase("scratch:read=4", "read is no request")]
    [TestCase("raed=4", "no step \"raed\"; did you mean \"read\"?")]
    [TestCase("write=xyz", "\"write=xyz\" is no step; write write=HEX")]
    public void A_file_of_requests_has_requests_alone(string requests, string error)
    {
        CommandRun run = Asked(requests);
        Assert.That(run.ExitCode, Is.EqualTo(2), run.Output);
        Assert.That(run.Error, Does.Match(@"^emulator: /.+/quiet\.requests: " + System.Text.RegularExpressions.Regex.Escape(error)));
    }

    private CommandRun Asked(string requests)
    {
        using var folder = new TemporaryFolder();
        string driver = folder.In("quiet.sys");
        File.Copy(Targets.BuildDriver(architecture, "stubborn"), driver);
        File.WriteAllText(folder.In("quiet.requests"), requests);
        return Bench("run", driver, "--model", "scratch", "--steps", "start,open,requests,close");
    }

    [Test]
    public void A_stack_that_says_no_is_asked_no_further_and_its_device_is_pulled_out()
    {
        const string steps = "start,open,ioctl=0x222000:4:00000000,close,stop";
        CommandRun run = Bench("run", Targets.BuildDriver(architecture, "stubborn"), "--model", "scratch", "--steps", steps);
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(Life(run)[^7..^1], Is.EqualTo(new[]
        {
            "QUERY_STOP_DEVICE STATUS_UNSUCCESSFUL", "CANCEL_STOP_DEVICE STATUS_SUCCESS", "QUERY_REMOVE_DEVICE STATUS_UNSUCCESSFUL",
            "CANCEL_REMOVE_DEVICE STATUS_SUCCESS", "SURPRISE_REMOVAL STATUS_SUCCESS", "REMOVE_DEVICE STATUS_SUCCESS",
        }));
    }

    [Test]
    public void A_driver_may_take_buffers_where_the_program_has_them()
    {
        const string steps = "start,open,ioctl=0x222000:4:00000000,ioctl=0x222003:4:01020304,write=05060708,read=4";
        CommandRun run = Bench("run", Targets.BuildDriver(architecture, "neither"), "--model", "scratch", "--steps", steps);
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(Block(run, "life"), Has.Some.Matches("DEVICE_CONTROL 0x222003 .* 4 bytes: 02020304$").And.Some.Matches("WRITE 4 .* 4 bytes$")
            .And.Some.Matches("READ 4 .* 4 bytes: 06060708$"));
    }

    [Test]
    public void What_is_imported_from_is_found_whatever_the_case_of_its_name_and_never_what_the_bench_is_itself()
    {
        using var folder = new TemporaryFolder();
        File.Copy(Proseware, folder.In("prosewarerobot.SYS"));
        File.Copy(General, folder.In("GENERALROBOT.SYS"));
        foreach (string own in new[] { "WDFLDR.SYS", "hal.dll", "ntoskrnl.exe" }) File.Copy(General, folder.In(own));
        CommandRun run = Bench("run", folder.In("prosewarerobot.SYS"), "--model", "proseware-robot", "--steps", "start");
        Assert.That(run.Error, Is.Empty);
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(Block(run, "load order"), Has.Length.EqualTo(2));
    }

    [Test]
    public void A_framework_driver_lives_its_life_too_and_its_callbacks_are_told()
    {
        CommandRun run = Bench("run", GuestDriverFiles.PathOf(architecture, "KmdfRobot.sys"), Filter);
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(Life(run), Has.Some.EqualTo("SET_POWER S3 STATUS_SUCCESS").And.Some.EqualTo("SURPRISE_REMOVAL STATUS_SUCCESS"));
        Assert.That(Block(run, "callbacks of the framework")[..3], Is.EqualTo(new[]
        {
            "  KmdfRobot: EvtDriverDeviceAdd = 0x00000000", "  KmdfRobot: EvtDevicePrepareHardware = 0x00000000",
            "  KmdfRobot: EvtDeviceD0Entry (from WdfPowerDeviceD3Final) = 0x00000000",
        }));
        Assert.That(Block(run, "pair")[0], Is.EqualTo("  Driver pair (KmdfRobot.sys, Wdf01000.sys)"));
        Assert.That(Block(run, "findings"), Is.EqualTo(new[] { "  none" }));
    }

    [Test]
    public void Two_runs_print_the_same_to_the_byte()
    {
        string first = Bench("run", Proseware, Filter).Output, second = Bench("run", Proseware, Filter).Output;
        Assert.That(second, Is.EqualTo(first));
    }

    [Test]
    public void What_the_driver_imports_from_is_found_beside_it()
        => Assert.That(Block(Bench("run", Contoso, "--steps", "start"), "load order"), Has.Length.EqualTo(2));

    [Test]
    public void Requests_carry_data_and_wait_for_interrupts([Values("messages", "line")] string interrupts)
    {
        CommandRun run = Bench("run", Contoso, "--interrupts", interrupts, "--steps", $"start,open,{Drive},wait=3s,ioctl=0x226018:24,ioctl=0x999");
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(Life(run), Has.Some.EqualTo("WRITE 16 STATUS_PENDING").And.Some.EqualTo("DEVICE_CONTROL 0x226018 STATUS_SUCCESS")
            .And.Some.EqualTo("DEVICE_CONTROL 0x999 STATUS_INVALID_DEVICE_REQUEST"));
        Assert.That(run.Output, Does.Match(@"24 bytes: 0[1-9]"), "interrupts that were ours");
        Assert.That(run.Output.TrimEnd().Split('\n')[^1], Does.Match(@"[1-9]\d* interrupts?, [1-9]\d* DPCs?$"));
    }

    [Test]
    public void A_life_that_leaves_its_end_out_is_ended()
    {
        CommandRun run = Bench("run", Proseware, "--steps", "start,open,stop");
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(Life(run)[^3..],
            Is.EqualTo(new[] { "CLEANUP, CLOSE STATUS_SUCCESS", "REMOVE_DEVICE STATUS_SUCCESS", "DriverUnload ProsewareRobot STATUS_SUCCESS" }));
    }

    [Test]
    public void A_fault_is_made_and_said_and_is_no_failure_by_itself()
    {
        CommandRun run = Bench("run", Proseware, "--fail-allocation", "3");
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(Block(run, "faults made"), Has.Length.EqualTo(1));
        Assert.That(Block(run, "faults made")[0], Does.Contain("failed, allocation 3; GeneralRobot!"));
        run = Bench("run", Proseware, "--device-gone", "20");
        Assert.That(run.ExitCode, Is.Zero, run.Output);
        Assert.That(Block(run, "faults made")[0], Does.Contain("1234:5057 is gone, at access 20"));
    }

    [Test]
    public void A_fault_that_never_came_says_what_there_was_to_count()
        => Assert.That(Block(Bench("run", Proseware, "--fail-allocation", "50000"), "faults made").Single(),
            Does.Match(@"^  none: there were [1-9]\d+ allocations, [1-9]\d+ accesses to the first device and \d+ interrupts$"));

    [Test]
    public void A_device_that_does_not_start_is_a_failure_and_the_rest_of_its_life_is_left_out()
    {
        CommandRun run = Bench("run", Proseware, "--model", "contoso-robot", "--steps", "start,open");
        Assert.That(run.ExitCode, Is.EqualTo(1));
        Assert.That(Life(run), Is.EqualTo(new[]
        {
            "DllInitialize GeneralRobot STATUS_SUCCESS", "DriverEntry ProsewareRobot STATUS_SUCCESS", "AddDevice STATUS_SUCCESS",
            "START_DEVICE STATUS_DEVICE_CONFIGURATION_ERROR", "REMOVE_DEVICE STATUS_SUCCESS", "open left out", "DriverUnload ProsewareRobot STATUS_SUCCESS",
        }));
        Assert.That(run.Output.TrimEnd().Split('\n')[^1], Does.StartWith("failed: START_DEVICE STATUS_DEVICE_CONFIGURATION_ERROR: "));
        CommandRun view = Bench("devstack", Proseware, "--model", "contoso-robot");
        Assert.That((view.ExitCode, view.Output), Is.EqualTo((1, "")));
        Assert.That(view.Error, Does.StartWith("emulator: there is no device to look at: START_DEVICE STATUS_DEVICE_CONFIGURATION_ERROR"));
    }

    [Test]
    public void A_broken_rule_is_a_finding_with_its_function_and_exit_code_1()
    {
        CommandRun run = Bench("run", Proseware, "--interrupts", "line", "--storm", "1", "--steps", $"start,open,{Drive},wait=3s");
        Assert.That(run.ExitCode, Is.EqualTo(1));
        Assert.That(Block(run, "findings"), Has.Some.StartsWith("  Interrupt: "));
        Assert.That(run.Output.TrimEnd().Split('\n')[^1], Does.StartWith("1 finding: "));
    }

    [Test]
    public void The_report_is_JSON_too()
    {
        using JsonDocument json = JsonDocument.Parse(Bench("run", Proseware, Filter, "--format", "json").Output);
        JsonElement root = json.RootElement;
        Assert.That(root.GetProperty("machine").GetString(), Is.EqualTo(architecture == Machine.Amd64 ? "x64" : "x86"));
        Assert.That(root.GetProperty("modules").EnumerateArray().Select(m => m.GetProperty("role").GetString()),
            Is.EqualTo(new[] { "ExportDriver", "FunctionDriver", "UpperFilter" }));
        JsonElement device = root.GetProperty("devices").EnumerateArray().Single();
        Assert.That(device.GetProperty("stack").GetProperty("levels").GetArrayLength(), Is.EqualTo(3));
        Assert.That(device.GetProperty("pair").GetProperty("isOneLevel").GetBoolean(), Is.True);
        Assert.That(root.GetProperty("clean").GetBoolean(), Is.True);
        Assert.That(root.TryGetProperty("cost", out _), Is.False, "only with --time");
    }

    [Test]
    public void The_cost_is_said_when_asked_for()
        => Assert.That(Bench("run", Proseware, "--time").Output, Does.Match(@"; here \d+ ms, [\d.]+ million instructions/s, \d+ MB\n$"));

    [Test]
    public void Every_access_can_be_watched_as_it_happens()
    {
        string[] lines = Bench("run", Proseware, "--live", "--steps", "start").Output.Split('\n');
        int report = Array.FindIndex(lines, l => l == "load order");
        Assert.That(lines[..report], Has.Some.Match(@"^ +0\.000  proseware-robot  R +BAR0 PROSEWARE.ID .* ProsewareRobot!"));
    }

    [Test]
    public void Drvobj_takes_WinDbgs_flags()
    {
        CommandRun dispatch = Bench("drvobj", "ProsewareRobot", "2", Proseware), both = Bench("drvobj", "prosewarerobot.sys", Proseware, Filter);
        Assert.That(dispatch.Output.TrimEnd().Split('\n').Select(WithoutAddresses), Is.EqualTo(ProsewareListing));
        Assert.That((dispatch.ExitCode, dispatch.Error), Is.EqualTo((0, "")));
        Assert.That(both.Output, Does.Contain("Device Object list:\n").And.Contain("Dispatch routines:\n"));
        Assert.That(Bench("drvobj", "pci", "4", Proseware).Output, Does.Not.Contain("Dispatch routines:"));
    }

    [Test]
    public void Devstack_devnode_and_pair_are_commands_of_their_own()
    {
        Assert.That(Bench("devstack", Proseware, Filter).Output, Does.Match(@"^  !DevObj +!DrvObj +!DevExt +ObjectName\n  [0-9a-f]+  \\Driver\\AfterThought "));
        Assert.That(Bench("devnode", Proseware).Output, Does.StartWith("DevNode 0x").And.Contain("ServiceName is \"ProsewareRobot\""));
        Assert.That(Bench("pair", "ProsewareRobot", Proseware).Output, Does.StartWith("Driver pair (ProsewareRobot.sys, GeneralRobot.sys)\n"));
        using JsonDocument json = JsonDocument.Parse(Bench("devstack", Proseware, "--format", "json").Output);
        Assert.That(json.RootElement.GetProperty("levels").GetArrayLength(), Is.EqualTo(2));
    }

    [Test]
    public void A_look_comes_after_the_steps_one_asks_for()
    {
        Assert.That(Bench("devnode", Proseware, "--steps", "start,stop").Output, Does.Contain("State = DeviceNodeStopped (0x30a)\n"));
        Assert.That(Bench("devnode", Proseware, "--steps", "").Output, Does.Contain("State = DeviceNodeDriversAdded (0x303)\n"));
        CommandRun gone = Bench("devstack", Proseware, "--steps", "start,surprise");
        Assert.That((gone.ExitCode, gone.Output), Is.EqualTo((1, "")));
        Assert.That(gone.Error, Is.EqualTo("emulator: there is no device after these steps; leave those out that remove it\n"));
    }

    [Test]
    public void Bad_input_gets_one_line_that_says_what_to_do()
    {
        using var folder = new TemporaryFolder();
        string alone = folder.In("ProsewareRobot.sys"), unknown = folder.In("AfterThought.sys"), text = folder.In("text.sys");
        File.Copy(Proseware, alone);
        File.Copy(Filter, unknown);
        File.WriteAllText(text, "this is no driver, whatever it is called");
        string other = GuestDriverFiles.PathOf(architecture == Machine.Amd64 ? Machine.I386 : Machine.Amd64, "AfterThought.sys");
        Refused("there is no such file; name a driver (.sys), `make drivers` builds the robots'", "run", folder.In("none.sys"));
        Refused("is a folder; name the driver files in it", "run", folder.Path);
        Refused("the name of a driver's file is empty", "run", "");
        Refused("the name of a driver's file is empty", "run", Proseware, "--filter", "ProsewareRobot=");
        Refused($"emulator: {text}: not a PE file: no MZ at offset 0", "run", text);
        Refused("name files for one machine", "run", Proseware, other);
        Refused("says which device it drives; choose with --model: parallel-port,", "run", unknown);
        Refused("GeneralRobot.sys!GeneralRobotInit; name GeneralRobot.sys, too, or put it beside", "run", alone, "--model", "proseware-robot");
        Refused("is an export driver: others import from it", "run", General);
        Refused("every driver is a filter; name the function driver", "run", General, "--filter", Filter);
        Refused("is named twice", "run", Proseware, "--filter", Filter, "--filter", Filter);
        Refused("no model \"proseware-robt\"; did you mean \"proseware-robot\"?", "run", Proseware, "--model", "proseware-robt");
        Refused("unknown option '--liv'; did you mean \"--live\"?", "run", Proseware, "--liv");
        Refused("no step \"strat\"; did you mean \"start\"?", "run", Proseware, "--steps", "strat");
        Refused("write ioctl=CODE", "run", Proseware, "--steps", "start,ioctl=x");
        Refused("write write=HEX or write=@FILE, at most 1 MiB", "run", Proseware, "--steps", "start,write=@");
        Refused("--steps: '/dev/zero' is longer than 1 MiB; name another file", "run", Proseware, "--steps", "start,write=@/dev/zero");
        Refused("--steps: Could not find file '", "run", Proseware, "--steps", $"start,write=@{folder.In("none")}");
        Refused("write wait=TIME", "run", Proseware, "--steps", "wait=9000s");
        Refused("start takes no value", "run", Proseware, "--steps", "start=1");
        Refused("--storm takes a number from 1 on, not '0'", "run", Proseware, "--storm", "0");
        Refused("cannot write the trace '': its name is empty; name a file", "run", Proseware, "--trace", "");
        Refused($"cannot write the trace '{folder.Path}': it is a folder; name a file in it", "run", Proseware, "--trace", folder.Path);
        Refused($"cannot write the trace '{text}/x': ", "run", Proseware, "--trace", $"{text}/x");
        Refused("drvobj's flags are 1, 2, 4 and their sums, not 8", "drvobj", "ProsewareRobot", "8", Proseware);
        Refused("There is no driver 'Nobody'. Known are: PnpManager, pci, ProsewareRobot", "drvobj", "Nobody", "2", Proseware);
    }

    [Test]
    public void A_file_without_an_end_is_refused_and_an_INF_without_one_passed_over()
    {
        using var folder = new TemporaryFolder();
        string driver = folder.In("ProsewareRobot.sys"), map = folder.In("ProsewareRobot.map");
        Refused("emulator: /dev/zero: cannot be read: '/dev/zero' is longer than 64 MiB; name another file", "run", "/dev/zero");
        File.Copy(Proseware, driver);
        File.Copy(General, folder.In("GeneralRobot.sys"));
        File.CreateSymbolicLink(folder.In("ProsewareRobot.inf"), "/dev/zero");
        CommandRun run = Bench("run", driver, "--model", "proseware-robot", "--steps", "start");
        Assert.That(run.ExitCode, Is.Zero, run.Error);
        File.CreateSymbolicLink(map, "/dev/zero");
        Refused($"emulator: '{map}' is longer than 64 MiB; name another file", "run", driver, "--model", "proseware-robot");
        File.Delete(map);
        File.CreateSymbolicLink(folder.In("ProsewareRobot.requests"), "/dev/zero");
        Refused("ProsewareRobot.requests' is longer than 1 MiB; name another file", "run", driver, "--model", "proseware-robot");
    }

    private static string[] ProsewareListing { get; } =
    [
        "Driver object () is for:", @"\Driver\ProsewareRobot", "DriverEntry: ProsewareRobot!GsDriverEntry", "DriverStartIo: 00000000",
        "DriverUnload: GeneralRobot!RobotUnload", "AddDevice: GeneralRobot!RobotAddDevice", "Dispatch routines:", .. Pnp.ViewTests.Dispatch,
    ];
}
