using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Memory;
using Emulator.DriverBench.Pe;
using Emulator.Testing;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Emulator.DriverTests.Cpu;

/// <summary>What surrounds instructions: stops, host calls, nesting, hooks, changed code.</summary>
[TestFixture(CpuMode.X64)]
[TestFixture(CpuMode.X86)]
[Category("Unit")]
internal sealed class InterpreterTests(CpuMode mode)
{
    private const ulong CodeAddress = 0x40_0000;
    private const ulong DataAddress = 0x50_0000;
    private const ulong StackTop = 0x61_0000;
    private const ulong HostAddress = 0x7000_0000;

    private AddressSpace _memory = null!;
    private Interpreter _cpu = null!;
    private Machine _machine = null!;
    private Host _host = null!;
    private Assembler _code = null!;

    private bool Is64 => mode == CpuMode.X64;
    private int Pointer => Is64 ? 8 : 4;

    [SetUp]
    public void Prepare()
    {
        _memory = new AddressSpace(Is64 ? AddressWidth.Bits64 : AddressWidth.Bits32);
        _memory.MapRam(CodeAddress, 0x2000, Protection.All, "code");
        _memory.MapRam(DataAddress, 0x2000, Protection.ReadWrite, "data");
        _memory.MapGuard(0x60_0000, 0x1000, GuardKind.Stack, "end of the stack");
        _memory.MapRam(0x60_1000, 0xF000, Protection.ReadWrite, "stack");
        _host = new Host();
        _machine = new Machine();
        var symbols = new SymbolTable();
        symbols.AddModule("Test", CodeAddress, 0x2000);
        symbols.AddSymbol(CodeAddress, "Start");
        _cpu = new Interpreter(_memory, mode, _host, _machine, symbols);
        _cpu.AddHostRange(HostAddress, 0x1000);
        _cpu.State.Rsp = StackTop;
        _code = new Assembler(Is64 ? 64 : 32);
    }

    [Test]
    public void A_function_returns_its_value_and_leaves_the_registers_alone()
    {
        _code.mov(eax, 0x1234);
        _code.ret();
        _cpu.State[Gpr.Rbx] = 77;
        ulong start = Assemble();
        CallOutcome call = _cpu.Call(start);
        Assert.That(call.Returned, Is.True, call.Run.ToString());
        Assert.That(call.Value, Is.EqualTo(0x1234));
        Assert.That(call.Run.Instructions, Is.EqualTo(2));
        Assert.That(call.Clobbered, Is.Empty);
        Assert.That(_cpu.State.Rsp, Is.EqualTo(StackTop));
        Assert.That(_cpu.State[Gpr.Rbx], Is.EqualTo(77));
    }

    [Test]
    public void Arguments_arrive_where_the_convention_says()
    {
        // Six arguments, weighted: each has to be in its own place.
        if (Is64)
        {
            _code.lea(rax, __[rcx + (rdx * 2)]);
            _code.lea(rax, __[rax + (r8 * 4)]);
            _code.lea(rax, __[rax + (r9 * 8)]);
            _code.imul(rcx, __qword_ptr[rsp + 0x28], 16);
            _code.add(rax, rcx);
            _code.imul(rcx, __qword_ptr[rsp + 0x30], 32);
            _code.add(rax, rcx);
            _code.ret();
        }
        else
        {
            _code.mov(eax, __dword_ptr[esp + 4]);
            for (int i = 1; i < 6; i++)
            {
                _code.imul(ecx, __dword_ptr[esp + 4 + (4 * i)], 1 << i);
                _code.add(eax, ecx);
            }
            _code.ret(24);
        }
        CallOutcome call = _cpu.Call(Assemble(), 1, 1, 1, 1, 1, 3);
        Assert.That(call.Returned, Is.True, call.Run.ToString());
        Assert.That(call.Value, Is.EqualTo(1 + 2 + 4 + 8 + 16 + 96));
        Assert.That(call.StackImbalance, Is.Zero);
    }

    [Test]
    public void A_broken_calling_convention_is_reported()
    {
        _code.mov(ebx, 5);
        _code.std();
        if (Is64) _code.ret(8);
        else _code.ret();
        CallOutcome call = _cpu.Call(Assemble(), 1, 2);
        Assert.That(call.Returned, Is.True);
        Assert.That(call.Clobbered, Is.EqualTo(Is64 ? "rbx, DF" : "ebx, DF"));
        Assert.That(call.StackImbalance, Is.EqualTo(8 * (Is64 ? 1 : -1)));
        Assert.That(_cpu.State.Rflags & 0x400, Is.Zero, "the caller gets its own flags back");
    }

