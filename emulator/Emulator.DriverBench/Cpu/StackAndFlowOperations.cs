namespace Emulator.DriverBench.Cpu;

internal sealed class PushOperation<TStack, TSource> : Operation where TStack : struct, IWidth where TSource : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        if (!TSource.TryRead(this, s, TSource.Locate(this, s), out ulong value)) return s.MemoryFault(this);
        return Stack.TryPush<TStack>(this, s, value);
    }
}

internal sealed class PopOperation<TStack, TDestination> : Operation where TStack : struct, IWidth where TDestination : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        ulong rsp = s.Registers[(int)Gpr.Rsp];
        if (!Stack.TryPop<TStack>(this, s, out ulong value)) return false;
        // The destination's address is computed with the stack pointer after the pop (SDM, POP).
        if (TDestination.TryWrite(this, s, TDestination.Locate(this, s), value)) return true;
        s.Registers[(int)Gpr.Rsp] = rsp;
        return s.MemoryFault(this);
    }
}

internal static class Stack
{
    public static bool TryPush<TStack>(Operation operation, CpuState s, ulong value) where TStack : struct, IWidth
    {
        ulong rsp = (s.Registers[(int)Gpr.Rsp] - (ulong)(TStack.Bits / 8)) & operation.LinearMask;
        s.CurrentAddress = operation.Address;
        if (!TStack.TryStore(s.Memory, rsp, value)) return s.MemoryFault(operation);
        s.Registers[(int)Gpr.Rsp] = rsp;
        return true;
    }

    public static bool TryPop<TStack>(Operation operation, CpuState s, out ulong value) where TStack : struct, IWidth
    {
        ulong rsp = s.Registers[(int)Gpr.Rsp];
        s.CurrentAddress = operation.Address;
        if (!TStack.TryLoad(s.Memory, rsp, out value)) return s.MemoryFault(operation);
        s.Registers[(int)Gpr.Rsp] = (rsp + (ulong)(TStack.Bits / 8)) & operation.LinearMask;
        return true;
    }
}

internal sealed class PushFlagsOperation<TStack> : Operation where TStack : struct, IWidth
{
    public override bool Execute(CpuState s) => Stack.TryPush<TStack>(this, s, s.Rflags);
}

internal sealed class PopFlagsOperation<TStack> : Operation where TStack : struct, IWidth
{
    // What POPF changes in ring 0: all but VM, VIF, VIP and the reserved bits; RF is cleared; TF would trap and is not kept.
    private const ulong Changeable = 0x0024_7ED5;

    public override bool Execute(CpuState s)
    {
        if (!Stack.TryPop<TStack>(this, s, out ulong value)) return false;
        ulong old = s.Rflags;
        ulong mask = Changeable & TStack.Mask;
        s.Rflags = (old & ~mask) | (value & mask);
        if (((old ^ s.Rflags) & CpuState.InterruptFlag) != 0) s.Interpreter.Platform.InterruptFlagChanged(s.Interpreter, s.InterruptsEnabled);
        return true;
    }
}

internal sealed class PushAllOperation<TStack> : Operation where TStack : struct, IWidth
{
    public override bool Execute(CpuState s)
    {
        ulong rsp = s.Registers[(int)Gpr.Rsp];
        for (int register = 0; register < 8; register++)
        {
            if (Stack.TryPush<TStack>(this, s, register == (int)Gpr.Rsp ? rsp : TStack.Get(s, register))) continue;
            s.Registers[(int)Gpr.Rsp] = rsp;
            return false;
        }
        return true;
    }
}

internal sealed class PopAllOperation<TStack> : Operation where TStack : struct, IWidth
{
    public override bool Execute(CpuState s)
    {
        CpuContext before = s.Save();
        for (int register = 7; register >= 0; register--)
        {
            if (!Stack.TryPop<TStack>(this, s, out ulong value))
            {
                s.Restore(before);
                s.Rip = Address;
                return false;
            }
            if (register != (int)Gpr.Rsp) TStack.Set(s, register, value);
        }
        return true;
    }
}

