using Emulator.Registers;
using static Emulator.Registers.Access;

namespace Emulator.Tests.Core;

[Category("Unit")]
public sealed class RegisterTests
{
    private enum Speed : byte { Full = 1, Low = 2, High = 3 }

    private enum Wide : ulong { Huge = 0xffff_0000_0000_0001 }

    private enum Signed { Three = 3 }

    [Test]
    public void RO_ignores_writes_and_shows_what_the_device_sets()
    {
        Register register = new TestBank().Add("R", 0, 4).Bits(7, 0, "F", ReadOnly, out Field field, reset: 0x5a);
        register.Bank.Write(0, 4, 0xffff_ffff);
        Assert.That(register.Bank.Read(0, 4), Is.EqualTo(0x5a));
        field.Value = 0x11;
        Assert.That(register.Bank.Read(0, 4), Is.EqualTo(0x11));
    }

    [Test]
    public void RW_holds_what_is_written_and_undefined_bits_stay_zero()
    {
        Register register = new TestBank().Add("R", 0, 4).Bits(15, 8, "F", ReadWrite);
        register.Bank.Write(0, 4, 0xffff_ffff);
        Assert.That(register.Bank.Read(0, 4), Is.EqualTo(0xff00));
    }

    [Test]
    public void WO_reads_zero_and_the_device_sees_the_value()
    {
        Register register = new TestBank().Add("R", 0, 4).Bits(15, 8, "F", WriteOnly, out Field field);
        register.Bank.Write(0, 4, 0x1234);
        Assert.That(register.Bank.Read(0, 4), Is.Zero);
        Assert.That(register.Bank.Peek(0, 4), Is.Zero);
        Assert.That(field.Value, Is.EqualTo(0x12));
    }

    [Test]
    public void RW1C_clears_the_ones_written_and_never_sets()
    {
        Register register = new TestBank().Add("R", 0, 1).Bits(7, 0, "F", WriteOneToClear, reset: 0xf0);
        register.Bank.Write(0, 1, 0x1f);
        Assert.That(register.Bank.Read(0, 1), Is.EqualTo(0xe0));
        register.Bank.Write(0, 1, 0x00);
        Assert.That(register.Bank.Read(0, 1), Is.EqualTo(0xe0));
    }

    [Test]
    public void RW1S_sets_the_ones_written_and_only_the_device_clears()
    {
        Register register = new TestBank().Add("R", 0, 1).Bits(7, 0, "F", WriteOneToSet, out Field field);
        register.Bank.Write(0, 1, 0x11);
        register.Bank.Write(0, 1, 0x02);
        Assert.That(register.Bank.Read(0, 1), Is.EqualTo(0x13));
        field.IsSet = false;
        Assert.That(register.Bank.Read(0, 1), Is.Zero);
    }

    [Test]
    public void RC_clears_when_read_but_only_in_the_bytes_read()
    {
        Register register = new TestBank().Add("R", 0, 2).Bits(15, 0, "F", ReadToClear, reset: 0xabcd);
        Assert.That(register.Bank.Read(1, 1), Is.EqualTo(0xab));
        Assert.That(register.Bank.Read(0, 2), Is.EqualTo(0xcd));
        Assert.That(register.Bank.Read(0, 2), Is.Zero);
        register.Bank.Write(0, 2, 0xffff);
        Assert.That(register.Bank.Read(0, 2), Is.Zero);
    }

    [Test]
    public void What_the_device_raises_while_a_read_clears_is_kept_for_the_next_read()
    {
        Register register = new TestBank().Add("R", 0, 1).Bits(7, 0, "F", ReadToClear, reset: 0x01);
        register.OnRead((_, stored) =>
        {
            register.Value |= 0x80;
            return stored;
        });
        Assert.That(register.Bank.Read(0, 1), Is.EqualTo(0x01));
        Assert.That(register.Value, Is.EqualTo(0x80));
    }

