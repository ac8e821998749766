using DeviceModels.ParallelPort.Peripherals;
using Emulator.Models;
using Emulator.Pci;

namespace DeviceModels.ParallelPort;

/// <summary>The models of this assembly, with a printer at the end of the cable whose output goes nowhere.</summary>
public static class ParallelPortModels
{
    public static IReadOnlyList<DeviceModel> All { get; } =
    [
        new("parallel-port", "PCI parallel port with SPP and EPP (NetMos 9805)", slot => Create(slot, new ParallelPortOptions())),
        new("parallel-port-ecp", "PCI parallel port with SPP, EPP and ECP (AFAVLAB TK9902)", slot => Create(slot, new ParallelPortOptions(Ecp: true))),
    ];

    private static ParallelPortCard Create(PciSlot slot, ParallelPortOptions options) => new(slot, options, new Printer(new DiscardingPrintSink()));
}
