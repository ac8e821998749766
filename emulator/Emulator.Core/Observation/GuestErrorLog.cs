using Emulator.Time;

namespace Emulator.Observation;

/// <summary>
/// What the guest did wrong, in words, at a limited rate: a hostile guest must not fill a disk or slow its device down.
/// Each rule has a budget of its own; what was held back is counted and said with the next message.
/// </summary>
public sealed class GuestErrorLog
{
    /// <summary>Messages a rule may print in one <see cref="Window"/>.</summary>
    public const int Budget = 5;

    /// <summary>Nanoseconds of device time after which a rule has its budget again.</summary>
    public const long Window = 1_000_000_000;

    private readonly Dictionary<string, Rule> _rules = new(StringComparer.Ordinal);
    private readonly IDeviceClock _clock;
    private readonly Action<string> _write;

    internal GuestErrorLog(IDeviceClock clock, Action<string> write) => (_clock, _write) = (clock, write);

    internal ObserverSlot? Observer { get; set; }

    /// <summary>Every guest error so far, printed or not.</summary>
    public long Count { get; private set; }

    /// <summary>Notes a mistake of the guest.</summary>
    /// <param name="rule">The rule it broke, the same string each time.</param>
    /// <param name="detail">An offset, address or number that helps to find the place; printed in hexadecimal.</param>
    public void GuestError(string rule, ulong detail)
    {
        Count++;
        if (!_rules.TryGetValue(rule, out Rule? state)) _rules.Add(rule, state = new Rule { WindowStart = _clock.Now });
        if (_clock.Now - state.WindowStart >= Window) (state.WindowStart, state.Printed) = (_clock.Now, 0);
        if (state.Printed >= Budget) { state.HeldBack++; return; }
        state.Printed++;
        string text = state.HeldBack == 0
            ? $"guest error: {rule} (0x{detail:x})"
            : $"guest error: {rule} (0x{detail:x}), and {state.HeldBack} more held back";
        state.HeldBack = 0;
        _write(text);
        Observer?.Remark(text);
    }

    private sealed class Rule
    {
        public long WindowStart;
        public int Printed;
        public long HeldBack;
    }
}
