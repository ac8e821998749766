using Iced.Intel;

namespace Emulator.DriverBench.Cpu;

// Moves and arithmetic of the general registers.
internal sealed partial class Translator
{
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
}
