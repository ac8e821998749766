namespace Emulator.DriverBench.Kernel;

/// <summary>A request on its way through a stack.</summary>
public sealed class BenchRequest
{
    private readonly BenchMachine _machine;
    private readonly int _outputLength;
    private readonly Action<BenchRequest>? _ended;
    private readonly List<ulong> _visited = [];
    private readonly List<ulong> _nextPower = [];
    private ulong _pending;

    internal BenchRequest(BenchMachine machine, ulong address, int stackCount, int outputLength, Action<BenchRequest>? ended)
        => (_machine, Address, StackCount, _outputLength, _ended) = (machine, address, stackCount, outputLength, ended);

    /// <summary>Of the IRP.</summary>
    public ulong Address { get; }
    public int StackCount { get; }
    public bool IsCompleted { get; private set; }

    /// <summary>What the topmost dispatch routine returned.</summary>
    public uint Returned { get; internal set; }

    /// <summary>IoStatus, once completed.</summary>
    public uint Status { get; private set; }
    public ulong Information { get; private set; }

    /// <summary>What came back to the program.</summary>
    public byte[] Output { get; private set; } = [];

    /// <summary>The device objects it was sent to, topmost first.</summary>
    public IReadOnlyList<ulong> Visited => _visited;

    /// <summary>
    /// A power request: the device objects whose driver has called PoStartNextPowerIrp for it, in that order. NT before 6.0 gives a device its
    /// next power request only then.
    /// </summary>
    public IReadOnlyList<ulong> NextPowerStarted => _nextPower;

    internal ulong Buffer { get; set; }

    /// <summary>The MDL that the I/O manager made; 0 without one.</summary>
    internal ulong Mdl { get; set; }

    /// <summary>The program's buffer, which an MDL describes or IRP.UserBuffer names, when that is the bench's own.</summary>
    internal ulong Direct { get; set; }

    /// <summary>The call of the driver that made it; 0 when the bench did.</summary>
    internal ulong Maker { get; set; }

    /// <summary>The bench itself waits for it to come back to the driver that passed it on.</summary>
    internal Action? Intercepted { get; set; }

    /// <summary>A driver made it, and has to free it.</summary>
    internal bool IsKept { get; set; }

    /// <summary>Cancels it. False when it has no cancel routine now, or has ended.</summary>
    public bool Cancel() => _machine.Io.Cancel(this);

    /// <summary>Lets the machine run until it has ended; the limit is virtual time in nanoseconds.</summary>
    public bool Wait(long limit = 60_000_000_000) => _machine.RunUntil(() => IsCompleted, limit);

    /// <summary>A stack location that is done was marked pending.</summary>
    internal void NotePending(int location) => _pending |= 1ul << (location & 63);
    internal void ForgetPending(int location) => _pending &= ~(1ul << (location & 63));
    internal bool WasPending(int location) => (_pending >> (location & 63) & 1) != 0;

    internal void NoteNextPower(ulong device) => _nextPower.Add(device);

    internal HashSet<ulong> Drivers { get; } = [];

    internal void Visit(ulong device, ulong driver)
    {
        _visited.Add(device);
        Drivers.Add(driver);
    }

    internal void End()
    {
        Status = _machine.Guest.U32(Address + (ulong)_machine.Layout.IrpStatus);
        Information = _machine.Guest.Pointer(Address + (ulong)_machine.Layout.IrpInformation);
        ulong from = Direct != 0 ? Direct : Buffer;
        if (from != 0 && _outputLength > 0) Output = _machine.Guest.Bytes(from, (int)Math.Min(Information, (ulong)_outputLength));
        FreeBuffers();
        IsCompleted = true;
        _ended?.Invoke(this);
    }

    internal void FreeBuffers()
    {
        if (Buffer != 0) _machine.FreeKernel(Buffer, "system buffer");
        if (Mdl != 0) _machine.FreeKernel(Mdl, "MDL");
        if (Direct != 0) _machine.FreeKernel(Direct, "buffer of a program");
        Buffer = Mdl = Direct = 0;
    }
}
