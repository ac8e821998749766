using System.Runtime.InteropServices;
using DeviceModels.Robot.Firmware;
using Emulator.Observation;
using Emulator.Registers;

namespace DeviceModels.Robot.Contoso;

/// <summary>The list engine. It works on descriptors it owns, one at a time, and parks at the first it does not.</summary>
internal sealed class ContosoList : IRobotProgram
{
    private readonly ContosoRegisters _registers;
    private readonly ContosoPanel _panel;
    private readonly RobotMemory _memory;
    private readonly GuestErrorLog _log;
    private State _state;

    private struct State
    {
        // The descriptor to look at next, or being carried out; 0 when the list has to be loaded.
        public uint Cursor;
        public bool IsActive, HasCurrent, LooksAgain;
        public ContosoDescriptor Current;
        public ContosoListError FailsWith;
    }

    public ContosoList(ContosoRegisters registers, ContosoPanel panel, RobotMemory memory, GuestErrorLog log)
    {
        (_registers, _panel, _memory, _log) = (registers, panel, memory, log);
        registers.ListLow.OnWrite((int _, in RegisterWrite write) =>
        {
            if (_state.IsActive) registers.ListLow.Value = write.Before;
        });
        registers.ListHigh.OnWrite(WriteHigh);
        registers.Doorbell.OnWrite(WriteDoorbell);
        registers.ListStatus.OnRead((_, stored) => stored | (_state.IsActive ? registers.ListActive.Mask : 0), pure: true);
    }

    /// <summary>The current descriptor is being carried out.</summary>
    public bool HasCurrent => _state.HasCurrent;

    /// <summary>A descriptor is in progress or being fetched.</summary>
    public bool IsActive => _state.IsActive;

    /// <summary>The registers have been reset.</summary>
    public void Reset() => _state = default;

    /// <summary>Fetches the next descriptor unless one is in progress.</summary>
    public void Resume()
    {
        if (_state is { IsActive: true, HasCurrent: false }) _panel.Firmware.ScheduleFetch();
    }

    /// <summary>Halts the list, giving back what is in progress.</summary>
    public void Stop()
    {
        if (!_state.IsActive) return;
        if (_state.HasCurrent) _panel.Firmware.Abort();
        else Fail(ContosoListError.Stopped, RobotFaults.None);
    }

    public void Fetch()
    {
        // EXEC may have been quicker; when its command ends, the list resumes.
        if (!_state.IsActive || _state.HasCurrent || _panel.Firmware.IsBusy) return;
        Span<byte> bytes = stackalloc byte[ContosoDescriptor.Length];
        if (!_memory.TryRead(_state.Cursor, bytes))
        {
            Fail(ContosoListError.Bus, RobotFaults.Dma);
            return;
        }
        ContosoDescriptor descriptor = MemoryMarshal.Read<ContosoDescriptor>(bytes);
        if (!descriptor.IsOwned)
        {
            Park();
            return;
        }
        (_state.Current, _state.HasCurrent, _state.LooksAgain) = (descriptor, true, false);
        Outcome outcome = Outcome.Invalid;
        if (descriptor.Next % ContosoDescriptor.Alignment != 0)
        {
            _log.GuestError("Contoso: NEXT is not a multiple of 32", _state.Cursor);
            _state.FailsWith = ContosoListError.Address;
        }
        else if (descriptor.IsWellFormed
            && ContosoDecoder.TryDecode(descriptor.Opcode, descriptor.Parameter0, descriptor.Parameter1, out RobotCommand command))
        {
            outcome = _panel.Firmware.Start(command);
        }
        else
        {
            _log.GuestError("Contoso: malformed descriptor", _state.Cursor);
            _state.FailsWith = ContosoListError.Descriptor;
        }
        if (outcome != Outcome.Running) Complete(outcome);
    }

    /// <summary>The current descriptor has ended.</summary>
    public void Complete(Outcome outcome)
    {
        (int left, int right) = _panel.Encoders;
        var writeBack = new ContosoWriteBack(left, right, _panel.Firmware.Milliseconds);
        _state.HasCurrent = false;
        if (!_memory.TryWrite(_state.Cursor + ContosoWriteBack.Offset, MemoryMarshal.AsBytes(new ReadOnlySpan<ContosoWriteBack>(in writeBack)))
            || !_memory.TryPublish(_state.Cursor, _state.Current.Return(ContosoDecoder.ToResult(outcome))))
        {
            Fail(ContosoListError.Bus, RobotFaults.Dma);
            return;
        }
        switch (outcome)
        {
            case Outcome.Ok:
                if (_state.Current.Interrupts) _panel.RaiseCommand();
                _state.Cursor = _state.Current.Next;
                if (_state.Cursor == 0) _state.IsActive = false;
                Resume();
                break;
            case Outcome.Invalid: Fail(_state.FailsWith, RobotFaults.Program); break;
            case Outcome.Aborted or Outcome.Watchdog: Fail(ContosoListError.Stopped, RobotFaults.None); break;
            default: Fail(ContosoListError.Command, RobotFaults.None); break;
        }
    }

    private void Park()
    {
        // A doorbell that rang while the robot was reading may be for this very descriptor.
        if (_state.LooksAgain)
        {
            _state.LooksAgain = false;
            Resume();
            return;
        }
        _state.IsActive = false;
    }

    private void Fail(ContosoListError error, RobotFaults faults)
    {
        (_state.IsActive, _state.LooksAgain) = (false, false);
        _registers.ListHalted.IsSet = true;
        _registers.ListError.Value = error;
        _panel.Firmware.CancelFetch();
        // What a program that failed set going must not go on; a command of EXEC is not the program's.
        if (!_panel.Firmware.IsBusy) _panel.Firmware.Abort();
        if (faults != RobotFaults.None) _panel.FaultsRose(faults);
        _panel.RaiseCommand();
    }

    private void WriteHigh(int _, in RegisterWrite write)
    {
        if (_state.IsActive)
        {
            _registers.ListHigh.Value = write.Before;
            return;
        }
        _state = default;
        (_registers.ListHalted.IsSet, _registers.ListError.Value) = (false, ContosoListError.None);
    }

    private void WriteDoorbell(int _, in RegisterWrite write)
    {
        _panel.Firmware.Sync();
        if (write.WroteOne(_registers.Stop)) Stop();
        else if (write.WroteOne(_registers.Go) && !_registers.ListHalted.IsSet) Go();
    }

    private void Go()
    {
        if (_state.IsActive)
        {
            _state.LooksAgain = true;
            return;
        }
        if (_state.Cursor == 0) _state.Cursor = (uint)(_registers.ListLow.Value | (_registers.ListHigh.Value << 16));
        if (_state.Cursor == 0)
        {
            _log.GuestError("Contoso: GO with list address 0", 0);
            Fail(ContosoListError.Address, RobotFaults.Program);
            return;
        }
        _state.IsActive = true;
        Resume();
    }
}
