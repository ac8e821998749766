using Iced.Intel;

namespace Emulator.DriverBench.Cpu;

// String instructions and ports.
internal sealed partial class Translator
{
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
}
