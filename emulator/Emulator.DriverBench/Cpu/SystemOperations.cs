namespace Emulator.DriverBench.Cpu;

/// <summary>NOP, PAUSE, fences, prefetches, cache and TLB maintenance: nothing to do here.</summary>
internal sealed class NoOperation : Operation
{
    public override bool Execute(CpuState s) => true;
}

/// <summary>Stands in for an instruction whose code has changed: leave the block and decode again.</summary>
internal sealed class DecodeAgainOperation : Operation
{
    public override bool Execute(CpuState s)
    {
        s.Stop = default;
        return false;
    }
}

internal sealed class UnsupportedOperation : Operation
{
    public override bool Execute(CpuState s) => s.Fault(this, StopReason.Unsupported, "the interpreter does not know this instruction");
}

internal sealed class InvalidOperation : Operation
{
    public override bool Execute(CpuState s) => s.Fault(this, StopReason.InvalidOpcode, "invalid opcode");
}

internal sealed class HaltOperation : Operation
{
    public override bool Execute(CpuState s) => s.StopAfter(this, StopReason.Halted, "");
}

internal sealed class SoftwareInterruptOperation : Operation
{
    public override bool Execute(CpuState s)
    {
        s.CurrentAddress = Address;
        if (s.Interpreter.Platform.SoftwareInterrupt(s.Interpreter, (byte)Immediate)) return true;
        string what = Immediate == 0x29 ? $"__fastfail({(uint)s.Registers[(int)Gpr.Rcx]})" : $"software interrupt 0x{Immediate:x}";
        return s.Fault(this, StopReason.SoftwareInterrupt, what);
    }
}

internal enum FlagChange : byte
{
    ClearCarry, SetCarry, ComplementCarry, ClearDirection, SetDirection, ClearInterrupt, SetInterrupt, LoadToAh, StoreFromAh,
}

internal sealed class FlagOperation : Operation
{
    private const ulong LowFlags = CpuState.CarryFlag | CpuState.ParityFlag | CpuState.AuxiliaryFlag | CpuState.ZeroFlag | CpuState.SignFlag;
    private readonly FlagChange _change;

    public FlagOperation(FlagChange change) => _change = change;

    public override bool Execute(CpuState s)
    {
        switch (_change)
        {
            case FlagChange.ClearCarry: s.SetCarry(false); break;
            case FlagChange.SetCarry: s.SetCarry(true); break;
            case FlagChange.ComplementCarry: s.SetCarry(!s.Carry); break;
            case FlagChange.ClearDirection: s.SystemFlags &= ~CpuState.DirectionFlag; break;
            case FlagChange.SetDirection: s.SystemFlags |= CpuState.DirectionFlag; break;
            case FlagChange.LoadToAh:
                s.Registers[(int)Gpr.Rax] = (s.Registers[(int)Gpr.Rax] & ~0xFF00ul) | ((s.Rflags & 0xFF) << 8);
                break;
            case FlagChange.StoreFromAh:
                s.SetArithmeticFlags((s.Rflags & CpuState.OverflowFlag) | ((s.Registers[(int)Gpr.Rax] >> 8) & LowFlags));
                break;
            default:
                bool enable = _change == FlagChange.SetInterrupt;
                s.CurrentAddress = Address;
                if (s.InterruptsEnabled == enable) break;
                s.InterruptsEnabled = enable;
                s.Interpreter.Platform.InterruptFlagChanged(s.Interpreter, enable);
                break;
        }
        return true;
    }
}

/// <summary>IN: the accumulator from a port; the port is DX or a constant.</summary>
internal sealed class InputOperation<TWidth, TPort> : Operation where TWidth : struct, IWidth where TPort : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        s.CurrentAddress = Address;
        TPort.TryRead(this, s, 0, out ulong port);
        TWidth.Set(s, (int)Gpr.Rax, s.Interpreter.Platform.ReadPort(s.Interpreter, (ushort)port, TWidth.Bits / 8) & TWidth.Mask);
        return true;
    }
}

internal sealed class OutputOperation<TWidth, TPort> : Operation where TWidth : struct, IWidth where TPort : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        s.CurrentAddress = Address;
        TPort.TryRead(this, s, 0, out ulong port);
        s.Interpreter.Platform.WritePort(s.Interpreter, (ushort)port, TWidth.Bits / 8, TWidth.Get(s, (int)Gpr.Rax));
        return true;
    }
}

/// <summary>RDTSC, and RDTSCP with processor 0 in ECX.</summary>
internal sealed class ReadTimestampOperation : Operation
{
    private readonly bool _withProcessor;

    public ReadTimestampOperation(bool withProcessor) => _withProcessor = withProcessor;

