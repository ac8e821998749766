using System.Numerics;
using System.Runtime.Intrinsics.X86;
using Emulator.DriverBench.Cpu;
using Emulator.DriverTests.Native;
using Iced.Intel;

namespace Emulator.DriverTests.Cpu;

/// <summary>
/// Every instruction form the translator knows, on random operands, in the interpreter and on this processor: registers,
/// defined flags and memory must be equal. The forms come from Iced's own list, so none can be forgotten. What is compared depends on the seed
/// alone; other operands: dotnet test --filter NativeComparison -- 'TestRunParameters.Parameter(name="seed", value="1234")'.
/// </summary>
[TestFixture(CpuMode.X64)]
[TestFixture(CpuMode.X86)]
[Category("Unit")]
[NonParallelizable]
internal sealed class NativeComparisonTests(CpuMode mode)
{
    private const int CasesPerForm = 60;
    private const int Sequences = 1500;
    private const int DefaultSeed = 20_261;
    private const ulong ArithmeticFlags = 0x8D5;

    private NativeCpu _native = null!;
    private InterpretedCpu _interpreted = null!;
    private byte[] _before = null!;

    [OneTimeSetUp]
    public void Prepare()
    {
        if (NativeCpu.WhyNot(mode) is { } reason) Assert.Ignore(reason);
        _native = new NativeCpu(mode);
        _interpreted = new InterpretedCpu(mode, _native);
        _before = new byte[NativeCpu.DataSize];
    }

    [OneTimeTearDown]
    public void Free() => _native?.Dispose();

    [Test]
    public void Every_supported_form_does_what_the_processor_does()
    {
        int seed = TestContext.Parameters.Get("seed", DefaultSeed);
        TestContext.Out.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var generator = new InstructionGenerator(mode, _native, random);
        List<Code> forms = Forms();
        int compared = 0, faulted = 0;
        List<string> neverRan = [];
        List<string> differences = [];
        foreach (Code code in forms)
        {
            int ran = 0;
            for (int n = 0; n < CasesPerForm * 4 && ran < CasesPerForm; n++)
            {
                RegisterSet start = generator.Registers();
                if (n % 8 == 0) generator.Fill(_before);
                if (generator.Make(code, start, fixedAddresses: false) is not { } instruction) continue;
                if (!generator.TryEncode([instruction], out byte[] bytes)) continue;
                string? difference = Compare([instruction], bytes, start, ~DefinedFlags(instruction, start), out bool done);
                if (!done) faulted++;
                else ran++;
                if (difference is null) continue;
                differences.Add($"{code}: {difference}");
                break;
            }
            if (ran == 0) neverRan.Add(code.ToString());
            compared += ran;
        }
        TestContext.Out.WriteLine($"{forms.Count} forms, {compared} comparisons, {faulted} cases that fault left out");
        Assert.That(differences, Is.Empty, $"seed {seed}");
        Assert.That(neverRan, Is.Empty, "every form must have been compared");
        Assert.That(forms, Has.Count.GreaterThan(mode == CpuMode.X64 ? 600 : 500), "forms");
    }

