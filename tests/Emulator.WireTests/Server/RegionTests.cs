using System.Buffers.Binary;
using System.Runtime.Versioning;
using Emulator.VfioUser.Client;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using Emulator.WireTests.Transport;

namespace Emulator.WireTests.Server;

/// <summary>What the server says of regions, and that mapped bytes are those it reads and writes.</summary>
[TestFixture, Category("Wire"), SupportedOSPlatform("linux")]
public sealed class RegionTests
{
    private const uint ReadWrite = 3, Mappable = 4, HasCapabilities = 8;

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

    private WireMessage Ask(int region, uint room = RegionInfo.Size)
        => _client.Call(Command.DeviceGetRegionInfo, Wire.Bytes(new RegionInfo(room, 0, (uint)region, 0, 0, 0)));

    [Test]
    public void The_device_is_a_PCI_device_that_can_be_reset()
    {
        WireMessage reply = _client.Call(Command.DeviceGetInfo, Wire.Bytes(new DeviceInfo(16, 0, 0, 0)));
        Assert.That(reply.As<DeviceInfo>(), Is.EqualTo(new DeviceInfo(16, DeviceInfoFlags.Pci | DeviceInfoFlags.Reset, 9, 5)));
        Assert.That(reply.Payload, Has.Length.EqualTo(DeviceInfo.Size));
    }

    [TestCase(CardFunction.Registers, 4096u), TestCase(CardFunction.Ports, 16u), TestCase(CardFunction.Messages, 4096u)]
    [TestCase(RegionIndex.Config, 4096u)]
    public void A_region_of_registers_is_read_and_written_and_not_mapped(int region, uint size)
    {
        WireMessage reply = Ask(region, 4096);
        Assert.That(reply.As<RegionInfo>(), Is.EqualTo(new RegionInfo(RegionInfo.Size, (RegionInfoFlags)ReadWrite, (uint)region, 0, size, 0)));
        Assert.That(reply.Payload, Has.Length.EqualTo(RegionInfo.Size));
        Assert.That(reply.Descriptors, Is.Empty);
    }

    [TestCase(3), TestCase(RegionIndex.Rom), TestCase(RegionIndex.Vga)]
    public void A_region_that_is_not_there_has_no_size_and_no_flags(int region)
        => Assert.That(Ask(region).As<RegionInfo>(), Is.EqualTo(new RegionInfo(RegionInfo.Size, 0, (uint)region, 0, 0, 0)));

    [Test]
    public void A_conventional_function_has_256_bytes_of_configuration_space()
    {
        using var plain = new ServedDevice(slot => new PlainFunction(slot));
        using VfioUserClient client = plain.ConnectClient();
        using DeviceRegion region = client.GetRegionInfo(RegionIndex.Config);
        Assert.That(region.Length, Is.EqualTo(256));
        byte[] all = new byte[256];
        client.ReadRegion(RegionIndex.Config, 0, all);
        Assert.That(BinaryPrimitives.ReadUInt32LittleEndian(all), Is.EqualTo(0x10fd1af4));
        Assert.That(() => client.Read8(RegionIndex.Config, 256), Throws.TypeOf<VfioUserException>());
    }

    [Test]
    public void The_whole_of_configuration_space_is_read_in_one_message_and_there_is_no_ROM()
    {
        byte[] all = _client.Read(RegionIndex.Config, 0, 4096);
        Assert.That(BinaryPrimitives.ReadUInt32LittleEndian(all), Is.EqualTo(0x10fe1af4));
        Assert.That(BinaryPrimitives.ReadUInt32LittleEndian(all.AsSpan(0x30)), Is.Zero);
        // As QEMU sizes it.
        _client.Write32(RegionIndex.Config, 0x30, 0xfffff800);
        Assert.That(_client.Read32(RegionIndex.Config, 0x30), Is.Zero);
        _client.Write32(RegionIndex.Config, 0x10, uint.MaxValue);
        Assert.That(_client.Read32(RegionIndex.Config, 0x10), Is.EqualTo(0xfffff000), "BAR0: 4096 bytes");
    }

