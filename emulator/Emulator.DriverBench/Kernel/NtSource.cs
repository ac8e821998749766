using Emulator.Nt;

namespace Emulator.DriverBench.Kernel;

/// <summary>The bench's memory and symbols for the views of NT's objects. Only RAM is read: a view never touches a device.</summary>
internal sealed class NtSource(BenchMachine machine) : INtMemory, INtSymbols
{
    public bool Is64Bit => machine.Is64Bit;

    public bool TryRead(ulong address, Span<byte> destination) => machine.Space.TryPeek(address, destination);

    public string? Describe(ulong address) => ModuleOf(address) is null ? null : machine.Symbols.Describe(address);

    public string? ModuleOf(ulong address) => machine.Symbols.FindModule(address);
}