    [Test]
    public void A_write_handler_sees_before_after_the_raw_bits_and_the_lanes()
    {
        RegisterWrite seen = default;
        Register register = new TestBank().Add("R", 0, 4)
            .Bits(7, 0, "RW", ReadWrite, out Field plain)
            .Bits(15, 8, "W1C", WriteOneToClear, out Field clear, reset: 0xff)
            .Bits(23, 16, "RO", ReadOnly, out Field fixedBits)
            .OnWrite((int _, in RegisterWrite write) => seen = write);
        register.Bank.Write(0, 4, 0xffff_0f01);
        Assert.That(seen, Is.EqualTo(new RegisterWrite(0xff00, 0xf001, 0xffff_0f01, 0xffff_ffff)));
        Assert.That(seen.Rose(plain) && !seen.Fell(plain) && seen.Changed(plain) && seen.WroteOne(plain));
        Assert.That(seen.Changed(clear) && !seen.Rose(clear) && !seen.Fell(clear));
        Assert.That(!seen.Changed(fixedBits) && seen.WroteOne(fixedBits));
        register.Bank.Write(1, 1, 0xf0);
        Assert.That(seen, Is.EqualTo(new RegisterWrite(0xf001, 0x0001, 0xf000, 0xff00)));
        Assert.That(seen.Fell(clear) && !seen.WroteOne(plain));
    }

    [Test]
    public void The_stored_value_is_in_place_when_the_handler_runs()
    {
        ulong stored = 0;
        Register register = new TestBank().Add("R", 0, 1).Bits(7, 0, "F", ReadWrite);
        register.OnWrite((int _, in RegisterWrite _) => stored = register.Value);
        register.Bank.Write(0, 1, 0x77);
        Assert.That(stored, Is.EqualTo(0x77));
    }

    [Test]
    public void A_read_handler_computes_what_is_seen_and_does_not_change_what_is_stored()
    {
        Register register = new TestBank().Add("R", 4, 4).Bits(31, 0, "F", ReadWrite, reset: 5);
        register.OnRead((_, stored) => stored * 2);
        Assert.That(register.Bank.Read(4, 4), Is.EqualTo(10));
        Assert.That(register.Value, Is.EqualTo(5));
        Assert.That(register.IsReadComputed && register.HasReadSideEffects);
    }

    [Test]
    public void A_read_handler_cannot_answer_more_than_the_register_is_wide()
    {
        Register register = new TestBank().Add("R", 0, 1).Bits(7, 0, "F", ReadOnly);
        register.OnRead((_, _) => ulong.MaxValue);
        Assert.That(register.Bank.Read(0, 1), Is.EqualTo(0xff));
        register.Value = 0x1ff;
        Assert.That(register.Value, Is.EqualTo(0xff));
    }

    [Test]
    public void Peek_runs_pure_handlers_only()
    {
        int reads = 0;
        var bank = new TestBank();
        bank.Add("IMPURE", 0, 1).Bits(7, 0, "F", ReadOnly, reset: 3).OnRead((_, _) => (ulong)++reads);
        bank.Add("PURE", 1, 1).Bits(7, 0, "F", ReadOnly).OnRead((_, _) => 0x44, pure: true);
        bank.Add("RC", 2, 1).Bits(7, 0, "F", ReadToClear, reset: 0x55);
        Assert.That(bank.Peek(0, 4), Is.EqualTo(0x55_44_03));
        Assert.That(bank.Peek(0, 4), Is.EqualTo(0x55_44_03));
        Assert.That(reads, Is.Zero);
        Assert.That(bank.Registers.Select(r => r.HasReadSideEffects), Is.EqualTo(new[] { true, false, true }));
    }

