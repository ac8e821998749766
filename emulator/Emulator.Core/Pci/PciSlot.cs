using Emulator.Interrupts;
using Emulator.Memory;
using Emulator.Time;
using Emulator.Turns;

namespace Emulator.Pci;

/// <summary>
/// What a host gives a function: the far side of its bus. All of it belongs to the device thread, but for the mailbox.
/// </summary>
public abstract class PciSlot
{
    /// <summary>Guest RAM, not yet gated by Bus Master Enable; a model uses <see cref="PciFunction.Memory"/>.</summary>
    public abstract IGuestMemory Memory { get; }
    public abstract IInterruptPins Pins { get; }
    public abstract IDeviceClock Clock { get; }
    public abstract IMailbox Mailbox { get; }

    /// <summary>Bytes for the RAM of a BAR, all zero.</summary>
    public abstract BarMemory CreateBarMemory(int length);

    /// <summary>Takes a line of text about the guest's behaviour, already rate-limited.</summary>
    public abstract void Report(string text);
}

/// <summary>A slot with nothing behind it: enough to construct a function and read its description.</summary>
public sealed class DetachedSlot : PciSlot, IGuestMemory, IInterruptPins
{
    private readonly TimerQueue _clock = new();
    private readonly MailQueue _mailbox = new(() => { });
    private readonly Queue<DmaRequest> _queued = [];
    private readonly Mail _failQueued;

    public DetachedSlot() => _failQueued = new Mail(() =>
    {
        for (int count = _queued.Count; count > 0; count--) _queued.Dequeue().End(DmaStatus.Failed);
    });

    public override IGuestMemory Memory => this;
    public override IInterruptPins Pins => this;
    public override IDeviceClock Clock => _clock;
    public override IMailbox Mailbox => _mailbox;
    public bool FollowsMsiXTable => true;
    public override BarMemory CreateBarMemory(int length) => new PrivateBarMemory(length);
    public override void Report(string text) { }
    public bool TryRead(ulong address, Span<byte> destination) => false;
    public bool TryWrite(ulong address, ReadOnlySpan<byte> source) => false;
    public bool TryPublish(ulong address, uint value) => false;
    public bool IsArmed(InterruptKind kind) => false;
    public void SetIntx(bool asserted) { }
    public bool TrySend(InterruptKind kind, int vector) => false;

    public bool TryView(ulong address, int length, bool writable, out Span<byte> view)
    {
        view = default;
        return false;
    }

    public void Queue(DmaRequest request)
    {
        request.Begin();
        _queued.Enqueue(request);
        _mailbox.Post(_failQueued);
    }
}
