namespace Emulator.Turns;

/// <summary>
/// Work another thread hands to a device thread. Allocated once by its owner and posted as often as wanted: posting it
/// again before it has run is the same as posting it once.
/// </summary>
public sealed class Mail(Action deliver)
{
    internal Mail? Next;
    internal int Posted;

    internal void Deliver()
    {
        // Cleared before the work runs: what is posted from now on asks for another run. A full fence, because a sender that
        // still saw it posted counts on the work seeing what it wrote before.
        Interlocked.Exchange(ref Posted, 0);
        deliver();
    }
}

/// <summary>Takes mail from any thread; delivers it on the device thread, a turn each.</summary>
public interface IMailbox
{
    /// <summary>Never blocks and never allocates.</summary>
    void Post(Mail mail);
}

/// <summary>The lock-free queue behind a mailbox: many senders, one device thread, first in first out.</summary>
public sealed class MailQueue(Action wake) : IMailbox
{
    private Mail? _newest;

    // Taken from the senders and not yet delivered; the device thread's alone.
    private Mail? _oldest;

    public bool IsEmpty => _oldest is null && Volatile.Read(ref _newest) is null;

    public void Post(Mail mail)
    {
        if (Interlocked.Exchange(ref mail.Posted, 1) != 0) return;
        Mail? newest = Volatile.Read(ref _newest);
        while (true)
        {
            mail.Next = newest;
            Mail? seen = Interlocked.CompareExchange(ref _newest, mail, newest);
            if (ReferenceEquals(seen, newest)) break;
            newest = seen;
        }
        // Only the sender that found it empty wakes the thread: the others' mail is already on its way.
        if (newest is null) wake();
    }

    /// <summary>
    /// Delivers what has been posted so far. Device thread only. An exception of one delivery passes through; the rest then
    /// stays for the next call.
    /// </summary>
    /// <param name="afterEach">Runs after each delivery, to end its turn.</param>
    /// <returns>How many were delivered.</returns>
    public int Deliver(Action? afterEach = null)
    {
        // What an exception left behind goes before what came since.
        int delivered = DeliverTaken(afterEach);
        Mail? newest = Interlocked.Exchange(ref _newest, null);
        while (newest is not null) (newest.Next, _oldest, newest) = (_oldest, newest, newest.Next);
        return delivered + DeliverTaken(afterEach);
    }

    private int DeliverTaken(Action? afterEach)
    {
        int delivered = 0;
        for (; _oldest is { } mail; delivered++)
        {
            _oldest = mail.Next;
            mail.Next = null;
            mail.Deliver();
            afterEach?.Invoke();
        }
        return delivered;
    }
}
