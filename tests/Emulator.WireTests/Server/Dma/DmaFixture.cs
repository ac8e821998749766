using System.Runtime.Versioning;
using Emulator.Memory;
using Emulator.Pci;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.WireTests.Server.Dma;

/// <summary>A card with a client that lets it reach guest memory.</summary>
[SupportedOSPlatform("linux")]
public abstract class DmaFixture
{
    private protected const int Page = 4096;
    private protected const DmaMapFlags Both = DmaMapFlags.Readable | DmaMapFlags.Writable;

    private protected ServedDevice Device { get; private set; } = null!;
    private protected WireClient Client { get; private set; } = null!;

    private protected BusMaster Memory => Device.Card.Memory;

    [SetUp]
    public void Serve()
    {
        Device = new ServedDevice();
        Client = Device.Connect();
        Client.EnableBusMaster();
    }

    [TearDown]
    public void Stop()
    {
        Client.Dispose();
        Device.Dispose();
    }

    private protected static byte[] Pattern(int length, int seed = 1)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private protected SharedMemory MapShared(ulong address, int length, DmaMapFlags flags = Both, ulong fileOffset = 0)
    {
        SharedMemory memory = SharedMemory.Create("guest", (ulong)length + fileOffset);
        Client.Call(Command.DmaMap, Wire.Map(address, (ulong)length, fileOffset, flags), memory.Handle.Number);
        return memory;
    }

    // Queues a read of the card by a register write, and takes the reply to that.
    private protected void Start(int length, bool write = false)
    {
        if (write) Device.Invoke(() => Device.Card.Transfer.IsWrite = true);
        Client.Write32(CardFunction.Registers, CardRegisters.Start, (uint)length);
    }

    /// <summary>Another client instead, whose DMA messages carry so many bytes at the most, with a page mapped for them.</summary>
    private protected WireClient ConnectWithMessagesOf(int bytes)
    {
        Client.Dispose();
        WireClient client = Device.Connect(version: $"{{\"capabilities\":{{\"max_data_xfer_size\":{bytes}}}}}");
        client.EnableBusMaster();
        client.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress, Page));
        return client;
    }

    private protected void MapByMessages(int length = 1 << 20, DmaMapFlags flags = Both)
        => Client.Call(Command.DmaMap, Wire.Map(CardFunction.TransferAddress, (ulong)length, 0, flags));

    private protected void AnswerRead(WireMessage command, ReadOnlySpan<byte> data) => Client.Reply(command, Wire.Bytes(command.As<DmaAccess>(), data));

    private protected void ExpectEnded(params DmaStatus[] statuses)
    {
        Device.WaitUntil(() => Device.Card.Ended.Count >= statuses.Length, "the transfer ends");
        Assert.That(Device.Invoke(() => Device.Card.Ended.ToArray()), Is.EqualTo(statuses));
        Assert.That(Device.Invoke(() => Device.Card.Transfer.IsQueued), Is.False);
    }
}