    [Test]
    public void Host_functions_read_arguments_and_return()
    {
        CallHost(HostAddress + 8, 10, 20, 30, 40, 50);
        _code.add(eax, 1);
        _code.ret();
        ulong[] seen = [];
        ulong returnsTo = 0;
        _host.On(HostAddress + 8, (ref CallFrame frame) =>
        {
            seen = [frame.Arg(0), frame.Arg(1), frame.Arg(2), frame.Arg(3), frame.Arg(4)];
            returnsTo = frame.ReturnAddress;
            frame.Return(99, argumentBytes: Is64 ? 0 : 20);
        });
        CallOutcome call = _cpu.Call(Assemble());
        Assert.That(call.Returned, Is.True, call.Run.ToString());
        Assert.That(call.Value, Is.EqualTo(100));
        Assert.That(seen, Is.EqualTo(new ulong[] { 10, 20, 30, 40, 50 }));
        Assert.That(_cpu.InstructionAt(returnsTo), Does.StartWith(Is64 ? "add rsp" : "add eax"));
    }

    [Test]
    public void Fastcall_and_64_bit_results_work_on_x86()
    {
        if (Is64) Assert.Pass("x64 has one convention");
        _code.push(3);
        _code.mov(edx, 2);
        _code.mov(ecx, 1);
        _code.call(HostAddress);
        _code.add(eax, edx);
        _code.ret();
        ulong[] seen = [];
        _host.On(HostAddress, (ref CallFrame frame) =>
        {
            seen = [frame.FastArg(0), frame.FastArg(1), frame.FastArg(2)];
            frame.Return64(0x0000_0007_0000_0005, argumentBytes: 4);
        });
        CallOutcome call = _cpu.Call(Assemble());
        Assert.That(call.Value, Is.EqualTo(12));
        Assert.That(call.HighValue, Is.EqualTo(7));
        Assert.That(seen, Is.EqualTo(new ulong[] { 1, 2, 3 }));
    }

    [Test]
    public void Fastcall_arguments_arrive_in_registers_on_x86()
    {
        if (Is64) Assert.Pass("x64 has one convention");
        _code.lea(eax, __[ecx + (edx * 8)]);
        _code.add(eax, __dword_ptr[esp + 4]);
        _code.ret(4);
        CallOutcome call = _cpu.Call(Assemble(), [1, 2, 100], CallConvention.FastCall);
        Assert.That(call.Value, Is.EqualTo(117));
        Assert.That(call.StackImbalance, Is.Zero);
    }

    [Test]
    public void Host_and_driver_call_each_other_and_too_deep_nesting_stops()
    {
        CallHost(HostAddress);
        _code.add(eax, 1);
        _code.ret();
        ulong start = Assemble();
        int wanted = 10;
        _host.On(HostAddress, (ref CallFrame frame) =>
        {
            if (frame.Cpu.Depth > wanted)
            {
                frame.Return(0);
                return;
            }
            CallOutcome inner = frame.Cpu.Call(start);
            if (inner.Returned) frame.Return(inner.Value);
            else frame.Stop(inner.Run);
        });
        Assert.That(_cpu.Call(start).Value, Is.EqualTo(11));
        wanted = int.MaxValue;
        CallOutcome call = _cpu.Call(start);
        Assert.That(call.Run.Reason, Is.EqualTo(StopReason.NestedTooDeeply));
        Assert.That(_cpu.Depth, Is.Zero);
        Assert.That(_cpu.State.Rsp, Is.EqualTo(StackTop));
    }

    [Test]
    public void A_host_call_can_stop_the_run_and_the_run_can_go_on()
    {
        CallHost(HostAddress);
        _code.add(eax, 1);
        _code.hlt();
        _host.On(HostAddress, (ref CallFrame frame) =>
        {
            frame.Return(41);
            frame.Stop("waits for an event");
        });
        _cpu.State.Rip = Assemble();
        RunOutcome outcome = _cpu.Run(100);
        Assert.That(outcome.Reason, Is.EqualTo(StopReason.HostStop));
        Assert.That(outcome.Detail, Is.EqualTo("waits for an event"));
        Assert.That(_cpu.Run(100).Reason, Is.EqualTo(StopReason.Halted));
        Assert.That(_cpu.State[Gpr.Rax], Is.EqualTo(42));
    }

    [Test]
    public void A_host_function_can_hand_the_call_to_another()
    {
        _code.jmp(HostAddress);
        Label other = _code.CreateLabel();
        _code.Label(ref other);
        _code.mov(eax, 5);
        _code.ret();
        ulong start = Assemble();
        _host.On(HostAddress, (ref CallFrame frame) => frame.JumpTo(start + 5));
        Assert.That(_cpu.Call(start).Value, Is.EqualTo(5));
    }