/// <summary>ENTER with nesting level 0.</summary>
internal sealed class EnterOperation<TStack> : Operation where TStack : struct, IWidth
{
    public override bool Execute(CpuState s)
    {
        if (!Stack.TryPush<TStack>(this, s, TStack.Get(s, (int)Gpr.Rbp))) return false;
        ulong frame = s.Registers[(int)Gpr.Rsp];
        TStack.Set(s, (int)Gpr.Rbp, frame);
        s.Registers[(int)Gpr.Rsp] = (frame - Immediate) & LinearMask;
        return true;
    }
}

internal sealed class LeaveOperation<TStack> : Operation where TStack : struct, IWidth
{
    public override bool Execute(CpuState s)
    {
        ulong rsp = s.Registers[(int)Gpr.Rsp];
        s.Registers[(int)Gpr.Rsp] = s.Registers[(int)Gpr.Rbp];
        if (Stack.TryPop<TStack>(this, s, out ulong value))
        {
            TStack.Set(s, (int)Gpr.Rbp, value);
            return true;
        }
        s.Registers[(int)Gpr.Rsp] = rsp;
        return false;
    }
}

internal sealed class JumpOperation : Operation
{
    public override bool Execute(CpuState s)
    {
        s.Rip = Immediate;
        return true;
    }
}

internal sealed class JumpIndirectOperation<TSource> : Operation where TSource : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        if (!TSource.TryRead(this, s, TSource.Locate(this, s), out ulong target)) return s.MemoryFault(this);
        s.CurrentAddress = Address;
        s.Rip = target;
        return true;
    }
}

internal sealed class ConditionalJumpOperation<TCondition> : Operation where TCondition : struct, ICondition
{
    public override bool Execute(CpuState s)
    {
        // Not taken: the block's end is the instruction pointer already.
        if (TCondition.Holds(s)) s.Rip = Immediate;
        return true;
    }
}

internal sealed class CallOperation<TStack, TTarget> : Operation where TStack : struct, IWidth where TTarget : struct, IOperand
{
    public override bool Execute(CpuState s)
    {
        if (!TTarget.TryRead(this, s, TTarget.Locate(this, s), out ulong target)) return s.MemoryFault(this);
        if (!Stack.TryPush<TStack>(this, s, Next)) return false;
        s.Rip = target;
        return true;
    }
}

/// <summary>RET; Immediate is how many bytes of arguments it takes off the stack.</summary>
internal sealed class ReturnOperation<TStack> : Operation where TStack : struct, IWidth
{
    public override bool Execute(CpuState s)
    {
        if (!Stack.TryPop<TStack>(this, s, out ulong target)) return false;
        s.Registers[(int)Gpr.Rsp] = (s.Registers[(int)Gpr.Rsp] + Immediate) & LinearMask;
        s.Rip = target;
        return true;
    }
}

/// <summary>LOOP, LOOPE, LOOPNE and JCXZ. The counter's width is the address size.</summary>
internal sealed class LoopOperation<TCounter> : Operation where TCounter : struct, IWidth
{
    private readonly LoopKind _kind;

    public LoopOperation(LoopKind kind) => _kind = kind;

    public override bool Execute(CpuState s)
    {
        ulong count = TCounter.Get(s, (int)Gpr.Rcx);
        if (_kind == LoopKind.WhileZeroCounter)
        {
            if (count == 0) s.Rip = Immediate;
            return true;
        }
        count = (count - 1) & TCounter.Mask;
        TCounter.Set(s, (int)Gpr.Rcx, count);
        bool holds = _kind switch { LoopKind.WhileEqual => s.Zero, LoopKind.WhileNotEqual => !s.Zero, _ => true };
        if (count != 0 && holds) s.Rip = Immediate;
        return true;
    }
}

internal enum LoopKind : byte
{
    Loop,
    WhileEqual,
    WhileNotEqual,
    WhileZeroCounter,
}