    [Test]
    public void Random_sequences_do_what_the_processor_does()
    {
        int seed = TestContext.Parameters.Get("seed", DefaultSeed);
        TestContext.Out.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var generator = new InstructionGenerator(mode, _native, random);
        // What moves the stack pointer, walks memory by registers or may divide by zero has its own test above.
        Code[] forms = [.. Forms().Where(code => !Stumbles(code) && !code.IsStackInstruction())];
        int compared = 0;
        for (int n = 0; n < Sequences; n++)
        {
            RegisterSet start = generator.Registers();
            if (n % 8 == 0) generator.Fill(_before);
            var sequence = new List<Instruction>();
            ulong undefined = 0;
            while (sequence.Count < 20)
            {
                if (generator.Make(forms[random.Next(forms.Length)], start, fixedAddresses: true) is not { } instruction) continue;
                if (!generator.TryEncode([instruction], out _)) continue;
                // Nobody knows what an undefined flag does to the next instruction.
                if ((ToFlags(instruction.RflagsRead) & undefined) != 0) continue;
                ulong written = ToFlags(instruction.RflagsModified) & ~ToFlags(instruction.RflagsUndefined);
                // A shift by zero defines nothing, and what its count leaves undefined is not known beforehand: CF, AF, OF.
                ulong doubtful = ToFlags(instruction.RflagsUndefined);
                if (IsShift(instruction.Mnemonic)) (written, doubtful) = (0, doubtful | 0x811);
                undefined = (undefined & ~written) | doubtful;
                sequence.Add(instruction);
            }
            if (!generator.TryEncode([.. sequence], out byte[] bytes)) continue;
            string? difference = Compare([.. sequence], bytes, start, undefined, out bool done);
            if (done) compared++;
            Assert.That(difference, Is.Null, $"seed {seed}, sequence {n}");
        }
        TestContext.Out.WriteLine($"{compared} sequences of 20 from {forms.Length} forms");
        Assert.That(compared, Is.GreaterThan(Sequences / 2));
    }

    [Test]
    public void Every_conditional_jump_and_loop_goes_where_the_processor_goes()
    {
        int seed = TestContext.Parameters.Get("seed", DefaultSeed);
        TestContext.Out.WriteLine($"seed {seed}");
        var random = new Random(seed);
        var generator = new InstructionGenerator(mode, _native, random);
        int bits = mode == CpuMode.X64 ? 64 : 32;
        Code[] jumps = [.. Enum.GetValues<Code>().Where(code => IsAvailable(code)
            && code.ToOpCode() is { OpCount: 1 } form && form.GetOpKind(0) is OpCodeOperandKind.br32_1 or OpCodeOperandKind.br64_1
                or OpCodeOperandKind.br32_4 or OpCodeOperandKind.br64_4
            && (code.IsJccShortOrNear() || code.IsLoop() || code.IsLoopcc() || code.IsJcxShort()))];
        foreach (Code jump in jumps)
        {
            for (int n = 0; n < 200; n++)
            {
                RegisterSet start = generator.Registers();
                start.General[(int)Gpr.Rcx] = (ulong)random.Next(3);
                // jump +over; mov eax, 7; over:
                Instruction skipped = Instruction.Create(Code.Mov_r32_imm32, Register.EAX, 7);
                ulong target = _native.SnippetAddress + (ulong)(LengthOf(jump) + 5);
                Instruction branch = Instruction.CreateBranch(jump, target);
                Assert.That(generator.TryEncode([branch, skipped], out byte[] bytes), Is.True, jump.ToString());
                Assert.That(Compare([branch, skipped], bytes, start, 0, out bool done), Is.Null, $"seed {seed}");
                Assert.That(done, Is.True);
            }
        }
        Assert.That(jumps, Has.Length.GreaterThanOrEqualTo(36));

        int LengthOf(Code code) => (int)Encoder.Create(bits, new StreamCodeWriter(new MemoryStream())).Encode(Instruction.CreateBranch(code, 0x10), 0);
    }

    /// <summary>Runs both and says where they differ.</summary>
    private string? Compare(Instruction[] instructions, byte[] bytes, RegisterSet start, ulong undefinedFlags, out bool done)
    {
        // A signal that arrives in the middle of a snippet writes below its stack: what differs must differ twice.
        string? difference = null;
        done = false;
        for (int attempt = 0; attempt < 2; attempt++)
        {
            RegisterSet interpreted = start.Copy(), real = start.Copy();
            _before.CopyTo(_interpreted.Data);
            RunOutcome outcome = _interpreted.Run(bytes, interpreted);
            if (outcome.Reason != StopReason.HostStop) return CheckFault(instructions, start, outcome);
            _before.CopyTo(_native.Data);
            _native.Run(bytes, real);
            done = true;
            difference = Difference(interpreted, real, undefinedFlags);
            if (difference is null) return null;
        }
        string shown = string.Join("; ", instructions.Select(i => i.ToString()));
        return $"{shown} ({Convert.ToHexString(bytes)}): {difference}\nstart: {Show(start)}";
    }

