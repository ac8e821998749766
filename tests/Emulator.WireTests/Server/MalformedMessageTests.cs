using System.Runtime.Versioning;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using Emulator.WireTests.Transport;

namespace Emulator.WireTests.Server;

/// <summary>Every way to be wrong, one at a time: an error reply of the right ID, nothing changed, nothing leaked, and the session goes on.</summary>
[TestFixture, Category("Wire"), SupportedOSPlatform("linux")]
public sealed class MalformedMessageTests
{
    private const ulong Page = 4096;
    private const IrqSetFlags Attach = IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger;

    private ServedDevice _device = null!;
    private WireClient _client = null!;

    [SetUp]
    public void Serve()
    {
        _device = new ServedDevice();
        _client = _device.Connect();
    }

    [TearDown]
    public void Stop()
    {
        _client.Dispose();
        _device.Dispose();
    }

    private static IEnumerable<TestCaseData> WrongCommands()
    {
        static TestCaseData Case(string name, Command command, byte[] payload, int errno = Errno.EINVAL)
            => new TestCaseData(command, payload, errno).SetArgDisplayNames(name);
        static byte[] Cut(byte[] payload) => payload[..^1];

        foreach (int number in new[] { 0, 14, 19, 0x7fff, 0xffff }) yield return Case($"command {number}", (Command)number, new byte[32]);
        yield return Case("DMA_READ from a client", Command.DmaRead, Wire.Bytes(new DmaAccess(0, 4)));
        yield return Case("DMA_WRITE from a client", Command.DmaWrite, Wire.Bytes(new DmaAccess(0, 4), [1, 2, 3, 4]));
        yield return Case("second VERSION", Command.Version, Wire.Version());

        yield return Case("DMA_MAP empty", Command.DmaMap, []);
        yield return Case("DMA_MAP short", Command.DmaMap, Cut(Wire.Map(0, Page)));
        yield return Case("DMA_MAP argsz", Command.DmaMap, Wire.Bytes(new DmaMap(31, DmaMapFlags.Readable, 0, 0, Page)));
        yield return Case("DMA_MAP of nothing", Command.DmaMap, Wire.Map(0, 0));
        yield return Case("DMA_MAP over the top", Command.DmaMap, Wire.Map(ulong.MaxValue - 4094, Page));
        yield return Case("DMA_MAP of more than there is", Command.DmaMap, Wire.Map(2, ulong.MaxValue));
        yield return Case("DMA_MAP flags", Command.DmaMap, Wire.Map(0, Page, flags: (DmaMapFlags)0x10));
        yield return Case("DMA_MAP to map, without a file", Command.DmaMap, Wire.Map(0, Page, flags: (DmaMapFlags)7));
        yield return Case("DMA_MAP to read and write, without a file", Command.DmaMap, Wire.Map(0, Page, flags: (DmaMapFlags)0xb));

        yield return Case("DMA_UNMAP short", Command.DmaUnmap, Cut(Wire.Unmap(0, Page)));
        yield return Case("DMA_UNMAP argsz", Command.DmaUnmap, Wire.Bytes(new DmaUnmap(23, 0, 0, Page)));
        yield return Case("DMA_UNMAP of no bytes", Command.DmaUnmap, Wire.Unmap(0, 0));
        yield return Case("DMA_UNMAP past the last address", Command.DmaUnmap, Wire.Unmap(ulong.MaxValue - 0xffe, Page));
        yield return Case("DMA_UNMAP dirty bitmap", Command.DmaUnmap, Wire.Unmap(0, Page, DmaUnmapFlags.GetDirtyBitmap));
        yield return Case("DMA_UNMAP all of an address", Command.DmaUnmap, Wire.Unmap(Page, 0, DmaUnmapFlags.All));
        yield return Case("DMA_UNMAP all of a size", Command.DmaUnmap, Wire.Unmap(0, Page, DmaUnmapFlags.All));

        yield return Case("GET_INFO short", Command.DeviceGetInfo, Cut(Wire.Bytes(new DeviceInfo(16, 0, 0, 0))));
        yield return Case("GET_INFO argsz", Command.DeviceGetInfo, Wire.Bytes(new DeviceInfo(15, 0, 0, 0)));
        yield return Case("GET_REGION_INFO short", Command.DeviceGetRegionInfo, Cut(Wire.Bytes(new RegionInfo(32, 0, 0, 0, 0, 0))));
        yield return Case("GET_REGION_INFO argsz", Command.DeviceGetRegionInfo, Wire.Bytes(new RegionInfo(31, 0, 0, 0, 0, 0)));
        yield return Case("GET_REGION_INFO index", Command.DeviceGetRegionInfo, Wire.Bytes(new RegionInfo(32, 0, 9, 0, 0, 0)));
        yield return Case("GET_REGION_INFO last index", Command.DeviceGetRegionInfo, Wire.Bytes(new RegionInfo(32, 0, uint.MaxValue, 0, 0, 0)));
        yield return Case("GET_REGION_IO_FDS short", Command.DeviceGetRegionIoFds, Cut(Wire.Bytes(new RegionIoFds(16, 0, 0, 0))));
        yield return Case("GET_REGION_IO_FDS argsz", Command.DeviceGetRegionIoFds, Wire.Bytes(new RegionIoFds(15, 0, 0, 0)));
        yield return Case("GET_REGION_IO_FDS huge argsz", Command.DeviceGetRegionIoFds, Wire.Bytes(new RegionIoFds((1024 * 1024) + 1, 0, 0, 0)));
        yield return Case("GET_REGION_IO_FDS flags", Command.DeviceGetRegionIoFds, Wire.Bytes(new RegionIoFds(16, 1, 0, 0)));
        yield return Case("GET_REGION_IO_FDS count", Command.DeviceGetRegionIoFds, Wire.Bytes(new RegionIoFds(16, 0, 0, 1)));
        yield return Case("GET_REGION_IO_FDS unused region", Command.DeviceGetRegionIoFds, Wire.Bytes(new RegionIoFds(16, 0, RegionIndex.Rom, 0)));
        yield return Case("GET_REGION_IO_FDS index", Command.DeviceGetRegionIoFds, Wire.Bytes(new RegionIoFds(16, 0, 9, 0)));
        yield return Case("GET_IRQ_INFO short", Command.DeviceGetIrqInfo, Cut(Wire.Bytes(new IrqInfo(16, 0, 0, 0))));
        yield return Case("GET_IRQ_INFO argsz", Command.DeviceGetIrqInfo, Wire.Bytes(new IrqInfo(15, 0, 0, 0)));
        yield return Case("GET_IRQ_INFO index", Command.DeviceGetIrqInfo, Wire.Bytes(new IrqInfo(16, 0, 5, 0)));

        const IrqSetFlags Trigger = IrqSetFlags.DataNone | IrqSetFlags.ActionTrigger;
        yield return Case("SET_IRQS short", Command.DeviceSetIrqs, Cut(Wire.Irqs(Trigger, 0, 0, 1)));
        yield return Case("SET_IRQS argsz", Command.DeviceSetIrqs, Wire.Bytes(new IrqSet(19, Trigger, 0, 0, 1)));
        yield return Case("SET_IRQS index", Command.DeviceSetIrqs, Wire.Irqs(Trigger, 5, 0, 0));
        yield return Case("SET_IRQS start", Command.DeviceSetIrqs, Wire.Irqs(Trigger, 2, CardFunction.Vectors + 1, 0));
        yield return Case("SET_IRQS count", Command.DeviceSetIrqs, Wire.Irqs(Trigger, 2, 1, CardFunction.Vectors));
        yield return Case("SET_IRQS overflow", Command.DeviceSetIrqs, Wire.Irqs(Trigger, 2, -1, 2));
        yield return Case("SET_IRQS start at the end", Command.DeviceSetIrqs, Wire.Irqs(Trigger, 2, CardFunction.Vectors, 0));
        yield return Case("SET_IRQS disable from the middle", Command.DeviceSetIrqs, Wire.Irqs(Trigger, 2, 1, 0));
        foreach ((string name, IrqSetFlags flags) in new[]
        {
            ("mask", IrqSetFlags.DataNone | IrqSetFlags.ActionMask), ("unmask", IrqSetFlags.DataNone | IrqSetFlags.ActionUnmask),
            ("mask by bools", IrqSetFlags.DataBool | IrqSetFlags.ActionMask), ("trigger by bools", IrqSetFlags.DataBool | IrqSetFlags.ActionTrigger),
            ("attach", IrqSetFlags.DataEventFd | IrqSetFlags.ActionTrigger), ("resample", IrqSetFlags.DataEventFd | IrqSetFlags.ActionUnmask),
        })
        {
            yield return Case($"SET_IRQS {name} nothing", Command.DeviceSetIrqs, Wire.Irqs(flags, 0, 0, 0));
        }
        foreach (int index in new[] { IrqIndex.Err, IrqIndex.Req })
        {
            yield return Case($"SET_IRQS mask {index}", Command.DeviceSetIrqs, Wire.Irqs(IrqSetFlags.DataNone | IrqSetFlags.ActionMask, index, 0, 1));
            yield return Case($"SET_IRQS unmask {index}", Command.DeviceSetIrqs, Wire.Irqs(IrqSetFlags.DataNone | IrqSetFlags.ActionUnmask, index, 0, 1));
        }
        yield return Case("SET_IRQS too many bools", Command.DeviceSetIrqs, Wire.Irqs(IrqSetFlags.DataBool | IrqSetFlags.ActionMask, 2, 0, 1, 1, 1));
        yield return Case("SET_IRQS no data kind", Command.DeviceSetIrqs, Wire.Irqs(IrqSetFlags.ActionMask, 0, 0, 1));
        yield return Case("SET_IRQS two data kinds", Command.DeviceSetIrqs, Wire.Irqs(Trigger | IrqSetFlags.DataBool, 0, 0, 1, 1));
        yield return Case("SET_IRQS no action", Command.DeviceSetIrqs, Wire.Irqs(IrqSetFlags.DataNone, 0, 0, 1));
        yield return Case("SET_IRQS two actions", Command.DeviceSetIrqs, Wire.Irqs(Trigger | IrqSetFlags.ActionMask, 0, 0, 1));
        yield return Case("SET_IRQS unknown flag", Command.DeviceSetIrqs, Wire.Irqs(Trigger | (IrqSetFlags)0x40, 0, 0, 1));
        yield return Case("SET_IRQS too few bools", Command.DeviceSetIrqs, Wire.Irqs(IrqSetFlags.DataBool | IrqSetFlags.ActionMask, 2, 0, 3, 1, 1));
        yield return Case("SET_IRQS unmask by nothing", Command.DeviceSetIrqs, Wire.Irqs(IrqSetFlags.DataEventFd | IrqSetFlags.ActionMask, 0, 0, 1));

        yield return Case("REGION_READ short", Command.RegionRead, Cut(Wire.Read(0, 0, 4)));
        yield return Case("REGION_READ past the end", Command.RegionRead, Wire.Read(4093, 0, 4));
        yield return Case("REGION_READ far out", Command.RegionRead, Wire.Read(ulong.MaxValue - 1, 0, 4));
        yield return Case("REGION_READ of no region", Command.RegionRead, Wire.Read(0, 9, 4));
        yield return Case("REGION_READ of region -1", Command.RegionRead, Wire.Read(0, -1, 4));
        yield return Case("REGION_READ of an absent BAR", Command.RegionRead, Wire.Read(0, 3, 4));
        yield return Case("REGION_READ of the ROM", Command.RegionRead, Wire.Read(0, RegionIndex.Rom, 4));
        yield return Case("REGION_READ of VGA", Command.RegionRead, Wire.Read(0, RegionIndex.Vga, 4));
        yield return Case("REGION_READ beyond the transfer limit", Command.RegionRead, Wire.Read(0, 0, (1 << 20) + 1));
        yield return Case("REGION_READ of 4 GiB less one", Command.RegionRead, Wire.Read(0, 0, -1));
        yield return Case("REGION_WRITE short", Command.RegionWrite, Cut(Wire.Read(0, 0, 0)));
        yield return Case("REGION_WRITE without its data", Command.RegionWrite, Wire.Read(CardRegisters.Scratch, 0, 4));
        yield return Case("REGION_WRITE with too little data", Command.RegionWrite, Cut(Wire.Write32(CardRegisters.Scratch, 0, 1)));
        yield return Case("REGION_WRITE with too much data", Command.RegionWrite, [.. Wire.Write32(CardRegisters.Scratch, 0, 1), 0]);
        yield return Case("REGION_WRITE of 4 GiB less one", Command.RegionWrite, Wire.Read(0, 0, -1));
        yield return Case("REGION_WRITE past the end", Command.RegionWrite, Wire.Write32(4093, 0, 1));
        yield return Case("REGION_WRITE of no region", Command.RegionWrite, Wire.Write32(0, 9, 1));
        yield return Case("REGION_WRITE of an absent BAR", Command.RegionWrite, Wire.Write32(0, 3, 1));
        yield return Case("REGION_WRITE_MULTI empty", Command.RegionWriteMulti, []);
        yield return Case("REGION_WRITE_MULTI count", Command.RegionWriteMulti, [.. BitConverter.GetBytes(2UL), .. new byte[24]]);
        yield return Case("REGION_WRITE_MULTI huge count", Command.RegionWriteMulti, [.. BitConverter.GetBytes(ulong.MaxValue), .. new byte[24]]);
        yield return Case("REGION_WRITE_MULTI of nine bytes", Command.RegionWriteMulti,
            [.. BitConverter.GetBytes(1UL), .. Wire.Bytes(new RegionWrite(CardRegisters.Scratch, 0, 9, 1))]);

        yield return Case("DEVICE_FEATURE short", Command.DeviceFeature, new byte[7]);
        yield return Case("DEVICE_FEATURE unknown", Command.DeviceFeature,
            Wire.Bytes(new DeviceFeature(8, DeviceFeatureFlags.Probe | (DeviceFeatureFlags)1)), Errno.ENOTTY);
        yield return Case("MIG_DATA_READ short", Command.MigDataRead, new byte[7]);
        yield return Case("MIG_DATA_READ", Command.MigDataRead, Wire.Bytes(new MigrationData(8, 0)), Errno.EOPNOTSUPP);
        yield return Case("MIG_DATA_WRITE", Command.MigDataWrite, Wire.Bytes(new MigrationData(12, 4), [1, 2, 3, 4]), Errno.EOPNOTSUPP);
    }

