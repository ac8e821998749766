using Emulator.DriverBench.Cpu;

namespace Emulator.DriverBench.Kernel;

/// <content>x86: handlers are in a chain of records on the stack, which begins at FS:[0].</content>
internal sealed partial class ExceptionServices
{
    // CONTEXT; the general registers in their encoding's order.
    private const ulong Context86Flags = 0xC0, Context86Rip = 0xB8;
    private static readonly ulong[] s_context86Registers = [0xB0, 0xAC, 0xA8, 0xA4, 0xC4, 0xB4, 0xA0, 0x9C];

    private const ulong EndOfChain = 0xFFFF_FFFF;

    // What Visual C pushes: the chain's record, the scope table, the level of __try, EBP.
    private const ulong ScopeTableAt = 8, TryLevelAt = 12, FrameToEbp = 16;
    private const uint NoLevel3 = 0xFFFF_FFFF, NoLevel4 = 0xFFFF_FFFE;

    private void AddX86(NtServices nt)
    {
        nt.AddTransfer("_except_handler3", (ref CallFrame frame) => ExceptHandler(frame.Arg(0), frame.Arg(1), frame.Arg(2), 0, NoLevel3, ref frame));
        nt.AddTransfer("_except_handler4_common", (ref CallFrame frame) =>
            ExceptHandler(frame.Arg(2), frame.Arg(3), frame.Arg(4), Guest.U32(frame.Arg(0)), NoLevel4, ref frame));
        nt.Add("RtlUnwind", "pppp", Irql.Dispatch, a =>
        {
            Unwind86(a[0], a[2]);
            return a[3];
        });
        nt.Add("_global_unwind2", "p", Irql.Dispatch, a =>
        {
            Unwind86(a[0], 0);
            return 0;
        }, CallConvention.Cdecl);
        nt.Add("_local_unwind2", "pu", Irql.Dispatch, a =>
        {
            LocalUnwind(a[0], Guest.U32(a[0] + ScopeTableAt), NoLevel3, (uint)a[1]);
            return 0;
        }, CallConvention.Cdecl);
        foreach (string name in (string[])["_chkstk", "_alloca_probe"])
        {
            // EAX bytes are taken off the stack, below the return address.
            nt.AddTransfer(name, (ref CallFrame frame) =>
            {
                ulong stack = State.Rsp, size = State[Gpr.Rax], back = frame.ReturnAddress;
                State.Rsp = stack + 4 - size;
                frame.JumpTo(back);
            });
        }
    }

    private bool TryCallNext86(Dispatch dispatch)
    {
        ulong frame = dispatch.Frame;
        // Records lie in the driver's frames; those of whoever called the function that runs now are asked by nobody.
        if (frame == EndOfChain || (frame & 3) != 0 || frame < dispatch.Context[Gpr.Rsp] || frame >= _machine.Cpu.EntryStack) return false;
        dispatch.Frame = Guest.Pointer(frame);
        if (dispatch.Frame <= frame) return false;
        ulong stack = dispatch.Record - 0x20;
        State.Restore(dispatch.Context);
        State.SystemFlags &= ~CpuState.DirectionFlag;
        ReadOnlySpan<ulong> call = [_afterHandler, dispatch.Record, frame, dispatch.ContextRecord, dispatch.Dispatcher];
        for (int i = 0; i < call.Length; i++) Guest.SetPointer(stack + (ulong)(i * 4), call[i]);
        dispatch.Expected = stack + 4;
        State.Rsp = stack;
        State.Rip = Guest.Pointer(frame + 4);
        return true;
    }

