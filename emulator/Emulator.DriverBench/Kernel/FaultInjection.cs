using Emulator.DriverBench.Pnp;

namespace Emulator.DriverBench.Kernel;

/// <summary>A fault that the bench made on purpose.</summary>
/// <param name="Text">"IoCreateDevice failed, allocation 3".</param>
/// <param name="Function">Whom it met, as "GeneralRobot!RobotAddDevice+0x1c"; empty when no code ran.</param>
public sealed record InjectedFault(string Text, string Function)
{
    public override string ToString() => Function.Length == 0 ? Text : $"{Text}; {Function}";
}

/// <summary>
/// Faults made on purpose, each at a place that a number names, so that a run can be repeated: an allocation that fails, a device that
/// is gone, an interrupt that never ends. A fault is no finding; what a driver makes of it may be.
/// </summary>
public sealed class FaultInjection
{
    private readonly BenchMachine _machine;
    private readonly List<InjectedFault> _injected = [];
    private int _failingAllocation;

    internal FaultInjection(BenchMachine machine) => _machine = machine;

    /// <summary>The calls so far that can fail for want of resources: pool, device objects, mappings, interrupts, links...</summary>
    public int Allocations { get; private set; }

    /// <summary>What was injected so far, in its order.</summary>
    public IReadOnlyList<InjectedFault> Injected => _injected;

    /// <summary>Lets one call fail that can fail for want of resources: the Nth from now, 1 the next one. 0 takes that back.</summary>
    public void FailAllocation(int nth)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(nth);
        _failingAllocation = nth == 0 ? 0 : Allocations + nth;
    }

    /// <summary>
    /// Pulls a device out without a word to its drivers, at the Nth of their accesses to it from now (1 the next one): that one and all
    /// later ones read all ones, and writes vanish. What NT says of it afterwards is <see cref="DeviceNode.SurpriseRemove"/>.
    /// </summary>
    public void LoseDevice(DeviceNode node, int access)
    {
        BenchSlot slot = SlotOf(node);
        ArgumentOutOfRangeException.ThrowIfLessThan(access, 1);
        slot.LostAtAccess = slot.Accesses + access;
    }

    /// <summary>
    /// From the Nth interrupt of a device from now on (1 the next one) its line stays asserted whatever its driver does, or its message
    /// comes again and again. The bench gives up on either after a while, with a finding.
    /// </summary>
    public void Storm(DeviceNode node, int interrupt = 1)
    {
        BenchSlot slot = SlotOf(node);
        ArgumentOutOfRangeException.ThrowIfLessThan(interrupt, 1);
        slot.InterruptsBeforeStorm = interrupt;
    }

    private BenchSlot SlotOf(DeviceNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        return _machine.Bus.Slots.Contains(node.Slot) ? node.Slot : throw new ArgumentException("The device is not in this machine.", nameof(node));
    }

    /// <summary>Counts a call that can fail for want of resources. True when this one is to fail.</summary>
    internal bool NextAllocationFails(string function)
    {
        if (++Allocations != _failingAllocation) return false;
        Add($"{function} failed, allocation {Allocations}");
        return true;
    }

    internal void Add(string text)
    {
        ulong at = _machine.CallerAddress;
        _injected.Add(new InjectedFault(text, at == 0 ? "" : _machine.Symbols.Describe(at)));
    }
}