    public override bool Execute(CpuState s)
    {
        s.CurrentAddress = Address;
        ulong time = s.Interpreter.Platform.ReadTimestamp(s.Interpreter);
        (s.Registers[(int)Gpr.Rax], s.Registers[(int)Gpr.Rdx]) = ((uint)time, time >> 32);
        if (_withProcessor) s.Registers[(int)Gpr.Rcx] = 0;
        return true;
    }
}

internal sealed class IdentifyOperation : Operation
{
    public override bool Execute(CpuState s)
    {
        var (eax, ebx, ecx, edx) = s.Interpreter.Platform.Identify((uint)s.Registers[(int)Gpr.Rax], (uint)s.Registers[(int)Gpr.Rcx]);
        (s.Registers[(int)Gpr.Rax], s.Registers[(int)Gpr.Rbx], s.Registers[(int)Gpr.Rcx], s.Registers[(int)Gpr.Rdx]) = (eax, ebx, ecx, edx);
        return true;
    }
}

/// <summary>RDMSR and WRMSR.</summary>
internal sealed class ModelSpecificOperation : Operation
{
    private readonly bool _write;

    public ModelSpecificOperation(bool write) => _write = write;

    public override bool Execute(CpuState s)
    {
        s.CurrentAddress = Address;
        uint register = (uint)s.Registers[(int)Gpr.Rcx];
        ulong value = (s.Registers[(int)Gpr.Rdx] << 32) | (uint)s.Registers[(int)Gpr.Rax];
        if (_write)
        {
            return s.Interpreter.Platform.TryWriteMsr(s.Interpreter, register, value)
                || s.Fault(this, StopReason.GeneralProtection, $"WRMSR of 0x{register:x}, which is not there");
        }
        if (!s.Interpreter.Platform.TryReadMsr(s.Interpreter, register, out value))
        {
            return s.Fault(this, StopReason.GeneralProtection, $"RDMSR of 0x{register:x}, which is not there");
        }
        (s.Registers[(int)Gpr.Rax], s.Registers[(int)Gpr.Rdx]) = ((uint)value, value >> 32);
        return true;
    }
}

/// <summary>MOV R1, CRn; n is Immediate.</summary>
internal sealed class ReadControlRegisterOperation : Operation
{
    public override bool Execute(CpuState s)
    {
        s.CurrentAddress = Address;
        ulong value;
        if (Immediate == 8) value = s.Interpreter.Platform.ReadTaskPriority(s.Interpreter);
        else if (!s.Interpreter.Platform.TryReadControlRegister(s.Interpreter, (int)Immediate, out value))
        {
            return s.Fault(this, StopReason.GeneralProtection, $"CR{Immediate} is not there");
        }
        s.Registers[R1 & 31] = value & LinearMask;
        return true;
    }
}

/// <summary>MOV CR8, R2; no other control register may be written by a driver.</summary>
internal sealed class WriteControlRegisterOperation : Operation
{
    public override bool Execute(CpuState s)
    {
        s.CurrentAddress = Address;
        if (Immediate != 8) return s.Fault(this, StopReason.GeneralProtection, $"a driver may not write CR{Immediate}");
        s.Interpreter.Platform.WriteTaskPriority(s.Interpreter, s.Registers[R2 & 31]);
        return true;
    }
}

/// <summary>LDMXCSR. Only the default rounding and masks exist here.</summary>
internal sealed class LoadMxcsrOperation : Operation
{
    private const uint StickyFlags = 0x3F;

    public override bool Execute(CpuState s)
    {
        if (!s.Memory.TryRead32(LinearAddress(s), out uint value)) return s.MemoryFault(this);
        if ((value & ~StickyFlags) != CpuState.DefaultMxcsr) return s.Fault(this, StopReason.Unsupported, $"MXCSR = 0x{value:x}: only 0x1f80 is supported");
        s.Mxcsr = value;
        return true;
    }
}

internal sealed class StoreMxcsrOperation : Operation
{
    public override bool Execute(CpuState s) => s.Memory.TryWrite32(LinearAddress(s), s.Mxcsr) || s.MemoryFault(this);
}

/// <summary>XLAT: AL from a table of bytes. The memory operand is BX + AL.</summary>
internal sealed class TranslateByteOperation : Operation
{
    public override bool Execute(CpuState s)
    {
        s.CurrentAddress = Address;
        ulong place = (((s.Registers[(int)Gpr.Rbx] + (byte)s.Registers[(int)Gpr.Rax]) & OffsetMask) + s.Registers[Segment & 31]) & LinearMask;
        if (!s.Memory.TryRead8(place, out byte value)) return s.MemoryFault(this);
        Width8.Set(s, (int)Gpr.Rax, value);
        return true;
    }
}