    [Test]
    public void A_second_handler_is_refused_and_the_register_named()
    {
        Register register = new TestBank().Add("TWICE", 0, 1).Bits(7, 0, "F", ReadWrite).OnRead((_, v) => v).OnWrite((int _, in RegisterWrite _) => { });
        Assert.That(register.IsWriteHandled);
        Assert.That(() => register.OnRead((_, v) => v), Throws.InvalidOperationException.With.Message.Contains("BANK.TWICE"));
        Assert.That(() => register.OnWrite((int _, in RegisterWrite _) => { }), Throws.InvalidOperationException.With.Message.Contains("BANK.TWICE"));
    }

    [Test]
    public void Sticky_fields_survive_every_reset_but_power_on()
    {
        Register register = new TestBank().Add("R", 0, 2).Bits(7, 0, "KEPT", ReadWrite, out Field kept, reset: 1).Sticky()
            .Bits(15, 8, "LOST", ReadWrite, reset: 2);
        Assert.That(kept.IsSticky);
        register.Bank.Write(0, 2, 0xaabb);
        register.Bank.Reset(keepSticky: true);
        Assert.That(register.Value, Is.EqualTo(0x02bb));
        register.Bank.Reset();
        Assert.That(register.Value, Is.EqualTo(0x0201));
    }

    [Test]
    public void Reset_runs_no_handler()
    {
        Register register = new TestBank().Add("R", 0, 1).Bits(7, 0, "F", ReadWrite).OnWrite((int _, in RegisterWrite _) => Assert.Fail("ran"));
        register.Value = 1;
        register.Bank.Reset();
        Assert.That(register.Value, Is.Zero);
    }

    [Test]
    public void A_field_is_read_and_set_right_aligned_and_does_not_spill()
    {
        Register register = new TestBank().Add("R", 0, 8).Bits(47, 40, "F", ReadWrite, out Field field);
        register.Value = ulong.MaxValue;
        field.Value = 0x1_23;
        Assert.That(register.Value, Is.EqualTo(0xffff_23ff_ffff_ffff));
        Assert.That((field.Value, field.High, field.Low, field.Width, field.Mask), Is.EqualTo((0x23UL, 47, 40, 8, 0xff00_0000_0000UL)));
        Assert.That(field.Extract(0x1234_5678_9abc_def0), Is.EqualTo(0x56));
        field.IsSet = true;
        Assert.That(field.Value, Is.EqualTo(0xff));
        field.IsSet = false;
        Assert.That(field.IsSet, Is.False);
    }

    [Test]
    public void A_field_as_wide_as_the_register_holds_all_its_bits()
    {
        Register register = new TestBank().Add("R", 0, 8).Bits(63, 0, "F", ReadWrite, out Field field);
        register.Bank.Write(0, 8, 0x8000_0000_0000_0001);
        Assert.That((field.Mask, field.Value), Is.EqualTo((ulong.MaxValue, 0x8000_0000_0000_0001UL)));
    }

    [Test]
    public void A_typed_field_names_its_values_and_keeps_those_without_a_name()
    {
        Register register = new TestBank().Add("R", 0, 4)
            .Bits(5, 4, "SPEED", ReadWrite, out Field<Speed> speed, Speed.Low)
            .Bits(15, 8, "SIGNED", ReadWrite, out Field<Signed> signed, Signed.Three);
        Assert.That((speed.Value, signed.Value, register.ResetValue), Is.EqualTo((Speed.Low, Signed.Three, 0x320UL)));
        register.Bank.Write(0, 1, 0x00);
        Assert.That(speed.Value, Is.EqualTo((Speed)0));
        speed.Value = Speed.High;
        Assert.That(register.Value, Is.EqualTo(0x330));
        Assert.That(speed.Extract(0x10), Is.EqualTo(Speed.Full));
        Assert.That(speed.ValueNames.Select(v => (v.Key, v.Value)), Is.EqualTo(new[] { (1UL, "Full"), (2UL, "Low"), (3UL, "High") }));
    }

