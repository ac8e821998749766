using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Emulator.Cli;
using Emulator.Cli.Datasheets;
using Emulator.Models;

namespace Emulator.Tests.Cli;

[Category("Unit")]
public sealed class DatasheetTests
{
    private static IEnumerable<string> Models => ModelCatalog.All.Select(m => m.Name);

    [TestCaseSource(nameof(Models))]
    public void A_C_compiler_takes_the_header_without_a_warning_and_finds_every_value(string name)
    {
        DeviceModel model = ModelCatalog.Find(name);
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.In("registers.h"), CommandRun.Of("regs", name, "--format", "c").Output);
        var program = new StringBuilder("#include \"registers.h\"\n#include \"registers.h\"\n");
        int checks = 0;
        foreach (string condition in Facts(Datasheet.Of(model)))
        {
            program.Append(CultureInfo.InvariantCulture, $"_Static_assert({condition}, \"{++checks}\");\n");
        }
        File.WriteAllText(folder.In("test.c"), program.Append("int main(void) { return 0; }\n").ToString());
        (int exitCode, string messages) = Compile(folder.In("test.c"));
        Assert.That(messages, Is.Empty);
        Assert.That(exitCode, Is.Zero);
        Assert.That(checks, Is.GreaterThan(10));
    }

    [TestCaseSource(nameof(Models))]
    public void The_Markdown_has_every_register_and_field(string name)
    {
        Datasheet sheet = Datasheet.Of(ModelCatalog.Find(name));
        string page = CommandRun.Of("regs", name, "--format", "md").Output;
        Assert.That(page, Does.StartWith($"# {name}\n"));
        foreach (BankSheet bank in sheet.Banks)
        {
            string section = Section(page, bank.Name);
            foreach (RegisterSheet register in bank.Registers)
            {
                Assert.That(section, Does.Contain($"| {register.Name}").IgnoreCase, bank.Name);
                if (register.Fields.Count > 1)
                    foreach (FieldSheet field in register.Fields)
                        Assert.That(section, Does.Contain($"| {field.Name} | {field.Access} |"), $"{bank.Name}.{register.Name}");
            }
        }
    }

    [TestCaseSource(nameof(Models))]
    public void The_JSON_is_the_same_description(string name)
    {
        Datasheet sheet = Datasheet.Of(ModelCatalog.Find(name));
        using var json = JsonDocument.Parse(CommandRun.Of("regs", name, "--format", "json").Output);
        Assert.That(json.RootElement.GetProperty("model").GetString(), Is.EqualTo(name));
        Assert.That(json.RootElement.GetProperty("banks").EnumerateArray().Select(b => b.GetProperty("registers").GetArrayLength()),
            Is.EqualTo(sheet.Banks.Select(b => b.Registers.Count)));
    }

    [Test]
    public void The_elements_of_an_array_are_one_row()
    {
        BankSheet table = Datasheet.Of(ModelCatalog.Find("scratch")).Banks.Single(b => b.Name == "MSIX_TABLE");
        Assert.That(table.Registers.Select(r => (r.Name, r.Offset, r.Count, r.Stride)), Is.EqualTo(new[]
        {
            ("MSG_ADDR", 0x0, 8, 16), ("MSG_DATA", 0x8, 8, 16), ("VECTOR_CTRL", 0xc, 8, 16),
        }));
    }

    [Test]
    public void A_long_description_ends_no_comment_of_the_header_early()
    {
        var sheet = new Datasheet("m", "tricky */ int x; /*", new IdentitySheet(1, 2, 3, 0, 0, 0, 0), [], [], []);
        Assert.That(CHeader.Render(sheet), Does.Contain("/* m: tricky * / int x; / * */"));
    }

    [TestCaseSource(nameof(Models))]
    public void The_pages_in_docs_are_up_to_date(string name)
        => Assert.That(File.ReadAllText(Path.Combine(Repository.Root, "devicemodels", "datasheets", name + ".md")),
            Is.EqualTo(MarkdownDatasheet.Render(Datasheet.Of(ModelCatalog.Find(name)))), "run `make docs`");

    // Written from the banks' own numbers, not from the header's macros.
    private static IEnumerable<string> Facts(Datasheet sheet)
    {
        string model = Name(sheet.Model);
        yield return $"{model}_VENDOR_ID == {sheet.Identity.Vendor}";
        yield return $"{model}_DEVICE_ID == {sheet.Identity.Device}";
        foreach (BankSheet bank in sheet.Banks.Where(b => b.Region != "configuration"))
        {
            string prefix = $"{model}_{Name(bank.Name)}";
            yield return $"{prefix}_BASE == {bank.Offset}";
            foreach (RegisterSheet register in bank.Registers)
            {
                string name = $"{prefix}_{Name(register.Name)}";
                for (int i = 0; i < Math.Min(register.Count, 3); i++)
                    yield return register.Count > 1 ? $"{name}({i}) == {register.Offset + (i * register.Stride)}" : $"{name} == {register.Offset}";
                foreach (FieldSheet field in register.Fields.Where(f => f.High - f.Low + 1 < register.Size * 8))
                {
                    string fieldName = $"{name}_{Name(field.Name)}";
                    yield return $"({fieldName}_MASK >> {fieldName}_SHIFT) == {ulong.MaxValue >> (63 - field.High + field.Low)}ull";
                    yield return $"{fieldName}_SHIFT == {field.Low}";
                }
            }
        }
    }

    private static string Name(string name) => new([.. name.ToUpperInvariant().Select(c => char.IsAsciiLetterOrDigit(c) ? c : '_')]);

    private static string Section(string page, string heading)
    {
        int start = page.IndexOf($"\n## {heading}\n", StringComparison.Ordinal);
        Assert.That(start, Is.Positive, heading);
        int end = page.IndexOf("\n## ", start + 1, StringComparison.Ordinal);
        return end < 0 ? page[start..] : page[start..end];
    }

    private static (int ExitCode, string Messages) Compile(string source)
    {
        using Process gcc = Process.Start(new ProcessStartInfo("gcc",
            ["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Wundef", "-Werror", "-fsyntax-only", source])
        { RedirectStandardError = true })!;
        string messages = gcc.StandardError.ReadToEnd();
        gcc.WaitForExit();
        return (gcc.ExitCode, messages);
    }
}