    [Test]
    public void The_instruction_limit_is_exact_and_a_run_goes_on_where_it_stopped()
    {
        for (int i = 0; i < 200; i++) _code.inc(eax);
        _code.ret();
        _cpu.State.Rip = Assemble();
        _cpu.State[Gpr.Rax] = 0;
        for (ulong n = 1; n <= 19; n++)
        {
            RunOutcome outcome = _cpu.Run(7);
            Assert.That(outcome.Reason, Is.EqualTo(StopReason.InstructionLimit));
            Assert.That(outcome.Instructions, Is.EqualTo(7));
            Assert.That(_cpu.State[Gpr.Rax], Is.EqualTo(7 * n));
        }
        Assert.That(_cpu.InstructionsExecuted, Is.EqualTo(133));
    }

    [Test]
    public void A_page_fault_names_address_instruction_and_function()
    {
        _code.nop();
        _code.mov(ecx, 0x1000);
        _code.mov(eax, __dword_ptr[(Is64 ? (AssemblerMemoryOperand)(rcx + 0x10) : ecx + 0x10)]);
        _code.ret();
        CallOutcome call = _cpu.Call(Assemble());
        Assert.That(call.Run.Reason, Is.EqualTo(StopReason.PageFault));
        Assert.That(call.Run.Fault.Address, Is.EqualTo(0x1010));
        Assert.That(call.Run.Fault.Access, Is.EqualTo(MemoryAccess.Read));
        Assert.That(call.Run.Address, Is.EqualTo(CodeAddress + 6));
        Assert.That(call.Run.Instructions, Is.EqualTo(2));
        Assert.That(call.Run.Detail, Is.EqualTo("4-byte read at 0x1010: nothing is mapped there (no region); at 0x400006 (Test!Start+0x6): mov eax, "
            + (Is64 ? "[rcx+0x10] (8b 41 10)" : "[ecx+0x10] (8b 41 10)")));
        Assert.That(_cpu.FaultContext[Gpr.Rcx], Is.EqualTo(0x1000));
        Assert.That(_cpu.FaultContext.Rip, Is.EqualTo(CodeAddress + 6));
    }

    [Test]
    public void A_faulting_instruction_changes_nothing()
    {
        _memory.Protect(DataAddress, 0x1000, Protection.Read);
        _code.stc();
        if (Is64) _code.add(__qword_ptr[DataAddress], rax);
        else _code.add(__dword_ptr[DataAddress], eax);
        _cpu.State[Gpr.Rax] = 0;
        _cpu.State.Rip = Assemble();
        Assert.That(_cpu.Run(10).Reason, Is.EqualTo(StopReason.PageFault));
        Assert.That(_cpu.State.Rflags & 1, Is.EqualTo(1), "carry survived");
        Assert.That(_cpu.State.Rip, Is.EqualTo(CodeAddress + 1));
    }

    [Test]
    public void Endless_recursion_is_a_stack_overflow()
    {
        Label again = _code.CreateLabel();
        _code.Label(ref again);
        _code.call(again);
        CallOutcome call = _cpu.Call(Assemble());
        Assert.That(call.Run.Reason, Is.EqualTo(StopReason.StackOverflow));
        Assert.That(call.Run.Detail, Does.Contain("end of the stack"));
    }

    [Test]
    public void Code_is_only_fetched_where_it_may_be_executed()
    {
        foreach (ulong target in (ulong[])[DataAddress, 0x1234_5000, 0])
        {
            _code = new Assembler(Is64 ? 64 : 32);
            _code.mov(eax, (uint)target);
            if (Is64) _code.jmp(rax);
            else _code.jmp(eax);
            CallOutcome call = _cpu.Call(Assemble());
            Assert.That(call.Run.Reason, Is.EqualTo(StopReason.PageFault));
            Assert.That(call.Run.Fault.Access, Is.EqualTo(MemoryAccess.Execute));
            Assert.That(call.Run.Address, Is.EqualTo(target));
        }
    }

    [Test]
    public void An_instruction_cut_by_the_end_of_code_faults_when_it_is_reached_and_not_before()
    {
        // At the end of the two pages: nop, then the first byte of a long instruction.
        _memory.TryPoke(CodeAddress + 0x1FFE, [0x90, 0x05]);
        _cpu.State.Rip = CodeAddress + 0x1FFE;
        RunOutcome outcome = _cpu.Run(10);
        Assert.That(outcome.Instructions, Is.EqualTo(1));
        Assert.That(outcome.Fault.Address, Is.EqualTo(CodeAddress + 0x2000));
        Assert.That(outcome.Address, Is.EqualTo(CodeAddress + 0x1FFF));
    }

