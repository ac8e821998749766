using Emulator.Testing;
using Emulator.VfioUser.Transport;

namespace Emulator.WireTests.Transport;

[TestFixture, Category("Wire")]
public sealed class PollerTests
{
    private const long Generous = 30_000_000_000;

    [Test]
    public void Nothing_is_ready_and_the_time_ends_the_wait()
    {
        using EventFd one = EventFd.Create();
        using var poller = new Poller(1);
        int slot = poller.Add(one.Handle, PollEvents.Readable);
        Assert.That(poller.Wait(0), Is.Zero);
        Assert.That(poller.Wait(1_000), Is.Zero);
        Assert.That(poller.Events(slot), Is.EqualTo(PollEvents.None));
    }

    [Test]
    public void What_is_ready_is_named_by_its_slot()
    {
        using EventFd first = EventFd.Create();
        using EventFd second = EventFd.Create();
        using var poller = new Poller(2);
        int one = poller.Add(first.Handle, PollEvents.Readable);
        int two = poller.Add(second.Handle, PollEvents.Readable);
        second.Signal();
        Assert.That(poller.Wait(Poller.Infinite), Is.EqualTo(1));
        Assert.That(poller.Events(one), Is.EqualTo(PollEvents.None));
        Assert.That(poller.Events(two), Is.EqualTo(PollEvents.Readable));
        first.Signal();
        Assert.That(poller.Wait(0), Is.EqualTo(2));
    }

    [Test]
    public void Another_thread_ends_the_wait()
    {
        using EventFd one = EventFd.Create();
        using var poller = new Poller(1);
        poller.Add(one.Handle, PollEvents.Readable);
        var signaller = new Thread(() => one.Signal());
        signaller.Start();
        Assert.That(poller.Wait(Generous), Is.EqualTo(1));
        signaller.Join();
    }

    [Test]
    public void What_a_slot_waits_for_can_change()
    {
        using EventFd one = EventFd.Create();
        using var poller = new Poller(1);
        int slot = poller.Add(one.Handle, PollEvents.Readable);
        poller.Watch(slot, PollEvents.Writable | PollEvents.Readable);
        Assert.That(poller.Wait(0), Is.EqualTo(1));
        Assert.That(poller.Events(slot), Is.EqualTo(PollEvents.Writable));
        poller.Watch(slot, PollEvents.None);
        one.Signal();
        Assert.That(poller.Wait(0), Is.Zero);
    }

    [Test]
    public void A_peer_that_left_is_reported_without_being_asked_for()
    {
        (UnixStream local, FileDescriptor remote) = UnixStream.CreatePair();
        using (local)
        {
            remote.Dispose();
            using var poller = new Poller(1);
            int slot = poller.Add(local.Handle, PollEvents.None);
            Assert.That(poller.Wait(Generous), Is.EqualTo(1));
            Assert.That(poller.Events(slot) & PollEvents.HangUp, Is.EqualTo(PollEvents.HangUp));
        }
    }

    [Test]
    public void An_emptied_slot_is_never_ready_and_can_be_filled_again()
    {
        using EventFd one = EventFd.Create();
        one.Signal();
        using var poller = new Poller(1);
        int slot = poller.Add(one.Handle, PollEvents.Readable);
        poller.Replace(slot, null, PollEvents.None);
        Assert.That(poller.Wait(0), Is.Zero);
        poller.Replace(slot, one.Handle, PollEvents.Readable);
        Assert.That(poller.Wait(0), Is.EqualTo(1));
    }

    [Test]
    public void A_descriptor_stays_open_while_it_has_a_slot()
    {
        EventFd one = EventFd.Create();
        one.Signal();
        int number = one.Handle.Number;
        using (var poller = new Poller(1))
        {
            poller.Add(one.Handle, PollEvents.Readable);
            one.Dispose();
            Assert.That(poller.Wait(0), Is.EqualTo(1));
            Assert.That(Path.Exists($"/proc/self/fd/{number}"), Is.True);
        }
        Assert.That(() => one.Handle.Duplicate(), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void Without_a_free_slot_adding_throws()
    {
        using EventFd one = EventFd.Create();
        using var poller = new Poller(1);
        poller.Add(one.Handle, PollEvents.Readable);
        Assert.That(() => poller.Add(one.Handle, PollEvents.Readable), Throws.InvalidOperationException);
        Assert.That(poller.Count, Is.EqualTo(1));
    }

    [Test]
    public void Waiting_allocates_nothing()
    {
        using EventFd one = EventFd.Create();
        using var poller = new Poller(1);
        poller.Add(one.Handle, PollEvents.Readable);
        Assert.That(Allocations.BytesOf(() =>
        {
            for (int i = 0; i < 200; i++)
            {
                one.Signal();
                poller.Wait(Generous);
                one.TryDrain();
                poller.Wait(0);
            }
        }), Is.Zero);
    }
}
