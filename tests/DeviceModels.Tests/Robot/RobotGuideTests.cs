using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using DeviceModels.Robot;
using DeviceModels.Robot.Contoso;
using DeviceModels.Robot.Proseware;
using Emulator.Registers;

namespace DeviceModels.Tests.Robot;

/// <summary>The programming guides and the banks say the same.</summary>
[TestFixture, Category("Unit")]
public sealed partial class RobotGuideTests
{
    [Test]
    public void The_proseware_guide_names_every_register_at_its_place()
        => AssertTable("proseware.md", "## Registers at a glance", new ProsewareRegisters(), stride: 1);

    [Test]
    public void The_contoso_guide_names_every_direct_register_at_its_place()
        => AssertTable("contoso.md", "## Direct registers", new ContosoRegisters(), stride: 1);

    [Test]
    public void The_contoso_guide_names_every_indexed_register_at_its_place()
        => AssertTable("contoso.md", "## Indexed registers", new ContosoIndexedRegisters(), stride: 2);

    [Test]
    public void Every_field_of_the_robots_says_what_it_is_for()
    {
        var silent = from bank in new RegisterBank[] { new ProsewareRegisters(), new ContosoRegisters(), new ContosoIndexedRegisters() }
                     from register in bank.Registers
                     where register.Summary.Length == 0 || register.Fields.Count == 0
                     select $"{bank.Name}.{register.Name}";
        Assert.That(silent, Is.Empty);
    }

    [Test]
    public void Structures_in_guest_memory_have_their_documented_sizes()
    {
        Assert.That(Unsafe.SizeOf<ProsewareDescriptor>(), Is.EqualTo(16));
        Assert.That(Unsafe.SizeOf<ProsewareCompletion>(), Is.EqualTo(12));
        Assert.That(Unsafe.SizeOf<ContosoDescriptor>(), Is.EqualTo(16));
        Assert.That(Unsafe.SizeOf<ContosoWriteBack>(), Is.EqualTo(12));
        Assert.That(RobotModels.All.Select(m => m.Name), Is.EqualTo(new[] { "proseware-robot", "contoso-robot" }));
    }

    private static void AssertTable(string page, string heading, RegisterBank bank, int stride)
    {
        string[] lines = File.ReadAllLines(Path.Combine(TestContext.CurrentContext.TestDirectory, "Robot", "Guides", page));
        IEnumerable<string> rows = lines.SkipWhile(l => l != heading).Skip(1).TakeWhile(l => !l.StartsWith("## ", StringComparison.Ordinal));
        var named = new HashSet<string>();
        foreach (string row in rows.Where(r => r.StartsWith("| 0x", StringComparison.Ordinal)))
        {
            // "| 0x040 | ARG0, 0x044 ARG1 |" names two.
            string cells = string.Join(' ', row.Split('|').Skip(1).Take(2));
            foreach (Match match in Entry().Matches(cells))
            {
                int offset = int.Parse(match.Groups[1].ValueSpan, NumberStyles.HexNumber, CultureInfo.InvariantCulture) * stride;
                string name = match.Groups[2].Value, family = bank.At(offset)?.Name.Split('[')[0] ?? "nothing";
                Assert.That(family == name || bank.At(offset)?.Name == $"P[{name[1..]}]", $"{page} has {name} at 0x{offset:x}; the bank has {family}");
                named.Add(family);
            }
        }
        Assert.That(bank.Registers.Select(r => r.Name.Split('[')[0]).Distinct().Except(named), Is.Empty, $"registers that {page} does not name");
    }

    [GeneratedRegex(@"0x([0-9a-f]+)\s+([A-Z][A-Z0-9_]*)")]
    private static partial Regex Entry();
}
