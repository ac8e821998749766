using Emulator.DriverBench.Kernel;
using Emulator.DriverBench.Memory;

namespace Emulator.DriverBench.Wdf;

/// <summary>Why the framework stops the machine: the first parameter of bug check 0x10D, WDF_VIOLATION (wdfbugcodes.h).</summary>
internal enum WdfViolation
{
    RecursiveLock = 2,
    VerifierFatalError = 3,
    RequiredParameterIsNull = 4,
    InvalidHandle = 5,
    RequestFatalError = 6,
    ObjectError = 7,
    InvalidInterrupt = 9,
    QueueFatalError = 0xA,
    InvalidLockOperation = 0xB,
    PnpFatalError = 0xC,
    PowerMultiplePpo = 0xD,
}

/// <summary>
/// As much of the Kernel-Mode Driver Framework (Wdf01000.sys with WDFLDR.SYS, 1.33) as function drivers of a PCI device need: objects,
/// queues, requests, files, interrupts, DMA memory, timers, work items, and the PnP and power machines that call the driver.
/// A function it lacks stops the machine and says so.
/// </summary>
public sealed class KmdfFramework
{
    private readonly List<FrameworkEvent> _events = [];
    private readonly Dictionary<ulong, FxClient> _clients = [];

    internal KmdfFramework(BenchMachine machine, NtServices loader, NtServices library)
    {
        (Machine, Library) = (machine, library);
        Handles = new HandleTable(this);
        var table = new FunctionTable(this, library);
        new WdfLoader(this, table).AddTo(loader);
        new ObjectFunctions(this).AddTo(table);
        new LockFunctions(this).AddTo(table);
        new DriverFunctions(this).AddTo(table);
        new DeviceFunctions(this).AddTo(table);
        new QueueFunctions(this).AddTo(table);
        new RequestFunctions(this).AddTo(table);
        new InterruptFunctions(this).AddTo(table);
        new DmaFunctions(this).AddTo(table);
        new DeferredFunctions(this).AddTo(table);
        new FileFunctions(this).AddTo(table);
        table.Seal();
        FxDriver.AddTo(this, library);
        FxDevice.AddTo(this, library);
        FxInterrupt.AddTo(this, library);
        FxRequest.AddTo(this, library);
        FxTimer.AddTo(this, library);
        FxWorkItem.AddTo(this, library);
        DeviceFiles.AddTo(this, library);
    }

    /// <summary>The callbacks of drivers that were called, in the order of the calls.</summary>
    public IReadOnlyList<FrameworkEvent> Events => _events;

    /// <summary>Forgets what is in <see cref="Events"/>.</summary>
    public void ClearEvents() => _events.Clear();

    internal BenchMachine Machine { get; }
    internal NtServices Library { get; }
    internal HandleTable Handles { get; }

    /// <summary>The documented function that a driver is calling now.</summary>
    internal string Function { get; set; } = "";

    /// <summary>FxDevices by their DEVICE_OBJECT, requests that can be cancelled by their IRP, and what devices are made from by its handle.</summary>
    internal Dictionary<ulong, FxDevice> Devices { get; } = [];
    internal Dictionary<ulong, FxRequest> Cancelable { get; } = [];
    internal Dictionary<ulong, DeviceInit> Inits { get; } = [];

    /// <summary>The drivers that are bound, by their DRIVER_OBJECT.</summary>
    internal Dictionary<ulong, FxDriver> Drivers { get; } = [];

    /// <exception cref="BugCheckException">There is none of this handle.</exception>
    internal DeviceInit FindInit(ulong handle) => Inits.GetValueOrDefault(NotNull(handle, "DeviceInit"))
        ?? throw Violation(WdfViolation.InvalidHandle, $"{Function} with 0x{handle:x}, which is no WDFDEVICE_INIT, or one of a device that is made already");

    /// <summary>The address of one of the framework's own functions: "FxDevice::DispatchWithLock".</summary>
    internal ulong AddressOf(string function) => Library.Find(function)!.Value;

    internal void Bind(FxClient client) => _clients.Add(client.Globals, client);

    internal FxClient? FindClient(ulong globals) => _clients.GetValueOrDefault(globals);

