using Emulator.Nt;
using Emulator.Nt.Views;

namespace Emulator.Tests.Nt;

/// <summary>The text's robot: AfterThought's filter DO on the FDO of (ProsewareRobot, GeneralRobot) on pci's PDO, as its figure shows them.</summary>
internal sealed class RobotWorld
{
    public FakeNt Memory { get; }

    public FakeSymbols Symbols { get; } = new();

    public NtViewer Viewer { get; }

    public ulong Pci { get; }

    public ulong Proseware { get; }

    public ulong AfterThought { get; }

    public ulong Pdo { get; }

    public ulong Fdo { get; }

    public ulong Filter { get; }

    public ulong Root { get; }

    public ulong Node { get; }

    public RobotWorld(bool is64, string service = "ProsewareRobot", bool reactOs = false)
    {
        Memory = new FakeNt(is64);
        ulong kernel = Module(0x01800000, "nt"), pci = Module(0x02000000, "pci"), proseware = Module(0x04000000, "ProsewareRobot"),
            general = Module(0x05000000, "GeneralRobot"), after = Module(0x06000000, "AfterThought");
        ulong invalid = Symbols.Add(kernel + 0x2340, "nt!IopInvalidDeviceRequest");
        ulong pool = is64 ? 0xfffffa80_01000000 : 0x81000000;
        ulong[] robot = [.. Enumerable.Repeat(invalid, 28)];
        foreach (int code in (int[])[0x00, 0x02, 0x03, 0x04, 0x0e, 0x0f, 0x12, 0x16, 0x17, 0x1b]) robot[code] = general + 0x1000 + (ulong)code * 16;
        ulong[] passing = [.. Enumerable.Repeat(after + 0x1000, 28)];
        passing[0x1b] = after + 0x1100;
        Pci = Memory.AddDriver(pool + 0x1000, @"\Driver\pci", pci, pci + 0x100, addDevice: pci + 0x200, entries: [.. Enumerable.Repeat(pci + 0x300, 28)]);
        Proseware = Memory.AddDriver(pool + 0x2000, @"\Driver\ProsewareRobot", proseware, Symbols.Add(proseware + 0x5000, "ProsewareRobot!GsDriverEntry"),
            unload: general + 0x40, addDevice: general + 0x80, entries: robot);
        AfterThought = Memory.AddDriver(pool + 0x3000, @"\Driver\AfterThought", after, after + 0x100, addDevice: after + 0x200, entries: passing);
        ulong rootPdo = Memory.AddDevice(pool + 0x4000, Pci);
        Pdo = Memory.AddDevice(pool + 0x5000, Pci, name: "NTPNP_PCI0007");
        Fdo = Memory.AddDevice(pool + 0x6000, Proseware, Pdo);
        Filter = Memory.AddDevice(pool + 0x7000, AfterThought, Fdo);
        Root = Memory.AddNode(pool + 0x8000, 0, rootPdo, @"HTREE\ROOT\0", "", 0x308, reactOs);
        Node = Memory.AddNode(pool + 0x9000, Root, Pdo, @"PCI\VEN_1234&DEV_5057\3&11583659&0&20", service, 0x308, reactOs);
        Memory.AddNode(pool + 0xa000, Root, 0, @"PCI\VEN_1234&DEV_434F\3&11583659&0&28", "", 0x302, reactOs);
        Viewer = new NtViewer(Memory, is64 ? NtLayout.Windows10 : reactOs ? NtLayout.ReactOs : NtLayout.X86, Symbols, [Pci, Proseware, AfterThought]);

        ulong Module(ulong low, string name)
        {
            ulong start = is64 ? 0xfffff800_00000000 + low : 0xf0000000 + low;
            Symbols.AddModule(start, name);
            return start;
        }
    }
}
