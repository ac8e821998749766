using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>Reads a C structure of a driver's field by field, each at its natural alignment.</summary>
internal struct StructReader
{
    private readonly BenchMachine _machine;
    private readonly ulong _start;
    private ulong _at;
    private uint _alignment = 1;

    public StructReader(BenchMachine machine, ulong start) => (_machine, _start, _at) = (machine, start, start);

    /// <summary>sizeof, if the field read last is the structure's last.</summary>
    public readonly uint Size => ((uint)(_at - _start) + _alignment - 1) & ~(_alignment - 1);

    public byte Byte() => _machine.Guest.Byte(Next(1));
    public uint U32() => _machine.Guest.U32(Next(4));
    public ulong Pointer() => _machine.Guest.Pointer(Next((uint)_machine.Layout.Pointer));

    /// <summary>The next field is DECLSPEC_ALIGN(8).</summary>
    public void AlignTo8()
    {
        _alignment = 8;
        _at = (_at + 7) & ~7UL;
    }

    /// <summary>The address of a pointer-sized field, which is passed over.</summary>
    public ulong PointerAddress() => Next((uint)_machine.Layout.Pointer);

    private ulong Next(uint size)
    {
        _alignment = Math.Max(_alignment, size);
        ulong at = (_at + size - 1) & ~(ulong)(size - 1);
        _at = at + size;
        return at;
    }
}
