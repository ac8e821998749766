using System.Buffers.Binary;
using System.Numerics;
using Emulator.Interrupts;
using Emulator.Memory;
using Emulator.Models;
using Emulator.Observation;
using Emulator.Pci.Capabilities;
using Emulator.Registers;
using Emulator.Time;
using Emulator.Turns;

namespace Emulator.Pci;

/// <summary>
/// A PCI function: an identity, configuration space, up to six BARs, interrupts, DMA and resets. A model derives from it,
/// defines its capabilities and BARs in its constructor, and puts its behaviour in register handlers. Everything runs on
/// one thread, the slot's.
/// </summary>
public abstract class PciFunction
{
    private readonly Bar?[] _bars = new Bar?[PciRegion.BarCount];
    private readonly List<DeviceSwitch> _switches = [];
    private readonly PciSlot _slot;
    private PowerManagementCapability? _power;
    private PciExpressCapability? _express;
    private ObserverSlot? _observer;
    private int _vendorCapabilities;
    private bool _ioDecoded, _memoryDecoded, _alwaysDecodes;

    protected PciFunction(PciIdentity identity, PciSlot slot)
    {
        (Identity, _slot) = (identity, slot);
        Log = new GuestErrorLog(slot.Clock, slot.Report);
        Configuration = new ConfigurationSpace(identity);
        Interrupts = new InterruptController(slot.Pins, hasPin: identity.InterruptPin != 0);
        Memory = new BusMaster(slot.Memory, slot.Mailbox, Log);
        Interrupts.IntxStatusChanged = wanted => Configuration.InterruptStatus.IsSet = wanted;
        Configuration.OnCommandWrite((int _, in RegisterWrite _) => ApplyCommand());
        Configuration.Refused = Refuse;
    }

    public PciIdentity Identity { get; }
    public ConfigurationSpace Configuration { get; }
    public InterruptController Interrupts { get; }

    /// <summary>Guest RAM, gated by Bus Master Enable.</summary>
    public BusMaster Memory { get; }

    /// <summary>What the guest does wrong goes here.</summary>
    public GuestErrorLog Log { get; }

    /// <summary>Six entries; null where there is no BAR.</summary>
    public IReadOnlyList<Bar?> Bars => _bars;

    /// <summary>What a person can change while it runs.</summary>
    public IReadOnlyList<DeviceSwitch> Switches => _switches;

    /// <summary>Every bank a guest can reach, configuration space last.</summary>
    public IEnumerable<RegisterBank> Banks
        => _bars.OfType<Bar>().SelectMany(b => b.Windows).Select(w => w.Bank).OfType<RegisterBank>().Distinct().Append(Configuration);

    /// <summary>
    /// In D0, BARs decode and messages leave whatever COMMAND says: for clients that, unlike firmware, never set the enable
    /// bits. DMA still needs Bus Master Enable.
    /// </summary>
    public bool AlwaysDecodes
    {
        get => _alwaysDecodes;
        set
        {
            _alwaysDecodes = value;
            ApplyCommand();
        }
    }

    /// <summary>Who sees every access, interrupt, transfer and reset; null for nobody.</summary>
    public IDeviceObserver? Observer
    {
        get => _observer?.Observer;
        set
        {
            _observer = value is null ? null : new ObserverSlot(value, _slot.Clock);
            (Memory.Observer, Interrupts.Observer, Log.Observer) = (_observer, _observer, _observer);
        }
    }

    /// <summary>Device time.</summary>
    protected IDeviceClock Clock => _slot.Clock;

    /// <summary>The way onto the device thread for a backend's own threads.</summary>
    protected IMailbox Mailbox => _slot.Mailbox;

    /// <summary>Bytes of a region (see <see cref="PciRegion"/>); 0 where there is none.</summary>
    public ulong RegionSize(int region) => region switch
    {
        >= 0 and < PciRegion.BarCount => _bars[region]?.Size ?? 0,
        PciRegion.Configuration => (ulong)Configuration.Size,
        _ => 0,
    };

    /// <summary>A guest read of 1, 2, 4 or 8 bytes. All ones where nothing decodes.</summary>
    public ulong Read(int region, ulong offset, int size)
    {
        ulong value = AllOnes(size);
        bool ok = Decodes(region, offset, size, isRead: true);
        if (ok) value = region == PciRegion.Configuration ? Configuration.Read((int)offset, size) : _bars[region]!.Read(offset, size);
        _observer?.Access(DeviceEventKind.Read, region, offset, size, value, ok);
        return value;
    }

    /// <summary>A guest write of 1, 2, 4 or 8 bytes. Lost where nothing decodes.</summary>
    public void Write(int region, ulong offset, int size, ulong value)
    {
        bool ok = Decodes(region, offset, size, isRead: false);
        _observer?.Access(DeviceEventKind.Write, region, offset, size, value, ok);
        if (!ok) return;
        if (region == PciRegion.Configuration) Configuration.Write((int)offset, size, value);
        else _bars[region]!.Write(offset, size, value);
    }

