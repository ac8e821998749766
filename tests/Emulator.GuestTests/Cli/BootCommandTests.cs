using System.Diagnostics;
using System.Globalization;

namespace Emulator.GuestTests.Cli;

/// <summary>`emulator boot` as a person starts it, without a terminal.</summary>
[TestFixture]
[Category("Guest")]
public sealed class BootCommandTests
{
    private static readonly TimeSpan Generous = TimeSpan.FromMinutes(5);

    private string _folder = null!;
    private string _document = null!;

    [SetUp]
    public void MakeFolder()
    {
        _folder = Directory.CreateTempSubdirectory("boot-").FullName;
        _document = Path.Combine(_folder, "document.ps");
        var random = new Random(1284);
        // Every byte value, but for the Ctrl-D and escapes that end a job early.
        File.WriteAllBytes(_document, [.. "%!PS\n"u8, .. Enumerable.Range(0, 4000).Select(_ => (byte)random.Next(256)).Where(b => b is not (0x04 or 0x1b))]);
    }

    [TearDown]
    public void RemoveFolder() => Directory.Delete(_folder, recursive: true);

    [Test]
    public async Task The_demonstration_prints_a_document_through_the_guests_own_drivers_and_drives_both_robots()
    {
        (int exitCode, string output, string error) = await RunAsync("boot", Lab("demo"), "--print", _document);
        Assert.That(exitCode, Is.Zero, error);
        Assert.That(output, Does.Match("parport0: PC-style at").And.Match("lp0: using parport0"));
        Assert.That(output, Does.Contain($"{new FileInfo(_document).Length} bytes sent to /dev/lp0")
            .And.Contain("equal: the printed document is the one sent, byte for byte"));
        Assert.That(output, Does.Match(@"SPP\.DATA +0x25"), "the document's first byte, by name");
        Assert.That(Directory.GetFiles(Path.Combine(_folder, "out", "print")).Select(File.ReadAllBytes), Is.EqualTo(new[] { File.ReadAllBytes(_document) }));
        Assert.That(output, Does.Contain("robotdrive: all as expected")
            .And.Contain("picture: out/demo-proseware.svg").And.Contain("picture: out/demo-contoso.svg"));
        string drawing = await File.ReadAllTextAsync(Path.Combine(_folder, "out", "demo-proseware.svg"));
        Assert.That(drawing, Does.Match("d=\"M 200 630( L [0-9.]+ [0-9.]+){8} M [0-9. ]+ L"), "a house, and the sun");
        Assert.That(drawing, Does.Contain("translate(833.6 576.5) rotate(-270)"));
        string tidied = await File.ReadAllTextAsync(Path.Combine(_folder, "out", "demo-contoso.svg"));
        Assert.That(tidied, Does.Contain("cx=\"1300\" cy=\"750\" r=\"18\"").And.Contain("cx=\"1200\" cy=\"750\"")
            .And.Contain("cx=\"1250\" cy=\"650\""), "a pyramid");
        (int shown, string trace, _) = await RunAsync("trace", "show", "out/demo.trace", "--register", "DATA");
        Assert.That(shown, Is.Zero);
        Assert.That(trace.Split('\n'), Has.Length.GreaterThan(1000));
        AssertNothingIsLeft();
    }

    [Test]
    public async Task A_printer_that_gets_something_else_is_a_failure()
    {
        string lab = Path.Combine(_folder, "wrong.jsonc");
        await File.WriteAllTextAsync(lab, (await File.ReadAllTextAsync(Lab("two-cards"))).Replace("/dev/lp1", "/dev/lp0", StringComparison.Ordinal));
        (int exitCode, string output, _) = await RunAsync("boot", lab, "--print", _document);
        Assert.That(output, Does.Contain("different: the printed document and the one sent part at byte 0"));
        Assert.That(exitCode, Is.EqualTo(1));
    }

    [Test]
    public async Task A_guest_that_says_something_else_ends_the_demonstration_with_a_reason()
    {
        string lab = Path.Combine(_folder, "silent.jsonc");
        await File.WriteAllTextAsync(lab, """
            {
              "devices": [{ "name": "dev", "model": "scratch" }],
              "guest": { "demo": { "expect": ["never said"], "timeoutSeconds": 3 } },
            }
            """);
        (int exitCode, _, string error) = await RunAsync("boot", lab);
        Assert.That(error, Does.Contain("never said"));
        Assert.That(exitCode, Is.EqualTo(1));
        AssertNothingIsLeft();
    }

    [Test]
    public async Task A_signal_in_the_middle_leaves_nothing_behind()
    {
        using Process boot = Start("boot", Lab("demo"), "--print", _document);
        Task<string> error = boot.StandardError.ReadToEndAsync();
        while (await boot.StandardOutput.ReadLineAsync() is { } line && !line.Contains("lp0: using", StringComparison.Ordinal))
        {
        }
        using (Process kill = Process.Start("kill", ["-TERM", boot.Id.ToString(CultureInfo.InvariantCulture)])) await kill.WaitForExitAsync();
        await boot.WaitForExitAsync().WaitAsync(Generous);
        Assert.That(boot.ExitCode, Is.EqualTo(1));
        Assert.That(await error, Does.Contain("SIGTERM: the guest and its devices are gone"));
        AssertNothingIsLeft();
    }

    private void AssertNothingIsLeft()
    {
        Assert.That(Directory.GetFileSystemEntries(Path.Combine(_folder, "runtime", "emulator")), Is.Empty, "sockets");
        string[] commands = [.. Directory.GetDirectories("/proc").Select(p => Path.Combine(p, "cmdline")).Where(File.Exists).Select(ReadOrEmpty)];
        Assert.That(commands.Where(c => c.Contains(_folder, StringComparison.Ordinal)), Is.Empty, "processes");
    }

    // A process may end while it is looked at.
    private static string ReadOrEmpty(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (IOException)
        {
            return "";
        }
    }

    private static string Lab(string name)
    {
        for (string? folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            string lab = Path.Combine(folder, "qemu-config", "labs", name + ".jsonc");
            if (File.Exists(lab)) return lab;
        }
        throw new InvalidOperationException("The tests run from a checkout.");
    }

    private async Task<(int ExitCode, string Output, string Error)> RunAsync(params string[] arguments)
    {
        using Process process = Start(arguments);
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        try
        {
            await process.WaitForExitAsync().WaitAsync(Generous);
        }
        finally
        {
            process.Kill(entireProcessTree: true);
        }
        return (process.ExitCode, await output, await error);
    }

    private Process Start(params string[] arguments)
    {
        string runtime = Directory.CreateDirectory(Path.Combine(_folder, "runtime")).FullName;
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "emulator"), arguments)
        {
            WorkingDirectory = _folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["XDG_RUNTIME_DIR"] = runtime;
        Process process = Process.Start(start)!;
        process.StandardInput.Close();
        return process;
    }
}
