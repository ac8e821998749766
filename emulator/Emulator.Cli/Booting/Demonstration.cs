using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using DeviceModels.ParallelPort.Peripherals;
using Emulator.Cli.Lab;
using Emulator.Files;
using Emulator.Guests;
using Emulator.Observation;
using Emulator.Tracing;
using TraceFilter = Emulator.Tracing.TraceFilter;

namespace Emulator.Cli.Booting;

/// <summary>
/// A lab's scripted session, for where no person is: waits for the guest's drivers, prints a document through them, runs
/// commands, and compares what came out with what went in.
/// </summary>
/// <param name="document">The document to print instead of the lab's own, or null.</param>
internal sealed class Demonstration(LabSource source, RunningLab lab, string? document, TextWriter output)
{
    private const string PayloadName = "document";
    private const int TraceLines = 4;
    private const int LongestDocument = 64 << 20;

    private static readonly TimeSpan JobPatience = TimeSpan.FromSeconds(15);

    private readonly LabDemonstration _script = source.Lab.Guest?.Demo
        ?? throw new UserError($"{source.Path}: the lab's guest has no \"demo\" to show without a terminal; start it from one, or add \"demo\"");

    private readonly BlockingCollection<PrintedJob> _jobs = [];
    private TimeSpan _printStarted;
    private byte? _firstByte;

    /// <summary>What it is doing, for the message when time is over.</summary>
    public string Step { get; private set; } = "";

    /// <summary>What the script may take once the guest is up.</summary>
    public TimeSpan Timeout => TimeSpan.FromSeconds(_script.TimeoutSeconds);

    /// <summary>The document as it will be sent, or null where the demonstration prints nothing.</summary>
    /// <exception cref="UserError">It cannot be read.</exception>
    public static string? FindDocument(LabSource source, string? named)
    {
        LabPrint? print = source.Lab.Guest?.Demo?.Print;
        if (named is not null && print is null) throw new UserError($"--print: the demonstration of {source.Path} prints nothing");
        string? path = named ?? print?.Document;
        if (path is null) return null;
        if (File.Exists(path))
        {
            try
            {
                BoundedFile.ReadAllBytes(path, LongestDocument);
                return path;
            }
            catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
            {
                string message = problem.Message.TrimEnd('.');
                throw named is null ? source.ErrorAt("guest.demo.print.document", message) : new UserError($"--print: {message}", cause: problem);
            }
        }
        throw named is null
            ? source.ErrorAt("guest.demo.print.document", $"there is no file {path} in {Directory.GetCurrentDirectory()}; name a document with --print FILE")
            : new UserError($"--print: there is no file {path}");
    }

    /// <summary>Files the guest needs.</summary>
    public IReadOnlyList<PayloadFile> Payload => document is null ? [] : [new PayloadFile(PayloadName, document)];

    /// <summary>Plays the script in a guest that is up.</summary>
    /// <returns>Whether everything was as it should be.</returns>
    /// <exception cref="GuestException">The guest failed.</exception>
    public async Task<bool> PlayAsync(GuestSession session, CancellationToken cancel)
    {
        foreach (string text in _script.Expect)
        {
            Step = $"the guest to say \"{text}\"";
            var pattern = new Regex($"^.*{Regex.Escape(text)}.*\n", RegexOptions.Multiline);
            Match line = await session.Console.WaitForAsync(pattern, System.Threading.Timeout.InfiniteTimeSpan, 0, cancel);
            Say("guest: " + line.Value.TrimEnd());
        }
        bool good = _script.Print is not { } print || await PrintAsync(session, print, cancel);
        foreach (string command in _script.Run)
        {
            Step = $"`{command}` in the guest";
            Say($"guest$ {command}");
            GuestCommandResult result = await session.RunAsync(command, System.Threading.Timeout.InfiniteTimeSpan, null, cancel);
            output.Write(result.Output);
            output.Flush();
            if (result.ExitCode == 0) continue;
            Say($"it ended with exit code {result.ExitCode}");
            return false;
        }
        Step = "the guest to power off";
        await session.PowerOffAsync(cancel);
        return good;
    }

