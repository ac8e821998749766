using System.Text;
using DeviceModels.ParallelPort.Peripherals;

namespace DeviceModels.Tests.ParallelPort;

[TestFixture, Category("Unit")]
internal sealed class PrintJobTests : ParallelPortFixture
{
    private const string Exit = "\u001b%-12345X";

    private string _folder = null!;

    [SetUp]
    public void PlugIn()
    {
        PlugPrinter();
        _folder = Path.Combine(TestContext.CurrentContext.WorkDirectory, $"print-{TestContext.CurrentContext.Test.ID}");
    }

    [TearDown]
    public void Clean()
    {
        if (Directory.Exists(_folder)) Directory.Delete(_folder, recursive: true);
    }

    [Test]
    public void A_job_ends_when_nothing_came_for_the_idle_time()
    {
        Print("one");
        Host.Clock.Advance(2 * Second);
        Print(" job");
        Host.Clock.Advance(2 * Second);
        Assert.That(Jobs, Is.Empty);
        Host.Clock.Advance(2 * Second);
        Print("another");
        Host.Clock.Advance(4 * Second);
        Assert.That(Jobs, Is.EqualTo((string[])["one job", "another"]));
    }

    [Test]
    public void Time_out_of_paper_does_not_end_a_job()
    {
        Print("half ");
        Switch("paper", "out");
        Host.Clock.Advance(3600 * Second);
        Switch("paper", "present");
        Print("a job");
        Host.Clock.Advance(4 * Second);
        Assert.That(Jobs, Is.EqualTo((string[])["half a job"]));
    }

    [Test]
    public void NInit_ends_a_job()
    {
        Print("one");
        Port.Write8(Control, SelectIn);
        Port.Write8(Control, Idle);
        Print("two");
        Assert.That(Jobs, Is.EqualTo((string[])["one"]));
        Assert.That(Sink.Current, Is.EqualTo("two"u8.ToArray()));
    }

    [Test]
    public void NInit_without_a_job_makes_none()
    {
        Port.Write8(Control, SelectIn);
        Port.Write8(Control, Idle);
        Assert.That(Jobs, Is.Empty);
    }

    [TestCase("\u0004%!PS-Adobe\nshowpage\n\u0004%!PS\nshowpage\n\u0004", "\u0004%!PS-Adobe\nshowpage\n\u0004|%!PS\nshowpage\n\u0004",
        TestName = "Ctrl-D ends a PostScript job, and one before it belongs to it")]
    [TestCase("text\u0004more text", "text\u0004more text", TestName = "Ctrl-D in text is a byte like any other")]
    [TestCase(Exit + "@PJL SET COPIES=1\n@PJL ENTER LANGUAGE=PCL\n\u001bEpage\u001bE" + Exit, null,
        TestName = "An exit sequence after content ends a PJL job")]
    [TestCase(Exit + "@PJL JOB\n@PJL ENTER LANGUAGE=PCL\npage" + Exit + "@PJL EOJ NAME=\"x\"\r\n" + Exit, null,
        TestName = "The PJL end of job belongs to its job")]
    [TestCase(Exit + "one" + Exit + Exit + "@PJL JOB\ntwo" + Exit, Exit + "one" + Exit + "|" + Exit + "@PJL JOB\ntwo" + Exit,
        TestName = "An exit sequence before a job belongs to the job it opens")]
    [TestCase(Exit + "one" + Exit + "two", Exit + "one" + Exit + "|two", TestName = "Content after a job is the next job")]
    [TestCase(Exit + "one" + Exit + "\u001b%-1two", Exit + "one" + Exit + "|\u001b%-1two", TestName = "Half an exit sequence after a job is content")]
    [TestCase(Exit + "\u001b\u001b%-12345X@PJL INFO ID\n", null, TestName = "Doubled escapes and commands alone lose no byte")]
    public void Jobs_are_told_apart(string sent, string? expected)
    {
        Print(sent);
        Host.Clock.Advance(4 * Second);
        Assert.That(Jobs, Is.EqualTo((expected ?? sent).Split('|')));
    }

