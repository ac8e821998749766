using Emulator.DriverBench.Cpu;

namespace Emulator.DriverBench.Kernel;

/// <summary>The HAL's ports and registers, one at a time and in rows: what x86 drivers call, and x64 ones have inlined.</summary>
internal sealed class PortServices(BenchMachine machine)
{
    public void AddTo(NtServices nt)
    {
        foreach ((string width, int size, char letter) in new[] { ("UCHAR", 1, 'b'), ("USHORT", 2, 'w'), ("ULONG", 4, 'u') })
        {
            nt.Add($"READ_PORT_{width}", "p", Irql.High, a => ReadPort(a[0], size));
            nt.Add($"WRITE_PORT_{width}", $"p{letter}", Irql.High, a => WritePort(a[0], size, a[1]));
            nt.Add($"READ_PORT_BUFFER_{width}", "ppu", Irql.High, a => Each(a[1], a[2], size, at => Set(at, size, ReadPort(a[0], size))));
            nt.Add($"WRITE_PORT_BUFFER_{width}", "ppu", Irql.High, a => Each(a[1], a[2], size, at => WritePort(a[0], size, Get(at, size))));
            nt.Add($"READ_REGISTER_{width}", "p", Irql.High, a => Get(a[0], size));
            nt.Add($"WRITE_REGISTER_{width}", $"p{letter}", Irql.High, a => Set(a[0], size, a[1]));
            nt.Add($"READ_REGISTER_BUFFER_{width}", "ppu", Irql.High, a => Each(a[1], a[2], size, at => Set(at, size, Get(a[0] + (at - a[1]), size))));
            nt.Add($"WRITE_REGISTER_BUFFER_{width}", "ppu", Irql.High, a => Each(a[1], a[2], size, at => Set(a[0] + (at - a[1]), size, Get(at, size))));
        }
    }

    private ulong ReadPort(ulong port, int size) => machine.Cpu.Platform.ReadPort(machine.Cpu, (ushort)port, size) & (ulong.MaxValue >> (64 - (8 * size)));

    private ulong WritePort(ulong port, int size, ulong value)
    {
        machine.Cpu.Platform.WritePort(machine.Cpu, (ushort)port, size, value);
        return 0;
    }

    private static ulong Each(ulong buffer, ulong count, int size, Func<ulong, ulong> action)
    {
        for (ulong i = 0; i < count; i++) action(buffer + (i * (ulong)size));
        return 0;
    }

    private ulong Get(ulong at, int size) => size switch { 1 => machine.Guest.Byte(at), 2 => machine.Guest.U16(at), _ => machine.Guest.U32(at) };

    private ulong Set(ulong at, int size, ulong value)
    {
        if (size == 1) machine.Guest.SetByte(at, (byte)value);
        else if (size == 2) machine.Guest.SetU16(at, (ushort)value);
        else machine.Guest.SetU32(at, (uint)value);
        return 0;
    }
}
