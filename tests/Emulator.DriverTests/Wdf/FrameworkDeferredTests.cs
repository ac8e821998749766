using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Wdf;

/// <summary>The framework's timers and work items, as Programs/framework-deferred.c uses them.</summary>
[TestFixture(Machine.Amd64)]
[TestFixture(Machine.I386)]
[Category("Driver")]
internal sealed class FrameworkDeferredTests(Machine architecture)
{
    private const uint Success = NtStatus.Success, IncompatibleLevel = 0xC020_020C;
    private const int Serialized = 10, Passive = 11;
    private const uint OnceTimer = 22, PassiveTimer = 23, PeriodicTimer = 24, StopTimer = 25, SerializedItem = 26, SerializedTimer = 27, EnqueueItem = 28;
    private const long Millisecond = 1_000_000;

    private FrameworkBench _bench = null!;
    private BenchFile _file = null!;

    [Test]
    public void What_can_be_asked_of_them_is_answered()
    {
        Start();
        Assert.That(BitConverter.ToInt32(Ask(20).Output), Is.Zero, "the line of framework-deferred.c that does not hold");
        End();
    }

    [TestCase(OnceTimer, 0, 2u)]
    [TestCase(OnceTimer, Serialized, 2u)]
    [TestCase(PassiveTimer, 0, 0u)]
    [TestCase(PassiveTimer, Passive, 0u)]
    public void A_timer_calls_once_when_its_time_has_come(uint which, int variant, uint irql)
    {
        Start(variant);
        Assert.That(Ask(which).Status, Is.EqualTo(Success));
        _bench.TakeEvents();
        _bench.Machine.Advance(19 * Millisecond);
        Assert.That(_bench.TakeEvents(), Is.Empty);
        _bench.Machine.Advance(2 * Millisecond);
        Assert.That(_bench.TakeEvents(), Is.EqualTo(new[] { "EvtTimerFunc" }));
        _bench.Machine.Advance(100 * Millisecond);
        Assert.That(Seen()[..2], Is.EqualTo(new[] { 1u, irql }), "calls, and the IRQL of the last");
        End();
    }

    [Test]
    public void A_periodic_timer_calls_until_it_is_stopped()
    {
        Start();
        Assert.That(Ask(PeriodicTimer).Status, Is.EqualTo(Success));
        _bench.Machine.Advance(35 * Millisecond);
        Assert.That(Seen()[0], Is.EqualTo(4), "at 0, 10, 20 and 30 ms");
        Ask(StopTimer);
        _bench.Machine.Advance(100 * Millisecond);
        Assert.That(Seen()[0], Is.EqualTo(4));
        End();
    }

    [Test]
    public void A_set_timer_and_a_queued_work_item_go_with_their_device()
    {
        Start();
        Ask(PeriodicTimer);
        Assert.That((Ask(SerializedItem).Status, Ask(EnqueueItem).Status), Is.EqualTo((Success, Success)));
        _bench.TakeEvents();
        End();
        string[] events = _bench.TakeEvents();
        Assert.That(events.Count(e => e == "EvtWorkItem"), Is.EqualTo(1), "what is queued still runs");
        Assert.That(events[^1], Is.EqualTo("EvtDriverUnload"));
        _bench.Machine.Advance(100 * Millisecond);
        Assert.That(_bench.TakeEvents(), Is.Empty);
    }

    // One callback of the device's at a time: what comes at another level cannot be kept apart from the rest.
    [TestCase(0, SerializedItem, Success)]
    [TestCase(0, SerializedTimer, Success)]
    [TestCase(Serialized, SerializedItem, IncompatibleLevel)]
    [TestCase(Serialized, SerializedTimer, Success)]
    [TestCase(Passive, SerializedItem, Success)]
    [TestCase(Passive, SerializedTimer, IncompatibleLevel)]
    public void Serialized_with_their_parent_they_must_be_of_its_level(int variant, uint which, uint status)
    {
        Start(variant);
        Assert.That(Ask(which).Status, Is.EqualTo(Accepted(status)));
        End();
    }

    [Test]
    public void A_work_item_may_delete_itself_in_its_callback()
    {
        Start();
        Ask(32);
        _bench.Machine.Advance(Millisecond);
        Assert.That(Seen()[2..], Is.EqualTo(new[] { 1u, 0u }));
        End();
    }

    [TestCase(30u, "WdfTimerStop of the WDFTIMER", "that waits for the callback it comes from")]
    [TestCase(31u, "WdfWorkItemFlush of the WDFWORKITEM", "that waits for the callback it comes from")]
    [TestCase(33u, "WdfTimerStart of the WDFTIMER", "while it is being deleted")]
    [TestCase(34u, "WdfTimerStop of the WDFTIMER", "that waits at IRQL 2")]
    public void What_would_wait_for_ever_or_come_too_late_is_found(uint fault, string call, string why)
    {
        Start();
        Ask(fault);
        _bench.Machine.Advance(Millisecond);
        _file.Close();
        _bench.End();
        Assert.That(_bench.Machine.Findings.Select(f => f.Rule), Is.EqualTo(new[] { Rule.Framework }));
        Assert.That(_bench.Machine.Findings[0].Text, Does.StartWith(call).And.EndWith(why));
        Assert.That(_bench.Machine.Findings[0].Function, Does.StartWith($"framework-{architecture}-0!"));
    }

    // The framework's own statuses are not for those who sent the request.
    private static uint Accepted(uint status) => status == IncompatibleLevel ? NtStatus.InvalidDeviceRequest : status;

    private BenchRequest Ask(uint number) => FrameworkBench.Control(_file, number, outputLength: 16);

    /// <summary>Calls of timers, the IRQL of the last, and the same of work items.</summary>
    private uint[] Seen()
    {
        byte[] bytes = Ask(21).Output;
        return [.. Enumerable.Range(0, 4).Select(i => BitConverter.ToUInt32(bytes, 4 * i))];
    }

    private void Start(int variant = 0)
    {
        _bench = new FrameworkBench(architecture, variant);
        Assert.That(_bench.Node.Start(), Is.EqualTo(Success));
        _file = _bench.Node.Open();
    }

    private void End()
    {
        _file.Close();
        _bench.End();
        Assert.That(_bench.Machine.Findings, Is.Empty);
    }
}
