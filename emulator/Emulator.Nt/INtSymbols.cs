namespace Emulator.Nt;

/// <summary>What is known about code addresses. Module names have no extension, and the kernel is "nt", as in WinDbg.</summary>
public interface INtSymbols
{
    /// <summary>The address in words, "module!Function" or "module!Function+0x12" or "module+0x1234"; null when it lies in no known module.</summary>
    string? Describe(ulong address);

    /// <summary>The module that holds the address; null when none does.</summary>
    string? ModuleOf(ulong address);
}
