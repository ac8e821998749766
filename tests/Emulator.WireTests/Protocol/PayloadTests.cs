using System.Runtime.CompilerServices;
using Emulator.Testing;
using Emulator.VfioUser.Protocol;
using FsCheck;
using FsCheck.Fluent;

namespace Emulator.WireTests.Protocol;

/// <summary>One fixture for every fixed structure of the wire: size, round trip, and input of any length and content.</summary>
[Category("Unit")]
[TestFixture(typeof(MessageHeader), 16)]
[TestFixture(typeof(DmaMap), 32)]
[TestFixture(typeof(DmaUnmap), 24)]
[TestFixture(typeof(DmaAccess), 16)]
[TestFixture(typeof(DeviceInfo), 16)]
[TestFixture(typeof(RegionInfo), 32)]
[TestFixture(typeof(SparseArea), 16)]
[TestFixture(typeof(RegionIoFds), 16)]
[TestFixture(typeof(SubRegionIoFd), 40)]
[TestFixture(typeof(IrqInfo), 16)]
[TestFixture(typeof(IrqSet), 20)]
[TestFixture(typeof(RegionAccess), 16)]
[TestFixture(typeof(RegionWrite), 24)]
[TestFixture(typeof(DeviceFeature), 8)]
[TestFixture(typeof(MigrationData), 8)]
public sealed class PayloadTests<TPayload>(int size)
    where TPayload : struct, IWirePayload<TPayload>
{
    [Test]
    public void The_size_is_that_of_the_specification_and_the_fields_leave_no_gap()
    {
        Assert.That(TPayload.WireSize, Is.EqualTo(size));
        Assert.That(Unsafe.SizeOf<TPayload>(), Is.EqualTo(size));
    }

    [Test]
    public void Every_byte_read_is_written_back()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes =>
        {
            byte[] source = Fit(bytes);
            byte[] target = new byte[size + 3];
            bool read = TPayload.TryRead(source, out TPayload value);
            value.Write(target);
            return read && target.AsSpan(0, size).SequenceEqual(source) && target.AsSpan(size).IndexOfAnyExcept((byte)0) < 0;
        }).Check(FixedSeed.Config);
    }

    [Test]
    public void Each_byte_belongs_to_a_field()
    {
        for (int i = 0; i < size; i++)
        {
            byte[] bytes = new byte[size];
            bytes[i] = 0x81;
            TPayload.TryRead(bytes, out TPayload value);
            Assert.That(value, Is.Not.EqualTo(default(TPayload)), $"byte {i}");
        }
    }

    [Test]
    public void Too_few_bytes_are_refused_and_more_are_ignored()
    {
        for (int length = 0; length < size; length++)
        {
            Assert.That(TPayload.TryRead(new byte[length], out _), Is.False, $"{length} bytes");
        }
        Assert.That(TPayload.TryRead(new byte[size], out _), Is.True);
        Assert.That(TPayload.TryRead(new byte[size + 1], out _), Is.True);
    }

    [Test]
    public void Writing_into_too_little_room_throws_and_writes_nothing()
    {
        byte[] ones = new byte[size];
        ones.AsSpan().Fill(0xff);
        TPayload.TryRead(ones, out TPayload value);
        byte[] target = new byte[size - 1];
        Assert.That(() => value.Write(target), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(target, Is.All.Zero);
    }

    private byte[] Fit(byte[] bytes)
    {
        byte[] fitted = new byte[size];
        for (int i = 0; i < size; i++)
        {
            fitted[i] = bytes.Length == 0 ? (byte)i : (byte)(bytes[i % bytes.Length] + i);
        }
        return fitted;
    }
}
