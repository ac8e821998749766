using System.Runtime.InteropServices;

namespace DeviceModels.Robot.Proseware;

/// <summary>A descriptor of the command ring, 16 bytes.</summary>
/// <param name="command">Opcode 7:0, INT 8, CONTINUE 9, tag 31:16.</param>
[StructLayout(LayoutKind.Explicit, Size = Length)]
internal readonly struct ProsewareDescriptor(uint command, int argument0, int argument1, uint reserved)
{
    public const int Length = 16;

    [FieldOffset(0)] private readonly uint _command = command;
    [FieldOffset(4)] public readonly int Argument0 = argument0;
    [FieldOffset(8)] public readonly int Argument1 = argument1;
    [FieldOffset(12)] private readonly uint _reserved = reserved;

    public ProsewareOpcode Opcode => (ProsewareOpcode)(_command & 0xff);
    public bool Interrupts => (_command & 0x100) != 0;
    public bool Continues => (_command & 0x200) != 0;
    public uint Tag => _command >> 16;

    /// <summary>Whether the bits without a meaning are 0.</summary>
    public bool IsWellFormed => (_command & 0xfc00) == 0 && _reserved == 0;
}

/// <summary>What comes before the last dword of a completion, 12 of its 16 bytes.</summary>
/// <param name="heading">Tenths of a degree 15:0, battery percent 31:16.</param>
[StructLayout(LayoutKind.Explicit, Size = Length)]
internal readonly struct ProsewareCompletion(int value, uint time, uint heading)
{
    /// <summary>Bytes, and the offset of the dword that is published last.</summary>
    public const int Length = 12, Last = 12, Stride = 16;

    [FieldOffset(0)] public readonly int Value = value;
    [FieldOffset(4)] public readonly uint Time = time;
    [FieldOffset(8)] public readonly uint Heading = heading;

    /// <summary>The dword that makes it valid.</summary>
    public static uint Hand(uint tag, ProsewareResult result, ProsewareOpcode opcode, bool phase)
        => tag | ((uint)result << 16) | (((uint)opcode & 0x7f) << 24) | (phase ? 1u << 31 : 0);
}
