using System.Buffers.Binary;
using Emulator.Testing;
using Emulator.VfioUser.Protocol;
using FsCheck;
using FsCheck.Fluent;

namespace Emulator.WireTests.Protocol;

[TestFixture, Category("Unit")]
public sealed class SparseMapCapabilityTests
{
    private const int First = RegionInfo.Size;

    [TestCase(0), TestCase(1), TestCase(3)]
    public void Areas_written_behind_the_fixed_part_are_found(int count)
    {
        SparseArea[] areas = [.. Enumerable.Range(1, count).Select(i => new SparseArea((ulong)(i * 0x2000), 0x1000))];
        byte[] payload = new byte[First + SparseMapCapability.ByteCount(count)];
        WriteInfo(payload, First);
        SparseMapCapability.Write(payload.AsSpan(First), areas);

        Assert.That(SparseMapCapability.TryFind(payload, out SparseMapCapability found), Is.True);
        Assert.That(Areas(found), Is.EqualTo(areas));
    }

    [Test]
    public void The_bytes_are_those_of_the_specification()
    {
        byte[] bytes = new byte[SparseMapCapability.ByteCount(1)];
        SparseMapCapability.Write(bytes, [new SparseArea(0x1000, 0x2000)]);
        Assert.That(Convert.ToHexString(bytes), Is.EqualTo("0100010000000000" + "0100000000000000" + "0010000000000000" + "0020000000000000"));
    }

    [Test]
    public void It_is_found_behind_other_capabilities()
    {
        byte[] payload = new byte[First + 8 + 8 + SparseMapCapability.ByteCount(1)];
        WriteInfo(payload, First + 8);
        WriteCapability(payload, First + 8, id: 2, version: 1, next: First + 16);
        SparseMapCapability.Write(payload.AsSpan(First + 16), [new SparseArea(1, 2)]);
        Assert.That(SparseMapCapability.TryFind(payload, out SparseMapCapability found), Is.True);
        Assert.That(found[0], Is.EqualTo(new SparseArea(1, 2)));
    }

    [Test]
    public void Without_the_flag_or_with_another_version_there_is_none()
    {
        byte[] payload = new byte[First + SparseMapCapability.ByteCount(0)];
        SparseMapCapability.Write(payload.AsSpan(First), []);
        new RegionInfo((uint)payload.Length, RegionInfoFlags.MemoryMap, 0, First, 0, 0).Write(payload);
        Assert.That(SparseMapCapability.TryFind(payload, out _), Is.False, "no flag");
        WriteInfo(payload, First);
        payload[First + 2] = 2;
        Assert.That(SparseMapCapability.TryFind(payload, out _), Is.False, "version 2");
    }

    [TestCase(0u, Description = "no chain")]
    [TestCase(31u, Description = "inside the fixed part")]
    [TestCase(57u, Description = "too near to the end")]
    [TestCase(64u, Description = "at the end")]
    [TestCase(0x7fffffffu, Description = "far away")]
    [TestCase(uint.MaxValue, Description = "as far as can be")]
    public void A_chain_that_starts_outside_of_the_payload_has_none(uint offset)
    {
        byte[] payload = new byte[64];
        WriteInfo(payload, offset);
        Assert.That(SparseMapCapability.TryFind(payload, out _), Is.False);
    }

    [TestCase(First, Description = "at itself")]
    [TestCase(First - 8, Description = "backwards")]
    [TestCase(0, Description = "at the end of the chain")]
    public void A_chain_that_does_not_go_on_ends(int next)
    {
        byte[] payload = new byte[64];
        WriteInfo(payload, First);
        WriteCapability(payload, First, id: 9, version: 1, (uint)next);
        Assert.That(SparseMapCapability.TryFind(payload, out _), Is.False);
    }

    [TestCase(2u), TestCase(0x10000000u), TestCase(uint.MaxValue)]
    public void More_areas_than_there_are_bytes_for_are_refused(uint areas)
    {
        byte[] payload = new byte[First + SparseMapCapability.ByteCount(1)];
        WriteInfo(payload, First);
        SparseMapCapability.Write(payload.AsSpan(First), [default]);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(First + 8), areas);
        Assert.That(SparseMapCapability.TryFind(payload, out _), Is.False);
    }

    [Test]
    public void No_chain_of_any_bytes_throws_or_runs_on()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes =>
        {
            byte[] payload = new byte[First + bytes.Length];
            bytes.CopyTo(payload, First);
            for (uint offset = 0; offset < payload.Length + 2; offset++)
            {
                WriteInfo(payload, offset);
                if (SparseMapCapability.TryFind(payload, out SparseMapCapability found))
                {
                    _ = Areas(found);
                }
            }
        }).Check(FixedSeed.Config);
    }

    private static SparseArea[] Areas(SparseMapCapability capability)
    {
        var areas = new SparseArea[capability.Count];
        for (int i = 0; i < areas.Length; i++)
        {
            areas[i] = capability[i];
        }
        return areas;
    }

    private static void WriteInfo(byte[] payload, uint offset) => new RegionInfo(
        (uint)payload.Length, RegionInfoFlags.MemoryMap | RegionInfoFlags.Capabilities, 0, offset, 0, 0).Write(payload);

    private static void WriteCapability(byte[] payload, int at, ushort id, ushort version, uint next)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(payload.AsSpan(at), id);
        BinaryPrimitives.WriteUInt16LittleEndian(payload.AsSpan(at + 2), version);
        BinaryPrimitives.WriteUInt32LittleEndian(payload.AsSpan(at + 4), next);
    }
}
