using Emulator.Testing;
using Emulator.Tracing;

namespace Emulator.Tests.Tracing;

[Category("Unit")]
[NonParallelizable]
public sealed class GoldenTests
{
    private string _folder = "";
    private string? _variable;

    [SetUp]
    public void MakeFolder()
    {
        _folder = Directory.CreateTempSubdirectory("golden-").FullName;
        _variable = Environment.GetEnvironmentVariable(GoldenTrace.UpdateVariable);
    }

    [TearDown]
    public void RemoveFolder()
    {
        Environment.SetEnvironmentVariable(GoldenTrace.UpdateVariable, _variable);
        Directory.Delete(_folder, recursive: true);
    }

    [Test]
    public void A_session_reads_as_its_golden_file()
    {
        var host = new FakePciHost();
        var card = new TestCard(host.Slot);
        var trace = TraceCapture.Attach(card, "card");
        host.Plug(card);
        host.Clock.Advance(1_000_000);
        host.Bar(0).Write8(0, 0x41);
        for (int i = 0; i < 12; i++) host.Bar(0).Read8(1);
        host.Bar(0).Write32(4, 0x80030123);
        host.Bar(0).Read64(0);
        host.Bar(1).Write32(16, 1);
        host.Bar(1).WriteBytes(4096, new byte[64]);
        host.Bar(3).Read8(0);
        GoldenTrace.Check(trace.Text, "test-card-session");
    }

    [Test]
    public void A_capture_can_be_filtered_and_cleared()
    {
        var host = new FakePciHost();
        var card = new TestCard(host.Slot);
        var trace = TraceCapture.Attach(card, "card");
        host.Plug(card);
        host.Bar(0).Write8(0, 0x41);
        string writes = trace.Render(fold: true, new TraceFilter { Kinds = TraceKinds.Write });
        Assert.That(TraceText.Normalise(writes), Is.EqualTo("card  W       BAR0 SPP.DATA               0x41\n"));
        trace.Clear();
        Assert.That(trace.Text, Is.Empty);
    }

    [Test]
    public void A_difference_is_shown_line_by_line_with_the_way_to_accept_it()
    {
        Environment.SetEnvironmentVariable(GoldenTrace.UpdateVariable, null);
        string path = Path.Combine(_folder, "a.txt");
        File.WriteAllText(path, "one\ntwo\nthree\nfour\nfive\nsix\n");
        Assert.That(
            () => GoldenTrace.CheckFile("one\n         1.000  two\nthree\n4\nfive\nand a half\nsix\n", path),
            Throws.TypeOf<GoldenTraceException>().With.Message.EqualTo(
                $"""
                The trace differs from {path} (- expected, + actual):
                @@ line 2 @@
                  two
                  three
                - four
                + 4
                  five
                + and a half
                  six

                If the change is meant, run the test with EMULATOR_UPDATE_GOLDEN=1 and review the file's difference.
                """));
    }

    [Test]
    public void A_missing_file_is_named_and_the_variable_writes_it()
    {
        Environment.SetEnvironmentVariable(GoldenTrace.UpdateVariable, null);
        string path = Path.Combine(_folder, "new", "a.txt");
        Assert.That(() => GoldenTrace.CheckFile("text\n", path), Throws.TypeOf<GoldenTraceException>().With.Message.Contains(path));
        Environment.SetEnvironmentVariable(GoldenTrace.UpdateVariable, "1");
        GoldenTrace.CheckFile("         1.000  text\n", path);
        Environment.SetEnvironmentVariable(GoldenTrace.UpdateVariable, null);
        Assert.That(File.ReadAllText(path), Is.EqualTo("text\n"));
        GoldenTrace.CheckFile("         2.000  text\n", path);
    }

    [Test]
    public void A_difference_of_very_long_texts_is_cut()
    {
        Environment.SetEnvironmentVariable(GoldenTrace.UpdateVariable, null);
        string path = Path.Combine(_folder, "a.txt");
        File.WriteAllText(path, string.Concat(Enumerable.Range(0, 5000).Select(i => $"old {i}\n")));
        Assert.That(
            () => GoldenTrace.CheckFile(string.Concat(Enumerable.Range(0, 5000).Select(i => $"new {i}\n")), path),
            Throws.TypeOf<GoldenTraceException>().With.Message.Contains("- old 0\n").And.Message.Contains("lines more").And.Message.Length.LessThan(5000));
    }
}
