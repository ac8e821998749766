using Emulator.DriverBench.Memory;

namespace Emulator.DriverBench.Pe;

/// <summary>An image in an address space.</summary>
public sealed class LoadedImage
{
    private readonly AddressSpace _space;

    internal LoadedImage(PeImage image, AddressSpace space, MemoryRegion region)
    {
        (Image, _space, Region) = (image, space, region);
    }

    public PeImage Image { get; }
    public MemoryRegion Region { get; }
    public ulong Base => Region.Address;

    /// <summary>In bytes, as the headers say.</summary>
    public uint Size => Image.SizeOfImage;

    /// <summary>0 when there is none.</summary>
    public ulong EntryPoint => Image.EntryPointRva == 0 ? 0 : Base + Image.EntryPointRva;

    /// <summary>"GeneralRobot" for GeneralRobot.sys.</summary>
    public string ModuleName => Path.GetFileNameWithoutExtension(Image.Name);

    public bool Contains(ulong address) => address - Base < Size;

    /// <summary>The address of an export of its own; null when there is none or another module has it.</summary>
    public ulong? AddressOf(string export) => Image.FindExport(export) is { Forwarder: null } found ? Base + found.Rva : null;

    /// <summary>Frees the sections NT frees after DriverEntry: an access then faults.</summary>
    public void DiscardInitialization()
    {
        // With small alignment a page holds parts of several sections.
        if (Image.SectionAlignment < AddressSpace.PageSize) return;
        foreach (PeSection section in Image.Sections)
        {
            // Relocations are discardable, too, and nothing reads them any more.
            if (section.IsDiscardable && section.Length > 0) _space.Protect(Base + section.Rva, section.Length, Protection.None);
        }
    }

    /// <summary>Makes the module known to a table: its linker map when there is one, its exports and its entry point.</summary>
    public void AddTo(SymbolTable table, LinkerMap? map = null)
    {
        ArgumentNullException.ThrowIfNull(table);
        table.AddModule(ModuleName, Base, Region.Length);
        map?.AddTo(table, Base);
        foreach (PeExport export in Image.Exports)
        {
            if (export is { Name: { } name, Forwarder: null }) table.AddSymbol(Base + export.Rva, name);
        }
        if (EntryPoint != 0) table.AddSymbol(EntryPoint, "EntryPoint");
    }

    public void Unload() => _space.Unmap(Region);
}
