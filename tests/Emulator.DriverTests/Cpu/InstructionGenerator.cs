using Emulator.DriverBench.Cpu;
using Emulator.DriverTests.Native;
using Iced.Intel;

namespace Emulator.DriverTests.Cpu;

/// <summary>Random instructions of a given form, with registers that make their memory operands fall into the data area.</summary>
internal sealed class InstructionGenerator(CpuMode mode, NativeCpu native, Random random)
{
    // Memory operands lie here; the stack is above, and below it is room for what a signal handler pushes.
    public const int WindowStart = 0x8000;
    public const int WindowEnd = 0xC800;
    private const int OperandsStart = 0x9000;
    private const int OperandsEnd = 0xA000;
    private const int StackAt = 0xC000;

    private int Bits => mode == CpuMode.X64 ? 64 : 32;
    private int RegisterCount => mode == CpuMode.X64 ? 16 : 8;

    /// <summary>What a case starts from.</summary>
    public RegisterSet Registers()
    {
        var set = new RegisterSet { Flags = 0x202 };
        foreach (ulong flag in (ReadOnlySpan<ulong>)[1, 4, 0x10, 0x40, 0x80, 0x800]) set.Flags |= random.Next(2) == 0 ? 0 : flag;
        for (int i = 0; i < 16; i++)
        {
            set.General[i] = i < RegisterCount ? Integer() : 0;
            if (mode == CpuMode.X86) set.General[i] &= uint.MaxValue;
            set.Xmm[i] = i < RegisterCount ? Vector() : 0;
        }
        set.General[(int)Gpr.Rsp] = native.DataAddress + StackAt;
        return set;
    }

    /// <summary>Random bytes, among them floating-point numbers of every kind.</summary>
    public void Fill(Span<byte> data)
    {
        random.NextBytes(data);
        for (int i = OperandsStart; i < OperandsEnd; i += 16) BitConverter.TryWriteBytes(data[i..], Vector());
    }

