using Emulator.VfioUser.Transport;

namespace Emulator.Cli.Control;

/// <summary>
/// Answers `emulator set` for a running lab, on a socket only its user may connect to: a client at a time, each with as many
/// requests as it likes. Socket mode, folder and the peer's user are the listener's to check.
/// </summary>
internal sealed class ControlServer : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private readonly UnixListener _listener;
    private readonly EventFd _stop = EventFd.Create();
    private readonly Func<ControlRequest, ControlReply> _answer;
    private readonly Thread _thread;

    /// <summary>Takes the socket; clients wait until <see cref="Start"/>.</summary>
    /// <param name="path">The socket's path.</param>
    /// <param name="answer">Runs on the server's thread.</param>
    /// <exception cref="TransportException">The socket cannot be served there.</exception>
    public ControlServer(string path, Func<ControlRequest, ControlReply> answer)
    {
        _listener = UnixListener.Bind(path);
        _answer = answer;
        _thread = new Thread(Serve) { IsBackground = true, Name = "control" };
    }

    /// <summary>Begins to answer.</summary>
    public void Start() => _thread.Start();

    public void Dispose()
    {
        _stop.Signal();
        if ((_thread.ThreadState & ThreadState.Unstarted) == 0) _thread.Join();
        _listener.Dispose();
        _stop.Dispose();
    }

    private void Serve()
    {
        using var poller = new Poller(2);
        poller.Add(_listener.Handle, PollEvents.Readable);
        int stop = poller.Add(_stop.Handle, PollEvents.Readable);
        while (true)
        {
            poller.Wait(Poller.Infinite);
            if (poller.Events(stop) != PollEvents.None) return;
            try
            {
                if (_listener.TryAccept(out UnixStream? stream, out _) != AcceptOutcome.Accepted) continue;
                using var lines = new LineStream(stream!, Patience);
                while (lines.TryRead(ControlJson.Default.ControlRequest, out ControlRequest? request))
                {
                    if (!lines.Write(_answer(request), ControlJson.Default.ControlReply)) break;
                }
            }
            catch (TransportException)
            {
                // One client's trouble: the next one is served.
            }
        }
    }
}
