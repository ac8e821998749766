using Emulator.Registers;
using static Emulator.Registers.Access;

namespace Emulator.Pci.Capabilities;

/// <summary>PCI power states; D1 and D2 are not offered.</summary>
public enum PowerState : byte { D0 = 0, D1 = 1, D2 = 2, D3Hot = 3 }

/// <summary>PCI Power Management (PCI PM 1.2, 3.2): D0 and D3hot.</summary>
public sealed class PowerManagementCapability
{
    internal const int Length = 8;

    private readonly Field<PowerState> _state;
    private readonly Field _noSoftReset;
    private readonly Action<PowerState, PowerState> _changed;

    internal PowerManagementCapability(ConfigurationSpace config, bool softReset, int at, Action<PowerState, PowerState> changed)
    {
        _changed = changed;
        Offset = config.AddCapability(0x01, "PM", Length, at);
        config.Define("PMC", Offset + 2, 2, "Power Management Capabilities.")
            .Bits(2, 0, "VERSION", ReadOnly, reset: 3)
            .Bits(15, 11, "PMESUP", ReadOnly, summary: "PME# support: none.");
        config.Define("PMCSR", Offset + 4, 2, "Power Management Control/Status.")
            .Bits(1, 0, "STATE", ReadWrite, out _state, summary: "0: D0, 3: D3hot.")
            .Bit(3, "NSR", ReadOnly, out _noSoftReset, reset: softReset ? 0u : 1u, summary: "No Soft Reset: D3hot to D0 keeps the state.")
            .OnWrite(WriteControlStatus);
    }

    /// <summary>Bytes into configuration space.</summary>
    public int Offset { get; }
    public PowerState State => _state.Value;

    // 3.2.4: a write of a state the function does not offer completes normally and is discarded.
    private void WriteControlStatus(int _, in RegisterWrite write)
    {
        PowerState before = _state.Extract(write.Before), wanted = _state.Extract(write.After);
        if (wanted is not (PowerState.D0 or PowerState.D3Hot)) _state.Value = before;
        else if (wanted != before) _changed(before, wanted);
    }

    internal bool ResetsOnWake => !_noSoftReset.IsSet;
}