    [TestCaseSource(nameof(WrongCommands))]
    public void A_wrong_command_is_refused_and_changes_nothing(Command command, byte[] payload, int errno)
    {
        Assert.That(_client.Fail(command, payload), Is.EqualTo(errno));
        Assert.That(_client.Read32(CardFunction.Registers, CardRegisters.Writes), Is.Zero, "nothing was written");
        // And the same in silence, when nobody wants to know.
        _client.Send(command, payload, MessageFlags.NoReply);
        _client.ExpectSilenceSoFar();
    }

    [TestCaseSource(nameof(WrongCommands))]
    public void Descriptors_with_a_wrong_command_are_closed(Command command, byte[] payload, int errno)
    {
        using SharedMemory memory = SharedMemory.Create("stray", Page);
        int fd = memory.Handle.Number;
        int growth = OpenFiles.Growth(4, () => Assert.That(_client.Fail(command, payload, fd, fd), Is.GreaterThan(0)));
        Assert.That(growth, Is.LessThanOrEqualTo(0), $"instead of errno {errno}");
    }

    private static IEnumerable<TestCaseData> RightCommandsWithoutDescriptors()
    {
        static TestCaseData Case(string name, Command command, byte[] payload) => new TestCaseData(command, payload).SetArgDisplayNames(name);
        yield return Case("DMA_UNMAP", Command.DmaUnmap, Wire.Unmap(0, 0, DmaUnmapFlags.All));
        yield return Case("GET_INFO", Command.DeviceGetInfo, Wire.Bytes(new DeviceInfo(16, 0, 0, 0)));
        yield return Case("GET_REGION_INFO", Command.DeviceGetRegionInfo, Wire.Bytes(new RegionInfo(32, 0, 0, 0, 0, 0)));
        yield return Case("GET_REGION_IO_FDS", Command.DeviceGetRegionIoFds, Wire.Bytes(new RegionIoFds(16, 0, 0, 0)));
        yield return Case("GET_IRQ_INFO", Command.DeviceGetIrqInfo, Wire.Bytes(new IrqInfo(16, 0, 0, 0)));
        yield return Case("SET_IRQS", Command.DeviceSetIrqs, Wire.Irqs(IrqSetFlags.DataNone | IrqSetFlags.ActionMask, 0, 0, 1));
        yield return Case("REGION_READ", Command.RegionRead, Wire.Read(0, 0, 4));
        yield return Case("REGION_WRITE", Command.RegionWrite, Wire.Write32(CardRegisters.Scratch, 0, 1));
        yield return Case("DEVICE_RESET", Command.DeviceReset, []);
        yield return Case("REGION_WRITE_MULTI", Command.RegionWriteMulti,
            [.. BitConverter.GetBytes(1UL), .. Wire.Bytes(new RegionWrite(CardRegisters.Scratch, 0, 4, 1))]);
    }