    /// <summary>What the interpreter refused is not tried natively; it must be something the processor refuses, too.</summary>
    private string? CheckFault(Instruction[] instructions, RegisterSet start, RunOutcome outcome)
    {
        Instruction i = instructions[^1];
        bool right = outcome.Reason switch
        {
            StopReason.DivideError => instructions.Length == 1 && !FitsQuotient(i, start),
            StopReason.PageFault => outcome.Fault.Address - _native.DataAddress >= NativeCpu.DataSize,
            StopReason.GeneralProtection => instructions.Length == 1 && i.MemorySize.GetSize() == 16 && AddressOf(i, start) % 16 != 0,
            _ => false,
        };
        return right ? null : $"{string.Join("; ", instructions.Select(instruction => instruction.ToString()))}: {outcome}\nstart: {Show(start)}";
    }

    /// <summary>The address of the memory operand by Iced's own arithmetic, segments being flat.</summary>
    private static ulong AddressOf(in Instruction i, RegisterSet start)
    {
        bool known = i.TryGetVirtualAddress(0, 0, out ulong address, (Register register, int _, int _, out ulong value) =>
        {
            value = register.IsGPR() ? start.General[register.GetFullRegister().GetNumber()] & MaskOf(register.GetSize()) : 0;
            return true;
        });
        Assert.That(known, Is.True, i.ToString());
        return address;
    }

    private static ulong MaskOf(int size) => size == 8 ? ulong.MaxValue : (1ul << (8 * size)) - 1;

    /// <summary>DIV and IDIV in big numbers.</summary>
    private bool FitsQuotient(in Instruction i, RegisterSet start)
    {
        bool signed = i.Mnemonic == Mnemonic.Idiv;
        int size = i.Op0Kind == OpKind.Register ? i.Op0Register.GetSize() : i.MemorySize.GetSize();
        ulong divisorBits;
        if (i.Op0Kind == OpKind.Register)
        {
            bool high = i.Op0Register is >= Register.AH and <= Register.BH;
            divisorBits = high ? start.General[i.Op0Register - Register.AH] >> 8 : start.General[i.Op0Register.GetFullRegister().GetNumber()];
        }
        else
        {
            Span<byte> bytes = stackalloc byte[8];
            _before.AsSpan((int)(AddressOf(i, start) - _native.DataAddress), size).CopyTo(bytes);
            divisorBits = BitConverter.ToUInt64(bytes);
        }
        BigInteger divisor = Number(divisorBits, size);
        if (divisor.IsZero) return false;
        ulong rax = start.General[(int)Gpr.Rax], rdx = start.General[(int)Gpr.Rdx];
        BigInteger dividend = size == 1 ? Number(rax, 2) : (Number(rdx, size) << (8 * size)) + (rax & MaskOf(size));
        BigInteger quotient = BigInteger.Divide(dividend, divisor);
        BigInteger least = signed ? -(BigInteger.One << ((8 * size) - 1)) : 0;
        return quotient >= least && quotient < least + (BigInteger.One << (8 * size));

        BigInteger Number(ulong bits, int width)
        {
            BigInteger plain = bits & MaskOf(width);
            return signed && ((bits >> ((8 * width) - 1)) & 1) != 0 ? plain - (BigInteger.One << (8 * width)) : plain;
        }
    }