    [Test]
    public void A_sparse_region_is_described_in_two_steps()
    {
        const uint Full = 32 + 16 + (2 * 16);
        foreach (uint room in new uint[] { 32, 33, Full - 1 })
        {
            WireMessage small = Ask(CardFunction.Sparse, room);
            var expected = new RegionInfo(Full, (RegionInfoFlags)(ReadWrite | Mappable), CardFunction.Sparse, 0, CardFunction.SparseSize, 0);
            Assert.That(small.As<RegionInfo>(), Is.EqualTo(expected), "neither the flag nor the offset of capabilities");
            Assert.That(small.Payload, Has.Length.EqualTo(RegionInfo.Size));
            Assert.That(small.Descriptors, Is.Empty);
        }
        foreach (uint room in new[] { Full, Full + 1, uint.MaxValue })
        {
            WireMessage whole = Ask(CardFunction.Sparse, room);
            const RegionInfoFlags Flags = (RegionInfoFlags)(ReadWrite | Mappable | HasCapabilities);
            Assert.That(whole.As<RegionInfo>(), Is.EqualTo(new RegionInfo(Full, Flags, CardFunction.Sparse, 32, CardFunction.SparseSize, 0)));
            Assert.That(whole.Payload, Has.Length.EqualTo(Full));
            Assert.That(whole.Descriptors, Has.Length.EqualTo(1));
            whole.Descriptors[0].Dispose();
            byte[] capability =
            [
                1, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
                .. BitConverter.GetBytes(0x1000UL), .. BitConverter.GetBytes(0x2000UL), .. BitConverter.GetBytes(0x8000UL), .. BitConverter.GetBytes(0x8000UL),
            ];
            Assert.That(whole.Payload[RegionInfo.Size..], Is.EqualTo(capability));
        }
    }

    [Test]
    public void A_region_mapped_whole_needs_no_capability()
    {
        WireMessage reply = Ask(CardFunction.Whole);
        var expected = new RegionInfo(RegionInfo.Size, (RegionInfoFlags)(ReadWrite | Mappable), CardFunction.Whole, 0, CardFunction.WholeSize, 0);
        Assert.That(reply.As<RegionInfo>(), Is.EqualTo(expected));
        Assert.That(reply.Descriptors, Has.Length.EqualTo(1));
        reply.Descriptors[0].Dispose();
    }

    [Test]
    public void A_client_that_takes_no_descriptors_is_offered_nothing_to_map()
    {
        _client.Dispose();
        using WireClient client = _device.Connect(version: "{\"capabilities\":{\"max_msg_fds\":0}}");
        WireMessage reply = client.Call(Command.DeviceGetRegionInfo, Wire.Bytes(new RegionInfo(4096, 0, CardFunction.Whole, 0, 0, 0)));
        Assert.That((uint)reply.As<RegionInfo>().Flags, Is.EqualTo(ReadWrite));
        Assert.That(reply.Descriptors, Is.Empty);
    }

    [TestCase(CardFunction.Sparse), TestCase(CardFunction.Whole)]
    public void Mapped_bytes_are_those_that_messages_and_the_device_see(int index)
    {
        _client.Dispose();
        using VfioUserClient client = _device.ConnectClient();
        using DeviceRegion region = client.GetRegionInfo(index);
        foreach (SparseArea area in region.MappableAreas)
        {
            using MappedMemory view = region.Map(area);
            byte[] pattern = new byte[(int)area.Length];
            new Random((int)area.Offset).NextBytes(pattern);
            client.WriteRegion(index, area.Offset, pattern);
            Assert.That(view.Span.SequenceEqual(pattern), Is.True, $"written by a message at 0x{area.Offset:x}");
            view.Span[5] ^= 0xff;
            view.Span[^1] ^= 0xff;
            Assert.That(client.Read8(index, area.Offset + 5), Is.EqualTo(view.Span[5]));
            Assert.That(client.Read8(index, area.Offset + area.Length - 1), Is.EqualTo(view.Span[^1]));
            byte seen = _device.Invoke(() => _device.Card.Bars[index]!.Memory!.Span[(int)area.Offset + 5]);
            Assert.That(seen, Is.EqualTo(view.Span[5]));
        }
    }