    [TestCaseSource(nameof(RightCommandsWithoutDescriptors))]
    public void A_command_that_takes_no_descriptors_is_refused_with_one(Command command, byte[] payload)
    {
        using EventFd stray = EventFd.Create();
        int growth = OpenFiles.Growth(4, () => Assert.That(_client.Fail(command, payload, stray.Handle.Number), Is.EqualTo(Errno.EINVAL)));
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        Assert.That(_client.Read32(CardFunction.Registers, CardRegisters.Writes), Is.Zero);
    }

    [Test]
    public void Longer_payloads_than_the_structure_are_taken_as_a_later_version_of_it()
    {
        _client.Call(Command.DeviceGetInfo, [.. Wire.Bytes(new DeviceInfo(24, 0, 0, 0)), .. new byte[8]]);
        _client.Call(Command.DmaMap, [.. Wire.Map(0, Page), .. new byte[8]]);
        _client.Call(Command.DmaUnmap, [.. Wire.Unmap(0, Page), .. new byte[8]]);
        _client.Call(Command.DeviceReset, new byte[8]);
    }

    [Test]
    public void A_message_that_is_neither_command_nor_reply_is_refused()
    {
        for (uint type = 2; type < 16; type++)
        {
            ushort id = _client.Send(Command.DeviceReset, default, (MessageFlags)type);
            Assert.That(_client.ExpectError(Command.DeviceReset, id), Is.EqualTo(Errno.EINVAL));
        }
    }

