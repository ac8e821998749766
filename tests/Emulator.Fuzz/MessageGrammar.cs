using System.Text;
using Emulator.Pci;
using Emulator.VfioUser.Protocol;

namespace Emulator.Fuzz;

/// <summary>Sessions of a hostile client: mostly almost right, because what is wrong from the first byte gets no further.</summary>
internal sealed class MessageGrammar(Random random, PciFunction function)
{
    private const int MostSteps = 60, LargestMessage = 1 << 16;

    private static readonly ulong[] s_addresses = [0, 0x1000, 0x10000, 0x20000, 0x100000, 1UL << 32, 1UL << 63, ulong.MaxValue - 0xfff, ulong.MaxValue];
    private static readonly ulong[] s_lengths = [0, 1, 0x1000, 0x1000, 0x2000, 0x10000, 0x10000, 1UL << 32, 1UL << 63, ulong.MaxValue];
    private static readonly string[] s_offers =
    [
        "{}", "{\"capabilities\":{}}", "{\"capabilities\":{\"max_msg_fds\":16,\"max_data_xfer_size\":1048576,\"write_multiple\":true}}",
        "{\"capabilities\":{\"max_msg_fds\":8,\"twin_socket\":{\"supported\":true}}}", "{\"capabilities\":{\"max_data_xfer_size\":1}}",
        "{\"capabilities\":{\"max_data_xfer_size\":0}}", "{\"capabilities\":{\"max_msg_fds\":0}}", "{\"capabilities\":", "[[[[", "",
    ];

    private readonly int[] _regions = [.. Enumerable.Range(0, PciRegion.Count).Where(r => function.RegionSize(r) > 0)];
    private ushort _id;

    /// <summary>A whole session.</summary>
    public List<FuzzStep> Session()
    {
        var steps = new List<FuzzStep>();
        if (random.Next(20) != 0) steps.Add(Step(Command.Version, Version(s_offers[2 + random.Next(2)]), 0));
        // Without decoding and bus mastering, little of a model can be reached.
        if (random.Next(4) != 0) steps.Add(Step(Command.RegionWrite, Access(4, PciRegion.Configuration, [7, 0]), 0));
        if (random.Next(2) != 0) steps.Add(new FuzzStep(FuzzStepKind.Send, Message(Command.DmaMap, Map(0x10000, 0x10000, 0), 0), [FuzzDescriptor.Memory]));
        if (random.Next(3) == 0) steps.Add(Step(Command.DmaMap, Map(0x100000, 0x100000, 0), 0));
        for (int count = random.Next(1, MostSteps); count > 0; count--) steps.Add(Next());
        return steps;
    }

    private FuzzStep Next()
    {
        int pick = random.Next(40);
        if (pick < 3) return new FuzzStep(FuzzStepKind.AnswerCommand, [], []);
        if (pick == 3) return new FuzzStep(FuzzStepKind.AnswerWrongly, RandomBytes(random.Next(0, 64)), []);
        MessageFlags flags = random.Next(3) == 0 ? MessageFlags.NoReply : MessageFlags.Command;
        FuzzStep step = pick switch
        {
            < 24 => RegionStep(flags),
            < 27 => Step(Command.DmaMap, Map(Any(s_addresses), Any(s_lengths), Any<ulong>([0, 0, 0, 1, 0x1000, 1UL << 62])), flags, random.Next(0, 3)),
            < 28 => Step(Command.DmaUnmap, Bytes(new DmaUnmap(24, (DmaUnmapFlags)random.Next(0, 4), Any(s_addresses), Any(s_lengths))), flags),
            < 32 => Interrupts(flags),
            < 34 => Information(flags),
            34 => Step(Command.DeviceReset, [], flags),
            35 => Multi(flags),
            36 => Step(Command.Version, Version(Any(s_offers)), flags),
            37 => Step((Command)random.Next(0, 20), RandomBytes(random.Next(0, 64)), flags, random.Next(0, 2)),
            38 => Step((Command)random.Next(0, 0x10000), RandomBytes(random.Next(0, 64)), (MessageFlags)random.Next(0, 64), random.Next(0, 4)),
            _ => new FuzzStep(FuzzStepKind.Send, RandomBytes(random.Next(1, 64)), []),
        };
        return random.Next(12) == 0 ? Mutate(step) : step;
    }

    private FuzzStep RegionStep(MessageFlags flags)
    {
        int region = random.Next(16) == 0 ? random.Next(-1, 12) : Any(_regions);
        ulong size = region is >= 0 and < PciRegion.Count ? function.RegionSize(region) : 0;
        int count = random.Next(24) == 0 ? random.Next(0, LargestMessage) : random.Next(12) == 0 ? random.Next(0, 64) : 1 << random.Next(0, 4);
        ulong offset = random.Next(16) switch
        {
            0 => (ulong)random.NextInt64(long.MinValue, long.MaxValue),
            1 => unchecked(size - (ulong)random.Next(0, 16)),
            < 10 => (ulong)random.Next(0, 0x80),
            _ => size == 0 ? 0 : (ulong)random.NextInt64(0, (long)Math.Min(size, long.MaxValue)),
        };
        if (random.Next(4) != 0 && count is 2 or 4 or 8) offset &= ~(ulong)(count - 1);
        if (random.Next(5) < 2) return Step(Command.RegionRead, Bytes(new RegionAccess(offset, (uint)region, (uint)count)), flags);
        byte[] data = RandomBytes(count);
        // Small numbers, flags and addresses that exist do more than noise.
        if (count is >= 2 and <= 8 && random.Next(3) != 0)
        {
            ulong value = random.Next(3) switch { 0 => 1UL << random.Next(0, 64), 1 => (ulong)random.Next(0, 32), _ => Any(s_addresses) };
            BitConverter.GetBytes(value).AsSpan(0, count).CopyTo(data);
        }
        return Step(Command.RegionWrite, Access(offset, region, data), flags);
    }

