using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Wdf;

/// <summary>The framework's file objects, as Programs/framework-files.c uses them.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class FrameworkFileTests(Machine architecture)
{
    private const uint Success = NtStatus.Success;
    private const int Files = 13, FilterFiles = 14;
    private const uint Check = 40, Refuse = 41;

    [Test]
    public void The_driver_is_told_of_each_file_from_its_opening_to_its_end()
    {
        var bench = new FrameworkBench(architecture, Files);
        Assert.That(bench.Node.Start(), Is.EqualTo(Success));
        bench.TakeEvents();
        BenchFile file = bench.Node.Open();
        Assert.That(bench.TakeEvents(), Is.EqualTo(new[] { "EvtDeviceFileCreate" }));
        BenchRequest waiting = file.Read(4);
        file.Close();
        Assert.That(waiting.Status, Is.EqualTo(NtStatus.Cancelled));
        Assert.That(bench.TakeEvents(), Is.EqualTo(new[] { "EvtFileCleanup", "EvtFileClose", "EvtCleanupCallback", "EvtDestroyCallback" }));
        bench.End();
        Assert.That(bench.Machine.Findings, Is.Empty);
    }

    [TestCase(Files, 1, 2)]
    [TestCase(0, 0, 0)]
    public void A_request_leads_to_its_file_and_that_to_what_the_driver_keeps_of_it(int variant, int first, int second)
    {
        var bench = new FrameworkBench(architecture, variant);
        Assert.That(bench.Node.Start(), Is.EqualTo(Success));
        BenchFile file = bench.Node.Open(), other = bench.Node.Open();
        Assert.That(Ask(file, Check), Is.EqualTo(new[] { 0, first }), "the line of framework-files.c that does not hold, and the file's number");
        Assert.That(Ask(other, Check), Is.EqualTo(new[] { 0, second }));
        other.Close();
        Assert.That(Ask(file, Check), Is.EqualTo(new[] { 0, first }));
        file.Close();
        bench.End();
        Assert.That(bench.Machine.Findings, Is.Empty);
    }

    [Test]
    public void One_that_the_driver_refuses_leaves_nothing()
    {
        var bench = new FrameworkBench(architecture, Files);
        Assert.That(bench.Node.Start(), Is.EqualTo(Success));
        BenchFile file = bench.Node.Open();
        Ask(file, Refuse);
        bench.TakeEvents();
        Assert.That(() => bench.Node.Open(), Throws.TypeOf<DriverStatusException>().With.Property("Status").EqualTo(0xC000_0022), "STATUS_ACCESS_DENIED");
        // No cleanup and no close come of it.
        Assert.That(bench.TakeEvents(), Is.EqualTo(new[] { "EvtDeviceFileCreate", "EvtCleanupCallback", "EvtDestroyCallback" }));
        bench.Node.Open().Close();
        file.Close();
        bench.End();
        Assert.That(bench.Machine.Findings, Is.Empty);
    }

    [Test]
    public void A_filter_s_files_are_those_of_the_driver_below()
    {
        var bench = new KmdfBench(architecture, InterruptGrant.Messages, filter: machine => FrameworkBench.Load(machine, FilterFiles));
        Assert.That(bench.Node.Start(), Is.EqualTo(Success));
        BenchFile file = bench.Node.Open();
        BenchRequest state = file.Control(KmdfBench.GetState, outputLength: KmdfBench.StateSize);
        Assert.That((state.Status, state.Information), Is.EqualTo((Success, (ulong)KmdfBench.StateSize)));
        file.Close();
        Assert.That((bench.Node.QueryRemove(), bench.Node.Remove()), Is.EqualTo((Success, Success)));
        bench.Unload();
        Assert.That(bench.Machine.Findings, Is.Empty);
    }

    private static int[] Ask(BenchFile file, uint number)
    {
        byte[] said = FrameworkBench.Control(file, number, outputLength: 8).Output;
        return [BitConverter.ToInt32(said), BitConverter.ToInt32(said, 4)];
    }
}
