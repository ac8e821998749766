using System.Globalization;
using Emulator.Nt.Views;

namespace Emulator.Cli.Bench;

/// <summary>A report as text: short blocks in the order of events, the summary last.</summary>
internal static class BenchText
{
    public static void Write(BenchReport report, TextWriter output)
    {
        bool isOne = report.Devices.Count == 1;
        output.WriteLine($"{report.Machine}, {string.Join(", ", report.Devices.Select(d => $"{d.Name} {d.Device}".TrimEnd()))}, {report.Interrupts}");
        WriteModules(report, output);
        WriteSteps(report, output);
        foreach (DeviceLine device in report.Devices)
        {
            if (device.Stack is { } stack) Block(output, isOne ? "devstack" : $"devstack of {device.Name}", $"{stack}{stack.ToFigure()}");
        }
        foreach (DriverListing driver in report.Drivers) Block(output, $"drvobj {ShortName(driver)} 2", driver.ToString());
        foreach (DeviceLine device in report.Devices.DistinctBy(d => d.Function))
        {
            if (device.Pair is { } pair) Block(output, isOne ? "pair" : $"pair {Path.GetFileNameWithoutExtension(device.Function)}", pair.ToString());
        }
        if (report.Nodes is { } nodes) Block(output, "devnode", nodes.ToString());
        if (report.Callbacks is { } callbacks) Block(output, "callbacks of the framework", Lines(callbacks));
        if (report.Printed.Count > 0) Block(output, "printed", Lines(report.Printed));
        // Where a number was too high, what there was to count says which would do.
        if (report.FaultsWanted && report.Injected.Count == 0)
        {
            string accesses = Invariant($"{report.Devices[0].Accesses} accesses to the first device");
            Block(output, "faults made",
                Invariant($"none: there were {report.Allocations} allocations, {accesses} and {report.InterruptsDelivered} interrupts\n"));
        }
        if (report.Injected.Count > 0) Block(output, "faults made", Lines(report.Injected));
        Block(output, "findings", report.Findings.Count == 0 ? "none\n" : Lines(report.Findings.Select(Text)));
        output.WriteLine();
        output.WriteLine(Summary(report));
    }

    /// <summary>A finding in a line: the rule, what happened, where.</summary>
    public static string Text(FindingLine finding)
        => finding.Address.IsNull ? $"{finding.Rule}: {finding.Text}" : $"{finding.Rule}: {finding.Text}; in {finding.Function} ({finding.Address})";

    /// <summary>"clean: ..." or what is wrong, in one line.</summary>
    public static string Summary(BenchReport report)
    {
        StepResult? failed = report.Steps.FirstOrDefault(s => s.IsFailure);
        string verdict = report.Findings.Count > 0 ? Counted(report.Findings.Count, "finding")
            : failed is not null ? $"failed: {failed.Name} {failed.Status}" : "clean";
        string cost = report.Cost is not { } c ? ""
            : Invariant($"; here {c.Milliseconds:0} ms, {c.InstructionsPerSecond / 1e6:0.##} million instructions/s, {c.PeakMegabytes:0} MB");
        return Invariant($"{verdict}: {Counted(report.Modules.Count, "module")}, {Counted(report.Steps.Count, "step")}, {report.Instructions} instructions, ")
            + Invariant($"{report.VirtualTimeNs / 1e6:0.###} ms of virtual time, {Counted(report.InterruptsDelivered, "interrupt")}, ")
            + $"{Counted(report.DpcsDelivered, "DPC")}{cost}";
    }

    private static void WriteModules(BenchReport report, TextWriter output)
    {
        if (report.Modules.Count == 0) return;
        output.WriteLine();
        output.WriteLine("load order");
        int width = report.Modules.Max(m => m.File.Length);
        foreach (ModuleLine module in report.Modules)
        {
            string imports = string.Join(", ", module.Imports.Select(i => $"{i.Module} {i.Count}"));
            string role = module.Role switch
            {
                DriverRole.ExportDriver => "export driver",
                DriverRole.FunctionDriver => "function driver",
                DriverRole.LowerFilter => "lower filter",
                _ => "upper filter",
            };
            string lacks = module.Lacks.Count == 0 ? "" : $"; the bench lacks {string.Join(", ", module.Lacks)}, which may end the run";
            string map = module.HasMap ? "" : "; no .map beside it, so exports are all the names there are";
            output.WriteLine(Invariant($"  {module.File.PadRight(width)}  {module.Base}  0x{module.Size:x5}  {role,-15}  imports {imports}{lacks}{map}"));
        }
    }

    private static void WriteSteps(BenchReport report, TextWriter output)
    {
        if (report.Steps.Count == 0) return;
        output.WriteLine();
        int name = report.Steps.Max(s => s.Name.Length), status = report.Steps.Max(s => s.Status.Length);
        // With one device there is no question whose step it is.
        int device = report.Devices.Count == 1 ? 0 : report.Devices.Max(d => d.Name.Length) + 2;
        string whose = device == 0 ? "" : "device".PadRight(device);
        output.WriteLine(Invariant($"{"life".PadRight(name + 2)}  {whose}{"status".PadRight(status)}  {"virtual ms",12}  {"instructions",12}"));
        foreach (StepResult step in report.Steps)
        {
            string detail = step.Detail is null ? "" : $"  {step.Detail}";
            string numbers = Invariant($"{step.TimeNs / 1e6,12:0.000}  {step.Instructions,12}");
            whose = device == 0 ? "" : (step.Device ?? "").PadRight(device);
            output.WriteLine($"  {step.Name.PadRight(name)}  {whose}{step.Status.PadRight(status)}  {numbers}{detail}");
        }
    }

    private static void Block(TextWriter output, string heading, string lines)
    {
        output.WriteLine();
        output.WriteLine(heading);
        foreach (string line in lines.Split('\n')[..^1]) output.WriteLine($"  {line}".TrimEnd());
    }

    private static string Lines(IEnumerable<string> lines) => string.Concat(lines.Select(l => $"{l}\n"));

    private static string ShortName(DriverListing driver) => driver.Name is { } name ? name[(name.LastIndexOf('\\') + 1)..] : driver.Address.ToString();

    private static string Counted(int count, string what) => Invariant($"{count} {what}{(count == 1 ? "" : "s")}");

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
