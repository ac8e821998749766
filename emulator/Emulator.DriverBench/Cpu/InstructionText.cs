using System.Text;
using Emulator.DriverBench.Memory;
using Emulator.DriverBench.Pe;
using Iced.Intel;

namespace Emulator.DriverBench.Cpu;

/// <summary>Instructions as text, with symbols for branch targets and addresses.</summary>
internal sealed class InstructionText(AddressSpace memory, int bits, SymbolTable symbols) : ISymbolResolver
{
    private const int LongestInstruction = 15;
    private static readonly FormatterOptions Options = new()
    {
        HexPrefix = "0x",
        HexSuffix = "",
        UppercaseHex = false,
        SpaceAfterOperandSeparator = true,
        RipRelativeAddresses = false,
    };

    private Formatter? _formatter;

    /// <summary>The instruction with its bytes, or why there is none.</summary>
    public string At(ulong address)
    {
        string text = Decode(address, out string bytes);
        return bytes.Length == 0 ? text : $"{text} ({bytes})";
    }

    /// <summary>The instruction, or why there is none.</summary>
    public string TextAt(ulong address) => Decode(address, out _);

    private string Decode(ulong address, out string hex)
    {
        hex = "";
        var bytes = new byte[LongestInstruction];
        int count = 0;
        while (count < bytes.Length && memory.TryPeek(address + (uint)count, bytes.AsSpan(count, 1))) count++;
        if (count == 0) return "no code there";
        var decoder = Iced.Intel.Decoder.Create(bits, new ByteArrayCodeReader(bytes, 0, count), address);
        decoder.Decode(out Instruction instruction);
        int length = instruction.IsInvalid ? Math.Min(count, 8) : instruction.Length;
        hex = BitConverter.ToString(bytes, 0, length).Replace('-', ' ').ToLowerInvariant();
        return instruction.IsInvalid ? "no instruction" : Format(instruction);
    }

    public bool TryGetSymbol(in Instruction instruction, int operand, int instructionOperand, ulong address, int addressSize, out SymbolResult symbol)
    {
        symbol = default;
        if (!symbols.TryFind(address, out string name, out ulong offset)) return false;
        symbol = new SymbolResult(address, offset == 0 ? name : $"{name}+0x{offset:x}");
        return true;
    }

    private string Format(in Instruction instruction)
    {
        _formatter ??= new NasmFormatter(Options, this);
        var output = new TextOutput();
        _formatter.Format(instruction, output);
        return output.Text.ToString();
    }

    private sealed class TextOutput : FormatterOutput
    {
        public StringBuilder Text { get; } = new();

        public override void Write(string text, FormatterTextKind kind) => Text.Append(text);
    }
}
