using Emulator.DriverBench.Cpu;

namespace Emulator.DriverBench.Kernel;

/// <content>CONTEXT, as filters see and change it.</content>
internal sealed partial class ExceptionServices
{
    /// <summary>Writes registers, and the flags that the processor has now.</summary>
    private void WriteContext(ulong at, in CpuContext context)
    {
        if (Is64Bit)
        {
            // CONTEXT_AMD64, full.
            Guest.SetU32(at + Context64Flags, 0x10_000B);
            Guest.SetU32(at + Context64Mxcsr, context.Mxcsr);
            Guest.SetU32(at + Context64Rflags, (uint)State.Rflags);
            WriteRegisters(at, context);
            return;
        }
        // CONTEXT_i386, full.
        Guest.SetU32(at, 0x1_0007);
        for (int i = 0; i < s_context86Registers.Length; i++) Guest.SetU32(at + s_context86Registers[i], (uint)context[(Gpr)i]);
        Guest.SetU32(at + Context86Rip, (uint)context.Rip);
        Guest.SetU32(at + Context86Flags, (uint)State.Rflags);
    }

    /// <summary>Goes on as a filter has left the CONTEXT.</summary>
    private void ReadContext(Dispatch dispatch)
    {
        ulong at = dispatch.ContextRecord;
        State.Restore(dispatch.Context);
        for (int i = 0; i < (Is64Bit ? 16 : 8); i++)
        {
            State[(Gpr)i] = Is64Bit ? Guest.U64(at + Context64Registers + (ulong)(i * 8)) : Guest.U32(at + s_context86Registers[i]);
        }
        for (uint i = 0; Is64Bit && i < 16; i++)
        {
            State.SetXmm((int)i, new UInt128(Guest.U64(at + Context64Xmm + (i * 16) + 8), Guest.U64(at + Context64Xmm + (i * 16))));
        }
        State.Rflags = Guest.U32(at + (Is64Bit ? Context64Rflags : Context86Flags));
        State.Rip = Is64Bit ? Guest.U64(at + Context64Rip) : Guest.U32(at + Context86Rip);
    }
}
