using Emulator.DriverBench.Memory;
using Emulator.DriverBench.Pe;
using Iced.Intel;

namespace Emulator.DriverBench.Cpu;

/// <summary>How arguments are passed on x86; x64 has one way.</summary>
public enum CallConvention
{
    /// <summary>The callee takes its arguments off the stack: NTAPI.</summary>
    StdCall,
    /// <summary>The caller does.</summary>
    Cdecl,
    /// <summary>ECX, EDX, the rest as in <see cref="StdCall"/>.</summary>
    FastCall,
}

/// <summary>Sees every instruction before it runs. Null when off, which costs nothing.</summary>
public interface IInstructionObserver
{
    void OnInstruction(Interpreter cpu, ulong address);
}

/// <summary>
/// Executes a driver's machine code in an address space. Instructions are decoded once into blocks of operations; a
/// store to decoded bytes throws the blocks away. Deterministic; one thread; calls into the driver may nest.
/// </summary>
public sealed class Interpreter
{
    private const int MaxBlockLength = 64;
    private const int CacheSize = 4096;
    private const int MaxDepth = 48;

    // How many instructions a fault that is handled counts for, so that an endless row of them reaches the limit.
    private const ulong FaultCost = 1000;

    private static readonly Gpr[] ArgumentRegisters = [Gpr.Rcx, Gpr.Rdx, Gpr.R8, Gpr.R9];
    private static readonly Gpr[] Preserved64 = [Gpr.Rbx, Gpr.Rbp, Gpr.Rsi, Gpr.Rdi, Gpr.R12, Gpr.R13, Gpr.R14, Gpr.R15];
    private static readonly Gpr[] Preserved32 = [Gpr.Rbx, Gpr.Rbp, Gpr.Rsi, Gpr.Rdi];

    private readonly Block?[] _cache = new Block?[CacheSize];
    private readonly Dictionary<ulong, Block> _blocks = [];
    private readonly List<Operation> _decoded = new(MaxBlockLength);
    private readonly List<(ulong Start, ulong Length)> _hostRanges = [];
    private readonly Translator _translator;
    private readonly IHostCalls _host;
    private readonly Decoder _decoder;
    private readonly SpaceReader _reader;
    private readonly Lazy<InstructionText> _text;
    private ulong _executed;
    private int _depth;
    private bool _attention;

    /// <param name="memory">32-bit for <see cref="CpuMode.X86"/>, 64-bit for <see cref="CpuMode.X64"/>.</param>
    /// <param name="mode">The instruction set.</param>
    /// <param name="host">Takes calls into the ranges of <see cref="AddHostRange"/>.</param>
    /// <param name="platform">Ports, IRQL and so on; null for a machine with nothing attached.</param>
    /// <param name="symbols">Names for messages; null for bare addresses.</param>
    /// <exception cref="ArgumentException">Mode and address width do not fit.</exception>
    public Interpreter(AddressSpace memory, CpuMode mode, IHostCalls host, CpuPlatform? platform = null, SymbolTable? symbols = null)
    {
        ArgumentNullException.ThrowIfNull(memory);
        if ((memory.Width == AddressWidth.Bits64) != (mode == CpuMode.X64)) throw new ArgumentException("The address space has another width.", nameof(memory));
        (Memory, Mode, _host, Platform, Symbols) = (memory, mode, host, platform ?? new CpuPlatform(), symbols ?? new SymbolTable());
        AddressMask = mode == CpuMode.X64 ? ulong.MaxValue : uint.MaxValue;
        ReturnSentinel = mode == CpuMode.X64 ? 0xFFFF_F6FF_FFFF_F000 : 0xFFFF_F000;
        State = new CpuState(memory, this);
        _translator = new Translator(mode);
        _reader = new SpaceReader(memory);
        _decoder = Decoder.Create(Bits, _reader);
        _text = new Lazy<InstructionText>(() => new InstructionText(memory, Bits, Symbols));
        // Nothing else may ever be mapped where calls return to.
        if (memory.IsFree(ReturnSentinel, 0x800)) memory.MapGuard(ReturnSentinel, 0x800, GuardKind.Reserved, "return sentinel");
        memory.CodeChanged += DiscardBlocks;
    }

    public AddressSpace Memory { get; }
    public CpuMode Mode { get; }
    public CpuPlatform Platform { get; }
    public SymbolTable Symbols { get; }
    public CpuState State { get; }

    /// <summary>Where a function that the host called returns to.</summary>
    public ulong ReturnSentinel { get; }

    /// <summary>All instructions of all runs so far; inside a run it lags by the current block.</summary>
    public ulong InstructionsExecuted => _executed;

