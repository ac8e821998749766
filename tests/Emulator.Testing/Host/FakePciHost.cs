using Emulator.Interrupts;
using Emulator.Memory;
using Emulator.Pci;
using Emulator.Pci.Capabilities;
using Emulator.Time;
using Emulator.Turns;

namespace Emulator.Testing;

/// <summary>
/// A PCI host for tests: RAM, an INTx line, message interrupts that follow the guest's own registers, and a clock that
/// moves only when told. Tests use it as a driver uses a machine: through configuration space, BARs and memory.
/// </summary>
/// <example><code>
/// var host = new FakePciHost();
/// var card = host.Plug(new MyCard(host.Slot));
/// host.Bar(0).Write32(0x10, 1);
/// Assert.That(host.IntxAsserted);
/// </code></example>
public sealed class FakePciHost
{
    private readonly MailQueue _mailbox;
    private readonly HostSlot _slot;
    private PciFunction? _function;

    /// <param name="ramSize">Bytes of guest RAM, from address 0.</param>
    public FakePciHost(int ramSize = 64 * 1024)
    {
        _mailbox = new MailQueue(() => { });
        Memory = new FakeGuestMemory(ramSize, _mailbox);
        _slot = new HostSlot(this);
    }

    public ManualClock Clock { get; } = new();
    public FakeGuestMemory Memory { get; }

    /// <summary>What to construct the function on.</summary>
    public PciSlot Slot => _slot;

    /// <summary>Lines the function reported about the guest.</summary>
    public List<string> Reports { get; } = [];

    /// <summary>The INTx level now.</summary>
    public bool IntxAsserted { get; private set; }

    /// <summary>How often INTx rose.</summary>
    public int IntxRises { get; private set; }

    /// <summary>Every MSI and MSI-X message so far, with the address and data the guest programmed.</summary>
    public List<Message> Messages { get; } = [];

    /// <summary>The function plugged in.</summary>
    public PciFunction Function => _function ?? throw new InvalidOperationException("No function is plugged in: call Plug first.");

    /// <summary>Powers a function on and, unless told not to, enables its BARs and bus mastering as firmware does.</summary>
    public T Plug<T>(T function, bool enable = true) where T : PciFunction
    {
        _function = function;
        function.Reset(ResetKind.PowerOn);
        if (enable) Config.Write16(0x04, 0x0007);
        return function;
    }

    /// <summary>Configuration space.</summary>
    public TestRegion Config => new(Function, PciRegion.Configuration);

    /// <summary>A BAR, 0 to 5.</summary>
    public TestRegion Bar(int index) => new(Function, index);

    /// <summary>Delivers mail (queued DMA, backends) until none is left; time does not move.</summary>
    public void Settle()
    {
        while (_mailbox.Deliver() > 0)
        {
        }
    }

    /// <summary>The offset of a capability in configuration space, walking the chain as an operating system does; 0 if there is none.</summary>
    public int FindCapability(byte id)
    {
        int at = Config.Read8(0x34) & 0xfc;
        for (int hops = 0; at != 0 && hops < 48; hops++, at = Config.Read8(at + 1) & 0xfc)
        {
            if (Config.Read8(at) == id) return at;
        }
        return 0;
    }

    /// <summary>A message interrupt as the chipset sees it.</summary>
    public readonly record struct Message(InterruptKind Kind, int Vector, ulong Address, uint Data);

    private sealed class HostSlot(FakePciHost host) : PciSlot, IInterruptPins
    {
        public override IGuestMemory Memory => host.Memory;
        public override IInterruptPins Pins => this;
        public override IDeviceClock Clock => host.Clock;
        public override IMailbox Mailbox => host._mailbox;
        public bool FollowsMsiXTable => true;
        public override BarMemory CreateBarMemory(int length) => new PrivateBarMemory(length);
        public override void Report(string text) => host.Reports.Add(text);
        public bool IsArmed(InterruptKind kind) => false;

        public void SetIntx(bool asserted)
        {
            if (asserted && !host.IntxAsserted) host.IntxRises++;
            host.IntxAsserted = asserted;
        }

        public bool TrySend(InterruptKind kind, int vector)
        {
            InterruptController interrupts = host.Function.Interrupts;
            host.Messages.Add(kind == InterruptKind.MsiX
                ? new Message(kind, vector, interrupts.MsiX!.Table.Address(vector), interrupts.MsiX.Table.Data(vector))
                : new Message(kind, vector, interrupts.Msi!.Address, interrupts.Msi.Data(vector)));
            return true;
        }
    }
}

/// <summary>A region of a function, as a driver uses it: typed accesses at byte offsets.</summary>
public readonly struct TestRegion(PciFunction function, int region)
{
    public byte Read8(int offset) => (byte)function.Read(region, (ulong)offset, 1);
    public ushort Read16(int offset) => (ushort)function.Read(region, (ulong)offset, 2);
    public uint Read32(int offset) => (uint)function.Read(region, (ulong)offset, 4);
    public ulong Read64(int offset) => function.Read(region, (ulong)offset, 8);
    public void Write8(int offset, byte value) => function.Write(region, (ulong)offset, 1, value);
    public void Write16(int offset, ushort value) => function.Write(region, (ulong)offset, 2, value);
    public void Write32(int offset, uint value) => function.Write(region, (ulong)offset, 4, value);
    public void Write64(int offset, ulong value) => function.Write(region, (ulong)offset, 8, value);

    /// <summary>A read of any length, as a string instruction or a large message makes it.</summary>
    public byte[] ReadBytes(int offset, int length)
    {
        var bytes = new byte[length];
        function.Read(region, (ulong)offset, bytes.AsSpan());
        return bytes;
    }

    public void WriteBytes(int offset, ReadOnlySpan<byte> bytes) => function.Write(region, (ulong)offset, bytes);
}
