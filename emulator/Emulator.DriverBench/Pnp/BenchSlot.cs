using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Memory;
using Emulator.Interrupts;
using Emulator.Memory;
using Emulator.Pci;
using Emulator.Time;
using Emulator.Turns;

namespace Emulator.DriverBench.Pnp;

/// <summary>What the bus driver gives a device that has both.</summary>
public enum InterruptGrant
{
    Messages,
    Line,
}

/// <summary>A slot of the bench's PCI bus: the machine's memory, clock and interrupts as a function sees them.</summary>
internal sealed class BenchSlot : PciSlot, IInterruptPins
{
    private const ulong MessageAddress = 0xFEE0_0000;
    private readonly BenchMachine _machine;
    private readonly DmaMemory _memory;
    private readonly CodeTracing _code;
    private bool _messagesEnabled;
    private bool _lineAsserted;
    private bool _isAsleep;
    private bool _toldOfSleep;
    private readonly HashSet<ulong> _refused = [];

    public BenchSlot(BenchMachine machine, int index)
    {
        (_machine, Index, Line) = (machine, index, index);
        Timers.SetNow(machine.Timers.Now);
        _memory = new DmaMemory(machine.Ram, machine.Mail, RefuseDma);
        _code = new CodeTracing(machine);
    }

    public int Index { get; }
    public PciFunction Function { get; private set; } = null!;
    public ulong Pdo { get; set; }

    /// <summary>The DEVICE_NODE.</summary>
    public ulong Node { get; set; }

    /// <summary>What the PnP manager sends to its stack.</summary>
    public NodeRequests Requests { get; set; } = null!;

    /// <summary>What its stack reports below it.</summary>
    public ChildDevices Children { get; set; } = null!;

    /// <summary>PNP_DEVICE_STATE as the stack last told it.</summary>
    public uint PnpState { get; set; }

    /// <summary>False once it was pulled out.</summary>
    public bool IsPresent { get; private set; } = true;

    /// <summary>Message interrupts granted; 0 with the line.</summary>
    public int Messages { get; private set; }
    public bool LineAsserted => IsPresent && (_lineAsserted || IsStorming);

    /// <summary>It stormed: it is left alone until it falls.</summary>
    public bool LineMasked { get; set; }

    /// <summary>A fault that was asked for: the line stays asserted, a message comes again.</summary>
    public bool IsStorming { get; set; }

    /// <summary>At which interrupt from now on that begins; 0 never.</summary>
    public int InterruptsBeforeStorm { get; set; }

    /// <summary>Accesses of drivers to registers and ports.</summary>
    public int Accesses { get; private set; }

    /// <summary>The access at which it is gone; 0 never.</summary>
    public int LostAtAccess { get; set; }

    /// <summary>The slot whose interrupt line this one's is wired to; its own, unless told otherwise.</summary>
    public int Line { get; set; }
    public uint Vector => 0x30 + (uint)Line;

    /// <summary>Where each BAR lies; 0 where there is none.</summary>
    public ulong[] Addresses { get; } = new ulong[PciRegion.BarCount];

    public override IGuestMemory Memory => _memory;
    public override IInterruptPins Pins => this;
    public override IDeviceClock Clock => Timers;

    /// <summary>The function's own timers, which go with it.</summary>
    public TimerQueue Timers { get; } = new();
    public override IMailbox Mailbox => _machine.Mail;
    public bool FollowsMsiXTable => true;

    public override BarMemory CreateBarMemory(int length) => new PrivateBarMemory(length);
    public override void Report(string text) => _machine.Printed.Add($"{Function?.Identity}: {text}");
    public bool IsArmed(InterruptKind kind) => false;

    public void SetIntx(bool asserted)
    {
        _lineAsserted = asserted && IsPresent;
        if (!asserted) LineMasked = false;
        _machine.Cpu.RequestAttention();
    }

    public bool TrySend(InterruptKind kind, int vector) => IsPresent && _machine.Interrupts.Send(this, vector);

    public void Insert(PciFunction function, InterruptGrant grant)
    {
        Function = function;
        function.Reset(ResetKind.PowerOn);
        Messages = grant == InterruptGrant.Messages ? function.Interrupts.CountOf(InterruptKind.MsiX) : 0;
    }

    /// <summary>A driver reads a register or a port.</summary>
    public ulong ReadRegister(int bar, ulong offset, int size) => Reach() ? Function.Read(bar, offset, size) : ulong.MaxValue;

