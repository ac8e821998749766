using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pnp;

namespace Emulator.DriverTests.Wdf;

/// <summary>Reads of KmdfRobot, which wait for events in a manual queue of the framework's.</summary>
[TestFixture(Machine.Amd64, InterruptGrant.Messages)]
[TestFixture(Machine.I386, InterruptGrant.Messages)]
[TestFixture(Machine.Amd64, InterruptGrant.Line)]
[TestFixture(Machine.I386, InterruptGrant.Line)]
[Category("Driver")]
internal sealed class KmdfEventTests(Machine architecture, InterruptGrant interrupts) : KmdfFixture(architecture, interrupts)
{
    [Test]
    public void A_reader_waits_until_the_interrupt_s_DPC_brings_it_what_happened()
    {
        Start();
        BenchFile file = Node.Open();
        BenchRequest read = file.Read(1024), later = file.Read(KmdfBench.EventSize);
        Assert.That(read.Returned, Is.EqualTo(NtStatus.Pending));
        // The wall is 2 m ahead.
        BenchRequest drive = KmdfBench.Command(file, KmdfBench.Drive, 5000, 500, tag: 7);
        Bench.Machine.Advance(1_000_000_000);
        Assert.That((read.IsCompleted, drive.IsCompleted), Is.EqualTo((false, false)));
        Bench.TakeEvents();
        Assert.That(read.Wait() && drive.Wait(), Is.True);
        Assert.That(Bench.TakeEvents(), Has.All.StartsWith("EvtInterrupt"), "nothing else was called for it");
        Assert.That(KmdfBench.Field(drive.Output, 2), Is.EqualTo(KmdfBench.Blocked));
        List<(int Type, int Value, int Number, int Tag)> events = [.. KmdfBench.Events(read)];
        if (later.IsCompleted) events.AddRange(KmdfBench.Events(later));
        Assert.That(events.Select(e => e.Number), Is.EqualTo(Enumerable.Range(1, events.Count)));
        // Both front bumpers.
        Assert.That(events.Select(e => (e.Type, e.Value, e.Tag)),
            Is.EquivalentTo(new[] { (KmdfBench.BumpEvent, 3, 0), (KmdfBench.ProgramEvent, KmdfBench.Blocked, 7) }));
        file.Close();
        End();
    }

    [Test]
    public void A_reader_can_be_cancelled_and_what_happens_then_is_the_next_one_s()
    {
        Start();
        BenchFile file = Node.Open();
        BenchRequest cancelled = file.Read(KmdfBench.EventSize), next = file.Read(KmdfBench.EventSize);
        Bench.TakeEvents();
        Assert.That(cancelled.Cancel(), Is.True);
        Assert.That((cancelled.Status, cancelled.Information, next.IsCompleted), Is.EqualTo((NtStatus.Cancelled, 0ul, false)));
        Assert.That(Bench.TakeEvents(), Is.Empty, "the queue's own affair");
        MakeEvent(file);
        Assert.That(KmdfBench.Events(next), Is.EqualTo(new[] { (KmdfBench.ProgramEvent, KmdfBench.Invalid, 1, 0) }));
        file.Close();
        End();
    }

    [Test]
    public void A_file_that_closes_takes_its_readers_along_and_leaves_those_of_others()
    {
        Start();
        BenchFile file = Node.Open(), other = Node.Open();
        BenchRequest gone = file.Read(KmdfBench.EventSize), stays = other.Read(KmdfBench.EventSize);
        file.Close();
        Assert.That((gone.Status, stays.IsCompleted), Is.EqualTo((NtStatus.Cancelled, false)));
        MakeEvent(other);
        Assert.That((stays.Status, stays.Information), Is.EqualTo((Success, (ulong)KmdfBench.EventSize)));
        other.Close();
        End();
    }

    [Test]
    public void The_newest_events_are_kept_for_want_of_a_reader_and_their_numbers_tell_how_many_were_lost()
    {
        Start();
        BenchFile file = Node.Open();
        for (int i = 0; i < 70; i++) MakeEvent(file);
        BenchRequest read = file.Read(40), rest = file.Read(2048);
        Assert.That(KmdfBench.Events(read).Select(e => e.Number), Is.EqualTo(new[] { 7, 8 }), "what fits, the oldest first");
        Assert.That(KmdfBench.Events(rest).Select(e => e.Number), Is.EqualTo(Enumerable.Range(9, 62)));
        Assert.That(KmdfBench.Field(file.Control(KmdfBench.GetStatistics, outputLength: KmdfBench.StatisticsSize).Output, 4), Is.EqualTo(70), "events");
        file.Close();
        End();
    }

    [Test]
    public void A_reader_goes_on_waiting_while_the_device_sleeps_and_is_stopped()
    {
        Start();
        BenchFile file = Node.Open();
        BenchRequest read = file.Read(KmdfBench.EventSize);
        Sleep();
        Wake();
        Assert.That((Node.QueryStop(), Node.Stop()), Is.EqualTo((Success, Success)));
        Start();
        Assert.That(read.IsCompleted, Is.False);
        MakeEvent(file);
        Assert.That(read.Status, Is.EqualTo(Success));
        file.Close();
        End();
    }

    [Test]
    public void A_file_that_closes_takes_along_what_still_waits_in_the_queue()
    {
        Start();
        BenchFile file = Node.Open();
        Sleep();
        BenchRequest waiting = State(file);
        file.Close();
        Assert.That(waiting.Status, Is.EqualTo(NtStatus.Cancelled));
        Wake();
        End();
    }

    /// <summary>A command that the robot does not know ends as invalid, which is an event.</summary>
    private static void MakeEvent(BenchFile file)
        => Assert.That(KmdfBench.Field(KmdfBench.Command(file, KmdfBench.Unknown, 0, 0, tag: 0).Output, 2), Is.EqualTo(KmdfBench.Invalid));
}
