using System.Runtime.InteropServices;

namespace Emulator.Cli;

/// <summary>
/// Turns Ctrl-C, SIGTERM and SIGHUP into a token, so that what was started is ended in order. A second signal ends the
/// process at once.
/// </summary>
internal sealed class Interruption : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _registrations;
    private PosixSignal? _signal;

    public Interruption()
        => _registrations = [.. new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP }.Select(s => PosixSignalRegistration.Create(s, OnSignal))];

    public CancellationToken Token => _source.Token;

    /// <summary>The signal as people call it, or null.</summary>
    public string? Signal => _signal switch { null => null, PosixSignal.SIGINT => "Ctrl-C", PosixSignal.SIGTERM => "SIGTERM", _ => "SIGHUP" };

    /// <summary>Returns when a signal has come.</summary>
    public void Wait() => Token.WaitHandle.WaitOne();

    public void Dispose()
    {
        foreach (PosixSignalRegistration registration in _registrations) registration.Dispose();
        _source.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        if (_signal is not null) return;
        context.Cancel = true;
        _signal = context.Signal;
        _source.Cancel();
    }
}