    /// <summary>A guest read of any length: one access where the length allows, aligned pieces elsewhere, RAM in bulk.</summary>
    public void Read(int region, ulong offset, Span<byte> destination)
    {
        if (IsOneAccess(destination.Length)) { Store(destination, Read(region, offset, destination.Length)); return; }
        if (TryGetRam(region, offset, destination.Length, out Span<byte> ram))
        {
            ram.CopyTo(destination);
            _observer?.Access(DeviceEventKind.Read, region, offset, destination.Length, ObserverSlot.FirstBytes(destination), ok: true);
            return;
        }
        while (destination.Length > 0)
        {
            int piece = Piece(offset, destination.Length);
            Store(destination[..piece], Read(region, offset, piece));
            destination = destination[piece..];
            // Past the end of the 64-bit space there is no region, and certainly not the start of this one.
            offset = Math.Max(offset, offset + (ulong)piece);
        }
    }

    /// <summary>A guest write of any length.</summary>
    public void Write(int region, ulong offset, ReadOnlySpan<byte> source)
    {
        if (IsOneAccess(source.Length)) { Write(region, offset, source.Length, ObserverSlot.FirstBytes(source)); return; }
        if (TryGetRam(region, offset, source.Length, out Span<byte> ram))
        {
            _observer?.Access(DeviceEventKind.Write, region, offset, source.Length, ObserverSlot.FirstBytes(source), ok: true);
            source.CopyTo(ram);
            return;
        }
        while (source.Length > 0)
        {
            int piece = Piece(offset, source.Length);
            Write(region, offset, piece, ObserverSlot.FirstBytes(source[..piece]));
            source = source[piece..];
            offset = Math.Max(offset, offset + (ulong)piece);
        }
    }

    /// <summary>What a read would see, without its side effects and whether or not the BAR decodes.</summary>
    public ulong Peek(int region, ulong offset, int size)
    {
        if (!Exists(region, offset, size)) return AllOnes(size);
        return region == PciRegion.Configuration ? Configuration.Peek((int)offset, size) : _bars[region]!.Peek(offset, size);
    }

    /// <summary>Resets the function: configuration space, banks, interrupts, then the model's own state.</summary>
    public void Reset(ResetKind kind)
    {
        _observer?.Signal(DeviceEventKind.Reset, 0, (ulong)kind);
        Configuration.Seal();
        Memory.AbortQueued();
        Interrupts.Reset();
        if (kind == ResetKind.FunctionLevel) _express?.BeforeFunctionLevelReset();
        bool keepSticky = kind != ResetKind.PowerOn;
        Configuration.Reset(keepSticky);
        foreach (Bar? bar in _bars) bar?.Reset(keepSticky);
        if (kind == ResetKind.PowerOn)
        {
            foreach (Bar? bar in _bars) bar?.Memory?.Span.Clear();
        }
        if (kind == ResetKind.FunctionLevel) _express?.AfterFunctionLevelReset();
        ApplyCommand();
        OnReset(kind);
    }

    /// <summary>
    /// The model's part of a reset: state that is not in registers, timers cancelled. Registers are at their reset values and
    /// interrupt sources down already; queued DMA still completes, as aborted, in a later turn.
    /// </summary>
    protected abstract void OnReset(ResetKind kind);

    /// <summary>Gives the function a BAR.</summary>
    /// <exception cref="ArgumentException">The index is taken or the size is not a power of two in range.</exception>
    protected Bar MapBar(int index, BarKind kind, ulong size, bool prefetchable = false)
    {
        int last = kind == BarKind.Memory64 ? index + 1 : index;
        if (index < 0 || last >= PciRegion.BarCount || _bars[index] is not null || IsUpperHalf(index) || _bars[last] is not null)
            throw new ArgumentException($"BAR{index} is not free for {kind}.", nameof(index));
        var bar = new Bar(index, kind, size, prefetchable, _slot.CreateBarMemory, Refuse);
        Configuration.DefineBar(bar);
        return _bars[index] = bar;
    }

    /// <summary>Gives the function a BAR that is one bank of registers, its size rounded up to a power of two.</summary>
    protected Bar MapBar(int index, BarKind kind, RegisterBank bank)
        => MapBar(index, kind, BitOperations.RoundUpToPowerOf2(Math.Max((ulong)bank.Length, kind == BarKind.Io ? 4u : 16u))).Add(0, bank);

    /// <summary>D0 and D3hot; waking up resets the function unless <paramref name="softReset"/> is false.</summary>
    protected PowerManagementCapability AddPowerManagement(bool softReset = true, int offset = 0)
        => _power = new PowerManagementCapability(Configuration, softReset, offset, PowerChanged);

    /// <summary>MSI with 1 to 32 vectors.</summary>
    protected MsiCapability AddMsi(int vectors = 1, bool wide = true, int offset = 0)
        => Interrupts.Msi = new MsiCapability(Configuration, vectors, wide, offset, Interrupts.Refresh);

