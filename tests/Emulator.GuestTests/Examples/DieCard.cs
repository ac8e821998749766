using Emulator.Interrupts;
using Emulator.Pci;
using Emulator.Registers;
using Emulator.Time;
using static Emulator.Registers.Access;

namespace Examples;

/// <summary>The registers of a die: a table, which is also its datasheet and what names a trace.</summary>
internal sealed class DieRegisters : RegisterBank
{
    public readonly Register Control, Status;
    public readonly Field Roll, InterruptEnable, Rolling, Done, Face;

    public DieRegisters() : base("DIE", 0x10, "A die.")
    {
        Control = Add("CONTROL", 0x0, size: 4)
            .Bit(0, "ROLL", WriteOnly, out Roll, summary: "Writing 1 throws the die.")
            .Bit(1, "IE", ReadWrite, out InterruptEnable, summary: "Interrupt when it lies still.");
        Status = Add("STATUS", 0x4, size: 4)
            .Bit(0, "ROLLING", ReadOnly, out Rolling)
            .Bit(1, "DONE", WriteOneToClear, out Done, summary: "It lies still; write 1 to clear.");
        Add("FACE", 0x8, size: 4)
            .Bits(2, 0, "FACE", ReadOnly, out Face, summary: "1 to 6; 0 before the first throw.");
    }
}

/// <summary>A die in a PCI slot: it rolls for a millisecond of device time, then shows a face and interrupts.</summary>
public sealed class DieCard : PciFunction
{
    private const long RollingTime = 1_000_000;

    private readonly DieRegisters _die = new();
    private readonly InterruptSource _interrupt;
    private readonly IDeviceTimer _still;
    private readonly int _seed;
    private Random _random;

    public DieCard(PciSlot slot, int seed = 6) : base(new PciIdentity(0x1234, 0xd1ce, 0xff0000), slot)
    {
        (_seed, _random) = (seed, new Random(seed));
        MapBar(0, BarKind.Memory32, _die);
        AddMsi();
        _interrupt = Interrupts.CreateSource();
        _still = Clock.CreateTimer(LieStill);
        _die.Control.OnWrite(WriteControl);
        _die.Status.OnWrite(WriteStatus);
    }

    protected override void OnReset(ResetKind kind)
    {
        _still.Cancel();
        _random = new Random(_seed);
        UpdateInterrupt();
    }

    private void WriteControl(int index, in RegisterWrite write)
    {
        if (write.WroteOne(_die.Roll) && !_die.Rolling.IsSet)
        {
            _die.Rolling.IsSet = true;
            _still.Arm(RollingTime);
        }
        UpdateInterrupt();
    }

    private void WriteStatus(int index, in RegisterWrite write) => UpdateInterrupt();

    private void LieStill()
    {
        _die.Rolling.IsSet = false;
        _die.Face.Value = (ulong)_random.Next(1, 7);
        _die.Done.IsSet = true;
        UpdateInterrupt();
    }

    private void UpdateInterrupt() => _interrupt.Level = _die.Done.IsSet && _die.InterruptEnable.IsSet;
}
