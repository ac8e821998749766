using Emulator.Testing;
using Emulator.Time;
using Emulator.Turns;

namespace Emulator.Tests.Core;

[Category("Unit")]
public sealed class TimerQueueTests
{
    [Test]
    public void Timers_expire_in_the_order_of_their_deadlines_each_at_its_own_time()
    {
        var clock = new ManualClock();
        var seen = new List<(string, long)>();
        clock.CreateTimer(() => seen.Add(("late", clock.Now))).Arm(300);
        clock.CreateTimer(() => seen.Add(("early", clock.Now))).Arm(100);
        clock.CreateTimer(() => seen.Add(("middle", clock.Now))).Arm(200);
        Assert.That(clock.NextDeadline, Is.EqualTo(100));
        clock.Advance(299);
        Assert.That(seen, Is.EqualTo(new[] { ("early", 100L), ("middle", 200L) }));
        clock.Advance(1);
        Assert.That(seen[^1], Is.EqualTo(("late", 300L)));
        Assert.That(clock.NextDeadline, Is.EqualTo(TimerQueue.Never));
    }

    [Test]
    public void Equal_deadlines_expire_in_the_order_they_were_armed()
    {
        var queue = new TimerQueue();
        var seen = new List<int>();
        IDeviceTimer[] timers = [.. Enumerable.Range(0, 3).Select(i => queue.CreateTimer(() => seen.Add(i)))];
        foreach (int i in new[] { 2, 0, 1 }) timers[i].Arm(5);
        queue.SetNow(5);
        queue.RunDue();
        Assert.That(seen, Is.EqualTo(new[] { 2, 0, 1 }));
    }

    [Test]
    public void Arming_again_moves_the_deadline_and_cancelling_removes_it()
    {
        var clock = new ManualClock();
        int expired = 0;
        IDeviceTimer timer = clock.CreateTimer(() => expired++);
        timer.Arm(10);
        timer.Arm(20);
        clock.Advance(10);
        Assert.That((expired, timer.IsArmed), Is.EqualTo((0, true)));
        timer.Cancel();
        timer.Cancel();
        clock.Advance(100);
        Assert.That((expired, timer.IsArmed), Is.EqualTo((0, false)));
    }

    [Test]
    public void A_timer_is_not_armed_while_it_expires_and_can_arm_itself()
    {
        var clock = new ManualClock();
        var times = new List<long>();
        IDeviceTimer timer = null!;
        timer = clock.CreateTimer(() =>
        {
            Assert.That(timer.IsArmed, Is.False);
            times.Add(clock.Now);
            if (times.Count < 3) timer.Arm(7);
        });
        timer.Arm(7);
        clock.Advance(1000);
        Assert.That(times, Is.EqualTo(new[] { 7L, 14L, 21L }));
        Assert.That(clock.Now, Is.EqualTo(1000));
    }

    [Test]
    public void A_timer_that_arms_itself_with_no_delay_neither_starves_the_caller_nor_its_equals()
    {
        var queue = new TimerQueue();
        int greedy = 0, modest = 0;
        IDeviceTimer again = null!;
        again = queue.CreateTimer(() =>
        {
            greedy++;
            again.Arm(0);
        });
        IDeviceTimer once = queue.CreateTimer(() => modest++);
        again.Arm(0);
        once.Arm(0);
        queue.RunDue();
        Assert.That((greedy, modest), Is.EqualTo((63, 1)));
        Assert.That(again.IsArmed);
    }

    [Test]
    public void A_negative_delay_counts_as_none()
    {
        var queue = new TimerQueue();
        queue.SetNow(50);
        int expired = 0;
        queue.CreateTimer(() => expired++).Arm(long.MinValue);
        Assert.That(queue.NextDeadline, Is.EqualTo(50));
        queue.RunDue();
        Assert.That(expired, Is.EqualTo(1));
    }

    [Test]
    public void A_delay_beyond_the_end_of_time_neither_overflows_nor_is_forgotten()
    {
        var queue = new TimerQueue();
        queue.SetNow(1000);
        int expired = 0;
        IDeviceTimer timer = queue.CreateTimer(() => expired++);
        timer.Arm(long.MaxValue);
        queue.RunDue();
        Assert.That((timer.IsArmed, expired), Is.EqualTo((true, 0)));
        queue.SetNow(long.MaxValue);
        queue.RunDue();
        queue.RunDue();
        Assert.That(expired, Is.EqualTo(1));
    }