    [TestCase(0u), TestCase(1u), TestCase(15u), TestCase(MessageHeader.HeaderSize + RegionAccess.Size + (1u << 20) + 1)]
    [TestCase(0x8000_0000u), TestCase(uint.MaxValue)]
    public void A_size_no_message_can_have_is_answered_and_ends_the_session(uint size)
    {
        _client.SendRaw(Wire.Bytes(new MessageHeader(7, Command.DeviceReset, size, MessageFlags.Command, 0)));
        Assert.That(_client.ExpectError(Command.DeviceReset, 7), Is.EqualTo(Errno.EINVAL));
        _client.ExpectClosed();
        _device.AssertServesAsNew();
    }

    [Test]
    public void The_largest_message_is_taken()
    {
        byte[] data = new byte[1 << 20];
        Assert.That(_client.Fail(Command.RegionWrite, Wire.Write(0, CardFunction.Sparse, data)), Is.EqualTo(Errno.EINVAL), "the BAR is smaller");
        _client.ExpectSilenceSoFar();
    }

    [Test]
    public void A_reply_to_nothing_ends_the_session()
    {
        _client.SendRaw(Wire.Message(1, Command.DmaRead, new byte[16], MessageFlags.Reply));
        _client.ExpectClosed();
        _device.AssertServesAsNew();
        Assert.That(_device.Reports, Has.Some.Contains("answers nothing"));
    }