    /// <summary>WdfVersionUnbind: what the driver still has is left behind.</summary>
    internal void Unbind(FxClient client)
    {
        client.Driver?.Delete();
        foreach (FxObject left in Handles.Of(client))
        {
            Machine.Report(Rule.Leak, $"{client.Name} is unloaded and leaves {left}");
            Handles.Forget(left);
        }
        _clients.Remove(client.Globals);
        Machine.FreeKernel(client.Globals, "WDF_DRIVER_GLOBALS");
    }

    /// <summary>A driver is gone from memory: it must have unbound.</summary>
    internal void CheckLeaks(LoadedDriver driver)
    {
        foreach (FxClient client in _clients.Values.Where(c => c.DriverObject == driver.Object).ToList())
        {
            Machine.Report(Rule.Leak, $"{client.Name} is unloaded without WdfVersionUnbind");
            Unbind(client);
        }
    }

    /// <summary>Calls a callback that gives nothing back, if the driver has it.</summary>
    internal void Raise(FxClient client, string name, string detail, ulong routine, params ReadOnlySpan<ulong> arguments)
    {
        if (routine != 0) Invoke(client, name, detail, routine, arguments, out _);
    }

    /// <summary>The same, kept apart from the other callbacks of a device or queue where the driver asked for that.</summary>
    /// <param name="callbackLock">Null: it may come at the same time as they do.</param>
    internal void Raise(CallbackLock? callbackLock, FxClient client, string name, string detail, ulong routine, params ulong[] arguments)
    {
        if (callbackLock is null) Raise(client, name, detail, routine, arguments);
        else callbackLock.Run(() => Raise(client, name, detail, routine, arguments));
    }

    /// <summary>Calls a callback and gives its NTSTATUS: success when the driver has none.</summary>
    internal uint Ask(FxClient client, string name, string detail, ulong routine, params ReadOnlySpan<ulong> arguments)
    {
        if (routine == 0) return NtStatus.Success;
        uint status = (uint)Invoke(client, name, detail, routine, arguments, out FrameworkEvent entry);
        entry.Status = status;
        if (status is NtStatus.Pending or NtStatus.NotSupported) Machine.ReportAt(Rule.Framework, $"{name} returned 0x{status:x8}, which it may not", routine);
        return status;
    }

    /// <summary>Calls a callback and gives what it returned.</summary>
    internal ulong Invoke(FxClient client, string name, string detail, ulong routine, ReadOnlySpan<ulong> arguments, out FrameworkEvent entry)
    {
        entry = new FrameworkEvent(client.Name, name, detail);
        _events.Add(entry);
        string function = Function;
        ulong result = Machine.Call(routine, arguments);
        Function = function;
        return result;
    }

    /// <summary>Bug check 0x10D.</summary>
    internal BugCheckException Violation(WdfViolation code, string text) => Machine.Crash($"WDF_VIOLATION 0x10d ({(int)code}, {code}): {text}");

    /// <summary>A parameter that may not be NULL.</summary>
    internal ulong NotNull(ulong pointer, string parameter)
        => pointer != 0 ? pointer : throw Violation(WdfViolation.RequiredParameterIsNull, $"{Function} with NULL for {parameter}");

    /// <summary>A structure whose Size the framework does not know: what every function answers to it.</summary>
    internal uint WrongSize(string structure, uint size, uint expected)
    {
        Machine.Report(Rule.Framework, $"{Function} with a {structure} of Size 0x{size:x}, which is 0x{expected:x}");
        return NtStatus.InfoLengthMismatch;
    }

    /// <summary>Runs something at another IRQL.</summary>
    internal T AtIrql<T>(byte irql, Func<T> run)
    {
        byte old = Machine.CurrentIrql;
        Machine.CurrentIrql = Math.Max(irql, old);
        T result = run();
        Machine.CurrentIrql = old;
        Machine.Cpu.RequestAttention();
        return result;
    }
}

/// <summary>A driver that is bound to the framework.</summary>
/// <param name="minor">The framework's minor version that it was built for.</param>
internal sealed class FxClient(ulong globals, ulong driverObject, string name, uint minor)
{
    /// <summary>Its WDF_DRIVER_GLOBALS.</summary>
    public ulong Globals { get; } = globals;
    public ulong DriverObject { get; } = driverObject;
    public string Name { get; } = name;

    /// <summary>Built for this minor version of the framework's or a later one.</summary>
    public bool IsBuiltFor(uint version) => minor >= version;

    /// <summary>From WdfDriverCreate on.</summary>
    public FxDriver? Driver { get; set; }
}