    /// <summary>Names the pictures and shows some of what was recorded, once the lab has ended.</summary>
    public void ShowResults()
    {
        foreach (RobotLabDevice robot in source.Lab.Devices.OfType<RobotLabDevice>().Where(r => r.PathSvg is not null))
            Say($"picture: {robot.PathSvg}, what {robot.Name} did");
        ShowTrace();
    }

    private void ShowTrace()
    {
        if (lab.TraceFile is not { } file) return;
        using TraceReader reader = TraceReader.Open(file);
        var filter = new TraceFilter { Kinds = TraceKinds.Read | TraceKinds.Write, From = (long)_printStarted.TotalNanoseconds };
        var renderer = new TextTraceRenderer(new TerminalTraceWriter(output, TerminalTraceWriter.WantsColour), fold: false, reader.Devices);
        long events = 0, shown = 0;
        foreach (TraceEntry entry in reader.Read())
        {
            events++;
            if (shown >= TraceLines || !filter.Matches(entry) || (shown == 0 && !BeginsDocument(entry))) continue;
            if (shown++ == 0) Say(_firstByte is null ? "the first accesses:" : $"how the first bytes of {document} went:");
            renderer.Render(entry);
        }
        renderer.Flush();
        Say($"trace: {file}, {events} events; `emulator trace show {file}` reads it");
    }

    // What comes before the first byte is the driver getting ready.
    private bool BeginsDocument(in TraceEntry entry)
        => _firstByte is not { } first
            || (entry.Event is { Kind: DeviceEventKind.Write, Length: 1 } && entry.Event.Value == first && entry.Device.Name == _script.Print!.Device);

    private async Task<bool> PrintAsync(GuestSession session, LabPrint print, CancellationToken cancel)
    {
        byte[] sent = await File.ReadAllBytesAsync(document!, cancel);
        ServedDevice printer = lab.Devices.First(d => d.Name == print.Device);
        printer.Host.JobPrinted += _jobs.Add;
        _printStarted = lab.Elapsed;
        if (sent.Length > 0) _firstByte = sent[0];
        Step = $"{document} to go to {print.To}";
        long started = Stopwatch.GetTimestamp();
        GuestCommandResult copied = await session.RunAsync($"cat /payload/{PayloadName} >{print.To}", System.Threading.Timeout.InfiniteTimeSpan, null, cancel);
        if (copied.ExitCode != 0)
        {
            Say($"cat to {print.To} ended with exit code {copied.ExitCode}: {copied.Output.Trim()}");
            return false;
        }
        Step = $"{printer.Name} to finish its print job";
        List<PrintedJob> jobs = await Task.Run(() => TakeJobs(sent.Length, cancel), cancel);
        var printed = new MemoryStream();
        foreach (PrintedJob job in jobs) printed.Write(await File.ReadAllBytesAsync(job.Path, cancel));
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        Say(string.Create(CultureInfo.InvariantCulture,
            $"{document}: {sent.Length} bytes sent to {print.To} in the guest; {printer.Name} printed {printed.Length} bytes in {seconds:0.0} s"));
        foreach (PrintedJob job in jobs) Say($"printed: {Path.GetRelativePath(".", job.Path)}");
        int common = sent.AsSpan().CommonPrefixLength(printed.GetBuffer().AsSpan(0, (int)printed.Length));
        bool equal = common == sent.Length && common == printed.Length;
        Say(equal ? "equal: the printed document is the one sent, byte for byte" : $"different: the printed document and the one sent part at byte {common}");
        return equal;
    }

    // A document with a job's end in it comes as several. A job that never comes must not be waited for without end.
    private List<PrintedJob> TakeJobs(long bytes, CancellationToken cancel)
    {
        var jobs = new List<PrintedJob>();
        TimeSpan patience = JobPatience + TimeSpan.FromSeconds(source.Lab.Devices.OfType<ParallelPortLabDevice>()
            .Select(d => d.Peripheral).OfType<LabPrinter>().Select(p => p.JobIdleSeconds).DefaultIfEmpty(0).Max());
        while (jobs.Sum(j => j.Bytes) < bytes && _jobs.TryTake(out PrintedJob? job, (int)patience.TotalMilliseconds, cancel)) jobs.Add(job);
        return jobs;
    }

    private void Say(string line)
    {
        output.WriteLine(line);
        output.Flush();
    }
}
