using Emulator.Cli;
using Emulator.Cli.Lab;

namespace Emulator.Tests.Cli;

[Category("Unit")]
public sealed class LabFileTests
{
    [Test]
    public void Comments_trailing_commas_and_defaults_are_understood()
    {
        LabSource source = LabSource.Parse("""
            // A lab.
            {
              "devices": [
                { "name": "lp", "peripheral": { "folder": "out", "kind": "printer", }, "model": "parallel-port", /* last */ },
                { "name": "dev", "model": "scratch", "bars": [{ "index": 1 }], "interrupts": { "msiX": {} } },
              ],
              "guest": {},
            }
            """, "here/my-lab.jsonc");
        Assert.That(source.Name, Is.EqualTo("my-lab"), "the file's name");
        var port = (ParallelPortLabDevice)source.Lab.Devices[0];
        var scratch = (ScratchLabDevice)source.Lab.Devices[1];
        Assert.That(((LabPrinter)port.Peripheral!).JobIdleSeconds, Is.EqualTo(3));
        Assert.That(port.TwinSocket, Is.True);
        Assert.That(scratch.Bars![0].Kind, Is.EqualTo(DeviceModels.Scratch.ScratchBarKind.Memory32));
        Assert.That(scratch.Interrupts!.MsiX!.Vectors, Is.EqualTo(1));
        Assert.That(source.Lab.Guest!.Memory.Value, Is.EqualTo(256 << 20));
    }

    [TestCase("""{ "devices": [{ "name": "lp", "model": "parallel-port", "ecpp": true }] }""", """1:57: devices[0]: unknown key "ecpp"; did you mean "ecp"?""")]
    [TestCase("""{ "devices": [], "trase": {} }""", """1:18: unknown key "trase"; did you mean "trace"?""")]
    [TestCase("""{ "devices": [{ "name": "lp", "model": "paralel-port" }] }""",
        """1:40: devices[0]: unknown model "paralel-port"; did you mean "parallel-port"?""")]
    [TestCase("""{ "devices": [{ "name": "lp" }] }""",
        """1:15: devices[0]: "model" is missing; it is one of parallel-port, proseware-robot, contoso-robot, scratch""")]
    [TestCase("""{ "devices": [{ "model": "scratch" }] }""", """1:15: devices[0]: "name" is missing""")]
    [TestCase("""{ "trace": {} }""", """1:1: "devices" is missing""")]
    [TestCase("""{ "devices": [] }""", "1:14: devices: a lab has at least one device")]
    [TestCase("""{ "devices": {} }""", "1:14: devices: expected a list [...], not an object")]
    [TestCase("""{ "devices": [{ "name": 5, "model": "scratch" }] }""", "1:25: devices[0].name: expected a text in quotes, not 5")]
    [TestCase("""{ "devices": [{ "name": null, "model": "scratch" }] }""", "1:25: devices[0].name: null means nothing here")]
    [TestCase("""{ "devices": [{ "name": "LP 1", "model": "scratch" }] }""",
        """1:25: devices[0].name: "LP 1" is no name; use 1 to 40 lower-case letters, digits and hyphens""")]
    [TestCase("""{ "devices": [{ "name": "control", "model": "scratch" }] }""", """1:25: devices[0].name: "control" is the lab's own socket""")]
    [TestCase("""{ "devices": [{ "name": "a", "name": "b", "model": "scratch" }] }""", "1:30: devices[0].name: this key is here twice; remove one")]
    [TestCase("""{ "devices": [{ "name": "a", "model": "scratch", "decode": "alway" }] }""",
        """1:60: devices[0].decode: expected one of honour, always, not "alway"; did you mean "always"?""")]
    [TestCase("""{ "devices": [{ "name": "a", "model": "scratch" }], "guest": { "memory": "lots" } }""",
        """1:74: guest.memory: expected a number such as 4096, "0x1000" or "4K", not "lots" """)]
    [TestCase("""{ "devices": [{ "name": "a", "model": "scratch" }], "guest": { "memory": "1K" } }""",
        """1:74: guest.memory: choose whole mebibytes, at least "64M" """)]
    [TestCase("""{ "devices": [{ "name": "a", "model": "scratch" }], "guest": { "machine": "pc", "iommu": true } }""",
        """1:90: guest.iommu: QEMU has an IOMMU for the machine "q35" alone""")]
    [TestCase("""{ "devices": [{ "name": "a", "model": "scratch" }], "guest": { "demo": { "print": { "document": "x", "to": "y", "device": "b" } } } }""",
        """1:123: guest.demo.print.device: there is no device "b"; known: a""")]
    [TestCase("{ \"devices\": [\n  { \"name\": \"a\", \"model\": \"scratch\" },\n  { \"name\": \"a\", \"model\": \"scratch\" } ] }",
        "3:13: devices[1].name: there are two devices \"a\"; rename one")]
    [TestCase("{\n  \"devices\": [ oops ]\n}", "2:16: ")]
    [TestCase("{ \"devices\": [", "1:15: ")]
    [TestCase("", "1:1: ")]
    [TestCase("[]", "1:1: expected an object {...}, not a list")]
    public void An_error_names_the_place_and_the_remedy(string json, string expected)
    {
        UserError error = Assert.Throws<UserError>(() => LabSource.Parse(json, "lab.jsonc"));
        Assert.That(error.Message + " ", Does.StartWith("lab.jsonc:" + expected));
        Assert.That(error.Message, Does.Not.Contain("\n").And.Not.Contain("LineNumber").And.Not.Contain("$."));
        Assert.That(error.ExitCode, Is.EqualTo(2));
    }

