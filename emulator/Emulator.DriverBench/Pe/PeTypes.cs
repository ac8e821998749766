using System.Reflection.PortableExecutable;
using Emulator.DriverBench.Memory;

namespace Emulator.DriverBench.Pe;

/// <summary>A section of an image.</summary>
/// <param name="Name">At most eight characters.</param>
/// <param name="Rva">Where it lies, relative to the image base.</param>
/// <param name="Length">In memory, in bytes, not rounded.</param>
/// <param name="Characteristics">As in the file.</param>
public sealed record PeSection(string Name, uint Rva, uint Length, SectionCharacteristics Characteristics)
{
    /// <summary>NT frees it after DriverEntry.</summary>
    public bool IsDiscardable => (Characteristics & SectionCharacteristics.MemDiscardable) != 0;

    public Protection Protection =>
        ((Characteristics & SectionCharacteristics.MemRead) != 0 ? Protection.Read : 0)
        | ((Characteristics & SectionCharacteristics.MemWrite) != 0 ? Protection.Write : 0)
        | ((Characteristics & SectionCharacteristics.MemExecute) != 0 ? Protection.Execute : 0)
        // What NT pages out of a driver: the name decides, unless the section says no.
        | (Name.StartsWith("PAGE", StringComparison.Ordinal) && (Characteristics & SectionCharacteristics.MemNotPaged) == 0 ? Protection.Pageable : 0);
}

/// <summary>A function an image wants of another.</summary>
/// <param name="Module">"ntoskrnl.exe", as the file spells it.</param>
/// <param name="Name">Null when imported by ordinal.</param>
/// <param name="Ordinal">0 when imported by name.</param>
/// <param name="SlotRva">Where its address is written.</param>
public sealed record PeImport(string Module, string? Name, ushort Ordinal, uint SlotRva)
{
    public override string ToString() => $"{Module}!{Name ?? $"#{Ordinal}"}";
}

/// <summary>A function an image offers.</summary>
/// <param name="Name">Null when exported by ordinal only.</param>
/// <param name="Ordinal">With the base added.</param>
/// <param name="Rva">0 for a forwarder.</param>
/// <param name="Forwarder">"OTHER.Function" or "OTHER.#5" when another module has it; else null.</param>
public sealed record PeExport(string? Name, uint Ordinal, uint Rva, string? Forwarder);

/// <summary>A function with unwind data (RUNTIME_FUNCTION).</summary>
/// <param name="Begin">Relative to the image base, as all of these.</param>
/// <param name="End">Behind its last instruction.</param>
/// <param name="UnwindRva">Its UNWIND_INFO.</param>
/// <param name="EntryRva">The entry itself.</param>
public readonly record struct PeFunction(uint Begin, uint End, uint UnwindRva, uint EntryRva);

/// <summary>Finds the address of an import. Null when there is none: the load then fails and names it.</summary>
public delegate ulong? PeImportResolver(PeImport import);