    [Test]
    public void A_reply_of_a_size_no_message_can_have_is_not_answered()
    {
        _client.SendRaw(Wire.Bytes(new MessageHeader(7, Command.DmaRead, 3, MessageFlags.Reply, 0)));
        _client.ExpectClosed();
        _device.AssertServesAsNew();
    }

    private static IEnumerable<TestCaseData> WrongBeginnings()
    {
        static TestCaseData Case(string name, byte[] payload) => new TestCaseData(payload).SetArgDisplayNames(name);
        yield return Case("empty", []);
        yield return Case("short", [0, 0, 0]);
        yield return Case("major 1", Wire.Version(major: 1));
        yield return Case("major 65535", Wire.Version(major: ushort.MaxValue));
        yield return Case("broken JSON", Wire.Version("{\"capabilities\":{"));
        yield return Case("no JSON", Wire.Version("hello"));
        yield return Case("an array", Wire.Version("[]"));
        yield return Case("capabilities of another type", Wire.Version("{\"capabilities\":7}"));
        yield return Case("a limit of another type", Wire.Version("{\"capabilities\":{\"max_msg_fds\":\"many\"}}"));
        yield return Case("a negative limit", Wire.Version("{\"capabilities\":{\"max_data_xfer_size\":-1}}"));
        yield return Case("nested too deep", Wire.Version(new string('[', 10_000)));
    }

    [TestCaseSource(nameof(WrongBeginnings))]
    public void A_wrong_VERSION_is_answered_and_ends_the_session(byte[] payload)
    {
        _client.Dispose();
        using WireClient other = _device.Connect(negotiate: false);
        Assert.That(other.Fail(Command.Version, payload), Is.EqualTo(Errno.EINVAL));
        other.ExpectClosed();
        _device.AssertServesAsNew();
    }