    /// <summary>
    /// An instruction of the form, or null when the form has operands this does not make. Registers the operand addresses need are set.
    /// </summary>
    /// <param name="code">The form.</param>
    /// <param name="registers">Start values, changed to fit.</param>
    /// <param name="fixedAddresses">Memory operands by absolute address only: inside a sequence nothing else is known.</param>
    public Instruction? Make(Code code, RegisterSet registers, bool fixedAddresses)
    {
        var i = new Instruction { Code = code, CodeSize = mode == CpuMode.X64 ? CodeSize.Code64 : CodeSize.Code32 };
        OpCodeInfo form = code.ToOpCode();
        bool highByte = false, needsRex = false;
        for (int n = 0; n < form.OpCount; n++)
        {
            OpCodeOperandKind kind = form.GetOpKind(n);
            switch (kind)
            {
                case OpCodeOperandKind.r8_reg or OpCodeOperandKind.r8_opcode: SetRegister(ref i, n, Byte(ref highByte, ref needsRex)); break;
                case OpCodeOperandKind.r8_or_mem:
                    if (random.Next(2) == 0) SetRegister(ref i, n, Byte(ref highByte, ref needsRex));
                    else SetMemory(ref i, n, form, registers, fixedAddresses, ref needsRex);
                    break;
                case OpCodeOperandKind.r16_reg or OpCodeOperandKind.r16_opcode or OpCodeOperandKind.r16_rm:
                    SetRegister(ref i, n, General(Register.AX, ref needsRex));
                    break;
                case OpCodeOperandKind.r32_reg or OpCodeOperandKind.r32_opcode or OpCodeOperandKind.r32_rm:
                    SetRegister(ref i, n, General(Register.EAX, ref needsRex));
                    break;
                case OpCodeOperandKind.r64_reg or OpCodeOperandKind.r64_opcode or OpCodeOperandKind.r64_rm:
                    SetRegister(ref i, n, General(Register.RAX, ref needsRex));
                    break;
                case OpCodeOperandKind.r16_or_mem: RegisterOrMemory(ref i, n, form, Register.AX, registers, fixedAddresses, ref needsRex); break;
                case OpCodeOperandKind.r32_or_mem: RegisterOrMemory(ref i, n, form, Register.EAX, registers, fixedAddresses, ref needsRex); break;
                case OpCodeOperandKind.r64_or_mem: RegisterOrMemory(ref i, n, form, Register.RAX, registers, fixedAddresses, ref needsRex); break;
                case OpCodeOperandKind.xmm_reg or OpCodeOperandKind.xmm_rm: SetRegister(ref i, n, Xmm()); break;
                case OpCodeOperandKind.xmm_or_mem:
                    if (random.Next(2) == 0) SetRegister(ref i, n, Xmm());
                    else SetMemory(ref i, n, form, registers, fixedAddresses, ref needsRex);
                    break;
                case OpCodeOperandKind.mem: SetMemory(ref i, n, form, registers, fixedAddresses, ref needsRex); break;
                case OpCodeOperandKind.mem_offs:
                    i.SetOpKind(n, OpKind.Memory);
                    i.MemoryDisplacement64 = OperandAddress(16);
                    i.MemoryDisplSize = Bits / 8;
                    break;
                case OpCodeOperandKind.al: SetRegister(ref i, n, Register.AL); break;
                case OpCodeOperandKind.ax: SetRegister(ref i, n, Register.AX); break;
                case OpCodeOperandKind.eax: SetRegister(ref i, n, Register.EAX); break;
                case OpCodeOperandKind.rax: SetRegister(ref i, n, Register.RAX); break;
                case OpCodeOperandKind.cl: SetRegister(ref i, n, Register.CL); break;
                // Only nesting level 0 is supported.
                case OpCodeOperandKind.imm8 when n == 1 && i.Mnemonic == Mnemonic.Enter: i.SetOpKind(n, OpKind.Immediate8_2nd); break;
                case OpCodeOperandKind.imm8: i.SetOpKind(n, OpKind.Immediate8); i.Immediate8 = (byte)Integer(); break;
                case OpCodeOperandKind.imm8_const_1: i.SetOpKind(n, OpKind.Immediate8); i.Immediate8 = 1; break;
                case OpCodeOperandKind.imm8sex16: i.SetOpKind(n, OpKind.Immediate8to16); i.Immediate8to16 = (sbyte)Integer(); break;
                case OpCodeOperandKind.imm8sex32: i.SetOpKind(n, OpKind.Immediate8to32); i.Immediate8to32 = (sbyte)Integer(); break;
                case OpCodeOperandKind.imm8sex64: i.SetOpKind(n, OpKind.Immediate8to64); i.Immediate8to64 = (sbyte)Integer(); break;
                case OpCodeOperandKind.imm16: i.SetOpKind(n, OpKind.Immediate16); i.Immediate16 = (ushort)Integer(); break;
                case OpCodeOperandKind.imm32: i.SetOpKind(n, OpKind.Immediate32); i.Immediate32 = (uint)Integer(); break;
                case OpCodeOperandKind.imm32sex64: i.SetOpKind(n, OpKind.Immediate32to64); i.Immediate32to64 = (int)Integer(); break;
                case OpCodeOperandKind.imm64: i.SetOpKind(n, OpKind.Immediate64); i.Immediate64 = Integer(); break;
                case OpCodeOperandKind.seg_rSI:
                    i.SetOpKind(n, mode == CpuMode.X64 ? OpKind.MemorySegRSI : OpKind.MemorySegESI);
                    registers.General[(int)Gpr.Rsi] = OperandAddress(1);
                    break;
                case OpCodeOperandKind.es_rDI:
                    i.SetOpKind(n, mode == CpuMode.X64 ? OpKind.MemoryESRDI : OpKind.MemoryESEDI);
                    registers.General[(int)Gpr.Rdi] = OperandAddress(1);
                    break;
                default: return null;
            }
        }
        // AH and its like cannot be had together with a REX prefix.
        if (highByte && needsRex) return null;
        Adjust(ref i, form, registers, fixedAddresses);
        return i;
    }

    /// <summary>Encodes instructions and the jump to the exit. False when one has no encoding after all.</summary>
    public bool TryEncode(ReadOnlySpan<Instruction> instructions, out byte[] bytes)
    {
        var stream = new MemoryStream();
        var encoder = Encoder.Create(Bits, new StreamCodeWriter(stream));
        bytes = [];
        foreach (Instruction instruction in instructions)
        {
            if (!encoder.TryEncode(instruction, native.SnippetAddress + (ulong)stream.Length, out _, out _)) return false;
        }
        Instruction jump = Instruction.CreateBranch(mode == CpuMode.X64 ? Code.Jmp_rel32_64 : Code.Jmp_rel32_32, native.ExitAddress);
        encoder.Encode(jump, native.SnippetAddress + (ulong)stream.Length);
        bytes = stream.ToArray();
        return true;
    }

