using Emulator.Interrupts;
using Emulator.Memory;
using Emulator.Pci;
using Emulator.Time;
using Emulator.Turns;
using Emulator.VfioUser.Server.Dma;
using Emulator.VfioUser.Server.Interrupts;
using Emulator.VfioUser.Server.Regions;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server;

/// <summary>The far side of a function's bus, where a vfio-user client is.</summary>
internal sealed class ServerSlot : PciSlot, IDisposable
{
    private readonly SharedGuestMemory _memory;
    private readonly DeviceServerOptions _options;
    private readonly List<SharedBarMemory> _barMemories = [];

    public ServerSlot(DeviceServerOptions options)
    {
        _options = options;
        MailQueue = new MailQueue(WakeThread);
        DmaMessages = new DmaMessages(DmaTable);
        _memory = new SharedGuestMemory(DmaTable, DmaMessages);
        DmaMessages.TryTransfer = _memory.TryTransfer;
    }

    /// <summary>Readable when there is mail, or when the thread should stop.</summary>
    public EventFd Wake { get; } = EventFd.Create();
    public MailQueue MailQueue { get; }
    public RealTimeClock RealTime { get; } = new();
    public DmaTable DmaTable { get; } = new();
    public DmaMessages DmaMessages { get; }
    public InterruptPins InterruptPins { get; } = new();

    public override IGuestMemory Memory => _memory;
    public override IInterruptPins Pins => InterruptPins;
    public override IDeviceClock Clock => RealTime.Timers;
    public override IMailbox Mailbox => MailQueue;

    public override BarMemory CreateBarMemory(int length)
    {
        var memory = new SharedBarMemory(() => _options.CreateSharedMemory(_options.Name, (ulong)length));
        _barMemories.Add(memory);
        return memory;
    }

    /// <summary>
    /// Takes memory that a client was given away from it: whoever mapped it keeps bytes that nobody else sees. What replaces it is zero.
    /// Views of the old bytes end, so this is for the time between turns. Throws <see cref="TransportException"/>; then try again.
    /// </summary>
    /// <returns>Whether anything was replaced.</returns>
    public bool ReplaceSharedMemory()
    {
        bool any = false;
        foreach (SharedBarMemory memory in _barMemories) any |= memory.Replace();
        return any;
    }

    public override void Report(string text) => _options.Report($"{_options.Name}: {text}");

    /// <summary>Makes the device thread look for mail. A backend may outlive its server: then there is nobody to wake.</summary>
    public void WakeThread()
    {
        try
        {
            Wake.Signal();
        }
        catch (ObjectDisposedException)
        {
        }
    }

    public void Dispose()
    {
        DmaTable.Dispose();
        InterruptPins.Dispose();
        foreach (SharedBarMemory memory in _barMemories) memory.Dispose();
        Wake.Dispose();
    }
}
