using System.Globalization;
using Emulator.Observation;
using Emulator.Pci;

namespace Emulator.Tracing;

/// <summary>How events are called in text and in JSON.</summary>
internal static class EventNames
{
    /// <summary>The short word of a text line, and its style.</summary>
    public static (TraceStyle Style, string Word) Short(DeviceEventKind kind) => kind switch
    {
        DeviceEventKind.Read => (TraceStyle.Read, "R"),
        DeviceEventKind.Write => (TraceStyle.Write, "W"),
        DeviceEventKind.DmaRead => (TraceStyle.Dma, "DMA R"),
        DeviceEventKind.DmaWrite => (TraceStyle.Dma, "DMA W"),
        DeviceEventKind.DmaReadView => (TraceStyle.Dma, "VIEW R"),
        DeviceEventKind.DmaWriteView => (TraceStyle.Dma, "VIEW W"),
        DeviceEventKind.Intx => (TraceStyle.Interrupt, "INTx"),
        DeviceEventKind.Msi => (TraceStyle.Interrupt, "MSI"),
        DeviceEventKind.MsiX => (TraceStyle.Interrupt, "MSI-X"),
        DeviceEventKind.Reset => (TraceStyle.Lifecycle, "reset"),
        DeviceEventKind.Client => (TraceStyle.Lifecycle, "client"),
        DeviceEventKind.DmaMap => (TraceStyle.Lifecycle, "map"),
        DeviceEventKind.DmaUnmap => (TraceStyle.Lifecycle, "unmap"),
        _ => (TraceStyle.Plain, string.Create(CultureInfo.InvariantCulture, $"#{(int)kind}")),
    };

    /// <summary>The word of a JSON line.</summary>
    public static string Long(DeviceEventKind kind) => kind switch
    {
        DeviceEventKind.Read => "read",
        DeviceEventKind.Write => "write",
        DeviceEventKind.DmaRead => "dma-read",
        DeviceEventKind.DmaWrite => "dma-write",
        DeviceEventKind.DmaReadView => "dma-read-view",
        DeviceEventKind.DmaWriteView => "dma-write-view",
        DeviceEventKind.Intx => "intx",
        DeviceEventKind.Msi => "msi",
        DeviceEventKind.MsiX => "msi-x",
        DeviceEventKind.Reset => "reset",
        DeviceEventKind.Client => "client",
        DeviceEventKind.DmaMap => "dma-map",
        DeviceEventKind.DmaUnmap => "dma-unmap",
        _ => string.Create(CultureInfo.InvariantCulture, $"kind-{(int)kind}"),
    };

    public static string Reset(ulong kind) => kind switch
    {
        (ulong)ResetKind.PowerOn => "power-on",
        (ulong)ResetKind.Bus => "bus",
        (ulong)ResetKind.FunctionLevel => "function-level",
        (ulong)ResetKind.PowerManagement => "power-management",
        _ => string.Create(CultureInfo.InvariantCulture, $"kind {kind}"),
    };

    public static bool IsDma(DeviceEventKind kind) => kind is >= DeviceEventKind.DmaRead and <= DeviceEventKind.DmaWriteView;

    /// <summary>0x and as many digits as <paramref name="bytes"/> (at most 8) have.</summary>
    public static string Hex(ulong value, int bytes) => "0x" + value.ToString($"x{bytes * 2}", CultureInfo.InvariantCulture);
}
