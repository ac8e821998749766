using Emulator.DriverBench.Cpu;

namespace Emulator.DriverBench.Kernel;

/// <summary>One function of NT: takes its arguments (64-bit ones in one piece on x86, too), gives its result.</summary>
internal delegate ulong NtFunction(ulong[] arguments);

/// <summary>The functions that the bench offers as ntoskrnl.exe and HAL.dll, each at an address that leads back here.</summary>
internal sealed class NtServices : IHostCalls
{
    private const int Spacing = 16;
    private readonly BenchMachine _machine;
    private readonly ulong _base;
    private readonly List<Service> _services = [];
    private readonly Dictionary<string, int> _byName = new(StringComparer.Ordinal);

    public NtServices(BenchMachine machine, ulong address) => (_machine, _base) = (machine, address);

    /// <summary>How long the range may grow, in bytes.</summary>
    public const ulong Length = 0x4000;

    /// <summary>Who answers calls outside this range.</summary>
    public NtServices? Next { get; set; }

    /// <summary>The call being answered: behind it the driver goes on. 0 outside.</summary>
    public ulong Caller { get; private set; }

    public void Add(string name, string parameters, byte highestIrql, NtFunction function, CallConvention convention = CallConvention.StdCall)
    {
        _byName.Add(name, _services.Count);
        _machine.Symbols.AddSymbol(_base + (ulong)(_services.Count * Spacing), name);
        _services.Add(new Service(name, parameters, highestIrql, function, convention));
    }

    public ulong? Find(string name) => _byName.TryGetValue(name, out int index) ? _base + (ulong)(index * Spacing) : null;

    public void Invoke(ref CallFrame frame)
    {
        if (frame.Address - _base >= Length && Next is { } next)
        {
            next.Invoke(ref frame);
            return;
        }
        ulong outer = Caller;
        Caller = frame.ReturnAddress;
        int index = (int)((frame.Address - _base) / Spacing);
        if (index >= _services.Count || (frame.Address - _base) % Spacing != 0) throw _machine.Crash($"a call into the middle of NT, 0x{frame.Address:x}");
        Service service = _services[index];
        if (_machine.CurrentIrql > service.HighestIrql)
        {
            _machine.Report(Rule.Irql, $"{service.Name} called at IRQL {_machine.CurrentIrql}, which allows at most {service.HighestIrql}");
        }
        var arguments = new ulong[service.Parameters.Length];
        int slot = 0;
        bool wide = frame.Cpu.Mode == CpuMode.X64;
        for (int i = 0; i < arguments.Length; i++)
        {
            if (service.Parameters[i] == 'q' && !wide)
            {
                arguments[i] = frame.Arg64(slot);
                slot += 2;
                continue;
            }
            ulong value = service.Convention == CallConvention.FastCall ? frame.FastArg(slot) : frame.Arg(slot);
            arguments[i] = service.Parameters[i] switch { 'b' => (byte)value, 'w' => (ushort)value, 'u' => (uint)value, _ => value };
            slot++;
        }
        ulong result = service.Function(arguments);
        int popped = service.Convention switch
        {
            CallConvention.Cdecl => 0,
            CallConvention.FastCall => Math.Max(0, slot - 2) * 4,
            _ => slot * 4,
        };
        frame.Return(result, wide ? 0 : popped);
        Caller = outer;
    }

    /// <summary>Parameters: one letter each; p pointer-sized, q 64 bits, u 32, w 16, b 8.</summary>
    private sealed record Service(string Name, string Parameters, byte HighestIrql, NtFunction Function, CallConvention Convention);
}
