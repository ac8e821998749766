using Emulator.Registers;
using Emulator.Testing;
using static Emulator.Registers.Access;

namespace Emulator.Tests.Core;

[Category("Unit")]
public sealed class RegisterBankTests
{
    [Test]
    public void Bytes_and_words_of_a_wider_register_are_its_lanes()
    {
        TestBank bank = Plain(4);
        bank.Write(0, 4, 0x4433_2211);
        bank.Write(1, 2, 0xbbaa);
        Assert.That(bank.Read(0, 4), Is.EqualTo(0x44bb_aa11));
        Assert.That(new[] { bank.Read(0, 1), bank.Read(1, 1), bank.Read(2, 1), bank.Read(3, 1) }, Is.EqualTo(new ulong[] { 0x11, 0xaa, 0xbb, 0x44 }));
        Assert.That(bank.Read(1, 2), Is.EqualTo(0xbbaa));
    }

    [Test]
    public void A_64_bit_register_takes_its_halves_in_either_order()
    {
        foreach (bool highFirst in new[] { false, true })
        {
            TestBank bank = Plain(8);
            bank.Write(highFirst ? 4 : 0, 4, highFirst ? 0x0123_4567u : 0x89ab_cdefu);
            bank.Write(highFirst ? 0 : 4, 4, highFirst ? 0x89ab_cdefu : 0x0123_4567u);
            Assert.That(bank.Read(0, 8), Is.EqualTo(0x0123_4567_89ab_cdef));
            Assert.That(bank.Read(4, 4), Is.EqualTo(0x0123_4567));
        }
    }

    [Test]
    public void Each_half_write_runs_the_handler_with_its_own_lanes()
    {
        var writes = new List<RegisterWrite>();
        var bank = new TestBank();
        bank.Add("R", 0, 8).Bits(63, 0, "F", ReadWrite).OnWrite((int _, in RegisterWrite write) => writes.Add(write));
        bank.Write(4, 4, 0xffff_ffff);
        bank.Write(0, 4, 1);
        Assert.That(writes, Is.EqualTo(new[]
        {
            new RegisterWrite(0, 0xffff_ffff_0000_0000, 0xffff_ffff_0000_0000, 0xffff_ffff_0000_0000),
            new RegisterWrite(0xffff_ffff_0000_0000, 0xffff_ffff_0000_0001, 1, 0xffff_ffff),
        }));
    }

    [Test]
    public void One_access_reaches_every_register_it_covers_lowest_first()
    {
        var order = new List<string>();
        var bank = new TestBank();
        foreach ((string name, int offset, int size) in new[] { ("A", 0, 1), ("B", 1, 1), ("C", 2, 2), ("D", 4, 4) })
        {
            bank.Add(name, offset, size).Bits((size * 8) - 1, 0, "F", ReadWrite)
                .OnWrite((int _, in RegisterWrite write) => order.Add($"{name}={write.After:x}"));
        }
        bank.Write(0, 8, 0x8877_6655_4433_2211);
        Assert.That(order, Is.EqualTo(new[] { "A=11", "B=22", "C=4433", "D=88776655" }));
        Assert.That(bank.Read(1, 4), Is.EqualTo(0x5544_3322));
        Assert.That(bank.Read(0, 8), Is.EqualTo(0x8877_6655_4433_2211));
    }

    [Test]
    public void Where_no_register_is_reads_give_the_unmapped_byte_and_writes_are_lost()
    {
        var bank = new TestBank(length: 8, unmapped: 0xa5);
        bank.Add("R", 1, 1).Bits(7, 0, "F", ReadWrite);
        bank.Write(0, 4, 0xffff_ffff);
        Assert.That(bank.Read(0, 4), Is.EqualTo(0xa5a5_ffa5));
        Assert.That(bank.Peek(0, 4), Is.EqualTo(0xa5a5_ffa5));
        Assert.That(bank.Read(6, 8), Is.EqualTo(0xa5a5_a5a5_a5a5_a5a5));
    }

    [TestCase(-1, 4)]
    [TestCase(int.MinValue, 8)]
    [TestCase(int.MaxValue, 8)]
    [TestCase(15, 8)]
    public void No_offset_can_throw(int offset, int size)
    {
        TestBank bank = Plain(4);
        Assert.That(() =>
        {
            bank.Write(offset, size, ulong.MaxValue);
            _ = bank.Peek(offset, size) + bank.Read(offset, size);
        }, Throws.Nothing);
    }