    [Test]
    public void Faults_of_the_processor_have_their_reasons()
    {
        Stops(StopReason.DivideError, "division by zero", c => { c.xor(ecx, ecx); c.div(ecx); });
        Stops(StopReason.InvalidOpcode, "invalid opcode", c => c.ud2());
        Stops(StopReason.InvalidOpcode, "no instruction", c => c.db(0x0F, 0x04));
        Stops(StopReason.SoftwareInterrupt, "software interrupt 0x3", c => c.int3());
        Stops(StopReason.SoftwareInterrupt, "__fastfail(7)", c => { c.mov(ecx, 7); c.@int(0x29); });
        Stops(StopReason.GeneralProtection, "not aligned to 16", c => c.movaps(xmm0, __xmmword_ptr[DataAddress + 8]));
        Stops(StopReason.GeneralProtection, "CR0", c => { if (Is64) c.mov(cr0, rax); else c.mov(cr0, eax); });
        Stops(StopReason.GeneralProtection, "RDMSR of 0x10", c => { c.mov(ecx, 0x10); c.rdmsr(); });
        Stops(StopReason.Unsupported, "fld1 (d9 e8)", c => c.fld1());
        Stops(StopReason.Unsupported, "vpaddd", c => c.vpaddd(ymm0, ymm1, ymm2));

        void Stops(StopReason reason, string detail, Action<Assembler> emit)
        {
            _code = new Assembler(Is64 ? 64 : 32);
            emit(_code);
            CallOutcome call = _cpu.Call(Assemble());
            Assert.That(call.Run.Reason, Is.EqualTo(reason), call.Run.Detail);
            Assert.That(call.Run.Detail, Does.Contain(detail).And.Contain("Test!Start"));
            Assert.That(call.Run.Detail, Does.Not.Contain("\n"));
        }
    }

    [Test]
    public void Changed_code_runs_changed()
    {
        _code.mov(eax, 1);
        _code.ret();
        ulong start = Assemble();
        Assert.That(_cpu.Call(start).Value, Is.EqualTo(1));
        Assert.That(_memory.TryWrite8(start + 1, 2), Is.True);
        Assert.That(_cpu.Call(start).Value, Is.EqualTo(2));
        Assert.That(_memory.TryPoke(start + 1, [3]), Is.True);
        Assert.That(_cpu.Call(start).Value, Is.EqualTo(3));
        _memory.RegionAt(start)!.Backing!.Bytes[1] = 4;
        _memory.DiscardDecodedCode();
        Assert.That(_cpu.Call(start).Value, Is.EqualTo(4));
        _memory.Protect(start, 1, Protection.ReadWrite);
        Assert.That(_cpu.Call(start).Run.Reason, Is.EqualTo(StopReason.PageFault));
    }

    [Test]
    public void Code_that_changes_the_very_next_instruction_sees_the_change()
    {
        // mov byte [next + 1], 9; next: mov eax, 1; ret
        _code.mov(__byte_ptr[CodeAddress + (ulong)(Is64 ? 9 : 8)], 9);
        _code.mov(eax, 1);
        _code.ret();
        ulong start = Assemble();
        Assert.That(_cpu.InstructionAt(start + (ulong)(Is64 ? 8 : 7)), Does.StartWith("mov eax, 1 "));
        CallOutcome call = _cpu.Call(start);
        Assert.That(call.Value, Is.EqualTo(9));
        Assert.That(call.Run.Instructions, Is.EqualTo(3));
    }

    [Test]
    public void Data_on_a_page_with_code_can_be_written_and_code_changed_through_an_alias_is_seen()
    {
        _code.mov(eax, 1);
        _code.add(__dword_ptr[CodeAddress + 0x800], 5);
        _code.ret();
        ulong start = Assemble();
        MemoryRegion code = _memory.RegionAt(start)!;
        _memory.MapRam(0x2000_0000, code.Backing!, 0, 0x1000, Protection.ReadWrite, "alias");
        for (int i = 0; i < 3; i++) Assert.That(_cpu.Call(start).Value, Is.EqualTo(1));
        Assert.That(_memory.TryRead32(start + 0x800, out uint value), Is.True);
        Assert.That(value, Is.EqualTo(15));
        Assert.That(_memory.TryWrite8(0x2000_0001, 8), Is.True);
        Assert.That(_cpu.Call(start).Value, Is.EqualTo(8));
    }

