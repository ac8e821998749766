using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Memory;
using Emulator.DriverBench.Pe;
using Emulator.DriverBench.Pnp;
using Emulator.DriverBench.Wdf;
using Emulator.Nt.Views;
using Emulator.Time;
using Emulator.Turns;

namespace Emulator.DriverBench.Kernel;

/// <summary>
/// A machine that runs NT drivers: memory, one interpreted processor, a clock that moves only when everybody waits, and as much of NT as
/// drivers call. One thread at a time. What a driver does wrong is in <see cref="Findings"/>; what brings the machine down is thrown.
/// </summary>
public sealed partial class BenchMachine
{
    private const long LongestWait = 600_000_000_000;
    private static readonly string[] s_kernelFiles = ["ntoskrnl.exe", "HAL.dll"], s_loaderFiles = ["WDFLDR.SYS"];
    private readonly HostModules _modules;
    private readonly NtServices _services;
    private readonly List<LoadedDriver> _drivers = [];
    private readonly Queue<Action> _work = [];
    private readonly List<Finding> _findings = [];
    private readonly HashSet<string> _pageableTouched = [];
    private readonly MailQueue _mail = new(() => { });
    private readonly RangeAllocator _images;
    private readonly CancellationToken _cancellation;

    /// <param name="machine"><see cref="Machine.Amd64"/> or <see cref="Machine.I386"/>.</param>
    /// <param name="cancellation">Stops whatever runs, with <see cref="OperationCanceledException"/>; the machine is of no further use then.</param>
    public BenchMachine(Machine machine, CancellationToken cancellation = default)
    {
        Machine = machine;
        _cancellation = cancellation;
        Is64Bit = machine == Machine.Amd64;
        Layout = new NtLayout(Is64Bit);
        Space = new AddressSpace(Is64Bit ? AddressWidth.Bits64 : AddressWidth.Bits32);
        ulong nt = Is64Bit ? 0xFFFF_F800_0000_0000 : 0x8040_0000;
        Faults = new FaultInjection(this);
        _modules = new HostModules(this, nt);
        Cpu = new Interpreter(Space, Is64Bit ? CpuMode.X64 : CpuMode.X86, _modules, new Platform(this), Symbols);
        _services = _modules.Add("nt", s_kernelFiles);
        NtServices bus = _modules.Add("pci"), loader = _modules.Add("WDFLDR", s_loaderFiles), framework = _modules.Add("Wdf01000");
        _images = Range(0xFFFF_F880_0000_0000, 0xF000_0000, 0x0400_0000);
        Kernel = Range(0xFFFF_FA80_0000_0000, 0x8100_0000, 0x1000_0000);
        User = Range(0x0000_0210_0000_0000, 0x0040_0000, 0x1000_0000);
        IoSpace = Range(0xFFFF_F900_0000_0000, 0xA000_0000, 0x1000_0000);
        Guest = new GuestMemory(Space, Layout, Crash, Refused);
        Exceptions = new ExceptionServices(this);
        Space.PageableTouched += address => OnPageableTouched(address, Cpu!.CurrentInstruction);
        Cpu.State.Rsp = AllocateStack();
        Modules = new ModuleList(this);
        Space.MapMmio(SharedDataAddress, SharedUserData.Length, new SharedUserData(this), "KUSER_SHARED_DATA");
        Threads = new ThreadServices(this);
        Time = new TimerServices(this);
        Dispatcher = new DispatcherServices(this);
        Queues = new QueueServices(this);
        Objects = new ObjectServices(this);
        Mdls = new MdlServices(this);
        Registry = new RegistryServices(this);
        Memory = new MemoryServices(this);
        Synchronization = new SynchronizationServices(this);
        Interrupts = new InterruptServices(this);
        Io = new IoServices(this);
        Names = new NameServices(this);
        Dma = new DmaServices(this);
        Memory.AddTo(_services);
        Exceptions.AddTo(_services);
        Synchronization.AddTo(_services);
        Interrupts.AddTo(_services);
        Io.AddTo(_services);
        Names.AddTo(_services);
        Threads.AddTo(_services);
        Time.AddTo(_services);
        Dispatcher.AddTo(_services);
        Queues.AddTo(_services);
        Objects.AddTo(_services);
        Mdls.AddTo(_services);
        Registry.AddTo(_services);
        new ImageServices(this).AddTo(_services);
        new SystemServices(this).AddTo(_services);
        new CancelSafeQueues(this).AddTo(_services);
        new HalServices(this).AddTo(_services);
        new PortServices(this).AddTo(_services);
        new InterlockedServices(this).AddTo(_services);
        new StringServices(this).AddTo(_services);
        Dma.AddTo(_services);
        Bus = new PciBusDriver(this);
        Bus.AddTo(bus);
        _modules.List(Modules);
        Nodes = new NodeTree(this);
        Bus.Initialize(bus);
        Framework = new KmdfFramework(this, loader, framework);
        var source = new NtSource(this);
        Viewer = new NtViewer(source, Layout.Objects, source, DriverObjects());
        Space.CodeChanged += () => CodeGeneration++;
        cancellation.Register(Cpu.RequestAttention);
    }

