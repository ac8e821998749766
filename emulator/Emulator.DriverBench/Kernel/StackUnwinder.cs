using System.Buffers.Binary;
using System.Runtime.Intrinsics;
using Emulator.DriverBench.Cpu;
using Emulator.DriverBench.Pe;

namespace Emulator.DriverBench.Kernel;

/// <summary>What unwinding one frame of x64 code tells besides the caller's registers.</summary>
/// <param name="ImageBase">Of the module that the function is in; 0 for a leaf, which has no unwind data.</param>
/// <param name="FunctionEntry">Its RUNTIME_FUNCTION; 0 for a leaf.</param>
/// <param name="EstablisherFrame">The frame as language handlers know it.</param>
/// <param name="Handler">The language handler; 0 without one, or where the frame is not complete.</param>
/// <param name="HandlerData">What the handler finds there.</param>
internal readonly record struct UnwoundFrame(ulong ImageBase, ulong FunctionEntry, ulong EstablisherFrame, ulong Handler, ulong HandlerData);

/// <summary>
/// RtlVirtualUnwind: takes registers back over one frame of x64 code, by the .pdata and .xdata of its module (Microsoft, x64 exception handling).
/// </summary>
internal sealed class StackUnwinder(BenchMachine machine)
{
    /// <summary>Handlers of exceptions (UNW_FLAG_EHANDLER) or of unwinding (UNW_FLAG_UHANDLER).</summary>
    public const int ExceptionHandler = 1, UnwindHandler = 2;

    private const int Chained = 4, LongestChain = 32;

    // UWOP_PUSH_NONVOL and so on, by their numbers.
    private enum Code { PushNonVolatile, AllocateLarge, AllocateSmall, SetFrame, Save, SaveFar, Epilog, Spare, SaveXmm, SaveXmmFar, PushMachineFrame }

    /// <summary>The function that an address lies in, with its module's base. Null for leaves and for code of no module.</summary>
    public (ulong ImageBase, PeFunction Function)? FindFunction(ulong address)
    {
        foreach (LoadedDriver driver in machine.Drivers)
        {
            if (!driver.Image.Contains(address)) continue;
            return driver.Image.Image.FindFunction((uint)(address - driver.Image.Base)) is { } function ? (driver.Image.Base, function) : null;
        }
        return null;
    }

    /// <summary>Unwinds the frame that <paramref name="context"/> is in. False when the stack or the unwind data do not make sense.</summary>
    /// <param name="context">Afterwards the caller's, as far as callers may rely on it.</param>
    /// <param name="kind">Which handlers count.</param>
    /// <param name="frame">What was found.</param>
    public bool TryUnwind(ref CpuContext context, int kind, out UnwoundFrame frame)
    {
        ulong pc = context.Rip;
        frame = new UnwoundFrame(0, 0, context[Gpr.Rsp], 0, 0);
        if (FindFunction(pc) is not { } found) return TryReturn(ref context);
        (ulong imageBase, PeFunction function) = found;
        if (!TryReadInfo(imageBase, function.UnwindRva, out UnwindInfo info)) return false;
        uint offset = (uint)(pc - imageBase) - function.Begin;
        bool isComplete = offset >= info.PrologSize || (info.Flags & Chained) != 0;
        ulong establisher = Establisher(context, info, offset, isComplete);
        ulong entry = imageBase + function.EntryRva;
        if (isComplete && TryLeaveEpilog(context, info, imageBase, function, out CpuContext left))
        {
            context = left;
            frame = new UnwoundFrame(imageBase, entry, establisher, 0, 0);
            return true;
        }
        for (int links = 0; ; links++)
        {
            if (links == LongestChain) return false;
            if (!TryApply(ref context, info, establisher, links == 0 ? offset : uint.MaxValue, out bool returned)) return false;
            if ((info.Flags & Chained) == 0)
            {
                if (!returned && !TryReturn(ref context)) return false;
                break;
            }
            if (!TryPeek32(info.Tail + 8, out uint next) || !TryReadInfo(imageBase, next, out info)) return false;
        }
        ulong handler = 0, data = 0;
        if (isComplete && (info.Flags & kind) != 0)
        {
            if (!TryPeek32(info.Tail, out uint rva)) return false;
            (handler, data) = (imageBase + rva, info.Tail + 4);
        }
        frame = new UnwoundFrame(imageBase, entry, establisher, handler, data);
        return true;
    }