    /// <summary>Sees every instruction; null when off.</summary>
    public IInstructionObserver? Observer { get; set; }

    /// <summary>
    /// Inside a hook, an MMIO handler or a host call: the address of the instruction that led there.
    /// </summary>
    public ulong CurrentInstruction => State.CurrentAddress;

    /// <summary>How deeply host calls and guest calls are nested now.</summary>
    public int Depth { get => _depth; internal set => _depth = value; }

    /// <summary>The registers where the last run that ended in a fault stood.</summary>
    public CpuContext FaultContext { get; private set; }

    /// <summary>The stack pointer with which the innermost function that the host called began: what lies above is no frame of this run.</summary>
    internal ulong EntryStack { get; set; }

    internal ulong AddressMask { get; }
    private int Bits => Mode == CpuMode.X64 ? 64 : 32;

    /// <summary>Calls into this range go to the host.</summary>
    public void AddHostRange(ulong start, ulong length) => _hostRanges.Add((start, length));

    /// <summary>Has <see cref="CpuPlatform.OnAttention"/> called at the end of the current block. May come from a hook or another thread.</summary>
    public void RequestAttention() => Volatile.Write(ref _attention, true);

    /// <summary>Executes from <see cref="CpuState.Rip"/> until something ends the run.</summary>
    /// <param name="maxInstructions">At most this many; a repeated string instruction may count more than once.</param>
    public RunOutcome Run(ulong maxInstructions)
    {
        if (_depth == MaxDepth) return new RunOutcome(StopReason.NestedTooDeeply, State.Rip, 0, default, $"host and driver call each other {MaxDepth} deep");
        _depth++;
        try
        {
            ulong left = maxInstructions;
            RunOutcome outcome = RunBlocks(ref left);
            outcome = outcome with { Instructions = maxInstructions - left };
            if (outcome.IsFault) FaultContext = State.Save();
            return outcome;
        }
        finally
        {
            _depth--;
        }
    }

    /// <summary>
    /// Calls a function of the driver below the current stack pointer and puts all registers back. Host calls may use it, and so may
    /// <see cref="CpuPlatform.OnAttention"/>.
    /// </summary>
    /// <param name="address">The function.</param>
    /// <param name="arguments">Pointer-sized; a 64-bit argument on x86 takes two.</param>
    /// <param name="convention">On x86, how they are passed.</param>
    /// <param name="maxInstructions">For this call.</param>
    public CallOutcome Call(ulong address, ReadOnlySpan<ulong> arguments,
        CallConvention convention = CallConvention.StdCall, ulong maxInstructions = 100_000_000)
    {
        CpuContext before = State.Save();
        if (!TryEnter(address, arguments, convention, out ulong expectedRsp))
        {
            MemoryFault fault = Memory.LastFault;
            State.Restore(before);
            StopReason reason = fault.Guard == GuardKind.Stack ? StopReason.StackOverflow : StopReason.PageFault;
            return new CallOutcome(new RunOutcome(reason, address, 0, fault, $"no stack for a call of {Symbols.Describe(address)}: {fault}"), 0, 0, 0, "");
        }
        CpuContext entered = State.Save();
        ulong outer = EntryStack;
        EntryStack = State.Rsp;
        RunOutcome run = Run(maxInstructions);
        EntryStack = outer;
        bool returned = run.Reason == StopReason.Returned;
        var outcome = new CallOutcome(run, State[Gpr.Rax], Mode == CpuMode.X86 ? State[Gpr.Rdx] : 0,
            returned ? (long)(State.Rsp - expectedRsp) : 0, returned ? ClobberedSince(entered) : "");
        State.Restore(before);
        return outcome;
    }

    /// <inheritdoc cref="Call(ulong, ReadOnlySpan{ulong}, CallConvention, ulong)"/>
    public CallOutcome Call(ulong address, params ReadOnlySpan<ulong> arguments) => Call(address, arguments, CallConvention.StdCall);

    /// <summary>The instruction at an address with its bytes, or why there is none: "mov eax, [rcx+8] (8b 41 08)".</summary>
    public string InstructionAt(ulong address) => _text.Value.At(address);

    /// <summary>The same without the bytes: "mov eax, [rcx+8]".</summary>
    public string InstructionTextAt(ulong address) => _text.Value.TextAt(address);

    // ---- inside ----

