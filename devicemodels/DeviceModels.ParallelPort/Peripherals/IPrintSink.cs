namespace DeviceModels.ParallelPort.Peripherals;

/// <summary>Where a printer's bytes go, job by job. Called on the device thread for every byte: no allocation, no waiting.</summary>
public interface IPrintSink
{
    /// <summary>A byte of the job; the first one starts it.</summary>
    void Write(byte value);

    /// <summary>The job is complete. Without a byte since the last call, nothing happens.</summary>
    void EndJob();
}

/// <summary>A sink that keeps nothing, for descriptions and fuzzing.</summary>
public sealed class DiscardingPrintSink : IPrintSink
{
    /// <summary>Bytes so far.</summary>
    public long Bytes { get; private set; }

    /// <summary>Jobs ended so far.</summary>
    public int Jobs { get; private set; }

    private bool _open;

    public void Write(byte value)
    {
        Bytes++;
        _open = true;
    }

    public void EndJob()
    {
        if (_open) Jobs++;
        _open = false;
    }
}

/// <summary>A sink that keeps every job in memory, for tests.</summary>
public sealed class MemoryPrintSink : IPrintSink
{
    private readonly List<byte> _current = [];
    private readonly List<byte[]> _jobs = [];

    /// <summary>The jobs that ended.</summary>
    public IReadOnlyList<byte[]> Jobs => _jobs;

    /// <summary>The bytes of the job not ended yet.</summary>
    public IReadOnlyList<byte> Current => _current;

    public void Write(byte value) => _current.Add(value);

    public void EndJob()
    {
        if (_current.Count == 0) return;
        _jobs.Add([.. _current]);
        _current.Clear();
    }
}
