using Emulator.VfioUser.Protocol;
using Emulator.VfioUser.Transport;

namespace Emulator.VfioUser.Client;

/// <content>Answers to the server's own commands: on the caller's thread, on one of their own, by the twin socket.</content>
public sealed partial class VfioUserClient
{
    /// <summary>
    /// Answers the server's commands until one was answered or the time is over, and returns how many were. Needed only with
    /// <see cref="VfioUserClientOptions.ServeDmaInBackground"/> off and without a twin socket.
    /// </summary>
    public int ServeDma(TimeSpan timeout)
    {
        lock (_gate)
        {
            ThrowIfUnusable();
            long before = _responder.Served;
            using var poller = new Poller(1);
            poller.Add(_stream.Handle, PollEvents.Readable);
            long started = Environment.TickCount64;
            while (true)
            {
                Dispatch(awaited: -1, out _, out _, out _);
                TimeSpan left = timeout - TimeSpan.FromMilliseconds(Environment.TickCount64 - started);
                if (_responder.Served != before || poller.Wait(Math.Max(0, (long)left.TotalNanoseconds)) == 0)
                {
                    return (int)(_responder.Served - before);
                }
                Fill(wait: false, Command.None);
            }
        }
    }

    private void StartTwin(UnixStream twin)
    {
        _twin = twin;
        _twin.SetSendTimeout(_timeout);
        _twinResponder = new DmaResponder(_dma, _options.Offer.MaxDataTransferSize);
        _twinThread = new Thread(() => ServeTwin(twin, _twinResponder)) { IsBackground = true, Name = "vfio-user twin socket" };
        _twinThread.Start();
    }

    private void ServeTwin(UnixStream twin, DmaResponder responder)
    {
        using var reader = new MessageReader(twin, _options.Offer.MaxDataTransferSize + MessageOverhead, 1);
        byte[] head = new byte[DmaResponder.HeadSize];
        try
        {
            // Dispose shuts the socket down, which ends the wait.
            while (reader.Fill(wait: true) > 0)
            {
                ReadOutcome outcome;
                while ((outcome = reader.TryRead(out MessageHeader header, out ReadOnlySpan<byte> payload, out ReadOnlySpan<int> fds))
                    == ReadOutcome.Message)
                {
                    FileDescriptor.Close(fds);
                    if (!header.IsCommand)
                    {
                        outcome = ReadOutcome.Malformed;
                        break;
                    }
                    if (responder.TryAnswer(header, payload, head, out int headLength, out ReadOnlySpan<byte> data)
                        && !twin.Send(head.AsSpan(0, headLength), data, default))
                    {
                        return;
                    }
                }
                if (outcome == ReadOutcome.Malformed)
                {
                    break;
                }
            }
        }
        catch (TransportException)
        {
            // Nobody waits for this thread's word. The server sees the socket closed.
        }
        twin.Shutdown();
    }

    private void StartService()
    {
        if (_twin is not null || _serviceThread is not null || !_options.ServeDmaInBackground)
        {
            return;
        }
        _serviceThread = new Thread(ServeInBackground) { IsBackground = true, Name = "vfio-user DMA" };
        _serviceThread.Start();
    }

    // Messages after the awaited one, of the same receive, are no event on the socket any more.
    private void WakeService()
    {
        if (_serviceThread is not null && _reader.BufferedBytes != 0)
        {
            _wake.Signal();
        }
    }

    private void ServeInBackground()
    {
        using var poller = new Poller(2);
        poller.Add(_stream.Handle, PollEvents.Readable);
        int wake = poller.Add(_wake.Handle, PollEvents.Readable);
        while (true)
        {
            lock (_gate)
            {
                if (_disposed || _fault is not null)
                {
                    return;
                }
                try
                {
                    // Before the first wait, and before receiving: what came with a reply is no event on the socket any more, and takes room.
                    Dispatch(awaited: -1, out _, out _, out _);
                    Fill(wait: false, Command.None);
                    Dispatch(awaited: -1, out _, out _, out _);
                }
                catch (VfioUserException)
                {
                    // Kept as the fault that the next call reports.
                    return;
                }
            }
            poller.Wait(Poller.Infinite);
            if (poller.Events(wake) != PollEvents.None)
            {
                _wake.TryDrain();
            }
        }
    }
}
