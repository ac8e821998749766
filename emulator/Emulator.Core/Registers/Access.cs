namespace Emulator.Registers;

/// <summary>What guest software may do with a field. Names follow the PCI and xHCI specifications.</summary>
public enum Access : byte
{
    /// <summary>RO: writes are ignored; the device changes the value.</summary>
    ReadOnly,
    /// <summary>RW.</summary>
    ReadWrite,
    /// <summary>WO: reads as zero.</summary>
    WriteOnly,
    /// <summary>RW1C: writing one clears the bit, writing zero leaves it.</summary>
    WriteOneToClear,
    /// <summary>RW1S: writing one sets the bit, only the device clears it.</summary>
    WriteOneToSet,
    /// <summary>RC: a guest read returns the value and then clears it.</summary>
    ReadToClear,
}

/// <summary>The access widths a bank answers, in bytes; combine with |.</summary>
[Flags]
public enum AccessSizes : byte
{
    Byte = 1,
    Word = 2,
    Dword = 4,
    Qword = 8,
    Any = Byte | Word | Dword | Qword,
}

/// <summary>The abbreviations datasheets print for <see cref="Access"/>.</summary>
public static class AccessNames
{
    /// <summary>RO, RW, WO, RW1C, RW1S or RC.</summary>
    public static string Abbreviate(this Access access) => access switch
    {
        Access.ReadOnly => "RO",
        Access.ReadWrite => "RW",
        Access.WriteOnly => "WO",
        Access.WriteOneToClear => "RW1C",
        Access.WriteOneToSet => "RW1S",
        Access.ReadToClear => "RC",
        _ => throw new ArgumentOutOfRangeException(nameof(access)),
    };
}
