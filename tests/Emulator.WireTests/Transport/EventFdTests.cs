using System.Diagnostics;
using Emulator.Testing;
using Emulator.VfioUser.Transport;

namespace Emulator.WireTests.Transport;

[TestFixture, Category("Wire")]
public sealed class EventFdTests
{
    // The counter's largest value: 2^64 - 2.
    private const ulong Full = ulong.MaxValue - 1;

    private static readonly TimeSpan Generous = TimeSpan.FromSeconds(60), Enough = TimeSpan.FromSeconds(1);

    private static void WaitFor(ref int counter, int value)
    {
        var wait = new SpinWait();
        while (Volatile.Read(ref counter) < value) wait.SpinOnce(sleep1Threshold: -1);
    }

    [Test]
    public void Signals_are_counted_and_drained_at_once()
    {
        using EventFd one = EventFd.Create();
        Assert.That(one.TryDrain(), Is.False);
        one.Signal();
        one.Signal();
        Assert.That(one.Wait(TimeSpan.Zero), Is.True);
        Assert.That(one.TryDrain(out ulong count), Is.True);
        Assert.That(count, Is.EqualTo(2));
        Assert.That(one.Wait(TimeSpan.Zero), Is.False);
    }

    // On a thread that may wait for ever: the test does not.
    private static Task OnThread(Action action)
        => Task.Factory.StartNew(action, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private static void AssertNobodyWaits(Action action) => Assert.That(OnThread(action).Wait(Generous), Is.True, "nobody waits");

    // As a server takes one over, or as it does where the kernel has none of the calls that never wait.
    private static EventFd Adopt(FileDescriptor descriptor, bool kernelNeverWaits)
        => (kernelNeverWaits ? EventFd.TryAdopt(descriptor) : EventFd.TryAdopt(descriptor, kernelSignal: null, readsNoWait: false))!;

    [Test]
    public void An_adopted_eventfd_is_the_same_counter([Values] bool kernelNeverWaits)
    {
        using EventFd one = EventFd.Create();
        using EventFd other = Adopt(one.Handle.Duplicate(), kernelNeverWaits);
        Assert.That(other.Signal(), Is.True);
        Assert.That(other.Signal(), Is.True);
        Assert.That(one.TryDrain(out ulong count), Is.True);
        Assert.That(count, Is.EqualTo(2));
        one.Signal();
        Assert.That(other.TryDrain(out count), Is.True);
        Assert.That(count, Is.EqualTo(1));
        Assert.That(one.TryDrain(), Is.False);
    }

    [Test]
    public void A_kernel_that_cannot_signal_is_noticed_when_asked()
        // More ends than any kernel keeps.
        => Assert.That(KernelSignal.TryCreate(int.MaxValue), Is.Null);

    [Test]
    public void A_full_counter_is_left_full_and_nobody_waits()
    {
        using EventFd one = EventFd.Create();
        Assert.That(Descriptors.Add(one.Handle.Number, Full), Is.True);
        Assert.That(one.Signal(), Is.True);
        Assert.That(one.TryDrain(out ulong count), Is.True);
        Assert.That(count, Is.EqualTo(Full));
    }

    [Test]
    public void A_blocking_eventfd_of_a_peer_makes_nobody_wait_either([Values] bool kernelNeverWaits)
    {
        using EventFd one = Adopt(new FileDescriptor(Descriptors.BlockingEventFd()), kernelNeverWaits);
        AssertNobodyWaits(() =>
        {
            Assert.That(one.TryDrain(), Is.False, "empty");
            Assert.That(one.Signal(), Is.True);
            Assert.That(one.TryDrain(out ulong count), Is.True);
            Assert.That(count, Is.EqualTo(1));
            Assert.That(Descriptors.Add(one.Handle.Number, Full), Is.True);
            Assert.That(one.Signal(), Is.True, "full");
            Assert.That(one.TryDrain(out count), Is.True);
            Assert.That(count, Is.GreaterThanOrEqualTo(Full));
        });
    }

    [Test]
    public void The_kernel_signals_a_blocking_eventfd_without_waiting_and_nobody_has_to_look_before()
    {
        Assume.That(KernelSignal.OfThisProcess, Is.Not.Null, "this kernel cannot");
        using var full = new FileDescriptor(Descriptors.BlockingEventFd());
        Assert.That(Descriptors.Add(full.Number, Full), Is.True);
        AssertNobodyWaits(() =>
        {
            // More often than ends can wait to be collected.
            for (int i = 0; i < 1000; i++) Assert.That(KernelSignal.OfThisProcess!.TryAdd(full), Is.True);
        });
    }

    [Test]
    public void A_blocking_eventfd_that_its_peer_fills_at_that_very_moment_makes_nobody_wait()
    {
        // Some hit the moment. A machine with much else to do has as many as it gets to.
        const int MostRounds = 20_000;
        long started = Stopwatch.GetTimestamp();
        using EventFd one = EventFd.TryAdopt(new FileDescriptor(Descriptors.BlockingEventFd()))!;
        int begun = 0, filled = 0, ended = 0;
        bool last = false;
        Task peer = OnThread(() =>
        {
            for (int round = 1; !Volatile.Read(ref last); round++)
            {
                Volatile.Write(ref begun, round);
                // Waits until it is empty, if our signal came first.
                Descriptors.Add(one.Handle.Number, Full);
                Volatile.Write(ref filled, round);
                WaitFor(ref ended, round);
            }
        });
        Task signaller = OnThread(() =>
        {
            for (int round = 1; !last; round++)
            {
                WaitFor(ref begun, round);
                one.Signal();
                while (Volatile.Read(ref filled) < round)
                {
                    one.TryDrain();
                    Thread.Yield();
                }
                one.TryDrain();
                Volatile.Write(ref last, round == MostRounds || Stopwatch.GetElapsedTime(started) > Enough);
                Volatile.Write(ref ended, round);
            }
        });
        Assert.That(signaller.Wait(Generous), Is.True, "nobody waits");
        peer.Wait();
    }

    [Test]
    public void A_blocking_eventfd_that_somebody_else_empties_at_that_very_moment_makes_nobody_wait()
    {
        const int MostSignals = 20_000;
        long started = Stopwatch.GetTimestamp();
        using EventFd one = EventFd.TryAdopt(new FileDescriptor(Descriptors.BlockingEventFd()))!;
        bool stopped = false;
        Task[] readers = [OnThread(Read), OnThread(Read)];
        for (int i = 0; i < MostSignals && Stopwatch.GetElapsedTime(started) < Enough; i++) one.Signal();
        Volatile.Write(ref stopped, true);
        Assert.That(Task.WaitAll(readers, Generous), Is.True, "nobody waits");

        void Read()
        {
            while (!Volatile.Read(ref stopped)) one.TryDrain();
        }
    }

    [Test]
    public void What_is_not_an_eventfd_is_refused_and_closed()
    {
        int growth = OpenFiles.Growth(4, () =>
        {
            using SharedMemory memory = SharedMemory.Create("test", 4096);
            Assert.That(EventFd.TryAdopt(memory.Handle.Duplicate()), Is.Null);
            (UnixStream local, FileDescriptor remote) = UnixStream.CreatePair();
            Assert.That(EventFd.TryAdopt(remote), Is.Null);
            Assert.That(remote.IsClosed, Is.True);
            local.Dispose();
            Assert.That(EventFd.TryAdopt(new FileDescriptor(Descriptors.Open("/dev/null", FileAccess.ReadWrite))), Is.Null);
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void Another_thread_ends_the_wait()
    {
        using EventFd one = EventFd.Create();
        var signaller = new Thread(() => one.Signal());
        signaller.Start();
        Assert.That(one.Wait(TimeSpan.FromSeconds(30)), Is.True);
        signaller.Join();
    }

    [Test]
    public void After_disposal_signalling_throws()
    {
        EventFd one = EventFd.Create();
        one.Dispose();
        Assert.That(() => one.Signal(), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void Signalling_and_draining_allocate_nothing([Values] bool shared, [Values] bool kernelNeverWaits)
    {
        using EventFd one = shared ? Adopt(new FileDescriptor(Descriptors.BlockingEventFd()), kernelNeverWaits) : EventFd.Create();
        Assert.That(Allocations.BytesOf(() =>
        {
            for (int i = 0; i < 2000; i++)
            {
                one.Signal();
                one.TryDrain();
                one.TryDrain();
            }
        }), Is.Zero);
    }
}
