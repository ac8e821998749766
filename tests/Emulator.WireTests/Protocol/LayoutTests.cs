using Emulator.Testing;
using Emulator.VfioUser.Protocol;
using FsCheck;
using FsCheck.Fluent;

namespace Emulator.WireTests.Protocol;

/// <summary>Where each field is, byte by byte, as the specification's tables say.</summary>
[TestFixture, Category("Unit")]
public sealed class LayoutTests
{
    // Each byte holds its own offset, so a field's value says where it was read.
    private static readonly byte[] Ramp = [.. Enumerable.Range(0, 64).Select(i => (byte)i)];

    private static ushort U16(int offset) => BitConverter.ToUInt16(Ramp, offset);

    private static uint U32(int offset) => BitConverter.ToUInt32(Ramp, offset);

    private static ulong U64(int offset) => BitConverter.ToUInt64(Ramp, offset);

    [Test]
    public void Header()
    {
        MessageHeader.TryRead(Ramp, out MessageHeader value);
        Assert.That(value, Is.EqualTo(new MessageHeader(U16(0), (Command)U16(2), U32(4), (MessageFlags)U32(8), U32(12))));
    }

    [Test]
    public void Dma()
    {
        DmaMap.TryRead(Ramp, out DmaMap map);
        Assert.That(map, Is.EqualTo(new DmaMap(U32(0), (DmaMapFlags)U32(4), U64(8), U64(16), U64(24))));
        DmaUnmap.TryRead(Ramp, out DmaUnmap unmap);
        Assert.That(unmap, Is.EqualTo(new DmaUnmap(U32(0), (DmaUnmapFlags)U32(4), U64(8), U64(16))));
        DmaAccess.TryRead(Ramp, out DmaAccess access);
        Assert.That(access, Is.EqualTo(new DmaAccess(U64(0), U64(8))));
    }

    [Test]
    public void Device_and_regions()
    {
        DeviceInfo.TryRead(Ramp, out DeviceInfo device);
        Assert.That(device, Is.EqualTo(new DeviceInfo(U32(0), (DeviceInfoFlags)U32(4), U32(8), U32(12))));
        RegionInfo.TryRead(Ramp, out RegionInfo region);
        Assert.That(region, Is.EqualTo(new RegionInfo(U32(0), (RegionInfoFlags)U32(4), U32(8), U32(12), U64(16), U64(24))));
        RegionIoFds.TryRead(Ramp, out RegionIoFds fds);
        Assert.That(fds, Is.EqualTo(new RegionIoFds(U32(0), U32(4), U32(8), U32(12))));
        SubRegionIoFd.TryRead(Ramp, out SubRegionIoFd sub);
        Assert.That(sub, Is.EqualTo(new SubRegionIoFd(U64(0), U64(8), U32(16), (IoFdType)U32(20), U32(24), U32(28), U64(32))));
        RegionAccess.TryRead(Ramp, out RegionAccess access);
        Assert.That(access, Is.EqualTo(new RegionAccess(U64(0), U32(8), U32(12))));
        RegionWrite.TryRead(Ramp, out RegionWrite write);
        Assert.That(write, Is.EqualTo(new RegionWrite(U64(0), U32(8), U32(12), U64(16))));
        SparseArea.TryRead(Ramp, out SparseArea area);
        Assert.That(area, Is.EqualTo(new SparseArea(U64(0), U64(8))));
    }

    [Test]
    public void Interrupts_features_and_migration()
    {
        IrqInfo.TryRead(Ramp, out IrqInfo info);
        Assert.That(info, Is.EqualTo(new IrqInfo(U32(0), (IrqInfoFlags)U32(4), U32(8), U32(12))));
        IrqSet.TryRead(Ramp, out IrqSet set);
        Assert.That(set, Is.EqualTo(new IrqSet(U32(0), (IrqSetFlags)U32(4), U32(8), U32(12), U32(16))));
        DeviceFeature.TryRead(Ramp, out DeviceFeature feature);
        Assert.That(feature, Is.EqualTo(new DeviceFeature(U32(0), (DeviceFeatureFlags)U32(4))));
        Assert.That(feature.Feature, Is.EqualTo(U16(4)));
        MigrationData.TryRead(Ramp, out MigrationData data);
        Assert.That(data, Is.EqualTo(new MigrationData(U32(0), U32(4))));
    }

    [TestCase(0x00u, true, false, false, false)]
    [TestCase(0x01u, false, true, false, false)]
    [TestCase(0x02u, false, false, false, false)]
    [TestCase(0x0fu, false, false, false, false)]
    [TestCase(0x10u, true, false, true, false)]
    [TestCase(0x21u, false, true, false, true)]
    [TestCase(0xfffffff0u, true, false, true, true)]
    public void The_type_of_a_message_is_in_four_bits(uint flags, bool command, bool reply, bool noReply, bool error)
    {
        var header = new MessageHeader(0, Command.Version, 16, (MessageFlags)flags, 0);
        Assert.That((header.IsCommand, header.IsReply, header.NoReply, header.IsError), Is.EqualTo((command, reply, noReply, error)));
    }

    [TestCase(0u, -1), TestCase(15u, -1), TestCase(16u, 0), TestCase(20u, 4), TestCase(0x7fffffffu, 0x7fffffef), TestCase(0x80000000u, -1)]
    public void The_payload_is_what_the_size_leaves(uint size, int payload)
    {
        Assert.That(new MessageHeader(0, Command.Version, size, MessageFlags.Command, 0).PayloadSize, Is.EqualTo(payload));
    }