    private static ulong Establisher(in CpuContext context, in UnwindInfo info, uint offset, bool isComplete)
    {
        if (info.FrameRegister == 0) return context[Gpr.Rsp];
        bool isSet = isComplete;
        for (int i = 0; !isSet && i < info.Codes.Length; i += Slots(info.Codes, i))
        {
            isSet = KindOf(info.Codes[i]) == Code.SetFrame && offset >= (info.Codes[i] & 0xFF);
        }
        return isSet ? context[(Gpr)info.FrameRegister] - info.FrameOffset : context[Gpr.Rsp];
    }

    private static Code KindOf(ushort code) => (Code)(code >> 8 & 15);

    private static int Slots(ReadOnlySpan<ushort> codes, int index) => KindOf(codes[index]) switch
    {
        Code.AllocateLarge => codes[index] >> 12 == 0 ? 2 : 3,
        Code.Save or Code.SaveXmm or Code.Epilog => 2,
        Code.SaveFar or Code.SaveXmmFar or Code.Spare => 3,
        _ => 1,
    };

    private bool TryApply(ref CpuContext context, in UnwindInfo info, ulong establisher, uint offset, out bool returned)
    {
        returned = false;
        ushort[] codes = info.Codes;
        for (int i = 0; i < codes.Length; i += Slots(codes, i))
        {
            if (i + Slots(codes, i) > codes.Length) return false;
            // A frame that is not complete has done only what lies before its instruction.
            if (offset < (codes[i] & 0xFF)) continue;
            var register = (Gpr)(codes[i] >> 12);
            uint near = i + 1 < codes.Length ? codes[i + 1] : 0u, far = i + 2 < codes.Length ? near | ((uint)codes[i + 2] << 16) : 0;
            switch (KindOf(codes[i]))
            {
                case Code.PushNonVolatile:
                    if (!TryPop(ref context, out ulong pushed)) return false;
                    context[register] = pushed;
                    break;
                case Code.AllocateLarge: context[Gpr.Rsp] += register == 0 ? near * 8 : far; break;
                case Code.AllocateSmall: context[Gpr.Rsp] += ((ulong)register * 8) + 8; break;
                case Code.SetFrame: context[Gpr.Rsp] = context[(Gpr)info.FrameRegister] - info.FrameOffset; break;
                case Code.Save or Code.SaveFar:
                    if (!TryPeek64(establisher + (KindOf(codes[i]) == Code.Save ? near * 8ul : far), out ulong saved)) return false;
                    context[register] = saved;
                    break;
                case Code.SaveXmm or Code.SaveXmmFar:
                    ulong at = establisher + (KindOf(codes[i]) == Code.SaveXmm ? near * 16ul : far);
                    if (!TryPeek64(at, out ulong low) || !TryPeek64(at + 8, out ulong high)) return false;
                    context.Xmm[(int)register] = Vector128.Create(low, high).AsByte();
                    break;
                case Code.PushMachineFrame:
                    // An error code lies below what the processor pushed: RIP, CS, RFLAGS, RSP.
                    ulong machineFrame = context[Gpr.Rsp] + (register == 0 ? 0u : 8u);
                    if (!TryPeek64(machineFrame, out ulong rip) || !TryPeek64(machineFrame + 24, out ulong rsp)) return false;
                    (context.Rip, context[Gpr.Rsp], returned) = (rip, rsp, true);
                    break;
                case Code.Epilog: break;
                default: return false;
            }
        }
        return true;
    }

