using Emulator.Models;
using Emulator.Pci;
using Emulator.Registers;
using Emulator.Testing;
using FsCheck;
using FsCheck.Fluent;
using static Emulator.Registers.Access;

namespace Emulator.Tests.Core;

/// <summary>The properties of the test kit find what they are for, and say it usefully.</summary>
[Category("Unit")]
public sealed class PropertyTests
{
    private static readonly BankAccess s_write = new(true, 0, 4, 0xff), s_read = new(false, 0, 4, 0);

    private static IEnumerable<TestCaseData> BrokenBanks()
    {
        yield return Broken("no access throws", (r, _) => r.Bits(31, 0, "F", ReadWrite)
            .OnWrite((int _, in RegisterWrite _) => throw new InvalidOperationException("broken")));
        yield return Broken("a peek changes nothing", (r, _) => r.Bits(31, 0, "F", ReadOnly).OnRead((_, v) => r.Value = v + 1, pure: true));
        yield return Broken("a reset restores", (r, b) => b.AfterReset = () => r.Value = 1);
        yield return Broken("read-only", (r, _) => r.Bits(31, 0, "F", ReadOnly).OnWrite((int _, in RegisterWrite _) => r.Value = 1));
        yield return Broken("RW bits", (r, _) => r.Bits(31, 0, "F", ReadWrite).OnWrite((int _, in RegisterWrite _) => r.Value = 1));
        yield return Broken("RW1C", (r, _) => r.Bits(31, 0, "F", WriteOneToClear).OnWrite((int _, in RegisterWrite _) => r.Value = 1));
        yield return Broken("RW1S", (r, _) => r.Bits(31, 0, "F", WriteOneToSet, reset: 2).OnWrite((int _, in RegisterWrite _) => r.Value = 0));
        yield return Broken("RC", (r, _) => r.Bits(31, 0, "F", ReadToClear).OnRead((_, _) => 1));
        yield return Broken("a peek sees", (r, _) => r.Bits(31, 0, "F", ReadOnly).OnRead((_, _) => 1));
    }

    [TestCaseSource(nameof(BrokenBanks))]
    public void Each_property_finds_a_bank_that_breaks_it(string name, RegisterBank bank)
    {
        BankProperty property = BankProperties.All.Single(p => p.Name.StartsWith(name, StringComparison.Ordinal));
        Assert.That(BankProperties.Verdict(property, bank, [s_write, s_read]), Is.Not.Null);
    }

    [Test]
    public void Random_properties_see_the_same_values_in_every_run()
    {
        long[] first = Values(), second = Values();
        Assert.That(second, Is.EqualTo(first).And.Length.EqualTo(100));

        static long[] Values()
        {
            var values = new List<long>();
            Check.One(FixedSeed.Config, Prop.ForAll<long[]>(array =>
            {
                values.Add(array.Sum());
                return true;
            }));
            return [.. values];
        }
    }

    [Test]
    public void A_sound_bank_passes()
    {
        var bank = new TestBank(0x20, AccessSizes.Word | AccessSizes.Dword, unmapped: 0xff);
        bank.Add("A", 0, 4).Bits(7, 0, "RW", ReadWrite).Bits(15, 8, "W1C", WriteOneToClear, reset: 0xff).Bits(23, 16, "RC", ReadToClear, reset: 0x55);
        bank.Add("B", 4, 8).Bits(40, 0, "WO", WriteOnly).Bits(50, 41, "W1S", WriteOneToSet).Bits(63, 60, "RO", ReadOnly, reset: 9);
        bank.Add("C", 0x11, 1).Bits(7, 0, "F", ReadWrite);
        Assert.That(() => BankProperties.Check(bank), Throws.Nothing);
    }