    private FuzzStep Interrupts(MessageFlags flags)
    {
        int index = random.Next(0, 6), start = random.Next(0, 6), count = random.Next(0, 6);
        if (random.Next(2) == 0) (start, count) = (0, 1);
        uint action = random.Next(8) == 0 ? (uint)random.Next(0, 256) : (1u << random.Next(0, 3)) | (8u << random.Next(0, 3));
        byte[] payload = Bytes(new IrqSet(20, (IrqSetFlags)action, (uint)index, (uint)start, (uint)count), RandomBytes(random.Next(0, 3) == 0 ? count : 0));
        int descriptors = (action & 4) == 0 ? (random.Next(8) == 0 ? 1 : 0) : random.Next(3) switch { 0 => 0, 1 => count, _ => random.Next(0, 17) };
        byte[] message = Message(Command.DeviceSetIrqs, payload, flags);
        var kinds = new FuzzDescriptor[descriptors];
        for (int i = 0; i < kinds.Length; i++) kinds[i] = random.Next(16) == 0 ? AnyDescriptor() : FuzzDescriptor.EventFd;
        return new FuzzStep(FuzzStepKind.Send, message, kinds);
    }

    private FuzzStep Information(MessageFlags flags)
    {
        uint room = Any<uint>([0, 15, 16, 31, 32, 64, 80, 4096, uint.MaxValue]);
        uint index = random.Next(8) == 0 ? (uint)random.Next() : (uint)random.Next(0, 10);
        return random.Next(5) switch
        {
            0 => Step(Command.DeviceGetInfo, Bytes(new DeviceInfo(room, 0, 0, 0)), flags),
            1 => Step(Command.DeviceGetIrqInfo, Bytes(new IrqInfo(room, 0, index, 0)), flags),
            2 => Step(Command.DeviceGetRegionIoFds, Bytes(new RegionIoFds(room, 0, index, 0)), flags),
            3 => Step(Command.DeviceFeature, Bytes(new DeviceFeature(room, (DeviceFeatureFlags)random.Next())), flags),
            _ => Step(Command.DeviceGetRegionInfo, Bytes(new RegionInfo(room, 0, index, 0, 0, 0)), flags),
        };
    }

    private FuzzStep Multi(MessageFlags flags)
    {
        var writes = new RegionWrite[random.Next(0, 5)];
        for (int i = 0; i < writes.Length; i++)
            writes[i] = new RegionWrite((ulong)random.Next(0, 0x100), (uint)Any(_regions), (uint)random.Next(0, 10), (ulong)random.NextInt64());
        byte[] payload = new byte[RegionWriteMulti.ByteCount(writes.Length)];
        RegionWriteMulti.Write(payload, writes);
        return Step(Command.RegionWriteMulti, payload, flags);
    }

    private FuzzStep Mutate(FuzzStep step)
    {
        byte[] bytes = [.. step.Bytes];
        if (bytes.Length == 0) return step;
        switch (random.Next(5))
        {
            case 0:
                for (int flips = random.Next(1, 4); flips > 0; flips--) bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(0, 8));
                break;
            // What follows is taken for the rest, so later messages are cut anywhere.
            case 1: bytes = bytes[..random.Next(1, bytes.Length + 1)]; break;
            case 2: bytes = [.. bytes, .. RandomBytes(random.Next(1, 32))]; break;
            case 3 when bytes.Length >= 8:
                BitConverter.GetBytes(Any<uint>([0, 15, 16, 17, 32, 1 << 20, (1 << 20) + 33, uint.MaxValue])).CopyTo(bytes, 4);
                break;
            default: return step with { Descriptors = [.. Enumerable.Range(0, random.Next(1, 18)).Select(_ => AnyDescriptor())] };
        }
        return step with { Bytes = bytes };
    }

    private FuzzStep Step(Command command, byte[] payload, MessageFlags flags, int descriptors = 0)
        => new(FuzzStepKind.Send, Message(command, payload, flags), [.. Enumerable.Range(0, descriptors).Select(_ => AnyDescriptor())]);

    private byte[] Message(Command command, byte[] payload, MessageFlags flags)
        => Bytes(new MessageHeader(_id++, command, (uint)(MessageHeader.HeaderSize + payload.Length), flags, 0), payload);

    private static byte[] Version(string json) => [0, 0, (byte)(json.Length % 3), 0, .. Encoding.UTF8.GetBytes(json), 0];

    private byte[] Map(ulong address, ulong length, ulong offset)
        => Bytes(new DmaMap(32, (DmaMapFlags)(random.Next(8) == 0 ? random.Next(0, 8) : 3), offset, address, length));

    private static byte[] Access(ulong offset, int region, byte[] data) => Bytes(new RegionAccess(offset, (uint)region, (uint)data.Length), data);

    private static byte[] Bytes<T>(T value, ReadOnlySpan<byte> data = default)
        where T : struct, IWirePayload<T>
    {
        byte[] bytes = new byte[T.WireSize + data.Length];
        value.Write(bytes);
        data.CopyTo(bytes.AsSpan(T.WireSize));
        return bytes;
    }

    private byte[] RandomBytes(int count)
    {
        byte[] bytes = new byte[count];
        random.NextBytes(bytes);
        return bytes;
    }

    private FuzzDescriptor AnyDescriptor() => (FuzzDescriptor)random.Next(0, 4);

    private T Any<T>(T[] values) => values[random.Next(values.Length)];
}
