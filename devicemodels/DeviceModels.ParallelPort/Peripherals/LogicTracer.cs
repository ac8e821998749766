using System.Buffers.Text;
using System.Text;
using Emulator.Models;
using Emulator.Time;

namespace DeviceModels.ParallelPort.Peripherals;

/// <summary>
/// A logic analyser between the card and a peripheral: writes every edge of the seventeen lines as a Value Change Dump
/// (IEEE 1364-2005, clause 18) that GTKWave and other viewers read. Levels are those of the cable; "z" is a data line that
/// neither end drives.
/// </summary>
/// <remarks>
/// Time stands still during a guest access. Edges that fall into the same nanosecond are drawn one nanosecond apart, in
/// their order, so that none is lost. A file that cannot be written never stops the port: tracing ends, and
/// <see cref="Failure"/> says why.
/// </remarks>
public sealed class LogicTracer : IParallelPeripheral, IParallelHost, IDisposable
{
    private const int BufferSize = 64 * 1024;

    // A time stamp and every line at once, with room to spare.
    private const int LongestEvent = 128;

    private const int DataLines = 8;
    private const byte DataIdentifier = (byte)'D';

    private readonly IParallelPeripheral _inner;
    private readonly Stream _output;
    private readonly byte[] _buffer = new byte[BufferSize];
    private IParallelHost _host = null!;
    private HostLines _hostLines = HostLines.Idle;
    private Sample _last;
    private long _lastTime = -1;
    private int _used;
    private bool _isOpen = true;

    /// <param name="inner">What is at the end of the cable. It belongs to the tracer from now on.</param>
    /// <param name="output">Where the dump goes; closed with the tracer.</param>
    public LogicTracer(IParallelPeripheral inner, Stream output) => (_inner, _output) = (inner, output);

    /// <inheritdoc/>
    public PeripheralLines Lines => _inner.Lines;

    /// <inheritdoc/>
    public IReadOnlyList<DeviceSwitch> Switches => _inner.Switches;

    /// <inheritdoc/>
    public IDeviceClock Clock => _host.Clock;

    /// <summary>Why tracing stopped, or null.</summary>
    public string? Failure { get; private set; }

    /// <inheritdoc/>
    public void Connect(IParallelHost host)
    {
        _host = host;
        _inner.Connect(this);
        WriteHeader();
    }

    /// <inheritdoc/>
    public void PowerOn() => _inner.PowerOn();

    /// <inheritdoc/>
    public void HostChanged(HostLines lines)
    {
        _hostLines = lines;
        Record();
        _inner.HostChanged(lines);
    }

    /// <inheritdoc/>
    public void PeripheralChanged()
    {
        Record();
        _host.PeripheralChanged();
    }

    /// <summary>Writes what is still in the buffer and closes the file.</summary>
    public void Dispose()
    {
        if (_isOpen && _lastTime >= 0)
        {
            // The last levels last until now.
            PutTime(Math.Max(_lastTime + 1, _host.Clock.Now));
        }
        Flush();
        _isOpen = false;
        _output.Dispose();
    }

    private static ReadOnlySpan<byte> HostIdentifiers => "saip"u8;

    private static ReadOnlySpan<byte> PeripheralIdentifiers => "fSPKB"u8;

    private void WriteHeader()
    {
        Put("""
            $comment Levels on the cable of a parallel port; names of IEEE 1284 compatibility mode. $end
            $timescale 1 ns $end
            $scope module parport $end
            $var wire 1 s nStrobe $end
            $var wire 1 a nAutoFd $end
            $var wire 1 i nInit $end
            $var wire 1 p nSelectIn $end
            $var wire 8 D Data [8:1] $end
            $var wire 1 K nAck $end
            $var wire 1 B Busy $end
            $var wire 1 P PError $end
            $var wire 1 S Select $end
            $var wire 1 f nFault $end
            $upscope $end
            $enddefinitions $end

            """);
        _lastTime = _host.Clock.Now;
        PutTime(_lastTime);
        Put("$dumpvars\n");
        _last = Take();
        PutData(_last);
        PutSignals((uint)_last.Host, uint.MaxValue, lowest: 0, HostIdentifiers);
        PutSignals((uint)_last.Peripheral, uint.MaxValue, lowest: 3, PeripheralIdentifiers);
        Put("$end\n");
    }

    private Sample Take()
    {
        PeripheralLines peripheral = _inner.Lines;
        // Two drivers on one line: the low one wins, as it would with the pull-ups of the cable.
        return new Sample(_hostLines.Signals, peripheral.Signals, (byte)(_hostLines.Data & peripheral.Data), _hostLines.DrivesData || peripheral.DrivesData);
    }

    private void Record()
    {
        // Before the inner peripheral is connected there is no header yet.
        if (!_isOpen || _lastTime < 0) return;
        Sample sample = Take();
        if (sample == _last) return;
        if (BufferSize - _used < LongestEvent) Flush();
        _lastTime = Math.Max(_lastTime + 1, _host.Clock.Now);
        PutTime(_lastTime);
        if (sample.Data != _last.Data || sample.IsDriven != _last.IsDriven) PutData(sample);
        PutSignals((uint)sample.Host, (uint)(sample.Host ^ _last.Host), lowest: 0, HostIdentifiers);
        PutSignals((uint)sample.Peripheral, (uint)(sample.Peripheral ^ _last.Peripheral), lowest: 3, PeripheralIdentifiers);
        _last = sample;
    }

    private void PutTime(long time)
    {
        _buffer[_used++] = (byte)'#';
        // LongestEvent leaves room for the 19 digits of any time.
        Utf8Formatter.TryFormat(time, _buffer.AsSpan(_used), out int written);
        _used += written;
        _buffer[_used++] = (byte)'\n';
    }

    private void PutData(Sample sample)
    {
        _buffer[_used++] = (byte)'b';
        for (int bit = DataLines - 1; bit >= 0; bit--)
        {
            int level = (sample.Data >> bit) & 1;
            _buffer[_used++] = sample.IsDriven ? (byte)('0' + level) : (byte)'z';
        }
        _buffer[_used++] = (byte)' ';
        _buffer[_used++] = DataIdentifier;
        _buffer[_used++] = (byte)'\n';
    }

    private void PutSignals(uint levels, uint changed, int lowest, ReadOnlySpan<byte> identifiers)
    {
        for (int i = 0; i < identifiers.Length; i++)
        {
            if ((changed >> (lowest + i) & 1) == 0) continue;
            _buffer[_used++] = (byte)('0' + (levels >> (lowest + i) & 1));
            _buffer[_used++] = identifiers[i];
            _buffer[_used++] = (byte)'\n';
        }
    }

    private void Put(string text) => _used += Encoding.ASCII.GetBytes(text, _buffer.AsSpan(_used));

    private void Flush()
    {
        int length = _used;
        _used = 0;
        if (!_isOpen) return;
        try
        {
            _output.Write(_buffer, 0, length);
        }
        catch (IOException e)
        {
            (_isOpen, Failure) = (false, e.Message);
        }
    }

    private readonly record struct Sample(HostSignals Host, PeripheralSignals Peripheral, byte Data, bool IsDriven);
}