    [Test]
    public void A_first_message_that_is_not_VERSION_is_answered_and_ends_the_session()
    {
        _client.Dispose();
        foreach (Command command in Enum.GetValues<Command>().Where(c => c != Command.Version))
        {
            using WireClient other = _device.Connect(negotiate: false);
            Assert.That(other.Fail(command, new byte[32]), Is.EqualTo(Errno.EINVAL), $"{command}");
            other.ExpectClosed();
        }
        _device.AssertServesAsNew();
    }

    [Test]
    public void VERSION_without_capabilities_means_the_defaults()
    {
        _client.Dispose();
        byte[][] payloads = [[0, 0, 0, 0], [0, 0, 0, 0, 0], Wire.Version("{}"), Wire.Version("{\"capabilities\":{}}"), Wire.Version("{\"x\":[1,{}]}")];
        foreach (byte[] payload in payloads)
        {
            using WireClient other = _device.Connect(negotiate: false);
            other.Call(Command.Version, payload);
            other.ExpectSilenceSoFar();
        }
    }

    [Test]
    public void DMA_MAP_overlapping_another_is_refused_and_adjoining_it_is_not()
    {
        _client.Call(Command.DmaMap, Wire.Map(0x4000, 0x4000));
        (ulong, ulong)[] overlapping = [(0x4000, 0x4000), (0, 0x4001), (0x7fff, 1), (0x5000, 0x1000), (0, 1UL << 63), (0x7000, 0x2000)];
        foreach ((ulong address, ulong length) in overlapping)
            Assert.That(_client.Fail(Command.DmaMap, Wire.Map(address, length)), Is.EqualTo(Errno.EEXIST), $"0x{address:x}, 0x{length:x} bytes");
        _client.Call(Command.DmaMap, Wire.Map(0, 0x4000));
        _client.Call(Command.DmaMap, Wire.Map(0x8000, 0x1000));
        _client.Call(Command.DmaMap, Wire.Map(ulong.MaxValue - 0xfff, 0x1000));
    }

    [Test]
    public void DMA_UNMAP_takes_whole_ranges_back_and_no_part_of_one()
    {
        (ulong Address, ulong Length)[] ranges = [(0x4000, 0x4000), (0x8000, 0x1000), (0xa000, 0x1000)];
        foreach ((ulong address, ulong length) in ranges) _client.Call(Command.DmaMap, Wire.Map(address, length));
        (ulong, ulong)[] parts = [(0x4000, 0x3fff), (0x4000, 0x4001), (0x4001, 0x3fff), (0x5000, 0x1000), (0, 0x8800), (0x7000, 0x2000), (0x8fff, 0x10000)];
        foreach ((ulong address, ulong length) in parts)
            Assert.That(_client.Fail(Command.DmaUnmap, Wire.Unmap(address, length)), Is.EqualTo(Errno.EINVAL), $"0x{address:x}, 0x{length:x} bytes");
        foreach ((ulong address, ulong length) in ranges)
            Assert.That(_client.Fail(Command.DmaMap, Wire.Map(address, length)), Is.EqualTo(Errno.EEXIST), $"0x{address:x} is still there");

        byte[] request = Wire.Unmap(0x4000, 0x4000);
        Assert.That(_client.Call(Command.DmaUnmap, request).Payload, Is.EqualTo(request), "exactly one: the reply repeats the request");
        Assert.That(_client.Call(Command.DmaUnmap, request).Payload, Is.EqualTo(Wire.Unmap(0x4000, 0)), "the reply says how much it was");
        Assert.That(_client.Call(Command.DmaUnmap, Wire.Unmap(0, 1UL << 63)).Payload, Is.EqualTo(Wire.Unmap(0, 0x2000)), "the other two at once");
        Assert.That(_client.Call(Command.DmaUnmap, Wire.Unmap(1UL << 63, 1UL << 63)).Payload, Is.EqualTo(Wire.Unmap(1UL << 63, 0)), "to the last address");
        _client.Call(Command.DmaMap, Wire.Map(0, 0x10000));
    }

