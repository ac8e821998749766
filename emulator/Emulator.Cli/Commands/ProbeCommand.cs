using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json;
using Emulator.Cli.Probing;
using Emulator.Pci;
using Emulator.VfioUser.Client;
using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;
using Command = System.CommandLine.Command;

namespace Emulator.Cli.Commands;

/// <summary>`emulator probe`: what a client finds at a socket.</summary>
internal static class ProbeCommand
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    public static Command Create()
    {
        var socket = new Argument<string>("SOCKET") { Description = "A device's socket, as `run` prints it; any vfio-user server's will do" };
        var read = new Option<string[]>("--read")
        {
            Description = "Read instead: BAR is 0 to 5, or config; SIZE in bytes is 1, 2, 4, 8, or more for a dump",
            HelpName = "BAR:OFFSET[:SIZE]",
        };
        var write = new Option<string[]>("--write") { Description = "Write instead: SIZE is 1, 2, 4 or 8 bytes", HelpName = "BAR:OFFSET:SIZE=VALUE" };
        Option<OutputFormat> format = CommonOptions.Format();
        var command = new Command("probe", "Show a served device as lspci -vv shows a card, or read and write it.") { socket, read, write, format };
        command.SetAction(parsed => Run(
            parsed.InvocationConfiguration.Output, parsed.GetRequiredValue(socket), Accesses(parsed, read, write), parsed.GetValue(format)));
        return command.WithExamples(
            ("emulator probe /tmp/emulator-1000/parallel-port/lp.sock", "the device as lspci would show it"),
            ("emulator probe lp.sock --write 0:0:1=0x55 --read 0:0",
                "write a register, read it back: in the order given, BARs enabled first as firmware does, back at power-on in the end"),
            ("emulator probe dev.sock --read config:0:64", "dump the start of configuration space"));
    }

    private static int Run(TextWriter output, string socket, List<AccessRequest> accesses, OutputFormat format)
    {
        if (socket.Length == 0) throw new UserError("the name of the device's socket is empty; name one that `emulator run` prints");
        try
        {
            using VfioUserClient client = VfioUserClient.Connect(socket, Patience);
            if (accesses.Count == 0)
            {
                ProbeReport report = Report(client, socket);
                output.Write(format == OutputFormat.Json ? JsonSerializer.Serialize(report, ProbeJson.Default.ProbeReport) + "\n" : ProbeText.Render(report));
                return CommandLine.Done;
            }
            IReadOnlyList<ProbedAccess> done = Perform(client, accesses);
            if (format == OutputFormat.Json) output.WriteLine(JsonSerializer.Serialize(done, ProbeJson.Default.IReadOnlyListProbedAccess));
            else foreach (ProbedAccess access in done) output.Write(ProbeText.Render(access));
            return CommandLine.Done;
        }
        catch (TransportException problem) when (problem.Errno == Errno.ENAMETOOLONG)
        {
            throw new UserError(problem.Message.TrimEnd('.'), cause: problem);
        }
        catch (TransportException problem)
        {
            throw UserError.Failed(problem.Message.TrimEnd('.'), problem);
        }
        catch (VfioUserException problem) when (problem.Errno == Errno.EBUSY)
        {
            throw UserError.Failed($"{socket}: the device serves another client, such as a running guest; end that first", problem);
        }
        catch (VfioUserException problem)
        {
            throw UserError.Failed($"{socket}: {problem.Message.TrimEnd('.')}", problem);
        }
    }

    // The library keeps the values of each option together; only the tokens tell the order between the two.
    private static List<AccessRequest> Accesses(ParseResult parsed, Option<string[]> read, Option<string[]> write)
    {
        var accesses = new List<AccessRequest>();
        for (int i = 0; i + 1 < parsed.Tokens.Count; i++)
        {
            if (parsed.Tokens[i].Type != TokenType.Option) continue;
            if (parsed.Tokens[i].Value == read.Name) accesses.Add(AccessRequest.ParseRead(parsed.Tokens[i + 1].Value));
            else if (parsed.Tokens[i].Value == write.Name) accesses.Add(AccessRequest.ParseWrite(parsed.Tokens[i + 1].Value));
        }
        return accesses;
    }

    private static ProbeReport Report(VfioUserClient client, string socket)
    {
        int size;
        using (DeviceRegion region = client.GetRegionInfo(RegionIndex.Config)) size = (int)Math.Min(region.Length, ConfigurationSpace.ExpressSize);
        var bytes = new byte[size];
        client.ReadRegion(RegionIndex.Config, 0, bytes);
        var configuration = new ConfigurationDecoder(bytes);
        var bars = new List<ProbedBar>();
        for (int index = 0; index < PciRegion.BarCount; index++)
        {
            using DeviceRegion region = client.GetRegionInfo(index);
            if (region.Length == 0) continue;
            (string kind, bool prefetchable) = configuration.Bar(index);
            bars.Add(new ProbedBar(index, kind, prefetchable, region.Length, [.. region.MappableAreas.Select(a => new ProbedArea(a.Offset, a.Length))]));
        }
        return new ProbeReport(
            Path.GetFullPath(socket), client.Peer.Pid, configuration.Vendor, configuration.Device, configuration.ClassCode,
            ConfigurationDecoder.ClassName(configuration.ClassCode), configuration.Revision, configuration.SubsystemVendor, configuration.Subsystem,
            configuration.Command, configuration.Status, configuration.InterruptPin, size, bars, configuration.Capabilities(), Interrupts(client));
    }

    private static IReadOnlyList<ProbedInterrupt> Interrupts(VfioUserClient client)
    {
        string[] names = ["INTx", "MSI", "MSI-X", "ERR", "REQ"];
        int count = (int)Math.Min(client.GetDeviceInfo().IrqCount, (uint)names.Length);
        return [.. Enumerable.Range(0, count).Select(index =>
        {
            IrqInfo info = client.GetIrqInfo(index);
            return new ProbedInterrupt(
                names[index], info.Count, Has(IrqInfoFlags.EventFd), Has(IrqInfoFlags.Maskable), Has(IrqInfoFlags.AutoMasked), Has(IrqInfoFlags.NoResize));
            bool Has(IrqInfoFlags flag) => (info.Flags & flag) != 0;
        })];
    }

    private static List<ProbedAccess> Perform(VfioUserClient client, List<AccessRequest> accesses)
    {
        const ushort Decode = 0x0003;
        client.Write16(RegionIndex.Config, 0x04, (ushort)(client.Read16(RegionIndex.Config, 0x04) | Decode));
        var done = new List<ProbedAccess>();
        foreach (AccessRequest access in accesses)
        {
            using DeviceRegion region = client.GetRegionInfo(access.Region);
            bool io = access.Region != PciRegion.Configuration && (client.Read8(RegionIndex.Config, 0x10 + (4 * (ulong)access.Region)) & 1) != 0;
            int size = access.Size ?? (io ? 1 : 4);
            if (access.Offset > region.Length || (ulong)size > region.Length - access.Offset)
                throw new UserError(region.Length == 0
                    ? $"the device has no {access.RegionName}"
                    : $"{size} bytes at 0x{access.Offset:x} do not fit {access.RegionName}, which has 0x{region.Length:x}");
            var bytes = access.Value is null ? new byte[size] : access.ValueBytes();
            if (access.Value is null) client.ReadRegion(access.Region, access.Offset, bytes);
            else client.WriteRegion(access.Region, access.Offset, bytes);
            done.Add(new ProbedAccess(access.Value is null ? "read" : "write", access.RegionName, access.Offset, bytes));
        }
        return done;
    }
}
