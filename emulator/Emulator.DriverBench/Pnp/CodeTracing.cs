using Emulator.DriverBench.Kernel;
using Emulator.Observation;

namespace Emulator.DriverBench.Pnp;

/// <summary>Tells a function's observer which instruction makes an access: its number each time, its name and words once.</summary>
internal sealed class CodeTracing(BenchMachine machine)
{
    // What trace files hold.
    private const int MostPlaces = 64 * 1024;
    private readonly Dictionary<(ulong Address, ulong Answering), int> _byAddress = [];
    private readonly Dictionary<CodePlace, int> _numbers = [];
    private IDeviceObserver? _observer;
    private int _generation;

    /// <summary>Comes before every access. Allocates only for an instruction that was not there before.</summary>
    public void BeforeAccess(IDeviceObserver observer)
    {
        if (observer != _observer || machine.CodeGeneration != _generation) Renew(observer);
        ulong address = machine.Cpu.CurrentInstruction;
        // An access that NT makes for a driver, such as READ_REGISTER_ULONG on x86: the call is the instruction.
        ulong answering = machine.AnsweringFunction;
        if (!_byAddress.TryGetValue((address, answering), out int number))
        {
            number = Introduce(address, answering, observer);
            if (number < 0) return;
        }
        observer.OnEvent(new DeviceEvent(machine.Timers.Now, DeviceEventKind.Code, 0, Ok: true, 0, (ulong)number, address));
    }

    private void Renew(IDeviceObserver observer)
    {
        // Other code may stand at the same addresses now; what was introduced keeps its number.
        _byAddress.Clear();
        if (observer != _observer) _numbers.Clear();
        (_observer, _generation) = (observer, machine.CodeGeneration);
    }

    private int Introduce(ulong address, ulong answering, IDeviceObserver observer)
    {
        string instruction = machine.Cpu.InstructionTextAt(address);
        if (answering != 0) instruction += $" ({machine.Symbols.Describe(answering)})";
        var place = new CodePlace(address, machine.Symbols.Describe(address), instruction);
        if (!_numbers.TryGetValue(place, out int number))
        {
            if (_numbers.Count == MostPlaces) return -1;
            _numbers.Add(place, number = _numbers.Count);
            observer.OnCode(number, place);
        }
        _byAddress.Add((address, answering), number);
        return number;
    }
}
