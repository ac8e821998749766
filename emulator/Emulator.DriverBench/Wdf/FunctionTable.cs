using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Kernel;

namespace Emulator.DriverBench.Wdf;

/// <summary>A function that drivers call through the table. The first argument, the driver's globals, has become its client; the rest counts from 0.</summary>
internal delegate ulong FrameworkFunction(FxClient client, ulong[] arguments);

/// <summary>The framework's function table: a guest array of one pointer for each documented function, in its place.</summary>
internal sealed class FunctionTable(KmdfFramework framework, NtServices library)
{
    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);

    /// <summary>Where the table lies.</summary>
    public ulong Address { get; private set; }

    /// <param name="name">As documented.</param>
    /// <param name="parameters">Without the globals; letters as those of <see cref="NtServices.Add"/>.</param>
    /// <param name="highestIrql">At which it may be called.</param>
    /// <param name="function">Answers it.</param>
    /// <param name="convention">On x86, how parameters are passed.</param>
    /// <param name="allocates">It fails when resources run out.</param>
    public void Add(string name, string parameters, byte highestIrql, FrameworkFunction function, CallConvention convention = CallConvention.StdCall,
        bool allocates = false)
        => _entries.Add(name, new Entry(parameters, highestIrql, function, convention, allocates));

    /// <summary>Makes the table: functions that were not added stop the machine.</summary>
    public void Seal()
    {
        BenchMachine machine = framework.Machine;
        IReadOnlyList<string> names = FunctionNames.All;
        Address = machine.AllocateKernel(names.Count * machine.Layout.Pointer, "WdfFunctions");
        for (int i = 0; i < names.Count; i++)
        {
            // In Wdf01000's symbols the functions of the table have this prefix.
            string symbol = $"imp_{names[i]}";
            if (_entries.Remove(names[i], out Entry? entry)) AddEntry(names[i], symbol, entry);
            else AddMissing(names[i], symbol, i);
            machine.Guest.SetPointer(Address + (ulong)(i * machine.Layout.Pointer), library.Find(symbol)!.Value);
        }
        if (_entries.Count > 0) throw new InvalidOperationException($"KMDF has no {_entries.Keys.First()}.");
    }

    private void AddEntry(string name, string symbol, Entry entry)
        => library.Add(symbol, "p" + entry.Parameters, entry.HighestIrql, arguments =>
        {
            string outer = framework.Function;
            framework.Function = name;
            FxClient client = framework.FindClient(arguments[0])
                ?? throw framework.Violation(WdfViolation.InvalidHandle, $"{name} with 0x{arguments[0]:x}, which is not the driver's WDF_DRIVER_GLOBALS");
            ulong result = entry.Function(client, arguments[1..]);
            framework.Function = outer;
            return result;
        }, entry.Convention, entry.Allocates ? NtStatus.InsufficientResources : null);

    private void AddMissing(string name, string symbol, int index)
        => library.Add(symbol, "p", Irql.High, arguments =>
        {
            string driver = framework.FindClient(arguments[0])?.Name ?? "A driver";
            throw framework.Machine.Crash($"{driver} calls {name} (index {index}), which the bench's framework lacks");
        });

    private sealed record Entry(string Parameters, byte HighestIrql, FrameworkFunction Function, CallConvention Convention, bool Allocates);
}
