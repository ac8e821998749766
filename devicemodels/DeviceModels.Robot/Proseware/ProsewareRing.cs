using System.Numerics;
using System.Runtime.InteropServices;
using DeviceModels.Robot.Firmware;
using Emulator.Observation;
using Emulator.Registers;

namespace DeviceModels.Robot.Proseware;

/// <summary>The command ring and its completion queue. A descriptor is fetched at a time, copied, checked, carried out.</summary>
internal sealed class ProsewareRing : IRobotProgram
{
    private const int Smallest = 2, Largest = 256;

    private readonly ProsewareRegisters _registers;
    private readonly ProsewarePanel _panel;
    private readonly RobotMemory _memory;
    private readonly GuestErrorLog _log;
    private ProsewareDescriptor _current;
    private bool _hasCurrent, _phase;
    private (ProsewareRingError Error, RobotFaults Faults) _stopping;

    public ProsewareRing(ProsewareRegisters registers, ProsewarePanel panel, RobotMemory memory, GuestErrorLog log)
    {
        (_registers, _panel, _memory, _log) = (registers, panel, memory, log);
        foreach (Register setup in (Register[])[registers.RingBase, registers.RingSize, registers.CompletionBase, registers.CompletionSize])
        {
            setup.OnWrite((int _, in RegisterWrite write) =>
            {
                if (registers.Run.IsSet) setup.Value = write.Before;
            });
        }
        registers.RingTail.OnWrite(WriteTail);
        registers.CompletionHead.OnWrite(WriteCompletionHead);
        registers.RingControl.OnWrite(WriteControl);
        registers.RingStatus.OnRead(ReadStatus, pure: true);
    }

    /// <summary>The current descriptor is being carried out.</summary>
    public bool HasCurrent => _hasCurrent;

    /// <summary>A descriptor is in progress or waits.</summary>
    public bool IsActive => _registers.Run.IsSet && (_hasCurrent || _registers.Head.Value != _registers.Tail.Value);

    /// <summary>The registers have been reset.</summary>
    public void Reset() => (_hasCurrent, _phase, _stopping) = (false, true, (ProsewareRingError.Aborted, RobotFaults.None));

    /// <summary>Fetches when there is something to fetch and somewhere to report it.</summary>
    public void Resume()
    {
        if (IsActive && !_hasCurrent && HasRoom) _panel.Firmware.ScheduleFetch();
    }

    public void Stop()
    {
        if (IsActive) Abort();
    }

    /// <summary>Stops the ring, idle or not, completing what is in progress.</summary>
    public void Abort() => Stop(ProsewareRingError.Aborted, RobotFaults.None);

    public void Fetch()
    {
        // The mailbox may have been quicker; when its command ends, the ring resumes.
        if (!IsActive || _hasCurrent || !HasRoom || _panel.Firmware.IsBusy) return;
        Span<byte> bytes = stackalloc byte[ProsewareDescriptor.Length];
        ulong at = _registers.RingBase.Value + (_registers.Head.Value * ProsewareDescriptor.Length);
        if (!_memory.TryRead(at, bytes))
        {
            Fail(ProsewareRingError.Dma, RobotFaults.Dma);
            return;
        }
        _current = MemoryMarshal.Read<ProsewareDescriptor>(bytes);
        _hasCurrent = true;
        _registers.Head.Value = (_registers.Head.Value + 1) % _registers.RingEntries.Value;
        Outcome outcome = Outcome.Invalid;
        if (_current.IsWellFormed && ProsewareDecoder.TryDecode(_current.Opcode, _current.Argument0, _current.Argument1, out RobotCommand command))
            outcome = _panel.Firmware.Start(command);
        else
            _log.GuestError("Proseware: malformed ring descriptor", at);
        if (outcome != Outcome.Running) Complete(outcome);
    }

