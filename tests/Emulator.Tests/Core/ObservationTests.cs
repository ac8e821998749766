using Emulator.Interrupts;
using Emulator.Memory;
using Emulator.Observation;
using Emulator.Pci;
using Emulator.Registers;
using Emulator.Testing;
using static Emulator.Observation.DeviceEventKind;

namespace Emulator.Tests.Core;

[Category("Unit")]
public sealed class GuestErrorLogTests
{
    [Test]
    public void Each_rule_has_a_budget_of_its_own_and_what_was_held_back_is_counted()
    {
        var clock = new ManualClock();
        var lines = new List<string>();
        var log = new GuestErrorLog(clock, lines.Add);
        for (ulong i = 0; i < 100; i++) log.GuestError("first rule", i);
        log.GuestError("second rule", 0xabc);
        Assert.That(lines, Has.Count.EqualTo(GuestErrorLog.Budget + 1));
        Assert.That(lines[0], Is.EqualTo("guest error: first rule (0x0)"));
        Assert.That(lines[^1], Is.EqualTo("guest error: second rule (0xabc)"));
        Assert.That(log.Count, Is.EqualTo(101));

        clock.Advance(GuestErrorLog.Window - 1);
        log.GuestError("first rule", 1);
        Assert.That(lines, Has.Count.EqualTo(GuestErrorLog.Budget + 1));
        clock.Advance(1);
        log.GuestError("first rule", 2);
        Assert.That(lines[^1], Is.EqualTo("guest error: first rule (0x2), and 96 more held back"));
        log.GuestError("first rule", 3);
        Assert.That(lines[^1], Is.EqualTo("guest error: first rule (0x3)"));
    }

    [Test]
    public void An_error_that_is_held_back_allocates_nothing()
    {
        var log = new GuestErrorLog(new ManualClock(), _ => { });
        for (int i = 0; i < 100; i++) log.GuestError("rule", 0);
        Assert.That(Allocations.BytesOf(() =>
        {
            for (int i = 0; i < 1_000; i++) log.GuestError("rule", 0);
        }), Is.Zero);
    }
}

[Category("Unit")]
public sealed class ObserverTests
{
    private FakePciHost _host = null!;
    private TestFunction _function = null!;
    private EventList _seen = null!;
    private Register _register = null!;

    [SetUp]
    public void Plug()
    {
        var bank = new TestBank(8);
        _register = bank.Add("R", 0, 4).Bits(31, 0, "F", Access.ReadWrite);
        bank.Add("RC", 4, 4).Bits(31, 0, "F", Access.ReadToClear, reset: 5);
        _host = new FakePciHost();
        _function = _host.Plug(new TestFunction(_host.Slot, f =>
        {
            f.MapBar(0, BarKind.Memory32, bank);
            f.MapBar(1, BarKind.Memory32, 0x1000).AddRam(0, 0x1000);
            f.AddPciExpress();
            f.AddMsi();
        }));
        _function.Observer = _seen = new EventList();
    }

    [Test]
    public void A_write_is_seen_before_its_effects()
    {
        InterruptSource source = _function.Interrupts.CreateSource();
        _register.OnWrite((int _, in RegisterWrite _) =>
        {
            _function.Memory.TryWrite(0x40, [1, 2, 3]);
            source.Level = true;
        });
        ulong stored = 1;
        _seen.Seen = e => stored = e.Kind == Write ? _register.Value : stored;
        _host.Bar(0).Write32(0, 0x1234);
        Assert.That(_seen.Events.Select(e => e.Kind), Is.EqualTo(new[] { Write, DmaWrite, Intx }));
        Assert.That(_seen.Events[0], Is.EqualTo(new DeviceEvent(0, Write, 0, true, 4, 0, 0x1234)));
        Assert.That(_seen.Events[1], Is.EqualTo(new DeviceEvent(0, DmaWrite, 0, true, 3, 0x40, 0x030201)));
        Assert.That(_seen.Events[2], Is.EqualTo(new DeviceEvent(0, Intx, 0, true, 0, 0, 1)));
        Assert.That(stored, Is.Zero);
    }

    [Test]
    public void A_read_is_seen_after_its_effects_with_the_value_the_guest_gets()
    {
        _register.OnRead((_, _) =>
        {
            _function.Memory.TryRead(0x80, new byte[4]);
            return 0x99;
        });
        _host.Clock.Advance(77);
        _host.Bar(0).Read32(0);
        Assert.That(_seen.Events.Select(e => e.Kind), Is.EqualTo(new[] { DmaRead, Read }));
        Assert.That(_seen.Events[1], Is.EqualTo(new DeviceEvent(77, Read, 0, true, 4, 0, 0x99)));
    }

    [Test]
    public void Peek_is_not_seen_and_has_no_effect()
    {
        _function.Peek(0, 4, 4);
        Assert.That(_seen.Events, Is.Empty);
        Assert.That(_host.Bar(0).Read32(4), Is.EqualTo(5));
    }

    [Test]
    public void A_refused_access_is_seen_as_such_with_the_remark()
    {
        _host.Config.Write16(4, 0);
        _host.Bar(0).Read16(2);
        _host.Bar(0).Write8(9, 1);
        Assert.That(_seen.Events.Skip(1).Select(e => (e.Kind, e.Ok, e.Value)), Is.EqualTo(new[] { (Read, false, 0xfffful), (Write, false, 1ul) }));
        Assert.That(_seen.Remarks, Is.EqualTo(_host.Reports));
        Assert.That(_seen.Remarks, Has.Count.EqualTo(2));
    }

