using System.Runtime.CompilerServices;

namespace Emulator.Registers;

/// <summary>A named bit range of a <see cref="Register"/>.</summary>
public class Field
{
    internal Field(Register register, string name, int high, int low, Access access, ulong reset, string summary)
    {
        (Register, Name, Low, Width, Access, ResetValue, Summary) = (register, name, low, high - low + 1, access, reset, summary);
        Mask = (ulong.MaxValue >> (64 - Width)) << low;
    }

    public Register Register { get; }

    /// <summary>The datasheet's name, such as "MSE".</summary>
    public string Name { get; }

    /// <summary>One line for the generated datasheet; may be empty.</summary>
    public string Summary { get; }
    public int Low { get; }
    public int High => Low + Width - 1;
    public int Width { get; }
    public Access Access { get; }

    /// <summary>The value after reset, right-aligned.</summary>
    public ulong ResetValue { get; internal set; }

    /// <summary>The bits of the register the field covers.</summary>
    public ulong Mask { get; }

    /// <summary>Whether only power-on resets the field (PCI Express "sticky" bits).</summary>
    public bool IsSticky { get; internal set; }

    /// <summary>What values mean, for fields with an enumeration; empty otherwise.</summary>
    public virtual IReadOnlyList<KeyValuePair<ulong, string>> ValueNames => [];

    /// <summary>The device's own view, right-aligned: no access rules, no handlers, no trace.</summary>
    public ulong Value
    {
        get => (Register.Value & Mask) >> Low;
        set => Register.Value = (Register.Value & ~Mask) | ((value << Low) & Mask);
    }

    /// <summary>The device's own view of a flag: whether any bit is set; assigning sets or clears all.</summary>
    public bool IsSet
    {
        get => (Register.Value & Mask) != 0;
        set => Register.Value = value ? Register.Value | Mask : Register.Value & ~Mask;
    }

    /// <summary>The field's part of a value of the whole register, right-aligned.</summary>
    public ulong Extract(ulong registerValue) => (registerValue & Mask) >> Low;
}

/// <summary>A field whose values have names.</summary>
/// <typeparam name="T">An enum with the values' meanings.</typeparam>
public sealed class Field<T> : Field where T : unmanaged, Enum
{
    internal Field(Register register, string name, int high, int low, Access access, T reset, string summary)
        : base(register, name, high, low, access, ToBits(reset), summary)
    {
    }

    public override IReadOnlyList<KeyValuePair<ulong, string>> ValueNames
        => [.. Enum.GetValues<T>().Select(v => KeyValuePair.Create(ToBits(v), v.ToString()))];

    /// <summary>The device's own view. A guest can store values that have no name.</summary>
    public new T Value
    {
        get => FromBits(base.Value);
        set => base.Value = ToBits(value);
    }

    /// <summary>The field's part of a value of the whole register.</summary>
    public new T Extract(ulong registerValue) => FromBits(base.Extract(registerValue));

    // An enum is its underlying integer; reading that many bytes of it is what the runtime's own Enum helpers do.
    private static ulong ToBits(T value) => Unsafe.SizeOf<T>() switch
    {
        1 => Unsafe.As<T, byte>(ref value),
        2 => Unsafe.As<T, ushort>(ref value),
        4 => Unsafe.As<T, uint>(ref value),
        _ => Unsafe.As<T, ulong>(ref value),
    };

    private static T FromBits(ulong bits) => Unsafe.As<ulong, T>(ref bits);
}