    /// <summary>The current descriptor has ended.</summary>
    public void Complete(Outcome outcome)
    {
        RobotFirmware firmware = _panel.Firmware;
        ulong at = _registers.CompletionBase.Value + (_registers.CompletionProducer.Value * ProsewareCompletion.Stride);
        var completion = new ProsewareCompletion(
            outcome == Outcome.Invalid ? 0 : _panel.LastValue, firmware.Milliseconds, _panel.Heading | ((uint)firmware.ReadBattery(100) << 16));
        uint last = ProsewareCompletion.Hand(_current.Tag, ProsewareDecoder.ToResult(outcome), _current.Opcode, _phase);
        _hasCurrent = false;
        if (!_memory.TryWrite(at, MemoryMarshal.AsBytes(new ReadOnlySpan<ProsewareCompletion>(in completion)))
            || !_memory.TryPublish(at + ProsewareCompletion.Last, last))
        {
            Fail(ProsewareRingError.Dma, RobotFaults.Dma);
            return;
        }
        ulong next = (_registers.CompletionProducer.Value + 1) % _registers.CompletionEntries.Value;
        if (next == 0) _phase = !_phase;
        _registers.CompletionProducer.Value = next;
        switch (outcome)
        {
            case Outcome.Invalid: Fail(ProsewareRingError.Descriptor, RobotFaults.Program); break;
            case Outcome.Aborted or Outcome.Watchdog: Fail(_stopping.Error, _stopping.Faults); break;
            case not Outcome.Ok when !_current.Continues: Fail(ProsewareRingError.Command, RobotFaults.None); break;
            default:
                if (_current.Interrupts) _panel.RaiseCommand();
                Resume();
                break;
        }
    }

    private bool HasRoom => (_registers.CompletionProducer.Value + 1) % _registers.CompletionEntries.Value != _registers.CompletionConsumer.Value;

    private void Fail(ProsewareRingError error, RobotFaults faults)
    {
        _registers.Run.IsSet = false;
        _registers.RingFailed.IsSet = true;
        _registers.RingErrorCode.Value = error;
        _panel.Firmware.CancelFetch();
        // What a program that failed set going must not go on; a mailbox command is not the program's.
        if (!_panel.Firmware.IsBusy) _panel.Firmware.Abort();
        if (faults != RobotFaults.None) _panel.FaultsRose(faults);
        _panel.RaiseCommand();
    }

    private void WriteTail(int _, in RegisterWrite write)
    {
        if (!_registers.Run.IsSet) return;
        if (_registers.Tail.Value >= _registers.RingEntries.Value) FailIndex(write.After);
        else Resume();
    }

    private void WriteCompletionHead(int _, in RegisterWrite write)
    {
        if (!_registers.Run.IsSet) return;
        if (_registers.CompletionConsumer.Value >= _registers.CompletionEntries.Value) FailIndex(write.After);
        else Resume();
    }

    private void FailIndex(ulong index)
    {
        _log.GuestError("Proseware: ring index not below the size", index);
        Stop(ProsewareRingError.Index, RobotFaults.Program);
    }

    private void Stop(ProsewareRingError error, RobotFaults faults)
    {
        if (!_hasCurrent) { Fail(error, faults); return; }
        _stopping = (error, faults);
        _panel.Firmware.Abort();
    }

    private void WriteControl(int _, in RegisterWrite write)
    {
        if (write.Rose(_registers.Run)) Start();
        else if (write.Fell(_registers.Run) || (write.WroteOne(_registers.Abort) && _registers.Run.IsSet)) Abort();
    }

    private void Start()
    {
        (_registers.Head.Value, _registers.Tail.Value, _registers.CompletionConsumer.Value, _registers.CompletionProducer.Value) = (0, 0, 0, 0);
        (_registers.RingFailed.IsSet, _registers.RingErrorCode.Value) = (false, ProsewareRingError.None);
        Reset();
        if (IsUsable(_registers.RingBase, _registers.RingEntries) && IsUsable(_registers.CompletionBase, _registers.CompletionEntries)) return;
        _log.GuestError("Proseware: ring started with a bad size or base", _registers.RingBase.Value);
        Fail(ProsewareRingError.Setup, RobotFaults.Program);
    }

    private static bool IsUsable(Register address, Field entries)
        => address.Value != 0 && address.Value <= ulong.MaxValue - (Largest * ProsewareDescriptor.Length)
            && entries.Value is >= Smallest and <= Largest && BitOperations.IsPow2(entries.Value);

    private ulong ReadStatus(int _, ulong stored) => stored | (IsActive ? _registers.RingActive.Mask : 0);
}
