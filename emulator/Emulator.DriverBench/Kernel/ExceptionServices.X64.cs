using System.Runtime.Intrinsics;
using Emulator.DriverBench.Cpu;

namespace Emulator.DriverBench.Kernel;

/// <content>x64: handlers are found by the .pdata of their functions.</content>
internal sealed partial class ExceptionServices
{
    // In CONTEXT: the general registers in their encoding's order, and XMM0.
    private const ulong Context64Flags = 0x30, Context64Mxcsr = 0x34, Context64Rflags = 0x44, Context64Registers = 0x78, Context64Rip = 0xF8,
        Context64Xmm = 0x1A0;

    // SCOPE_TABLE: a count, then begin, end, handler or filter, target; all relative to the image base.
    private const uint MostScopes = 0x1000, ExecuteHandler = 1;

    private void AddX64(NtServices nt)
    {
        nt.AddTransfer("__C_specific_handler", (ref CallFrame frame) => SpecificHandler(ref frame));
        nt.AddTransfer("RtlUnwindEx", (ref CallFrame frame) => Unwind64(frame.Arg(0), frame.Arg(1), frame.Arg(2), frame.Arg(3), ref frame));
        nt.AddTransfer("RtlUnwind", (ref CallFrame frame) => Unwind64(frame.Arg(0), frame.Arg(1), frame.Arg(2), frame.Arg(3), ref frame));
        nt.AddTransfer("_local_unwind", (ref CallFrame frame) => Unwind64(frame.Arg(0), frame.Arg(1), 0, 0, ref frame));
        nt.AddTransfer("__chkstk", (ref CallFrame frame) => frame.Return(State[Gpr.Rax]));
        nt.Add("RtlLookupFunctionEntry", "ppp", Irql.High, a =>
        {
            if (_unwinder.FindFunction(a[0]) is not { } found) return 0;
            Guest.SetPointer(a[1], found.ImageBase);
            return found.ImageBase + found.Function.EntryRva;
        });
        nt.Add("RtlVirtualUnwind", "uppppppp", Irql.High, a => VirtualUnwind(a));
        nt.Add("RtlCaptureContext", "p", Irql.High, a =>
        {
            WriteContext(a[0], CallerContext());
            return State[Gpr.Rax];
        });
        nt.Add("RtlPcToFileHeader", "pp", Irql.High, a =>
        {
            ulong start = _machine.Drivers.FirstOrDefault(d => d.Image.Contains(a[0]))?.Image.Base ?? 0;
            Guest.SetPointer(a[1], start);
            return start;
        });
    }

    /// <summary>Has the next language handler called, from the frame where the last one was. False when there is none.</summary>
    private bool TryCallNext64(Dispatch dispatch)
    {
        while (dispatch.Walk.Rip != _machine.Cpu.ReturnSentinel)
        {
            ulong pc = dispatch.Walk.Rip, stack = dispatch.Walk[Gpr.Rsp];
            if (!_unwinder.TryUnwind(ref dispatch.Walk, StackUnwinder.ExceptionHandler, out UnwoundFrame frame)) return false;
            // Every frame takes its return address off the stack at least: what does not is no stack.
            if (dispatch.Walk[Gpr.Rsp] <= stack) return false;
            if (frame.Handler == 0) continue;
            WriteDispatcher(dispatch.Dispatcher, pc, frame, 0, dispatch.ContextRecord);
            State.Restore(dispatch.Context);
            State.SystemFlags &= ~CpuState.DirectionFlag;
            // The four home slots, and the return address.
            ulong rsp = dispatch.Record - 0x28;
            if (!_machine.Space.TryWrite64(rsp, _afterHandler)) return false;
            dispatch.Expected = rsp + 8;
            State.Rsp = rsp;
            State[Gpr.Rcx] = dispatch.Record;
            State[Gpr.Rdx] = frame.EstablisherFrame;
            State[Gpr.R8] = dispatch.ContextRecord;
            State[Gpr.R9] = dispatch.Dispatcher;
            State.Rip = frame.Handler;
            return true;
        }
        return false;
    }

    private void WriteDispatcher(ulong at, ulong pc, in UnwoundFrame frame, ulong target, ulong context)
    {
        ReadOnlySpan<ulong> fields =
            [pc, frame.ImageBase, frame.FunctionEntry, frame.EstablisherFrame, target, context, frame.Handler, frame.HandlerData, 0, 0];
        for (int i = 0; i < fields.Length; i++) Guest.SetU64(at + (ulong)(i * 8), fields[i]);
    }

