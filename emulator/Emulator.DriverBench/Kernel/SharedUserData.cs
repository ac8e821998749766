using System.Buffers.Binary;
using Emulator.DriverBench.Memory;

namespace Emulator.DriverBench.Kernel;

/// <summary>KUSER_SHARED_DATA, where inlined functions read the time and the version; what else is in it reads 0.</summary>
internal sealed class SharedUserData(BenchMachine machine) : IMmioHandler
{
    public const ulong Length = 0x400;

    public ulong Read(ulong offset, int size)
    {
        Span<byte> page = stackalloc byte[(int)Length];
        long now = machine.Timers.Now, ticks = now / 15_625_000;
        BinaryPrimitives.WriteUInt32LittleEndian(page, (uint)ticks);
        // TickCountMultiplier: milliseconds of a tick, shifted by 24.
        BinaryPrimitives.WriteUInt32LittleEndian(page[4..], 0x0FA0_0000);
        Put(page[8..], now / 100);
        Put(page[0x14..], machine.Time.SystemTime);
        BinaryPrimitives.WriteUInt32LittleEndian(page[0x26C..], machine.Is64Bit ? 6u : 5);
        BinaryPrimitives.WriteUInt32LittleEndian(page[0x270..], machine.Is64Bit ? 1u : 2);
        Put(page[0x320..], ticks);
        ulong value = 0;
        for (int i = 0; i < size; i++) value |= (ulong)page[(int)offset + i] << (8 * i);
        return value;
    }

    public void Write(ulong offset, int size, ulong value)
        => machine.Report(Rule.Crash, $"a write to KUSER_SHARED_DATA+0x{offset:x}, which nobody may change");

    /// <summary>KSYSTEM_TIME: the low half, and the high half twice.</summary>
    private static void Put(Span<byte> target, long time)
    {
        BinaryPrimitives.WriteInt64LittleEndian(target, time);
        BinaryPrimitives.WriteUInt32LittleEndian(target[8..], (uint)(time >> 32));
    }
}
