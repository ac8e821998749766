using System.Runtime.InteropServices;

namespace Emulator.DriverBench.Cpu;

internal enum Repeat : byte
{
    None,
    /// <summary>REP, REPE.</summary>
    WhileEqual,
    /// <summary>REPNE.</summary>
    WhileNotEqual,
}

/// <summary>
/// MOVS, STOS, LODS, SCAS, CMPS, INS, OUTS. A repeated one does at most a few thousand elements at a time and then
/// lets the run loop look up, as the processor takes interrupts between two elements.
/// </summary>
internal abstract class StringOperation<TWidth> : Operation where TWidth : struct, IWidth
{
    private const int ElementsAtATime = 4096;
    private readonly Repeat _repeat;

    protected StringOperation(Repeat repeat) => _repeat = repeat;

    protected static int Size => TWidth.Bits / 8;

    /// <summary>SCAS and CMPS end a repetition by ZF.</summary>
    protected virtual bool Compares => false;

    /// <summary>One element. False on a fault, with nothing changed.</summary>
    protected abstract bool TryStep(CpuState s);

    /// <summary>As many elements as can be moved at once, at most <paramref name="limit"/>; 0 when they must go one by one.</summary>
    protected virtual int Bulk(CpuState s, int limit) => 0;

    public override bool Execute(CpuState s)
    {
        s.CurrentAddress = Address;
        if (_repeat == Repeat.None) return TryStep(s);
        for (int done = 0; done < ElementsAtATime; done++)
        {
            ulong count = s.Registers[(int)Gpr.Rcx] & OffsetMask;
            if (count == 0) return true;
            int many = count > 4 ? Bulk(s, (int)Math.Min(count, 0x10000)) : 0;
            if (many == 0)
            {
                if (!TryStep(s)) return false;
                many = 1;
            }
            else done += many >> 4;
            SetPart(s, Gpr.Rcx, count - (ulong)many);
            if (Compares && s.Zero != (_repeat == Repeat.WhileEqual)) return true;
        }
        return (s.Registers[(int)Gpr.Rcx] & OffsetMask) == 0 || s.Resume(Address);
    }

    protected ulong Source(CpuState s) => ((s.Registers[(int)Gpr.Rsi] & OffsetMask) + s.Registers[Segment & 31]) & LinearMask;

    /// <summary>ES:DI; ES is flat and cannot be overridden.</summary>
    protected ulong Destination(CpuState s) => s.Registers[(int)Gpr.Rdi] & OffsetMask;

    protected void Advance(CpuState s, Gpr register, int elements)
    {
        long step = (s.SystemFlags & CpuState.DirectionFlag) == 0 ? elements * Size : -elements * Size;
        SetPart(s, register, s.Registers[(int)register] + (ulong)step);
    }

    protected static bool Forward(CpuState s) => (s.SystemFlags & CpuState.DirectionFlag) == 0;

    private void SetPart(CpuState s, Gpr register, ulong value)
    {
        ref ulong whole = ref s.Registers[(int)register];
        whole = OffsetMask == 0xFFFF ? (whole & ~0xFFFFul) | (value & 0xFFFF) : value & OffsetMask;
    }
}

internal sealed class MoveStringOperation<TWidth>(Repeat repeat) : StringOperation<TWidth>(repeat) where TWidth : struct, IWidth
{
    protected override bool TryStep(CpuState s)
    {
        if (!TWidth.TryLoad(s.Memory, Source(s), out ulong value) || !TWidth.TryStore(s.Memory, Destination(s), value)) return s.MemoryFault(this);
        Advance(s, Gpr.Rsi, 1);
        Advance(s, Gpr.Rdi, 1);
        return true;
    }

    protected override int Bulk(CpuState s, int limit)
    {
        if (!Forward(s) || !s.Memory.TryView(Source(s), limit * Size, writable: false, out Span<byte> source)
            || !s.Memory.TryView(Destination(s), limit * Size, writable: true, out Span<byte> destination)) return 0;
        // A destination just above its source repeats the bytes between: only element by element comes out right.
        if (source.Overlaps(destination, out int distance) && distance > 0) return 0;
        source.CopyTo(destination);
        Advance(s, Gpr.Rsi, limit);
        Advance(s, Gpr.Rdi, limit);
        return limit;
    }
}

