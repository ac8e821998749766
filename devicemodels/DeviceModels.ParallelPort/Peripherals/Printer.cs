using System.Globalization;
using DeviceModels.ParallelPort.Ieee1284;
using Emulator.Models;
using Emulator.Time;

namespace DeviceModels.ParallelPort.Peripherals;

/// <summary>How a <see cref="Printer"/> behaves.</summary>
public sealed record PrinterOptions : Ieee1284Options
{
    /// <summary>The device ID of a printer nobody named.</summary>
    public const string DefaultDeviceId = "MFG:Emulator;MDL:Line Printer;CMD:PJL,PCL,POSTSCRIPT;CLS:PRINTER;";

    public PrinterOptions() => DeviceId = DefaultDeviceId;

    /// <summary>Bytes a second at the most; 0 for as fast as the handshake allows.</summary>
    public long BytesPerSecond { get; init; }

    /// <summary>Nanoseconds without a byte after which a job counts as complete. Time off line or out of paper does not count.</summary>
    public long JobIdle { get; init; } = 3_000_000_000;
}

/// <summary>
/// A printer that takes bytes in compatibility, ECP and EPP mode and hands them to a sink, job by job. A job ends after
/// <see cref="PrinterOptions.JobIdle"/>, at nInit, at a PJL exit sequence after content, or at the Ctrl-D of a PostScript job.
/// </summary>
/// <remarks>
/// Switches: "paper" (present, out), "line" (on, off), "fault" (none, jam), "speed" (bytes a second). Their status lines are
/// those a driver tells apart: out of paper is PError high with nFault low, off line is Select low with nFault low, a jam is
/// nFault low alone; in each the printer is busy.
/// </remarks>
public sealed class Printer : Ieee1284Peripheral
{
    private const long Second = 1_000_000_000;

    // A byte an hour is the slowest a person can mean.
    private const long SlowestByte = 3600 * Second;

    private readonly JobSeparator _jobs;
    private readonly long _jobIdle;
    private IDeviceTimer _idle = null!;
    private bool _paperOut, _offline, _jammed;
    private long _bytesPerSecond, _lastByte;

    /// <param name="sink">Takes what is printed. Its owner disposes of it.</param>
    /// <param name="options">Null for the defaults.</param>
    public Printer(IPrintSink sink, PrinterOptions? options = null) : base(options ??= new PrinterOptions())
    {
        ArgumentOutOfRangeException.ThrowIfNegative(options.BytesPerSecond, nameof(options));
        ArgumentOutOfRangeException.ThrowIfNegative(options.JobIdle, nameof(options));
        (_jobs, _jobIdle, _bytesPerSecond) = (new JobSeparator(sink), options.JobIdle, options.BytesPerSecond);
        Switches =
        [
            Flag("paper", "Paper in the tray.", "present", "out", () => _paperOut, on => _paperOut = on),
            Flag("line", "The on-line button.", "on", "off", () => _offline, on => _offline = on),
            Flag("fault", "A paper jam.", "none", "jam", () => _jammed, on => _jammed = on),
            new DeviceSwitch("speed", "Bytes a second at the most; 0 for no limit.", [],
                () => _bytesPerSecond.ToString(CultureInfo.InvariantCulture), SetSpeed),
        ];
    }

    /// <inheritdoc/>
    public override IReadOnlyList<DeviceSwitch> Switches { get; }

    /// <summary>Bytes printed so far.</summary>
    public long BytesPrinted { get; private set; }

    /// <inheritdoc/>
    protected override PeripheralSignals Status => (_paperOut, _offline, _jammed) switch
    {
        (true, false, _) => PeripheralSignals.PError | PeripheralSignals.Select,
        (true, true, _) => PeripheralSignals.PError,
        (false, true, _) => PeripheralSignals.None,
        (false, false, true) => PeripheralSignals.Select,
        (false, false, false) => PeripheralSignals.Select | PeripheralSignals.NFault,
    };

    /// <inheritdoc/>
    protected override bool IsReady => !_paperOut && !_offline && !_jammed;

    /// <inheritdoc/>
    protected override long ByteTime => _bytesPerSecond == 0 ? 0 : Math.Min(Second / _bytesPerSecond, SlowestByte);

    /// <inheritdoc/>
    public override void Connect(IParallelHost host)
    {
        _idle = host.Clock.CreateTimer(EndIdleJob);
        base.Connect(host);
    }

    /// <summary>Power went and came back: the job under way ends as it is.</summary>
    public override void PowerOn()
    {
        EndJob();
        base.PowerOn();
    }

    /// <inheritdoc/>
    protected override void Receive(byte value)
    {
        BytesPrinted++;
        _lastByte = Clock.Now;
        _jobs.Write(value);
        // Armed once a job, not once a byte: the expiry looks at the time of the last byte.
        if (!_idle.IsArmed && _jobs.IsOpen) _idle.Arm(_jobIdle);
    }

    /// <inheritdoc/>
    protected override void Initialize() => EndJob();

    private void EndJob()
    {
        _idle.Cancel();
        _jobs.End();
    }

    private void EndIdleJob()
    {
        if (!_jobs.IsOpen) return;
        long idle = Clock.Now - _lastByte;
        if (!IsReady) _lastByte = Clock.Now;
        if (IsReady && idle >= _jobIdle) _jobs.End();
        else _idle.Arm(IsReady ? _jobIdle - idle : Math.Max(_jobIdle, 1));
    }

    private string? SetSpeed(string value)
    {
        if (!long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out long speed))
            return $"speed takes bytes a second, a whole number from 0; not '{value}'";
        _bytesPerSecond = speed;
        return null;
    }

    private DeviceSwitch Flag(string name, string summary, string off, string on, Func<bool> get, Action<bool> set)
        => new(name, summary, [off, on], () => get() ? on : off, value =>
        {
            set(value.Equals(on, StringComparison.OrdinalIgnoreCase));
            if (IsReady) _lastByte = Clock.Now;
            StatusChanged();
            return null;
        });
}
