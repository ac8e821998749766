using Iced.Intel;

namespace Emulator.DriverBench.Cpu;

// The stack, jumps, calls, and what depends on flags.
internal sealed partial class Translator
{
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
}