    /// <summary>
    /// What is left of an epilog, and nothing else: the stack pointer's release, POPs and the return (or a jump out of the function), which
    /// is all that an epilog may be made of.
    /// </summary>
    private bool TryLeaveEpilog(in CpuContext from, in UnwindInfo info, ulong imageBase, PeFunction function, out CpuContext context)
    {
        context = from;
        Span<byte> code = stackalloc byte[32];
        code.Clear();
        uint rva = (uint)(from.Rip - imageBase);
        if (!machine.Space.TryPeek(from.Rip, code[..(int)Math.Min(32, function.End - rva)])) return false;
        int at = 0;
        if (code[0] == 0x48 && code[1] is 0x83 or 0x81 && code[2] == 0xC4)
        {
            bool small = code[1] == 0x83;
            context[Gpr.Rsp] += small ? (ulong)(sbyte)code[3] : (ulong)BinaryPrimitives.ReadInt32LittleEndian(code[3..]);
            at = small ? 4 : 7;
        }
        // LEA RSP, [frame register + displacement].
        else if ((code[0] & 0xFE) == 0x48 && code[1] == 0x8D && (code[2] & 0x38) == 0x20 && info.FrameRegister != 0
            && ((code[2] & 7) | ((code[0] & 1) << 3)) == info.FrameRegister && (code[2] >> 6) is 1 or 2 && (code[2] & 7) != 4)
        {
            bool small = code[2] >> 6 == 1;
            context[Gpr.Rsp] = from[(Gpr)info.FrameRegister] + (small ? (ulong)(sbyte)code[3] : (ulong)BinaryPrimitives.ReadInt32LittleEndian(code[3..]));
            at = small ? 4 : 7;
        }
        while (at < 26)
        {
            bool extended = code[at] == 0x41;
            byte pop = code[extended ? at + 1 : at];
            if (pop is < 0x58 or > 0x5F) break;
            if (!TryPop(ref context, out ulong value)) return false;
            context[(Gpr)((pop - 0x58) | (extended ? 8 : 0))] = value;
            at += extended ? 2 : 1;
        }
        ReadOnlySpan<byte> last = code[at..];
        bool leaves = last[0] is 0xC3 or 0xC2 || (last[0] == 0xF3 && last[1] == 0xC3) || (last[0] == 0xFF && last[1] == 0x25)
            || (last[0] == 0x48 && last[1] == 0xFF && (last[2] & 0x38) == 0x20) || JumpsOut(last, rva + (uint)at, function);
        return leaves && TryReturn(ref context);
    }

    private static bool JumpsOut(ReadOnlySpan<byte> code, uint rva, PeFunction function)
    {
        uint target = code[0] switch
        {
            0xEB => rva + 2 + (uint)(sbyte)code[1],
            0xE9 => rva + 5 + BinaryPrimitives.ReadUInt32LittleEndian(code[1..]),
            _ => function.Begin + 1,
        };
        return target <= function.Begin || target >= function.End;
    }

    private bool TryReturn(ref CpuContext context)
    {
        if (!TryPop(ref context, out ulong rip)) return false;
        context.Rip = rip;
        return true;
    }

    private bool TryPop(ref CpuContext context, out ulong value)
    {
        if (!TryPeek64(context[Gpr.Rsp], out value)) return false;
        context[Gpr.Rsp] += 8;
        return true;
    }

    private bool TryReadInfo(ulong imageBase, uint rva, out UnwindInfo info)
    {
        info = default;
        // The lowest bit: another function's entry, whose unwind data count for this one, too.
        if ((rva & 1) != 0 && !TryPeek32(imageBase + (rva & ~1u) + 8, out rva)) return false;
        ulong at = imageBase + rva;
        Span<byte> head = stackalloc byte[4];
        if (!machine.Space.TryPeek(at, head) || (head[0] & 7) is not (1 or 2)) return false;
        var codes = new ushort[head[2]];
        Span<byte> bytes = stackalloc byte[2 * 255];
        bytes = bytes[..(2 * codes.Length)];
        if (!machine.Space.TryPeek(at + 4, bytes)) return false;
        for (int i = 0; i < codes.Length; i++) codes[i] = BinaryPrimitives.ReadUInt16LittleEndian(bytes[(2 * i)..]);
        info = new UnwindInfo(head[0] >> 3, head[1], head[3] & 15, (uint)(head[3] >> 4) * 16, codes, at + 4 + (ulong)((codes.Length + 1 & ~1) * 2));
        return true;
    }

    private bool TryPeek32(ulong at, out uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        bool done = machine.Space.TryPeek(at, bytes);
        value = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        return done;
    }

    private bool TryPeek64(ulong at, out ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        bool done = machine.Space.TryPeek(at, bytes);
        value = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        return done;
    }

    /// <summary>UNWIND_INFO.</summary>
    /// <param name="Tail">What lies behind the codes: a handler and its data, or the function this one is chained to.</param>
    private readonly record struct UnwindInfo(int Flags, uint PrologSize, int FrameRegister, uint FrameOffset, ushort[] Codes, ulong Tail);
}
