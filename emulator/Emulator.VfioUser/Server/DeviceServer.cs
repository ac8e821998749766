using Emulator.Interrupts;
using Emulator.Pci;
using Emulator.Turns;
using Emulator.VfioUser.Server.Sessions;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Server;

/// <summary>
/// Serves one function on a vfio-user socket, on a thread of its own. One client at a time; the next one finds the function as
/// after power-on. Several servers live in one process without touching each other.
/// </summary>
public sealed class DeviceServer : IDisposable
{
    private const int WakeSlot = 0, ListenerSlot = 1, ClientSlot = 2, ResampleSlot = 3, TwinSlot = 4, RefusedSlot = 5, SlotCount = 6;

    // Messages carried out between looks at everything else.
    private const int MessagesInARow = 256;

    private const long ListenPause = 1_000_000_000;

    // Of clients accepted in one turn: a crowd that keeps coming must not keep the device from its client.
    private const int AcceptLimit = 16;

    // Of receives that follow a client to its end: more than its socket can hold.
    private const int FarewellLimit = 256;

    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(30);

    private readonly DeviceServerOptions _options;
    private readonly ServerSlot _slot;
    private readonly Poller _poller;
    private readonly Thread _thread;
    private readonly Lock _lifetime = new();
    private readonly Time.IDeviceTimer _resumeListening, _unread;
    private readonly AdaptiveSpin _spin;
    private long _lastMessage, _sent;
    private int _clientProcess;
    private bool _saidInUse, _isBlocked, _reads = true;
    private UnixListener? _listener;
    private ClientSession? _session;
    private RefusedClient? _refused;
    private EventFd? _polledResample;
    private UnixStream? _polledTwin;
    private volatile bool _stopping;
    private volatile bool _hasClient;