    public Machine Machine { get; }
    public bool Is64Bit { get; }
    public NtLayout Layout { get; }
    public AddressSpace Space { get; }
    public SymbolTable Symbols { get; } = new();
    public Interpreter Cpu { get; }

    /// <summary>Virtual time: advances while everybody waits, and when a driver stalls.</summary>
    public IDeviceClock Clock => Timers;

    /// <summary>What devices reach by DMA.</summary>
    public PhysicalMemory Ram { get; } = new(4 << 20);

    /// <summary>The drivers in memory, in the order of their loading.</summary>
    public IReadOnlyList<LoadedDriver> Drivers => _drivers;

    /// <summary>Every rule broken so far.</summary>
    public IReadOnlyList<Finding> Findings => _findings;

    /// <summary>Faults to be made on purpose.</summary>
    public FaultInjection Faults { get; }

    /// <summary>What drivers printed with DbgPrint.</summary>
    public List<string> Printed { get; } = [];

    /// <summary>The framework of KMDF drivers.</summary>
    public KmdfFramework Framework { get; }

    /// <summary>0 passive, 2 dispatch, 8 the devices'.</summary>
    public byte CurrentIrql { get; internal set; }

    /// <summary>The interrupts and DPCs delivered so far.</summary>
    public int InterruptsDelivered => Interrupts.Delivered;

    /// <inheritdoc cref="InterruptsDelivered"/>
    public int DpcsDelivered => Interrupts.DpcsDelivered;

    /// <summary>What a debugger shows of this machine: drivers, stacks and device nodes, read from its memory.</summary>
    public NtViewer Viewer { get; }

    /// <summary>The root of the tree of device nodes (DEVICE_NODE).</summary>
    public ulong RootNode => Nodes.Root;

    internal TimerQueue Timers { get; } = new();
    internal MailQueue Mail => _mail;
    internal GuestMemory Guest { get; }
    internal RangeAllocator Kernel { get; }

    /// <summary>Where programs have their memory.</summary>
    internal RangeAllocator User { get; }
    internal RangeAllocator IoSpace { get; }
    internal MemoryServices Memory { get; }
    internal SynchronizationServices Synchronization { get; }
    internal InterruptServices Interrupts { get; }
    internal IoServices Io { get; }
    internal NameServices Names { get; }
    internal ThreadServices Threads { get; }
    internal ExceptionServices Exceptions { get; }

    /// <summary>Of KUSER_SHARED_DATA.</summary>
    internal ulong SharedDataAddress => Is64Bit ? 0xFFFF_F780_0000_0000 : 0xFFDF_0000;
    internal TimerServices Time { get; }
    internal DispatcherServices Dispatcher { get; }
    internal QueueServices Queues { get; }
    internal ObjectServices Objects { get; }
    internal MdlServices Mdls { get; }
    internal RegistryServices Registry { get; }
    internal DmaServices Dma { get; }
    internal PciBusDriver Bus { get; }
    internal NodeTree Nodes { get; }
    internal ModuleList Modules { get; }

    /// <summary>Counts how often other code came to stand somewhere.</summary>
    internal int CodeGeneration { get; private set; }

    /// <summary>Whether the bench itself is what drivers import from under a file's name: "ntoskrnl.exe", "WDFLDR.SYS".</summary>
    public static bool Provides(string file)
        => s_kernelFiles.Concat(s_loaderFiles).Contains(file, StringComparer.OrdinalIgnoreCase);

    /// <summary>The address of a function of NT, as a debugger shows it: "IopInvalidDeviceRequest". Null when the bench lacks it.</summary>
    public ulong? AddressOf(string ntFunction) => _services.Find(ntFunction);

    /// <summary>Takes a function of NT away, as in a version that does not have it yet: no driver finds or imports it from now on.</summary>
    /// <exception cref="ArgumentException">The bench has no such function.</exception>
    public void Lack(string ntFunction)
    {
        if (!_services.Remove(ntFunction)) throw new ArgumentException($"The bench's NT has no {ntFunction}.", nameof(ntFunction));
    }