    private string? Difference(RegisterSet interpreted, RegisterSet real, ulong undefinedFlags)
    {
        int count = mode == CpuMode.X64 ? 16 : 8;
        for (int i = 0; i < count; i++)
        {
            if (mode == CpuMode.X86) real.General[i] &= uint.MaxValue;
            if (interpreted.General[i] != real.General[i]) return $"{(Gpr)i} is 0x{interpreted.General[i]:x}, should be 0x{real.General[i]:x}";
            if (interpreted.Xmm[i] != real.Xmm[i]) return $"xmm{i} is 0x{interpreted.Xmm[i]:x}, should be 0x{real.Xmm[i]:x}";
        }
        ulong flags = (interpreted.Flags ^ real.Flags) & (ArithmeticFlags | 0x400) & ~undefinedFlags;
        if (flags != 0) return $"flags are 0x{interpreted.Flags:x}, should be 0x{real.Flags:x} (differ in 0x{flags:x})";
        Span<byte> mine = _interpreted.Data[InstructionGenerator.WindowStart..InstructionGenerator.WindowEnd];
        Span<byte> theirs = _native.Data[InstructionGenerator.WindowStart..InstructionGenerator.WindowEnd];
        int at = mine.CommonPrefixLength(theirs);
        if (at == mine.Length) return null;
        return $"memory at 0x{_native.DataAddress + (ulong)(InstructionGenerator.WindowStart + at):x} is 0x{mine[at]:x}, should be 0x{theirs[at]:x}";
    }

    private static string Show(RegisterSet set) => string.Join(" ", set.General.Select((value, i) => $"{(Gpr)i}={value:x}")) + $" flags={set.Flags:x} "
        + string.Join(" ", set.Xmm.Select((value, i) => $"xmm{i}={value:x}"));

    /// <summary>The forms the translator has an operation for and that run alone in ring 3.</summary>
    private List<Code> Forms()
    {
        var generator = new InstructionGenerator(mode, _native, new Random(1));
        var translator = new Translator(mode);
        var forms = new List<Code>();
        foreach (Code code in Enum.GetValues<Code>())
        {
            if (!IsAvailable(code) || IsLeftOut(code)) continue;
            // Operands are random and not every choice can be encoded: a few tries tell.
            for (int n = 0; n < 20; n++)
            {
                if (generator.Make(code, generator.Registers(), fixedAddresses: false) is not { } made || !generator.TryEncode([made], out byte[] bytes))
                {
                    continue;
                }
                Decoder decoder = Decoder.Create(mode == CpuMode.X64 ? 64 : 32, new ByteArrayCodeReader(bytes), _native.SnippetAddress);
                Instruction decoded = decoder.Decode();
                // Some old forms share their bytes with what took their place.
                if (decoded.Code == code && translator.Translate(decoded) is not (UnsupportedOperation or InvalidOperation)) forms.Add(code);
                break;
            }
        }
        return forms;
    }

    private bool IsAvailable(Code code)
    {
        OpCodeInfo form = code.ToOpCode();
        if (!form.IsInstruction || form.Encoding != EncodingKind.Legacy || !(mode == CpuMode.X64 ? form.Mode64 : form.Mode32)) return false;
        return code.CpuidFeatures().All(feature => feature switch
        {
            CpuidFeature.LZCNT => Lzcnt.IsSupported,
            CpuidFeature.BMI1 => Bmi1.IsSupported,
            CpuidFeature.POPCNT => Popcnt.IsSupported,
            CpuidFeature.SSE3 => Sse3.IsSupported,
            CpuidFeature.SSSE3 => Ssse3.IsSupported,
            CpuidFeature.SSE4_1 => Sse41.IsSupported,
            CpuidFeature.SSE4_2 => Sse42.IsSupported,
            _ => true,
        });
    }