    private RunOutcome RunBlocks(ref ulong left)
    {
        CpuState s = State;
        Block? previous = null;
        while (true)
        {
            if (_attention)
            {
                Volatile.Write(ref _attention, false);
                previous = null;
                if (!Platform.OnAttention(this)) return new RunOutcome(StopReason.HostStop, s.Rip, 0, default, "");
            }
            ulong rip = s.Rip;
            Block? block = previous is null ? null : rip == previous.End ? previous.Next : previous.Taken;
            if (block is null || block.Start != rip)
            {
                block = Find(rip);
                if (block is null)
                {
                    if (rip == ReturnSentinel) return new RunOutcome(StopReason.Returned, rip, 0, default, "");
                    if (left == 0) return new RunOutcome(StopReason.InstructionLimit, rip, 0, default, "");
                    if (IsHost(rip))
                    {
                        previous = null;
                        if (TryInvoke(rip, out RunOutcome ended)) continue;
                        return ended;
                    }
                    block = Decode(rip);
                    if (block is null)
                    {
                        if (TryRecover(new PendingStop(StopReason.PageFault, _reader.Fault, null), ref left, out RunOutcome astray)) continue;
                        return astray;
                    }
                }
                if (block.IsPageable) Platform.EnteringPageable(this, rip);
                else if (previous is not null)
                {
                    if (rip == previous.End) previous.Next = block;
                    else previous.Taken = block;
                }
            }
            Operation[] operations = block.Operations;
            s.Rip = block.End;
            int done = 0;
            if ((ulong)operations.Length <= left && Observer is null)
            {
                while (done < operations.Length && operations[done].Execute(s)) done++;
            }
            else
            {
                int limit = (int)Math.Min((ulong)operations.Length, left);
                while (done < limit)
                {
                    if (!Block.IsStale(operations[done])) Observer?.OnInstruction(this, operations[done].Address);
                    if (!operations[done].Execute(s)) break;
                    done++;
                }
                if (done == limit && limit < operations.Length)
                {
                    s.Rip = block.AddressOf(limit);
                    left -= (ulong)limit;
                    _executed += (ulong)limit;
                    return new RunOutcome(StopReason.InstructionLimit, s.Rip, 0, default, "");
                }
            }
            left -= (ulong)done;
            _executed += (ulong)done;
            if (done == operations.Length)
            {
                previous = block;
                continue;
            }
            previous = null;
            if (Block.IsStale(operations[done]) && s.Stop.Reason == StopReason.None && s.Rip == block.End)
            {
                s.Rip = block.AddressOf(done);
                continue;
            }
            PendingStop stop = s.Stop;
            // A part of a repeated string instruction counts as one, so that an endless one reaches the limit.
            if (stop.Reason == StopReason.None || stop.Completed)
            {
                left--;
                _executed++;
            }
            if (stop.Reason != StopReason.None && !TryRecover(stop, ref left, out RunOutcome outcome)) return outcome;
        }
    }

    private bool TryRecover(in PendingStop stop, ref ulong left, out RunOutcome outcome)
    {
        outcome = Ended(stop);
        if (!outcome.IsFault || !Platform.TryHandleFault(this, outcome)) return false;
        left -= Math.Min(left, FaultCost);
        return true;
    }

    private Block? Find(ulong rip)
    {
        ref Block? slot = ref _cache[(int)(rip ^ (rip >> 12)) & (CacheSize - 1)];
        if (slot is not null && slot.Start == rip) return slot;
        if (!_blocks.TryGetValue(rip, out Block? block)) return null;
        slot = block;
        return block;
    }

    /// <summary>Decodes up to the next branch. Null when there is no code to fetch.</summary>
    private Block? Decode(ulong start)
    {
        _decoded.Clear();
        _reader.Start(start);
        _decoder.IP = start;
        ulong end = start;
        while (_decoded.Count < MaxBlockLength)
        {
            _decoder.Decode(out Instruction instruction);
            if (_decoder.LastError == DecoderError.NoMoreBytes)
            {
                // The instruction that cannot be fetched is a fault only when it is reached.
                if (_decoded.Count == 0) return null;
                break;
            }
            end = instruction.NextIP & AddressMask;
            _decoded.Add(_translator.Translate(instruction));
            if (Translator.EndsBlock(instruction)) break;
        }
        var block = new Block(start, end, [.. _decoded]) { IsPageable = Memory.IsPageable(start) };
        _blocks.Add(start, block);
        _cache[(int)(start ^ (start >> 12)) & (CacheSize - 1)] = block;
        return block;
    }

    private void DiscardBlocks()
    {
        foreach (Block block in _blocks.Values) block.Discard();
        _blocks.Clear();
        Array.Clear(_cache);
    }

    private bool IsHost(ulong address)
    {
        foreach ((ulong start, ulong length) in _hostRanges)
        {
            if (address - start < length) return true;
        }
        return false;
    }

