using Iced.Intel;

namespace Emulator.DriverBench.Cpu;

/// <summary>Makes operations of decoded instructions. What it does not know becomes an operation that stops with its name.</summary>
internal sealed partial class Translator(CpuMode mode)
{
    private enum Kind : byte
    {
        None,
        Register,
        /// <summary>AH, CH, DH, BH.</summary>
        High,
        Vector,
        Memory,
        Constant,
        Other,
    }

    private readonly bool _x64 = mode == CpuMode.X64;

    /// <summary>Whether the next instruction may be elsewhere, or a hook wants to be looked up at once.</summary>
    public static bool EndsBlock(in Instruction i) => i.FlowControl != FlowControl.Next
        || i.Mnemonic is Mnemonic.Hlt or Mnemonic.Sti or Mnemonic.Popf or Mnemonic.Popfd or Mnemonic.Popfq or Mnemonic.In or Mnemonic.Out
        || (i.Mnemonic == Mnemonic.Mov && i.Op0Kind == OpKind.Register && IsControl(i.Op0Register));

    public Operation Translate(in Instruction i)
    {
        Operation operation = i.IsInvalid ? new InvalidOperation() : (i.Encoding == EncodingKind.Legacy ? Choose(i) : null) ?? new UnsupportedOperation();
        Fill(operation, i);
        return operation;
    }

    private void Fill(Operation operation, in Instruction i)
    {
        ulong mask = _x64 ? ulong.MaxValue : uint.MaxValue;
        operation.Address = i.IP;
        operation.Next = i.NextIP & mask;
        operation.LinearMask = mask;
        operation.OffsetMask = mask;
        if (i.IsInvalid) return;
        for (int n = 0; n < i.OpCount; n++)
        {
            switch (i.GetOpKind(n))
            {
                case OpKind.Register:
                    byte number = Number(i.GetOpRegister(n));
                    if (n == 0) operation.R1 = number;
                    else if (n == 1) operation.R2 = number;
                    else operation.R3 = number;
                    break;
                case OpKind.Memory:
                    FillMemory(operation, i);
                    break;
                case OpKind.NearBranch16 or OpKind.NearBranch32 or OpKind.NearBranch64:
                    operation.Immediate = i.NearBranchTarget & mask;
                    break;
                case OpKind.MemorySegSI or OpKind.MemorySegDI or OpKind.MemoryESDI:
                    operation.OffsetMask = 0xFFFF;
                    operation.Segment = SegmentSlot(i);
                    break;
                case OpKind.MemorySegESI or OpKind.MemorySegEDI or OpKind.MemoryESEDI:
                    operation.OffsetMask = 0xFFFF_FFFF;
                    operation.Segment = SegmentSlot(i);
                    break;
                case OpKind.MemorySegRSI or OpKind.MemorySegRDI or OpKind.MemoryESRDI:
                    operation.Segment = SegmentSlot(i);
                    break;
                default:
                    if (IsImmediate(i.GetOpKind(n))) operation.Immediate = i.GetImmediate(n);
                    break;
            }
        }
        // An immediate is as wide as the destination it is combined with.
        if (i.OpCount >= 2 && IsImmediate(i.GetOpKind(1)) && i.Op0Kind is OpKind.Register or OpKind.Memory) operation.Immediate &= Mask(OperandBits(i, 0));
    }

    private void FillMemory(Operation operation, in Instruction i)
    {
        operation.Segment = SegmentSlot(i);
        if (i.IsIPRelativeMemoryOperand)
        {
            operation.Displacement = i.IPRelativeMemoryAddress;
            if (i.MemoryBase == Register.EIP) operation.OffsetMask = uint.MaxValue;
            return;
        }
        operation.Displacement = i.MemoryDisplacement64;
        int size = i.MemoryBase != Register.None ? i.MemoryBase.GetSize() : i.MemoryIndex != Register.None ? i.MemoryIndex.GetSize() : i.MemoryDisplSize;
        operation.OffsetMask = size switch { 2 => 0xFFFF, 4 => uint.MaxValue, _ => _x64 ? ulong.MaxValue : uint.MaxValue };
        if (i.MemoryBase != Register.None) operation.Base = Number(i.MemoryBase);
        if (i.MemoryIndex != Register.None) operation.Index = Number(i.MemoryIndex);
        operation.Shift = (byte)System.Numerics.BitOperations.Log2((uint)i.MemoryIndexScale);
    }

