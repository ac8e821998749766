namespace Emulator.Nt.Objects;

/// <summary>An entry of the kernel's list of loaded modules (KLDR_DATA_TABLE_ENTRY).</summary>
/// <param name="Next">The next entry, InLoadOrderLinks.Flink.</param>
/// <param name="Size">Bytes of the image.</param>
/// <param name="Name">The file's name, such as "parport.sys"; null when it cannot be read.</param>
/// <param name="Path">The file's full name; null when it cannot be read.</param>
public sealed record LoadedModule(NtAddress Address, NtAddress Next, NtAddress Base, uint Size, NtAddress EntryPoint, string? Name, string? Path);
