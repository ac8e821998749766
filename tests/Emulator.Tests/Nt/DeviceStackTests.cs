using System.Text.Json;
using Emulator.Nt;
using Emulator.Nt.Objects;
using Emulator.Nt.Views;

namespace Emulator.Tests.Nt;

[TestFixture, Category("Unit")]
internal sealed class DeviceStackTests
{
    [Test]
    public void The_robots_stack_is_the_one_of_the_text([Values] bool is64)
    {
        var world = new RobotWorld(is64);
        DeviceStackListing stack = world.Viewer.ShowStack(world.Fdo)!;
        Assert.That(stack.ToFigure(), Is.EqualTo("""
            Filter DO  AfterThought.sys
            FDO        (ProsewareRobot.sys, GeneralRobot.sys)
            PDO        pci.sys

            """));
        Assert.That(stack.Levels.Select(l => l.StackSize), Is.EqualTo(new[] { 3, 2, 1 }));
        Assert.That(stack.FunctionBasis, Is.EqualTo("the device node's service name"));
        Assert.That(stack.Findings, Is.Empty);
    }

    [Test]
    public void A_stack_is_listed_as_by_WinDbg_from_any_of_its_devices()
    {
        var world = new RobotWorld(is64: true);
        string[] marks = [">", " ", " "];
        foreach (ulong device in (ulong[])[world.Filter, world.Fdo, world.Pdo])
        {
            Assert.That(world.Viewer.ShowStack(device)!.ToString(), Is.EqualTo($"""
                  !DevObj           !DrvObj                 !DevExt           ObjectName
                {marks[0]} fffffa8001007000  \Driver\AfterThought    fffffa8001007150
                {marks[1]} fffffa8001006000  \Driver\ProsewareRobot  fffffa8001006150
                {marks[2]} fffffa8001005000  \Driver\pci             fffffa8001005150  NTPNP_PCI0007
                !DevNode fffffa8001009000 :
                  DeviceInst is "PCI\VEN_1234&DEV_5057\3&11583659&0&20"
                  ServiceName is "ProsewareRobot"

                """));
            marks = [marks[2], marks[0], marks[1]];
        }
    }

    [Test]
    public void On_x86_addresses_have_eight_digits()
    {
        var world = new RobotWorld(is64: false);
        Assert.That(world.Viewer.ShowStack(world.Pdo)!.ToString(), Is.EqualTo("""
              !DevObj   !DrvObj                 !DevExt   ObjectName
              81007000  \Driver\AfterThought    810070b8
              81006000  \Driver\ProsewareRobot  810060b8
            > 81005000  \Driver\pci             810050b8  NTPNP_PCI0007
            !DevNode 81009000 :
              DeviceInst is "PCI\VEN_1234&DEV_5057\3&11583659&0&20"
              ServiceName is "ProsewareRobot"

            """));
    }

    [Test]
    public void A_pair_takes_one_level([Values] bool is64)
    {
        var world = new RobotWorld(is64);
        DriverPairListing pair = world.Viewer.ShowPair(world.Proseware)!;
        Assert.That(pair.Files, Is.EqualTo("(ProsewareRobot.sys, GeneralRobot.sys)"));
        Assert.That(pair.SpecificBasis, Is.EqualTo("DriverStart"));
        Assert.That(pair.DefaultEntry!.Count, Is.EqualTo(18));
        Assert.That(pair.General.Single().DispatchRoutines, Has.Count.EqualTo(10));
        Assert.That(pair.IsOneLevel, Is.True);
        Assert.That(pair.Levels, Is.EqualTo(new[] { new PairLevel(new NtAddress(world.Fdo, is64), DeviceRole.Functional, 1, 3) }));
        Assert.That(pair.ToString(), Does.EndWith($"The pair takes one level of the 3 in the stack of {pair.Levels[0].Device}, its FDO.\n"));
    }

    [Test]
    public void Two_devices_of_the_same_driver_in_a_stack_are_two_levels()
    {
        var world = new RobotWorld(is64: true);
        world.Memory.AddDevice(0xfffffa80_02000000, world.Proseware, world.Filter);
        DriverPairListing pair = world.Viewer.ShowPair(world.Proseware)!;
        Assert.That(pair.IsOneLevel, Is.False);
        Assert.That(pair.Levels.Select(l => l.Levels), Is.EqualTo(new[] { 2, 2 }));
    }

    [Test]
    public void A_filter_and_a_bus_driver_are_no_pairs([Values] bool is64)
    {
        var world = new RobotWorld(is64);
        Assert.That(world.Viewer.ShowPair(world.AfterThought)!.IsPair, Is.False);
        Assert.That(world.Viewer.ShowPair(world.Pci)!.IsPair, Is.False);
    }

    [Test]
    public void One_function_for_every_request_is_a_dispatch_routine_and_no_default()
    {
        var world = new RobotWorld(is64: true);
        const ulong framework = 0xfffff800_07000000;
        world.Symbols.AddModule(framework, "Wdf01000");
        world.Symbols.AddModule(0xfffff800_08000000, "KmdfRobot");
        ulong driver = world.Memory.AddDriver(0xfffffa80_02000000, @"\Driver\KmdfRobot", 0xfffff800_08000000, unload: 0xfffff800_08000100,
            addDevice: framework + 0x10, entries: [.. Enumerable.Repeat(framework + 0x100, 28)]);
        DriverPairListing pair = world.Viewer.ShowPair(driver)!;
        Assert.That(pair.Files, Is.EqualTo("(KmdfRobot.sys, Wdf01000.sys)"));
        Assert.That(pair.General.Single().DispatchRoutines, Is.EqualTo(MajorFunctions.Names));
    }

