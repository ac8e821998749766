using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Memory;
using Emulator.DriverTests.Native;

namespace Emulator.DriverTests.Cpu;

/// <summary>The interpreter with the same memory layout as a <see cref="NativeCpu"/>.</summary>
internal sealed class InterpretedCpu : IHostCalls
{
    private readonly NativeCpu _native;
    private readonly MemoryRegion _data;
    private readonly CpuMode _mode;

    public InterpretedCpu(CpuMode mode, NativeCpu native)
    {
        (_mode, _native) = (mode, native);
        Memory = new AddressSpace(mode == CpuMode.X64 ? AddressWidth.Bits64 : AddressWidth.Bits32);
        ulong page = ~(ulong)(AddressSpace.PageSize - 1);
        Memory.MapRam(native.SnippetAddress & page, NativeCpu.CodeSize - NativeCpu.SnippetOffset, Protection.ReadExecute, "code");
        _data = Memory.MapRam(native.DataAddress, NativeCpu.DataSize, Protection.ReadWrite, "data");
        Cpu = new Interpreter(Memory, mode, this);
        Cpu.AddHostRange(native.ExitAddress, 1);
    }

    public AddressSpace Memory { get; }
    public Interpreter Cpu { get; }
    public Span<byte> Data => _data.Backing!.Bytes;

    public void Invoke(ref CallFrame frame) => frame.Stop("exit");

    /// <summary>Runs a snippet to its jump to the exit; the outcome says HostStop when it got there.</summary>
    public RunOutcome Run(ReadOnlySpan<byte> snippet, RegisterSet registers)
    {
        Assert.That(Memory.TryPoke(_native.SnippetAddress, snippet), Is.True);
        CpuState state = Cpu.State;
        int count = _mode == CpuMode.X64 ? 16 : 8;
        for (int i = 0; i < count; i++) state[(Gpr)i] = registers.General[i];
        for (int i = 0; i < count; i++) state.SetXmm(i, registers.Xmm[i]);
        state.Rflags = registers.Flags;
        state.Rip = _native.SnippetAddress;
        RunOutcome outcome = Cpu.Run(100_000);
        for (int i = 0; i < count; i++) registers.General[i] = state[(Gpr)i];
        for (int i = 0; i < count; i++) registers.Xmm[i] = state.GetXmm(i);
        registers.Flags = state.Rflags;
        return outcome;
    }
}