    [Test]
    public void Configuration_and_bulk_accesses_are_seen()
    {
        _host.Config.Read16(2);
        _host.Bar(1).WriteBytes(0x10, Enumerable.Range(1, 100).Select(i => (byte)i).ToArray());
        _host.Bar(1).ReadBytes(0x11, 99);
        Assert.That(_seen.Events, Is.EqualTo(new[]
        {
            new DeviceEvent(0, Read, PciRegion.Configuration, true, 2, 2, 0x10f0),
            new DeviceEvent(0, Write, 1, true, 100, 0x10, 0x0807060504030201),
            new DeviceEvent(0, Read, 1, true, 99, 0x11, 0x0908070605040302),
        }));
    }

    [Test]
    public void Queued_transfers_are_seen_when_they_end()
    {
        var write = new DmaRequest(_ => _seen.Remarks.Add("completed")) { Address = 0x10, Buffer = new byte[] { 9, 8 }, IsWrite = true };
        var read = new DmaRequest(_ => { }) { Address = ulong.MaxValue, Buffer = new byte[2] };
        _seen.Seen = e => _seen.Remarks.Add($"{e.Kind}");
        _function.Memory.Queue(write);
        _function.Memory.Queue(read);
        Assert.That(_seen.Events, Is.Empty);
        _host.Settle();
        Assert.That(_seen.Events, Is.EqualTo(new[]
        {
            new DeviceEvent(0, DmaWrite, 0, true, 2, 0x10, 0x0809), new DeviceEvent(0, DmaRead, 0, false, 2, ulong.MaxValue, 0),
        }));
        Assert.That(_seen.Remarks, Is.EqualTo(new[] { "DmaWrite", "completed", "DmaRead" }));
    }

    [Test]
    public void Views_and_publications_are_seen()
    {
        _host.Memory.Ram[0x100] = 0xcd;
        _function.Memory.TryView(0x100, 16, writable: false, out _);
        _function.Memory.TryView(0x100, 8, writable: true, out _);
        _function.Memory.TryView(0x10_0000, 8, writable: true, out _);
        _function.Memory.TryPublish(0x104, 7);
        Assert.That(_seen.Events.Select(e => (e.Kind, e.Ok, e.Length, e.Value)), Is.EqualTo(new[]
        {
            (DmaReadView, true, 16, 0xcdul), (DmaWriteView, true, 8, 0xcdul), (DmaWriteView, false, 0, 0ul), (DmaWrite, true, 4, 7ul),
        }));
    }

    [Test]
    public void Messages_are_seen_sent_or_left_pending_once()
    {
        int at = _host.FindCapability(5);
        _host.Config.Write32(at + 0x10, 1);
        _host.Config.Write16(at + 2, 1);
        _seen.Events.Clear();
        _function.Interrupts.Pulse(0);
        _function.Interrupts.Pulse(0);
        _host.Config.Write32(at + 0x10, 0);
        Assert.That(_seen.Events.Where(e => e.Kind == Msi).Select(e => e.Value), Is.EqualTo(new[] { 0ul, 1ul }));
    }

    [Test]
    public void Resets_clients_and_mappings_are_seen()
    {
        _function.Reset(ResetKind.Bus);
        _function.NoteClient(connected: true);
        _function.NoteMapping(mapped: true, 0x1000, 0x2000);
        _function.NoteMapping(mapped: false, 0x1000, 0x2000);
        Assert.That(_seen.Events.Select(e => (e.Kind, e.Offset, e.Value)), Is.EqualTo(new[]
        {
            (DeviceEventKind.Reset, 0ul, (ulong)ResetKind.Bus), (Client, 0ul, 1ul), (DmaMap, 0x1000ul, 0x2000ul), (DmaUnmap, 0x1000ul, 0x2000ul),
        }));
    }

    [Test]
    public void An_observer_can_be_taken_away()
    {
        Assert.That(_function.Observer, Is.SameAs(_seen));
        _function.Observer = null;
        _host.Bar(0).Read32(0);
        Assert.That(_function.Observer, Is.Null);
        Assert.That(_seen.Events, Is.Empty);
    }

    [Test]
    public void Accesses_allocate_nothing_watched_or_not()
    {
        foreach (IDeviceObserver? observer in new IDeviceObserver?[] { null, new Nobody() })
        {
            _function.Observer = observer;
            var bytes = new byte[64];
            Assert.That(Allocations.BytesOf(() => Traffic(bytes, 10_000)), Is.Zero, observer is null ? "not watched" : "watched");
        }
    }

    private void Traffic(byte[] bytes, int count)
    {
        for (int i = 0; i < count; i++)
        {
            _function.Write(0, 0, 4, (ulong)i);
            _function.Read(0, 4, 4);
            _function.Read(1, 5, bytes.AsSpan());
            _function.Write(1, 7, bytes.AsSpan(0, 33));
            _function.Read(PciRegion.Configuration, 0, bytes.AsSpan());
            _function.Memory.TryRead((ulong)i, bytes);
        }
    }

    private sealed class Nobody : IDeviceObserver
    {
        public void OnEvent(in DeviceEvent deviceEvent) { }
        public void OnRemark(long time, string text) { }
    }
}
