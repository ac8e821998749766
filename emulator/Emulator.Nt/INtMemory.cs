namespace Emulator.Nt;

/// <summary>The kernel's virtual memory, wherever it comes from: the driver bench, a guest's RAM through its page tables, a memory dump.</summary>
public interface INtMemory
{
    /// <summary>Whether pointers have 8 bytes (x64) or 4 (x86).</summary>
    bool Is64Bit { get; }

    /// <summary>Copies bytes from a virtual address. Answers false when any byte is absent, and throws nothing.</summary>
    /// <param name="address">Any value; the range may be asked to wrap around the end of the address space, which is absent too.</param>
    /// <param name="destination">Filled when the answer is true; of no meaning otherwise.</param>
    bool TryRead(ulong address, Span<byte> destination);
}
