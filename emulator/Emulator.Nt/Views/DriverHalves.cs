using Emulator.Nt.Objects;

namespace Emulator.Nt.Views;

/// <summary>A driver's functions by the modules that hold them.</summary>
/// <param name="Specific">The module whose DriverEntry NT called.</param>
/// <param name="SpecificBasis">What says so.</param>
/// <param name="General">Other modules that hold functions of the driver; the kernel's default entries do not count.</param>
/// <param name="DefaultEntry">The entry most of the dispatch table shares.</param>
internal sealed record DriverHalves(string? Specific, string? SpecificBasis, IReadOnlyList<GeneralHalf> General, SharedEntry? DefaultEntry)
{
    public IReadOnlyList<string> GeneralModules { get; } = [.. General.Select(g => g.Module)];

    /// <param name="driver">The driver.</param>
    /// <param name="symbols">What addresses are called.</param>
    /// <param name="sectionModule">The name the list of loaded modules has for the driver; null when it was not asked or does not say.</param>
    /// <param name="codeAt">Names an address.</param>
    public static DriverHalves Of(DriverObject driver, INtSymbols symbols, string? sectionModule, Func<NtAddress, CodeAddress> codeAt)
    {
        (string? specific, string? basis) = FindSpecific(driver, symbols, sectionModule);
        SharedEntry? shared = FindShared(driver, codeAt);
        string? addDevice = Foreign(driver.AddDevice), unload = Foreign(driver.DriverUnload), startIo = Foreign(driver.DriverStartIo);
        string?[] routines = [.. driver.MajorFunction.Select(e => e == shared?.Entry.Address && !shared.IsWholeTable ? null : Foreign(e))];
        IEnumerable<string> modules = routines.Concat([addDevice, unload, startIo]).OfType<string>().Distinct();
        return new DriverHalves(specific, basis,
            [.. modules.Select(m => new GeneralHalf(m, addDevice == m, unload == m, startIo == m,
                [.. MajorFunctions.Names.Where((_, code) => routines[code] == m)]))],
            shared);

        // The kernel lends functions to everybody; it is nobody's general half.
        string? Foreign(NtAddress function)
            => !function.IsNull && symbols.ModuleOf(function.Value) is { } module && module != Modules.Kernel
                && !module.Equals(specific, StringComparison.OrdinalIgnoreCase) ? module : null;
    }

    private static (string? Module, string? Basis) FindSpecific(DriverObject driver, INtSymbols symbols, string? sectionModule)
    {
        if (!driver.DriverStart.IsNull && symbols.ModuleOf(driver.DriverStart.Value) is { } start) return (start, "DriverStart");
        if (sectionModule is not null) return (sectionModule, "DriverSection");
        return !driver.DriverInit.IsNull && symbols.ModuleOf(driver.DriverInit.Value) is { } entry ? (entry, "DriverEntry") : (null, null);
    }

    // The first of equals, so that the answer does not depend on chance; an entry nobody shares is no default.
    private static SharedEntry? FindShared(DriverObject driver, Func<NtAddress, CodeAddress> codeAt)
        => driver.MajorFunction.Where(e => !e.IsNull).GroupBy(e => e).Where(g => g.Count() > 1).MaxBy(g => g.Count()) is { } most
            ? new SharedEntry(codeAt(most.Key), most.Count()) : null;
}
