using System.Diagnostics;
using System.Runtime.InteropServices;
using Emulator.DriverBench.Cpu;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Emulator.DriverTests.Native;

/// <summary>
/// Runs snippets of machine code on the processor the test runs on, with every register set before and read after. All
/// memory it uses lies below 2 GiB, so that 32-bit code reaches it, too: an x64 Linux process may jump into the
/// kernel's 32-bit code segment and back.
/// </summary>
internal sealed unsafe class NativeCpu : IDisposable
{
    public const int CodeSize = 0x4000;
    public const int DataSize = 0x10000;
    /// <summary>Where snippets stand in the code area; the way in and out is before them.</summary>
    public const int SnippetOffset = 0x2000;

    // Selectors of an x64 Linux process: arch/x86/include/asm/segment.h.
    private const short UserCode32 = 0x23;
    private const short UserCode64 = 0x33;
    private const short UserData = 0x2B;

    private const int ContextSize = 0x1000;
    private const int FlagsAt = 16 * 8;
    private const int HostStackAt = FlagsAt + 8;
    private const int HostDataSegmentsAt = HostStackAt + 8;
    private const int XmmAt = 0x100;

    private readonly CpuMode _mode;
    private readonly byte* _area;
    private readonly int _exit;

    public NativeCpu(CpuMode mode)
    {
        _mode = mode;
        // PROT_READ|WRITE|EXEC, MAP_PRIVATE|ANONYMOUS|32BIT.
        _area = Map(null, CodeSize + ContextSize + DataSize, 7, 0x62, -1, 0);
        if (_area == (byte*)-1) throw new InvalidOperationException($"mmap failed: {Marshal.GetLastPInvokeError()}");
        _exit = mode == CpuMode.X64 ? Build64() : Build32();
    }

    /// <summary>Where the data area lies; the same address has to be used by whoever is compared.</summary>
    public ulong DataAddress => (ulong)(_area + CodeSize + ContextSize);
    public ulong SnippetAddress => (ulong)(_area + SnippetOffset);

    /// <summary>Where a snippet jumps to when it is done.</summary>
    public ulong ExitAddress => (ulong)(_area + _exit);

    // Safe: the mapping has CodeSize + ContextSize + DataSize bytes and lives until Dispose.
    public Span<byte> Data => new(_area + CodeSize + ContextSize, DataSize);

    private Span<byte> CodeBytes => new(_area, CodeSize);
    private Span<byte> Context => new(_area + CodeSize, ContextSize);

