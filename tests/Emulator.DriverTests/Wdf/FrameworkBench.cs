using System.Reflection.PortableExecutable;
using DeviceModels.Robot.Proseware;
using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Pe;
using Emulator.DriverBench.Pnp;
using Emulator.DriverTests.GuestDrivers;
using Emulator.DriverTests.Native;

namespace Emulator.DriverTests.Wdf;

/// <summary>Programs/framework.c in the bench, over a Proseware robot that it leaves alone.</summary>
internal sealed class FrameworkBench
{
    private static readonly string[] Parts =
        ["framework-entry.c", "framework-functions.c", "framework-dma.c", "framework-deferred.c", "framework-files.c"];

    /// <param name="variant">In which way it is another driver, as the program says; 0 none.</param>
    public FrameworkBench(Machine architecture, int variant = 0)
    {
        Machine = new BenchMachine(architecture);
        Driver = Load(Machine, variant);
        Node = Machine.Plug(slot => new ProsewareRobot(slot), InterruptGrant.Line);
        Node.AddDevice(Driver);
    }

    public BenchMachine Machine { get; }
    public LoadedDriver Driver { get; }
    public DeviceNode Node { get; }

    /// <summary>Loads the driver alone.</summary>
    public static LoadedDriver Load(BenchMachine machine, int variant)
    {
        string path = Build(machine.Machine, variant);
        PeImage image = PeImage.Open(path);
        return machine.Load(image, LinkerMap.Parse(File.ReadAllText(Path.ChangeExtension(path, ".map")), image));
    }

    /// <summary>The callbacks since the last look but those that tell of states, by name.</summary>
    public string[] TakeEvents()
    {
        string[] names = [.. Machine.Framework.Events.Where(e => e.Name != "EvtDevicePnpStateChangeNotification").Select(e => e.Name)];
        Machine.Framework.ClearEvents();
        return names;
    }

    /// <summary>The PnP states entered since the last look: "Started".</summary>
    public string[] TakeStates()
    {
        const string Enter = "enter WdfDevStatePnp";
        string[] states = [.. Machine.Framework.Events.Where(e => e.Detail.StartsWith(Enter, StringComparison.Ordinal)).Select(e => e.Detail[Enter.Length..])];
        Machine.Framework.ClearEvents();
        return states;
    }

    /// <summary>BUFFERED(number) of the program.</summary>
    public static BenchRequest Control(BenchFile file, uint number, int outputLength = 0)
        => file.Control(0x0022_2000 | (number << 2), outputLength: outputLength);

    /// <summary>Has the driver do wrong.</summary>
    public static BenchRequest Fault(BenchFile file, int fault) => file.Control(0x0022_2000, BitConverter.GetBytes(fault), 4);

    public void End()
    {
        Assert.That(Node.Remove(), Is.EqualTo(NtStatus.Success));
        Node.Unplug();
        Machine.Unload(Driver);
    }

    private static string Program(string name) => Path.Combine(TestContext.CurrentContext.TestDirectory, "Programs", name);

    private static string Build(Machine architecture, int variant)
    {
        bool x64 = architecture == System.Reflection.PortableExecutable.Machine.Amd64;
        string target = x64 ? "x86_64-w64-mingw32" : "i686-w64-mingw32";
        string library = Compiler.ImportLibrary($"{target}-dlltool", "WDFLDR.SYS", $"libwdfldr-{architecture}.a",
            x64 ? ["WdfVersionBind", "WdfVersionUnbind", "WdfVersionBindClass"] : ["WdfVersionBind@16", "WdfVersionUnbind@12", "WdfVersionBindClass@12"],
            x64 ? ["-m", "i386:x86-64"] : ["-m", "i386", "-k"]);
        string[] flags = x64 ? ["-D_AMD64_", "-DAMD64"] : ["-D_X86_", "-mno-sse", "-mno-mmx"];
        return Targets.BuildDriver(Targets.CompilerFor(architecture), architecture, "framework.c", $"framework-{architecture}-{variant}", "-O2",
            [.. flags, $"-DVARIANT={variant}", "-D_WIN32_WINNT=0x0601", "-DNTDDI_VERSION=0x06010000", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas",
             "-isystem", $"/usr/{target}/include/ddk", $"-I{Path.Combine(GuestDriverFiles.Repository(), "guest-drivers", "robot", "kmdf")}",
             .. Parts.Select(Program), library,
             "-lntoskrnl", "-lhal"]);
    }
}