    /// <summary>A driver writes a register or a port.</summary>
    public void WriteRegister(int bar, ulong offset, int size, ulong value)
    {
        if (Reach()) Function.Write(bar, offset, size, value);
    }

    public void Pull()
    {
        IsPresent = false;
        (_lineAsserted, IsStorming) = (false, false);
        _machine.Interrupts.Drop(this);
        Function.Reset(ResetKind.PowerOn);
    }

    /// <summary>Writes the BARs, the command register and the message table: at START, and after D3, which may have lost them.</summary>
    public void Program()
    {
        for (int i = 0; i < PciRegion.BarCount; i++)
        {
            if (Function.Bars[i] is not { } bar) continue;
            Configure(0x10 + (4 * i), 4, Addresses[i]);
            if (bar.Kind == BarKind.Memory64) Configure(0x14 + (4 * i), 4, Addresses[i] >> 32);
        }
        Configure(0x3C, 1, Vector);
        Configure(0x04, 2, 0x0007);
        if (_messagesEnabled) ProgramMessages();
    }

    public void EnableMessages(bool enable)
    {
        _messagesEnabled = enable;
        if (!IsPresent) return;
        if (enable) ProgramMessages();
        else Configure(Function.Interrupts.MsiX!.Offset + 2, 2, 0);
    }

    public void SetPower(uint state)
    {
        if (!IsPresent) return;
        int capability = FindCapability(1);
        // PMCSR: D0 is 0, D3 is 3; POWER_STATE counts from 1.
        if (capability != 0) Configure(capability + 4, 2, state - 1);
        (_isAsleep, _toldOfSleep) = (capability != 0 && state != 1, false);
        if (state == 1) Program();
    }

    private bool Reach()
    {
        if (++Accesses == LostAtAccess && IsPresent)
        {
            _machine.Faults.Add($"{Function.Identity} is gone, at access {Accesses}");
            Pull();
        }
        if (IsPresent && Function.Observer is { } observer) _code.BeforeAccess(observer);
        if (IsPresent && _isAsleep && !_toldOfSleep)
        {
            _toldOfSleep = true;
            ulong at = _machine.CallerAddress != 0 ? _machine.CallerAddress : _machine.Cpu.CurrentInstruction;
            _machine.ReportAt(Rule.Power, $"the registers of {Function.Identity} are needed in D3", at);
        }
        return IsPresent;
    }

    /// <summary>The device reaches for memory that is not its driver's; told of once for each page.</summary>
    private void RefuseDma(ulong address, int length)
    {
        if (!_refused.Add(address / AddressSpace.PageSize)) return;
        _machine.ReportAt(Rule.Dma, $"{Function.Identity} reaches for {length} bytes at 0x{address:x} by DMA, which is no common buffer", 0);
    }

    private void ProgramMessages()
    {
        int offset = Function.Interrupts.MsiX!.Offset;
        uint table = (uint)Function.Read(PciRegion.Configuration, (ulong)(offset + 4), 4);
        for (int i = 0; i < Messages; i++)
        {
            ulong entry = (table & ~7u) + (ulong)(16 * i);
            int bar = (int)(table & 7);
            Function.Write(bar, entry, 4, MessageAddress);
            Function.Write(bar, entry + 4, 4, 0);
            Function.Write(bar, entry + 8, 4, Vector);
            Function.Write(bar, entry + 12, 4, 0);
        }
        Configure(offset + 2, 2, 0x8000);
    }

    private int FindCapability(byte id)
    {
        int at = (int)Function.Read(PciRegion.Configuration, 0x34, 1) & 0xFC;
        for (int hops = 0; at != 0 && hops < 48; hops++)
        {
            if (Function.Read(PciRegion.Configuration, (ulong)at, 1) == id) return at;
            at = (int)Function.Read(PciRegion.Configuration, (ulong)(at + 1), 1) & 0xFC;
        }
        return 0;
    }

    /// <summary>All ones when it is gone.</summary>
    public ulong ReadConfiguration(int offset, int size) => IsPresent ? Function.Read(PciRegion.Configuration, (ulong)offset, size) : ulong.MaxValue;

    public void WriteConfiguration(int offset, int size, ulong value)
    {
        if (IsPresent) Configure(offset, size, value);
    }

    private void Configure(int offset, int size, ulong value)
        => Function.Write(PciRegion.Configuration, (ulong)offset, size, value & (ulong.MaxValue >> (64 - (8 * size))));
}