    [Test]
    public void Ports_and_registers_reach_the_machine_with_the_instruction_that_asked()
    {
        _memory.MapMmio(0x9000_0000, 0x100, _machine, "BAR 0");
        _code.mov(edx, 0x378);
        _code.@out(dx, al);
        _code.@in(eax, dx);
        _code.@in(al, 0x61);
        _code.mov(__dword_ptr[0x7000_0000 + 0x2000_0000ul], eax);
        _code.or(__dword_ptr[0x7000_0000 + 0x2000_0010ul], 4);
        _code.ret();
        _machine.Cpu = () => _cpu;
        // An absolute address above 2 GiB is no displacement in 64-bit code: go through a register there.
        if (Is64)
        {
            _code = new Assembler(64);
            _code.mov(edx, 0x378);
            _code.@out(dx, al);
            _code.@in(eax, dx);
            _code.@in(al, 0x61);
            _code.mov(ecx, 0x9000_0000u);
            _code.mov(__dword_ptr[rcx], eax);
            _code.or(__dword_ptr[rcx + 0x10], 4);
            _code.ret();
        }
        _cpu.State[Gpr.Rax] = 0x55;
        Assert.That(_cpu.Call(Assemble()).Returned, Is.True);
        Assert.That(_machine.Seen, Is.EqualTo(new[]
        {
            "out1 0x378=0x55 by out dx, al", "in4 0x378 by in eax, dx", "in1 0x61 by in al, 0x61",
            $"write4 0x0=0x103 by mov [{(Is64 ? "rcx" : "0x90000000")}], eax", $"read4 0x10 by or dword [{(Is64 ? "rcx+0x10" : "0x90000010")}], 4",
            $"write4 0x10=0x14 by or dword [{(Is64 ? "rcx+0x10" : "0x90000010")}], 4",
        }));
    }

    [Test]
    public void String_instructions_reach_ports_and_registers_element_by_element()
    {
        _memory.MapMmio(0x9000_0000, 0x100, _machine, "BAR 0");
        _code.cld();
        _code.mov(edx, 0x1F0);
        _code.mov(edi, (uint)DataAddress);
        _code.mov(ecx, 3);
        _code.rep.insw();
        _code.mov(esi, (uint)DataAddress);
        _code.mov(edi, 0x9000_0000u);
        _code.mov(ecx, 2);
        _code.rep.movsd();
        _code.mov(esi, (uint)DataAddress);
        _code.mov(ecx, 2);
        _code.rep.outsb();
        _code.ret();
        _machine.Cpu = () => _cpu;
        Assert.That(_cpu.Call(Assemble()).Returned, Is.True);
        Assert.That(_machine.Seen.Select(line => line[..line.IndexOf(" by ", StringComparison.Ordinal)]), Is.EqualTo(new[]
        {
            "in2 0x1f0", "in2 0x1f0", "in2 0x1f0", "write4 0x0=0x1030103", "write4 0x4=0x103", "out1 0x1f0=0x3", "out1 0x1f0=0x1",
        }));
    }

    [Test]
    public void Long_repetitions_copy_fill_and_repeat_like_short_ones()
    {
        _memory.MapRam(0x1000_0000, 0x10_0000, Protection.ReadWrite, "large");
        Assert.That(_memory.TryView(0x1000_0000, 0x10_0000, writable: true, out Span<byte> large), Is.True);
        new Random(3).NextBytes(large[..0x4_0000]);
        byte[] expected = large.ToArray();
        expected.AsSpan(1, 0x3_0000).CopyTo(expected.AsSpan(0x8_0001));
        // A destination one byte above its source spreads the first byte.
        expected.AsSpan(0x1001, 0x3000).Fill(expected[0x1000]);
        expected.AsSpan(0xC_0000, 0x1_2345).Fill(0xAB);
        _code.cld();
        Move(0x1000_0001, 0x1008_0001, 0x3_0000);
        _code.rep.movsb();
        Move(0x1000_1000, 0x1000_1001, 0x3000);
        _code.rep.movsb();
        Move(0, 0x100C_0000, 0x1_2345);
        _code.mov(eax, 0xAB);
        _code.rep.stosb();
        _code.ret();
        CallOutcome call = _cpu.Call(Assemble());
        Assert.That(call.Returned, Is.True, call.Run.ToString());
        Assert.That(_memory.TryView(0x1000_0000, 0x10_0000, writable: false, out large), Is.True);
        Assert.That(large.SequenceEqual(expected), Is.True);

        void Move(uint from, uint to, uint count)
        {
            _code.mov(esi, from);
            _code.mov(edi, to);
            _code.mov(ecx, count);
        }
    }

    [Test]
    public void A_repetition_that_faults_stands_at_the_element_that_failed()
    {
        _code.cld();
        _code.mov(edi, (uint)DataAddress + 0x1F00);
        _code.mov(ecx, 0x10_0000);
        _code.rep.stosb();
        CallOutcome call = _cpu.Call(Assemble());
        Assert.That(call.Run.Reason, Is.EqualTo(StopReason.PageFault));
        Assert.That(call.Run.Fault.Address, Is.EqualTo(DataAddress + 0x2000));
        Assert.That(_cpu.FaultContext[Gpr.Rdi], Is.EqualTo(DataAddress + 0x2000));
        Assert.That(_cpu.FaultContext[Gpr.Rcx], Is.EqualTo(0x10_0000 - 0x100));
    }

