using Emulator.VfioUser.Transport;

namespace Emulator.Cli.Control;

/// <summary>Asks a running lab.</summary>
internal sealed class ControlClient : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly string _path;
    private readonly LineStream _lines;

    /// <exception cref="UserError">No lab runs there.</exception>
    public ControlClient(string path)
    {
        _path = path;
        if (!File.Exists(path)) throw UserError.Failed($"no lab runs in {Path.GetDirectoryName(path)}; start it with `emulator run LAB`");
        try
        {
            _lines = new LineStream(UnixStream.Connect(path, Patience), Patience);
        }
        catch (TransportException problem)
        {
            throw UserError.Failed($"cannot talk to the lab: {problem.Message}", problem);
        }
    }

    /// <exception cref="UserError">The lab refused, or went away.</exception>
    public ControlReply Ask(ControlRequest request)
    {
        if (!_lines.Write(request, ControlJson.Default.ControlRequest) || !_lines.TryRead(ControlJson.Default.ControlReply, out ControlReply? reply))
            throw UserError.Failed($"{_path} does not answer; has the lab ended?");
        return reply.Error is null ? reply : throw new UserError(reply.Error);
    }

    public void Dispose() => _lines.Dispose();
}
