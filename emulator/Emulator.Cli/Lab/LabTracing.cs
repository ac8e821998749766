using Emulator.Observation;
using Emulator.Pci;
using Emulator.Tracing;

namespace Emulator.Cli.Lab;

/// <summary>How a lab's accesses are recorded and shown; what the command line says comes before what the lab says.</summary>
/// <param name="File">The file to record to, or null.</param>
/// <param name="Live">Shows every access as it happens, or null. Used on the live view's thread only.</param>
internal sealed record TraceChoice(string? File, TraceRenderer? Live);

/// <summary>The recording and the live view of a running lab.</summary>
internal sealed class LabTracing : IDisposable
{
    private readonly TraceRecorder? _recorder;
    private readonly LiveTrace? _live;

    /// <exception cref="UserError">The file cannot be made.</exception>
    public LabTracing(TraceChoice choice, Action<string> report)
    {
        if (choice.File is { } file)
        {
            try
            {
                _recorder = new TraceRecorder(file, report);
            }
            catch (IOException problem)
            {
                throw new UserError(problem.Message, cause: problem);
            }
        }
        if (choice.Live is { } renderer) _live = new LiveTrace(renderer, failed: report);
    }

    /// <summary>Lets a function just created be seen.</summary>
    /// <param name="timeZero">The <see cref="System.Diagnostics.Stopwatch"/> timestamp at which its device time was 0.</param>
    public void Watch(string name, string model, PciFunction function, long timeZero)
        => function.Observer = ObserverTee.Of(_recorder?.Attach(name, model, function, timeZero), _live?.Attach(name, model, function, timeZero));

    /// <summary>Ends the file; what happens later is not recorded.</summary>
    public void Dispose()
    {
        _recorder?.Dispose();
        _live?.Dispose();
    }
}
