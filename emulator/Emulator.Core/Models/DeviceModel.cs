using Emulator.Pci;

namespace Emulator.Models;

/// <summary>
/// A model as a catalogue knows it. Documentation, register headers, property tests and the fuzzer all start from
/// <see cref="Create"/> on a <see cref="DetachedSlot"/>.
/// </summary>
/// <param name="Name">The name a lab file uses, such as "parallel-port".</param>
/// <param name="Summary">One line.</param>
/// <param name="Create">A function with the model's default options.</param>
public sealed record DeviceModel(string Name, string Summary, Func<PciSlot, PciFunction> Create);