    [Test]
    public void Advancing_to_the_end_of_time_without_timers_is_no_error()
    {
        var clock = new ManualClock();
        clock.Advance(5);
        clock.Advance(long.MaxValue);
        Assert.That(clock.Now, Is.EqualTo(long.MaxValue - 1));
    }

    [Test]
    public void Time_never_goes_back()
    {
        var queue = new TimerQueue();
        queue.SetNow(10);
        queue.SetNow(9);
        Assert.That(queue.Now, Is.EqualTo(10));
    }
}

[Category("Unit")]
public sealed class MailboxTests
{
    [Test]
    public void Mail_is_delivered_first_in_first_out_a_turn_each()
    {
        var log = new List<string>();
        var queue = new MailQueue(() => log.Add("wake"));
        var mails = Enumerable.Range(0, 4).Select(i => new Mail(() => log.Add($"{i}"))).ToArray();
        foreach (int i in new[] { 2, 0, 3, 1 }) queue.Post(mails[i]);
        Assert.That(queue.IsEmpty, Is.False);
        Assert.That(queue.Deliver(() => log.Add("|")), Is.EqualTo(4));
        Assert.That(string.Join(" ", log), Is.EqualTo("wake 2 | 0 | 3 | 1 |"));
        Assert.That(queue.IsEmpty);
        Assert.That(queue.Deliver(), Is.Zero);
    }

    [Test]
    public void Posting_again_before_delivery_is_the_same_as_posting_once()
    {
        int delivered = 0, wakes = 0;
        var queue = new MailQueue(() => wakes++);
        var mail = new Mail(() => delivered++);
        for (int i = 0; i < 10; i++) queue.Post(mail);
        queue.Deliver();
        Assert.That((delivered, wakes), Is.EqualTo((1, 1)));
        queue.Post(mail);
        queue.Deliver();
        Assert.That((delivered, wakes), Is.EqualTo((2, 2)));
    }

    [Test]
    public void Mail_posted_by_its_own_work_comes_in_the_next_delivery()
    {
        int delivered = 0;
        Mail mail = null!;
        var queue = new MailQueue(() => { });
        mail = new Mail(() =>
        {
            if (++delivered < 3) queue.Post(mail);
        });
        queue.Post(mail);
        Assert.That((queue.Deliver(), delivered), Is.EqualTo((1, 1)));
        Assert.That((queue.Deliver(), queue.Deliver(), queue.Deliver(), delivered), Is.EqualTo((1, 1, 0, 3)));
    }

    // Each sender counts up a number before it posts; whenever mail is delivered, the device looks at the number. Whatever the
    // interleaving, the last number must be seen, and no wake-up be missing.
    [Test]
    public void Nothing_posted_by_many_threads_is_lost()
    {
        const int Senders = 4, Rounds = 50_000;
        using var wake = new SemaphoreSlim(0);
        var queue = new MailQueue(() => wake.Release());
        var written = new long[Senders];
        var seen = new long[Senders];
        Mail[] mails = [.. Enumerable.Range(0, Senders).Select(i => new Mail(() => seen[i] = Volatile.Read(ref written[i])))];
        Thread[] threads = [.. Enumerable.Range(0, Senders).Select(i => new Thread(() =>
        {
            for (int round = 1; round <= Rounds; round++)
            {
                Volatile.Write(ref written[i], round);
                queue.Post(mails[i]);
            }
        }))];
        foreach (Thread thread in threads) thread.Start();
        while (seen.Any(s => s < Rounds))
        {
            Assert.That(wake.Wait(TimeSpan.FromSeconds(60)), $"no wake-up; seen {string.Join(", ", seen)} of {Rounds}");
            queue.Deliver();
        }
        foreach (Thread thread in threads) thread.Join();
    }

    [Test]
    public void Posting_and_delivering_allocate_nothing()
    {
        var queue = new MailQueue(() => { });
        var mails = Enumerable.Range(0, 8).Select(_ => new Mail(() => { })).ToArray();
        void Round()
        {
            foreach (Mail mail in mails) queue.Post(mail);
            queue.Deliver();
        }
        Assert.That(Allocations.BytesOf(() =>
        {
            for (int i = 0; i < 1_000; i++) Round();
        }), Is.Zero);
    }
}