    public ulong Integer() => random.Next(8) switch
    {
        0 => 0,
        1 => ulong.MaxValue,
        2 => 1ul << random.Next(64),
        3 => (ulong)random.Next(64),
        4 => (1ul << random.Next(64)) - 1,
        5 => (ulong)(sbyte)random.Next(256),
        _ => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
    };

    private UInt128 Vector() => random.Next(3) switch
    {
        0 => new UInt128(Integer(), Integer()),
        1 => new UInt128(BitConverter.DoubleToUInt64Bits(Number()), BitConverter.DoubleToUInt64Bits(Number())),
        _ => new UInt128(((ulong)Float() << 32) | Float(), ((ulong)Float() << 32) | Float()),
    };

    private uint Float() => BitConverter.SingleToUInt32Bits((float)Number());

    private double Number() => random.Next(12) switch
    {
        0 => 0,
        1 => -0.0,
        2 => double.PositiveInfinity,
        3 => double.NaN,
        4 => 2147483648.0 * (random.Next(3) - 1),
        5 => random.Next(100) + 0.5,
        6 => double.Epsilon,
        7 => (random.NextDouble() - 0.5) * 1e19,
        _ => (random.NextDouble() - 0.5) * Math.Pow(10, random.Next(-5, 10)),
    };

    private static void SetRegister(ref Instruction i, int n, Register register)
    {
        i.SetOpKind(n, OpKind.Register);
        i.SetOpRegister(n, register);
    }

    private void RegisterOrMemory(ref Instruction i, int n, OpCodeInfo form, Register first, RegisterSet registers, bool fixedAddresses, ref bool needsRex)
    {
        if (random.Next(2) == 0) SetRegister(ref i, n, General(first, ref needsRex));
        else SetMemory(ref i, n, form, registers, fixedAddresses, ref needsRex);
    }

    /// <summary>Any but the stack pointer: a signal may want the stack at any time.</summary>
    private int Number(int count)
    {
        int number = random.Next(count - 1);
        return number >= (int)Gpr.Rsp ? number + 1 : number;
    }

    private Register General(Register first, ref bool needsRex)
    {
        int number = Number(RegisterCount);
        needsRex |= number >= 8 || first == Register.RAX;
        return first + number;
    }

    private Register Byte(ref bool highByte, ref bool needsRex)
    {
        if (random.Next(4) == 0)
        {
            highByte = true;
            return Register.AH + random.Next(4);
        }
        int number = mode == CpuMode.X64 ? Number(16) : random.Next(4);
        if (number < 4) return Register.AL + number;
        needsRex = true;
        return number < 8 ? Register.SPL + (number - 4) : Register.R8L + (number - 8);
    }

    private Register Xmm() => Register.XMM0 + random.Next(RegisterCount);

    private ulong OperandAddress(int alignment) => native.DataAddress + (ulong)(random.Next(OperandsStart, OperandsEnd - 64) / alignment * alignment);

    private void SetMemory(ref Instruction i, int n, OpCodeInfo form, RegisterSet registers, bool fixedAddresses, ref bool needsRex)
    {
        i.SetOpKind(n, OpKind.Memory);
        bool aligned = form.MemorySize.GetSize() == 16;
        ulong address = OperandAddress(aligned ? 16 : 1);
        i.MemoryIndexScale = 1;
        int form3 = fixedAddresses ? 0 : random.Next(mode == CpuMode.X64 ? 5 : 3);
        if (form3 == 0)
        {
            i.MemoryDisplacement64 = address;
            i.MemoryDisplSize = Bits / 8;
            return;
        }
        if (form3 == 3)
        {
            i.MemoryBase = Register.RIP;
            i.MemoryDisplacement64 = address;
            i.MemoryDisplSize = 8;
            return;
        }
        bool small = mode == CpuMode.X86 || form3 == 4;
        Register first = small ? Register.EAX : Register.RAX;
        int baseNumber = Number(RegisterCount);
        int displacement = random.Next(-0x8000, 0x8000);
        needsRex |= baseNumber >= 8;
        ulong value = address - (ulong)displacement;
        i.MemoryBase = first + baseNumber;
        i.MemoryDisplacement64 = (ulong)displacement;
        i.MemoryDisplSize = displacement is >= -128 and < 128 ? 1 : Bits / 8;
        if (small) value &= uint.MaxValue;
        if (form3 >= 2)
        {
            int indexNumber = Number(RegisterCount);
            if (indexNumber != baseNumber)
            {
                needsRex |= indexNumber >= 8;
                i.MemoryIndex = first + indexNumber;
                i.MemoryIndexScale = 1 << random.Next(4);
                ulong index = small ? (uint)Integer() : Integer();
                registers.General[indexNumber] = index;
                value -= index * (ulong)i.MemoryIndexScale;
                if (small) value &= uint.MaxValue;
            }
        }
        // With a 32-bit address the upper half of the registers does not matter; let it be something.
        if (small && mode == CpuMode.X64) value |= Integer() << 32;
        registers.General[baseNumber] = value;
    }

