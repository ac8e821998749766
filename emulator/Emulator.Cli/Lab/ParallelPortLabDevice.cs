using System.ComponentModel;
using System.Text.Json.Serialization;
using DeviceModels.ParallelPort;
using DeviceModels.ParallelPort.Peripherals;
using Emulator.Pci;

namespace Emulator.Cli.Lab;

/// <summary>A parallel port card in a lab, with what is at the end of its cable.</summary>
[Description("A PCI parallel port card.")]
internal sealed record ParallelPortLabDevice : LabDevice
{
    [JsonIgnore]
    public override string Model => Ecp ? "parallel-port-ecp" : "parallel-port";

    [Description("The card with the ECP block in BAR1 (identity 14db:2120) instead of the one with SPP and EPP only (9710:9805). Default: false.")]
    public bool Ecp { get; set; }

    [Description("Wires the interrupt line. Default: false, so that drivers poll: Linux's interrupt handler touches no register, and without KVM QEMU "
        + "keeps the line up until one is touched.")]
    public bool Interrupt { get; set; }

    [Description("What is at the end of the cable. Default: nothing.")]
    public LabPeripheral? Peripheral { get; set; }

    [Description("A file for a logic trace of all 17 lines of the cable (VCD, for GTKWave), from the current directory. Default: none.")]
    public string? LogicTrace { get; set; }

    public override PciFunction Create(PciSlot slot, DeviceHost host)
    {
        IParallelPeripheral peripheral = Peripheral?.Create(host) ?? new NoPeripheral();
        if (LogicTrace is not null)
        {
            if (Path.GetDirectoryName(LogicTrace) is { Length: > 0 } folder) Directory.CreateDirectory(folder);
            peripheral = host.Own(new LogicTracer(peripheral, File.Create(LogicTrace)));
        }
        return new ParallelPortCard(slot, new ParallelPortOptions(Ecp, Interrupt), peripheral);
    }
}

/// <summary>What is at the end of a parallel port's cable.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "kind")]
[JsonDerivedType(typeof(LabPrinter), "printer")]
[JsonDerivedType(typeof(LabLoopback), "loopback")]
internal abstract record LabPeripheral
{
    /// <exception cref="DeviceOptionsException">An option is wrong.</exception>
    /// <exception cref="IOException">A file or folder it needs cannot be had.</exception>
    public abstract IParallelPeripheral Create(DeviceHost host);
}

[Description("A printer that writes what it receives to files, one a job.")]
internal sealed record LabPrinter : LabPeripheral
{
    [Description("The folder of the print jobs, from the current directory: job-0001.txt and so on.")]
    public required string Folder { get; init; }

    [Description("Bytes a second at the most. Default: 0, as fast as the handshake allows.")]
    public long BytesPerSecond { get; set; }

    [Description("Seconds without a byte after which a job counts as complete. Default: 3.")]
    public double JobIdleSeconds { get; set; } = 3;

    [Description("The IEEE 1284 device ID. Default: that of a line printer for PJL, PCL and PostScript.")]
    public string? DeviceId { get; set; }

    public override IParallelPeripheral Create(DeviceHost host)
    {
        if (BytesPerSecond < 0) throw new DeviceOptionsException("peripheral.bytesPerSecond: choose 0 or more");
        if (JobIdleSeconds is not (>= 0 and <= 86_400)) throw new DeviceOptionsException("peripheral.jobIdleSeconds: choose 0 to 86400 seconds");
        var options = new PrinterOptions { BytesPerSecond = BytesPerSecond, JobIdle = (long)(JobIdleSeconds * 1e9) };
        if (DeviceId is not null) options = options with { DeviceId = DeviceId };
        return new Printer(host.Own(new FilePrintSink(Folder, host.Printed, host.Report)), options);
    }
}

[Description("A loopback plug, as port testers use it.")]
internal sealed record LabLoopback : LabPeripheral
{
    [Description("Which wires: data (Norton, PassMark: five data lines to the status lines) or control (CheckIt: one data and four control lines). "
        + "Default: data.")]
    public LoopbackWiring Wiring { get; set; }

    public override IParallelPeripheral Create(DeviceHost host) => new LoopbackPlug(Wiring);
}