    [Test]
    public void A_failure_names_bank_and_seed_and_gives_the_shortest_sequence()
    {
        var bank = new TestBank();
        Register register = bank.Add("R", 4, 4).Bits(31, 0, "F", ReadWrite);
        register.OnWrite((int _, in RegisterWrite write) =>
        {
            if ((write.After & 0x80) != 0) throw new InvalidOperationException("bit 7");
        });
        PropertyFailedException e = Assert.Throws<PropertyFailedException>(() => BankProperties.Check(bank, seed: 42))!;
        string[] lines = e.Message.Split('\n');
        Assert.That(lines, Has.Length.EqualTo(3), e.Message);
        Assert.That(lines[0], Does.StartWith("BANK: not so that no access throws").And.EndsWith("InvalidOperationException: bit 7"));
        Assert.That(lines[1], Does.StartWith("seed 42"));
        Assert.That(lines[2], Does.StartWith("  write "));
    }

    [Test]
    public void A_sequence_that_needs_two_steps_is_not_shortened_to_one()
    {
        var bank = new TestBank();
        Register first = bank.Add("FIRST", 0, 4).Bit(0, "F", ReadWrite);
        bank.Add("SECOND", 4, 4).Bits(31, 0, "F", ReadWrite).OnWrite((int _, in RegisterWrite _) =>
        {
            if (first.Value != 0) throw new InvalidOperationException("after the first");
        });
        PropertyFailedException e = Assert.Throws<PropertyFailedException>(() => BankProperties.Check(bank))!;
        Assert.That(e.Message.Split('\n'), Has.Length.LessThanOrEqualTo(4), e.Message);
    }

    [Test]
    public void A_model_that_throws_is_found()
        => Assert.That(() => ModelProperties.NothingThrows(Model(r => r.OnWrite((int _, in RegisterWrite _) => throw new InvalidOperationException("broken")))),
            Throws.TypeOf<PropertyFailedException>().With.Message.Contains("seed 1").And.Message.Contains("BAR0+0x"));

    [Test]
    public void A_model_that_remembers_over_power_on_is_found()
    {
        ulong memory = 0;
        DeviceModel model = Model(r => r.OnWrite((int _, in RegisterWrite w) => memory |= w.After), (f, r) => r.Value = memory);
        Assert.That(() => ModelProperties.PowerOnRestores(model), Throws.TypeOf<PropertyFailedException>().With.Message.Contains("in a new device"));
    }

    [Test]
    public void A_model_that_allocates_is_found()
    {
        byte[] garbage = [];
        DeviceModel model = Model(r => r.OnWrite((int _, in RegisterWrite _) => garbage = new byte[8]));
        Assert.That(() => ModelProperties.AccessesAllocateNothing(model), Throws.TypeOf<PropertyFailedException>().With.Message.Contains("allocates 32 bytes"));
        Assert.That(garbage, Has.Length.EqualTo(8));
    }

    [Test]
    public void A_sound_model_passes() => Assert.That(() => ModelProperties.Check(Model(_ => { })), Throws.Nothing);

    private static TestCaseData Broken(string property, Action<Register, BrokenBank> build)
    {
        var bank = new BrokenBank();
        build(bank.Register, bank);
        return new TestCaseData(property, bank).SetArgDisplayNames(property);
    }

    private static DeviceModel Model(Action<Register> bind, Action<TestFunction, Register>? reset = null) => new("model", "For a test.", slot =>
    {
        var bank = new TestBank();
        Register register = bank.Add("R", 0, 4).Bits(31, 0, "F", ReadWrite);
        bind(register);
        var function = new TestFunction(slot, f => f.MapBar(0, BarKind.Memory32, bank));
        function.WhenReset = () => reset?.Invoke(function, register);
        return function;
    });

    private sealed class BrokenBank : RegisterBank
    {
        public BrokenBank() : base("BROKEN", 4) => Register = Add("R", 0, 4);

        public Register Register { get; }
        public Action? AfterReset { get; set; }

        public override void Reset(bool keepSticky = false)
        {
            base.Reset(keepSticky);
            AfterReset?.Invoke();
        }
    }
}
