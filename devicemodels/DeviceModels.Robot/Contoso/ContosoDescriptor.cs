using System.Runtime.InteropServices;

namespace DeviceModels.Robot.Contoso;

/// <summary>The part of a descriptor the robot reads, 16 of its 32 bytes.</summary>
/// <param name="control">Opcode 7:0, result 15:8, INT 29, OWN 31.</param>
[StructLayout(LayoutKind.Explicit, Size = Length)]
internal readonly struct ContosoDescriptor(uint control, uint next, ushort parameter0, ushort parameter1, uint reserved)
{
    public const int Length = 16, Alignment = 32;

    private const uint Owned = 1u << 31, Interrupt = 1u << 29, Reserved = 0x5fffff00;

    [FieldOffset(0)] private readonly uint _control = control;

    /// <summary>The address of the next, or 0.</summary>
    [FieldOffset(4)] public readonly uint Next = next;
    [FieldOffset(8)] public readonly ushort Parameter0 = parameter0;
    [FieldOffset(10)] public readonly ushort Parameter1 = parameter1;
    [FieldOffset(12)] private readonly uint _reserved = reserved;

    public ContosoOpcode Opcode => (ContosoOpcode)(_control & 0xff);
    public bool IsOwned => (_control & Owned) != 0;
    public bool Interrupts => (_control & Interrupt) != 0;

    /// <summary>Whether the bits without a meaning, and the result, are 0.</summary>
    public bool IsWellFormed => (_control & Reserved) == 0 && _reserved == 0;

    /// <summary>The control dword that gives it back.</summary>
    public uint Return(ContosoResult result) => (_control & ~(Owned | 0xff00)) | ((uint)result << 8);
}

/// <summary>What the robot writes into a descriptor before it gives it back, at offset 0x10.</summary>
[StructLayout(LayoutKind.Explicit, Size = Length)]
internal readonly struct ContosoWriteBack(int left, int right, uint time)
{
    public const int Length = 12, Offset = 0x10;

    [FieldOffset(0)] public readonly int Left = left;
    [FieldOffset(4)] public readonly int Right = right;
    [FieldOffset(8)] public readonly uint Time = time;
}
