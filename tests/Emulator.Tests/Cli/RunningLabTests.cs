using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Emulator.Cli;
using Emulator.Cli.Control;
using Emulator.Cli.Lab;
using Emulator.Tracing;
using Emulator.VfioUser.Client;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Server;
using Emulator.VfioUser.Transport;

namespace Emulator.Tests.Cli;

/// <summary>A lab served in this process, and the commands that talk to it.</summary>
[Category("Wire")]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class RunningLabTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private TemporaryFolder _folder = null!;
    private string _labFile = null!;

    [SetUp]
    public void MakeLab()
    {
        _folder = new TemporaryFolder();
        _labFile = _folder.In("lab.jsonc");
        File.WriteAllText(_labFile, $$"""
            {
              "sockets": "{{_folder.In("run")}}",
              "devices": [
                { "name": "lp", "model": "parallel-port", "interrupt": true, "peripheral": { "kind": "printer", "folder": "{{_folder.In("print")}}" }, 
                  "logicTrace": "{{_folder.In("vcd/lp.vcd")}}" },
                { "name": "dev", "model": "scratch", "decode": "always" },
              ],
            }
            """);
    }

    [TearDown]
    public void RemoveLab() => _folder.Dispose();

    [Test]
    public void Every_device_listens_when_the_lab_runs_and_nothing_is_left_when_it_ends()
    {
        using (RunningLab lab = Start())
        {
            foreach (ServedDevice device in lab.Devices)
            {
                using VfioUserClient client = VfioUserClient.Connect(device.Server.SocketPath, Patience);
                Assert.That(client.Read16(RegionIndex.Config, 0), Is.EqualTo(device.Identity.Vendor));
            }
            Assert.That(File.GetUnixFileMode(lab.Folder.Control), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite));
            Assert.That(File.GetUnixFileMode(lab.Folder.Path), Is.EqualTo(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute));
        }
        Assert.That(Directory.GetFileSystemEntries(_folder.In("run")), Is.Empty);
        Assert.That(new FileInfo(_folder.In("vcd/lp.vcd")).Length, Is.Positive);
    }

    [Test]
    public void A_second_run_of_the_same_lab_is_told_who_has_it()
    {
        using RunningLab first = Start();
        UserError error = Assert.Throws<UserError>(() => Start().Dispose());
        Assert.That(error.Message, Does.Contain($"process {Environment.ProcessId} serves it"));
        Assert.That(error.ExitCode, Is.EqualTo(1));
        Assert.That(CommandRun.Of("probe", first.Folder.Socket("lp")).ExitCode, Is.Zero, "the first one goes on");
    }

    [Test]
    public void A_client_of_a_device_that_always_decodes_need_not_enable_it()
    {
        using RunningLab lab = Start();
        using VfioUserClient always = VfioUserClient.Connect(lab.Folder.Socket("dev"), Patience),
            honour = VfioUserClient.Connect(lab.Folder.Socket("lp"), Patience);
        always.Write32(0, 0, 0x1234_5678);
        Assert.That(always.Read32(0, 0), Is.EqualTo(0x1234_5678));
        Assert.That(honour.Read8(0, 1), Is.EqualTo(0xff));
    }

    [Test]
    public void Memory_that_can_shrink_is_mapped_where_the_lab_trusts_it([Values] bool trusted)
    {
        string option = trusted ? ", \"trustUnsealedMemory\": true" : "";
        string device = $$"""{ "name": "dev", "model": "scratch", "decode": "always"{{option}} }""";
        File.WriteAllText(_labFile, $$"""{ "sockets": "{{_folder.In("run")}}", "devices": [{{device}}] }""");
        File.WriteAllBytes(_folder.In("ram"), new byte[4096]);
        using RunningLab lab = Start();
        using VfioUserClient client = VfioUserClient.Connect(lab.Folder.Socket("dev"), Patience);
        using (Microsoft.Win32.SafeHandles.SafeFileHandle opened = File.OpenHandle(_folder.In("ram"), FileMode.Open, FileAccess.ReadWrite))
        using (var ram = new FileDescriptor((int)opened.DangerousGetHandle()))
        {
            opened.SetHandleAsInvalid();
            client.MapDma(0, 4096, DmaMapFlags.Readable | DmaMapFlags.Writable, ram);
        }
        client.Write16(RegionIndex.Config, 4, 6);
        DeviceServer server = lab.Devices[0].Server;
        bool reached = false;
        server.Invoke(() => reached = server.Function.Memory.TryRead(0, new byte[16]));
        Assert.That(reached, Is.EqualTo(trusted));
    }

    [Test]
    public void Set_lists_and_changes_switches()
    {
        using RunningLab lab = Start();
        Assert.That(CommandRun.Of("set", _labFile).Output, Does.Contain("lp paper present").And.Contain("dev has no switches"));
        Assert.That(CommandRun.Of("set", _labFile, "lp", "paper", "out"), Is.EqualTo(new CommandRun(0, "lp paper out\n", "")));
        Assert.That(CommandRun.Of("set", lab.Folder.Path, "lp").Output, Does.Contain("lp paper out"), "by the folder of its sockets");
        using var json = JsonDocument.Parse(CommandRun.Of("set", _labFile, "lp", "line", "off", "--format", "json").Output);
        Assert.That(json.RootElement[0].GetProperty("switches")[0].GetProperty("value").GetString(), Is.EqualTo("off"));
        Assert.That(CommandRun.Of("probe", lab.Folder.Socket("lp"), "--read", "0:1").Output, Does.Match("BAR0\\+0x1 = 0x[0-9a-f]{2}\n"));
    }

    [TestCase("no device \"pl\" in this lab; did you mean \"lp\"?", "pl", "paper", "out")]
    [TestCase("lp has no switch \"papr\"; did you mean \"paper\"?", "lp", "papr", "out")]
    [TestCase("lp: paper takes present, out; not 'gone'", "lp", "paper", "gone")]
    [TestCase("dev has no switches", "dev", "paper", "out")]
    [TestCase("a value for paper is missing", "lp", "paper")]
    public void Set_says_what_is_wrong(string message, params string[] args)
    {
        using RunningLab lab = Start();
        CommandRun run = CommandRun.Of(["set", _labFile, .. args]);
        Assert.That(run.Error, Does.Contain(message));
        Assert.That(run.ExitCode, Is.EqualTo(2));
    }

    [Test]
    public void Set_says_so_when_the_lab_does_not_run()
    {
        CommandRun run = CommandRun.Of("set", _labFile);
        Assert.That(run.Error, Does.Contain("no lab runs in").And.Contain("emulator run"));
        Assert.That(run.ExitCode, Is.EqualTo(1));
    }

    [TestCase("no JSON\n")]
    [TestCase("{}\n")]
    [TestCase("null\n")]
    [TestCase("{\"command\":\"set\"}\n")]
    [TestCase("{\"command\":\"dance\"}\n")]
    public void A_bad_request_on_the_control_socket_hurts_nobody(string request)
    {
        using RunningLab lab = Start();
        SendToControl(lab, Encoding.UTF8.GetBytes(request));
        Assert.That(CommandRun.Of("set", _labFile).ExitCode, Is.Zero);
    }

    [Test]
    public void A_line_that_never_ends_on_the_control_socket_hurts_nobody()
    {
        using RunningLab lab = Start();
        SendToControl(lab, [.. Enumerable.Repeat((byte)'x', LineStream.LongestLine)]);
        Assert.That(CommandRun.Of("set", _labFile).ExitCode, Is.Zero);
    }

    [Test]
    public void Probe_shows_identity_bars_and_interrupts()
    {
        using RunningLab lab = Start();
        CommandRun run = CommandRun.Of("probe", lab.Folder.Socket("lp"));
        Assert.That(run.Output, Does.StartWith("9710:9805 Parallel controller: BiDir [070101] (rev 01)\n\tSubsystem: 1000:0010\n"));
        Assert.That(run.Output,
            Does.Contain("\tRegion 0: I/O ports [size=8]\n").And.Contain("\tIRQ INTx: count 1, EventFd+ Maskable+ AutoMasked+ NoResize-\n"));
        using var json = JsonDocument.Parse(CommandRun.Of("probe", lab.Folder.Socket("lp"), "--format", "json").Output);
        Assert.That(json.RootElement.GetProperty("vendorId").GetInt32(), Is.EqualTo(0x9710));
        Assert.That(json.RootElement.GetProperty("serverProcess").GetInt32(), Is.EqualTo(Environment.ProcessId));
    }

    [Test]
    public void Probe_reads_and_writes_in_the_order_given()
    {
        using RunningLab lab = Start();
        CommandRun run = CommandRun.Of("probe", lab.Folder.Socket("dev"),
            "--read", "0:0x40", "--write", "0:0x40:4=0xdeadbeef", "--read=bar0:0x40:2", "--write", "0:0x42:1=0x11",
            "--read", "0:0x40", "--read", "config:0:20");
        Assert.That(run.Output, Is.EqualTo("""
            BAR0+0x40 = 0x00000000
            BAR0+0x40 <- 0xdeadbeef
            BAR0+0x40 = 0xbeef
            BAR0+0x42 <- 0x11
            BAR0+0x40 = 0xde11beef
            CONFIG+0x0000  f4 1a f0 10 03 00 00 00 01 00 00 ff 00 00 00 00
            CONFIG+0x0010  00 00 00 00

            """));
    }

    [TestCase("the device has no BAR3", "--read", "3:0")]
    [TestCase("\"6\" is no region; use a BAR, 0 to 5, or config", "--read", "6:0")]
    [TestCase("4 bytes at 0x1000 do not fit BAR0, which has 0x1000", "--read", "0:0x1000")]
    [TestCase("expected BAR:OFFSET:SIZE=VALUE", "--write", "0:0:4")]
    [TestCase("a size is 1, 2, 4 or 8 bytes", "--write", "0:0:3=1")]
    [TestCase("the value is at most 0xff", "--write", "0:0:1=0x100")]
    [TestCase("\"zero\" is no offset", "--read", "0:zero")]
    public void Probe_says_what_is_wrong(string message, params string[] args)
    {
        using RunningLab lab = Start();
        CommandRun run = CommandRun.Of(["probe", lab.Folder.Socket("dev"), .. args]);
        Assert.That(run.Error, Does.Contain(message));
        Assert.That(run.ExitCode, Is.EqualTo(2));
    }

    [Test]
    public void Probe_says_so_when_the_device_has_a_client()
    {
        using RunningLab lab = Start();
        using VfioUserClient guest = VfioUserClient.Connect(lab.Folder.Socket("dev"), Patience);
        CommandRun run = CommandRun.Of("probe", lab.Folder.Socket("dev"));
        Assert.That(run.Error, Does.Contain("serves another client"));
        Assert.That(run.ExitCode, Is.EqualTo(1));
    }

    [Test]
    public void Probe_says_so_when_nobody_serves()
    {
        CommandRun run = CommandRun.Of("probe", _folder.In("none.sock"));
        Assert.That(run.Error, Does.Contain("is its server running?"));
        Assert.That(run.ExitCode, Is.EqualTo(1));
    }

    [Test]
    public void What_a_probe_did_can_be_read_by_name_afterwards()
    {
        string trace = _folder.In("traces/lab.trace");
        using (RunningLab lab = Start(new TraceChoice(trace, null))) CommandRun.Of("probe", lab.Folder.Socket("lp"), "--write", "0:0:1=0x55");
        CommandRun all = CommandRun.Of("trace", "show", trace),
            data = CommandRun.Of("trace", "show", trace, "--device", "lp", "--register", "DATA", "--format", "json");
        Assert.That(all.Error, Is.Empty);
        Assert.That(all.Output, Does.Match("lp +W +BAR0 SPP.DATA +0x55").And.Contain("reset").And.Contain("dev"));
        string[] lines = data.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.That(lines, Has.Length.EqualTo(1));
        using var json = JsonDocument.Parse(lines[0]);
        Assert.That(json.RootElement.GetProperty("device").GetString(), Is.EqualTo("lp"));
    }

    [TestCase("--register: no register is called 'DTA'", "--register", "DTA")]
    [TestCase("--device: the trace has no device 'pl'; choose from lp, dev", "--device", "pl")]
    [TestCase("--kind: 'noise' is no kind of event", "--kind", "noise")]
    [TestCase("--from: 'soon' is no time", "--from", "soon")]
    public void Trace_show_says_what_is_wrong_with_a_filter(string message, params string[] args)
    {
        string trace = _folder.In("lab.trace");
        Start(new TraceChoice(trace, null)).Dispose();
        CommandRun run = CommandRun.Of(["trace", "show", trace, .. args]);
        Assert.That(run.Error, Does.Contain(message));
        Assert.That(run.ExitCode, Is.EqualTo(2));
    }

    [Test]
    public void A_live_view_shows_accesses_as_they_happen()
    {
        using var output = new StringWriter();
        var renderer = new TextTraceRenderer(new TerminalTraceWriter(TextWriter.Synchronized(output), colour: false));
        using (RunningLab lab = Start(new TraceChoice(null, renderer))) CommandRun.Of("probe", lab.Folder.Socket("lp"), "--write", "0:0:1=0x55");
        Assert.That(output.ToString(), Does.Match("lp +W +BAR0 SPP.DATA +0x55"));
    }

    [TestCase("TERM")]
    [TestCase("INT")]
    [TestCase("HUP")]
    public void The_program_says_ready_and_a_signal_ends_it_in_order(string signal)
    {
        using Process run = Process.Start(ForegroundProcess.Of(
            Path.Combine(AppContext.BaseDirectory, "emulator"), "run", _labFile, "--trace", _folder.In("lab.trace")))!;
        try
        {
            var lines = new List<string>();
            while (run.StandardOutput.ReadLine() is { } line && line != "ready") lines.Add(line);
            Assert.That(lines, Is.EqualTo(new[]
            {
                $"lp  parallel-port  9710:9805  {_folder.In("run/lp.sock")}", $"dev  scratch  1af4:10f0  {_folder.In("run/dev.sock")}",
            }));
            ForegroundProcess.Signal(run, signal);
            Assert.That(run.WaitForExit(Patience), Is.True);
            Assert.That(run.ExitCode, Is.Zero, run.StandardError.ReadToEnd());
        }
        finally
        {
            run.Kill();
        }
        Assert.That(Directory.GetFileSystemEntries(_folder.In("run")), Is.Empty);
        using TraceReader trace = TraceReader.Open(_folder.In("lab.trace"));
        Assert.That(trace.IsTruncated, Is.False);
    }

    private RunningLab Start(TraceChoice? trace = null) => new(LabSource.Load(_labFile), trace ?? new TraceChoice(null, null), _ => { });

    private static void SendToControl(RunningLab lab, byte[] bytes)
    {
        using var client = VfioUser.Transport.UnixStream.Connect(lab.Folder.Control, Patience);
        client.SetReceiveTimeout(Patience);
        client.Send(bytes);
        // The server answers, or hangs up.
        client.Receive(new byte[LineStream.LongestLine], [], out _);
    }
}
