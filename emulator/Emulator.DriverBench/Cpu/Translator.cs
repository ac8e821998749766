using Iced.Intel;

namespace Emulator.DriverBench.Cpu;

/// <summary>Makes operations of decoded instructions. What it does not know becomes an operation that stops with its name.</summary>
internal sealed class Translator(CpuMode mode)
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

    // ---- operands ----

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

    // ---- instructions ----

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

    private Operation? Move(in Instruction i)
    {
        if (i.Op1Kind == OpKind.Register && i.Op1Register.IsSegmentRegister()) return MoveFromSegment(i);
        if (i.Op1Kind == OpKind.Register && IsControl(i.Op1Register)) return new ReadControlRegisterOperation { Immediate = ControlNumber(i.Op1Register) };
        if (i.Op0Kind == OpKind.Register && IsControl(i.Op0Register)) return new WriteControlRegisterOperation { Immediate = ControlNumber(i.Op0Register) };
        return OperandBits(i, 0) switch
        {
            8 => Move<Width8>(i),
            16 => Move<Width16>(i),
            32 => Move<Width32>(i),
            64 => Move<Width64>(i),
            _ => null,
        };
    }

    private static Operation? Move<TWidth>(in Instruction i) where TWidth : struct, IWidth => (KindOf(i, 0), KindOf(i, 1)) switch
    {
        (Kind.Register, Kind.Register) => new MoveOperation<First<TWidth>, Second<TWidth>>(),
        (Kind.Register, Kind.Constant) => new MoveOperation<First<TWidth>, Constant>(),
        (Kind.Register, Kind.Memory) => new MoveOperation<First<TWidth>, InMemory<TWidth>>(),
        (Kind.Memory, Kind.Register) => new MoveOperation<InMemory<TWidth>, Second<TWidth>>(),
        (Kind.Memory, Kind.Constant) => new MoveOperation<InMemory<TWidth>, Constant>(),
        (Kind.Register, Kind.High) => new MoveOperation<First<TWidth>, SecondHigh>(),
        (Kind.High, Kind.Register) => new MoveOperation<FirstHigh, Second<TWidth>>(),
        (Kind.High, Kind.High) => new MoveOperation<FirstHigh, SecondHigh>(),
        (Kind.High, Kind.Constant) => new MoveOperation<FirstHigh, Constant>(),
        (Kind.High, Kind.Memory) => new MoveOperation<FirstHigh, InMemory<TWidth>>(),
        (Kind.Memory, Kind.High) => new MoveOperation<InMemory<TWidth>, SecondHigh>(),
        _ => null,
    };

    /// <summary>The selectors Windows gives ring 0; what FS and GS point to is in their bases.</summary>
    private Operation? MoveFromSegment(in Instruction i)
    {
        ulong selector = (i.Op1Register, _x64) switch
        {
            (Register.CS, true) => 0x10,
            (Register.SS, true) => 0x18,
            (Register.FS, true) => 0x53,
            (_, true) => 0x2B,
            (Register.CS, false) => 0x08,
            (Register.SS, false) => 0x10,
            (Register.FS, false) => 0x30,
            (Register.GS, false) => 0x00,
            (_, false) => 0x23,
        };
        return (KindOf(i, 0), OperandBits(i, 0)) switch
        {
            (Kind.Memory, _) => new MoveOperation<InMemory<Width16>, Constant> { Immediate = selector },
            (Kind.Register, 16) => new MoveOperation<First<Width16>, Constant> { Immediate = selector },
            (Kind.Register, _) => new MoveOperation<First<Width32>, Constant> { Immediate = selector },
            _ => null,
        };
    }

    private static Operation? MoveZeroExtended(in Instruction i) => OperandBits(i, 0) switch
    {
        16 => MoveZeroExtended<Width16>(i),
        32 => MoveZeroExtended<Width32>(i),
        _ => MoveZeroExtended<Width64>(i),
    };

    private static Operation? MoveZeroExtended<TWidth>(in Instruction i) where TWidth : struct, IWidth => (KindOf(i, 1), OperandBits(i, 1)) switch
    {
        (Kind.Register, 8) => new MoveOperation<First<TWidth>, Second<Width8>>(),
        (Kind.High, 8) => new MoveOperation<First<TWidth>, SecondHigh>(),
        (Kind.Memory, 8) => new MoveOperation<First<TWidth>, InMemory<Width8>>(),
        (Kind.Register, 16) => new MoveOperation<First<TWidth>, Second<Width16>>(),
        (Kind.Memory, 16) => new MoveOperation<First<TWidth>, InMemory<Width16>>(),
        _ => null,
    };

    private static Operation? MoveSignExtended(in Instruction i) => OperandBits(i, 0) switch
    {
        16 => MoveSignExtended<Width16>(i),
        32 => MoveSignExtended<Width32>(i),
        _ => MoveSignExtended<Width64>(i),
    };

    private static Operation? MoveSignExtended<TWidth>(in Instruction i) where TWidth : struct, IWidth => (KindOf(i, 1), OperandBits(i, 1)) switch
    {
        (Kind.Register, 8) => new MoveSignExtendOperation<TWidth, Width8, Second<Width8>>(),
        (Kind.High, 8) => new MoveSignExtendOperation<TWidth, Width8, SecondHigh>(),
        (Kind.Memory, 8) => new MoveSignExtendOperation<TWidth, Width8, InMemory<Width8>>(),
        (Kind.Register, 16) => new MoveSignExtendOperation<TWidth, Width16, Second<Width16>>(),
        (Kind.Memory, 16) => new MoveSignExtendOperation<TWidth, Width16, InMemory<Width16>>(),
        (Kind.Register, 32) => new MoveSignExtendOperation<TWidth, Width32, Second<Width32>>(),
        (Kind.Memory, 32) => new MoveSignExtendOperation<TWidth, Width32, InMemory<Width32>>(),
        _ => null,
    };

    private static Operation? Binary<TOperator>(in Instruction i) where TOperator : struct, IBinaryOperator => OperandBits(i, 0) switch
    {
        8 => Binary<TOperator, Width8>(i),
        16 => Binary<TOperator, Width16>(i),
        32 => Binary<TOperator, Width32>(i),
        _ => Binary<TOperator, Width64>(i),
    };

    private static Operation? Binary<TOperator, TWidth>(in Instruction i) where TOperator : struct, IBinaryOperator where TWidth : struct, IWidth
        => (KindOf(i, 0), KindOf(i, 1)) switch
        {
            (Kind.Register, Kind.Register) => new BinaryOperation<TOperator, TWidth, First<TWidth>, Second<TWidth>>(),
            (Kind.Register, Kind.Constant) => new BinaryOperation<TOperator, TWidth, First<TWidth>, Constant>(),
            (Kind.Register, Kind.Memory) => new BinaryOperation<TOperator, TWidth, First<TWidth>, InMemory<TWidth>>(),
            (Kind.Memory, Kind.Register) => new BinaryOperation<TOperator, TWidth, InMemory<TWidth>, Second<TWidth>>(),
            (Kind.Memory, Kind.Constant) => new BinaryOperation<TOperator, TWidth, InMemory<TWidth>, Constant>(),
            (Kind.Register, Kind.High) => new BinaryOperation<TOperator, TWidth, First<TWidth>, SecondHigh>(),
            (Kind.High, Kind.Register) => new BinaryOperation<TOperator, TWidth, FirstHigh, Second<TWidth>>(),
            (Kind.High, Kind.High) => new BinaryOperation<TOperator, TWidth, FirstHigh, SecondHigh>(),
            (Kind.High, Kind.Constant) => new BinaryOperation<TOperator, TWidth, FirstHigh, Constant>(),
            (Kind.High, Kind.Memory) => new BinaryOperation<TOperator, TWidth, FirstHigh, InMemory<TWidth>>(),
            (Kind.Memory, Kind.High) => new BinaryOperation<TOperator, TWidth, InMemory<TWidth>, SecondHigh>(),
            _ => null,
        };

    private static Operation? Shift<TOperator>(in Instruction i) where TOperator : struct, IBinaryOperator => OperandBits(i, 0) switch
    {
        8 => Shift<TOperator, Width8>(i),
        16 => Shift<TOperator, Width16>(i),
        32 => Shift<TOperator, Width32>(i),
        _ => Shift<TOperator, Width64>(i),
    };

    private static Operation? Shift<TOperator, TWidth>(in Instruction i) where TOperator : struct, IBinaryOperator where TWidth : struct, IWidth
        => (KindOf(i, 0), KindOf(i, 1)) switch
        {
            (Kind.Register, Kind.Constant) => new BinaryOperation<TOperator, TWidth, First<TWidth>, Constant>(),
            (Kind.Register, Kind.Register) => new BinaryOperation<TOperator, TWidth, First<TWidth>, Second<Width8>>(),
            (Kind.High, Kind.Constant) => new BinaryOperation<TOperator, TWidth, FirstHigh, Constant>(),
            (Kind.High, Kind.Register) => new BinaryOperation<TOperator, TWidth, FirstHigh, Second<Width8>>(),
            (Kind.Memory, Kind.Constant) => new BinaryOperation<TOperator, TWidth, InMemory<TWidth>, Constant>(),
            (Kind.Memory, Kind.Register) => new BinaryOperation<TOperator, TWidth, InMemory<TWidth>, Second<Width8>>(),
            _ => null,
        };

    private static Operation? DoubleShift(in Instruction i, bool left) => OperandBits(i, 0) switch
    {
        16 => DoubleShift<Width16>(i, left),
        32 => DoubleShift<Width32>(i, left),
        _ => DoubleShift<Width64>(i, left),
    };

    private static Operation? DoubleShift<TWidth>(in Instruction i, bool left) where TWidth : struct, IWidth => (KindOf(i, 0), KindOf(i, 2)) switch
    {
        (Kind.Register, Kind.Constant) => new DoubleShiftOperation<TWidth, First<TWidth>, Constant>(left),
        (Kind.Register, _) => new DoubleShiftOperation<TWidth, First<TWidth>, Third<Width8>>(left),
        (Kind.Memory, Kind.Constant) => new DoubleShiftOperation<TWidth, InMemory<TWidth>, Constant>(left),
        (Kind.Memory, _) => new DoubleShiftOperation<TWidth, InMemory<TWidth>, Third<Width8>>(left),
        _ => null,
    };

    private static Operation? Bits<TOperator>(in Instruction i) where TOperator : struct, IBinaryOperator => OperandBits(i, 0) switch
    {
        16 => Bits<TOperator, Width16>(i),
        32 => Bits<TOperator, Width32>(i),
        _ => Bits<TOperator, Width64>(i),
    };

    private static Operation? Bits<TOperator, TWidth>(in Instruction i) where TOperator : struct, IBinaryOperator where TWidth : struct, IWidth
        => KindOf(i, 0) == Kind.Memory && KindOf(i, 1) == Kind.Register ? new BitStringOperation<TOperator, TWidth>() : Binary<TOperator, TWidth>(i);

    private static Operation? Unary<TOperator>(in Instruction i) where TOperator : struct, IUnaryOperator => OperandBits(i, 0) switch
    {
        8 => Unary<TOperator, Width8>(i),
        16 => Unary<TOperator, Width16>(i),
        32 => Unary<TOperator, Width32>(i),
        _ => Unary<TOperator, Width64>(i),
    };

    private static Operation? Unary<TOperator, TWidth>(in Instruction i) where TOperator : struct, IUnaryOperator where TWidth : struct, IWidth
        => KindOf(i, 0) switch
        {
            Kind.Register => new UnaryOperation<TOperator, TWidth, First<TWidth>>(),
            Kind.High => new UnaryOperation<TOperator, TWidth, FirstHigh>(),
            Kind.Memory => new UnaryOperation<TOperator, TWidth, InMemory<TWidth>>(),
            _ => null,
        };

    private static Operation? Scan<TOperator>(in Instruction i) where TOperator : struct, IScanOperator => OperandBits(i, 0) switch
    {
        16 => Scan<TOperator, Width16>(i),
        32 => Scan<TOperator, Width32>(i),
        _ => Scan<TOperator, Width64>(i),
    };

    private static Operation? Scan<TOperator, TWidth>(in Instruction i) where TOperator : struct, IScanOperator where TWidth : struct, IWidth
        => KindOf(i, 1) switch
        {
            Kind.Register => new ScanOperation<TOperator, TWidth, Second<TWidth>>(),
            Kind.Memory => new ScanOperation<TOperator, TWidth, InMemory<TWidth>>(),
            _ => null,
        };

    private static Operation? Exchange(in Instruction i) => OperandBits(i, 0) switch
    {
        8 => Exchange<Width8>(i),
        16 => Exchange<Width16>(i),
        32 => Exchange<Width32>(i),
        _ => Exchange<Width64>(i),
    };

    private static Operation? Exchange<TWidth>(in Instruction i) where TWidth : struct, IWidth => (KindOf(i, 0), KindOf(i, 1)) switch
    {
        (Kind.Register, Kind.Register) => new ExchangeOperation<First<TWidth>, Second<TWidth>>(),
        (Kind.Memory, Kind.Register) => new ExchangeOperation<InMemory<TWidth>, Second<TWidth>>(),
        (Kind.High, Kind.Register) => new ExchangeOperation<FirstHigh, Second<TWidth>>(),
        (Kind.Register, Kind.High) => new ExchangeOperation<First<TWidth>, SecondHigh>(),
        (Kind.High, Kind.High) => new ExchangeOperation<FirstHigh, SecondHigh>(),
        (Kind.Memory, Kind.High) => new ExchangeOperation<InMemory<TWidth>, SecondHigh>(),
        _ => null,
    };

    private static Operation? ExchangeAdd(in Instruction i) => OperandBits(i, 0) switch
    {
        8 => ExchangeAdd<Width8>(i),
        16 => ExchangeAdd<Width16>(i),
        32 => ExchangeAdd<Width32>(i),
        _ => ExchangeAdd<Width64>(i),
    };

    private static Operation? ExchangeAdd<TWidth>(in Instruction i) where TWidth : struct, IWidth => (KindOf(i, 0), KindOf(i, 1)) switch
    {
        (Kind.Register, Kind.Register) => new ExchangeAddOperation<TWidth, First<TWidth>, Second<TWidth>>(),
        (Kind.Memory, Kind.Register) => new ExchangeAddOperation<TWidth, InMemory<TWidth>, Second<TWidth>>(),
        (Kind.High, Kind.Register) => new ExchangeAddOperation<TWidth, FirstHigh, Second<TWidth>>(),
        (Kind.Register, Kind.High) => new ExchangeAddOperation<TWidth, First<TWidth>, SecondHigh>(),
        (Kind.High, Kind.High) => new ExchangeAddOperation<TWidth, FirstHigh, SecondHigh>(),
        (Kind.Memory, Kind.High) => new ExchangeAddOperation<TWidth, InMemory<TWidth>, SecondHigh>(),
        _ => null,
    };

    private static Operation? CompareExchange(in Instruction i) => OperandBits(i, 0) switch
    {
        8 => CompareExchange<Width8>(i),
        16 => CompareExchange<Width16>(i),
        32 => CompareExchange<Width32>(i),
        _ => CompareExchange<Width64>(i),
    };

    private static Operation? CompareExchange<TWidth>(in Instruction i) where TWidth : struct, IWidth => (KindOf(i, 0), KindOf(i, 1)) switch
    {
        (Kind.Register, Kind.Register) => new CompareExchangeOperation<TWidth, First<TWidth>, Second<TWidth>>(),
        (Kind.Memory, Kind.Register) => new CompareExchangeOperation<TWidth, InMemory<TWidth>, Second<TWidth>>(),
        (Kind.High, Kind.Register) => new CompareExchangeOperation<TWidth, FirstHigh, Second<TWidth>>(),
        (Kind.Register, Kind.High) => new CompareExchangeOperation<TWidth, First<TWidth>, SecondHigh>(),
        (Kind.High, Kind.High) => new CompareExchangeOperation<TWidth, FirstHigh, SecondHigh>(),
        (Kind.Memory, Kind.High) => new CompareExchangeOperation<TWidth, InMemory<TWidth>, SecondHigh>(),
        _ => null,
    };

    private static Operation? Multiply(in Instruction i, bool signed) => OperandBits(i, 0) switch
    {
        8 => Multiply<Width8>(i, signed),
        16 => Multiply<Width16>(i, signed),
        32 => Multiply<Width32>(i, signed),
        _ => Multiply<Width64>(i, signed),
    };

    private static Operation? Multiply<TWidth>(in Instruction i, bool signed) where TWidth : struct, IWidth => KindOf(i, 0) switch
    {
        Kind.Register => new MultiplyOperation<TWidth, First<TWidth>>(signed),
        Kind.High => new MultiplyOperation<TWidth, FirstHigh>(signed),
        Kind.Memory => new MultiplyOperation<TWidth, InMemory<TWidth>>(signed),
        _ => null,
    };

    private static Operation? MultiplyTruncated(in Instruction i) => OperandBits(i, 0) switch
    {
        16 => MultiplyTruncated<Width16>(i),
        32 => MultiplyTruncated<Width32>(i),
        _ => MultiplyTruncated<Width64>(i),
    };

    private static Operation? MultiplyTruncated<TWidth>(in Instruction i) where TWidth : struct, IWidth => KindOf(i, 1) switch
    {
        Kind.Register => new MultiplyTruncatedOperation<TWidth, Second<TWidth>>(i.OpCount == 3),
        Kind.Memory => new MultiplyTruncatedOperation<TWidth, InMemory<TWidth>>(i.OpCount == 3),
        _ => null,
    };

    private static Operation? Divide(in Instruction i, bool signed) => OperandBits(i, 0) switch
    {
        8 => Divide<Width8>(i, signed),
        16 => Divide<Width16>(i, signed),
        32 => Divide<Width32>(i, signed),
        _ => Divide<Width64>(i, signed),
    };

    private static Operation? Divide<TWidth>(in Instruction i, bool signed) where TWidth : struct, IWidth => KindOf(i, 0) switch
    {
        Kind.Register => new DivideOperation<TWidth, First<TWidth>>(signed),
        Kind.High => new DivideOperation<TWidth, FirstHigh>(signed),
        Kind.Memory => new DivideOperation<TWidth, InMemory<TWidth>>(signed),
        _ => null,
    };

    private static Operation? Push(in Instruction i) => i.StackPointerIncrement switch
    {
        -2 => Push<Width16>(i),
        -4 => Push<Width32>(i),
        -8 => Push<Width64>(i),
        _ => null,
    };

    private static Operation? Push<TStack>(in Instruction i) where TStack : struct, IWidth => KindOf(i, 0) switch
    {
        Kind.Register => new PushOperation<TStack, First<TStack>>(),
        Kind.Constant => new PushOperation<TStack, Constant>(),
        Kind.Memory => new PushOperation<TStack, InMemory<TStack>>(),
        _ => null,
    };

    private static Operation? Pop(in Instruction i) => i.StackPointerIncrement switch
    {
        2 => Pop<Width16>(i),
        4 => Pop<Width32>(i),
        8 => Pop<Width64>(i),
        _ => null,
    };

    private static Operation? Pop<TStack>(in Instruction i) where TStack : struct, IWidth => KindOf(i, 0) switch
    {
        Kind.Register => new PopOperation<TStack, First<TStack>>(),
        Kind.Memory => new PopOperation<TStack, InMemory<TStack>>(),
        _ => null,
    };

    private static Operation? Enter(in Instruction i) => (i.Code, i.Immediate8_2nd) switch
    {
        (Code.Enterq_imm16_imm8, 0) => new EnterOperation<Width64> { Immediate = i.Immediate16 },
        (Code.Enterd_imm16_imm8, 0) => new EnterOperation<Width32> { Immediate = i.Immediate16 },
        _ => null,
    };

    private Operation? Jump(in Instruction i)
    {
        if (i.IsJmpShort || i.IsJmpNear) return i.Op0Kind is OpKind.NearBranch16 ? null : new JumpOperation();
        if (!i.IsJmpNearIndirect) return null;
        return (KindOf(i, 0), OperandBits(i, 0)) switch
        {
            (Kind.Register, 64) => new JumpIndirectOperation<First<Width64>>(),
            (Kind.Memory, 64) => new JumpIndirectOperation<InMemory<Width64>>(),
            (Kind.Register, 32) when !_x64 => new JumpIndirectOperation<First<Width32>>(),
            (Kind.Memory, 32) when !_x64 => new JumpIndirectOperation<InMemory<Width32>>(),
            _ => null,
        };
    }

    private Operation? Call(in Instruction i)
    {
        if (i.IsCallNear)
        {
            if (i.Op0Kind is OpKind.NearBranch16) return null;
            return _x64 ? new CallOperation<Width64, Constant>() : new CallOperation<Width32, Constant>();
        }
        if (!i.IsCallNearIndirect) return null;
        return (KindOf(i, 0), OperandBits(i, 0)) switch
        {
            (Kind.Register, 64) => new CallOperation<Width64, First<Width64>>(),
            (Kind.Memory, 64) => new CallOperation<Width64, InMemory<Width64>>(),
            (Kind.Register, 32) when !_x64 => new CallOperation<Width32, First<Width32>>(),
            (Kind.Memory, 32) when !_x64 => new CallOperation<Width32, InMemory<Width32>>(),
            _ => null,
        };
    }

    private static Operation? Loop(in Instruction i, LoopKind kind) => i.Code switch
    {
        _ when i.Op0Kind == OpKind.NearBranch16 => null,
        Code.Loop_rel8_64_RCX or Code.Loope_rel8_64_RCX or Code.Loopne_rel8_64_RCX or Code.Jrcxz_rel8_64 => new LoopOperation<Width64>(kind),
        Code.Loop_rel8_32_ECX or Code.Loope_rel8_32_ECX or Code.Loopne_rel8_32_ECX or Code.Jecxz_rel8_32
            or Code.Loop_rel8_64_ECX or Code.Loope_rel8_64_ECX or Code.Loopne_rel8_64_ECX or Code.Jecxz_rel8_64 => new LoopOperation<Width32>(kind),
        Code.Loop_rel8_32_CX or Code.Loope_rel8_32_CX or Code.Loopne_rel8_32_CX or Code.Jcxz_rel8_32 => new LoopOperation<Width16>(kind),
        _ => null,
    };

    private static bool IsString(in Instruction i) => i.Op0Kind is not (OpKind.Register or OpKind.Memory);

    private static Repeat RepeatOf(in Instruction i) => i.HasRepnePrefix ? Repeat.WhileNotEqual : i.HasRepPrefix ? Repeat.WhileEqual : Repeat.None;

    private static Operation MoveString(in Instruction i) => i.MemorySize.GetSize() switch
    {
        1 => new MoveStringOperation<Width8>(RepeatOf(i)),
        2 => new MoveStringOperation<Width16>(RepeatOf(i)),
        4 => new MoveStringOperation<Width32>(RepeatOf(i)),
        _ => new MoveStringOperation<Width64>(RepeatOf(i)),
    };

    private static Operation StoreString(in Instruction i) => i.MemorySize.GetSize() switch
    {
        1 => new StoreStringOperation<Width8>(RepeatOf(i)),
        2 => new StoreStringOperation<Width16>(RepeatOf(i)),
        4 => new StoreStringOperation<Width32>(RepeatOf(i)),
        _ => new StoreStringOperation<Width64>(RepeatOf(i)),
    };

    private static Operation LoadString(in Instruction i) => i.MemorySize.GetSize() switch
    {
        1 => new LoadStringOperation<Width8>(RepeatOf(i)),
        2 => new LoadStringOperation<Width16>(RepeatOf(i)),
        4 => new LoadStringOperation<Width32>(RepeatOf(i)),
        _ => new LoadStringOperation<Width64>(RepeatOf(i)),
    };

    private static Operation ScanString(in Instruction i) => i.MemorySize.GetSize() switch
    {
        1 => new ScanStringOperation<Width8>(RepeatOf(i)),
        2 => new ScanStringOperation<Width16>(RepeatOf(i)),
        4 => new ScanStringOperation<Width32>(RepeatOf(i)),
        _ => new ScanStringOperation<Width64>(RepeatOf(i)),
    };

    private static Operation CompareString(in Instruction i) => i.MemorySize.GetSize() switch
    {
        1 => new CompareStringOperation<Width8>(RepeatOf(i)),
        2 => new CompareStringOperation<Width16>(RepeatOf(i)),
        4 => new CompareStringOperation<Width32>(RepeatOf(i)),
        _ => new CompareStringOperation<Width64>(RepeatOf(i)),
    };

    private static Operation? Input(in Instruction i) => (i.Op0Register, KindOf(i, 1)) switch
    {
        (Register.AL, Kind.Constant) => new InputOperation<Width8, Constant>(),
        (Register.AX, Kind.Constant) => new InputOperation<Width16, Constant>(),
        (Register.EAX, Kind.Constant) => new InputOperation<Width32, Constant>(),
        (Register.AL, _) => new InputOperation<Width8, Second<Width16>>(),
        (Register.AX, _) => new InputOperation<Width16, Second<Width16>>(),
        (Register.EAX, _) => new InputOperation<Width32, Second<Width16>>(),
        _ => null,
    };

    private static Operation? Output(in Instruction i) => (i.Op1Register, KindOf(i, 0)) switch
    {
        (Register.AL, Kind.Constant) => new OutputOperation<Width8, Constant>(),
        (Register.AX, Kind.Constant) => new OutputOperation<Width16, Constant>(),
        (Register.EAX, Kind.Constant) => new OutputOperation<Width32, Constant>(),
        (Register.AL, _) => new OutputOperation<Width8, First<Width16>>(),
        (Register.AX, _) => new OutputOperation<Width16, First<Width16>>(),
        (Register.EAX, _) => new OutputOperation<Width32, First<Width16>>(),
        _ => null,
    };

    /// <summary>Jcc, SETcc, CMOVcc.</summary>
    private static Operation? Conditional(in Instruction i) => i.ConditionCode switch
    {
        ConditionCode.o => Conditional<IfOverflow>(i),
        ConditionCode.no => Conditional<IfNotOverflow>(i),
        ConditionCode.b => Conditional<IfBelow>(i),
        ConditionCode.ae => Conditional<IfAboveOrEqual>(i),
        ConditionCode.e => Conditional<IfEqual>(i),
        ConditionCode.ne => Conditional<IfNotEqual>(i),
        ConditionCode.be => Conditional<IfBelowOrEqual>(i),
        ConditionCode.a => Conditional<IfAbove>(i),
        ConditionCode.s => Conditional<IfSign>(i),
        ConditionCode.ns => Conditional<IfNotSign>(i),
        ConditionCode.p => Conditional<IfParity>(i),
        ConditionCode.np => Conditional<IfNotParity>(i),
        ConditionCode.l => Conditional<IfLess>(i),
        ConditionCode.ge => Conditional<IfGreaterOrEqual>(i),
        ConditionCode.le => Conditional<IfLessOrEqual>(i),
        ConditionCode.g => Conditional<IfGreater>(i),
        _ => null,
    };

    private static Operation? Conditional<TCondition>(in Instruction i) where TCondition : struct, ICondition
    {
        if (i.IsJccShortOrNear) return i.Op0Kind is OpKind.NearBranch16 ? null : new ConditionalJumpOperation<TCondition>();
        if (i.OpCount == 1)
        {
            return KindOf(i, 0) switch
            {
                Kind.Register => new SetConditionOperation<TCondition, First<Width8>>(),
                Kind.High => new SetConditionOperation<TCondition, FirstHigh>(),
                Kind.Memory => new SetConditionOperation<TCondition, InMemory<Width8>>(),
                _ => null,
            };
        }
        return (KindOf(i, 1), OperandBits(i, 0)) switch
        {
            (Kind.Register, 16) => new ConditionalMoveOperation<TCondition, Width16, Second<Width16>>(),
            (Kind.Register, 32) => new ConditionalMoveOperation<TCondition, Width32, Second<Width32>>(),
            (Kind.Register, 64) => new ConditionalMoveOperation<TCondition, Width64, Second<Width64>>(),
            (Kind.Memory, 16) => new ConditionalMoveOperation<TCondition, Width16, InMemory<Width16>>(),
            (Kind.Memory, 32) => new ConditionalMoveOperation<TCondition, Width32, InMemory<Width32>>(),
            (Kind.Memory, 64) => new ConditionalMoveOperation<TCondition, Width64, InMemory<Width64>>(),
            _ => null,
        };
    }

    /// <summary>SSE to SSE4.2 on XMM registers, as far as it is there.</summary>
    private static Operation? Vector(in Instruction i)
    {
        switch (i.Mnemonic)
        {
            case Mnemonic.Movaps or Mnemonic.Movapd or Mnemonic.Movdqa or Mnemonic.Movntdq or Mnemonic.Movntps or Mnemonic.Movntpd or Mnemonic.Movntdqa:
                return VectorMove(i, aligned: true);
            case Mnemonic.Movups or Mnemonic.Movupd or Mnemonic.Movdqu or Mnemonic.Lddqu:
                return VectorMove(i, aligned: false);
            case Mnemonic.Movss:
                return ElementMove(i, 4, clear: false);
            case Mnemonic.Movsd:
                return ElementMove(i, 8, clear: false);
            case Mnemonic.Movd or Mnemonic.Movq:
                return GeneralMove(i);
            case Mnemonic.Movlps or Mnemonic.Movlpd when KindOf(i, 0) == Kind.Memory:
                return new VectorStoreOperation(8, aligned: false, upper: false);
            case Mnemonic.Movhps or Mnemonic.Movhpd when KindOf(i, 0) == Kind.Memory:
                return new VectorStoreOperation(8, aligned: false, upper: true);
            case Mnemonic.Pmovmskb when KindOf(i, 1) == Kind.Vector:
                return new MoveMaskOperation(VectorMask.Bytes);
            case Mnemonic.Movmskps:
                return new MoveMaskOperation(VectorMask.Singles);
            case Mnemonic.Movmskpd:
                return new MoveMaskOperation(VectorMask.Doubles);
            case Mnemonic.Cvtsi2ss or Mnemonic.Cvtsi2sd:
                bool toDouble = i.Mnemonic == Mnemonic.Cvtsi2sd;
                return (KindOf(i, 1), OperandBits(i, 1)) switch
                {
                    (Kind.Register, 32) => new ConvertFromIntegerOperation<Width32, Second<Width32>>(toDouble),
                    (Kind.Register, _) => new ConvertFromIntegerOperation<Width64, Second<Width64>>(toDouble),
                    (_, 32) => new ConvertFromIntegerOperation<Width32, InMemory<Width32>>(toDouble),
                    _ => new ConvertFromIntegerOperation<Width64, InMemory<Width64>>(toDouble),
                };
            case Mnemonic.Cvtss2si or Mnemonic.Cvttss2si or Mnemonic.Cvtsd2si or Mnemonic.Cvttsd2si:
                bool fromDouble = i.Mnemonic is Mnemonic.Cvtsd2si or Mnemonic.Cvttsd2si;
                bool truncate = i.Mnemonic is Mnemonic.Cvttss2si or Mnemonic.Cvttsd2si;
                return OperandBits(i, 0) == 32
                    ? new ConvertToIntegerOperation<Width32>(SourceOf(i), fromDouble, truncate)
                    : new ConvertToIntegerOperation<Width64>(SourceOf(i), fromDouble, truncate);
            case Mnemonic.Comiss or Mnemonic.Ucomiss:
                return new CompareScalarOperation(SourceOf(i), isDouble: false);
            case Mnemonic.Comisd or Mnemonic.Ucomisd:
                return new CompareScalarOperation(SourceOf(i), isDouble: true);
            case Mnemonic.Pblendvb:
                return new VectorBlendOperation(SourceOf(i), 1);
            case Mnemonic.Blendvps:
                return new VectorBlendOperation(SourceOf(i), 4);
            case Mnemonic.Blendvpd:
                return new VectorBlendOperation(SourceOf(i), 8);
            case Mnemonic.Ptest:
                return new VectorTestOperation(SourceOf(i));
            case Mnemonic.Pextrb:
                return Extract<Width8>(i);
            case Mnemonic.Pextrw when KindOf(i, 1) == Kind.Vector:
                return Extract<Width16>(i);
            case Mnemonic.Pextrd or Mnemonic.Extractps:
                return Extract<Width32>(i);
            case Mnemonic.Pextrq:
                return Extract<Width64>(i);
            case Mnemonic.Pinsrb:
                return Insert<Width8>(i);
            case Mnemonic.Pinsrw when KindOf(i, 0) == Kind.Vector:
                return Insert<Width16>(i);
            case Mnemonic.Pinsrd:
                return Insert<Width32>(i);
            case Mnemonic.Pinsrq:
                return Insert<Width64>(i);
        }
        if (KindOf(i, 0) != Kind.Vector) return null;
        if (!VectorFunctions.ByMnemonic.TryGetValue(i.Mnemonic, out VectorFunction? function)
            && !LaterVectorFunctions.ByMnemonic.TryGetValue(i.Mnemonic, out function))
        {
            return null;
        }
        if (KindOf(i, 1) is not (Kind.Vector or Kind.Memory or Kind.Constant)) return null;
        byte constant = i.OpCount == 3 ? i.Immediate8 : (byte)0;
        return new VectorFunctionOperation(function, SourceOf(i)) { R3 = constant };
    }

    private static Operation Extract<TWidth>(in Instruction i) where TWidth : struct, IWidth
        => KindOf(i, 0) == Kind.Memory
            ? new ExtractElementOperation<TWidth, InMemory<TWidth>> { Immediate = i.Immediate8 }
            : new ExtractElementOperation<TWidth, First<Width64>> { Immediate = i.Immediate8 };

    private static Operation Insert<TWidth>(in Instruction i) where TWidth : struct, IWidth
        => KindOf(i, 1) == Kind.Memory
            ? new InsertElementOperation<TWidth, InMemory<TWidth>> { R3 = i.Immediate8 }
            : new InsertElementOperation<TWidth, Second<Width64>> { R3 = i.Immediate8 };

    private static VectorSource SourceOf(in Instruction i)
    {
        Kind kind = KindOf(i, 1);
        if (kind == Kind.Vector) return VectorSource.Register;
        if (kind == Kind.Constant) return VectorSource.Constant;
        return i.MemorySize.GetSize() switch
        {
            2 => VectorSource.Memory2,
            4 => VectorSource.Memory4,
            8 => VectorSource.Memory8,
            _ => VectorSource.Memory16Aligned,
        };
    }

    private static Operation? VectorMove(in Instruction i, bool aligned) => (KindOf(i, 0), KindOf(i, 1)) switch
    {
        (Kind.Vector, Kind.Vector) => new VectorLoadOperation(VectorSource.Register),
        (Kind.Vector, Kind.Memory) => new VectorLoadOperation(aligned ? VectorSource.Memory16Aligned : VectorSource.Memory16),
        (Kind.Memory, Kind.Vector) => new VectorStoreOperation(16, aligned, upper: false),
        _ => null,
    };

    private static Operation? ElementMove(in Instruction i, int size, bool clear) => (KindOf(i, 0), KindOf(i, 1)) switch
    {
        (Kind.Vector, Kind.Vector) => new VectorMoveElementOperation(size, clear),
        (Kind.Vector, Kind.Memory) => new VectorLoadOperation(size == 4 ? VectorSource.Memory4 : VectorSource.Memory8),
        (Kind.Memory, Kind.Vector) => new VectorStoreOperation(size, aligned: false, upper: false),
        _ => null,
    };

    private static Operation? GeneralMove(in Instruction i) => (KindOf(i, 0), KindOf(i, 1)) switch
    {
        (Kind.Vector, Kind.Register) => OperandBits(i, 1) == 32 ? new VectorFromGeneralOperation<Width32>() : new VectorFromGeneralOperation<Width64>(),
        (Kind.Register, Kind.Vector) => OperandBits(i, 0) == 32 ? new GeneralFromVectorOperation<Width32>() : new GeneralFromVectorOperation<Width64>(),
        (Kind.Vector, Kind.Memory) or (Kind.Memory, Kind.Vector) or (Kind.Vector, Kind.Vector)
            => ElementMove(i, i.Mnemonic == Mnemonic.Movd ? 4 : 8, clear: true),
        _ => null,
    };
}
