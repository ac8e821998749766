using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Pe;

namespace Emulator.DriverBench.Kernel;

/// <summary>The modules that the bench has itself: NT, the bus driver, the driver framework. Each has an address range and a name of its own.</summary>
internal sealed class HostModules(BenchMachine machine, ulong start) : IHostCalls
{
    private const ulong Spacing = 0x10_0000;
    private readonly List<NtServices> _modules = [];

    /// <summary>The call being answered: behind it the driver goes on. 0 outside.</summary>
    public ulong Caller { get; set; }

    /// <param name="name">As a debugger calls it: "nt".</param>
    /// <param name="files">What drivers import its functions from.</param>
    public NtServices Add(string name, params string[] files)
    {
        ulong address = start + ((ulong)_modules.Count * Spacing);
        var module = new NtServices(machine, address, name, files);
        machine.Cpu.AddHostRange(address, NtServices.Length);
        machine.Symbols.AddModule(name, address, NtServices.Length);
        _modules.Add(module);
        return module;
    }

    /// <summary>Gives every module its entry in the list that debuggers read.</summary>
    public void List(ModuleList list)
    {
        foreach (NtServices module in _modules)
        {
            module.Section = module.Name == "nt"
                ? list.Add("ntoskrnl.exe", @"\SystemRoot\system32\", module.Base, (uint)NtServices.Length, 0)
                : list.Add($"{module.Name}.sys", LoadedDriver.DriverFolder, module.Base, (uint)NtServices.Length, 0);
        }
    }

    /// <summary>Whether an address is one of these modules' functions.</summary>
    public bool Contains(ulong address)
    {
        foreach (NtServices module in _modules)
        {
            if (module.Contains(address)) return true;
        }
        return false;
    }

    /// <summary>
    /// Where an import leads, when it is of one of these modules' files. What the bench lacks of NT leads to the run's end, once it is needed.
    /// </summary>
    /// <param name="missing">Gets what the bench lacks.</param>
    public bool TryResolve(PeImport import, List<PeImport> missing, out ulong? address)
    {
        NtServices? module = _modules.Find(m => m.Files.Contains(import.Module, StringComparer.OrdinalIgnoreCase));
        address = import.Name is { } name ? module?.Find(name) : null;
        if (module is null || address is not null || import.Name is null) return module is not null;
        address = module.AddMissing(import.Module, import.Name);
        if (address is not null) missing.Add(import);
        return true;
    }

    /// <summary>What the bench lacks at an address; null when nothing.</summary>
    public string? MissingAt(ulong address) => _modules.Find(m => m.Contains(address))?.MissingAt(address);

    public void Invoke(ref CallFrame frame)
    {
        ulong address = frame.Address, outer = Caller, from = frame.ReturnAddress;
        // A return to the host itself: a driver's function ends with this call. Or these modules call each other: the driver that waits for
        // the first of them stays the caller.
        if (from != frame.Cpu.ReturnSentinel) Caller = from;
        else if (!Contains(machine.RunningFunction)) Caller = machine.RunningFunction;
        _modules.Find(m => m.Contains(address))!.Invoke(ref frame);
        Caller = outer;
    }
}