    [Test]
    public void Interrupt_flag_priority_and_interrupts_reach_the_machine()
    {
        _code.cli();
        _code.cli();
        if (Is64) _code.pushfq();
        else _code.pushfd();
        _code.sti();
        if (Is64) _code.popfq();
        else _code.popfd();
        _code.sti();
        _code.@int(0x2D);
        if (Is64)
        {
            _code.mov(eax, 9);
            _code.mov(cr8, rax);
            _code.mov(rcx, cr8);
            _code.mov(__qword_ptr[DataAddress], rcx);
        }
        _code.ret();
        _machine.TakesInterrupts = true;
        CallOutcome call = _cpu.Call(Assemble());
        Assert.That(call.Returned, Is.True, call.Run.ToString());
        string[] expected = ["if False", "if True", "if False", "if True", "int 0x2d"];
        Assert.That(_machine.Seen, Is.EqualTo(Is64 ? [.. expected, "cr8=9"] : expected));
        if (!Is64) return;
        Assert.That(_memory.TryRead64(DataAddress, out ulong priority), Is.True);
        Assert.That(priority, Is.EqualTo(9));
    }

    [Test]
    public void Flags_pushed_and_popped_are_the_same_for_every_combination()
    {
        if (Is64)
        {
            _code.push(rcx);
            _code.popfq();
            _code.pushfq();
            _code.pop(rax);
        }
        else
        {
            _code.mov(ecx, __dword_ptr[esp + 4]);
            _code.push(ecx);
            _code.popfd();
            _code.pushfd();
            _code.pop(eax);
        }
        _code.cld();
        if (Is64) _code.ret();
        else _code.ret(4);
        ulong start = Assemble();
        for (uint n = 0; n < 128; n++)
        {
            ulong flags = 0x202 | (n & 1) | ((n & 2) << 1) | ((n & 4) << 2) | ((n & 8) << 3) | ((n & 16) << 3) | ((n & 32) << 6) | ((n & 64) << 4);
            Assert.That(_cpu.Call(start, flags).Value, Is.EqualTo(flags));
        }
    }

    [Test]
    public void Identification_and_time_are_the_same_in_every_run()
    {
        _code.mov(eax, 1);
        _code.cpuid();
        _code.mov(__dword_ptr[DataAddress], edx);
        _code.rdtsc();
        _code.mov(ecx, eax);
        for (int i = 0; i < 10; i++) _code.nop();
        Label next = _code.CreateLabel();
        _code.jmp(next);
        _code.Label(ref next);
        _code.rdtsc();
        _code.sub(eax, ecx);
        _code.ret();
        CallOutcome call = _cpu.Call(Assemble());
        Assert.That(call.Returned, Is.True, call.Run.ToString());
        Assert.That(call.Value, Is.GreaterThan(0), "time passes");
        Assert.That(_memory.TryRead32(DataAddress, out uint features), Is.True);
        Assert.That(features & (1 << 26), Is.Not.Zero, "SSE2");
    }

    [Test]
    public void What_differs_between_machines_is_fixed_here()
    {
        // XLAT, the SSE control register, selectors: left out of the comparison with the processor.
        Assert.That(_memory.TryWrite8(DataAddress + 0x107, 0x5A), Is.True);
        _code.mov(ebx, (uint)DataAddress + 0x100);
        _code.mov(eax, 0xFFFF_FF07);
        _code.xlatb();
        _code.mov(__dword_ptr[DataAddress], eax);
        _code.stmxcsr(__dword_ptr[DataAddress + 4]);
        _code.ldmxcsr(__dword_ptr[DataAddress + 4]);
        _code.mov(__word_ptr[DataAddress + 8], cs);
        _code.mov(eax, ss);
        _code.mov(__dword_ptr[DataAddress + 12], eax);
        _code.mov(__dword_ptr[DataAddress + 4], 0x1F00);
        _code.ldmxcsr(__dword_ptr[DataAddress + 4]);
        CallOutcome call = _cpu.Call(Assemble());
        Assert.That(call.Run.Reason, Is.EqualTo(StopReason.Unsupported), "an unmasked exception");
        Assert.That(call.Run.Detail, Does.StartWith("MXCSR = 0x1f00"));
        Assert.That(Read(0), Is.EqualTo(0xFFFF_FF5A));
        Assert.That(Read(8), Is.EqualTo(Is64 ? 0x10 : 0x08));
        Assert.That(Read(12), Is.EqualTo(Is64 ? 0x18 : 0x10));

        uint Read(ulong offset) => _memory.TryRead32(DataAddress + offset, out uint value) ? value : throw new InvalidOperationException();
    }

