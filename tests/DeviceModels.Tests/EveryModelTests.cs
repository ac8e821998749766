using DeviceModels.ParallelPort;
using DeviceModels.Robot;
using DeviceModels.Scratch;
using Emulator.Models;
using Emulator.Pci;
using Emulator.Registers;
using Emulator.Testing;
using FsCheck;
using FsCheck.Fluent;

namespace DeviceModels.Tests;

/// <summary>What every bank of every model, and every model, obeys. A new model joins by its catalogue.</summary>
[Category("Unit")]
public sealed class EveryModelTests
{
    private static IEnumerable<DeviceModel> Models => [.. ParallelPortModels.All, .. RobotModels.All, .. ScratchModels.All];

    private static IEnumerable<TestCaseData> ModelCases => Models.Select(model => new TestCaseData(model).SetArgDisplayNames(model.Name));

    private static IEnumerable<TestCaseData> BankCases
        => from model in Models
           from bank in model.Create(new DetachedSlot()).Banks
           select new TestCaseData(bank).SetArgDisplayNames(model.Name, bank.Name);

    [TestCaseSource(nameof(BankCases))]
    public void Every_bank_obeys_its_definition(RegisterBank bank)
    {
        RegisterBank plain = BankProperties.WithoutHandlers(bank);
        Arbitrary<BankAccess[]> accesses = AccessesOf(bank);
        Assert.Multiple(() =>
        {
            foreach (BankProperty property in BankProperties.All)
            {
                RegisterBank subject = property.NeedsPlainBank ? plain : bank;
                Property holds = Prop.ForAll(accesses, steps =>
                {
                    string? why = BankProperties.Verdict(property, subject, steps);
                    return (why is null).Label(why ?? "");
                });
                // A failure's message has the shrunk accesses, the reason and the seed.
                Assert.That(() => Check.One(FixedSeed.Config.WithMaxTest(30), holds), Throws.Nothing, property.Name);
            }
        });
    }

    [TestCaseSource(nameof(ModelCases))]
    public void No_traffic_makes_a_model_throw(DeviceModel model) => ModelProperties.NothingThrows(model, Seed);

    [TestCaseSource(nameof(ModelCases))]
    public void Power_on_makes_a_model_as_new(DeviceModel model) => ModelProperties.PowerOnRestores(model, Seed);

    [TestCaseSource(nameof(ModelCases))]
    public void No_access_to_a_model_allocates(DeviceModel model) => ModelProperties.AccessesAllocateNothing(model, Seed);

    [TestCaseSource(nameof(ModelCases))]
    public void A_model_says_what_it_is(DeviceModel model)
    {
        PciFunction function = model.Create(new DetachedSlot());
        Assert.That(model.Summary, Is.Not.Empty.And.Not.Contains('\n'));
        Assert.That(function.Banks.Select(b => b.Name), Is.Unique);
        Assert.That(function.Switches.Select(s => s.Name), Is.Unique);
    }

    [Test]
    public void Model_names_are_unique() => Assert.That(Models.Select(m => m.Name), Is.Unique);

    // NUnit's seed: printed with each run, and given again with --seed.
    private static int Seed => TestContext.CurrentContext.Random.Next();

    private static Arbitrary<BankAccess[]> AccessesOf(RegisterBank bank)
    {
        Gen<BankAccess> access = Gen.Choose(0, int.MaxValue).Select(seed => BankAccess.Random(new Random(seed), bank.Length));
        return Arb.Array(Arb.From(access, Simpler));
    }

    // Fewer bits, and the start of the bank, say more than the accident that was found.
    private static IEnumerable<BankAccess> Simpler(BankAccess access)
    {
        if (access.IsWrite && access.Value != 0) yield return access with { Value = access.Value & (access.Value - 1) };
        if (access.Size > 1) yield return access with { Size = access.Size / 2 };
    }
}
