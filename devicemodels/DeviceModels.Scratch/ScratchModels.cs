using Emulator.Models;

namespace DeviceModels.Scratch;

/// <summary>The catalogue's entries of this assembly.</summary>
public static class ScratchModels
{
    /// <summary>Everything a PCI Express function can have: the model's options in full.</summary>
    public static ScratchOptions Full { get; } = new()
    {
        Bars =
        [
            new ScratchBarOptions { Index = 0, Kind = ScratchBarKind.Memory32, Size = "4K", Content = ScratchContent.Registers },
            new ScratchBarOptions { Index = 1, Kind = ScratchBarKind.Io, Size = "32", Content = ScratchContent.Registers },
            new ScratchBarOptions
            {
                Index = 2,
                Kind = ScratchBarKind.Memory64,
                Size = "64K",
                Content = ScratchContent.Ram,
                Prefetchable = true,
                MappedAreas = [new ScratchArea { Offset = "4K", Size = "8K" }, new ScratchArea { Offset = "32K", Size = "32K" }],
            },
        ],
        Interrupts = new ScratchInterruptOptions { Pin = ScratchPin.A, Msi = 4, MsiX = new ScratchMsiXOptions { Vectors = 8 } },
        Capabilities = new ScratchCapabilityOptions { PowerManagement = true, PciExpress = true, VendorSpecific = ["73 63 72 61 74 63 68"] },
        Engine = new ScratchEngineOptions { Bar = 0 },
    };

    /// <summary>A conventional PCI function: the engine in I/O space, a window of RAM, INTx.</summary>
    public static ScratchOptions Legacy { get; } = new()
    {
        Device = "0x10f1",
        Bars =
        [
            new ScratchBarOptions { Index = 0, Kind = ScratchBarKind.Io, Size = "256", Content = ScratchContent.Registers },
            new ScratchBarOptions { Index = 1, Kind = ScratchBarKind.Memory32, Size = "4K", Content = ScratchContent.Ram, Fill = "0xa5" },
        ],
        Capabilities = new ScratchCapabilityOptions { PowerManagement = true, AdvancedFeatures = true },
        Engine = new ScratchEngineOptions { Bar = 0 },
    };

    /// <summary>Every model of this assembly, with options that show what it can do.</summary>
    public static IReadOnlyList<DeviceModel> All { get; } =
    [
        new DeviceModel("scratch", "A PCI function described by its options: BARs, interrupts, capabilities, a DMA engine.",
            slot => new ScratchFunction(Full, slot)),
        new DeviceModel("scratch-legacy", "A scratch function of conventional PCI, with I/O and INTx only.",
            slot => new ScratchFunction(Legacy, slot)),
    ];
}