    /// <summary>
    /// Loads a driver as NT does. An export driver gets no DRIVER_OBJECT and no call but DllInitialize, where it has one; it is loaded before
    /// those that import from it. What a driver imports of NT and the bench lacks (<see cref="LoadedDriver.Missing"/>) ends the run when it is
    /// needed, with <see cref="MissingFunctionException"/>.
    /// </summary>
    /// <param name="image">The file.</param>
    /// <param name="map">Names for its functions, or null.</param>
    /// <param name="isExportDriver">It is loaded for others to import from. Without DllInitialize nothing in the file says so.</param>
    /// <param name="mapped">Sees it in memory, before any of its code runs.</param>
    /// <exception cref="PeException">It is no driver for this machine, or a module it imports from is not there: the message says what.</exception>
    /// <exception cref="BugCheckException">It crashed.</exception>
    /// <exception cref="DriverStatusException">DriverEntry failed; the image is gone again.</exception>
    public LoadedDriver Load(PeImage image, LinkerMap? map = null, bool isExportDriver = false, Action<LoadedDriver>? mapped = null)
    {
        ArgumentNullException.ThrowIfNull(image);
        image.CheckDriver(Machine);
        ulong address = _images.Reserve(image.SizeOfImage);
        var used = new HashSet<LoadedDriver>();
        var missing = new List<PeImport>();
        LoadedImage loaded;
        try
        {
            loaded = image.Load(Space, address, import => Resolve(import, used, missing));
        }
        catch (PeException)
        {
            _images.Release(address, image.SizeOfImage);
            throw;
        }
        loaded.AddTo(Symbols, map);
        var driver = new LoadedDriver(this, loaded, [.. used], isExportDriver || image.IsExportDriver) { Missing = missing };
        _drivers.Add(driver);
        mapped?.Invoke(driver);
        uint status = driver.Initialize();
        if (NtStatus.IsSuccess(status)) return driver;
        Discard(driver);
        throw new DriverStatusException($"{image.Name}: DriverEntry failed with status 0x{status:x8}.", status);
    }

    /// <summary>
    /// Calls DriverUnload, looks for what the driver left behind, and takes the image away, with the export drivers that nobody uses any more
    /// and that have a DllUnload.
    /// </summary>
    /// <exception cref="InvalidOperationException">It cannot be unloaded (<see cref="LoadedDriver.HasUnload"/>), or other drivers import from it.</exception>
    public void Unload(LoadedDriver driver)
    {
        ArgumentNullException.ThrowIfNull(driver);
        if (_drivers.Any(other => other.Uses.Contains(driver))) throw new InvalidOperationException($"{driver.Name} is still imported from.");
        driver.CallUnload();
        Discard(driver);
        foreach (LoadedDriver used in driver.Uses)
        {
            if (used is { IsExportDriver: true, HasUnload: true } && _drivers.Contains(used) && !_drivers.Any(other => other.Uses.Contains(used))) Unload(used);
        }
    }

    /// <summary>How many functions can be plugged in at the same time.</summary>
    public const int MostDevices = PciBusDriver.MostSlots;

    /// <summary>Plugs a function in; the bus driver makes its physical device object.</summary>
    /// <param name="create">Constructs the model on the slot it is given.</param>
    /// <param name="interrupts">What the bus driver grants it.</param>
    public DeviceNode Plug(Func<Emulator.Pci.PciSlot, Emulator.Pci.PciFunction> create, InterruptGrant interrupts = InterruptGrant.Messages)
    {
        ArgumentNullException.ThrowIfNull(create);
        return Bus.Plug(create, interrupts);
    }

    /// <summary>Opens a device by its name, as a program does.</summary>
    /// <param name="name">@"\\.\AfterThought", @"\Device\AfterThought", or the name of an enabled device interface.</param>
    /// <exception cref="DriverStatusException">Nothing has that name, or it did not let itself be opened.</exception>
    public BenchFile Open(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        ulong device = Names.DeviceOf(name);
        if (device == 0) throw new DriverStatusException($"{name}: nothing has that name.", NtStatus.ObjectNameNotFound);
        return BenchFile.Open(this, device);
    }

    /// <summary>Lets the machine run until a condition holds: interrupts, DPCs, work, then time.</summary>
    /// <param name="condition">Looked at between steps.</param>
    /// <param name="limit">Virtual time, in nanoseconds.</param>
    /// <returns>Whether it came to hold.</returns>
    public bool RunUntil(Func<bool> condition, long limit = LongestWait)
    {
        ArgumentNullException.ThrowIfNull(condition);
        long end = limit > long.MaxValue - Timers.Now ? long.MaxValue : Timers.Now + limit;
        while (!condition())
        {
            _cancellation.ThrowIfCancellationRequested();
            if (Interrupts.Deliver()) continue;
            if (_work.TryDequeue(out Action? work)) { work(); continue; }
            if (_mail.Deliver() > 0) continue;
            if (Threads.RunOther(condition, end)) continue;
            if (Timers.Now >= end) return condition();
            long until = Math.Min(end, Threads.NextEnd);
            if (!StepTo(until) && until == end) return condition();
        }
        return true;
    }