    private static bool IsLeftOut(Code code)
    {
        OpCodeInfo form = code.ToOpCode();
        // Ring 0 only, control flow (its own test), and what answers differently on every processor.
        if (form.IsPrivileged || code.FlowControl() != FlowControl.Next) return true;
        return code.Mnemonic() is Mnemonic.In or Mnemonic.Out or Mnemonic.Insb or Mnemonic.Insw or Mnemonic.Insd or Mnemonic.Outsb
            or Mnemonic.Outsw or Mnemonic.Outsd
            or Mnemonic.Cli or Mnemonic.Sti or Mnemonic.Hlt or Mnemonic.Cpuid or Mnemonic.Rdtsc or Mnemonic.Rdtscp or Mnemonic.Rdmsr
                or Mnemonic.Wrmsr or Mnemonic.Invlpg or Mnemonic.Wbinvd
            // IF and what it may change depend on the ring; loading random flags would trap.
            or Mnemonic.Pushf or Mnemonic.Pushfd or Mnemonic.Pushfq or Mnemonic.Popf or Mnemonic.Popfd or Mnemonic.Popfq
            // Only one value is supported.
            or Mnemonic.Ldmxcsr or Mnemonic.Stmxcsr
            // Hints that some processors refuse; none does anything here.
            or Mnemonic.Reservednop or Mnemonic.Clflushopt or Mnemonic.Clwb or Mnemonic.Clflush
            || code is Code.Bswap_r16
            // The table's address is not in an operand.
            || code.Mnemonic() == Mnemonic.Xlatb
            // Selectors are the operating system's.
            || Enumerable.Range(0, form.OpCount).Any(n => form.GetOpKind(n) is OpCodeOperandKind.seg_reg);
    }

    private static bool Stumbles(Code code)
        => code.Mnemonic() is Mnemonic.Div or Mnemonic.Idiv or Mnemonic.Cmpxchg16b or Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc
        or Mnemonic.Bsf or Mnemonic.Bsr or Mnemonic.Std or Mnemonic.Cmpxchg or Mnemonic.Shld or Mnemonic.Shrd
        || code.IsStringInstruction();

    private static bool IsShift(Mnemonic mnemonic) => mnemonic is Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr or Mnemonic.Sar or Mnemonic.Rol or Mnemonic.Ror
        or Mnemonic.Rcl or Mnemonic.Rcr or Mnemonic.Shld or Mnemonic.Shrd;

    /// <summary>Which flags an instruction defines with these operands; Iced's table does not know shift counts.</summary>
    private static ulong DefinedFlags(in Instruction i, RegisterSet start)
    {
        ulong defined = (ArithmeticFlags | 0x400) & ~ToFlags(i.RflagsUndefined);
        if (!IsShift(i.Mnemonic)) return defined;
        int last = i.OpCount - 1;
        int count = (i.GetOpKind(last) == OpKind.Register ? (int)start.General[(int)Gpr.Rcx] : i.Immediate8) & 0x3F;
        int bits = 8 * (i.Op0Kind == OpKind.Register ? i.Op0Register.GetSize() : i.MemorySize.GetSize());
        if (bits < 64) count &= 0x1F;
        // By zero: nothing changes. By one: OF is defined. Beyond the width: CF is not.
        if (count == 0) return ArithmeticFlags | 0x400;
        bool rotates = i.Mnemonic is Mnemonic.Rol or Mnemonic.Ror or Mnemonic.Rcl or Mnemonic.Rcr;
        ulong undefined = (count == 1 ? 0ul : 0x800) | (rotates ? 0ul : 0x10);
        if (count >= bits && i.Mnemonic is Mnemonic.Shl or Mnemonic.Sal or Mnemonic.Shr) undefined |= 1;
        return (ArithmeticFlags | 0x400) & ~undefined;
    }

    private static ulong ToFlags(RflagsBits bits)
    {
        ulong flags = 0;
        if ((bits & RflagsBits.CF) != 0) flags |= 1;
        if ((bits & RflagsBits.PF) != 0) flags |= 4;
        if ((bits & RflagsBits.AF) != 0) flags |= 0x10;
        if ((bits & RflagsBits.ZF) != 0) flags |= 0x40;
        if ((bits & RflagsBits.SF) != 0) flags |= 0x80;
        if ((bits & RflagsBits.OF) != 0) flags |= 0x800;
        return flags;
    }
}