    [Test]
    public void A_client_cannot_cut_the_memory_the_device_works_on()
    {
        _client.Dispose();
        using VfioUserClient client = _device.ConnectClient();
        using DeviceRegion region = client.GetRegionInfo(CardFunction.Whole);
        Assert.That(region.File!.Seals & (FileSeals.Shrink | FileSeals.Grow | FileSeals.Seal), Is.EqualTo(FileSeals.Shrink | FileSeals.Grow | FileSeals.Seal));
    }

    [Test]
    public void What_a_client_wrote_through_its_mapping_is_gone_for_the_next()
    {
        _client.Dispose();
        using (VfioUserClient client = _device.ConnectClient())
        using (DeviceRegion region = client.GetRegionInfo(CardFunction.Whole))
        using (MappedMemory view = region.Map(region.MappableAreas[0])) view.Span.Fill(0xee);
        using VfioUserClient next = _device.ConnectClient();
        Assert.That(next.Read32(CardFunction.Whole, 0), Is.Zero, "as after power-on");
    }

    private static void AssertSharesNothing(ServedDevice device, MappedMemory kept, VfioUserClient next, int index)
    {
        using DeviceRegion region = next.GetRegionInfo(index);
        SparseArea area = region.MappableAreas[0];
        using MappedMemory view = region.Map(area);
        kept.Span.Fill(0xee);
        Assert.That(next.Read32(index, area.Offset), Is.Zero, "what the next one reads");
        Assert.That(view.Span.IndexOfAnyExcept((byte)0), Is.EqualTo(-1), "what the next one has mapped");
        view.Span.Fill(0x11);
        Assert.That(kept.Span.IndexOfAnyExcept((byte)0xee), Is.EqualTo(-1), "what the one before has mapped");
        Assert.That(next.Read32(index, area.Offset), Is.EqualTo(0x11111111));
        byte seen = device.Invoke(() => device.Card.Bars[index]!.Memory!.Span[(int)area.Offset]);
        Assert.That(seen, Is.EqualTo(0x11), "what the device sees");
    }

    [Test]
    public void A_client_that_keeps_its_mapping_shares_nothing_with_the_next([Values(CardFunction.Sparse, CardFunction.Whole)] int index)
    {
        _client.Dispose();
        using var before = _device.ConnectClient();
        using DeviceRegion region = before.GetRegionInfo(index);
        using MappedMemory kept = region.Map(region.MappableAreas[0]);
        before.Dispose();
        using VfioUserClient next = _device.ConnectClient();
        AssertSharesNothing(_device, kept, next, index);
    }

    [Test]
    public void Nobody_gets_the_device_until_memory_that_a_client_may_still_have_mapped_is_replaced(
        [Values(CardFunction.Sparse, CardFunction.Whole)] int index)
    {
        ulong refusedSize = 0;
        SharedMemory Create(string name, ulong size) => size != Volatile.Read(ref refusedSize)
            ? SharedMemory.Create(name, size)
            : throw new TransportException("create the shared memory", Errno.ENFILE);
        using var device = new ServedDevice(adapt: options => options with { CreateSharedMemory = Create });
        using VfioUserClient before = device.ConnectClient();
        using DeviceRegion region = before.GetRegionInfo(index);
        // The other one can be replaced.
        before.GetRegionInfo(CardFunction.Sparse + CardFunction.Whole - index).Dispose();
        using MappedMemory kept = region.Map(region.MappableAreas[0]);
        Volatile.Write(ref refusedSize, region.Length);
        before.Dispose();
        device.WaitForNoClient();
        Assert.That(device.Reports, Has.Some.Contains("(ENFILE). Until that can be done nobody else gets the device"));
        using (WireClient refused = device.Connect(negotiate: false)) refused.ExpectClosed();
        Assert.That(device.Server.HasClient, Is.False);

        Volatile.Write(ref refusedSize, 0UL);
        using VfioUserClient next = device.ConnectClient();
        AssertSharesNothing(device, kept, next, index);
    }

