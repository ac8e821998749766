namespace Emulator.DriverBench.Pe;

/// <summary>Names of addresses: modules with their functions, as a debugger writes them.</summary>
public sealed class SymbolTable
{
    private readonly List<Module> _modules = [];

    /// <summary>Adds a module. Names come from <see cref="AddSymbol"/>.</summary>
    /// <param name="name">Without its extension: "GeneralRobot".</param>
    /// <exception cref="ArgumentException">Another module lies there.</exception>
    public void AddModule(string name, ulong start, ulong length)
    {
        foreach (Module other in _modules)
        {
            if (start - other.Start < other.Length || other.Start - start < length)
            {
                throw new ArgumentException($"{name} overlaps {other.Name}.", nameof(start));
            }
        }
        _modules.Add(new Module(name, start, length));
    }

    /// <summary>Forgets a module that was unloaded.</summary>
    public void RemoveModule(ulong start) => _modules.RemoveAll(module => module.Start == start);

    /// <summary>Names an address inside a module; the first name given to an address stays.</summary>
    public void AddSymbol(ulong address, string name)
    {
        if (ModuleOf(address) is { } module) module.Add(address, name);
    }

    /// <summary>"GeneralRobot!GrDispatchPnp+0x1c", "GeneralRobot+0x1234" without symbols, "0x1234" outside all modules.</summary>
    public string Describe(ulong address)
    {
        if (!TryFind(address, out string name, out ulong offset)) return $"0x{address:x}";
        return offset == 0 ? name : $"{name}+0x{offset:x}";
    }

    /// <summary>The nearest symbol at or below an address: "GeneralRobot!GrDispatchPnp", or the module itself.</summary>
    public bool TryFind(ulong address, out string name, out ulong offset)
    {
        if (ModuleOf(address) is { } module)
        {
            (name, offset) = module.Find(address);
            return true;
        }
        (name, offset) = ("", 0);
        return false;
    }

    /// <summary>The module that holds an address, without its extension; null outside all modules.</summary>
    public string? FindModule(ulong address) => ModuleOf(address)?.Name;

    /// <summary>The address of a symbol of a module. False when there is none of that name.</summary>
    public bool TryGetAddress(string module, string symbol, out ulong address)
    {
        foreach (Module candidate in _modules)
        {
            if (string.Equals(candidate.Name, module, StringComparison.OrdinalIgnoreCase) && candidate.TryGet(symbol, out address)) return true;
        }
        address = 0;
        return false;
    }

    private Module? ModuleOf(ulong address)
    {
        foreach (Module module in _modules)
        {
            if (address - module.Start < module.Length) return module;
        }
        return null;
    }

    private sealed class Module(string name, ulong start, ulong length)
    {
        private readonly SortedList<ulong, string> _symbols = [];

        public string Name { get; } = name;
        public ulong Start { get; } = start;
        public ulong Length { get; } = length;

        public void Add(ulong address, string symbol) => _symbols.TryAdd(address, symbol);

        public bool TryGet(string symbol, out ulong address)
        {
            int index = _symbols.IndexOfValue(symbol);
            address = index < 0 ? 0 : _symbols.Keys[index];
            return index >= 0;
        }

        public (string Name, ulong Offset) Find(ulong address)
        {
            int low = 0, high = _symbols.Count - 1;
            while (low <= high)
            {
                int middle = (low + high) / 2;
                if (_symbols.Keys[middle] <= address) low = middle + 1;
                else high = middle - 1;
            }
            return high < 0 ? (Name, address - Start) : ($"{Name}!{_symbols.Values[high]}", address - _symbols.Keys[high]);
        }
    }
}