    [Test]
    public void No_byte_is_lost_or_moved_whatever_is_printed()
    {
        // Made of the pieces the separator looks for, cut and joined at random.
        var random = new Random(20_250);
        string[] pieces = [Exit, "\u001b", "%-12345X", "\u001b%-123", "@PJL EOJ\n", "@PJL ENTER LANGUAGE=PCL\n", "@PJ", "\u0004", "%!", "%!PS\n", "x", "\n"];
        for (int i = 0; i < 300; i++)
        {
            PlugPrinter();
            string sent = string.Concat(Enumerable.Range(0, random.Next(1, 20)).Select(_ => pieces[random.Next(pieces.Length)]));
            Print(sent);
            Host.Clock.Advance(4 * Second);
            Assert.That(string.Concat(Jobs), Is.EqualTo(sent));
        }
    }

    [TestCase("%!PS-Adobe-3.0\n", ".ps")]
    [TestCase("\u0004%!PS\n", ".ps")]
    [TestCase("\u001bE\u001b&l0O", ".pcl")]
    [TestCase(Exit + "@PJL\n", ".pcl")]
    [TestCase("%PDF-1.7\n", ".pdf")]
    [TestCase("Dear Sir,\r\n\tGr\u00fc\u00dfe\f", ".txt")]
    [TestCase("\u001b@raster\u0000\u0001", ".prn")]
    [TestCase("\r\n", ".prn")]
    public void The_extension_follows_from_the_first_bytes(string head, string expected)
        => Assert.That(PrintFormat.ExtensionOf(Encoding.UTF8.GetBytes(head)), Is.EqualTo(expected));

    [Test]
    public void Each_job_becomes_a_file_that_has_its_name_when_it_is_complete()
    {
        var finished = new List<PrintedJob>();
        using (var sink = new FilePrintSink(_folder, finished.Add))
        {
            Plug(new Printer(sink));
            byte[] large = new byte[200_000];
            large.AsSpan().Fill((byte)'.');
            Print("%!PS\nshowpage\n\u0004");
            foreach (byte value in large) sink.Write(value);
            Assert.That(Files(), Is.EqualTo((string[])["job-0001.ps", "job-0002.part"]));
            Print(" end");
        }
        Assert.That(Files(), Is.EqualTo((string[])["job-0001.ps", "job-0002.txt"]));
        Assert.That(File.ReadAllText(Path.Combine(_folder, "job-0001.ps")), Is.EqualTo("%!PS\nshowpage\n\u0004"));
        Assert.That(finished.Select(j => j.Bytes), Is.EqualTo((long[])[15, 200_004]));
        Assert.That(new FileInfo(finished[1].Path).Length, Is.EqualTo(200_004));
    }

    [Test]
    public void Numbering_goes_on_after_the_files_that_are_there()
    {
        Directory.CreateDirectory(_folder);
        File.WriteAllText(Path.Combine(_folder, "job-0041.txt"), "");
        File.WriteAllText(Path.Combine(_folder, "job-x.txt"), "");
        using (var sink = new FilePrintSink(_folder)) sink.Write((byte)'a');
        Assert.That(Files(), Does.Contain("job-0042.txt"));
    }

    [Test]
    public void A_folder_that_goes_away_loses_the_job_and_not_the_printer()
    {
        var complaints = new List<string>();
        var sink = new FilePrintSink(_folder, failed: complaints.Add);
        Directory.Delete(_folder);
        Plug(new Printer(sink));
        Print("lost");
        sink.EndJob();
        Assert.That(complaints, Has.Count.EqualTo(1).And.All.Contain(_folder));
        Assert.That(sink.LostBytes, Is.EqualTo(4));

        Directory.CreateDirectory(_folder);
        Print("kept");
        sink.Dispose();
        Assert.That(Files(), Has.Length.EqualTo(1));
    }

    private List<string> Jobs => [.. Sink.Jobs.Select(Encoding.Latin1.GetString)];

    private void Print(string text) => Send(Encoding.Latin1.GetBytes(text));

    private string?[] Files() => [.. Directory.GetFiles(_folder).Select(Path.GetFileName).Order(StringComparer.Ordinal)];
}
