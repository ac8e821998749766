namespace Emulator.DriverBench.Memory;

/// <summary>How wide a virtual address is.</summary>
public enum AddressWidth
{
    Bits32 = 32,
    Bits64 = 64,
}

/// <summary>What a page allows.</summary>
[Flags]
public enum Protection : byte
{
    None = 0,
    Read = 1,
    Write = 2,
    Execute = 4,
    /// <summary>NT may have paged it out: whoever needs it must be able to wait.</summary>
    Pageable = 8,
    ReadWrite = Read | Write,
    ReadExecute = Read | Execute,
    All = Read | Write | Execute,
}

/// <summary>What was tried.</summary>
public enum MemoryAccess : byte
{
    Read,
    Write,
    Execute,
}

/// <summary>What a range of addresses is.</summary>
public enum RegionKind : byte
{
    Ram,
    Mmio,
    /// <summary>Nothing may touch it; its name says why.</summary>
    Guard,
}

/// <summary>Why a guard stands where it stands.</summary>
public enum GuardKind : byte
{
    None,
    /// <summary>Below a stack.</summary>
    Stack,
    /// <summary>Memory that was freed, kept out of use so that a late access is seen.</summary>
    Freed,
    /// <summary>Any other range that must not be touched.</summary>
    Reserved,
}

/// <summary>Why an access failed.</summary>
public enum MemoryFaultKind : byte
{
    None,
    /// <summary>No region holds the address.</summary>
    Unmapped,
    /// <summary>The page does not allow this access.</summary>
    Protection,
    /// <summary>The address lies in a guard.</summary>
    Guard,
    /// <summary>The access leaves its device region, or is code or bulk data where only single accesses are possible.</summary>
    Device,
}

/// <summary>A failed access.</summary>
/// <param name="Kind">Why it failed.</param>
/// <param name="Access">What was tried.</param>
/// <param name="Address">The first byte that failed.</param>
/// <param name="Size">The size of the whole access in bytes.</param>
/// <param name="Region">The region that refused; null when nothing is mapped there.</param>
public readonly record struct MemoryFault(MemoryFaultKind Kind, MemoryAccess Access, ulong Address, int Size, MemoryRegion? Region)
{
    /// <summary>The guard's reason when <see cref="Kind"/> is <see cref="MemoryFaultKind.Guard"/>.</summary>
    public GuardKind Guard => Region?.Guard ?? GuardKind.None;

    public override string ToString()
    {
        string what = Access switch { MemoryAccess.Read => "read", MemoryAccess.Write => "write", _ => "code fetch" };
        string why = Kind switch
        {
            MemoryFaultKind.None => "done",
            MemoryFaultKind.Unmapped => "nothing is mapped there",
            MemoryFaultKind.Protection => $"{Region?.Name} allows {Region?.ProtectionAt(Address)}",
            MemoryFaultKind.Guard => $"{Region?.Name} (guard, {Guard})",
            _ => $"outside what {Region?.Name} can do",
        };
        return $"{Size}-byte {what} at 0x{Address:x}: {why}";
    }
}

/// <summary>
/// Registers behind a range of addresses. The addresses are offsets into the region; sizes are 1, 2, 4 or 8 bytes and never
/// leave the region. A 16-byte access arrives as two of 8.
/// </summary>
public interface IMmioHandler
{
    /// <summary>Reads <paramref name="size"/> bytes, little endian; bits above are ignored.</summary>
    ulong Read(ulong offset, int size);

    /// <summary>Writes the low <paramref name="size"/> bytes of <paramref name="value"/>.</summary>
    void Write(ulong offset, int size, ulong value);
}
