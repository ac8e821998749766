using System.Buffers.Binary;
using Emulator.Pci;
using Emulator.Registers;
using static Emulator.Registers.Access;

namespace DeviceModels.Scratch;

/// <summary>A PCI function described wholly by <see cref="ScratchOptions"/>.</summary>
public sealed class ScratchFunction : PciFunction
{
    private readonly ScratchPlan _plan;
    private readonly Engine? _engine;

    /// <param name="options">What to be.</param>
    /// <param name="slot">Where to be.</param>
    /// <param name="readFile">Gives the bytes of the files that options name; null where there are none. May throw as
    /// <see cref="File.ReadAllBytes(string)"/> does.</param>
    /// <exception cref="ScratchOptionsException">An option cannot be served: its message is one line for the person who wrote it.</exception>
    public ScratchFunction(ScratchOptions options, PciSlot slot, Func<string, byte[]>? readFile = null)
        : this(new ScratchPlan(options, readFile), slot)
    {
    }

    private ScratchFunction(ScratchPlan plan, PciSlot slot) : base(plan.Identity, slot)
    {
        _plan = plan;
        foreach (PlannedBar bar in plan.Bars) MapBar(bar.Index, bar.Kind, bar.Size, bar.Prefetchable);
        if (plan.Engine is { } engine)
        {
            var registers = new EngineRegisters();
            Bars[engine.Bar]!.Add(engine.Offset, registers);
            _engine = new Engine(registers, Interrupts, Memory, Log, Clock);
        }
        if (plan.Capabilities.PowerManagement) AddPowerManagement();
        if (plan.Msi > 0) AddMsi(plan.Msi);
        if (plan.MsiX is { } messages)
            AddMsiX(messages.Vectors, Bars[messages.Bar]!, messages.TableOffset, messages.PendingOffset, allowMany: messages.AllowMany);
        if (plan.Capabilities.PciExpress) AddPciExpress();
        if (plan.Capabilities.AdvancedFeatures) AddAdvancedFeatures();
        foreach (byte[] bytes in plan.VendorSpecific) AddVendorSpecific(bytes);
        foreach (PlannedBar bar in plan.Bars)
        {
            foreach ((ulong offset, ulong length, bool isMapped) in bar.Windows)
            {
                if (bar.Content == ScratchContent.Registers) Bars[bar.Index]!.Add(offset, new ScratchRegisters(bar, (int)offset, (int)length));
                else Bars[bar.Index]!.AddRam(offset, length, isMapped);
            }
        }
    }

    protected override void OnReset(ResetKind kind)
    {
        _engine?.Reset();
        // RAM keeps its contents over any other reset, as a board's would.
        if (kind == ResetKind.PowerOn)
        {
            foreach (PlannedBar bar in _plan.Bars) Load(bar);
        }
    }

    private void Load(PlannedBar bar)
    {
        if (Bars[bar.Index]!.Memory is not { } memory) return;
        // Cleared already; a large BAR costs pages only where something is written.
        if (bar.Fill != 0) memory.Span.Fill(bar.Fill);
        bar.File.CopyTo(memory.Span);
    }

    /// <summary>Plain read-write dwords, a window of a BAR.</summary>
    private sealed class ScratchRegisters : RegisterBank
    {
        public ScratchRegisters(PlannedBar bar, int offset, int length)
            : base(offset == 0 ? $"BAR{bar.Index}" : $"BAR{bar.Index}_{offset:X}", length, "Plain read-write registers.")
            => AddArray("REG", 0, 4, length / 4, 4, r => r.Bits(31, 0, "VALUE", ReadWrite, Initial(bar, offset + r.Offset)), "Holds what is written.");

        private static ulong Initial(PlannedBar bar, int at)
        {
            Span<byte> bytes = stackalloc byte[4];
            bytes.Fill(bar.Fill);
            if (at < bar.File.Length) bar.File.AsSpan(at, Math.Min(4, bar.File.Length - at)).CopyTo(bytes);
            return BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        }
    }
}