    /// <summary>RtlUnwind: calls the handlers of all records before the target's, and takes those out of the chain. It returns.</summary>
    private void Unwind86(ulong targetFrame, ulong record)
    {
        ulong stack = State.Rsp;
        ulong area = Reserve(RecordSize + ContextSize + 0x20), context = area + 0x60;
        if (record == 0) WriteRecord(record = area, NtStatus.Unwind, 0, Guest.Pointer(stack));
        Guest.SetU32(record + 4, Guest.U32(record + 4) | Unwinding | (targetFrame == 0 ? ExitUnwind : 0));
        WriteContext(context, State.Save());
        for (ulong frame = Guest.Pointer(State.FsBase); frame != targetFrame; frame = Guest.Pointer(State.FsBase))
        {
            if (frame == EndOfChain || frame < stack || (targetFrame != 0 && frame > targetFrame))
            {
                throw _machine.Crash($"the stack cannot be unwound to the record 0x{targetFrame:x}");
            }
            if ((uint)CallGuest(Guest.Pointer(frame + 4), CallConvention.Cdecl, record, frame, context, area) != ContinueSearch)
            {
                throw _machine.Crash("an unwind handler does not let unwinding go on");
            }
            Guest.SetPointer(State.FsBase, Guest.Pointer(frame));
        }
        State.Rsp = stack;
    }

    /// <summary>_except_handler3, and what _except_handler4 of a driver's own calls, whose table is hidden by a cookie.</summary>
    private void ExceptHandler(ulong record, ulong frame, ulong context, uint cookie, uint none, ref CallFrame call)
    {
        ulong table = Guest.U32(frame + ScopeTableAt) ^ cookie;
        if ((Guest.U32(record + 4) & (Unwinding | ExitUnwind)) != 0)
        {
            LocalUnwind(frame, table, none, none);
            call.Return(ContinueSearch);
            return;
        }
        CpuContext before = State.Save();
        Guest.SetPointer(frame - 4, ReservePointers(record, context));
        for (uint level = Guest.U32(frame + TryLevelAt); level != none;)
        {
            (uint enclosing, ulong filter, ulong handler) = LevelAt(table, none, level);
            int verdict = filter == 0 ? 0 : (int)CallInFrame(filter, frame);
            if (verdict < 0)
            {
                State.Restore(before);
                call.Return(ContinueExecution);
                return;
            }
            if (verdict > 0)
            {
                Unwind86(frame, record);
                LocalUnwind(frame, table, none, level);
                Guest.SetU32(frame + TryLevelAt, enclosing);
                // The handler itself takes its stack pointer out of its frame.
                State[Gpr.Rbp] = frame + FrameToEbp;
                Forget(frame);
                call.JumpTo(handler);
                return;
            }
            level = enclosing;
        }
        State.Restore(before);
        call.Return(ContinueSearch);
    }

    /// <summary>Runs the termination handlers of the levels of __try that are left for another one.</summary>
    private void LocalUnwind(ulong frame, ulong table, uint none, uint stop)
    {
        while (Guest.U32(frame + TryLevelAt) is var level && level != none && level != stop && (stop == none || level > stop))
        {
            (uint enclosing, ulong filter, ulong handler) = LevelAt(table, none, level);
            Guest.SetU32(frame + TryLevelAt, enclosing);
            if (filter == 0) CallInFrame(handler, frame);
        }
    }

    private (uint Enclosing, ulong Filter, ulong Handler) LevelAt(ulong table, uint none, uint level)
    {
        if (level > MostScopes) throw _machine.Crash($"a level of __try of {level}");
        // The table of _except_handler4 begins with where its cookies are.
        ulong at = table + (none == NoLevel4 ? 16u : 0) + (level * 12);
        return (Guest.U32(at), Guest.U32(at + 4), Guest.U32(at + 8));
    }

    /// <summary>Calls a part of a function that has the function's EBP.</summary>
    private ulong CallInFrame(ulong address, ulong frame)
    {
        ulong ebp = State[Gpr.Rbp];
        State[Gpr.Rbp] = frame + FrameToEbp;
        ulong result = CallGuest(address, CallConvention.Cdecl);
        State[Gpr.Rbp] = ebp;
        return result;
    }
}