    [Test]
    public void Arrays_have_a_stride_an_index_and_one_handler_for_all()
    {
        var writes = new List<(int, ulong)>();
        void Note(int index, in RegisterWrite write) => writes.Add((index, write.After));
        var bank = new TestBank(length: 0x40);
        Register[] array = bank.AddArray("PORT", 0x10, 4, 3, 0x10, r => r.Bits(31, 0, "F", ReadWrite).OnWrite(Note), "A port.");
        bank.Write(0x30, 4, 7);
        bank.Write(0x10, 4, 5);
        Assert.That(writes, Is.EqualTo(new[] { (2, 7UL), (0, 5UL) }));
        Assert.That(array.Select(r => (r.Name, r.Offset, r.Index, r.Id, r.Summary)), Is.EqualTo(new[]
        {
            ("PORT[0]", 0x10, 0, 0, "A port."), ("PORT[1]", 0x20, 1, 1, "A port."), ("PORT[2]", 0x30, 2, 2, "A port."),
        }));
    }

    [Test]
    public void A_quadword_may_start_at_any_dword()
    {
        var bank = new TestBank();
        bank.Add("R", 4, 8).Bits(63, 0, "F", ReadWrite);
        bank.Write(4, 8, 0x1122_3344_5566_7788);
        Assert.That(bank.Read(8, 4), Is.EqualTo(0x1122_3344));
    }

    [TestCase(AccessSizes.Dword, 0, 8, 0x1716_1514_1312_1110u, TestName = "A_wider_access_is_split_into_what_the_bank_answers")]
    [TestCase(AccessSizes.Dword | AccessSizes.Qword, 4, 8, 0x1b1a_1918_1716_1514u, TestName = "An_unaligned_access_is_split_into_aligned_ones")]
    [TestCase(AccessSizes.Byte, 1, 4, 0x1413_1211u, TestName = "A_byte_wide_device_answers_dwords_byte_by_byte")]
    public void Split(AccessSizes sizes, int offset, int size, ulong expected)
    {
        TestBank bank = Plain(4, sizes);
        for (int i = 0; i < 4; i++) bank.Registers[i].Value = 0x1312_1110u + (0x0404_0404u * (uint)i);
        Assert.That(bank.Read(offset, size), Is.EqualTo(expected));
        bank.Write(offset, size, ~expected);
        Assert.That(bank.Peek(offset, size), Is.EqualTo(~expected & (ulong.MaxValue >> (64 - (size * 8)))));
    }

    [TestCase(AccessSizes.Dword, 0, 1)]
    [TestCase(AccessSizes.Dword, 2, 4)]
    [TestCase(AccessSizes.Dword | AccessSizes.Qword, 2, 8)]
    [TestCase(AccessSizes.Word, 1, 1)]
    [TestCase(AccessSizes.Word, 1, 2)]
    public void An_access_too_narrow_is_refused_and_told(AccessSizes sizes, int offset, int size)
    {
        var refused = new List<int>();
        TestBank bank = Plain(4, sizes, unmapped: 0xff);
        bank.Refused = refused.Add;
        bank.Write(offset, size, 0);
        bank.Registers[0].Value = 0x1234_5678;
        Assert.That(bank.Read(offset, size), Is.EqualTo(ulong.MaxValue >> (64 - (size * 8))));
        Assert.That(refused, Is.EqualTo(new[] { offset, offset }));
        Assert.That(bank.Registers[0].Value, Is.EqualTo(0x1234_5678));
    }

    [Test]
    public void A_refused_write_changes_nothing()
    {
        TestBank bank = Plain(4, AccessSizes.Dword);
        bank.Write(0, 2, 0xffff);
        Assert.That(bank.Peek(0, 4), Is.Zero);
    }

    [Test]
    public void Accesses_allocate_nothing()
    {
        TestBank bank = Plain(4);
        bank.Registers[0].OnWrite((int _, in RegisterWrite _) => { });
        ulong sum = 0;
        Assert.That(Allocations.BytesOf(() => sum += Traffic(bank, 10_000)), Is.Zero, $"after a sum of {sum}");
    }

    private static ulong Traffic(TestBank bank, int count)
    {
        ulong sum = 0;
        for (int i = 0; i < count; i++)
        {
            bank.Write(i & 15, 1 << (i & 3), (ulong)i);
            sum += bank.Read((i >> 1) & 15, 1 << (i & 3)) + bank.Peek(i & 15, 8);
        }
        return sum;
    }

    // A bank full of plain read-write registers of one size.
    private static TestBank Plain(int size, AccessSizes sizes = AccessSizes.Any, byte unmapped = 0)
    {
        var bank = new TestBank(16, sizes, unmapped);
        bank.AddArray("R", 0, size, 16 / size, size, r => r.Bits((size * 8) - 1, 0, "F", ReadWrite));
        return bank;
    }
}