    /// <summary>__C_specific_handler: __try with __except and __finally of C.</summary>
    private void SpecificHandler(ref CallFrame frame)
    {
        ulong record = frame.Arg(0), establisher = frame.Arg(1), context = frame.Arg(2), dispatcher = frame.Arg(3);
        ulong start = Guest.U64(dispatcher + 8), table = Guest.U64(dispatcher + 0x38);
        uint pc = (uint)(Guest.U64(dispatcher) - start), target = (uint)(Guest.U64(dispatcher + 0x20) - start);
        uint flags = Guest.U32(record + 4), count = Math.Min(Guest.U32(table), MostScopes);
        for (uint index = Guest.U32(dispatcher + 0x48); index < count; index++)
        {
            (uint begin, uint end, uint handler, uint jump) = ScopeAt(table, index);
            if (pc < begin || pc >= end) continue;
            if ((flags & Unwinding) != 0)
            {
                bool atTarget = (flags & TargetUnwind) != 0;
                // The scope that execution goes on in is not left.
                if (atTarget && (jump != 0 ? target == jump : IsIn(table, count, target, handler, jump))) break;
                if (jump != 0) continue;
                Guest.SetU32(dispatcher + 0x48, index + 1);
                CallGuest(start + handler, CallConvention.StdCall, 1, establisher);
                continue;
            }
            if (jump == 0) continue;
            int verdict = 1;
            if (handler != ExecuteHandler)
            {
                ulong stack = State.Rsp;
                ulong pointers = ReservePointers(record, context);
                verdict = (int)CallGuest(start + handler, CallConvention.StdCall, pointers, establisher);
                State.Rsp = stack;
            }
            if (verdict < 0)
            {
                frame.Return(ContinueExecution);
                return;
            }
            if (verdict == 0) continue;
            Unwind64(establisher, start + jump, record, Guest.U32(record), ref frame);
            return;
        }
        frame.Return(ContinueSearch);
    }

    private (uint Begin, uint End, uint Handler, uint Jump) ScopeAt(ulong table, uint index)
    {
        ulong at = table + 4 + (index * 16);
        return (Guest.U32(at), Guest.U32(at + 4), Guest.U32(at + 8), Guest.U32(at + 12));
    }

    private bool IsIn(ulong table, uint count, uint target, uint handler, uint jump)
    {
        for (uint i = 0; i < count; i++)
        {
            (uint begin, uint end, uint other, uint to) = ScopeAt(table, i);
            if (target >= begin && target < end && other == handler && to == jump) return true;
        }
        return false;
    }

    /// <summary>RtlUnwindEx: calls the unwind handlers of all frames up to the target's, and goes on there.</summary>
    private void Unwind64(ulong targetFrame, ulong targetIp, ulong record, ulong value, ref CallFrame call)
    {
        ulong stack = State.Rsp;
        // From a handler, unwinding begins where the exception was raised.
        Dispatch? through = _dispatches.Where(d => d.Record > stack && d.Context[Gpr.Rsp] <= targetFrame
            && _machine.Space.RegionAt(d.Record) == _machine.Space.RegionAt(stack)).MaxBy(d => d.Context[Gpr.Rsp]);
        CpuContext current = through?.Context ?? CallerContext();
        ulong area = Reserve(RecordSize + ContextSize + 0x80), dispatcher = area + 0xA0, context = area + 0x100;
        if (record == 0) WriteRecord(record = area, NtStatus.Unwind, 0, current.Rip);
        uint flags = Guest.U32(record + 4) | Unwinding | (targetFrame == 0 ? ExitUnwind : 0);
        while (true)
        {
            CpuContext caller = current;
            if (current.Rip == _machine.Cpu.ReturnSentinel || !_unwinder.TryUnwind(ref caller, StackUnwinder.UnwindHandler, out UnwoundFrame frame)
                || caller[Gpr.Rsp] <= current[Gpr.Rsp] || frame.EstablisherFrame > targetFrame)
            {
                throw _machine.Crash($"the stack cannot be unwound to the frame 0x{targetFrame:x}", current.Rip);
            }
            bool isTarget = frame.EstablisherFrame == targetFrame;
            if (frame.Handler != 0)
            {
                Guest.SetU32(record + 4, flags | (isTarget ? TargetUnwind : 0));
                WriteContext(context, current);
                WriteDispatcher(dispatcher, current.Rip, frame, targetIp, context);
                if ((uint)CallGuest(frame.Handler, CallConvention.StdCall, record, frame.EstablisherFrame, context, dispatcher) != ContinueSearch)
                {
                    throw _machine.Crash("an unwind handler does not let unwinding go on", current.Rip);
                }
            }
            if (isTarget) break;
            current = caller;
        }
        State.Restore(current);
        State[Gpr.Rax] = value;
        State.Rip = targetIp;
        Forget(State.Rsp);
        call.JumpTo(targetIp);
    }

    private ulong VirtualUnwind(ulong[] a)
    {
        var context = new CpuContext { Rip = a[2] };
        ulong at = a[4];
        for (uint i = 0; i < 16; i++)
        {
            ulong xmm = at + Context64Xmm + (i * 16);
            context[(Gpr)i] = Guest.U64(at + Context64Registers + (i * 8));
            context.Xmm[(int)i] = Vector128.Create(Guest.U64(xmm), Guest.U64(xmm + 8)).AsByte();
        }
        if (!_unwinder.TryUnwind(ref context, (int)a[0], out UnwoundFrame frame))
        {
            throw new RaisedException(NtStatus.BadStack, "RtlVirtualUnwind of a bad stack, and nothing handles the exception");
        }
        WriteRegisters(at, context);
        Guest.SetU64(a[5], frame.HandlerData);
        Guest.SetU64(a[6], frame.EstablisherFrame);
        return frame.Handler;
    }

    private void WriteRegisters(ulong at, in CpuContext context)
    {
        for (uint i = 0; i < 16; i++)
        {
            Guest.SetU64(at + Context64Registers + (i * 8), context[(Gpr)i]);
            Vector128<ulong> xmm = context.Xmm[(int)i].AsUInt64();
            Guest.SetU64(at + Context64Xmm + (i * 16), xmm[0]);
            Guest.SetU64(at + Context64Xmm + (i * 16) + 8, xmm[1]);
        }
        Guest.SetU64(at + Context64Rip, context.Rip);
    }
}