    /// <summary>Lets the host answer a call. False when the run ends with it.</summary>
    private bool TryInvoke(ulong address, out RunOutcome outcome)
    {
        var frame = new CallFrame(this, address);
        _host.Invoke(ref frame);
        outcome = default;
        switch (frame.End)
        {
            case FrameEnd.Returned:
                return true;
            case FrameEnd.Stopped:
                outcome = new RunOutcome(StopReason.HostStop, State.Rip, 0, default, frame.StopDetail);
                return false;
            case FrameEnd.Failed:
                outcome = frame.StopOutcome;
                return false;
            case FrameEnd.Faulted:
                outcome = Ended(new PendingStop(StopReason.PageFault, frame.Fault, null));
                return false;
            default:
                throw new InvalidOperationException($"The host call {Symbols.Describe(address)} neither returned nor stopped.");
        }
    }

    private RunOutcome Ended(in PendingStop stop)
    {
        ulong address = State.Rip;
        if (!(new RunOutcome { Reason = stop.Reason }).IsFault) return new RunOutcome(stop.Reason, address, 0, default, stop.Detail ?? "");
        string what = stop.Detail ?? $"{stop.Memory} ({Memory.Describe(stop.Memory.Address)})";
        string where = $"at 0x{address:x} ({Symbols.Describe(address)})";
        string instruction = stop.Memory.Kind != MemoryFaultKind.None && stop.Memory.Access == MemoryAccess.Execute ? "" : $": {InstructionAt(address)}";
        return new RunOutcome(stop.Reason, address, 0, stop.Memory, $"{what}; {where}{instruction}");
    }

    private bool TryEnter(ulong address, ReadOnlySpan<ulong> arguments, CallConvention convention, out ulong expectedRsp)
    {
        CpuState s = State;
        int pointer = Memory.PointerSize;
        int inRegisters = Mode == CpuMode.X64 ? 4 : convention == CallConvention.FastCall ? 2 : 0;
        int onStack = Math.Max(0, arguments.Length - inRegisters);
        // Interrupted code may keep data below its stack pointer for a moment (the red zone of other ABIs).
        ulong rsp = s.Rsp - 128;
        int home = Mode == CpuMode.X64 ? 4 : 0;
        rsp = (rsp - (ulong)((onStack + home) * pointer)) & ~15ul & AddressMask;
        for (int i = 0; i < onStack; i++)
        {
            if (!Memory.TryWritePointer((rsp + (ulong)((home + i) * pointer)) & AddressMask, arguments[inRegisters + i])) { expectedRsp = 0; return false; }
        }
        for (int i = 0; i < Math.Min(inRegisters, arguments.Length); i++) s[ArgumentRegisters[i]] = arguments[i];
        bool calleePops = Mode == CpuMode.X86 && convention != CallConvention.Cdecl;
        expectedRsp = (rsp + (calleePops ? (ulong)(onStack * pointer) : 0)) & AddressMask;
        rsp = (rsp - (ulong)pointer) & AddressMask;
        if (!Memory.TryWritePointer(rsp, ReturnSentinel)) return false;
        s.Rsp = rsp;
        s.Rip = address;
        // Both ABIs want it clear at entry.
        s.SystemFlags &= ~CpuState.DirectionFlag;
        return true;
    }

    private string ClobberedSince(in CpuContext entered)
    {
        List<string>? names = null;
        foreach (Gpr register in Mode == CpuMode.X64 ? Preserved64 : Preserved32)
        {
            if (State[register] == entered[register]) continue;
            string name = register.ToString();
            (names ??= []).Add(Mode == CpuMode.X86 ? $"e{name[1..]}" : name.ToLowerInvariant());
        }
        for (int i = 6; Mode == CpuMode.X64 && i < 16; i++)
        {
            if (State.Xmm[i] != entered.Xmm[i]) (names ??= []).Add($"xmm{i}");
        }
        if ((State.SystemFlags & CpuState.DirectionFlag) != 0) (names ??= []).Add("DF");
        if (((State.SystemFlags ^ entered.SystemFlags) & CpuState.InterruptFlag) != 0) (names ??= []).Add("IF");
        return names is null ? "" : string.Join(", ", names);
    }

    private sealed class SpaceReader(AddressSpace memory) : CodeReader
    {
        private ulong _position;
        private bool _ended;

        /// <summary>Why the first byte that could not be read could not.</summary>
        public MemoryFault Fault { get; private set; }

        public void Start(ulong address) => (_position, _ended) = (address, false);

        public override int ReadByte()
        {
            // The decoder asks on for a while after the end.
            if (_ended) return -1;
            if (memory.TryFetch(_position++, out byte value)) return value;
            (_ended, Fault) = (true, memory.LastFault);
            return -1;
        }
    }
}
