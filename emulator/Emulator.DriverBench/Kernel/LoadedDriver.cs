using Emulator.DriverBench.Pe;

namespace Emulator.DriverBench.Kernel;

/// <summary>A driver in memory, with its DRIVER_OBJECT unless it is an export driver.</summary>
public sealed class LoadedDriver
{
    private readonly BenchMachine _machine;
    private readonly List<ulong> _blocks = [];
    private readonly ulong _section;

    internal LoadedDriver(BenchMachine machine, LoadedImage image, IReadOnlyList<LoadedDriver> uses, bool isExportDriver)
    {
        (_machine, Image, Uses, IsExportDriver) = (machine, image, uses, isExportDriver);
        _section = machine.Modules.Add(image.Image.Name, DriverFolder, image.Base, image.Size, image.EntryPoint);
    }

    /// <summary>Where NT keeps drivers.</summary>
    internal const string DriverFolder = @"\SystemRoot\System32\drivers\";

    public LoadedImage Image { get; }

    /// <summary>"ProsewareRobot".</summary>
    public string Name => Image.ModuleName;

    /// <summary>It was loaded for others to import from.</summary>
    public bool IsExportDriver { get; }

    /// <summary>The drivers it imports from.</summary>
    public IReadOnlyList<LoadedDriver> Uses { get; }

    /// <summary>What it imports of NT and the bench lacks. The run ends when it is needed.</summary>
    public IReadOnlyList<PeImport> Missing { get; internal init; } = [];

    /// <summary>Of the DRIVER_OBJECT; 0 for an export driver.</summary>
    public ulong Object { get; private set; }

    /// <summary>DriverInit: the image's entry point.</summary>
    public ulong DriverInit => Field(_machine.Layout.DriverInit);
    public ulong StartIo => Field(_machine.Layout.DriverStartIo);
    public ulong UnloadRoutine => Field(_machine.Layout.DriverUnload);

    /// <summary>Whether it can be unloaded: it has a DriverUnload, or as an export driver a DllUnload. Without, NT keeps it.</summary>
    public bool HasUnload => IsExportDriver ? Image.AddressOf("DllUnload") is not null : UnloadRoutine != 0;
    public ulong AddDevice => _machine.Guest.Pointer(Field(_machine.Layout.DriverExtension) + (ulong)_machine.Layout.ExtensionAddDevice);

    /// <summary>Its device objects, newest first.</summary>
    public IEnumerable<ulong> Devices => _machine.Guest.Chain(Field(_machine.Layout.DriverDevice), (ulong)_machine.Layout.DeviceNext);

    /// <summary>The names of its device objects that have one, oldest first: "\Device\AfterThought".</summary>
    public IReadOnlyList<string> DeviceNames => [.. Devices.Select(_machine.Io.NameOf).Where(name => name.Length > 0).Reverse()];

    /// <summary>An entry of the dispatch table, 0 to 27.</summary>
    public ulong MajorFunction(int index)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)index, (uint)NtLayout.MajorFunctions);
        return Field(_machine.Layout.DriverMajor + (index * _machine.Layout.Pointer));
    }

    /// <summary>Makes a DRIVER_OBJECT as IopLoadDriver does.</summary>
    /// <param name="section">Its entry in the list of modules; 0 for a driver inside the kernel, whose start and size are 0, too.</param>
    internal static ulong CreateObject(
        BenchMachine machine, string name, ulong section, ulong start, uint size, ulong entry, Func<int, string, ulong> allocate)
    {
        (NtLayout layout, GuestMemory guest) = (machine.Layout, machine.Guest);
        ulong driver = allocate(layout.DriverSize + layout.ExtensionSize, $"DRIVER_OBJECT {name}");
        ulong extension = driver + (ulong)layout.DriverSize;
        guest.SetU16(driver, 4);
        guest.SetU16(driver + 2, (ushort)layout.DriverSize);
        // DRVO_LEGACY_DRIVER (2) off, DRVO_INITIALIZED (0x10) on.
        guest.SetU32(driver + (ulong)layout.DriverFlags, 0x10);
        guest.SetPointer(driver + (ulong)layout.DriverStart, start);
        guest.SetU32(driver + (ulong)layout.DriverImageSize, size);
        guest.SetPointer(driver + (ulong)layout.DriverExtension, extension);
        guest.SetPointer(driver + (ulong)layout.DriverInit, entry);
        guest.SetPointer(extension, driver);
        SetString(driver + (ulong)layout.DriverName, $@"\Driver\{name}");
        SetString(extension + (ulong)layout.ExtensionServiceKey, name);
        guest.SetPointer(driver + (ulong)layout.DriverSection, section);
        ulong invalid = machine.AddressOf("IopInvalidDeviceRequest")!.Value;
        for (int i = 0; i < NtLayout.MajorFunctions; i++) guest.SetPointer(driver + (ulong)(layout.DriverMajor + (i * layout.Pointer)), invalid);
        return driver;

        void SetString(ulong at, string text) => guest.SetUnicodeString(at, allocate((text.Length * 2) + 2, "name"), text);
    }

    internal uint Initialize()
    {
        string path = $@"\REGISTRY\MACHINE\SYSTEM\ControlSet001\Services\{Name}";
        ulong registry = Allocate(_machine.Layout.StringSize, "RegistryPath");
        _machine.Guest.SetUnicodeString(registry, Allocate((path.Length * 2) + 2, "RegistryPath"), path);
        if (IsExportDriver) return Image.AddressOf("DllInitialize") is { } initialize ? (uint)_machine.Call(initialize, registry) : NtStatus.Success;
        Object = CreateObject(_machine, Name, _section, Image.Base, Image.Size, Image.EntryPoint, Allocate);
        uint status = (uint)_machine.Call(Image.EntryPoint, Object, registry);
        Image.DiscardInitialization();
        if (NtStatus.IsSuccess(status)) MakeReady();
        return status;
    }

    // IopReadyDeviceObjects: what DriverEntry made can be opened from now on. Without AddDevice it is DRVO_LEGACY_DRIVER.
    private void MakeReady()
    {
        (NtLayout layout, GuestMemory guest) = (_machine.Layout, _machine.Guest);
        foreach (ulong device in Devices)
        {
            ulong flags = device + (ulong)layout.DeviceFlags;
            guest.SetU32(flags, guest.U32(flags) & ~0x80u);
        }
        ulong own = Object + (ulong)layout.DriverFlags;
        if (AddDevice == 0) guest.SetU32(own, guest.U32(own) | 2);
    }

    internal void CallUnload()
    {
        if (IsExportDriver)
        {
            if (Image.AddressOf("DllUnload") is not { } unload) throw new InvalidOperationException($"{Name} has no DllUnload.");
            _machine.Call(unload);
            return;
        }
        if (UnloadRoutine == 0) throw new InvalidOperationException($"{Name} has no DriverUnload.");
        _machine.Call(UnloadRoutine, Object);
        foreach (ulong device in Devices) _machine.ReportAt(Rule.Leak, $"{Name} is unloaded and leaves the device object 0x{device:x}", UnloadRoutine);
    }

    internal void FreeObjects()
    {
        _machine.Modules.Remove(_section);
        foreach (ulong block in _blocks) _machine.FreeKernel(block, $"object of {Name}");
    }

    private ulong Field(int offset) => Object == 0 ? 0 : _machine.Guest.Pointer(Object + (ulong)offset);

    private ulong Allocate(int size, string name)
    {
        ulong address = _machine.AllocateKernel(size, name);
        _blocks.Add(address);
        return address;
    }
}
