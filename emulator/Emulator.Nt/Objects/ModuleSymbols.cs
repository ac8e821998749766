using System.Globalization;

namespace Emulator.Nt.Objects;

/// <summary>Names addresses by the modules that hold them, where nothing better is known: "parport+0x1234".</summary>
public sealed class ModuleSymbols : INtSymbols
{
    private readonly (ulong Base, uint Size, string Name)[] _modules;

    /// <param name="modules">Modules with neither base nor name are left out.</param>
    public ModuleSymbols(IEnumerable<LoadedModule> modules)
    {
        ArgumentNullException.ThrowIfNull(modules);
        _modules = [.. modules.Where(m => m.Name is { Length: > 0 } && !m.Base.IsNull)
            .Select(m => (m.Base.Value, m.Size, ModuleName(m.Name!))).OrderBy(m => m.Value)];
    }

    /// <summary>"parport" for "parport.sys"; "nt" for the kernel's files.</summary>
    public static string ModuleName(string file)
    {
        string name = Path.GetFileNameWithoutExtension(file);
        return name.StartsWith("ntoskrnl", StringComparison.OrdinalIgnoreCase) || name.StartsWith("ntkrnl", StringComparison.OrdinalIgnoreCase) ? "nt" : name;
    }

    public string? Describe(ulong address)
        => Find(address) is { } module ? string.Create(CultureInfo.InvariantCulture, $"{module.Name}+0x{address - module.Base:x}") : null;

    public string? ModuleOf(ulong address) => Find(address)?.Name;

    private (ulong Base, string Name)? Find(ulong address)
    {
        foreach ((ulong start, uint size, string name) in _modules)
        {
            if (address >= start && address - start < size) return (start, name);
        }
        return null;
    }
}
