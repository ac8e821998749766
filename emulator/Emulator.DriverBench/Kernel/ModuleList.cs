using Emulator.Nt;

namespace Emulator.DriverBench.Kernel;

/// <summary>PsLoadedModuleList: an entry for every module in memory, in the order of their loading, for debuggers.</summary>
internal sealed class ModuleList
{
    private readonly BenchMachine _machine;
    private readonly ulong _head;

    public ModuleList(BenchMachine machine)
    {
        _machine = machine;
        // In NT the list's head lies among the kernel's data: who takes it for an entry can read it.
        _head = machine.AllocateKernel(machine.Layout.LoaderSize, "PsLoadedModuleList");
        Join(_head, _head);
    }

    private int Back => _machine.Layout.Pointer;

    /// <summary>Appends an entry (KLDR_DATA_TABLE_ENTRY).</summary>
    /// <param name="file">"ProsewareRobot.sys".</param>
    /// <returns>Its address.</returns>
    public ulong Add(string file, string folder, ulong start, uint size, ulong entryPoint)
    {
        (GuestMemory guest, LoaderEntryLayout layout) = (_machine.Guest, _machine.Layout.Objects.LoaderEntry);
        int texts = _machine.Layout.LoaderSize, bytes = ((2 * file.Length) + folder.Length + 2) * sizeof(char);
        ulong entry = _machine.AllocateKernel(texts + bytes, $"loader entry of {file}");
        guest.SetPointer(entry + (ulong)layout.DllBase, start);
        guest.SetPointer(entry + (ulong)layout.EntryPoint, entryPoint);
        guest.SetU32(entry + (ulong)layout.SizeOfImage, size);
        guest.SetUnicodeString(entry + (ulong)layout.BaseDllName, entry + (ulong)texts, file);
        guest.SetUnicodeString(entry + (ulong)layout.FullDllName, entry + (ulong)(texts + ((file.Length + 1) * sizeof(char))), folder + file);
        Join(guest.Pointer(_head + (ulong)Back), entry);
        Join(entry, _head);
        return entry;
    }

    /// <summary>Takes an entry out and frees it.</summary>
    public void Remove(ulong entry)
    {
        Join(_machine.Guest.Pointer(entry + (ulong)Back), _machine.Guest.Pointer(entry));
        _machine.FreeKernel(entry, "loader entry");
    }

    // A LIST_ENTRY: Flink, then Blink.
    private void Join(ulong first, ulong second)
    {
        _machine.Guest.SetPointer(first, second);
        _machine.Guest.SetPointer(second + (ulong)Back, first);
    }
}
