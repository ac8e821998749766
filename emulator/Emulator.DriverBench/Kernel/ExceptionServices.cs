using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Memory;

namespace Emulator.DriverBench.Kernel;

/// <summary>
/// Structured exceptions: what raises them, and their way to a driver's handlers, which run on the driver's stack below the frames that they may
/// unwind, as in NT. A handler's frame must belong to the function that the bench called last: between the calls of two drivers nothing is handled.
/// </summary>
internal sealed partial class ExceptionServices
{
    private const uint NonContinuable = 1, Unwinding = 2, ExitUnwind = 4, TargetUnwind = 0x20;

    // EXCEPTION_DISPOSITION.
    private const uint ContinueExecution = 0, ContinueSearch = 1;

    private readonly BenchMachine _machine;
    private readonly StackUnwinder _unwinder;
    private readonly List<Dispatch> _dispatches = [];
    private ulong _afterHandler;

    public ExceptionServices(BenchMachine machine) => (_machine, _unwinder) = (machine, new StackUnwinder(machine));

    private bool Is64Bit => _machine.Is64Bit;
    private CpuState State => _machine.Cpu.State;
    private GuestMemory Guest => _machine.Guest;

    // EXCEPTION_RECORD.
    private ulong RecordAddress => Is64Bit ? 0x10u : 0xC;
    private ulong RecordCount => Is64Bit ? 0x18u : 0x10;
    private ulong RecordInformation => Is64Bit ? 0x20u : 0x14;
    private int RecordSize => Is64Bit ? 0x98 : 0x50;
    private int ContextSize => Is64Bit ? 0x4D0 : 0x2CC;

    /// <summary>MmUserProbeAddress: from here on no address is a program's.</summary>
    public ulong UserEnd => Is64Bit ? 0x7FF_FFFF_0000ul : 0x7FFF_0000;

    public void AddTo(NtServices nt)
    {
        nt.Add("ExRaiseStatus", "u", Irql.Apc, a => throw new RaisedException((uint)a[0], $"ExRaiseStatus 0x{a[0]:x8}, and nothing handles it"));
        foreach ((string name, uint code) in new[]
        {
            ("ExRaiseAccessViolation", NtStatus.AccessViolation), ("ExRaiseDatatypeMisalignment", NtStatus.DatatypeMisalignment),
        })
        {
            nt.Add(name, "", Irql.Apc, _ => throw new RaisedException(code, $"{name}, and nothing handles it"));
        }
        nt.Add("RtlRaiseException", "p", Irql.Dispatch, a => throw Raised(a[0]));
        nt.Add("ProbeForRead", "ppu", Irql.Apc, a => Probe("ProbeForRead", a[0], a[1], a[2]));
        nt.Add("ProbeForWrite", "ppu", Irql.Apc, a =>
        {
            Probe("ProbeForWrite", a[0], a[1], a[2]);
            for (ulong at = a[0]; at - a[0] < a[1]; at = (at & ~0xFFFul) + 0x1000) Guest.SetByte(at, Guest.Byte(at));
            return 0;
        });
        nt.Add("MmIsAddressValid", "p", Irql.High, a => _machine.Space.TryPeek(a[0], stackalloc byte[1]) ? 1u : 0);
        nt.AddTransfer("RtlpAfterExceptionHandler", AfterHandler);
        _afterHandler = nt.Find("RtlpAfterExceptionHandler")!.Value;
        if (Is64Bit) AddX64(nt);
        else AddX86(nt);
    }

    /// <summary>Whether NT raises an exception when this address cannot be accessed; where it is the system's own, NT stops the machine.</summary>
    public bool IsRaised(ulong address)
        => _machine.CurrentIrql < Irql.Dispatch && (Is64Bit ? (long)address >> 47 != -1 : address < 0x8000_0000);

    /// <summary>An instruction of a driver's faulted. True when a handler takes the exception: the registers then lead to it.</summary>
    public bool TryHandle(in RunOutcome fault)
    {
        if (fault.Reason == StopReason.PageFault) _machine.CheckMissing(fault.Fault.Address, fault.Address);
        Span<byte> code = stackalloc byte[2];
        code.Clear();
        if (!_machine.Space.TryPeek(fault.Address, code)) _ = _machine.Space.TryPeek(fault.Address, code[..1]);
        RaisedException? exception = fault.Reason switch
        {
            StopReason.PageFault when IsRaised(fault.Fault.Address) => OfFault(fault.Fault),
            StopReason.DivideError => new RaisedException(
                fault.Detail.StartsWith(CpuState.DivisionByZero, StringComparison.Ordinal) ? NtStatus.IntegerDivideByZero : NtStatus.IntegerOverflow,
                fault.Detail),
            StopReason.InvalidOpcode => new RaisedException(NtStatus.IllegalInstruction, fault.Detail),
            // The processor does not say which address it was.
            StopReason.GeneralProtection => RaisedException.AccessViolation(0, AllOnes, fault.Detail),
            StopReason.SoftwareInterrupt when code[0] == 0xCC => new RaisedException(NtStatus.Breakpoint, fault.Detail, 0),
            StopReason.SoftwareInterrupt when code[1] == 0x2C => new RaisedException(NtStatus.AssertionFailure, fault.Detail),
            _ => null,
        };
        return exception is not null && TryDispatch(exception, isFault: true, fault.Address, State.Save(), fault.ToString(), fault.Address);
    }