    [Test]
    public void Replies_echo_id_and_command_and_error_replies_are_a_header_only()
    {
        MessageHeader command = MessageHeader.ForCommand(0x1234, Command.RegionRead, 16);
        Assert.That(command, Is.EqualTo(new MessageHeader(0x1234, Command.RegionRead, 32, MessageFlags.Command, 0)));
        Assert.That(command.ToReply(20), Is.EqualTo(new MessageHeader(0x1234, Command.RegionRead, 36, (MessageFlags)1, 0)));
        Assert.That(command.ToErrorReply(Errno.EINVAL), Is.EqualTo(new MessageHeader(0x1234, Command.RegionRead, 16, (MessageFlags)0x21, 22)));
        Assert.That((uint)MessageHeader.ForCommand(0, Command.RegionWrite, 0, noReply: true).Flags, Is.EqualTo(0x10));
    }

    [Test]
    public void A_dma_write_reply_has_a_count_of_four_or_eight_bytes()
    {
        Assert.That(DmaAccess.TryReadWriteReply(Ramp.AsSpan(0, 12), out DmaAccess shorter), Is.True);
        Assert.That(shorter, Is.EqualTo(new DmaAccess(U64(0), U32(8))));
        Assert.That(DmaAccess.TryReadWriteReply(Ramp.AsSpan(0, 16), out DmaAccess full), Is.True);
        Assert.That(full, Is.EqualTo(new DmaAccess(U64(0), U64(8))));
        Assert.That(DmaAccess.TryReadWriteReply(Ramp.AsSpan(0, 11), out _), Is.False);
        Assert.That(DmaAccess.TryReadWriteReply(Ramp.AsSpan(0, 13), out _), Is.False);
    }

    [Test]
    public void An_interrupt_request_has_one_data_kind_and_one_action()
    {
        var set = new IrqSet(20, (IrqSetFlags)0xffffffe4u, 0, 0, 0);
        Assert.That(set.Data, Is.EqualTo(IrqSetFlags.DataEventFd));
        Assert.That(set.Action, Is.EqualTo(IrqSetFlags.ActionTrigger));
    }

    [Test]
    public void Several_writes_are_read_as_they_were_written()
    {
        RegionWrite[] writes = [new(0, 1, 8, ulong.MaxValue), new(ulong.MaxValue, 7, 0, 0), new(3, 0, 1, 0x80)];
        byte[] bytes = new byte[RegionWriteMulti.ByteCount(writes.Length)];
        RegionWriteMulti.Write(bytes, writes);
        Assert.That(bytes, Has.Length.EqualTo(8 + 3 * 24));
        Assert.That(BitConverter.ToUInt64(bytes), Is.EqualTo(3));
        Assert.That(RegionWriteMulti.TryRead(bytes, out RegionWriteMulti read), Is.True);
        Assert.That(read.Count, Is.EqualTo(3));
        Assert.That(new[] { read[0], read[1], read[2] }, Is.EqualTo(writes));
        bool threw = false;
        try
        {
            _ = read[3];
        }
        catch (ArgumentOutOfRangeException)
        {
            threw = true;
        }
        Assert.That(threw, Is.True);
    }

    [TestCase(0, 0ul, Description = "no room for the count")]
    [TestCase(7, 0ul, Description = "part of a count")]
    [TestCase(8, 1ul, Description = "one promised, none there")]
    [TestCase(8 + 24, 0ul, Description = "none promised, one there")]
    [TestCase(8 + 23, 1ul, Description = "one byte short")]
    [TestCase(8 + 25, 1ul, Description = "one byte over")]
    [TestCase(8 + 24, 0x0aaaaaaaaaaaaaabul, Description = "a product that overflows to 8")]
    [TestCase(8 + 24, ulong.MaxValue, Description = "the largest count")]
    public void Several_writes_whose_count_is_not_their_number_are_refused(int length, ulong count)
    {
        byte[] bytes = new byte[Math.Max(8, length)];
        BitConverter.TryWriteBytes(bytes, count);
        Assert.That(RegionWriteMulti.TryRead(bytes.AsSpan(0, length), out _), Is.False);
    }

    [Test]
    public void A_write_of_more_than_eight_bytes_is_refused_wherever_it_is()
    {
        for (int at = 0; at < 3; at++)
        {
            var writes = new RegionWrite[3];
            writes[at] = new RegionWrite(0, 0, 9, 0);
            byte[] bytes = new byte[RegionWriteMulti.ByteCount(3)];
            RegionWriteMulti.Write(bytes, writes);
            Assert.That(RegionWriteMulti.TryRead(bytes, out _), Is.False, $"write {at}");
        }
    }

    [Test]
    public void No_bytes_make_the_readers_of_variable_data_throw()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes =>
        {
            if (RegionWriteMulti.TryRead(bytes, out RegionWriteMulti writes))
            {
                for (int i = 0; i < writes.Count; i++)
                {
                    _ = writes[i];
                }
            }
            if (SparseMapCapability.TryFind(bytes, out SparseMapCapability areas))
            {
                for (int i = 0; i < areas.Count; i++)
                {
                    _ = areas[i];
                }
            }
            VersionPayload.TryRead(bytes, out _);
        }).Check(FixedSeed.Config);
    }

    [Test]
    public void Errno_names_are_those_of_linux()
    {
        Assert.That(Errno.Name(22), Is.EqualTo("EINVAL"));
        Assert.That(Errno.Name(104), Is.EqualTo("ECONNRESET"));
        Assert.That(Errno.Name(4711), Is.EqualTo("errno 4711"));
        foreach (System.Reflection.FieldInfo field in typeof(Errno).GetFields())
        {
            Assert.That(Errno.Name((int)field.GetRawConstantValue()!), Is.EqualTo(field.Name));
        }
    }
}