    [Test]
    public void An_error_of_a_model_names_the_place_too()
    {
        using var folder = new TemporaryFolder();
        LabSource source = LabSource.Parse(
            $$"""
            { "sockets": "{{folder.Path}}", "devices": [ { "name": "good", "model": "scratch" },
              { "name": "dev", "model": "scratch", "bars": [{ "index": 0, "size": "3K" }] }
            ] }
            """, "lab.jsonc");
        UserError error = Assert.Throws<UserError>(() => new RunningLab(source, new TraceChoice(null, null), _ => { }).Dispose());
        Assert.That(error.Message, Does.StartWith("lab.jsonc:2:71: devices[1].bars[0].size: "));
        Assert.That(Directory.GetFileSystemEntries(folder.Path), Is.Empty, "the control socket is gone");
    }

    [Test]
    public void A_socket_path_that_is_too_long_says_what_to_change()
    {
        LabSource source = LabSource.Parse(
            $$"""{ "sockets": "/tmp/{{new string('x', 100)}}", "devices": [{ "name": "dev", "model": "scratch" }] }""", "lab.jsonc");
        Assert.That(() => LabFolder.Of(source),
            Throws.TypeOf<UserError>().With.Message.StartsWith("lab.jsonc:1:14: sockets: ").And.Message.Contains("shorter folder"));
    }

    [Test]
    public void A_lab_that_is_not_there_gets_the_nearest_that_is()
        => Assert.That(() => LabSource.Load("two-crads"),
            Throws.TypeOf<UserError>().With.Message.EqualTo("no lab file or shipped lab \"two-crads\"; did you mean \"two-cards\"?"));

    [TestCase("run")]
    [TestCase("boot")]
    [TestCase("qemu")]
    public void A_lab_without_an_end_is_refused(string command)
    {
        CommandRun run = CommandRun.Of(command, "/dev/zero");
        Assert.That(run.Error, Is.EqualTo("emulator: /dev/zero: cannot read the lab: '/dev/zero' is longer than 1 MiB; name another file\n"));
        Assert.That(run.ExitCode, Is.EqualTo(2));
    }

    [Test]
    public void A_document_without_an_end_is_refused_before_anything_starts()
    {
        CommandRun run = CommandRun.Of("boot", "parallel-port", "--print", "/dev/zero");
        Assert.That(run.Error, Is.EqualTo("emulator: --print: '/dev/zero' is longer than 64 MiB; name another file\n"));
        Assert.That(run.ExitCode, Is.EqualTo(2));
    }

    [Test]
    public void The_content_of_a_BAR_has_an_end()
    {
        using var folder = new TemporaryFolder();
        string lab = folder.In("lab.jsonc");
        File.WriteAllText(lab, $$"""
            { "sockets": "{{folder.In("sockets")}}", "devices": [{ "name": "dev", "model": "scratch", "bars": [{ "index": 0, "file": "/dev/zero" }] }] }
            """);
        CommandRun run = CommandRun.Of("run", lab);
        Assert.That(run.Error, Does.Match(
            @"^emulator: .+lab\.jsonc:1:\d+: devices\[0\]\.bars\[0\]\.file: '/dev/zero' is longer than 256 MiB; name another file; .+\n$"));
        Assert.That(run.ExitCode, Is.EqualTo(2));
    }

    [TestCase("", "its name is empty; name a file, such as out/session.trace")]
    [TestCase("/", "it is a folder; name a file in it")]
    [TestCase("/dev/null/new/", "it is a folder; name a file in it")]
    public void A_trace_that_cannot_be_written_is_bad_input(string trace, string why)
    {
        using var folder = new TemporaryFolder();
        string lab = folder.In("lab.jsonc");
        File.WriteAllText(lab, $$"""{ "sockets": "{{folder.In("sockets")}}", "devices": [{ "name": "dev", "model": "scratch" }] }""");
        CommandRun run = CommandRun.Of("run", lab, "--trace", trace);
        Assert.That(run.Error, Is.EqualTo($"emulator: cannot write the trace '{trace}': {why}\n"));
        Assert.That(run.ExitCode, Is.EqualTo(2));
    }

    [TestCase("0", 0ul)]
    [TestCase("4K", 4096ul)]
    [TestCase("2g", 2ul << 30)]
    [TestCase("0xFfff", 0xfffful)]
    [TestCase("18446744073709551615", ulong.MaxValue)]
    public void A_quantity_is_decimal_hexadecimal_or_has_a_suffix(string text, ulong expected)
    {
        Assert.That(Quantity.TryParse(text, out Quantity quantity), Is.True);
        Assert.That(quantity.Value, Is.EqualTo(expected));
    }

    [TestCase("")]
    [TestCase("K")]
    [TestCase("-1")]
    [TestCase("0x")]
    [TestCase("1 K")]
    [TestCase("1T")]
    [TestCase("18446744073709551615K")]
    public void What_is_no_quantity_is_refused(string text) => Assert.That(Quantity.TryParse(text, out _), Is.False);
}