    [Test]
    public void A_typed_field_can_be_64_bits_wide()
    {
        new TestBank().Add("R", 0, 8).Bits(63, 0, "F", ReadWrite, out Field<Wide> field, Wide.Huge);
        Assert.That(field.Value, Is.EqualTo(Wide.Huge));
    }

    [Test]
    public void Definition_errors_name_bank_register_and_field()
    {
        var bank = new TestBank();
        Register register = bank.Add("CTRL", 0, 2).Bits(7, 4, "MODE", ReadWrite);
        Assert.Multiple(() =>
        {
            Assert.That(() => register.Bits(16, 8, "BIG", ReadWrite), Throws.ArgumentException.With.Message.Contains("BANK.CTRL.BIG"));
            Assert.That(() => register.Bits(3, 4, "BACK", ReadWrite), Throws.ArgumentException.With.Message.Contains("BANK.CTRL.BACK"));
            Assert.That(() => register.Bit(-1, "LOW", ReadWrite), Throws.ArgumentException.With.Message.Contains("BANK.CTRL.LOW"));
            Assert.That(() => register.Bits(8, 7, "OVER", ReadWrite), Throws.ArgumentException.With.Message.Contains("BANK.CTRL.OVER"));
            Assert.That(() => register.Bits(1, 0, "RESET", ReadWrite, reset: 4), Throws.ArgumentException.With.Message.Contains("BANK.CTRL.RESET"));
            Assert.That(() => register.Bits(1, 0, "TYPED", ReadWrite, out Field<Speed> _, (Speed)4),
                Throws.ArgumentException.With.Message.Contains("BANK.CTRL.TYPED"));
            Assert.That(() => bank.Add("SIZE", 4, 3), Throws.ArgumentException.With.Message.Contains("BANK.SIZE"));
            Assert.That(() => bank.Add("UNALIGNED", 6, 4), Throws.ArgumentException.With.Message.Contains("BANK.UNALIGNED"));
            Assert.That(() => bank.Add("NEGATIVE", -4, 4), Throws.ArgumentException.With.Message.Contains("BANK.NEGATIVE"));
            Assert.That(() => bank.Add("OUTSIDE", 12, 8), Throws.ArgumentException.With.Message.Contains("BANK.OUTSIDE"));
            Assert.That(() => bank.Add("FAR", int.MaxValue - 3, 4), Throws.ArgumentException.With.Message.Contains("BANK.FAR"));
            Assert.That(() => bank.Add("ON_TOP", 0, 4), Throws.ArgumentException.With.Message.Contains("BANK.ON_TOP overlaps CTRL"));
            Assert.That(() => bank.Add("CTRL", 8, 2), Throws.ArgumentException.With.Message.Contains("BANK.CTRL"));
            Assert.That(() => bank.AddArray("A", 8, 4, 2, 2, _ => { }), Throws.ArgumentException.With.Message.Contains("BANK.A[1]"));
        });
    }

    [Test]
    public void A_sealed_bank_takes_no_more_definitions()
    {
        var bank = new TestBank();
        Register register = bank.Add("R", 0, 4).Bit(0, "F", ReadWrite);
        bank.Seal();
        Assert.That(() => register.Bit(1, "LATE", ReadWrite), Throws.InvalidOperationException.With.Message.Contains("BANK.R"));
        Assert.That(() => bank.Add("LATE", 4, 4), Throws.InvalidOperationException.With.Message.Contains("BANK.LATE"));
        Assert.That(register.Sticky, Throws.InvalidOperationException.With.Message.Contains("BANK.R"));
        register.OnWrite((int _, in RegisterWrite _) => { });
    }

    [Test]
    public void Every_access_kind_has_the_datasheet_s_abbreviation()
        => Assert.That(Enum.GetValues<Access>().Select(a => a.Abbreviate()), Is.EqualTo(new[] { "RO", "RW", "WO", "RW1C", "RW1S", "RC" }));
}