    /// <summary>A function of NT that a driver called raises an exception in it.</summary>
    /// <param name="argumentBytes">How many bytes of arguments the function takes off the stack.</param>
    /// <exception cref="BugCheckException">Nothing handles it.</exception>
    public void Raise(RaisedException raised, int argumentBytes, ref CallFrame frame)
    {
        // The function itself has no frame: the exception is the caller's, behind its call.
        CpuContext caller = CallerContext();
        caller[Gpr.Rsp] += (ulong)argumentBytes;
        if (TryDispatch(raised, isFault: false, State.Rip, caller, raised.Message, _machine.CallerAddress)) frame.JumpTo(State.Rip);
        else throw _machine.Crash(raised.Message);
    }

    /// <summary>The exception that an access refused by memory is.</summary>
    public RaisedException OfFault(in MemoryFault fault)
    {
        ulong access = fault.Access switch { MemoryAccess.Read => 0, MemoryAccess.Write => 1u, _ => 8 };
        bool canonical = !Is64Bit || (long)fault.Address >> 47 is 0 or -1;
        return RaisedException.AccessViolation(canonical ? access : 0, canonical ? fault.Address : AllOnes, fault.ToString());
    }

    private ulong AllOnes => Is64Bit ? ulong.MaxValue : uint.MaxValue;

    private CpuContext CallerContext()
    {
        CpuContext context = State.Save();
        context.Rip = Guest.Pointer(State.Rsp);
        context[Gpr.Rsp] += (ulong)_machine.Layout.Pointer;
        return context;
    }

    private RaisedException Raised(ulong record)
    {
        uint code = Guest.U32(record), count = Math.Min(Guest.U32(record + RecordCount), 15);
        var parameters = new ulong[count];
        for (uint i = 0; i < count; i++) parameters[i] = Guest.Pointer(record + RecordInformation + (i * (ulong)_machine.Layout.Pointer));
        uint flags = Guest.U32(record + 4) & NonContinuable;
        return new RaisedException(code, $"RtlRaiseException 0x{code:x8}, and nothing handles it", parameters) { Flags = flags };
    }

    private ulong Probe(string function, ulong address, ulong length, ulong alignment)
    {
        if (length == 0) return 0;
        if ((address & (alignment - 1)) != 0)
        {
            throw new RaisedException(NtStatus.DatatypeMisalignment,
                $"{function}: 0x{address:x} is not aligned to {alignment}, and nothing handles the exception");
        }
        if (address + length < address || address + length > UserEnd)
        {
            throw new RaisedException(NtStatus.AccessViolation,
                $"{function}: 0x{length:x} bytes at 0x{address:x} are not all a program's, and nothing handles the exception");
        }
        return 0;
    }

    // ---- the search for a handler ----

    /// <summary>RtlDispatchException, up to the first language handler: that runs next.</summary>
    /// <param name="address">Of the instruction or function that raises it.</param>
    /// <param name="context">Where the driver is.</param>
    /// <param name="text">What the crash says when nothing handles it.</param>
    /// <param name="at">Where the crash is then.</param>
    private bool TryDispatch(RaisedException raised, bool isFault, ulong address, in CpuContext context, string text, ulong at)
    {
        CpuContext before = State.Save();
        State.Restore(context);
        ulong stack = context[Gpr.Rsp];
        Forget(stack);
        ulong record = (stack - 128 - (ulong)(RecordSize + ContextSize + 0x80)) & ~15ul & _machine.Cpu.AddressMask;
        var dispatch = new Dispatch(context, record, record + (ulong)(RecordSize + 15 & ~15), text, at)
        {
            Frame = Is64Bit ? 0 : Guest.Pointer(State.FsBase),
            IsContinuable = isFault || (raised.Flags & NonContinuable) == 0,
        };
        dispatch.Dispatcher = dispatch.ContextRecord + (ulong)(ContextSize + 15 & ~15);
        if (_machine.Space.TryWriteBytes(record, new byte[(int)(dispatch.Dispatcher - record) + 0x50]))
        {
            WriteRecord(record, raised.Code, isFault ? 0 : raised.Flags, address, raised.Parameters);
            WriteContext(dispatch.ContextRecord, context);
            if (TryCallNext(dispatch))
            {
                _dispatches.Add(dispatch);
                return true;
            }
        }
        State.Restore(before);
        return false;
    }

