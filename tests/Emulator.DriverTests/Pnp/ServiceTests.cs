using System.Reflection.PortableExecutable;
using DeviceModels.Robot.Proseware;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pe;
using Emulator.DriverBench.Pnp;
using Emulator.DriverTests.Native;

namespace Emulator.DriverTests.Pnp;

/// <summary>NT's services as a driver in C calls them: Programs/services.c and its sibling say at which of their lines an answer was wrong.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class ServiceTests(Machine architecture)
{
    [TestCase("services", 1, TestName = "Events_semaphores_and_mutexes_are_waited_for")]
    [TestCase("services", 2, TestName = "Timers_expire_once_again_and_again_and_not_when_cancelled")]
    [TestCase("services", 3, TestName = "Work_items_and_threads_run_while_others_wait")]
    [TestCase("services", 4, TestName = "Lists_and_locks_keep_their_order")]
    [TestCase("services", 5, TestName = "Counted_strings_are_compared_joined_and_converted")]
    [TestCase("services", 6, TestName = "Printf_and_the_c_library_answer_as_nt_does")]
    [TestCase("services", 7, TestName = "Keys_and_values_of_the_registry_are_kept")]
    [TestCase("requestservices", 8, TestName = "A_driver_makes_requests_of_its_own")]
    [TestCase("requestservices", 9, TestName = "Memory_descriptor_lists_describe_pool")]
    [TestCase("requestservices", 10, TestName = "Devices_are_found_by_name_and_have_properties")]
    [TestCase("requestservices", 11, TestName = "Start_io_gets_one_packet_after_the_other")]
    [TestCase("requestservices", 12, TestName = "The_bus_tells_names_relations_and_its_configuration_space")]
    [TestCase("requestservices", 13, TestName = "A_locked_section_may_run_at_dispatch_level")]
    [TestCase("requestservices", 14, TestName = "Cancel_safe_queues_call_the_drivers_functions")]
    [TestCase("requestservices", 15, TestName = "Extensions_of_drivers_old_hal_calls_and_queued_locks_work")]
    [TestCase("requestservices", 16, TestName = "A_request_that_was_passed_on_comes_back")]
    public void The_services_answer(string program, int family)
    {
        string path = Targets.BuildDriver(architecture, program);
        PeImage image = PeImage.Open(path);
        var machine = new BenchMachine(architecture);
        LoadedDriver driver = machine.Load(image, LinkerMap.Parse(File.ReadAllText(Path.ChangeExtension(path, ".map")), image));
        DeviceNode node = machine.Plug(slot => new ProsewareRobot(slot), InterruptGrant.Line);
        node.AddDevice(driver);
        Assert.That(node.Start(), Is.EqualTo(NtStatus.Success));
        BenchFile file = node.Open();
        BenchRequest request = file.Control(0x0022_2000, BitConverter.GetBytes(family), 4);
        Assert.That(request.Status, Is.EqualTo(NtStatus.Success));
        Assert.That(BitConverter.ToInt32(request.Output), Is.Zero, $"the line of {program}.c");
        file.Close();
        Assert.That(node.Remove(), Is.EqualTo(NtStatus.Success));
        node.Unplug();
        machine.Unload(driver);
        Assert.That(machine.Findings, Is.Empty);
    }
}