    /// <summary>What a form needs so that it neither faults nor runs away too often, and its prefixes.</summary>
    private void Adjust(ref Instruction i, OpCodeInfo form, RegisterSet registers, bool fixedAddresses)
    {
        if (form.CanUseLockPrefix && i.Op0Kind == OpKind.Memory && random.Next(2) == 0) i.HasLockPrefix = true;
        if (i.IsStringInstruction)
        {
            int kind = random.Next(3);
            bool compares = form.CanUseRepnePrefix && i.Mnemonic is Mnemonic.Scasb or Mnemonic.Scasw or Mnemonic.Scasd or Mnemonic.Scasq
                or Mnemonic.Cmpsb or Mnemonic.Cmpsw or Mnemonic.Cmpsd or Mnemonic.Cmpsq;
            if (kind == 1) i.HasRepPrefix = true;
            if (kind == 2 && compares) i.HasRepnePrefix = true;
            registers.General[(int)Gpr.Rcx] = (ulong)random.Next(random.Next(2) == 0 ? 4 : 60);
            if (random.Next(3) == 0) registers.Flags |= 0x400;
        }
        switch (i.Mnemonic)
        {
            case Mnemonic.Bt or Mnemonic.Bts or Mnemonic.Btr or Mnemonic.Btc when i.Op0Kind == OpKind.Memory && i.Op1Kind == OpKind.Register && !fixedAddresses:
                // The offset reaches as far as the register says. When it is part of the address, too, the interpreter finds the fault first.
                int number = i.Op1Register.GetFullRegister().GetNumber();
                if (number != i.MemoryBase.GetFullRegister().GetNumber() || i.MemoryBase is Register.None or Register.RIP)
                {
                    registers.General[number] = (ulong)(long)random.Next(-4000, 4000) & (mode == CpuMode.X64 ? ulong.MaxValue : uint.MaxValue);
                }
                break;
            case Mnemonic.Div or Mnemonic.Idiv when random.Next(4) != 0:
                registers.General[(int)Gpr.Rdx] = random.Next(2) == 0 ? 0 : (ulong)random.Next(16);
                break;
            case Mnemonic.Shld or Mnemonic.Shrd when i.Op0Kind == OpKind.Memory ? i.MemorySize.GetSize() == 2 : i.Op0Register.GetSize() == 2:
                // Counts above 16 are undefined for 16 bits.
                if (i.Op2Kind == OpKind.Register) registers.General[(int)Gpr.Rcx] = (ulong)random.Next(17);
                else i.Immediate8 = (byte)random.Next(17);
                break;
            case Mnemonic.Cmpxchg or Mnemonic.Bsf or Mnemonic.Bsr when i.Op0Kind == OpKind.Register && i.Op0Register.GetSize() == 4:
                // Whether a 32-bit register that keeps its value is written back, which clears its upper half, differs between makers.
                registers.General[i.Op0Register.GetNumber()] &= uint.MaxValue;
                break;
            case Mnemonic.Leave:
                registers.General[(int)Gpr.Rbp] = OperandAddress(8);
                break;
            case Mnemonic.Enter:
                i.Immediate16 = (ushort)random.Next(0x400);
                break;
        }
        if (mode == CpuMode.X86)
        {
            for (int n = 0; n < 8; n++) registers.General[n] &= uint.MaxValue;
        }
    }
}