    [Test]
    public void Accesses_of_any_length_and_alignment_reach_every_kind_of_region()
    {
        for (int count = 0; count <= 17; count++)
        {
            for (ulong offset = 0; offset < 4; offset++)
            {
                byte[] data = [.. Enumerable.Range(1, count).Select(i => (byte)(i + (int)offset))];
                _client.Call(Command.RegionWrite, Wire.Write(offset, CardFunction.Whole, data));
                Assert.That(_client.Read(CardFunction.Whole, offset, count), Is.EqualTo(data));
            }
        }
        Assert.That(_client.Read(CardFunction.Ports, 1, 15), Is.EqualTo(Enumerable.Range(1, 15).Select(i => (byte)i)));
        Assert.That(_client.Read(CardFunction.Registers, 1, 2), Is.EqualTo("BC"u8.ToArray()));
    }

    [Test]
    public void Regions_end_where_they_say()
    {
        Assert.That(_client.Read(CardFunction.Registers, 4092, 4), Is.EqualTo(new byte[4]));
        Assert.That(_client.Read(CardFunction.Registers, 4096, 0), Is.Empty);
        Assert.That(_client.Fail(Command.RegionRead, Wire.Read(4097, 0, 0)), Is.EqualTo(Errno.EINVAL));
        Assert.That(_client.Fail(Command.RegionRead, Wire.Read(4096, 0, 1)), Is.EqualTo(Errno.EINVAL));
    }

    [Test]
    public void Asking_for_regions_leaks_nothing()
    {
        int growth = OpenFiles.Growth(20, () =>
        {
            foreach (uint room in new uint[] { 32, 4096 })
            {
                for (int region = 0; region < RegionIndex.Count; region++) Array.ForEach(Ask(region, room).Descriptors, d => d.Dispose());
            }
        });
        Assert.That(growth, Is.LessThanOrEqualTo(0));
    }

    [Test]
    public void No_region_has_io_descriptors()
    {
        WireMessage reply = _client.Call(Command.DeviceGetRegionIoFds, Wire.Bytes(new RegionIoFds(4096, 0, CardFunction.Registers, 0)));
        Assert.That(reply.As<RegionIoFds>(), Is.EqualTo(new RegionIoFds(RegionIoFds.Size, 0, CardFunction.Registers, 0)));
        Assert.That(reply.Payload, Has.Length.EqualTo(RegionIoFds.Size));
    }

    [Test]
    public void A_device_reset_brings_registers_back_and_keeps_the_session()
    {
        _client.Write32(0, CardRegisters.Scratch, 1);
        _client.Call(Command.DmaMap, Wire.Map(0, 4096));
        _client.Call(Command.DeviceReset);
        Assert.That(_client.Read32(0, CardRegisters.Scratch), Is.EqualTo(CardRegisters.ScratchReset));
        _client.Call(Command.DmaUnmap, Wire.Unmap(0, 4096));
    }

    [Test]
    public void A_function_level_reset_by_a_configuration_write_brings_registers_back()
    {
        byte[] config = _client.Read(RegionIndex.Config, 0, 256);
        int express = config[0x34];
        while (config[express] != 0x10) express = config[express + 1];
        _client.Write32(0, CardRegisters.Scratch, 1);
        _client.Call(Command.RegionWrite, Wire.Write((ulong)express + 8, RegionIndex.Config, [0, 0x80]));
        Assert.That(_client.Read32(0, CardRegisters.Scratch), Is.EqualTo(CardRegisters.ScratchReset));
    }
}