    private static byte SegmentSlot(in Instruction i) => i.MemorySegment switch
    {
        Register.FS => CpuState.FsSlot,
        Register.GS => CpuState.GsSlot,
        // CS, DS, ES and SS are flat.
        _ => CpuState.ZeroSlot,
    };

    private static byte Number(Register register)
        => (byte)(register is >= Register.AH and <= Register.BH ? register - Register.AH : register.GetFullRegister().GetNumber());

    private static bool IsImmediate(OpKind kind) => kind is OpKind.Immediate8 or OpKind.Immediate16 or OpKind.Immediate32 or OpKind.Immediate64
        or OpKind.Immediate8to16 or OpKind.Immediate8to32 or OpKind.Immediate8to64 or OpKind.Immediate32to64;

    private static bool IsControl(Register register) => register is >= Register.CR0 and <= Register.CR15;

    private static ulong ControlNumber(Register register) => (ulong)(register - Register.CR0);

    private static Kind KindOf(in Instruction i, int n)
    {
        if (n >= i.OpCount) return Kind.None;
        OpKind kind = i.GetOpKind(n);
        if (kind == OpKind.Memory) return Kind.Memory;
        if (IsImmediate(kind)) return Kind.Constant;
        if (kind != OpKind.Register) return Kind.Other;
        Register register = i.GetOpRegister(n);
        if (register is >= Register.AH and <= Register.BH) return Kind.High;
        if (register.IsGPR()) return Kind.Register;
        return register.IsXMM() ? Kind.Vector : Kind.Other;
    }

    private static int OperandBits(in Instruction i, int n)
        => 8 * (i.GetOpKind(n) == OpKind.Register ? i.GetOpRegister(n).GetSize() : i.MemorySize.GetSize());

    private static ulong Mask(int bits) => bits >= 64 ? ulong.MaxValue : (1ul << bits) - 1;