    /// <summary>MSI-X with its table and pending bits in a memory BAR.</summary>
    /// <exception cref="ArgumentException">More than 16 vectors, and nobody said that this is meant.</exception>
    protected MsiXCapability AddMsiX(int vectors, Bar bar, ulong tableOffset, ulong pendingOffset, int offset = 0, bool allowMany = false)
    {
        if (vectors > MsiXCapability.UsualMaximum && !allowMany)
            throw new ArgumentException($"{vectors} MSI-X vectors: Windows refuses some devices with more than 16; pass allowMany if it is meant.",
                nameof(vectors));
        return Interrupts.MsiX = new MsiXCapability(Configuration, vectors, bar, tableOffset, pendingOffset, offset, Interrupts.Refresh);
    }

    /// <summary>Makes the function a PCI Express endpoint with Function Level Reset.</summary>
    protected PciExpressCapability AddPciExpress(int offset = 0)
        => _express = new PciExpressCapability(Configuration, offset, () => Reset(ResetKind.FunctionLevel));

    /// <summary>Function Level Reset for a conventional function.</summary>
    protected AdvancedFeaturesCapability AddAdvancedFeatures(int offset = 0)
        => new(Configuration, offset, () => Reset(ResetKind.FunctionLevel));

    /// <summary>Read-only bytes of the vendor's own, at most 252.</summary>
    protected VendorSpecificCapability AddVendorSpecific(ReadOnlySpan<byte> data, int offset = 0)
        => new(Configuration, data, _vendorCapabilities++, offset);

    /// <summary>Offers something to a person, until the function is served.</summary>
    public void AddSwitch(DeviceSwitch deviceSwitch) => _switches.Add(deviceSwitch);

    internal void NoteClient(bool connected) => _observer?.Signal(DeviceEventKind.Client, 0, connected ? 1u : 0);

    internal void NoteMapping(bool mapped, ulong address, ulong size)
        => _observer?.Signal(mapped ? DeviceEventKind.DmaMap : DeviceEventKind.DmaUnmap, address, size);

    private static bool IsOneAccess(int length) => length is 1 or 2 or 4 or 8;

    private static ulong AllOnes(int size) => ulong.MaxValue >> (64 - (size * 8));

    // The widest aligned piece, as a bus would cut it.
    private static int Piece(ulong offset, int remaining)
    {
        int widest = Math.Min(8, (int)BitOperations.RoundUpToPowerOf2((uint)remaining + 1) >> 1);
        return offset % 8 == 0 ? widest : Math.Min(widest, 1 << BitOperations.TrailingZeroCount(offset));
    }

    private static void Store(Span<byte> destination, ulong value)
    {
        if (destination.Length == 8) { BinaryPrimitives.WriteUInt64LittleEndian(destination, value); return; }
        for (int i = 0; i < destination.Length; i++) destination[i] = (byte)(value >> (i * 8));
    }

    private bool Exists(int region, ulong offset, int size)
    {
        ulong length = RegionSize(region);
        return offset < length && (ulong)size <= length - offset;
    }

    private bool Decodes(int region, ulong offset, int size, bool isRead)
    {
        if (!Exists(region, offset, size))
        {
            Log.GuestError(isRead ? "read outside every region" : "write outside every region", offset);
            return false;
        }
        if (region == PciRegion.Configuration) return true;
        bool io = _bars[region]!.Kind == BarKind.Io;
        if (io ? _ioDecoded : _memoryDecoded) return true;
        Log.GuestError(io ? "access while I/O Space Enable is 0" : "access while Memory Space Enable is 0", offset);
        return false;
    }

    private bool TryGetRam(int region, ulong offset, int length, out Span<byte> ram)
    {
        ram = default;
        return region is >= 0 and < PciRegion.BarCount && _bars[region] is { Kind: not BarKind.Io } bar && _memoryDecoded
            && Exists(region, offset, length) && bar.TryGetRam(offset, length, out ram);
    }

    private bool IsUpperHalf(int index) => index > 0 && _bars[index - 1] is { Kind: BarKind.Memory64 };

    // D3hot answers configuration accesses only (PCI PM 1.2, 5.4.1).
    private void ApplyCommand()
    {
        bool awake = _power is null or { State: PowerState.D0 };
        _ioDecoded = awake && (_alwaysDecodes || Configuration.IoEnable.IsSet);
        _memoryDecoded = awake && (_alwaysDecodes || Configuration.MemoryEnable.IsSet);
        Memory.IsEnabled = awake && Configuration.BusMasterEnable.IsSet;
        Interrupts.SetGates(Configuration.InterruptDisable.IsSet, _alwaysDecodes || Configuration.BusMasterEnable.IsSet, !awake);
    }

    private void PowerChanged(PowerState from, PowerState to)
    {
        if (from == PowerState.D3Hot && to == PowerState.D0 && _power!.ResetsOnWake) Reset(ResetKind.PowerManagement);
        else ApplyCommand();
    }

    private void Refuse(int offset) => Log.GuestError("access of a width the registers do not answer", (ulong)offset);
}