    /// <summary>Why 32-bit code cannot run here, or null: a tiny 32-bit program is tried in a process of its own.</summary>
    public static string? WhyNot(CpuMode mode)
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.ProcessArchitecture != Architecture.X64) return "native comparison needs Linux on x64";
        if (mode == CpuMode.X64) return null;
        string path = Path.Combine(Path.GetTempPath(), $"probe32-{Environment.ProcessId}");
        try
        {
            File.WriteAllBytes(path, Program32());
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            using Process process = Process.Start(path);
            process.WaitForExit();
            return process.ExitCode == 42 ? null : $"a 32-bit program ended with {process.ExitCode} instead of 42";
        }
        catch (Exception failure) when (failure is System.ComponentModel.Win32Exception or IOException or UnauthorizedAccessException)
        {
            return $"this kernel runs no 32-bit code: {failure.Message}";
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>Runs a snippet that ends by jumping to <see cref="ExitAddress"/>.</summary>
    public void Run(ReadOnlySpan<byte> snippet, RegisterSet registers)
    {
        snippet.CopyTo(CodeBytes[SnippetOffset..]);
        Span<ulong> words = MemoryMarshal.Cast<byte, ulong>(Context);
        registers.General.CopyTo(words);
        words[FlagsAt / 8] = registers.Flags;
        for (int i = 0; i < 16; i++) MemoryMarshal.Write(Context[(XmmAt + (16 * i))..], registers.Xmm[i]);
        // Safe as far as the snippet is: callers run it in the interpreter first and leave out what faults there.
        ((delegate* unmanaged<void>)_area)();
        words[..16].CopyTo(registers.General);
        registers.Flags = words[FlagsAt / 8];
        for (int i = 0; i < 16; i++) registers.Xmm[i] = MemoryMarshal.Read<UInt128>(Context[(XmmAt + (16 * i))..]);
    }

    public void Dispose() => _ = Unmap(_area, CodeSize + ContextSize + DataSize);

    [DllImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static extern byte* Map(void* address, nint length, int protection, int flags, int descriptor, nint offset);

    [DllImport("libc", EntryPoint = "munmap")]
    private static extern int Unmap(void* address, nint length);

    private static readonly AssemblerRegister64[] General64 = [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];
    private static readonly AssemblerRegister32[] General32 = [eax, ecx, edx, ebx, esp, ebp, esi, edi];
    private static readonly AssemblerRegisterXMM[] Xmm =
        [xmm0, xmm1, xmm2, xmm3, xmm4, xmm5, xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15];

    private ulong ContextAddress => (ulong)(_area + CodeSize);

    private int Build64()
    {
        var assembler = new Assembler(64);
        EnterHost(assembler);
        LoadXmm(assembler, 16);
        assembler.push(__qword_ptr[ContextAddress + FlagsAt]);
        assembler.popfq();
        for (int i = 0; i < 16; i++) assembler.mov(General64[i], __qword_ptr[ContextAddress + (ulong)(8 * i)]);
        assembler.jmp(SnippetAddress);
        Label exit = assembler.CreateLabel();
        assembler.Label(ref exit);
        for (int i = 0; i < 16; i++) assembler.mov(__qword_ptr[ContextAddress + (ulong)(8 * i)], General64[i]);
        assembler.mov(rsp, __qword_ptr[ContextAddress + HostStackAt]);
        assembler.pushfq();
        assembler.pop(__qword_ptr[ContextAddress + FlagsAt]);
        StoreXmm(assembler, 16);
        LeaveHost(assembler);
        return Write(assembler, 0, exit);
    }

    private int Build32()
    {
        const int Inside = 0x800, Back = 0x1000;
        var enter = new Assembler(64);
        EnterHost(enter);
        // 64-bit code ignores DS and ES; 32-bit code does not.
        enter.mov(__word_ptr[ContextAddress + HostDataSegmentsAt], ds);
        enter.mov(__word_ptr[ContextAddress + HostDataSegmentsAt + 2], es);
        enter.mov(eax, UserData);
        enter.mov(ds, eax);
        enter.mov(es, eax);
        enter.push(UserCode32);
        enter.push((int)((ulong)_area + Inside));
        enter.AddInstruction(Instruction.Create(Code.Retfq));
        Write(enter, 0, default);

        var inside = new Assembler(32);
        LoadXmm(inside, 8);
        // Some stack for the flags that is not the snippet's.
        inside.mov(esp, (int)(ContextAddress + ContextSize));
        inside.push(__dword_ptr[ContextAddress + FlagsAt]);
        inside.popfd();
        for (int i = 0; i < 8; i++) inside.mov(General32[i], __dword_ptr[ContextAddress + (ulong)(8 * i)]);
        inside.jmp(SnippetAddress);
        Label exit = inside.CreateLabel();
        inside.Label(ref exit);
        for (int i = 0; i < 8; i++) inside.mov(__dword_ptr[ContextAddress + (ulong)(8 * i)], General32[i]);
        inside.mov(esp, (int)(ContextAddress + ContextSize));
        inside.pushfd();
        inside.pop(__dword_ptr[ContextAddress + FlagsAt]);
        StoreXmm(inside, 8);
        inside.AddInstruction(Instruction.CreateBranch(Code.Jmp_ptr1632, (ushort)UserCode64, (uint)((ulong)_area + Back)));
        int exitOffset = Write(inside, Inside, exit);

        var back = new Assembler(64);
        back.mov(rsp, __qword_ptr[ContextAddress + HostStackAt]);
        back.mov(ds, __word_ptr[ContextAddress + HostDataSegmentsAt]);
        back.mov(es, __word_ptr[ContextAddress + HostDataSegmentsAt + 2]);
        LeaveHost(back);
        Write(back, Back, default);
        return exitOffset;
    }

    private void EnterHost(Assembler assembler)
    {
        foreach (AssemblerRegister64 register in (AssemblerRegister64[])[rbx, rbp, r12, r13, r14, r15]) assembler.push(register);
        assembler.mov(__qword_ptr[ContextAddress + HostStackAt], rsp);
    }

    private static void LeaveHost(Assembler assembler)
    {
        assembler.cld();
        foreach (AssemblerRegister64 register in (AssemblerRegister64[])[r15, r14, r13, r12, rbp, rbx]) assembler.pop(register);
        assembler.ret();
    }

    private void LoadXmm(Assembler assembler, int count)
    {
        for (int i = 0; i < count; i++) assembler.movups(Xmm[i], __xmmword_ptr[ContextAddress + XmmAt + (ulong)(16 * i)]);
    }

    private void StoreXmm(Assembler assembler, int count)
    {
        for (int i = 0; i < count; i++) assembler.movups(__xmmword_ptr[ContextAddress + XmmAt + (ulong)(16 * i)], Xmm[i]);
    }

    /// <summary>Writes assembled code; the offset of the label when there is one.</summary>
    private int Write(Assembler assembler, int offset, Label label)
    {
        var stream = new MemoryStream();
        AssemblerResult result = assembler.Assemble(new StreamCodeWriter(stream),
            (ulong)_area + (ulong)offset, BlockEncoderOptions.ReturnNewInstructionOffsets);
        stream.ToArray().CopyTo(CodeBytes[offset..]);
        return label.IsEmpty ? 0 : (int)(result.GetLabelRIP(label) - (ulong)_area);
    }

    /// <summary>An ELF32 executable that ends with 42: mov eax, 1; mov ebx, 42; int 0x80.</summary>
    private static byte[] Program32()
    {
        var file = new byte[0x60];
        using var writer = new BinaryWriter(new MemoryStream(file));
        writer.Write([0x7F, (byte)'E', (byte)'L', (byte)'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        writer.Write([2, 0, 3, 0]);
        foreach (int word in (ReadOnlySpan<int>)[1, 0x0804_8054, 0x34, 0, 0]) writer.Write(word);
        foreach (short half in (ReadOnlySpan<short>)[0x34, 0x20, 1, 0, 0, 0]) writer.Write(half);
        foreach (int word in (ReadOnlySpan<int>)[1, 0, 0x0804_8000, 0x0804_8000, 0x60, 0x60, 5, 0x1000]) writer.Write(word);
        writer.Write([0xB8, 1, 0, 0, 0, 0xBB, 42, 0, 0, 0, 0xCD, 0x80]);
        return file;
    }
}

/// <summary>Registers before and after a snippet.</summary>
internal sealed class RegisterSet
{
    public ulong[] General { get; } = new ulong[16];
    public UInt128[] Xmm { get; } = new UInt128[16];
    public ulong Flags { get; set; }

    public RegisterSet Copy()
    {
        var copy = new RegisterSet { Flags = Flags };
        General.CopyTo(copy.General, 0);
        Xmm.CopyTo(copy.Xmm, 0);
        return copy;
    }
}
