using Emulator.Interrupts;
using Emulator.Memory;
using Emulator.Observation;
using Emulator.Registers;
using Emulator.Time;

namespace DeviceModels.Scratch;

/// <summary>The behaviour of <see cref="EngineRegisters"/>.</summary>
internal sealed class Engine
{
    private readonly EngineRegisters _registers;
    private readonly InterruptController _interrupts;
    private readonly BusMaster _memory;
    private readonly GuestErrorLog _log;
    private readonly IDeviceTimer _start;
    private readonly DmaRequest _read, _write;
    private readonly InterruptSource[] _sources = new InterruptSource[32];
    private readonly byte[] _buffer = new byte[EngineRegisters.LongestTransfer];
    private State _state;

    public Engine(EngineRegisters registers, InterruptController interrupts, BusMaster memory, GuestErrorLog log, IDeviceClock clock)
    {
        (_registers, _interrupts, _memory, _log) = (registers, interrupts, memory, log);
        _start = clock.CreateTimer(Transfer);
        _read = new DmaRequest(Completed);
        _write = new DmaRequest(Completed) { IsWrite = true };
        for (int i = 0; i < _sources.Length; i++) _sources[i] = interrupts.CreateSource(i);
        registers.Control.OnWrite(WriteControl);
        registers.Status.OnWrite((int _, in RegisterWrite _) => UpdateInterrupts());
        registers.IrqLevel.OnWrite((int _, in RegisterWrite _) => UpdateInterrupts());
        registers.IrqPulse.OnWrite(WritePulse);
    }

    private enum Phase : byte
    {
        Idle,
        /// <summary>The transfer of before a reset has not come back yet; this one begins when it does.</summary>
        Draining,
        Reading,
        Writing,
    }

    public void Reset()
    {
        _state = default;
        _start.Cancel();
        UpdateInterrupts();
    }

    private void WriteControl(int _, in RegisterWrite write)
    {
        if (write.Rose(_registers.Go))
        {
            _state = new State
            {
                Operation = _registers.Operation.Value,
                IsQueued = _registers.Queued.IsSet,
                Source = _registers.Source.Value,
                Destination = _registers.Destination.Value,
                Length = _registers.ByteCount.Value,
            };
            if (_registers.Delay.Value == 0) Transfer();
            else _start.Arm((long)_registers.Delay.Value);
        }
        else if (write.WroteOne(_registers.Go))
        {
            _log.GuestError("GO while a transfer is under way", write.Written);
        }
        UpdateInterrupts();
    }

    private void WritePulse(int _, in RegisterWrite write)
    {
        // The vector is in the low bytes: a write of the high ones alone asks for nothing.
        if ((write.Lanes & _registers.PulseVector.Mask) != 0) _interrupts.Pulse((int)_registers.PulseVector.Extract(write.After));
    }

    private void Transfer()
    {
        if (_state.Operation > EngineOperation.Sum) { End(refused: "OP is not an operation", (ulong)_state.Operation); return; }
        if (_state.Length > EngineRegisters.LongestTransfer) { End(refused: "LENGTH is beyond 0x10000", _state.Length); return; }
        if (_state.IsQueued) Queue();
        else TransferAtOnce();
    }

    private void TransferAtOnce()
    {
        Span<byte> bytes = Bytes.Span;
        if (_state.Operation == EngineOperation.Fill) bytes.Fill((byte)_registers.Pattern.Value);
        else if (!_memory.TryRead(_state.Source, bytes)) { End(refused: "SOURCE is not memory the client shares", _state.Source); return; }
        if (_state.Operation != EngineOperation.Sum && !_memory.TryWrite(_state.Destination, bytes))
            End(refused: "DESTINATION is not memory the client shares", _state.Destination);
        else
            End(refused: null, 0);
    }

    private void Queue()
    {
        if (_read.IsQueued || _write.IsQueued) { _state.Phase = Phase.Draining; return; }
        if (_state.Operation == EngineOperation.Fill)
        {
            Bytes.Span.Fill((byte)_registers.Pattern.Value);
            QueueWrite();
            return;
        }
        _state.Phase = Phase.Reading;
        (_read.Address, _read.Buffer) = (_state.Source, Bytes);
        _memory.Queue(_read);
    }

    private void QueueWrite()
    {
        _state.Phase = Phase.Writing;
        (_write.Address, _write.Buffer) = (_state.Destination, Bytes);
        _memory.Queue(_write);
    }

    private void Completed(DmaRequest request)
    {
        switch (_state.Phase)
        {
            case Phase.Draining:
                Queue();
                break;
            case Phase.Reading or Phase.Writing when request.Status != DmaStatus.Completed:
                End(refused: request.IsWrite ? "DESTINATION is not guest memory" : "SOURCE is not guest memory", request.Address);
                break;
            case Phase.Reading when _state.Operation == EngineOperation.Copy:
                QueueWrite();
                break;
            case Phase.Reading or Phase.Writing:
                End(refused: null, 0);
                break;
        }
    }

    private void End(string? refused, ulong detail)
    {
        if (refused is null) _registers.Result.Value = Sum(Bytes.Span);
        else _log.GuestError(refused, detail);
        _state.Phase = Phase.Idle;
        _registers.Go.IsSet = false;
        _registers.Done.IsSet = true;
        _registers.Error.IsSet = refused is not null;
        _registers.Finished.Value++;
        UpdateInterrupts();
    }

    private Memory<byte> Bytes => _buffer.AsMemory(0, (int)_state.Length);

    private static ulong Sum(ReadOnlySpan<byte> bytes)
    {
        ulong sum = 0;
        foreach (byte one in bytes) sum += one;
        return sum;
    }

    private void UpdateInterrupts()
    {
        ulong levels = _registers.IrqLevel.Value;
        if (_registers.Done.IsSet && _registers.InterruptEnable.IsSet) levels |= 1UL << (int)_registers.Vector.Value;
        for (int i = 0; i < _sources.Length; i++) _sources[i].Level = (levels >> i & 1) != 0;
    }

    private struct State
    {
        public EngineOperation Operation;
        public bool IsQueued;
        public Phase Phase;
        public ulong Source, Destination, Length;
    }
}