    [Test]
    public void Thread_and_processor_blocks_are_reached_through_segments()
    {
        Assert.That(_memory.TryWrite32(DataAddress + 0x18, 0xFEED), Is.True);
        if (Is64)
        {
            _cpu.State.GsBase = DataAddress;
            _code.mov(eax, __dword_ptr.gs[0x18]);
        }
        else
        {
            _cpu.State.FsBase = DataAddress;
            _code.mov(eax, __dword_ptr.fs[0x18]);
        }
        _code.ret();
        Assert.That(_cpu.Call(Assemble()).Value, Is.EqualTo(0xFEED));
    }

    [Test]
    public void Attention_is_given_between_two_instructions_and_may_call_the_driver()
    {
        // A loop of 1000, and behind it a routine that counts in memory.
        _code.mov(ecx, 1000);
        Label again = _code.CreateLabel();
        _code.Label(ref again);
        _code.inc(eax);
        _code.dec(ecx);
        _code.jne(again);
        _code.ret();
        Label routine = _code.CreateLabel();
        _code.Label(ref routine);
        _code.inc(__dword_ptr[DataAddress]);
        _code.mov(eax, 0xDEAD);
        _code.mov(ecx, 5);
        _code.ret();
        ulong start = Assemble(routine, out ulong service);
        int given = 0;
        _machine.Attention = cpu =>
        {
            Assert.That(cpu.Call(service).Returned, Is.True);
            if (++given < 5) cpu.RequestAttention();
            return true;
        };
        _cpu.State[Gpr.Rax] = 0;
        _cpu.RequestAttention();
        CallOutcome call = _cpu.Call(start);
        Assert.That(call.Value, Is.EqualTo(1000), "the interrupted code notices nothing");
        Assert.That(_memory.TryRead32(DataAddress, out uint count), Is.True);
        Assert.That(count, Is.EqualTo(5));
        _machine.Attention = _ => false;
        _cpu.RequestAttention();
        Assert.That(_cpu.Call(start).Run.Reason, Is.EqualTo(StopReason.HostStop));
    }

    [Test]
    public void The_observer_sees_every_instruction_and_its_absence_nothing()
    {
        _code.mov(ecx, 3);
        Label again = _code.CreateLabel();
        _code.Label(ref again);
        _code.dec(ecx);
        _code.jne(again);
        _code.ret();
        ulong start = Assemble();
        var observer = new Observer();
        _cpu.Observer = observer;
        Assert.That(_cpu.Call(start).Returned, Is.True);
        _cpu.Observer = null;
        Assert.That(_cpu.Call(start).Returned, Is.True);
        Assert.That(observer.Addresses, Has.Count.EqualTo(8));
        Assert.That(observer.Addresses.Take(2), Is.EqualTo(new[] { start, start + 5 }));
        Assert.That(_cpu.InstructionAt(observer.Addresses[2]), Does.Contain("Test!Start+0x5"), "branch targets have names");
    }

    [Test]
    public void Instructions_and_host_calls_allocate_nothing_once_decoded()
    {
        _code.mov(ecx, 2000);
        Label again = _code.CreateLabel();
        _code.Label(ref again);
        if (Is64) _code.push(rcx);
        else _code.push(ecx);
        CallHost(HostAddress);
        _code.movups(xmm0, __xmmword_ptr[DataAddress]);
        _code.paddd(xmm0, xmm0);
        _code.movups(__xmmword_ptr[DataAddress], xmm0);
        if (Is64) _code.pop(rcx);
        else _code.pop(ecx);
        _code.dec(ecx);
        _code.jne(again);
        _code.ret();
        ulong start = Assemble();
        _host.On(HostAddress, static (ref CallFrame frame) => frame.Return());
        CallOutcome call = _cpu.Call(start);
        Assert.That(call.Returned, Is.True);
        Assert.That(call.Run.Instructions, Is.GreaterThan(10_000));
        Assert.That(Allocations.BytesOf(() => _cpu.Call(start)), Is.Zero);
    }

    [Test]
    public void A_saved_context_is_another_thread()
    {
        _code.inc(eax);
        _code.inc(eax);
        _code.inc(eax);
        ulong start = Assemble();
        _cpu.State.Rip = start;
        _cpu.State[Gpr.Rax] = 10;
        _cpu.Run(1);
        CpuContext first = _cpu.State.Save();
        _cpu.State.Rip = start;
        _cpu.State[Gpr.Rax] = 100;
        _cpu.Run(3);
        Assert.That(_cpu.State[Gpr.Rax], Is.EqualTo(103));
        _cpu.State.Restore(first);
        _cpu.Run(2);
        Assert.That(_cpu.State[Gpr.Rax], Is.EqualTo(13));
    }