    /// <summary>Creates the function on its slot; nothing listens yet.</summary>
    /// <param name="options">What to serve, and how.</param>
    /// <param name="create">Constructs the function. Its exceptions pass through.</param>
    public DeviceServer(DeviceServerOptions options, Func<PciSlot, PciFunction> create)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(create);
        _options = options;
        _spin = new AdaptiveSpin(options.SpinMicroseconds * 1000L);
        _slot = new ServerSlot(options);
        try
        {
            Function = create(_slot);
            _poller = new Poller(SlotCount);
        }
        catch
        {
            _slot.Dispose();
            throw;
        }
        InterruptController interrupts = Function.Interrupts;
        _slot.InterruptPins.Size(
            Function.Identity.InterruptPin == 0 ? 0 : 1, interrupts.CountOf(InterruptKind.Msi), interrupts.CountOf(InterruptKind.MsiX));
        _slot.InterruptPins.RouteAttached = interrupts.RouteAttached;
        _resumeListening = _slot.Clock.CreateTimer(() => _poller.Watch(ListenerSlot, PollEvents.Readable));
        _unread = _slot.Clock.CreateTimer(() => _reads = false);
        _thread = new Thread(Run) { Name = options.Name, IsBackground = true };
    }

    /// <summary>The function served. Once started, only <see cref="Invoke"/> may touch it.</summary>
    public PciFunction Function { get; }
    public string Name => _options.Name;
    public string SocketPath => _options.SocketPath;

    /// <summary>Whether a client is connected now.</summary>
    public bool HasClient => _hasClient;

    /// <summary>Listens, and starts the device thread.</summary>
    /// <exception cref="TransportException">The socket cannot be bound; the message says why and what to do.</exception>
    public void Start()
    {
        _listener = UnixListener.Bind(_options.SocketPath);
        _poller.Add(_slot.Wake.Handle, PollEvents.Readable);
        _poller.Add(_listener.Handle, PollEvents.Readable);
        // The other slots fill and empty as clients come and go.
        for (int i = ClientSlot; i < SlotCount; i++) _poller.Add(null, PollEvents.None);
        _slot.RealTime.Latch();
        Function.Reset(ResetKind.PowerOn);
        _thread.Start();
    }

    /// <summary>
    /// Runs something on the device thread, in a turn of its own, and waits for it; from the device thread itself, at once. Its
    /// exception passes through.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The server has stopped.</exception>
    public void Invoke(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        if (Thread.CurrentThread == _thread)
        {
            action();
            return;
        }
        using var done = new ManualResetEventSlim();
        System.Runtime.ExceptionServices.ExceptionDispatchInfo? failure = null;
        _slot.MailQueue.Post(new Mail(() =>
        {
            try
            {
                action();
            }
            catch (Exception e)
            {
                failure = System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(e);
            }
            finally
            {
                done.Set();
            }
        }));
        while (!done.Wait(100)) ObjectDisposedException.ThrowIf(!_thread.IsAlive, this);
        failure?.Throw();
    }

    /// <summary>Disconnects the client, stops the thread and removes the socket.</summary>
    public void Dispose()
    {
        lock (_lifetime)
        {
            if (_stopping) return;
            _stopping = true;
        }
        _slot.WakeThread();
        bool stopped = (_thread.ThreadState & ThreadState.Unstarted) != 0 || _thread.Join(StopTimeout);
        _listener?.Dispose();
        if (!stopped)
        {
            // Its memory stays mapped, because it may still use it.
            _options.Report($"{Name}: the device thread did not stop in {StopTimeout.TotalSeconds:0} s; a model may hang");
            return;
        }
        _poller.Dispose();
        _slot.Dispose();
    }

    private void Run()
    {
        while (!_stopping)
        {
            try
            {
                Turn();
            }
            catch (Exception e) when (e is not OutOfMemoryException)
            {
                // A timer or mail of a model failed. The device is lost to its client, not to the others.
                _options.Report($"{Name}: bug in the model: the client is disconnected: {e}");
                Disconnect("");
                // Mail behind the one that failed still waits.
                _slot.WakeThread();
            }
        }
        Disconnect("");
        DropRefused();
    }

    private void Turn()
    {
        if (_spin.IsActive && _session is { IsBlocked: false } active) LookAtClient(active);
        WatchSession();
        _poller.Wait(IsDmaReady || !_slot.MailQueue.IsEmpty || _stopping ? 0 : _slot.RealTime.UntilNext());
        _slot.RealTime.Latch();
        _slot.RealTime.Timers.RunDue();
        if (!_reads) Disconnect("it does not read what it is sent");
        if (Ready(WakeSlot))
        {
            _slot.Wake.TryDrain();
            _slot.MailQueue.Deliver();
        }
        if (Ready(ClientSlot) && _session is { } session)
        {
            _spin.OnGap(_slot.RealTime.Timers.Now - _lastMessage);
            _lastMessage = _slot.RealTime.Timers.Now;
            if (session.Process(out _) == SessionState.Ended) Disconnect(session.Reason);
        }
        if (Ready(TwinSlot) && _session is { Twin: not null } twin && twin.ProcessTwin() == SessionState.Ended) Disconnect(twin.Reason);
        if (Ready(ResampleSlot)) _slot.InterruptPins.OnResample();
        if (IsDmaReady)
        {
            if (_session is null) _slot.DmaMessages.Disconnect();
            else if (_session.RunDma() == SessionState.Ended) Disconnect(_session.Reason);
        }
        if (Ready(RefusedSlot) && _refused is { } refused && refused.Answer()) DropRefused();
        if (Ready(ListenerSlot)) TryAccept();
    }

    private bool IsDmaReady => _slot.DmaMessages.IsReady && _session is not { IsBlocked: true };

    private bool Ready(int slot) => _poller.Events(slot) != PollEvents.None;

    // Carries out messages as they come, without sleeping in between, until none comes or something else wants a turn.
    private void LookAtClient(ClientSession session)
    {
        long deadline = _slot.RealTime.Elapsed + _spin.Limit;
        for (int found = 0; found < MessagesInARow && !session.IsBlocked && !_stopping && !_slot.DmaMessages.IsReady && _slot.MailQueue.IsEmpty;)
        {
            _slot.RealTime.Latch();
            _slot.RealTime.Timers.RunDue();
            if (session.Process(out bool idle) == SessionState.Ended) { Disconnect(session.Reason); return; }
            long now = _slot.RealTime.Elapsed;
            if (!idle)
            {
                found++;
                _spin.OnFound();
                deadline = now + _spin.Limit;
            }
            else if (now >= deadline)
            {
                _spin.OnNothing();
                return;
            }
        }
    }

    private void Accept()
    {
        for (int i = 0; i < AcceptLimit; i++)
        {
            AcceptOutcome outcome = _listener!.TryAccept(out UnixStream? stream, out PeerCredentials peer);
            if (outcome == AcceptOutcome.NoneWaiting) return;
            if (outcome != AcceptOutcome.Accepted || stream is null)
            {
                _options.Report($"{Name}: refused a client of user {peer.Uid} (process {peer.Pid}): the socket is for its owner and root");
                continue;
            }
            try
            {
                BidFarewell();
                if (_session is not null)
                {
                    // Once for each client that has the device: somebody who keeps trying must not fill the log.
                    if (!_saidInUse) _options.Report($"{Name}: refused a client (process {peer.Pid}): process {_clientProcess} has the device");
                    _saidInUse = true;
                    RefuseLater(stream);
                    continue;
                }
                // Not possible when the one before left: it is a condition of letting another one in.
                if (_slot.ReplaceSharedMemory()) Guard("its reset", () => Function.Reset(ResetKind.PowerOn));
                var session = new ClientSession(stream, Function, _slot, _options, text => _options.Report($"{Name}: {text}"));
                _poller.Replace(ClientSlot, stream.Handle, PollEvents.Readable);
                _session = session;
            }
            catch (TransportException)
            {
                stream.Dispose();
                throw;
            }
            (_clientProcess, _saidInUse) = (peer.Pid, false);
            _hasClient = true;
            Function.NoteClient(connected: true);
            _options.Report($"{Name}: client connected (process {peer.Pid})");
        }
    }

    private void TryAccept()
    {
        try
        {
            Accept();
        }
        catch (TransportException e)
        {
            // Out of descriptors, most likely. The one who waits keeps the listener readable: look again later, not all the time.
            _options.Report($"{Name}: {e.Message}");
            _poller.Watch(ListenerSlot, PollEvents.None);
            _resumeListening.Arm(ListenPause);
        }
    }

    // A client that has gone may have left messages behind. They are carried out, so that whoever comes next is not told that the
    // device is in use.
    private void BidFarewell()
    {
        for (int i = 0; i < FarewellLimit && _session is { HasHungUp: true } session; i++)
        {
            if (session.Process(out _) == SessionState.Ended) Disconnect(session.Reason);
        }
    }

    // A second client is told that the device is in use as soon as it asks, instead of waiting for an answer that may never come.
    private void RefuseLater(UnixStream stream)
    {
        // One place for those: a crowd of them gets no more than a closed connection.
        DropRefused();
        _poller.Replace(RefusedSlot, stream.Handle, PollEvents.Readable);
        _refused = new RefusedClient(stream);
    }

    private void DropRefused()
    {
        if (_refused is not { } refused) return;
        _refused = null;
        _poller.Replace(RefusedSlot, null, PollEvents.None);
        refused.Dispose();
    }

    private void WatchSession()
    {
        if (_session?.Twin is { } twin && !ReferenceEquals(twin, _polledTwin))
        {
            _polledTwin = twin;
            _poller.Replace(TwinSlot, twin.Handle, PollEvents.Readable);
        }
        if (_session is { } session && (session.IsBlocked || _isBlocked)) WatchUnread(session);
        EventFd? resample = _slot.InterruptPins.Resample;
        if (ReferenceEquals(resample, _polledResample)) return;
        _polledResample = resample;
        _poller.Replace(ResampleSlot, resample?.Handle, PollEvents.Readable);
    }

    // Waits until the client reads, and only so long; everything else of the device goes on.
    private void WatchUnread(ClientSession session)
    {
        if (!session.IsBlocked) _unread.Cancel();
        else if (!_isBlocked || session.Sent != _sent) _unread.Arm((long)_options.UnreadLimit.TotalNanoseconds);
        (_isBlocked, _sent) = (session.IsBlocked, session.Sent);
        _poller.Watch(ClientSlot, session.Awaited);
        _poller.Watch(TwinSlot, session.TwinAwaited);
    }

    // The next client finds the function as after power-on, and nothing of this one's is kept.
    private void Disconnect(string reason)
    {
        if (_session is not { } session) return;
        _session = null;
        for (int i = ClientSlot; i <= TwinSlot; i++) _poller.Replace(i, null, PollEvents.None);
        _polledResample = null;
        _polledTwin = null;
        (_isBlocked, _reads) = (false, true);
        _unread.Cancel();
        session.Dispose();
        // Before anything of the model runs: whatever it does, the next client must not meet this one's memory or descriptors.
        _slot.DmaTable.Clear();
        _slot.InterruptPins.Clear();
        TakeBackMemory();
        Function.NoteClient(connected: false);
        Guard("a completion", _slot.DmaMessages.Disconnect);
        Guard("its reset", () => Function.Reset(ResetKind.PowerOn));
        _hasClient = false;
        _options.Report(reason.Length == 0 ? $"{Name}: client disconnected" : $"{Name}: client disconnected: {reason}");
    }

    private void TakeBackMemory()
    {
        try
        {
            _slot.ReplaceSharedMemory();
        }
        catch (TransportException e)
        {
            _options.Report($"{Name}: {e.Message} Until that can be done nobody else gets the device");
        }
    }

    private void Guard(string what, Action action)
    {
        try
        {
            action();
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            _options.Report($"{Name}: bug in the model: {what} failed: {e}");
        }
    }
}
