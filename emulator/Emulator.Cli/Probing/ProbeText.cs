using System.Globalization;
using System.Text;

namespace Emulator.Cli.Probing;

/// <summary>A report in the form `lspci -vv` has made familiar.</summary>
internal static class ProbeText
{
    public static string Render(ProbeReport report)
    {
        var text = new StringBuilder();
        void Line(string line) => text.Append(line).Append('\n');
        string className = report.ClassName.Length == 0 ? "" : report.ClassName + " ";
        Line($"{report.VendorId:x4}:{report.DeviceId:x4} {className}[{report.ClassCode:x6}] (rev {report.Revision:x2})");
        if (report.SubsystemVendorId != 0 || report.SubsystemId != 0) Line($"\tSubsystem: {report.SubsystemVendorId:x4}:{report.SubsystemId:x4}");
        Line($"\tControl: {Flags(report.Command)}");
        Line($"\tStatus: {Flags(report.Status)}");
        if (report.InterruptPin is { } pin) Line($"\tInterrupt: pin {pin}");
        foreach (ProbedBar bar in report.Bars)
        {
            string kind = bar.Kind == "io" ? "I/O ports" : $"Memory ({(bar.Kind == "memory64" ? 64 : 32)}-bit, {(bar.Prefetchable ? "" : "non-")}prefetchable)";
            Line($"\tRegion {bar.Index}: {kind} [size={Size(bar.Size)}]");
            foreach (ProbedArea area in bar.Mappable) Line($"\t\tMappable: 0x{area.Offset:x} to 0x{area.Offset + area.Size - 1:x} [size={Size(area.Size)}]");
        }
        foreach (ProbedCapability capability in report.Capabilities)
        {
            Line($"\tCapabilities: [{capability.Offset:x2}] {capability.Name}{(capability.Details.Count > 0 ? ": " + capability.Details[0] : "")}");
            foreach (string detail in capability.Details.Skip(1)) Line($"\t\t{detail}");
        }
        foreach (ProbedInterrupt irq in report.Interrupts.Where(i => i.Count > 0))
        {
            string flags = $"EventFd{Sign(irq.EventFd)} Maskable{Sign(irq.Maskable)} AutoMasked{Sign(irq.AutoMasked)} NoResize{Sign(irq.NoResize)}";
            Line($"\tIRQ {irq.Name}: count {irq.Count}, {flags}");
        }
        Line($"\tConfiguration space: {report.ConfigurationSize} bytes");
        Line($"\tServed by: process {report.ServerProcess} on {report.Socket}");
        return text.ToString();
    }

    /// <summary>"BAR0+0x2 = 0xcc", or a dump where there are more bytes than a value has.</summary>
    public static string Render(ProbedAccess access)
    {
        if (access.Value is { } value)
        {
            string digits = value.ToString("x", CultureInfo.InvariantCulture).PadLeft(access.Bytes.Length * 2, '0');
            return $"{access.Region}+0x{access.Offset:x} {(access.Access == "write" ? "<-" : "=")} 0x{digits}\n";
        }
        var text = new StringBuilder();
        for (int i = 0; i < access.Bytes.Length; i += 16)
        {
            ReadOnlySpan<byte> row = access.Bytes.AsSpan(i, Math.Min(16, access.Bytes.Length - i));
            text.Append(CultureInfo.InvariantCulture, $"{access.Region}+0x{access.Offset + (ulong)i:x4} ");
            foreach (byte b in row) text.Append(CultureInfo.InvariantCulture, $" {b:x2}");
            text.Append('\n');
        }
        return text.ToString();
    }

    private static string Flags(IReadOnlyDictionary<string, bool> flags) => string.Join(' ', flags.Select(f => f.Key + Sign(f.Value)));

    private static char Sign(bool set) => set ? '+' : '-';

    private static string Size(ulong bytes) => bytes switch
    {
        >= 1 << 30 when bytes % (1 << 30) == 0 => $"{bytes >> 30}G",
        >= 1 << 20 when bytes % (1 << 20) == 0 => $"{bytes >> 20}M",
        >= 1 << 10 when bytes % (1 << 10) == 0 => $"{bytes >> 10}K",
        _ => $"{bytes}",
    };
}