    [Test]
    public void No_stack_for_a_call_is_an_outcome_not_a_crash()
    {
        _code.ret();
        ulong start = Assemble();
        _cpu.State.Rsp = 0x60_1000;
        Assert.That(_cpu.Call(start, 1, 2).Run.Reason, Is.EqualTo(StopReason.StackOverflow));
        _cpu.State.Rsp = 0x1000;
        Assert.That(_cpu.Call(start, 1, 2).Run.Reason, Is.EqualTo(StopReason.PageFault));
        _host.On(HostAddress, (ref CallFrame frame) => frame.Return(frame.Arg(9)));
        _cpu.State.Rsp = StackTop - (ulong)Pointer;
        _cpu.State.Rip = HostAddress;
        RunOutcome outcome = _cpu.Run(10);
        Assert.That(outcome.Reason, Is.EqualTo(StopReason.PageFault), "the tenth argument is above the stack");
    }

    /// <summary>Calls a host function with constants, as a compiler does for the mode.</summary>
    private void CallHost(ulong address, params ReadOnlySpan<int> arguments)
    {
        if (!Is64)
        {
            for (int i = arguments.Length - 1; i >= 0; i--) _code.push(arguments[i]);
            _code.call(address);
            return;
        }
        _code.sub(rsp, 0x38);
        ReadOnlySpan<AssemblerRegister32> registers = [ecx, edx, r8d, r9d];
        for (int i = 0; i < arguments.Length; i++)
        {
            if (i < 4) _code.mov(registers[i], arguments[i]);
            else _code.mov(__qword_ptr[rsp + (8 * i)], arguments[i]);
        }
        _code.mov(eax, (uint)address);
        _code.call(rax);
        _code.add(rsp, 0x38);
    }

    private ulong Assemble() => Assemble(default, out _);

    private ulong Assemble(Label label, out ulong labelAddress)
    {
        var stream = new MemoryStream();
        AssemblerResult result = _code.Assemble(new StreamCodeWriter(stream), CodeAddress, BlockEncoderOptions.ReturnNewInstructionOffsets);
        labelAddress = label.IsEmpty ? 0 : result.GetLabelRIP(label);
        Assert.That(_memory.TryPoke(CodeAddress, stream.ToArray()), Is.True);
        return CodeAddress;
    }

    private delegate void HostFunction(ref CallFrame frame);

    private sealed class Host : IHostCalls
    {
        private readonly Dictionary<ulong, HostFunction> _functions = [];

        public void On(ulong address, HostFunction function) => _functions[address] = function;

        public void Invoke(ref CallFrame frame) => _functions[frame.Address](ref frame);
    }

    private sealed class Machine : CpuPlatform, IMmioHandler
    {
        public List<string> Seen { get; } = [];
        public bool TakesInterrupts { get; set; }
        public Func<Interpreter, bool>? Attention { get; set; }
        public Func<Interpreter>? Cpu { get; set; }

        public override ulong ReadPort(Interpreter cpu, ushort port, int size)
        {
            Seen.Add($"in{size} 0x{port:x} by {By(cpu)}");
            return 0x103;
        }

        public override void WritePort(Interpreter cpu, ushort port, int size, ulong value) => Seen.Add($"out{size} 0x{port:x}=0x{value:x} by {By(cpu)}");

        public override void InterruptFlagChanged(Interpreter cpu, bool enabled) => Seen.Add($"if {enabled}");

        public override bool SoftwareInterrupt(Interpreter cpu, byte vector)
        {
            if (TakesInterrupts) Seen.Add($"int 0x{vector:x}");
            return TakesInterrupts;
        }

        public override void WriteTaskPriority(Interpreter cpu, ulong value)
        {
            Seen.Add($"cr8={value}");
            base.WriteTaskPriority(cpu, value);
        }

        public override bool OnAttention(Interpreter cpu) => Attention!(cpu);

        public ulong Read(ulong offset, int size)
        {
            Seen.Add($"read{size} 0x{offset:x} by {By(Cpu!())}");
            return 0x10;
        }

        public void Write(ulong offset, int size, ulong value) => Seen.Add($"write{size} 0x{offset:x}=0x{value:x} by {By(Cpu!())}");

        private static string By(Interpreter cpu)
        {
            string text = cpu.InstructionAt(cpu.CurrentInstruction);
            return text[..text.LastIndexOf(" (", StringComparison.Ordinal)];
        }
    }

    private sealed class Observer : IInstructionObserver
    {
        public List<ulong> Addresses { get; } = [];

        public void OnInstruction(Interpreter cpu, ulong address) => Addresses.Add(address);
    }
}
