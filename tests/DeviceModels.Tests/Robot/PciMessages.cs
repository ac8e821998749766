using Emulator.Interrupts;
using Emulator.Testing;

namespace DeviceModels.Tests.Robot;

/// <summary>What an operating system does to give a function message interrupts.</summary>
internal static class PciMessages
{
    /// <summary>Programs and enables MSI-X; vector n sends the data 0x40 + n.</summary>
    public static void EnableMsiX(FakePciHost host, int bar, int table, int vectors)
    {
        for (int i = 0; i < vectors; i++)
        {
            host.Bar(bar).Write32(table + (i * 16), 0xfee00000);
            host.Bar(bar).Write32(table + (i * 16) + 4, 0);
            host.Bar(bar).Write32(table + (i * 16) + 8, 0x40u + (uint)i);
            host.Bar(bar).Write32(table + (i * 16) + 12, 0);
        }
        int at = host.FindCapability(0x11);
        Assert.That(at, Is.Not.Zero, "MSI-X capability");
        Assert.That((host.Config.Read16(at + 2) & 0x7ff) + 1, Is.EqualTo(vectors));
        host.Config.Write16(at + 2, 0x8000);
    }

    /// <summary>Enables MSI with as many vectors as the function offers.</summary>
    public static void EnableMsi(FakePciHost host)
    {
        int at = host.FindCapability(0x05);
        Assert.That(at, Is.Not.Zero, "MSI capability");
        int control = host.Config.Read16(at + 2);
        host.Config.Write32(at + 4, 0xfee00000);
        host.Config.Write16(at + ((control & 0x80) != 0 ? 12 : 8), 0x40);
        host.Config.Write16(at + 2, (ushort)(1 | ((control >> 1 & 7) << 4)));
    }

    public static IEnumerable<int> Vectors(FakePciHost host, InterruptKind kind) => host.Messages.Where(m => m.Kind == kind).Select(m => m.Vector);
}
