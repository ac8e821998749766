using DeviceModels.ParallelPort.Peripherals;

namespace Emulator.Cli.Lab;

/// <summary>What a lab gives a device's peripherals and backends: a way to tell a person, and somebody who closes what they opened.</summary>
internal sealed class DeviceHost(string name, Action<string> report) : IDisposable
{
    private readonly List<IDisposable> _owned = [];

    /// <summary>The device's name in the lab.</summary>
    public string Name => name;

    /// <summary>Told of every print job that ended, on the device thread.</summary>
    public event Action<PrintedJob>? JobPrinted;

    /// <summary>Says a line about the device.</summary>
    public void Report(string text) => report($"{name}: {text}");

    public void Printed(PrintedJob job)
    {
        Report($"printed {Path.GetRelativePath(".", job.Path)}, {job.Bytes} bytes");
        JobPrinted?.Invoke(job);
    }

    /// <summary>Disposes of it when the lab ends, after the device's thread.</summary>
    public T Own<T>(T disposable) where T : IDisposable
    {
        _owned.Add(disposable);
        return disposable;
    }

    public void Dispose()
    {
        for (int i = _owned.Count - 1; i >= 0; i--) _owned[i].Dispose();
        _owned.Clear();
    }
}
