using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Memory;

namespace Emulator.DriverBench.Kernel;

/// <summary>One function of NT: takes its arguments (64-bit ones in one piece on x86, too), gives its result.</summary>
internal delegate ulong NtFunction(ulong[] arguments);

/// <summary>A function of NT that does not simply return: it leaves the registers as the driver is to find them, and ends the call itself.</summary>
internal delegate void NtTransfer(ref CallFrame frame);

/// <summary>The functions of one module that the bench has in place of a file, such as ntoskrnl.exe, each at an address that leads back here.</summary>
internal sealed class NtServices
{
    private const int Spacing = 16;
    private readonly BenchMachine _machine;
    private readonly ulong _base;
    private readonly List<Service> _services = [];
    private readonly Dictionary<string, int> _byName = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ulong> _variables = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ulong> _missing = new(StringComparer.Ordinal);

    /// <param name="files">What drivers import the functions from: "ntoskrnl.exe". None when drivers cannot.</param>
    public NtServices(BenchMachine machine, ulong address, string name, IReadOnlyList<string> files)
        => (_machine, _base, Name, Files) = (machine, address, name, files);

    /// <summary>How long the range may grow, in bytes.</summary>
    public const ulong Length = 0x4000;

    private const ulong VariablesAt = 0x3000;

    public string Name { get; }
    public IReadOnlyList<string> Files { get; }
    public ulong Base => _base;

    /// <summary>Its entry in the list of modules (KLDR_DATA_TABLE_ENTRY).</summary>
    public ulong Section { get; set; }

    public bool Contains(ulong address) => address - _base < Length;

    /// <param name="name">As drivers import it.</param>
    /// <param name="parameters">One letter each; p pointer-sized, q 64 bits, u 32, w 16, b 8.</param>
    /// <param name="highestIrql">Above it a call is a finding.</param>
    /// <param name="function">Answers it.</param>
    /// <param name="convention">On x86, how parameters are passed.</param>
    /// <param name="exhausted">What it gives when resources run out; null when it needs none.</param>
    public void Add(string name, string parameters, byte highestIrql, NtFunction function, CallConvention convention = CallConvention.StdCall,
        ulong? exhausted = null)
    {
        _byName.Add(name, _services.Count);
        _machine.Symbols.AddSymbol(_base + (ulong)(_services.Count * Spacing), name);
        _services.Add(new Service(name, parameters, highestIrql, function, convention, exhausted));
    }

    /// <summary>Adds a function that ends its calls itself; any IRQL, no checks.</summary>
    public void AddTransfer(string name, NtTransfer transfer)
    {
        Add(name, "", Irql.High, _ => 0);
        _services[^1] = _services[^1] with { Transfer = transfer };
    }

    /// <summary>A variable that drivers import: 16 bytes, at the end of the module's range.</summary>
    public ulong AddVariable(string name)
    {
        if (_variables.Count == 0) _machine.Space.MapRam(_base + VariablesAt, Length - VariablesAt, Protection.ReadWrite, $"variables of {Name}");
        ulong address = _base + VariablesAt + (ulong)(_variables.Count * Spacing);
        _machine.Symbols.AddSymbol(address, name);
        _variables.Add(name, address);
        return address;
    }

    /// <summary>A variable that lies where everybody knows it.</summary>
    public void AddVariable(string name, ulong address) => _variables.Add(name, address);

    /// <summary>
    /// An address for a function or variable that a driver imports and the bench lacks: who needs it, ends the run. Null when there are too many.
    /// </summary>
    /// <param name="module">As the driver calls this one.</param>
    public ulong? AddMissing(string module, string name)
    {
        if (_missing.TryGetValue(name, out ulong known)) return known;
        ulong address = _base + (ulong)(_services.Count * Spacing);
        if (address >= _base + VariablesAt) return null;
        _machine.Symbols.AddSymbol(address, name);
        string full = $"{module}!{name}";
        _services.Add(new Service(full, "", Irql.High, _ => 0, CallConvention.Cdecl, null)
        {
            IsMissing = true,
            Transfer = (ref CallFrame _) => throw _machine.Lacks("calls", full, _machine.CallerAddress),
        });
        _missing.Add(name, address);
        return address;
    }

    /// <summary>What the bench lacks at this address, as "ntoskrnl.exe!SeExports"; null when nothing.</summary>
    public string? MissingAt(ulong address)
    {
        ulong index = (address - _base) / Spacing;
        return index < (ulong)_services.Count && _services[(int)index].IsMissing ? _services[(int)index].Name : null;
    }

    /// <summary>Nobody finds it by its name any more.</summary>
    public bool Remove(string name) => _byName.Remove(name);

    public ulong? Find(string name)
        => _byName.TryGetValue(name, out int index) ? _base + (ulong)(index * Spacing) : _variables.TryGetValue(name, out ulong address) ? address : null;

    public void Invoke(ref CallFrame frame)
    {
        int index = (int)((frame.Address - _base) / Spacing);
        if (index >= _services.Count || (frame.Address - _base) % Spacing != 0) throw _machine.Crash($"a call into the middle of {Name}, 0x{frame.Address:x}");
        Service service = _services[index];
        if (_machine.CurrentIrql > service.HighestIrql)
        {
            _machine.Report(Rule.Irql, $"{service.Name} called at IRQL {_machine.CurrentIrql}, which allows at most {service.HighestIrql}");
        }
        var arguments = new ulong[service.Parameters.Length];
        int slot = 0;
        bool wide = frame.Cpu.Mode == CpuMode.X64;
        for (int i = 0; i < arguments.Length; i++)
        {
            if (service.Parameters[i] == 'q' && !wide)
            {
                arguments[i] = frame.Arg64(slot);
                slot += 2;
                continue;
            }
            ulong value = service.Convention == CallConvention.FastCall ? frame.FastArg(slot) : frame.Arg(slot);
            arguments[i] = service.Parameters[i] switch { 'b' => (byte)value, 'w' => (ushort)value, 'u' => (uint)value, _ => value };
            slot++;
        }
        int popped = wide ? 0 : service.Convention switch
        {
            CallConvention.Cdecl => 0,
            CallConvention.FastCall => Math.Max(0, slot - 2) * 4,
            _ => slot * 4,
        };
        ulong result;
        try
        {
            if (service.Transfer is { } transfer)
            {
                transfer(ref frame);
                return;
            }
            result = service.Exhausted is { } failure && _machine.Faults.NextAllocationFails(service.Name) ? failure : service.Function(arguments);
        }
        catch (RaisedException raised)
        {
            _machine.Exceptions.Raise(raised, popped, ref frame);
            return;
        }
        // EDX is the caller's to lose: with it, 64 bits come back on x86, too.
        frame.Return64(result, popped);
    }

    private sealed record Service(string Name, string Parameters, byte HighestIrql, NtFunction Function, CallConvention Convention, ulong? Exhausted)
    {
        public NtTransfer? Transfer { get; init; }
        public bool IsMissing { get; init; }
    }
}