    [Test]
    public void Without_a_service_name_the_pair_tells_the_function_device()
    {
        var world = new RobotWorld(is64: false, service: "", reactOs: true);
        DeviceStackListing stack = world.Viewer.ShowStack(world.Filter)!;
        Assert.That(stack.Levels.Select(l => l.Role), Is.EqualTo(new[] { DeviceRole.Filter, DeviceRole.Functional, DeviceRole.Physical }));
        Assert.That(stack.FunctionBasis, Is.EqualTo("the only driver pair above the PDO"));
    }

    [Test]
    public void Nodes_are_a_tree_with_their_states_by_name([Values] bool is64, [Values] bool reactOs)
    {
        var world = new RobotWorld(is64, reactOs: reactOs);
        string high = is64 ? "fffffa8001" : "81";
        string none = new('0', is64 ? 16 : 8);
        Assert.That(world.Viewer.ShowNodes(world.Root)!.ToString(), Is.EqualTo($"""
            DevNode 0x{high}008000 for PDO 0x{high}004000
              InstancePath is "HTREE\ROOT\0"
              State = DeviceNodeStarted (0x308)
              Previous State = DeviceNodeStartPostWork (0x307)
              DevNode 0x{high}009000 for PDO 0x{high}005000
                InstancePath is "PCI\VEN_1234&DEV_5057\3&11583659&0&20"
                ServiceName is "ProsewareRobot"
                State = DeviceNodeStarted (0x308)
                Previous State = DeviceNodeStartPostWork (0x307)
              DevNode 0x{high}00a000 for PDO 0x{none}
                InstancePath is "PCI\VEN_1234&DEV_434F\3&11583659&0&28"
                State = DeviceNodeInitialized (0x302)
                Previous State = DeviceNodeStartPostWork (0x307)

            """));
    }

    [Test]
    public void A_listing_can_show_devices_and_their_stacks()
    {
        var world = new RobotWorld(is64: true);
        DriverListing listing = world.Viewer.ShowDriver(world.Pci, DriverListingParts.Devices | DriverListingParts.Stacks)!;
        Assert.That(listing.ToString(), Does.StartWith("""
            Driver object (fffffa8001001000) is for:
            \Driver\pci
            Device Object list:
            fffffa8001005000  fffffa8001004000
            Device Object stacks:
            !devstack fffffa8001005000 :
              !DevObj 
            """));
        Assert.That(listing.Stacks!.Select(s => s.Levels.Count), Is.EqualTo(new[] { 3, 1 }));
        Assert.That(listing.DispatchRoutines, Is.Null);
    }

    [Test]
    public void Views_are_JSON_with_addresses_as_digits([Values] bool is64)
    {
        var world = new RobotWorld(is64);
        DriverPairListing pair = world.Viewer.ShowPair(world.Proseware)!;
        using JsonDocument json = JsonDocument.Parse(JsonSerializer.Serialize(pair, NtJson.Default.DriverPairListing));
        Assert.That(json.RootElement.GetProperty("driverObject").GetString(), Is.EqualTo(pair.DriverObject.ToString()));
        Assert.That(json.RootElement.GetProperty("isOneLevel").GetBoolean(), Is.True);
        Assert.That(json.RootElement.GetProperty("levels")[0].GetProperty("role").GetString(), Is.EqualTo("Functional"));
        DeviceStackListing stack = world.Viewer.ShowStack(world.Fdo)!;
        string text = JsonSerializer.Serialize(stack, NtJson.Default.DeviceStackListing);
        Assert.That(JsonSerializer.Deserialize(text, NtJson.Default.DeviceStackListing)!.ToString(), Is.EqualTo(stack.ToString()));
    }

    [Test]
    public void Modules_name_addresses_where_symbols_are_missing([Values] bool is64)
    {
        var memory = new FakeNt(is64);
        ulong high = is64 ? 0xfffff880_00000000 : 0xf0000000;
        // Kernel, driver, and the list's head, which is no module.
        memory.AddModule(high + 0x1000, high + 0x2000, high + 0x01000000, 0x500000, "ntkrnlpa.exe");
        memory.AddModule(high + 0x2000, high + 0x3000, high + 0x02000000, 0x8000, "parport.sys");
        memory.AddModule(high + 0x3000, high + 0x1000, 0, 0, "");
        var reader = new ObjectReader(memory, is64 ? NtLayout.X64 : NtLayout.X86);
        var findings = new List<NtFinding>();
        var symbols = new ModuleSymbols(reader.ReadModules(high + 0x2000, findings));
        Assert.That(findings, Is.Empty);
        Assert.That(symbols.Describe(high + 0x02001234), Is.EqualTo("parport+0x1234"));
        Assert.That(symbols.ModuleOf(high + 0x01000000), Is.EqualTo("nt"));
        Assert.That(symbols.ModuleOf(high + 0x02008000), Is.Null);
    }
}