internal sealed class StoreStringOperation<TWidth>(Repeat repeat) : StringOperation<TWidth>(repeat) where TWidth : struct, IWidth
{
    protected override bool TryStep(CpuState s)
    {
        if (!TWidth.TryStore(s.Memory, Destination(s), TWidth.Get(s, (int)Gpr.Rax))) return s.MemoryFault(this);
        Advance(s, Gpr.Rdi, 1);
        return true;
    }

    protected override int Bulk(CpuState s, int limit)
    {
        if (!Forward(s) || !s.Memory.TryView(Destination(s), limit * Size, writable: true, out Span<byte> destination)) return 0;
        ulong value = TWidth.Get(s, (int)Gpr.Rax);
        if (!BitConverter.IsLittleEndian && Size > 1) return 0;
        switch (Size)
        {
            case 1: destination.Fill((byte)value); break;
            case 2: MemoryMarshal.Cast<byte, ushort>(destination).Fill((ushort)value); break;
            case 4: MemoryMarshal.Cast<byte, uint>(destination).Fill((uint)value); break;
            default: MemoryMarshal.Cast<byte, ulong>(destination).Fill(value); break;
        }
        Advance(s, Gpr.Rdi, limit);
        return limit;
    }
}

internal sealed class LoadStringOperation<TWidth>(Repeat repeat) : StringOperation<TWidth>(repeat) where TWidth : struct, IWidth
{
    protected override bool TryStep(CpuState s)
    {
        if (!TWidth.TryLoad(s.Memory, Source(s), out ulong value)) return s.MemoryFault(this);
        TWidth.Set(s, (int)Gpr.Rax, value);
        Advance(s, Gpr.Rsi, 1);
        return true;
    }
}

internal sealed class ScanStringOperation<TWidth>(Repeat repeat) : StringOperation<TWidth>(repeat) where TWidth : struct, IWidth
{
    protected override bool Compares => true;

    protected override bool TryStep(CpuState s)
    {
        if (!TWidth.TryLoad(s.Memory, Destination(s), out ulong value)) return s.MemoryFault(this);
        Subtract.Apply<TWidth>(s, TWidth.Get(s, (int)Gpr.Rax), value);
        Advance(s, Gpr.Rdi, 1);
        return true;
    }
}

internal sealed class CompareStringOperation<TWidth>(Repeat repeat) : StringOperation<TWidth>(repeat) where TWidth : struct, IWidth
{
    protected override bool Compares => true;

    protected override bool TryStep(CpuState s)
    {
        if (!TWidth.TryLoad(s.Memory, Source(s), out ulong a) || !TWidth.TryLoad(s.Memory, Destination(s), out ulong b)) return s.MemoryFault(this);
        Subtract.Apply<TWidth>(s, a, b);
        Advance(s, Gpr.Rsi, 1);
        Advance(s, Gpr.Rdi, 1);
        return true;
    }
}

internal sealed class InputStringOperation<TWidth>(Repeat repeat) : StringOperation<TWidth>(repeat) where TWidth : struct, IWidth
{
    protected override bool TryStep(CpuState s)
    {
        // Seen before the port is read: a port read has effects that a fault could not take back.
        ulong place = Destination(s);
        if (!TWidth.TryLoad(s.Memory, place, out _)) return s.MemoryFault(this);
        ulong value = s.Interpreter.Platform.ReadPort(s.Interpreter, (ushort)s.Registers[(int)Gpr.Rdx], Size);
        if (!TWidth.TryStore(s.Memory, place, value)) return s.MemoryFault(this);
        Advance(s, Gpr.Rdi, 1);
        return true;
    }
}

internal sealed class OutputStringOperation<TWidth>(Repeat repeat) : StringOperation<TWidth>(repeat) where TWidth : struct, IWidth
{
    protected override bool TryStep(CpuState s)
    {
        if (!TWidth.TryLoad(s.Memory, Source(s), out ulong value)) return s.MemoryFault(this);
        s.Interpreter.Platform.WritePort(s.Interpreter, (ushort)s.Registers[(int)Gpr.Rdx], Size, value);
        Advance(s, Gpr.Rsi, 1);
        return true;
    }
}