    /// <summary>What lies below the stack pointer is over.</summary>
    private void Forget(ulong stack)
        => _dispatches.RemoveAll(d => d.Record < stack && _machine.Space.RegionAt(d.Record) == _machine.Space.RegionAt(stack));

    private void WriteRecord(ulong record, uint code, uint flags, ulong address, params ReadOnlySpan<ulong> parameters)
    {
        Guest.SetU32(record, code);
        Guest.SetU32(record + 4, flags);
        Guest.SetPointer(record + RecordAddress, address);
        Guest.SetU32(record + RecordCount, (uint)parameters.Length);
        for (int i = 0; i < parameters.Length; i++) Guest.SetPointer(record + RecordInformation + (ulong)(i * _machine.Layout.Pointer), parameters[i]);
    }

    private bool TryCallNext(Dispatch dispatch) => Is64Bit ? TryCallNext64(dispatch) : TryCallNext86(dispatch);

    /// <summary>A language handler has returned.</summary>
    private void AfterHandler(ref CallFrame frame)
    {
        ulong stack = State.Rsp;
        Dispatch dispatch = _dispatches.Find(d => d.Expected == stack) ?? throw _machine.Crash("an exception handler returns with another stack pointer");
        uint disposition = (uint)State[Gpr.Rax];
        if (disposition == ContinueExecution && dispatch.IsContinuable)
        {
            _dispatches.Remove(dispatch);
            ReadContext(dispatch);
        }
        else if (disposition == ContinueExecution)
        {
            throw _machine.Crash("an exception handler goes on behind an exception that is not continuable", dispatch.At);
        }
        else if (disposition != ContinueSearch) throw _machine.Crash($"an exception handler answers {disposition}, which is no disposition", dispatch.At);
        else if (!TryCallNext(dispatch)) throw _machine.Crash(dispatch.Text, dispatch.At);
        frame.JumpTo(State.Rip);
    }

    // ---- calls of filters and termination handlers ----

    private ulong CallGuest(ulong address, CallConvention convention, params ReadOnlySpan<ulong> arguments)
    {
        CallOutcome outcome = _machine.Cpu.Call(address, arguments, convention);
        return outcome.Returned ? outcome.Value : throw _machine.Crash(outcome.Run.ToString(), outcome.Run.Address);
    }

    /// <summary>Takes room on the driver's stack, which whoever asks gives back by restoring the stack pointer.</summary>
    private ulong Reserve(int size)
    {
        ulong at = (State.Rsp - 128 - (ulong)size) & ~15ul & _machine.Cpu.AddressMask;
        Guest.SetBytes(at, new byte[size]);
        State.Rsp = at;
        return at;
    }

    /// <summary>EXCEPTION_POINTERS on the driver's stack.</summary>
    private ulong ReservePointers(ulong record, ulong context)
    {
        ulong pointers = Reserve(16);
        Guest.SetPointer(pointers, record);
        Guest.SetPointer(pointers + (ulong)_machine.Layout.Pointer, context);
        return pointers;
    }

    /// <summary>An exception on its way.</summary>
    /// <param name="context">The registers where it was raised.</param>
    /// <param name="record">The EXCEPTION_RECORD on the driver's stack.</param>
    /// <param name="contextRecord">The CONTEXT there.</param>
    /// <param name="text">What the crash says when nothing handles it.</param>
    /// <param name="at">Where the crash is then.</param>
    private sealed class Dispatch(CpuContext context, ulong record, ulong contextRecord, string text, ulong at)
    {
        public CpuContext Context { get; } = context;
        public ulong Record => record;
        public ulong ContextRecord => contextRecord;
        public string Text => text;
        public ulong At => at;
        public bool IsContinuable { get; init; }

        /// <summary>The DISPATCHER_CONTEXT.</summary>
        public ulong Dispatcher { get; set; }

        /// <summary>x64: the frames still to be asked.</summary>
        public CpuContext Walk = context;

        /// <summary>x86: the registration record to be asked next.</summary>
        public ulong Frame { get; set; }

        /// <summary>The stack pointer when the handler has returned.</summary>
        public ulong Expected { get; set; }
    }
}
