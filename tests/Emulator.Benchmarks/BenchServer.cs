using Emulator.Pci;
using Emulator.Registers;
using Emulator.Tracing;
using Emulator.VfioUser.Server;

namespace Emulator.Benchmarks;

/// <summary>The served side of a round trip, in a process of its own as the rival is: a register that answers, nothing else.</summary>
internal static class BenchServer
{
    public static int Run(string socket, string? traceFile)
    {
        using var server = new DeviceServer(new DeviceServerOptions { Name = "bench", SocketPath = socket }, slot => new BenchFunction(slot));
        using TraceRecorder? recorder = traceFile is null ? null : new TraceRecorder(traceFile);
        if (recorder is not null) server.Function.Observer = recorder.Attach("bench", "bench", server.Function);
        server.Start();
        Console.WriteLine("ready");
        // Ends when whoever started it closes our input, or dies.
        Console.In.ReadToEnd();
        return 0;
    }
}

internal sealed class BenchRegisters : RegisterBank
{
    public BenchRegisters() : base("BENCH", 4096)
    {
        Identification = Add("ID", 0x0, 4).Bits(31, 0, "ID", Access.ReadOnly, reset: 0x4d45);
        Scratch = Add("SCRATCH", 0x4, 4).Bits(31, 0, "VALUE", Access.ReadWrite);
        Handled = Add("HANDLED", 0x8, 4).Bits(31, 0, "VALUE", Access.ReadWrite);
    }

    public Register Identification { get; }
    public Register Scratch { get; }
    public Register Handled { get; }
}

internal sealed class BenchFunction : PciFunction
{
    private ulong _last;

    public BenchFunction(PciSlot slot) : base(new PciIdentity(0x1234, 0xbe9c, 0xff0000), slot)
    {
        var bank = new BenchRegisters();
        bank.Handled.OnWrite((int _, in RegisterWrite write) => _last = write.After);
        bank.Handled.OnRead((_, stored) => stored ^ _last);
        MapBar(0, BarKind.Memory32, bank);
    }

    protected override void OnReset(ResetKind kind) => _last = 0;
}