    [Test]
    public void DMA_UNMAP_of_everything_works_with_any_number_of_ranges()
    {
        byte[] all = Wire.Unmap(0, 0, DmaUnmapFlags.All);
        _client.Call(Command.DmaUnmap, all);
        for (ulong i = 0; i < 10; i++) _client.Call(Command.DmaMap, Wire.Map(i * 0x10000, Page));
        Assert.That(_client.Call(Command.DmaUnmap, all).Payload, Is.EqualTo(all));
        _client.Call(Command.DmaMap, Wire.Map(0, 1UL << 40));
    }

    [Test]
    public void More_ranges_than_VERSION_offered_are_refused()
    {
        const int Most = 4096;
        for (int i = 0; i < Most; i++) _client.Send(Command.DmaMap, Wire.Map((ulong)i << 16, Page), MessageFlags.NoReply);
        Assert.That(_client.Fail(Command.DmaMap, Wire.Map(1UL << 60, Page)), Is.EqualTo(Errno.ENOSPC));
        _client.Call(Command.DmaUnmap, Wire.Unmap(0, Page));
        _client.Call(Command.DmaMap, Wire.Map(1UL << 60, Page));
    }

    private void RefusedMap(byte[] payload, int errno, params int[] fds)
    {
        int growth = OpenFiles.Growth(4, () => Assert.That(_client.Fail(Command.DmaMap, payload, fds), Is.EqualTo(errno)));
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        _client.Call(Command.DmaMap, Wire.Map(0, 1UL << 63));
    }

    [Test]
    public void DMA_MAP_with_two_descriptors_is_refused()
    {
        using SharedMemory memory = SharedMemory.Create("two", Page);
        RefusedMap(Wire.Map(0, Page), Errno.EINVAL, memory.Handle.Number, memory.Handle.Number);
    }

    [TestCase(1ul), TestCase(2048ul), TestCase(4095ul), TestCase(0x8000_0000_0000_0000ul), TestCase(0xffff_ffff_ffff_f000ul)]
    public void DMA_MAP_from_an_offset_that_is_no_page_of_the_file_is_refused(ulong offset)
    {
        using SharedMemory memory = SharedMemory.Create("offset", 4 * Page);
        RefusedMap(Wire.Map(0, Page, offset), Errno.EINVAL, memory.Handle.Number);
    }

    [TestCase(0ul, 0x4001ul), TestCase(0x1000ul, 0x4000ul), TestCase(0x4000ul, 1ul), TestCase(0ul, 0x8000_0000_0000ul)]
    public void DMA_MAP_of_more_than_the_file_has_is_refused(ulong offset, ulong length)
    {
        using SharedMemory memory = SharedMemory.Create("short", 4 * Page);
        RefusedMap(Wire.Map(0, length, offset), length > 1UL << 44 ? Errno.ENOMEM : Errno.EINVAL, memory.Handle.Number);
    }

    [Test]
    public void DMA_MAP_of_what_is_no_file_is_refused()
    {
        using EventFd eventFd = EventFd.Create();
        RefusedMap(Wire.Map(0, Page), Errno.ENODEV, eventFd.Handle.Number);
    }

    [Test]
    public void DMA_MAP_of_a_device_file_is_refused()
    {
        using var zero = new FileDescriptor(Descriptors.Open("/dev/zero", FileAccess.ReadWrite));
        RefusedMap(Wire.Map(0, Page), Errno.ENODEV, zero.Number);
    }

    [Test]
    public void DMA_MAP_of_a_folder_is_refused()
    {
        using var folder = new FileDescriptor(Descriptors.Open("/tmp", FileAccess.Read));
        RefusedMap(Wire.Map(0, Page), Errno.ENODEV, folder.Number);
    }

    [Test]
    public void DMA_MAP_for_writing_of_a_file_opened_for_reading_is_refused()
    {
        using var file = new FileDescriptor(Descriptors.Open(typeof(MalformedMessageTests).Assembly.Location, FileAccess.Read));
        RefusedMap(Wire.Map(0, Page), Errno.EACCES, file.Number);
    }

    [Test]
    public void DMA_MAP_over_another_gives_its_memory_back()
    {
        using SharedMemory memory = SharedMemory.Create("overlap", Page);
        _client.Call(Command.DmaMap, Wire.Map(0, 1UL << 40));
        int growth = OpenFiles.Growth(
            4, () => Assert.That(_client.Fail(Command.DmaMap, Wire.Map(0, Page), memory.Handle.Number), Is.EqualTo(Errno.EEXIST)));
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        Assert.That(File.ReadAllText("/proc/self/maps"), Does.Not.Contain("memfd:overlap"));
    }

