using Iced.Intel;

namespace Emulator.DriverBench.Cpu;

// SSE to SSE4.
internal sealed partial class Translator
{
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