    private Operation? Choose(in Instruction i) => i.Mnemonic switch
    {
        Mnemonic.Mov => Move(i),
        Mnemonic.Movzx => MoveZeroExtended(i),
        Mnemonic.Movsx or Mnemonic.Movsxd => MoveSignExtended(i),
        Mnemonic.Movnti => Move(i),
        Mnemonic.Lea => OperandBits(i, 0) switch
        {
            16 => new LoadAddressOperation<Width16>(),
            32 => new LoadAddressOperation<Width32>(),
            _ => new LoadAddressOperation<Width64>(),
        },
        Mnemonic.Add => Binary<Add>(i),
        Mnemonic.Adc => Binary<AddWithCarry>(i),
        Mnemonic.Sub => Binary<Subtract>(i),
        Mnemonic.Sbb => Binary<SubtractWithBorrow>(i),
        Mnemonic.Cmp => Binary<Compare>(i),
        Mnemonic.And => Binary<And>(i),
        Mnemonic.Or => Binary<Or>(i),
        Mnemonic.Xor => Binary<ExclusiveOr>(i),
        Mnemonic.Test => Binary<Test>(i),
        Mnemonic.Shl or Mnemonic.Sal => Shift<ShiftLeft>(i),
        Mnemonic.Shr => Shift<ShiftRight>(i),
        Mnemonic.Sar => Shift<ShiftArithmeticRight>(i),
        Mnemonic.Rol => Shift<RotateLeft>(i),
        Mnemonic.Ror => Shift<RotateRight>(i),
        Mnemonic.Rcl => Shift<RotateCarryLeft>(i),
        Mnemonic.Rcr => Shift<RotateCarryRight>(i),
        Mnemonic.Shld => DoubleShift(i, left: true),
        Mnemonic.Shrd => DoubleShift(i, left: false),
        Mnemonic.Bt => Bits<BitTest>(i),
        Mnemonic.Bts => Bits<BitTestAndSet>(i),
        Mnemonic.Btr => Bits<BitTestAndReset>(i),
        Mnemonic.Btc => Bits<BitTestAndComplement>(i),
        Mnemonic.Not => Unary<Not>(i),
        Mnemonic.Neg => Unary<Negate>(i),
        Mnemonic.Inc => Unary<Increment>(i),
        Mnemonic.Dec => Unary<Decrement>(i),
        Mnemonic.Bsf => Scan<BitScanForward>(i),
        Mnemonic.Bsr => Scan<BitScanReverse>(i),
        Mnemonic.Tzcnt => Scan<TrailingZeros>(i),
        Mnemonic.Lzcnt => Scan<LeadingZeros>(i),
        Mnemonic.Popcnt => Scan<PopulationCount>(i),
        Mnemonic.Bswap => OperandBits(i, 0) switch
        {
            16 => new ByteSwapOperation<Width16>(),
            32 => new ByteSwapOperation<Width32>(),
            _ => new ByteSwapOperation<Width64>(),
        },
        Mnemonic.Xchg => Exchange(i),
        Mnemonic.Xadd => ExchangeAdd(i),
        Mnemonic.Cmpxchg => CompareExchange(i),
        Mnemonic.Cmpxchg8b => new CompareExchange8Operation(),
        Mnemonic.Cmpxchg16b => new CompareExchange16Operation(),
        Mnemonic.Mul => Multiply(i, signed: false),
        Mnemonic.Imul => i.OpCount == 1 ? Multiply(i, signed: true) : MultiplyTruncated(i),
        Mnemonic.Div => Divide(i, signed: false),
        Mnemonic.Idiv => Divide(i, signed: true),
        Mnemonic.Cbw => new ExtendAccumulatorOperation<Width16, Width8>(),
        Mnemonic.Cwde => new ExtendAccumulatorOperation<Width32, Width16>(),
        Mnemonic.Cdqe => new ExtendAccumulatorOperation<Width64, Width32>(),
        Mnemonic.Cwd => new SignToDataOperation<Width16>(),
        Mnemonic.Cdq => new SignToDataOperation<Width32>(),
        Mnemonic.Cqo => new SignToDataOperation<Width64>(),
        Mnemonic.Xlatb => new TranslateByteOperation(),

        Mnemonic.Push => Push(i),
        Mnemonic.Pop => Pop(i),
        Mnemonic.Pushf => new PushFlagsOperation<Width16>(),
        Mnemonic.Pushfd => new PushFlagsOperation<Width32>(),
        Mnemonic.Pushfq => new PushFlagsOperation<Width64>(),
        Mnemonic.Popf => new PopFlagsOperation<Width16>(),
        Mnemonic.Popfd => new PopFlagsOperation<Width32>(),
        Mnemonic.Popfq => new PopFlagsOperation<Width64>(),
        Mnemonic.Pusha => new PushAllOperation<Width16>(),
        Mnemonic.Pushad => new PushAllOperation<Width32>(),
        Mnemonic.Popa => new PopAllOperation<Width16>(),
        Mnemonic.Popad => new PopAllOperation<Width32>(),
        Mnemonic.Enter => Enter(i),
        Mnemonic.Leave => i.Code switch { Code.Leaveq => new LeaveOperation<Width64>(), Code.Leaved => new LeaveOperation<Width32>(), _ => null },

        Mnemonic.Jmp => Jump(i),
        Mnemonic.Call => Call(i),
        Mnemonic.Ret => i.Code switch
        {
            Code.Retnq or Code.Retnq_imm16 => new ReturnOperation<Width64>(),
            Code.Retnd or Code.Retnd_imm16 => new ReturnOperation<Width32>(),
            _ => null,
        },
        Mnemonic.Loop => Loop(i, LoopKind.Loop),
        Mnemonic.Loope => Loop(i, LoopKind.WhileEqual),
        Mnemonic.Loopne => Loop(i, LoopKind.WhileNotEqual),
        Mnemonic.Jcxz or Mnemonic.Jecxz or Mnemonic.Jrcxz => Loop(i, LoopKind.WhileZeroCounter),

        Mnemonic.Movsb or Mnemonic.Movsw or Mnemonic.Movsq => MoveString(i),
        Mnemonic.Movsd when IsString(i) => MoveString(i),
        Mnemonic.Stosb or Mnemonic.Stosw or Mnemonic.Stosd or Mnemonic.Stosq => StoreString(i),
        Mnemonic.Lodsb or Mnemonic.Lodsw or Mnemonic.Lodsd or Mnemonic.Lodsq => LoadString(i),
        Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd or Mnemonic.Scasq => ScanString(i),
        Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsq => CompareString(i),
        Mnemonic.Cmpsd when IsString(i) => CompareString(i),
        Mnemonic.Insb => new InputStringOperation<Width8>(RepeatOf(i)),
        Mnemonic.Insw => new InputStringOperation<Width16>(RepeatOf(i)),
        Mnemonic.Insd => new InputStringOperation<Width32>(RepeatOf(i)),
        Mnemonic.Outsb => new OutputStringOperation<Width8>(RepeatOf(i)),
        Mnemonic.Outsw => new OutputStringOperation<Width16>(RepeatOf(i)),
        Mnemonic.Outsd => new OutputStringOperation<Width32>(RepeatOf(i)),

        Mnemonic.Nop or Mnemonic.Reservednop or Mnemonic.Pause or Mnemonic.Endbr64 or Mnemonic.Endbr32 or Mnemonic.Lfence or Mnemonic.Mfence or Mnemonic.Sfence
            or Mnemonic.Prefetchnta or Mnemonic.Prefetcht0 or Mnemonic.Prefetcht1 or Mnemonic.Prefetcht2 or Mnemonic.Prefetchw or Mnemonic.Prefetch
            or Mnemonic.Clflush or Mnemonic.Clflushopt or Mnemonic.Clwb or Mnemonic.Wbinvd or Mnemonic.Invlpg => new NoOperation(),
        Mnemonic.Clc => new FlagOperation(FlagChange.ClearCarry),
        Mnemonic.Stc => new FlagOperation(FlagChange.SetCarry),
        Mnemonic.Cmc => new FlagOperation(FlagChange.ComplementCarry),
        Mnemonic.Cld => new FlagOperation(FlagChange.ClearDirection),
        Mnemonic.Std => new FlagOperation(FlagChange.SetDirection),
        Mnemonic.Cli => new FlagOperation(FlagChange.ClearInterrupt),
        Mnemonic.Sti => new FlagOperation(FlagChange.SetInterrupt),
        Mnemonic.Lahf => new FlagOperation(FlagChange.LoadToAh),
        Mnemonic.Sahf => new FlagOperation(FlagChange.StoreFromAh),
        Mnemonic.Hlt => new HaltOperation(),
        Mnemonic.Ud0 or Mnemonic.Ud1 or Mnemonic.Ud2 => new InvalidOperation(),
        Mnemonic.Int => new SoftwareInterruptOperation(),
        Mnemonic.Int3 => new SoftwareInterruptOperation { Immediate = 3 },
        Mnemonic.In => Input(i),
        Mnemonic.Out => Output(i),
        Mnemonic.Rdtsc => new ReadTimestampOperation(withProcessor: false),
        Mnemonic.Rdtscp => new ReadTimestampOperation(withProcessor: true),
        Mnemonic.Cpuid => new IdentifyOperation(),
        Mnemonic.Rdmsr => new ModelSpecificOperation(write: false),
        Mnemonic.Wrmsr => new ModelSpecificOperation(write: true),
        Mnemonic.Ldmxcsr => new LoadMxcsrOperation(),
        Mnemonic.Stmxcsr => new StoreMxcsrOperation(),
        _ => Conditional(i) ?? Vector(i),
    };
}
