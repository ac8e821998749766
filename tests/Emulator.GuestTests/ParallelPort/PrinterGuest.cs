using System.Text;
using DeviceModels.ParallelPort;
using DeviceModels.ParallelPort.Peripherals;
using Emulator.Guests;
using Emulator.Pci;
using Emulator.Testing;

namespace Emulator.GuestTests.ParallelPort;

/// <summary>A guest with parallel port cards whose printers keep in memory what Linux's own parport_pc and lp drivers print.</summary>
internal sealed class PrinterGuest : IAsyncDisposable
{
    private static readonly TimeSpan Generous = TimeSpan.FromMinutes(3);

    private readonly Dictionary<string, MemoryPrintSink> _sinks;

    private PrinterGuest(DeviceGuest guest, Dictionary<string, MemoryPrintSink> sinks) => (Guest, _sinks) = (guest, sinks);

    public DeviceGuest Guest { get; }

    /// <summary>Boots with a card a name; parport_pc and lp are loaded.</summary>
    public static async Task<PrinterGuest> BootAsync(params (string Name, ParallelPortOptions Options)[] cards)
    {
        var sinks = new Dictionary<string, MemoryPrintSink>();
        var devices = new List<GuestDevice>();
        foreach ((string name, ParallelPortOptions options) in cards)
        {
            MemoryPrintSink sink = sinks[name] = new MemoryPrintSink();
            // The drivers poll, as they do in the labs: a line that only pulses is hard on a guest without KVM.
            devices.Add(new GuestDevice(name, slot => new ParallelPortCard(slot, options with { Interrupt = false }, new Printer(sink))));
        }
        return new PrinterGuest(await DeviceGuest.BootAsync(devices, new GuestOptions { Modules = ["parport_pc", "lp", "ppdev"] }), sinks);
    }

    /// <summary>Runs a command that must succeed.</summary>
    public async Task<string> RunAsync(string command)
    {
        GuestCommandResult result = await Guest.RunAsync(command, Generous);
        Assert.That(result.ExitCode, Is.Zero, $"{command}\n{result.Output}\n{Guest.Session.Console.LastLines()}");
        return result.Output;
    }

    /// <summary>Prints text to a device of the guest and returns when the driver has handed over the last byte.</summary>
    public Task PrintAsync(string text, string to = "/dev/lp0") => RunAsync($"printf '{text}' > {to}");

    /// <summary>Everything a printer has received so far, jobs that ended and the one that has not.</summary>
    public string Printed(string card)
    {
        string text = "";
        Guest.On(card, _ => text = string.Concat(_sinks[card].Jobs.Append([.. _sinks[card].Current]).Select(Encoding.Latin1.GetString)));
        return text;
    }

    /// <summary>Turns a printer's switch, as a person at it would.</summary>
    public void Switch(string card, string name, string value)
        => Guest.On(card, function => Assert.That(function.Switches.Single(s => s.Name == name).TrySet(value), Is.Null));

    public ValueTask DisposeAsync() => Guest.DisposeAsync();
}