    /// <summary>Moves the time of NT and of all devices to the next timer of theirs, at most to the limit. False when there is none.</summary>
    private bool StepTo(long limit)
    {
        TimerQueue next = Timers;
        foreach (BenchSlot slot in Bus.Slots)
        {
            if (slot.Timers.NextDeadline < next.NextDeadline) next = slot.Timers;
        }
        long now = Math.Min(next.NextDeadline, limit);
        Timers.SetNow(now);
        foreach (BenchSlot slot in Bus.Slots) slot.Timers.SetNow(now);
        return next.StepTo(limit);
    }

    /// <summary>A driver keeps the processor busy: devices go on, in nanoseconds, and what they want waits for the IRQL.</summary>
    internal void Stall(long nanoseconds)
    {
        long end = Timers.Now + nanoseconds;
        while (_mail.Deliver() > 0 || StepTo(end))
        {
        }
        Cpu.RequestAttention();
    }

    /// <summary>Lets virtual time pass, in nanoseconds.</summary>
    public void Advance(long nanoseconds) => RunUntil(() => false, nanoseconds);

    internal void Queue(Action work) => _work.Enqueue(work);

    private ulong? Resolve(PeImport import, HashSet<LoadedDriver> used, List<PeImport> missing)
    {
        if (_modules.TryResolve(import, missing, out ulong? function)) return function;
        if (import.Name is not { } name) return null;
        LoadedDriver? driver = _drivers.Find(d => d.Image.Image.Name.Equals(import.Module, StringComparison.OrdinalIgnoreCase));
        if (driver?.Image.AddressOf(name) is not { } address) return null;
        used.Add(driver);
        return address;
    }

    private void Discard(LoadedDriver driver)
    {
        Framework.CheckLeaks(driver);
        Memory.CheckLeaks(driver);
        Threads.CheckLeaks(driver.Image);
        Time.CheckLeaks(driver.Image);
        Interrupts.CheckLeaks(driver.Image);
        Mdls.CheckLeaks(driver.Image);
        Objects.Forget(driver.Object);
        Io.CheckLeaks(driver);
        Names.CheckLeaks(driver);
        _drivers.Remove(driver);
        driver.FreeObjects();
        Symbols.RemoveModule(driver.Image.Base);
        driver.Image.Unload();
        _images.Release(driver.Image.Base, driver.Image.Region.Length);
    }

    private IEnumerable<ulong> DriverObjects()
    {
        yield return Nodes.Driver;
        yield return Bus.Driver;
        foreach (LoadedDriver driver in _drivers)
        {
            if (driver.Object != 0) yield return driver.Object;
        }
    }

    private RangeAllocator Range(ulong x64, ulong x86, ulong length)
    {
        ulong start = Is64Bit ? x64 : x86;
        return new RangeAllocator(Space, start, start + length);
    }

    private sealed class Platform(BenchMachine machine) : CpuPlatform
    {
        public override ulong ReadTaskPriority(Interpreter cpu) => machine.CurrentIrql;

        public override void WriteTaskPriority(Interpreter cpu, ulong value)
        {
            machine.CurrentIrql = (byte)(value & 15);
            cpu.RequestAttention();
        }

        public override ulong ReadPort(Interpreter cpu, ushort port, int size)
            => machine.Bus.FindPort(port) is { } found ? found.Slot.ReadRegister(found.Bar, found.Offset, size) : base.ReadPort(cpu, port, size);

        public override void WritePort(Interpreter cpu, ushort port, int size, ulong value)
        {
            if (machine.Bus.FindPort(port) is { } found) found.Slot.WriteRegister(found.Bar, found.Offset, size, value);
        }

        public override void EnteringPageable(Interpreter cpu, ulong address) => machine.OnPageableTouched(address, address);

        public override bool TryHandleFault(Interpreter cpu, in RunOutcome fault) => machine.Exceptions.TryHandle(fault);

        public override bool OnAttention(Interpreter cpu)
        {
            machine._cancellation.ThrowIfCancellationRequested();
            if (cpu.State.InterruptsEnabled)
            {
                while (machine.Interrupts.Deliver())
                {
                }
            }
            return true;
        }
    }
}

/// <summary>A driver's own routine answered with a failure.</summary>
public sealed class DriverStatusException(string message, uint status) : Exception(message)
{
    public uint Status { get; } = status;
}