    [TestCase(0), TestCase(1), TestCase(3), TestCase(16)]
    public void SET_IRQS_with_another_number_of_descriptors_than_interrupts_is_refused(int count)
    {
        using EventFd eventFd = EventFd.Create();
        int[] fds = [.. Enumerable.Repeat(eventFd.Handle.Number, count == 0 ? 1 : count)];
        int claimed = count == 1 ? 2 : count == 0 ? 0 : 1;
        int growth = OpenFiles.Growth(
            4, () => Assert.That(_client.Fail(Command.DeviceSetIrqs, Wire.Irqs(Attach, IrqIndex.MsiX, 0, claimed), fds), Is.EqualTo(Errno.EINVAL)));
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        Assert.That(_device.Invoke(() => _device.Card.Interrupts.Mode), Is.EqualTo(Interrupts.InterruptKind.Intx), "nothing was attached");
    }

    [Test]
    public void SET_IRQS_with_a_descriptor_that_is_no_eventfd_attaches_none_of_them()
    {
        using EventFd eventFd = EventFd.Create();
        using SharedMemory memory = SharedMemory.Create("stray", Page);
        int growth = OpenFiles.Growth(4, () =>
        {
            int[] fds = [eventFd.Handle.Number, memory.Handle.Number, eventFd.Handle.Number];
            Assert.That(_client.Fail(Command.DeviceSetIrqs, Wire.Irqs(Attach, IrqIndex.MsiX, 0, 3), fds), Is.EqualTo(Errno.EINVAL));
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        Assert.That(_device.Invoke(() => _device.Card.Interrupts.Mode), Is.EqualTo(Interrupts.InterruptKind.Intx));
    }

    [Test]
    public void SET_IRQS_to_unmask_by_two_descriptors_is_refused()
    {
        using EventFd eventFd = EventFd.Create();
        int[] fds = [eventFd.Handle.Number, eventFd.Handle.Number];
        const IrqSetFlags Unmask = IrqSetFlags.DataEventFd | IrqSetFlags.ActionUnmask;
        int growth = OpenFiles.Growth(
            4, () => Assert.That(_client.Fail(Command.DeviceSetIrqs, Wire.Irqs(Unmask, IrqIndex.Intx, 0, 1), fds), Is.EqualTo(Errno.EINVAL)));
        Assert.That(growth, Is.LessThanOrEqualTo(0));
        Assert.That(_client.Fail(Command.DeviceSetIrqs, Wire.Irqs(Unmask, IrqIndex.MsiX, 0, 1), fds[0]), Is.EqualTo(Errno.EINVAL), "MSI-X has no resample");
    }

    [Test]
    public void A_function_without_a_pin_has_no_INTx_to_set_up()
    {
        using var plain = new ServedDevice(slot => new PlainFunction(slot));
        using WireClient client = plain.Connect();
        using EventFd eventFd = EventFd.Create();
        for (int index = IrqIndex.Intx; index <= IrqIndex.MsiX; index++)
        {
            WireMessage info = client.Call(Command.DeviceGetIrqInfo, Wire.Bytes(new IrqInfo(16, 0, (uint)index, 0)));
            Assert.That(info.As<IrqInfo>().Count, Is.Zero);
            Assert.That(client.Fail(Command.DeviceSetIrqs, Wire.Irqs(Attach, index, 0, 1), eventFd.Handle.Number), Is.EqualTo(Errno.EINVAL));
        }
    }

    [Test]
    public void More_descriptors_than_a_message_may_carry_end_the_session_and_are_closed()
    {
        using EventFd eventFd = EventFd.Create();
        int[] fds = [.. Enumerable.Repeat(eventFd.Handle.Number, 17)];
        _client.Dispose();
        int growth = OpenFiles.Growth(4, () =>
        {
            using WireClient client = _device.Connect();
            client.Send(Command.DeviceReset, default, MessageFlags.Command, fds);
            client.ExpectClosed();
            _device.WaitForNoClient();
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void Descriptors_piled_up_before_their_message_is_whole_end_the_session_and_are_closed()
    {
        using EventFd eventFd = EventFd.Create();
        int[] fds = [.. Enumerable.Repeat(eventFd.Handle.Number, 16)];
        _client.Dispose();
        int growth = OpenFiles.Growth(4, () =>
        {
            using WireClient client = _device.Connect();
            client.SendRaw([1], fds);
            client.SendRaw([0], fds);
            client.ExpectClosed();
            _device.WaitForNoClient();
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }
}
